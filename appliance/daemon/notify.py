"""What systemd is told of a process: that it is ready, that it is alive, and what it is at."""

import contextlib
import os
import time

from appliance.model.instants import NS_PER_US

FRACTION = 4
"""A sign of life is due so many times per watchdog period, which leaves room for a busy machine."""


class Notifier:
    """Speaks to systemd where it asked for it (Type=notify), and to nobody elsewhere. Any thread may use it."""

    def __init__(self) -> None:
        """Learn from the environment whether systemd listens, and how often it wants a sign of life."""
        self._listens = "NOTIFY_SOCKET" in os.environ
        self._interval_ns = _watchdog_period_ns() // FRACTION
        self._told_ns = 0

    def ready(self) -> None:
        """The process does its work from now on."""
        self._tell("READY=1")

    def watchdog(self) -> None:
        """The work goes on. Call it as often as you like; systemd is told as often as it needs."""
        now_ns = time.monotonic_ns()
        if self._interval_ns and now_ns - self._told_ns >= self._interval_ns:
            self._told_ns = now_ns
            self._tell("WATCHDOG=1")

    def status(self, words: str) -> None:
        """One line for `systemctl status`."""
        self._tell(f"STATUS={' '.join(words.split())}")

    def stopping(self) -> None:
        """The process has begun to end."""
        self._tell("STOPPING=1")

    def _tell(self, message: str) -> None:
        if not self._listens:
            return
        # Here, because only a node under systemd needs it.
        from systemd.daemon import notify

        # A manager that is itself restarting must not end the work.
        with contextlib.suppress(OSError):
            notify(message)


def _watchdog_period_ns() -> int:
    """The period of the watchdog, 0 for none: sd_watchdog_enabled(3), which systemd-python does not have."""
    try:
        period_us = int(os.environ.get("WATCHDOG_USEC", "0"))
        watched_pid = int(os.environ.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return 0
    return max(0, period_us) * NS_PER_US if watched_pid == os.getpid() else 0
