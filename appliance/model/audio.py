"""Sound as it arrives from a device."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.model.instants import UtcNs

MIN_SAMPLE_RATE_HZ = 8_000
MAX_SAMPLE_RATE_HZ = 96_000
MAX_CHANNELS = 16


@dataclass(frozen=True, slots=True)
class ArrayGeometry:
    """Microphone positions in the array's own frame (x right, y forward, z up), metres, shape (channels, 3)."""

    microphones_m: tuple[tuple[float, float, float], ...]

    def __post_init__(self) -> None:
        """Refuse an array without microphones or with more than `MAX_CHANNELS`."""
        if not 1 <= len(self.microphones_m) <= MAX_CHANNELS:
            raise ValueError(f"{len(self.microphones_m)} microphones; an array has 1 to {MAX_CHANNELS}")

    @property
    def n_channels(self) -> int:
        """How many channels a block of this array has."""
        return len(self.microphones_m)


@dataclass(frozen=True, slots=True, eq=False)
class AudioBlock:
    """Consecutive samples of all channels of one array.

    samples:        float32, shape (channels, n), full scale +-1.0; owned by the block, never written again
    first_sample:   index of samples[:, 0] since the stream began; a jump means that samples were lost
    sample_rate_hz: true rate, corrected for what is known of the converter's error
    start_ns:       UTC of samples[:, 0]
    sigma_ns:       1-sigma error of start_ns
    """

    samples: NDArray[np.float32]
    first_sample: int
    sample_rate_hz: float
    start_ns: UtcNs
    sigma_ns: int

    @property
    def n_samples(self) -> int:
        """Samples per channel."""
        return int(self.samples.shape[1])
