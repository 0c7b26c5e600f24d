"""What a sound can be, as the classifier sees it, and the Protocol that the pipeline needs of a classifier."""

import enum
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class SoundClass(enum.StrEnum):
    """Classifier output, in the order of the model's output vector."""

    GUNSHOT = "gunshot"
    FIREWORK = "firework"
    THUNDER = "thunder"
    IMPACT = "impact"
    VEHICLE = "vehicle"
    VOICE = "voice"
    OTHER = "other"


CLASSES: tuple[SoundClass, ...] = tuple(SoundClass)


@dataclass(frozen=True, slots=True)
class ClassProbabilities:
    """One probability per class, in the order of `CLASSES`; they sum to one within rounding."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse a vector of the wrong length or with a value outside 0..1."""
        if len(self.values) != len(CLASSES):
            raise ValueError(f"{len(self.values)} probabilities for {len(CLASSES)} classes")
        if not all(0.0 <= v <= 1.0 for v in self.values):
            raise ValueError(f"probabilities {self.values} are not all within 0..1")

    def of(self, sound_class: SoundClass) -> float:
        """The probability of one class."""
        return self.values[CLASSES.index(sound_class)]

    @property
    def gunshot(self) -> float:
        """The probability that the sound is a gunshot."""
        return self.of(SoundClass.GUNSHOT)

    def as_dict(self) -> dict[str, float]:
        """Class name to probability."""
        return {c.value: v for c, v in zip(CLASSES, self.values, strict=True)}


class Classifier(Protocol):
    """Names the sound around an onset. Not safe for use from several threads."""

    @property
    def window_before_s(self) -> float:
        """Seconds of sound that `classify` wants before the onset."""

    @property
    def window_after_s(self) -> float:
        """Seconds of sound that `classify` wants after the onset."""

    def classify(self, samples: NDArray[np.float32], sample_rate_hz: float, onset_sample: int) -> ClassProbabilities:
        """Class probabilities of the sound around `samples[onset_sample]`.

        `samples` is one channel, full scale +-1.0, shape (n,); where it ends early, silence is assumed.
        """
