"""From blocks of sound to picks: the state machine that listens.

Two stages. The always-on part turns each millisecond into one energy in the band of a distant blast and compares it
with a threshold above an order-statistic noise floor. Only where that trips does the second part look at the samples:
onset rules, first arrival, level, bearing, class.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from appliance.dsp.arrival import first_arrival
from appliance.dsp.band_energy import BandEnergyMeter
from appliance.dsp.levels import ChannelLevels, channel_levels, dbfs, is_clipped
from appliance.dsp.noise_floor import NoiseFloor
from appliance.dsp.onsets import Onset, OnsetRules, find_onsets
from appliance.model.audio import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ, ArrayGeometry, AudioBlock
from appliance.model.classes import Classifier, ClassProbabilities
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.model.picks import Pick, Rejection, pick_id
from appliance.pipeline.history import History

PIECE_S = 0.1
"""Blocks are worked off in pieces no longer than this, so that a long block needs no more memory than a short one."""
RATE_TOLERANCE = 0.01
"""A sample rate may wander by this share (corrections are below 0.1 %); more is another stream."""
ARRIVAL_BEFORE_S = 0.06
ARRIVAL_AFTER_S = 0.008
LEVEL_S = 0.010
"""A blast has its peak within this time of its front."""


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """What can be tuned, with the reason for each default.

    false_alarm_probability: per cell of 1 ms; 1e-7 is 0.4 an hour where the noise is steady
    floor_s:            seconds of noise that the floor rests on: enough for its 90 % quantile, few enough for a gust
    freeze_s:           the floor learns nothing for so long after an onset, or rapid fire would raise its own threshold
    max_freeze_s:       but never longer than this in all, or rain that begins would trip for ever
    history_s:          what prominence is measured against
    min_history_s:      an onset earlier in the stream than this is not an onset
    min_prominence_db:  the least that a direct sound stood out by in the live-fire recordings is about 5 dB
    min_rise_db:        an onset rises within milliseconds; a voice or an engine does not
    merge_s:            triggers closer than this are one front that is still rising
    max_picks_per_s:    1,200 rounds a minute are 20; the rest is echoes, and the most prominent stay
    """

    false_alarm_probability: float = 1e-7
    floor_s: float = 3.0
    freeze_s: float = 5.0
    max_freeze_s: float = 20.0
    history_s: float = 0.3
    min_history_s: float = 0.04
    min_prominence_db: float = 4.0
    min_rise_db: float = 3.0
    merge_s: float = 0.006
    max_picks_per_s: int = 24


@dataclass(frozen=True, slots=True)
class DetectorOutput:
    """What one block brought: picks whose window is complete, onsets that became none, and the block's levels."""

    picks: tuple[Pick, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    levels: tuple[ChannelLevels, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An onset with its first arrival, until the sound that the classifier wants is there."""

    onset: Onset
    sample: float
    sigma_ns: int
    channel: int


@dataclass(slots=True)
class _Stream:
    """Everything that begins anew after a gap."""

    rate_hz: float
    first_sample: int
    meter: BandEnergyMeter
    history: History
    floor: NoiseFloor
    rules: OnsetRules
    cells: NDArray[np.float64]
    first_cell: int = 0
    next_cell: int = 0
    threshold: float = 0.0
    last_onset_cell: int | None = None
    freeze_began_cell: int = 0
    candidates: deque[_Candidate] = field(default_factory=deque)
    emitted: deque[_Candidate] = field(default_factory=deque)


FRAME_CELLS = 20
"""The gate works on frames of this many cells, counted from the start of the stream, so that blocks don't matter."""
LOOKAHEAD_CELLS = 10
"""Cells that must have come after a frame: the peak of an onset at its end lies within them."""
GUARD_CELLS = 20
"""Cells before a frame that the floor does not learn yet: they may belong to an onset that is just beginning."""
THRESHOLD_CELLS = 100
"""The threshold is worked out anew every so many cells."""
RANK_S = 0.5
"""Half the second over which picks are counted; also what a pick waits at least."""


class Detector:
    """Hears one array. Feed it blocks in order; picks come out once the sound after them is complete."""

    def __init__(  # noqa: PLR0913 - one name per thing that a node is told about its ears
        self,
        node: str,
        geometry: ArrayGeometry,
        *,
        heading_deg: float = 0.0,
        heading_sigma_deg: float = 0.0,
        sensitivity_dbspl: float | None = None,
        classifier: Classifier | None = None,
        settings: DetectorSettings | None = None,
    ) -> None:
        """Hear for `node`.

        heading_deg, heading_sigma_deg: bearing of the array's +y axis and its error, which every bearing then carries
        sensitivity_dbspl: peak sound pressure level of a sample at full scale; None: picks carry no sound pressure
        classifier: None: picks carry no classes
        """
        self._node = node
        self._geometry = geometry
        self._heading_deg = heading_deg
        self._heading_sigma_deg = heading_sigma_deg
        self._sensitivity_dbspl = sensitivity_dbspl
        self._classifier = classifier
        self._settings = settings if settings is not None else DetectorSettings()
        self._stream: _Stream | None = None
        self._counts: Counter[str] = Counter()
        window_s = classifier.window_after_s if classifier is not None else 0.0
        self._wait_s = max(RANK_S, window_s, ARRIVAL_AFTER_S)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many onsets became no pick, by "stage/reason"."""
        return MappingProxyType(self._counts)

    def feed(self, block: AudioBlock) -> DetectorOutput:
        """Take in a block of any length.

        Raises ValueError where it does not fit the geometry or its sample rate is outside 8..96 kHz.
        """
        self._check(block)
        picks: list[Pick] = []
        rejections: list[Rejection] = []
        if self._stream is not None and not _follows(self._stream, block):
            self._advance(self._stream, picks, rejections, at_end=True)
            self._stream = None
        if self._stream is None:
            self._stream = self._new_stream(block)
        for piece in _pieces(block):
            self._stream.history.append(piece)
            energies = self._stream.meter.feed(piece.samples).mean(axis=0)
            self._stream.cells = np.concatenate([self._stream.cells, energies])
            self._advance(self._stream, picks, rejections, at_end=False)
        return DetectorOutput(tuple(picks), tuple(rejections), channel_levels(block.samples))

    def flush(self) -> DetectorOutput:
        """Bring out what is still waiting; the next block begins a new stream."""
        picks: list[Pick] = []
        rejections: list[Rejection] = []
        if self._stream is not None:
            self._advance(self._stream, picks, rejections, at_end=True)
        self._stream = None
        return DetectorOutput(tuple(picks), tuple(rejections))

    def _check(self, block: AudioBlock) -> None:
        if block.samples.ndim != 2 or block.samples.shape[0] != self._geometry.n_channels:
            raise ValueError(
                f"block of shape {block.samples.shape}; the geometry has {self._geometry.n_channels} channels"
            )
        if not MIN_SAMPLE_RATE_HZ * 0.99 <= block.sample_rate_hz <= MAX_SAMPLE_RATE_HZ * 1.01:
            raise ValueError(f"sample rate {block.sample_rate_hz} Hz is outside 8..96 kHz")

    def _new_stream(self, block: AudioBlock) -> _Stream:
        settings, rate_hz = self._settings, block.sample_rate_hz
        meter = BandEnergyMeter(self._geometry.n_channels, rate_hz)
        grid = meter.grid
        before_s = self._classifier.window_before_s if self._classifier is not None else 0.0
        kept_s = max(before_s, ARRIVAL_BEFORE_S) + self._wait_s + 0.5
        return _Stream(
            rate_hz=rate_hz,
            first_sample=block.first_sample,
            meter=meter,
            history=History(self._geometry.n_channels, round(kept_s * rate_hz), block.first_sample),
            floor=NoiseFloor(grid.cells(settings.floor_s), settings.false_alarm_probability),
            rules=OnsetRules(
                history=grid.cells(settings.history_s),
                min_history=grid.cells(settings.min_history_s),
                peak=5,
                before=10,
                guard=2,
                min_rise_db=settings.min_rise_db,
                min_prominence_db=settings.min_prominence_db,
            ),
            cells=np.empty(0),
        )

    def _advance(self, stream: _Stream, picks: list[Pick], rejections: list[Rejection], *, at_end: bool) -> None:
        """Work off the frames that are complete and bring out the picks that are."""
        end_cell = stream.first_cell + stream.cells.size - 1
        reserve = 0 if at_end else LOOKAHEAD_CELLS
        while stream.next_cell + FRAME_CELLS + reserve <= end_cell:
            self._frame(stream, stream.next_cell + FRAME_CELLS, rejections)
        if at_end and stream.next_cell < end_cell:
            self._frame(stream, end_cell, rejections)
        heard_to = stream.first_sample + stream.next_cell * stream.meter.grid.samples_per_cell
        wait = self._wait_s * stream.rate_hz
        while stream.candidates and (at_end or stream.candidates[0].sample + wait <= heard_to):
            self._emit(stream, stream.candidates.popleft(), picks, rejections)

    def _frame(self, stream: _Stream, end: int, rejections: list[Rejection]) -> None:
        """Look at cells next_cell..end-1, then let the floor learn."""
        first = stream.next_cell - stream.first_cell
        last = end - stream.first_cell
        two_cell = 0.5 * (stream.cells[:-1] + stream.cells[1:])
        frozen = self._is_frozen(stream)
        if stream.next_cell % THRESHOLD_CELLS == 0 and not frozen:
            stream.threshold = stream.floor.threshold()
        if stream.floor.n_cells >= stream.rules.min_history and two_cell[first:last].max() > stream.threshold:
            for onset in find_onsets(two_cell, first, last, stream.threshold, stream.rules):
                self._onset(stream, onset, rejections)
        if not self._is_frozen(stream):
            stream.floor.learn(two_cell[max(0, first - GUARD_CELLS) : max(0, last - GUARD_CELLS)])
        stream.next_cell = end
        surplus = (end - stream.first_cell) - (stream.rules.history + stream.rules.guard + FRAME_CELLS + GUARD_CELLS)
        if surplus > 0:
            stream.cells = stream.cells[surplus:]
            stream.first_cell += surplus

    def _is_frozen(self, stream: _Stream) -> bool:
        if stream.last_onset_cell is None:
            return False
        grid = stream.meter.grid
        if stream.next_cell - stream.last_onset_cell > grid.cells(self._settings.freeze_s):
            stream.last_onset_cell = None
            return False
        return stream.next_cell - stream.freeze_began_cell <= grid.cells(self._settings.max_freeze_s)

    def _onset(self, stream: _Stream, onset: Onset, rejections: list[Rejection]) -> None:
        """Give an onset its first arrival and let it wait, or say why not."""
        grid = stream.meter.grid
        cell = onset.cell + stream.first_cell
        trigger = stream.first_sample + cell * grid.samples_per_cell
        previous = stream.candidates[-1] if stream.candidates else None
        if previous is not None and trigger - previous.sample < self._settings.merge_s * stream.rate_hz:
            return
        if not onset.is_accepted:
            self._reject(
                stream,
                trigger,
                "onset",
                f"prominence below {self._settings.min_prominence_db:.1f} dB",
                rejections,
            )
            return
        first = max(stream.history.first_sample, trigger - round(ARRIVAL_BEFORE_S * stream.rate_hz))
        window = stream.history.window(first, trigger + round(ARRIVAL_AFTER_S * stream.rate_hz))
        channel = int(np.argmax(np.abs(window - window.mean(axis=1, keepdims=True)).max(axis=1)))
        arrival = first_arrival(window[channel].astype(np.float64), stream.rate_hz, trigger - first)
        sample = first + arrival.sample
        if previous is not None and sample - previous.sample < self._settings.merge_s / 2 * stream.rate_hz:
            return
        sigma_ns = round(arrival.sigma_samples / stream.rate_hz * NS_PER_S)
        stream.candidates.append(_Candidate(onset, sample, sigma_ns, channel))
        if stream.last_onset_cell is None:
            stream.freeze_began_cell = cell
        stream.last_onset_cell = cell

    def _reject(self, stream: _Stream, sample: float, stage: str, reason: str, rejections: list[Rejection]) -> None:
        self._counts[f"{stage}/{reason}"] += 1
        rejections.append(Rejection(self._node, stream.history.utc(sample)[0], stage, reason))

    def _emit(self, stream: _Stream, candidate: _Candidate, picks: list[Pick], rejections: list[Rejection]) -> None:
        """Make a pick of a candidate whose window is complete, unless the second around it is full of better ones."""
        reach = RANK_S * stream.rate_hz
        while stream.emitted and stream.emitted[0].sample < candidate.sample - reach:
            stream.emitted.popleft()
        better = sum(
            other.onset.prominence_db > candidate.onset.prominence_db
            for other in (*stream.emitted, *stream.candidates)
            if abs(other.sample - candidate.sample) <= reach
        )
        stream.emitted.append(candidate)
        if better >= self._settings.max_picks_per_s:
            reason = f"more than {self._settings.max_picks_per_s} onsets within a second stand out further"
            self._reject(stream, candidate.sample, "rate", reason, rejections)
            return
        picks.append(self._pick(stream, candidate))

    def _pick(self, stream: _Stream, candidate: _Candidate) -> Pick:
        time_ns, clock_sigma_ns = stream.history.utc(candidate.sample)
        front = int(candidate.sample)
        loud = stream.history.window(front, front + round(LEVEL_S * stream.rate_hz))[candidate.channel]
        peak_dbfs = dbfs(float(np.max(np.abs(loud), initial=0.0)))
        classes = self._classify(stream, candidate)
        sensitivity = self._sensitivity_dbspl
        return Pick(
            id=pick_id(time_ns, self._node),
            node=self._node,
            time_ns=UtcNs(time_ns),
            sigma_ns=candidate.sigma_ns,
            clock_sigma_ns=clock_sigma_ns,
            snr_db=candidate.onset.prominence_db,
            level_db_spl=None if sensitivity is None else peak_dbfs + sensitivity,
            peak_dbfs=peak_dbfs,
            clipped=is_clipped(loud),
            classes=classes,
            gunshot_probability=None if classes is None else classes.gunshot,
        )

    def _classify(self, stream: _Stream, candidate: _Candidate) -> ClassProbabilities | None:
        if self._classifier is None:
            return None
        front = round(candidate.sample)
        first = max(stream.history.first_sample, front - round(self._classifier.window_before_s * stream.rate_hz))
        end = front + round(self._classifier.window_after_s * stream.rate_hz)
        window = stream.history.window(first, end)[candidate.channel].copy()
        return self._classifier.classify(window, stream.rate_hz, front - first)


def _follows(stream: _Stream, block: AudioBlock) -> bool:
    """Whether a block goes on where the stream ended."""
    same_rate = abs(block.sample_rate_hz / stream.rate_hz - 1.0) <= RATE_TOLERANCE
    return same_rate and block.first_sample == stream.history.end_sample


def _pieces(block: AudioBlock) -> Iterator[AudioBlock]:
    """The block itself, or the pieces of a long one."""
    length = round(PIECE_S * block.sample_rate_hz)
    for start in range(0, block.n_samples, length):
        yield AudioBlock(
            samples=block.samples[:, start : start + length],
            first_sample=block.first_sample + start,
            sample_rate_hz=block.sample_rate_hz,
            start_ns=UtcNs(block.start_ns + round(start * NS_PER_S / block.sample_rate_hz)),
            sigma_ns=block.sigma_ns,
        )
