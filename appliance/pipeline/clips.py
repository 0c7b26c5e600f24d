"""The one way in which sound leaves the ears: short clips around their own picks, few of them, and only when asked.

The latest sound is held in memory, 16 bit, and nowhere else. What goes out is counted here, so that no other process
can have more of it, whatever it asks.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.model.audio import AudioBlock
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.model.picks import Pick, PickId

KEPT_S: Final = 20.0
"""An incident is found within some seconds of its first shot; after this the sound is gone."""
MAX_KEPT_S: Final = 60.0
"""The promise to the neighbours: never more than this, whatever the settings say."""
AROUND_S: Final = 1.0
"""Sound on either side of a pick: the blast, its echoes, and the quiet before it."""
ALLOWANCE_S: Final = 60.0
ALLOWANCE_WINDOW_S: Final = 3_600.0
"""At most 60 s of clips leave the ears in any hour: thirty lone shots, or some strings of them."""
MAX_WAITING: Final = 8
"""Requests that wait for the second after a pick; mesh asks once for each incident."""
FULL_SCALE: Final = 32_768.0


@dataclass(frozen=True, slots=True)
class Clip:
    """Sound around picks that lie close together: int16, shape (n, channels); `pick` is the first of them."""

    request: int
    pick: PickId
    first_ns: UtcNs
    clock_sigma_ns: int
    rate_hz: float
    samples: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no sound of `pick`."""

    request: int
    pick: PickId
    reason: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """One block as it is held, int16, shape (n, channels)."""

    samples: NDArray[np.int16]
    first_sample: int
    rate_hz: float
    start_ns: UtcNs
    sigma_ns: int

    @property
    def end_sample(self) -> int:
        return self.first_sample + len(self.samples)

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz


@dataclass(slots=True)
class _Stretch:
    """Samples first..end-1 around `picks`."""

    first: int
    end: int
    picks: list[PickId]


@dataclass(frozen=True, slots=True)
class _Request:
    number: int
    picks: tuple[PickId, ...]
    ready_sample: int


class ClipKeeper:
    """Holds the latest sound and gives clips of it. Times `now_s` are monotonic. Used from one thread."""

    def __init__(self, kept_s: float = KEPT_S) -> None:
        """Hold `kept_s` of sound. Raises ValueError above `MAX_KEPT_S`."""
        if not 2 * AROUND_S <= kept_s <= MAX_KEPT_S:
            raise ValueError(f"{kept_s} s of sound; {2 * AROUND_S:g} to {MAX_KEPT_S:g} s can be held")
        self._kept_s = kept_s
        self._held_s = 0.0
        self._pieces: deque[_Piece] = deque()
        self._picks: dict[PickId, int] = {}
        self._given: deque[tuple[float, float]] = deque()
        self._waiting: deque[_Request] = deque()
        self._turned_away: list[Refusal] = []

    @property
    def held_s(self) -> float:
        """How much sound is held now."""
        return self._held_s

    def hear(self, block: AudioBlock, picks: Iterable[Pick]) -> None:
        """Add a block, and the picks that were made of the sound so far; let go of what is too old."""
        if self._pieces and block.first_sample < self._pieces[-1].end_sample:
            self.forget()  # another stream has begun to count
        scaled = np.clip(np.rint(block.samples.T * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1.0)
        piece = _Piece(
            np.nan_to_num(scaled).astype(np.int16),
            block.first_sample,
            block.sample_rate_hz,
            block.start_ns,
            block.sigma_ns,
        )
        self._pieces.append(piece)
        self._held_s += piece.duration_s
        while self._held_s > self._kept_s:
            self._held_s -= self._pieces.popleft().duration_s
        for pick in picks:
            sample = self._sample_at(pick.time_ns)
            if sample is not None:
                self._picks[pick.id] = sample
        first = self._pieces[0].first_sample if self._pieces else 0
        self._picks = {pick: sample for pick, sample in self._picks.items() if sample >= first}

    def latest(self, duration_s: float) -> NDArray[np.float32]:
        """The latest sound, full scale +-1, shape (channels, n): so long, or as long as there is any."""
        if not self._pieces:
            return np.empty((0, 0), np.float32)
        n_wanted = round(duration_s * self._pieces[-1].rate_hz)
        pieces: list[NDArray[np.int16]] = []
        for piece in reversed(self._pieces):
            if sum(map(len, pieces)) >= n_wanted:
                break
            pieces.append(piece.samples)
        latest = np.concatenate(pieces[::-1])[-n_wanted:]
        return latest.T.astype(np.float32) / np.float32(FULL_SCALE)

    def forget(self) -> None:
        """Let go of all sound."""
        self._pieces.clear()
        self._picks.clear()
        self._held_s = 0.0

    def ask(self, request: int, picks: Sequence[PickId]) -> None:
        """Note a request; `answers` brings what comes of it."""
        if len(self._waiting) >= MAX_WAITING:
            reason = f"{MAX_WAITING} requests wait already"
            self._turned_away += [Refusal(request, pick, reason) for pick in dict.fromkeys(picks)]
            return
        known = [self._picks[pick] for pick in picks if pick in self._picks]
        rate_hz = self._pieces[-1].rate_hz if self._pieces else 0.0
        ready = max(known, default=0) + round(AROUND_S * rate_hz)
        self._waiting.append(_Request(request, tuple(dict.fromkeys(picks)), ready))

    def answers(self, now_s: float) -> list[Clip | Refusal]:
        """What can be answered now: all that comes of one request together."""
        answers: list[Clip | Refusal] = [*self._turned_away]
        self._turned_away = []
        while self._waiting and self._is_ready(self._waiting[0]):
            answers += self._answer(self._waiting.popleft(), now_s)
        return answers

    def _is_ready(self, request: _Request) -> bool:
        """Whether the second after the last pick has been heard, or none of it will be."""
        is_held = any(pick in self._picks for pick in request.picks)
        return not is_held or self._pieces[-1].end_sample >= request.ready_sample

    def _answer(self, request: _Request, now_s: float) -> list[Clip | Refusal]:
        answers: list[Clip | Refusal] = [
            Refusal(request.number, pick, "not a pick of these ears within the sound that they still have")
            for pick in request.picks
            if pick not in self._picks
        ]
        for stretch in self._stretches([pick for pick in request.picks if pick in self._picks]):
            clip = self._cut(request.number, stretch)
            duration_s = len(clip.samples) / clip.rate_hz
            if self._left_s(now_s) >= duration_s:
                self._given.append((now_s, duration_s))
                answers.append(clip)
                continue
            reason = f"the last hour's {ALLOWANCE_S:g} s of clips are used up"
            answers += [Refusal(request.number, pick, reason) for pick in stretch.picks]
        return answers

    def _left_s(self, now_s: float) -> float:
        while self._given and self._given[0][0] <= now_s - ALLOWANCE_WINDOW_S:
            self._given.popleft()
        return ALLOWANCE_S - sum(duration_s for _, duration_s in self._given)

    def _stretches(self, picks: Sequence[PickId]) -> list[_Stretch]:
        """The surroundings of picks, those that touch joined, within sound without a gap."""
        stretches: list[_Stretch] = []
        for pick in sorted(picks, key=self._picks.__getitem__):
            sample = self._picks[pick]
            whole_first, whole_end, rate_hz = self._whole_around(sample)
            around = round(AROUND_S * rate_hz)
            first, end = max(whole_first, sample - around), min(whole_end, sample + around)
            if stretches and first <= stretches[-1].end:
                stretches[-1].end = end
                stretches[-1].picks.append(pick)
                continue
            stretches.append(_Stretch(first, end, [pick]))
        return stretches

    def _whole_around(self, sample: int) -> tuple[int, int, float]:
        """First sample, end and rate of the sound without a gap that `sample` lies in."""
        first, end, rate_hz = sample, sample, self._pieces[-1].rate_hz
        is_found = False
        for piece in self._pieces:
            if piece.first_sample != end or (piece is self._pieces[0]):
                if is_found:
                    break
                first = piece.first_sample
            end = piece.end_sample
            if piece.first_sample <= sample < piece.end_sample:
                is_found, rate_hz = True, piece.rate_hz
        return first, end, rate_hz

    def _cut(self, request: int, stretch: _Stretch) -> Clip:
        pieces = [p for p in self._pieces if p.first_sample < stretch.end and p.end_sample > stretch.first]
        first_sample = max(stretch.first, pieces[0].first_sample)
        start = first_sample - pieces[0].first_sample
        samples = np.concatenate([p.samples for p in pieces])[start : start + stretch.end - first_sample]
        return Clip(
            request=request,
            pick=stretch.picks[0],
            first_ns=UtcNs(pieces[0].start_ns + round(start * NS_PER_S / pieces[0].rate_hz)),
            clock_sigma_ns=pieces[0].sigma_ns,
            rate_hz=pieces[0].rate_hz,
            samples=samples,
        )

    def _sample_at(self, time_ns: int) -> int | None:
        """The sample that was taken at `time_ns`; None where no sound of that time is held."""
        for piece in reversed(self._pieces):
            offset = round((time_ns - piece.start_ns) * piece.rate_hz / NS_PER_S)
            if 0 <= offset < len(piece.samples):
                return piece.first_sample + offset
        return None
