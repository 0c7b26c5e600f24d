"""From blocks of sound to picks: the state machine that listens.

Two stages. The always-on part (`gate`) turns each millisecond into one energy in the band of a distant blast and
compares it with a threshold above an order-statistic noise floor. Only where that trips does the second part look at
the samples: first arrival, bearing, level, class. An onset that hardly rises from the tail of the one before is taken
further only where its waveform repeats an earlier one's: rounds of a burst do, echoes don't (`rounds`).
"""

import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from appliance.dsp.bearing import Bearing, BearingScan, NoBearing
from appliance.dsp.levels import ChannelLevels, channel_levels, dbfs, is_clipped, is_dropout
from appliance.dsp.onsets import Onset
from appliance.dsp.phase import PhaseTest
from appliance.dsp.wavefront import AFTER_S, BEFORE_S, Wavefront, measure_wavefront
from appliance.model.audio import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ, ArrayGeometry, AudioBlock
from appliance.model.classes import Classifier, ClassProbabilities
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.model.picks import Phase, Pick, Rejection, pick_id
from appliance.pipeline.gate import Gate, GateSettings
from appliance.pipeline.history import History
from appliance.pipeline.rounds import Recognised, RoundMemory

PIECE_S = 0.1
"""Blocks are worked off in pieces no longer than this, so that a long block needs no more memory than a short one."""
RATE_TOLERANCE = 0.01
"""A sample rate may wander by this share (corrections are below 0.1 %); more is another stream."""
MAX_PEAK_DBFS = 18.0
"""Files of floats may go somewhat beyond full scale; more is damage, and would drown the floor."""
LEVEL_S = 0.010
"""A blast has its peak within this time of its front."""
SURE = 0.99
"""A pick is called a shock wave or a blast from this probability on; a wrong name costs a place, none costs little."""
RANK_S = 0.5
"""Half the second over which picks are counted, so also what a pick waits at least."""
REPEAT_S = 0.05
"""The sound that tells whether an onset repeats another, and the way there, is over after this time."""
SPARE_S = 0.5
"""Sound kept beyond what is wanted, for blocks and frames that are on their way."""


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """What can be tuned, with the reason for each default.

    gate:            the onset detector's own
    max_picks_per_s: 1,200 rounds a minute are 20; the rest is echoes, and the most prominent stay
    max_rejections_per_s: more are counted but not listed: a hailstorm must not flood the log
    """

    gate: GateSettings = field(default_factory=GateSettings)
    max_picks_per_s: int = 24
    max_rejections_per_s: int = 10


@dataclass(frozen=True, slots=True)
class DetectorOutput:
    """What one block brought: picks whose window is complete, onsets that became none, and the block's levels."""

    picks: tuple[Pick, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    levels: tuple[ChannelLevels, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An onset with what was measured of it, until the sound that the classifier wants is there."""

    onset: Onset
    front: Wavefront
    sample: float
    shock_probability: float | None


@dataclass(slots=True)
class _Stream:
    """Everything that begins anew after a gap."""

    rate_hz: float
    first_sample: int
    gate: Gate
    history: History
    memory: RoundMemory
    onsets: deque[Onset] = field(default_factory=deque)
    candidates: deque[_Candidate] = field(default_factory=deque)
    judged: deque[_Candidate] = field(default_factory=deque)
    rejected_at: deque[float] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _Instruments:
    """What the second stage measures with; its tables depend on the array and the sample rate alone."""

    rate_hz: float
    scan: BearingScan
    phase_test: PhaseTest


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
        self._instruments: _Instruments | None = None
        self._counts: Counter[str] = Counter()
        self._before_s = max(BEFORE_S, classifier.window_before_s if classifier is not None else 0.0)
        self._wait_s = max(RANK_S + REPEAT_S, classifier.window_after_s if classifier is not None else 0.0)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many onsets became no pick, and picks got no bearing, by "stage/reason"."""
        return MappingProxyType(self._counts)

    def feed(self, block: AudioBlock) -> DetectorOutput:
        """Take in a block of any length.

        Raises ValueError where it does not fit the geometry or its sample rate is outside 8..96 kHz.
        """
        self._check(block)
        picks: list[Pick] = []
        rejections: list[Rejection] = []
        if self._stream is not None and not _follows(self._stream, block):
            self._finish(self._stream, picks, rejections)
            self._stream = None
        if self._stream is None:
            self._stream = self._new_stream(block)
        levels = channel_levels(block.samples)
        for piece in _pieces(self._clean(block, levels)):
            self._stream.history.append(piece)
            self._stream.onsets.extend(self._stream.gate.feed(piece.samples))
            self._measure_onsets(self._stream, rejections, at_end=False)
            self._bring_out(self._stream, picks, rejections, at_end=False)
        return DetectorOutput(tuple(picks), tuple(rejections), levels)

    def flush(self) -> DetectorOutput:
        """Bring out what is still waiting; the next block begins a new stream."""
        picks: list[Pick] = []
        rejections: list[Rejection] = []
        if self._stream is not None:
            self._finish(self._stream, picks, rejections)
        self._stream = None
        return DetectorOutput(tuple(picks), tuple(rejections))

    def _check(self, block: AudioBlock) -> None:
        if block.samples.ndim != 2 or block.samples.shape[0] != self._geometry.n_channels:
            raise ValueError(
                f"block of shape {block.samples.shape}; the geometry has {self._geometry.n_channels} channels"
            )
        if not MIN_SAMPLE_RATE_HZ * 0.99 <= block.sample_rate_hz <= MAX_SAMPLE_RATE_HZ * 1.01:
            raise ValueError(f"sample rate {block.sample_rate_hz} Hz is outside 8..96 kHz")

    def _clean(self, block: AudioBlock, levels: tuple[ChannelLevels, ...]) -> AudioBlock:
        """The block with samples that are no numbers, or far beyond full scale, put right and counted."""
        if all(level.peak_dbfs <= MAX_PEAK_DBFS for level in levels):
            return block
        self._counts["block/samples that are no numbers or far beyond full scale"] += 1
        limit = 10.0 ** (MAX_PEAK_DBFS / 20.0)
        return replace(block, samples=np.clip(np.nan_to_num(block.samples, nan=0.0), -limit, limit))

    def _new_stream(self, block: AudioBlock) -> _Stream:
        rate_hz = block.sample_rate_hz
        n_kept = round((self._before_s + self._wait_s + SPARE_S) * rate_hz)
        return _Stream(
            rate_hz=rate_hz,
            first_sample=block.first_sample,
            gate=Gate(self._geometry.n_channels, rate_hz, self._settings.gate),
            history=History(self._geometry.n_channels, n_kept, block.first_sample),
            memory=RoundMemory(rate_hz),
        )

    def _finish(self, stream: _Stream, picks: list[Pick], rejections: list[Rejection]) -> None:
        stream.onsets.extend(stream.gate.finish())
        self._measure_onsets(stream, rejections, at_end=True)
        self._bring_out(stream, picks, rejections, at_end=True)

    def _bring_out(self, stream: _Stream, picks: list[Pick], rejections: list[Rejection], *, at_end: bool) -> None:
        """Make picks of the candidates whose windows are complete."""
        heard_to = stream.first_sample + stream.gate.examined_samples
        wait = self._wait_s * stream.rate_hz
        while stream.candidates and (at_end or stream.candidates[0].sample + wait <= heard_to):
            candidate = stream.candidates.popleft()
            if self._is_outstanding(stream, candidate):
                picks.append(self._pick(stream, candidate))
                continue
            reason = f"more than {self._settings.max_picks_per_s} onsets within a second stand out further"
            self._reject(stream, candidate.sample, "rate", reason, rejections)

    def _measure_onsets(self, stream: _Stream, rejections: list[Rejection], *, at_end: bool) -> None:
        """Take up the onsets after which there is sound enough to recognise them by."""
        heard_to = math.inf if at_end else stream.history.end_sample - stream.memory.samples_after
        while stream.onsets:
            onset = stream.onsets[0]
            trigger = stream.first_sample + onset.cell * stream.gate.grid.samples_per_cell
            if trigger > heard_to:
                return
            stream.onsets.popleft()
            if onset.refusal:
                self._reject(stream, trigger, "onset", onset.refusal, rejections)
                continue
            same = stream.memory.recognise(self._passage(stream, trigger), trigger)
            if same is not None:
                # The rounds before are no noise that this one must stand out from.
                onset = replace(onset, prominence_db=max(onset.prominence_db, onset.tail_db))
            if onset.is_accepted:
                self._onset(stream, onset, trigger, None, rejections)
            elif same is not None:
                stream.gate.confirm(onset)
                self._onset(stream, onset, same.trigger, same, rejections)
            else:
                self._reject(stream, trigger, "repeat", "in the tail of an earlier onset, and like none", rejections)

    def _passage(self, stream: _Stream, trigger: int) -> NDArray[np.float32]:
        """The sound of the first channel around a trigger, as far as `RoundMemory` wants it."""
        memory = stream.memory
        return stream.history.of_channel(0, trigger - memory.samples_before, trigger + memory.samples_after)

    def _onset(
        self, stream: _Stream, onset: Onset, trigger: int, same: Recognised | None, rejections: list[Rejection]
    ) -> None:
        """Measure an onset, `same` if it is a repetition, and let it wait, or say why not."""
        first = max(stream.history.first_sample, trigger - round(BEFORE_S * stream.rate_hz))
        window = stream.history.window(first, trigger + round(AFTER_S * stream.rate_hz)).astype(np.float64)
        if stream.gate.has_floor and is_dropout(window, stream.rate_hz, trigger - first):
            self._reject(stream, trigger, "dropout", "the samples beside it stand still", rejections)
            return
        instruments = self._instruments_for(stream.rate_hz)
        front = measure_wavefront(window, stream.rate_hz, trigger - first, instruments.scan)
        if isinstance(front.bearing, NoBearing) and self._geometry.n_channels > 1:
            self._counts[f"bearing/{front.bearing.reason}"] += 1
        probability = instruments.phase_test.shock_probability(window[front.channel], front.channel_sample)
        sample, sigma_samples = first + front.sample, front.sigma_samples
        if same is not None and abs(sample - same.front) > 3.0 * math.hypot(sigma_samples, same.sigma_samples):
            sample, sigma_samples = same.front, same.sigma_samples
            front = replace(front, sample=sample - first, sigma_samples=sigma_samples)
        candidate = _Candidate(onset, front, sample, probability)
        previous = stream.candidates[-1].sample if stream.candidates else -math.inf
        if candidate.sample - previous < self._settings.gate.merge_s / 2 * stream.rate_hz:
            self._reject(stream, candidate.sample, "arrival", "the same front as the onset before", rejections)
            return
        stream.candidates.append(candidate)
        if onset.prominence_db >= self._settings.gate.burst_prominence_db or same is not None:
            stream.memory.remember(self._passage(stream, trigger), trigger, sample, sigma_samples)

    def _instruments_for(self, rate_hz: float) -> _Instruments:
        """The instruments for a sample rate, made when it is first met."""
        if self._instruments is None or self._instruments.rate_hz != rate_hz:
            scan = BearingScan(np.array(self._geometry.microphones_m, np.float64), rate_hz)
            self._instruments = _Instruments(rate_hz, scan, PhaseTest(rate_hz))
        return self._instruments

    def _reject(self, stream: _Stream, sample: float, stage: str, reason: str, rejections: list[Rejection]) -> None:
        """Count an onset that becomes no pick, and list it unless the last second has been full of them."""
        self._counts[f"{stage}/{reason}"] += 1
        while stream.rejected_at and stream.rejected_at[0] <= sample - stream.rate_hz:
            stream.rejected_at.popleft()
        if len(stream.rejected_at) < self._settings.max_rejections_per_s:
            stream.rejected_at.append(sample)
            rejections.append(Rejection(self._node, stream.history.utc(sample)[0], stage, reason))

    def _is_outstanding(self, stream: _Stream, candidate: _Candidate) -> bool:
        """Whether a candidate is among the most prominent of the second around it."""
        reach = RANK_S * stream.rate_hz
        while stream.judged and stream.judged[0].sample < candidate.sample - reach:
            stream.judged.popleft()
        n_better = sum(
            other.onset.prominence_db > candidate.onset.prominence_db
            for other in (*stream.judged, *stream.candidates)
            if abs(other.sample - candidate.sample) <= reach
        )
        stream.judged.append(candidate)
        return n_better < self._settings.max_picks_per_s

    def _pick(self, stream: _Stream, candidate: _Candidate) -> Pick:
        time_ns, clock_sigma_ns = stream.history.utc(candidate.sample)
        front = int(candidate.sample)
        end = front + round(LEVEL_S * stream.rate_hz)
        loud = stream.history.of_channel(candidate.front.channel, front, end)
        peak_dbfs = dbfs(float(np.max(np.abs(loud), initial=0.0)))
        classes = self._classify(stream, candidate)
        phase, phase_probability = _phase(candidate.shock_probability)
        bearing = candidate.front.bearing
        bearing_deg, bearing_sigma_deg = self._bearing(candidate)
        return Pick(
            id=pick_id(time_ns, self._node),
            node=self._node,
            time_ns=time_ns,
            sigma_ns=round(candidate.front.sigma_samples * NS_PER_S / stream.rate_hz),
            clock_sigma_ns=clock_sigma_ns,
            snr_db=candidate.onset.prominence_db,
            level_db_spl=None if self._sensitivity_dbspl is None else peak_dbfs + self._sensitivity_dbspl,
            peak_dbfs=peak_dbfs,
            clipped=is_clipped(loud),
            phase=phase,
            phase_probability=phase_probability,
            bearing_deg=bearing_deg,
            bearing_sigma_deg=bearing_sigma_deg,
            elevation_deg=math.degrees(bearing.elevation_rad) if isinstance(bearing, Bearing) else None,
            elevation_sigma_deg=math.degrees(bearing.elevation_sigma_rad) if isinstance(bearing, Bearing) else None,
            classes=classes,
            gunshot_probability=None if classes is None else classes.gunshot,
        )

    def _bearing(self, candidate: _Candidate) -> tuple[float | None, float | None]:
        """Bearing from true north and its sigma, degrees, with the heading and its error in them."""
        bearing = candidate.front.bearing
        if not isinstance(bearing, Bearing):
            return None, None
        sigma_deg = math.hypot(math.degrees(bearing.sigma_rad), self._heading_sigma_deg)
        return (self._heading_deg + math.degrees(bearing.azimuth_rad)) % 360.0, sigma_deg

    def _classify(self, stream: _Stream, candidate: _Candidate) -> ClassProbabilities | None:
        if self._classifier is None:
            return None
        front = round(candidate.sample)
        first = max(stream.history.first_sample, front - round(self._classifier.window_before_s * stream.rate_hz))
        end = front + round(self._classifier.window_after_s * stream.rate_hz)
        window = stream.history.of_channel(candidate.front.channel, first, end)
        return self._classifier.classify(window, stream.rate_hz, front - first)


def _phase(shock_probability: float | None) -> tuple[Phase, float | None]:
    """The phase, where it is as good as sure, and the probability that it is right."""
    if shock_probability is None:
        return Phase.UNKNOWN, None
    if shock_probability >= SURE:
        return Phase.SHOCK_WAVE, shock_probability
    blast_probability = 1.0 - shock_probability
    return (Phase.MUZZLE_BLAST, blast_probability) if blast_probability >= SURE else (Phase.UNKNOWN, None)


def _follows(stream: _Stream, block: AudioBlock) -> bool:
    """Whether a block goes on where the stream ended."""
    same_rate = abs(block.sample_rate_hz / stream.rate_hz - 1.0) <= RATE_TOLERANCE
    return same_rate and block.first_sample == stream.history.end_sample


def _pieces(block: AudioBlock) -> Iterator[AudioBlock]:
    """The block itself, or the pieces of a long one."""
    length = round(PIECE_S * block.sample_rate_hz)
    if block.n_samples <= length:
        yield block
        return
    for start in range(0, block.n_samples, length):
        yield AudioBlock(
            samples=block.samples[:, start : start + length],
            first_sample=block.first_sample + start,
            sample_rate_hz=block.sample_rate_hz,
            start_ns=UtcNs(block.start_ns + round(start * NS_PER_S / block.sample_rate_hz)),
            sigma_ns=block.sigma_ns,
        )
