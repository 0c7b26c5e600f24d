"""The latest sound of an array, and the UTC of each of its samples."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from appliance.model.audio import AudioBlock
from appliance.model.instants import NS_PER_S, UtcNs

ALL = slice(None)


class History:
    """A bounded stretch of sound, addressed by the index of its samples since the stream began.

    It holds the blocks themselves and copies only what is asked for, which is seldom.
    """

    def __init__(self, n_channels: int, n_kept: int, first_sample: int) -> None:
        """Keep at least the last `n_kept` samples of a stream that begins at `first_sample`."""
        self._n_channels = n_channels
        self._n_kept = n_kept
        self._blocks: deque[AudioBlock] = deque()
        self._end_sample = first_sample

    @property
    def first_sample(self) -> int:
        """Index of the oldest sample held."""
        return self._blocks[0].first_sample if self._blocks else self._end_sample

    @property
    def end_sample(self) -> int:
        """Index after the newest sample."""
        return self._end_sample

    def append(self, block: AudioBlock) -> None:
        """Add a block that follows on what is held, and let go of what is too old."""
        if block.n_samples == 0:
            return
        self._blocks.append(block)
        self._end_sample = block.first_sample + block.n_samples
        while self._end_sample - self._blocks[0].first_sample - self._blocks[0].n_samples >= self._n_kept:
            self._blocks.popleft()

    def window(self, first: int, end: int, channels: slice = ALL) -> NDArray[np.float32]:
        """Samples first..end-1 of these channels, (channels, n), as far as they are held."""
        parts = [
            block.samples[channels, max(0, first - block.first_sample) : end - block.first_sample]
            for block in self._blocks
            if block.first_sample < end and block.first_sample + block.n_samples > first
        ]
        n_channels = len(range(self._n_channels)[channels])
        return np.concatenate(parts, axis=1) if parts else np.empty((n_channels, 0), np.float32)

    def of_channel(self, channel: int, first: int, end: int) -> NDArray[np.float32]:
        """Samples first..end-1 of one channel, (n,), as far as they are held; the others are not copied."""
        row: NDArray[np.float32] = self.window(first, end, slice(channel, channel + 1))[0]
        return row

    def utc(self, sample: float) -> tuple[UtcNs, int]:
        """UTC and its 1-sigma, nanoseconds, of a (fractional) sample index, by the block that it lies in.

        Raises IndexError where nothing was appended yet.
        """
        block = self._blocks[0]
        for candidate in self._blocks:
            if candidate.first_sample > sample:
                break
            block = candidate
        offset_ns = (sample - block.first_sample) * NS_PER_S / block.sample_rate_hz
        return UtcNs(block.start_ns + round(offset_ns)), block.sigma_ns
