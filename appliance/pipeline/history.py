"""The latest sound of an array, and the UTC of each of its samples."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.model.audio import AudioBlock
from appliance.model.instants import NS_PER_S, UtcNs


@dataclass(frozen=True, slots=True)
class Anchor:
    """The time of one sample, as a block brought it."""

    first_sample: int
    start_ns: int
    sample_rate_hz: float
    sigma_ns: int


class History:
    """A bounded stretch of samples, addressed by their index since the stream began."""

    def __init__(self, n_channels: int, n_kept: int, first_sample: int) -> None:
        """Keep the last `n_kept` samples of a stream that begins at `first_sample`."""
        self._kept = n_kept
        self._buffer = np.zeros((n_channels, 2 * n_kept), np.float32)
        self._filled = 0
        self._buffer_first = first_sample
        self._anchors: deque[Anchor] = deque()

    @property
    def first_sample(self) -> int:
        """Index of the oldest sample held."""
        return self._buffer_first

    @property
    def end_sample(self) -> int:
        """Index after the newest sample."""
        return self._buffer_first + self._filled

    def append(self, block: AudioBlock) -> None:
        """Add a block that follows on what is held."""
        self._anchors.append(Anchor(block.first_sample, block.start_ns, block.sample_rate_hz, block.sigma_ns))
        samples = block.samples
        n = samples.shape[1]
        if self._filled + n > self._buffer.shape[1]:
            self._make_room(n)
        self._buffer[:, self._filled : self._filled + n] = samples
        self._filled += n
        while len(self._anchors) > 1 and self._anchors[1].first_sample <= self._buffer_first:
            self._anchors.popleft()

    def window(self, first: int, end: int) -> NDArray[np.float32]:
        """Samples first..end-1 of all channels, as far as they are held: a view, valid until the next `append`."""
        start = max(0, first - self._buffer_first)
        return self._buffer[:, start : max(start, min(self._filled, end - self._buffer_first))]

    def utc(self, sample: float) -> tuple[UtcNs, int]:
        """UTC and its 1-sigma, nanoseconds, of a (fractional) sample index."""
        anchor = self._anchors[0]
        for candidate in self._anchors:
            if candidate.first_sample > sample:
                break
            anchor = candidate
        offset_ns = (sample - anchor.first_sample) * NS_PER_S / anchor.sample_rate_hz
        return UtcNs(anchor.start_ns + round(offset_ns)), anchor.sigma_ns

    def _make_room(self, n_new: int) -> None:
        keep = min(self._kept, self._filled)
        if keep + n_new > self._buffer.shape[1]:
            grown = np.zeros((self._buffer.shape[0], 2 * (keep + n_new)), np.float32)
            grown[:, :keep] = self._buffer[:, self._filled - keep : self._filled]
            self._buffer = grown
        else:
            self._buffer[:, :keep] = self._buffer[:, self._filled - keep : self._filled].copy()
        self._buffer_first += self._filled - keep
        self._filled = keep
