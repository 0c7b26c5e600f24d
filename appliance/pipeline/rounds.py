"""What was heard lately, to know the next round of the same shooter by it."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.dsp.repeats import LENGTH_S, RepeatTest

MIN_LIKENESS = 0.6
"""Sounds more alike than this are repetitions; see `dsp.repeats` for what rounds and echoes reach."""
MAX_SELF_LIKENESS = 0.6
"""What repeats itself within milliseconds is a voice or an engine."""
MIN_AGE_S = 0.035
"""Rounds come no faster than 1,200 a minute, which are 50 ms apart; what repeats sooner is an echo."""
MAX_AGE_S = 1.0
"""What is older hides no round, as prominence is measured over 300 ms; three times that, as rounds may be missed."""
MAX_REMEMBERED = 16
"""Onsets that a later one is compared with at most; they lie 30 ms apart and more."""


@dataclass(frozen=True, slots=True, eq=False)
class _Heard:
    """A front that was measured: the sample that its passage is laid around, how much later the front is, its sigma."""

    trigger: int
    passage: NDArray[np.float64]
    front_after: float
    sigma_samples: float


@dataclass(frozen=True, slots=True)
class Recognised:
    """A repetition: the sample that it should be measured at, and by its pattern the front and its 1-sigma."""

    trigger: int
    front: float
    sigma_samples: float


class RoundMemory:
    """Remembers the fronts of one stream and recognises their repetitions."""

    def __init__(self, sample_rate_hz: float) -> None:
        """Remember nothing yet."""
        self._rate_hz = sample_rate_hz
        self._test = RepeatTest(sample_rate_hz)
        self._heard: deque[_Heard] = deque(maxlen=MAX_REMEMBERED)

    @property
    def samples_before(self) -> int:
        """Samples wanted before a trigger."""
        return self._test.samples_before

    @property
    def samples_after(self) -> int:
        """Samples wanted from a trigger on."""
        return self._test.samples_after

    def recognise(self, samples: NDArray[np.float32], trigger: int) -> Recognised | None:
        """The repetition that the sound around sample `trigger` of the stream is, or None where it is like nothing.

        `samples`, one channel, reach from `samples_before` the trigger to `samples_after` it.
        """
        old, young = trigger - MAX_AGE_S * self._rate_hz, trigger - MIN_AGE_S * self._rate_hz
        earlier = [heard for heard in self._heard if old <= heard.trigger <= young]
        passage = self._test.passage(samples) if earlier else None
        if passage is None:
            return None
        found = self._test.compare(passage, [heard.passage for heard in earlier])
        if found.likeness < MIN_LIKENESS or self._test.self_likeness(passage) > MAX_SELF_LIKENESS:
            return None
        like = earlier[found.which]
        front = trigger + found.late_samples + like.front_after
        return Recognised(
            trigger + round(found.late_samples), front, math.hypot(found.sigma_samples, like.sigma_samples)
        )

    def remember(self, samples: NDArray[np.float32], trigger: int, front: float, sigma_samples: float) -> None:
        """Keep the sound around a trigger, as in `recognise`, whose front was measured."""
        if self._heard and trigger - self._heard[-1].trigger < LENGTH_S * self._rate_hz:
            return  # it is part of the passage before, and would make a round look like its own first echo
        passage = self._test.passage(samples)
        if passage is not None:
            self._heard.append(_Heard(trigger, passage, front - trigger, sigma_samples))
