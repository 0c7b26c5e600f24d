"""Which channels of an array are dead, inverted or swapped: votes of moments of ordinary sound, some a minute."""

import enum
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.dsp.channels import ChannelReading, ChannelTest
from appliance.model.audio import ArrayGeometry, AudioBlock

INTERVAL_S = 10.0
"""Between moments: one costs some milliseconds."""
N_VOTES = 9
"""Moments that are remembered, each kind of vote for itself: a minute and a half where all of them say something."""
MIN_VOTES = 5
"""A fault is named when most moments of this many or more show it."""
RATE_TOLERANCE = 0.01


class ChannelFaultKind(enum.StrEnum):
    """What can be wrong with a channel."""

    DEAD = "dead"
    INVERTED = "inverted"
    SWAPPED = "swapped"


@dataclass(frozen=True, slots=True)
class ChannelFault:
    """A fault and the channels that have it, counted from 0: two where they are swapped, else one."""

    kind: ChannelFaultKind
    channels: tuple[int, ...]


class ChannelWatch:
    """Watches the channels of one array. Feed it every block."""

    def __init__(self, geometry: ArrayGeometry) -> None:
        """Start without an opinion."""
        self._microphones_m = np.array(geometry.microphones_m, np.float64)
        self._test: ChannelTest | None = None
        self._rate_hz = 0.0
        self._due_sample: float | None = None
        self._pieces: list[NDArray[np.float32]] = []
        self._next_sample = 0
        self._dead: deque[tuple[int, ...]] = deque(maxlen=N_VOTES)
        self._inverted: deque[tuple[int, ...]] = deque(maxlen=N_VOTES)
        self._swapped: deque[tuple[int, ...]] = deque(maxlen=N_VOTES)

    def feed(self, block: AudioBlock) -> None:
        """Take in a block of the array's channels; most are only looked at for their time."""
        if self._test is None or abs(block.sample_rate_hz / self._rate_hz - 1.0) > RATE_TOLERANCE:
            self._rate_hz = block.sample_rate_hz
            self._test = ChannelTest(self._microphones_m, block.sample_rate_hz)
            self._due_sample = None
        if self._due_sample is None or block.first_sample < self._next_sample:
            self._due_sample, self._pieces = block.first_sample, []
        if self._pieces and block.first_sample != self._next_sample:
            self._pieces = []
        self._next_sample = block.first_sample + block.n_samples
        if self._next_sample <= self._due_sample:
            return
        self._pieces.append(block.samples)
        if sum(piece.shape[1] for piece in self._pieces) >= self._test.n_samples:
            moment = np.concatenate(self._pieces, axis=1)[:, : self._test.n_samples]
            self._vote(self._test.read(moment))
            self._pieces = []
            self._due_sample = self._next_sample + INTERVAL_S * self._rate_hz

    def _vote(self, reading: ChannelReading) -> None:
        self._dead.append(reading.dead)
        if reading.inverted is not None:
            self._inverted.append(reading.inverted)
        if reading.swapped is not None:
            self._swapped.append(reading.swapped)

    @property
    def has_opinion(self) -> bool:
        """Whether enough moments were heard to speak of any fault."""
        return len(self._dead) >= MIN_VOTES

    @property
    def faults(self) -> tuple[ChannelFault, ...]:
        """What most moments show, dead channels first."""
        dead = [ChannelFault(ChannelFaultKind.DEAD, (channel,)) for channel in _most(self._dead)]
        inverted = [ChannelFault(ChannelFaultKind.INVERTED, (channel,)) for channel in _most(self._inverted)]
        pairs, n = Counter(pair for pair in self._swapped if pair), len(self._swapped)
        swapped = [
            ChannelFault(ChannelFaultKind.SWAPPED, pair)
            for pair, count in sorted(pairs.items())
            if n >= MIN_VOTES and 2 * count > n
        ]
        return (*dead, *inverted, *swapped)


def _most(votes: deque[tuple[int, ...]]) -> list[int]:
    """Channels that more than half of enough votes name."""
    counts = Counter(channel for vote in votes for channel in vote)
    return [c for c, count in sorted(counts.items()) if len(votes) >= MIN_VOTES and 2 * count > len(votes)]
