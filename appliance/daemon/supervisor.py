"""Keeps child processes running where no systemd does: `earshot node` and `earshot demo`."""

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

log = logging.getLogger(__name__)

STOP_TIMEOUT_S = 8.0
"""A process that has not ended so long after SIGTERM is killed; on an idle machine each takes 2 s at most."""
RESTART_LIMIT = 5
RESTART_WINDOW_S = 600.0
"""More than `RESTART_LIMIT` restarts in this window mean that restarting doesn't help, so the process stays down."""


@dataclass(slots=True)
class Child:
    """One process: name for people, command line, file for what it prints, and additions to the environment."""

    name: str
    command: Sequence[str]
    log_file: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    restarts_s: list[float] = field(default_factory=list)
    given_up: bool = False


class Supervisor:
    """Starts children, restarts those that die, and stops them all. Used from one thread."""

    def __init__(self, children: Sequence[Child]) -> None:
        """Take the children in the order in which they start."""
        self._children = list(children)

    def start(self) -> None:
        """Start every child."""
        for child in self._children:
            self._start(child)

    def _start(self, child: Child) -> None:
        child.log_file.parent.mkdir(parents=True, exist_ok=True)
        with child.log_file.open("ab") as sink:
            child.process = subprocess.Popen(
                child.command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env={**os.environ, **child.environment},
            )

    def check(self, now_s: float) -> None:
        """Restart what has died since the last call; `now_s` is a monotonic time."""
        for child in self._children:
            if child.given_up or child.process is None or child.process.poll() is None:
                continue
            child.restarts_s = [t for t in child.restarts_s if now_s - t < RESTART_WINDOW_S]
            if len(child.restarts_s) >= RESTART_LIMIT:
                child.given_up = True
                log.error(
                    "%s ended %d times in a row and stays down; see %s", child.name, RESTART_LIMIT, child.log_file
                )
                continue
            child.restarts_s.append(now_s)
            log.warning(
                "%s ended with status %s; starting it again; see %s",
                child.name,
                child.process.returncode,
                child.log_file,
            )
            self._start(child)

    def failed(self) -> list[Child]:
        """The children that were given up."""
        return [child for child in self._children if child.given_up]

    def stop(self) -> None:
        """End every child: SIGTERM in reverse order of start, SIGKILL for what is left after `STOP_TIMEOUT_S`."""
        running = [c.process for c in reversed(self._children) if c.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        for process in running:
            try:
                process.wait(timeout=max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Give an event that SIGINT or SIGTERM sets while the context lasts; for the main thread only."""
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
