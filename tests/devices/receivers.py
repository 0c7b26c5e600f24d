"""A GPS receiver that a test plays, and the real gpsd that reads it."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

GPSD = shutil.which("gpsd") or shutil.which("gpsd", path="/usr/sbin")


class Receiver:
    """A GPS receiver on a TCP port: NMEA sentences several times a second, with or without a fix, or none at all."""

    EVERY_S = 0.2

    def __init__(self, port: int = 0) -> None:
        self.has_fix = True
        self.is_silent = False
        self.lat_deg, self.lon_deg, self.alt_m = 35.0844, -106.6504, 1510.0
        self._closed = threading.Event()
        self._server = socket.create_server(("127.0.0.1", port))
        self._server.settimeout(0.1)
        self._thread = threading.Thread(target=self._serve, name="receiver")
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._server.accept()
            except TimeoutError:
                continue
            with client:
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        while not self._closed.is_set():
            if not self.is_silent:
                try:
                    client.sendall(self._sentences().encode("ascii"))
                except OSError:
                    return
            self._closed.wait(self.EVERY_S)

    def _sentences(self) -> str:
        now = datetime.now(UTC)
        clock, date = now.strftime("%H%M%S.%f")[:9], now.strftime("%d%m%y")
        north_south, east_west = "NS"[self.lat_deg < 0.0], "EW"[self.lon_deg < 0.0]
        lat, lon = degrees_minutes(abs(self.lat_deg), 2), degrees_minutes(abs(self.lon_deg), 3)
        place = f"{lat},{north_south},{lon},{east_west}"
        if self.has_fix:
            bodies = (
                f"GPRMC,{clock},A,{place},0.0,0.0,{date},,,A",
                f"GPGGA,{clock},{place},1,08,0.9,{self.alt_m:.1f},M,0.0,M,,",
                "GPGSA,A,3,01,02,03,04,05,06,07,08,,,,,1.6,0.9,1.3",
                "GPGSV,2,1,08,01,70,000,40,02,50,045,40,03,40,090,40,04,30,135,40",
                "GPGSV,2,2,08,05,30,180,40,06,40,225,40,07,50,270,40,08,20,315,40",
            )
        else:
            bodies = (
                f"GPRMC,{clock},V,,,,,,,{date},,,N",
                f"GPGGA,{clock},,,,,0,00,,,M,,M,,",
                "GPGSA,A,1,,,,,,,,,,,,,,,",
            )
        return "".join(sentence(body) for body in bodies)


def degrees_minutes(value_deg: float, n_digits: int) -> str:
    degrees = int(value_deg)
    return f"{degrees:0{n_digits}d}{(value_deg - degrees) * 60:07.4f}"


def sentence(body: str) -> str:
    checksum = 0
    for character in body.encode("ascii"):
        checksum ^= character
    return f"${body}*{checksum:02X}\r\n"


class Gpsd:
    """A real gpsd on a port of its own, reading one receiver; it can be killed and started again."""

    def __init__(self, receiver: Receiver, folder: Path) -> None:
        self.port = free_port()
        self._receiver = receiver
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        assert GPSD is not None
        source = f"tcp://127.0.0.1:{self._receiver.port}"
        command = [GPSD, "-N", "-n", "-S", str(self.port), "-F", str(self._folder / "control.sock"), source]
        with (self._folder / "gpsd.log").open("ab") as log:
            self._process = subprocess.Popen([*own_ipc_namespace(), *command], stdout=log, stderr=log)
        wait_until(lambda: answers(self.port), "gpsd to listen")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


def own_ipc_namespace() -> list[str]:
    """gpsd leaves shared memory behind for NTP servers; in a namespace of its own nobody sees it."""
    command = ["unshare", "--user", "--map-current-user", "--ipc"]
    allowed = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    return command if allowed else []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], what: str, *, within_s: float = 20.0) -> None:
    """Return as soon as `condition` holds; fail the test when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {within_s} s for {what}")
        time.sleep(0.02)
