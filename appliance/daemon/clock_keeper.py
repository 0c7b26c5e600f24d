"""Asks everything that speaks of the clock once a second, in a thread of its own, and keeps the verdict."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from appliance.devices.chrony import read_tracking
from appliance.devices.clock import monotonic_now_ns, read_utc_mapping
from appliance.ledger.health import discipline_check
from appliance.model.health import HealthCheck, HealthState
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.timing.discipline import (
    ClockReading,
    ClockVerdict,
    Discipline,
    FixState,
    Pulse,
    Sentence,
    Tracking,
    Unknown,
)
from appliance.timing.utc import UNKNOWN_SIGMA_NS, UtcMapping

log = logging.getLogger(__name__)

READ_EVERY_S = 1.0
LATE_S = 10.0
"""A reading takes 3 s at most."""


@dataclass(frozen=True, slots=True)
class ClockWitnesses:
    """What is asked: chrony, and the receiver's pulse, fix and sentences; None: this node has no receiver."""

    tracking: Callable[[], Tracking | Unknown] = read_tracking
    pulse: Callable[[int], Pulse | Unknown] | None = None
    fix: Callable[[], FixState | Unknown] | None = None
    sentence: Callable[[], Sentence | Unknown] | None = None
    system_clock: Callable[[], UtcMapping] = lambda: read_utc_mapping(0)

    def read(self) -> ClockReading:
        """What they say now. May wait for chrony, some seconds at most."""
        tracking = self.tracking()
        clock = self.system_clock()
        now_ns = monotonic_now_ns()
        return ClockReading(
            monotonic_ns=now_ns,
            offset_ns=clock.offset_ns,
            width_ns=clock.sigma_ns,
            tracking=tracking,
            pulse=self.pulse(now_ns) if self.pulse else None,
            fix=self.fix() if self.fix else None,
            sentence=self.sentence() if self.sentence else None,
        )


class ClockKeeper:
    """The verdict on this node's clock, at most some seconds old. Any thread may ask."""

    def __init__(self, witnesses: ClockWitnesses) -> None:
        """Start to ask."""
        self._witnesses = witnesses
        self._lock = threading.Lock()
        self._verdict: ClockVerdict | None = None
        self._judged_ns = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
        self._thread.start()

    def mapping(self) -> UtcMapping:
        """How far UTC is from CLOCK_MONOTONIC, with an error that grows while no verdict comes."""
        with self._lock:
            verdict, judged_ns = self._verdict, self._judged_ns
        if verdict is None:
            return UtcMapping(read_utc_mapping(0).offset_ns, UNKNOWN_SIGMA_NS)
        return verdict.mapping.aged(monotonic_now_ns() - judged_ns)

    def verdict(self) -> ClockVerdict | None:
        """The newest verdict; None before the first."""
        with self._lock:
            return self._verdict

    def check(self, now_ns: int) -> HealthCheck:
        """The verdict as a health check; one that is old is a failure of its own."""
        with self._lock:
            verdict, judged_ns = self._verdict, self._judged_ns
        age_s = (monotonic_now_ns() - judged_ns) / NS_PER_S
        if verdict is not None and age_s > LATE_S:
            words = f"NOT READY because nobody judged it for {age_s:.0f} s"
            return HealthCheck("clock", HealthState.FAILED, words, age_s, "s", UtcNs(now_ns), "restart earshot mesh")
        return discipline_check(verdict, UtcNs(now_ns))

    def close(self) -> None:
        """Stop asking."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        discipline = Discipline()
        was_ready: bool | None = None
        while not self._closed.is_set():
            reading = self._witnesses.read()
            verdict = discipline.update(reading)
            with self._lock:
                self._verdict, self._judged_ns = verdict, reading.monotonic_ns
            if verdict.is_ready is not was_ready:
                was_ready = verdict.is_ready
                log.log(logging.INFO if was_ready else logging.WARNING, "clock %s", verdict.words)
            self._closed.wait(READ_EVERY_S)
