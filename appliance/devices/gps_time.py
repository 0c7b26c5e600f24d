"""When the receiver's sentences come, from gpsd's TOFF reports, which gpsd-py3 does not know."""

import contextlib
import json
import math
import socket
import threading
import time
from typing import Any

from appliance.model.instants import NS_PER_S
from appliance.timing.discipline import Sentence, Unknown

WATCH = b'?WATCH={"enable":true,"json":true,"timing":true,"pps":true};\n'
TIMEOUT_S = 3.0
RETRY_S = 1.0
MAX_AGE_S = 3.0
"""One report comes every second."""
MAX_LINE_BYTES = 16_384
"""gpsd's longest report (SKY with all constellations) has some 8 KB."""


class GpsdTiming:
    """Listens to gpsd in a thread of its own, and connects again when that ends."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """Start to listen."""
        self._address = (host, port)
        self._lock = threading.Lock()
        self._late_s = 0.0
        self._seen_s = -math.inf
        self._closed = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="gpsd-timing", daemon=True)
        self._thread.start()

    def read(self) -> Sentence | Unknown:
        """How late the newest sentence came, if there was one in the last `MAX_AGE_S`."""
        with self._lock:
            is_fresh = time.monotonic() - self._seen_s <= MAX_AGE_S
            return Sentence(self._late_s) if is_fresh else Unknown("the receiver says no time")

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        with contextlib.suppress(OSError, AttributeError):
            self._socket.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]  # None: AttributeError, suppressed
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(OSError), socket.create_connection(self._address, TIMEOUT_S) as connection:
                self._socket = connection
                connection.sendall(WATCH)
                self._listen(connection)
            self._closed.wait(RETRY_S)

    def _listen(self, connection: socket.socket) -> None:
        """Take reports until the connection ends, or says nothing for `TIMEOUT_S`. Raises OSError."""
        with connection.makefile("rb") as lines:
            while not self._closed.is_set():
                line = lines.readline(MAX_LINE_BYTES)
                if not line.endswith(b"\n"):
                    return
                late_s = lateness(line)
                if late_s is not None:
                    with self._lock:
                        self._late_s, self._seen_s = late_s, time.monotonic()


def lateness(line: bytes) -> float | None:
    """How many seconds after the second that it names a sentence came, by the system clock; None: not a TOFF report."""
    try:
        report: Any = json.loads(line)
        if report["class"] != "TOFF":
            return None
        real_ns = int(report["real_sec"]) * NS_PER_S + int(report["real_nsec"])
        clock_ns = int(report["clock_sec"]) * NS_PER_S + int(report["clock_nsec"])
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError):
        return None
    return (clock_ns - real_ns) / NS_PER_S
