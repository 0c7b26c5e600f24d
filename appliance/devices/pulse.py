"""The receiver's pulse per second, as the kernel stamps it: /sys/class/pps/pps*/assert, which any user may read."""

import re
from pathlib import Path

from appliance.model.instants import NS_PER_S
from appliance.timing.discipline import Pulse, Unknown

_ASSERT = re.compile(r"^(\d{1,12})\.(\d{9})#(\d{1,12})\s*$")
"""Seconds and nanoseconds of the system clock at the edge, and how many edges there were (Linux: driver-api/pps)."""
MAX_BYTES = 100


class PulseReader:
    """Watches one PPS device through its file; call `read` about once a second, from one thread."""

    def __init__(self, root: Path = Path("/")) -> None:
        """Look under `root`, which is / on a node."""
        self._folder = root / "sys" / "class" / "pps"
        self._number = -1
        self._seen_ns: int | None = None
        self._offset_s = 0.0

    def read(self, monotonic_ns: int) -> Pulse | Unknown:
        """The newest edge; its age counts from when it was first seen here, so it is up to a second too small."""
        stamp = self._stamp()
        if isinstance(stamp, Unknown):
            self._seen_ns = None
            return stamp
        nanoseconds, number = stamp
        if number != self._number:
            # The first may be hours old: only a second one tells that pulses come.
            self._seen_ns = monotonic_ns if self._number >= 0 else None
            self._number = number
            fraction_s = nanoseconds / NS_PER_S
            self._offset_s = fraction_s - 1.0 if fraction_s > 0.5 else fraction_s
        if self._seen_ns is None:
            return Unknown("no pulse yet")
        return Pulse((monotonic_ns - self._seen_ns) / NS_PER_S, self._offset_s)

    def _stamp(self) -> tuple[int, int] | Unknown:
        """Nanoseconds within the second of the newest edge, and its number."""
        files = sorted(self._folder.glob("pps*/assert"))
        if not files:
            return Unknown("there is no PPS device (/dev/pps0)")
        try:
            with files[0].open("r", encoding="ascii", errors="replace") as file:
                found = _ASSERT.match(file.read(MAX_BYTES))
        except OSError as error:
            return Unknown(f"{files[0]} can't be read ({error.strerror})")
        if found is None:
            return Unknown("no pulse yet")
        return int(found[2]), int(found[3])
