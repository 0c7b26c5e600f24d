"""The verdict on the clock: a real chronyd (which never touches the clock), a real gpsd, and a pulse by the test."""

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import appliance.daemon.clock_keeper
from appliance.daemon.clock_keeper import ClockKeeper, ClockWitnesses
from appliance.devices.chrony import read_tracking
from appliance.devices.clock import read_utc_mapping
from appliance.devices.gps import GpsdPlace, GpsdSettings
from appliance.devices.gps_time import GpsdTiming
from appliance.devices.pulse import PulseReader
from appliance.model.health import HealthState
from appliance.timing.discipline import Tracking, Unknown
from appliance.timing.utc import UNKNOWN_SIGMA_NS, UtcMapping
from tests.devices.receivers import GPSD, Gpsd, Receiver, wait_until

CHRONYD = shutil.which("chronyd") or shutil.which("chronyd", path="/usr/sbin")
OFFSET_S = 250e-6
"""By so much the test says that the system clock is slow."""

CONFIG = """
pidfile {folder}/chronyd.pid
bindcmdaddress {folder}/chronyd.sock
cmdport 0
port 0
user root
refclock SOCK {folder}/pps.sock refid PPS poll 1 precision 1e-7 delay 1e-6 filter 2
"""


class Pulses:
    """Once a second: a sample for chrony and an edge for the kernel's file, until told otherwise."""

    def __init__(self, folder: Path) -> None:
        self.come = True
        self._sock = folder / "pps.sock"
        self._assert = folder / "sys/class/pps/pps0/assert"
        self._assert.parent.mkdir(parents=True)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulses")
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as chrony:
            while not self._closed.wait(1.0):
                if not self.come:
                    continue
                number += 1
                now = time.time()
                sample = struct.pack("@qqdiiii", int(now), int(now % 1 * 1e6), OFFSET_S, 0, 0, 0, 0x534F434B)
                with contextlib.suppress(OSError):  # chronyd is down
                    chrony.sendto(sample, str(self._sock))
                draft = self._assert.with_suffix(".draft")
                draft.write_text(f"{int(now)}.{1_000_000_000 - round(OFFSET_S * 1e9):09d}#{number}\n")
                draft.rename(self._assert)


class Chrony:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        config = folder / "chrony.conf"
        config.write_text(CONFIG.format(folder=folder))
        self._command = [str(CHRONYD), "-x", "-d", "-f", str(config)]
        self.start()

    def start(self) -> None:
        (self._folder / "chronyd.pid").unlink(missing_ok=True)
        with (self._folder / "chronyd.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        wait_until((self._folder / "pps.sock").exists, "chronyd to start")

    def read(self):
        return read_tracking(["chronyc", "-h", str(self._folder / "chronyd.sock"), "-n", "-c", "tracking"])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        (self._folder / "pps.sock").unlink(missing_ok=True)


class World:
    """All that keeps a node's clock, each part to be broken and mended."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o700)
        self.chrony = Chrony(folder)
        self.pulses = Pulses(folder)
        self.receiver = Receiver()
        self.gpsd = Gpsd(self.receiver, folder)
        self.step_ns = 0
        self._place = GpsdPlace(GpsdSettings("n1", port=self.gpsd.port))
        self._timing = GpsdTiming(self.gpsd.port)
        self.keeper = ClockKeeper(
            ClockWitnesses(
                tracking=self.chrony.read,
                pulse=PulseReader(folder).read,
                fix=self._place.fix,
                sentence=self._timing.read,
                system_clock=self._clock,
            )
        )

    def _clock(self) -> UtcMapping:
        clock = read_utc_mapping(0)
        return UtcMapping(clock.offset_ns + self.step_ns, clock.sigma_ns)

    def close(self) -> None:
        self.keeper.close()
        self._timing.close()
        self._place.close()
        self.pulses.close()
        self.gpsd.kill()
        self.receiver.close()
        self.chrony.kill()

    def wait_ready(self) -> None:
        wait_until(lambda: self._is_ready(), "READY", within_s=60.0)

    def wait_not_ready(self, word: str) -> None:
        wait_until(
            lambda: not self._is_ready() and word in self._words(), f"NOT READY because of {word}", within_s=10.0
        )

    def _is_ready(self) -> bool:
        verdict = self.keeper.verdict()
        return verdict is not None and verdict.is_ready

    def _words(self) -> str:
        verdict = self.keeper.verdict()
        return "" if verdict is None else verdict.words


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
@pytest.mark.skipif(CHRONYD is None or GPSD is None, reason="chrony and gpsd are not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="chronyd starts as root only")
def test_every_loss_is_noticed_within_ten_seconds_and_mends_without_a_restart(world: World) -> None:
    world.wait_ready()
    mapping = world.keeper.mapping()
    truth_ns = read_utc_mapping(0).offset_ns + round(OFFSET_S * 1e9)
    assert abs(mapping.offset_ns - truth_ns) < 50_000, "what the system clock is off is corrected"
    assert 250_000 <= mapping.sigma_ns < 1_000_000
    assert world.keeper.check(0).state is HealthState.OK

    world.pulses.come = False
    world.wait_not_ready("no pulse for")
    world.pulses.come = True
    world.wait_ready()

    world.receiver.has_fix = False
    world.wait_not_ready("fix")
    world.receiver.has_fix = True
    world.wait_ready()

    world.receiver.is_silent = True
    world.wait_not_ready("old")
    world.receiver.is_silent = False
    world.wait_ready()

    world.gpsd.kill()
    world.wait_not_ready("gpsd")
    world.gpsd.start()
    world.wait_ready()

    world.chrony.kill()
    world.wait_not_ready("chrony does not answer")
    world.chrony.start()
    world.wait_ready()

    for step_s in (2, -2):
        world.step_ns += step_s * 1_000_000_000
        world.wait_not_ready("set by 2.000 s")
        assert world.keeper.mapping().sigma_ns > 2_000_000_000
        world.wait_ready()


def test_a_clock_that_nobody_judges_any_more_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appliance.daemon.clock_keeper, "READ_EVERY_S", 0.01)
    goes_on = threading.Event()
    goes_on.set()

    def tracking() -> Tracking:
        goes_on.wait()
        return Tracking(0.0, 1e-5, "PPS", time.monotonic(), 1.0)

    keeper = ClockKeeper(ClockWitnesses(tracking=tracking))
    wait_until(lambda: keeper.check(0).state is HealthState.OK, "READY")
    goes_on.clear()
    monkeypatch.setattr(appliance.daemon.clock_keeper, "LATE_S", 0.2)
    wait_until(lambda: keeper.check(0).state is HealthState.FAILED, "the silence to be noticed")
    assert "nobody judged it" in keeper.check(0).words
    before = keeper.mapping().sigma_ns
    wait_until(lambda: keeper.mapping().sigma_ns > before, "the error to grow")
    goes_on.set()
    keeper.close()


def test_before_the_first_verdict_the_time_is_not_known() -> None:
    goes_on = threading.Event()

    def tracking() -> Unknown:
        goes_on.wait()
        return Unknown("x")

    keeper = ClockKeeper(ClockWitnesses(tracking=tracking))
    assert keeper.check(0).state is HealthState.UNKNOWN
    assert keeper.mapping().sigma_ns == UNKNOWN_SIGMA_NS
    goes_on.set()
    keeper.close()
