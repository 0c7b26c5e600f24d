"""When a receiver's sentences come, by a real gpsd that reads a receiver that the test plays."""

import json
from typing import Any

import pytest

from appliance.devices.gps_time import GpsdTiming, lateness
from appliance.timing.discipline import Sentence, Unknown


def test_a_sentence_is_as_late_as_it_is_and_none_is_none(gpsd: Any, receiver: Any, wait_until: Any) -> None:
    timing = GpsdTiming(gpsd.port)
    try:
        wait_until(lambda: isinstance(timing.read(), Sentence), "a sentence")
        first = timing.read()
        assert isinstance(first, Sentence)
        assert -0.1 < first.late_s < 5.0
        receiver.is_silent = True
        wait_until(lambda: timing.read() == Unknown("the receiver says no time"), "silence to be noticed")
        gpsd.kill()
        receiver.is_silent = False
        gpsd.start()
        wait_until(lambda: isinstance(timing.read(), Sentence), "gpsd to be found again")
    finally:
        timing.close()


def toff(**changed: object) -> bytes:
    report = {"class": "TOFF", "device": "/dev/ttyAMA0", "real_sec": 100, "real_nsec": 0, "clock_sec": 100}
    return json.dumps({**report, "clock_nsec": 150_000_000, **changed}).encode() + b"\n"


def test_lateness_is_the_clocks_time_less_the_receivers() -> None:
    assert lateness(toff()) == pytest.approx(0.15)
    assert lateness(toff(clock_sec=98)) == pytest.approx(-1.85)


@pytest.mark.parametrize(
    "line",
    [b"\n", b"{}\n", b"[]\n", b"\xff\n", toff(real_sec=None), toff(real_sec="x"), b'{"class":"TPV"}\n', b"[" * 9_999],
)
def test_other_reports_and_damaged_ones_say_nothing(line: bytes) -> None:
    assert lateness(line) is None
