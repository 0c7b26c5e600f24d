"""Whether this node's time can be trusted: one verdict a second from everything that speaks of it.

The system clock is kept by chrony; the receiver's pulse gives the edge of the second and its sentences name it. Each
of them can fail or lie alone, so each has its say: a clock is READY while chrony follows its source, pulses come, the
receiver has a fix, its second is the clock's, nobody set the clock, and the error that follows from all of it is small.
"""

import math
from dataclasses import dataclass, field
from typing import Final

from appliance.model.instants import NS_PER_MS, NS_PER_S
from appliance.timing.utc import HOLDOVER_PPM, UNKNOWN_SIGMA_NS, UtcMapping

READY_SIGMA_NS: Final = NS_PER_MS
"""1 ms is 0.34 m of sound path: small against what streets do to arrivals."""
PULSE_LATE_S: Final = 3.0
"""Pulses come every second."""
FIX_LATE_S: Final = 5.0
"""A receiver reports every second; gpsd goes on giving the last fix when it falls silent."""
UPDATE_LATE_S: Final = 8.0
UPDATES_LATE: Final = 4.0
"""chrony drops a reading now and then that looks wrong to it; after so many usual intervals its source is gone."""
MIN_SENTENCE_LATE_S: Final = -0.2
MAX_SENTENCE_LATE_S: Final = 0.95
"""A sentence about a second comes within that second, late by its way over the serial line; else it means another."""
STEP_NS: Final = 5 * NS_PER_MS
"""The kernel slews by 0.5 ms a second at most; more in a second means that somebody set the clock."""
UPDATES_AFTER_STEP: Final = 2
"""So many readings chrony must have taken since a step; the first may still be of before."""
_CLOCK_REMEDY: Final = "check that chrony runs and follows the receiver (chronyc tracking, chronyc sources)"
_PULSE_REMEDY: Final = "check the wire of the receiver's pulse and that it has a fix (ppstest /dev/pps0)"
_SKY_REMEDY: Final = "give the GPS receiver a view of the sky and check its cable (cgps)"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing is known of a thing, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Tracking:
    """What chrony says of the system clock.

    offset_s:         true time minus the system clock's (positive: the clock is slow), by chrony's best estimate
    bound_s:          largest error of that: root dispersion and half the root delay
    reference:        what it follows
    reference_utc_s:  when it last took a reading, by the system clock
    interval_s:       usual time between readings
    """

    offset_s: float
    bound_s: float
    reference: str
    reference_utc_s: float
    interval_s: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """The newest edge of the PPS: how long ago, and the system clock minus the whole second at that edge."""

    age_s: float
    offset_s: float


@dataclass(frozen=True, slots=True)
class FixState:
    """What the receiver knows: gpsd's mode (2 and 3 are fixes), satellites used, seconds since it was new."""

    mode: int
    n_satellites: int
    age_s: float


@dataclass(frozen=True, slots=True)
class Sentence:
    """How late the sentence about a second came, by the system clock, seconds."""

    late_s: float


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Everything that speaks of the clock at one moment.

    monotonic_ns: CLOCK_MONOTONIC; offset_ns: the system clock's UTC minus that, known within width_ns
    pulse, fix, sentence: None where this node has no receiver to go by
    """

    monotonic_ns: int
    offset_ns: int
    width_ns: int
    tracking: Tracking | Unknown
    pulse: Pulse | Unknown | None = None
    fix: FixState | Unknown | None = None
    sentence: Sentence | Unknown | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a clock is not ready, and what to do."""

    words: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ClockVerdict:
    """The way to UTC with its honest error, what speaks against it, and what speaks for it in words."""

    mapping: UtcMapping
    doubts: tuple[Doubt, ...]
    evidence: str

    @property
    def is_ready(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.doubts

    @property
    def words(self) -> str:
        """READY or NOT READY, because of what, with the numbers."""
        if self.is_ready:
            return f"READY: {error_in_words(self.mapping.sigma_ns)}, {self.evidence}"
        because = "; ".join(doubt.words for doubt in self.doubts)
        return f"NOT READY because {because}; {error_in_words(self.mapping.sigma_ns)}"


def error_in_words(sigma_ns: int) -> str:
    """An error as people read it: ± 12 µs, ± 3.1 ms, or that it is not known."""
    if sigma_ns >= UNKNOWN_SIGMA_NS:
        return "time not known"
    if sigma_ns < NS_PER_MS:
        return f"± {sigma_ns / 1_000:.0f} µs"
    return f"± {sigma_ns / NS_PER_MS:.1f} ms" if sigma_ns < NS_PER_S else f"± {sigma_ns / NS_PER_S:.1f} s"


@dataclass(slots=True)
class _Held:
    """What was last known of the clock: at a CLOCK_MONOTONIC, how far it was off, and the error of that."""

    monotonic_ns: int
    correction_ns: int
    sigma_ns: int


@dataclass(slots=True)
class _Step:
    """Somebody set the clock, by so much in all; how often chrony took a reading since."""

    size_ns: int
    since_ns: int
    n_updates: int = 0


@dataclass(slots=True)
class _Memory:
    """What has to be remembered from one reading to the next."""

    offset_ns: int | None = None
    held: _Held | None = None
    step: _Step | None = None
    reference_utc_s: float = -math.inf
    updated_ns: int = 0
    doubts: list[Doubt] = field(default_factory=list)


class Discipline:
    """Judges the clock from readings about a second apart; used from one thread."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._memory = _Memory()

    def update(self, reading: ClockReading) -> ClockVerdict:
        """The verdict at this reading."""
        memory = self._memory
        memory.doubts = []
        correction_ns, sigma_ns = self._by_chrony(reading)
        sigma_ns = max(sigma_ns, self._by_pulse(reading.pulse, correction_ns))
        self._by_fix(reading.fix)
        sigma_ns = max(sigma_ns, self._by_sentence(reading.sentence))
        sigma_ns += self._by_steps(reading)
        sigma_ns = min(UNKNOWN_SIGMA_NS, sigma_ns + reading.width_ns)
        if sigma_ns > READY_SIGMA_NS and not memory.doubts:
            memory.doubts.append(Doubt("its error is too large", _CLOCK_REMEDY))
        mapping = UtcMapping(reading.offset_ns + correction_ns, sigma_ns)
        return ClockVerdict(mapping, tuple(memory.doubts), _evidence(reading))

    def _doubt(self, words: str, remedy: str) -> None:
        self._memory.doubts.append(Doubt(words, remedy))

    def _by_chrony(self, reading: ClockReading) -> tuple[int, int]:
        """What to add to the system clock, and the error after that: chrony's bound, or the last one, grown."""
        memory, tracking = self._memory, reading.tracking
        if isinstance(tracking, Unknown):
            self._doubt(tracking.reason, _CLOCK_REMEDY)
            return self._held(reading.monotonic_ns)
        if tracking.reference_utc_s != memory.reference_utc_s:
            memory.reference_utc_s, memory.updated_ns = tracking.reference_utc_s, reading.monotonic_ns
            if memory.step is not None:
                memory.step.n_updates += 1
        age_s = (reading.monotonic_ns - memory.updated_ns) / NS_PER_S
        if age_s > max(UPDATE_LATE_S, UPDATES_LATE * tracking.interval_s):
            self._doubt(f"chrony heard nothing of {tracking.reference} for {age_s:.0f} s", _PULSE_REMEDY)
        correction_ns = round(tracking.offset_s * NS_PER_S)
        # Its bound is that of the system clock itself: |offset| + root dispersion + root delay / 2 (chronyc(1)).
        sigma_ns = min(UNKNOWN_SIGMA_NS, abs(correction_ns) + round(tracking.bound_s * NS_PER_S))
        memory.held = _Held(reading.monotonic_ns, correction_ns, sigma_ns)
        return correction_ns, sigma_ns

    def _held(self, monotonic_ns: int) -> tuple[int, int]:
        held = self._memory.held
        if held is None:
            return 0, UNKNOWN_SIGMA_NS
        return held.correction_ns, held.sigma_ns + round((monotonic_ns - held.monotonic_ns) * HOLDOVER_PPM * 1e-6)

    def _by_pulse(self, pulse: Pulse | Unknown | None, correction_ns: int) -> int:
        """How far the clock is from the pulse, nanoseconds."""
        if isinstance(pulse, Unknown):
            self._doubt(pulse.reason, _PULSE_REMEDY)
            return 0
        if pulse is None:
            return 0
        if pulse.age_s > PULSE_LATE_S:
            self._doubt(f"no pulse for {pulse.age_s:.0f} s", _PULSE_REMEDY)
            return 0
        apart_ns = abs(round(pulse.offset_s * NS_PER_S) + correction_ns)
        if apart_ns > READY_SIGMA_NS:
            self._doubt(f"pulse and clock are {apart_ns / NS_PER_MS:.1f} ms apart", _PULSE_REMEDY)
        return apart_ns

    def _by_fix(self, fix: FixState | Unknown | None) -> None:
        if isinstance(fix, Unknown):
            self._doubt(fix.reason, _SKY_REMEDY)
        elif fix is not None and fix.age_s > FIX_LATE_S:
            self._doubt(f"the receiver's fix is {fix.age_s:.0f} s old", _SKY_REMEDY)
        elif fix is not None and fix.mode < 2:
            self._doubt(f"the receiver has no fix ({fix.n_satellites} satellites)", _SKY_REMEDY)

    def _by_sentence(self, sentence: Sentence | Unknown | None) -> int:
        """How far the clock's second may be from the receiver's, nanoseconds; 0 where they are the same one."""
        if not isinstance(sentence, Sentence):
            return 0  # not every receiver's sentences can be timed; the rest decides
        if MIN_SENTENCE_LATE_S <= sentence.late_s <= MAX_SENTENCE_LATE_S:
            return 0
        self._doubt(f"the receiver's second is {sentence.late_s:+.1f} s from the clock's", _CLOCK_REMEDY)
        return round(abs(sentence.late_s) * NS_PER_S)

    def _by_steps(self, reading: ClockReading) -> int:
        """By how much the clock was set and nobody has confirmed it since, nanoseconds."""
        memory = self._memory
        stepped_ns = 0 if memory.offset_ns is None else reading.offset_ns - memory.offset_ns
        memory.offset_ns = reading.offset_ns
        if abs(stepped_ns) > STEP_NS + reading.width_ns:
            before_ns = 0 if memory.step is None else memory.step.size_ns
            memory.step = _Step(before_ns + abs(stepped_ns), reading.monotonic_ns)
        step = memory.step
        if step is None:
            return 0
        if step.n_updates >= UPDATES_AFTER_STEP and not memory.doubts:
            memory.step = None
            return 0
        ago_s = (reading.monotonic_ns - step.since_ns) / NS_PER_S
        self._doubt(f"the clock was set by {step.size_ns / NS_PER_S:.3f} s, {ago_s:.0f} s ago", _CLOCK_REMEDY)
        return step.size_ns


def _evidence(reading: ClockReading) -> str:
    parts = []
    if isinstance(reading.tracking, Tracking):
        parts.append(f"chrony follows {reading.tracking.reference}")
    if isinstance(reading.pulse, Pulse):
        parts.append("pulse")
    if isinstance(reading.fix, FixState):
        parts.append(f"{reading.fix.n_satellites} satellites")
    return ", ".join(parts)
