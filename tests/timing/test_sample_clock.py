from collections.abc import Iterator

import numpy as np
import pytest

from appliance.timing.sample_clock import SampleClock

RATE_HZ = 16_000
BLOCK = 160
START_NS = 1_783_134_720_000_000_000


def true_time_ns(count: int, drift_ppm: float) -> int:
    return START_NS + round(count * 1e9 / (RATE_HZ * (1.0 + drift_ppm * 1e-6)))


def pairs(seconds: float, *, drift_ppm: float = 0.0, late_ns: float = 0.0, seed: int = 1) -> Iterator[tuple[int, int]]:
    """What a driver reports: after each block the count, and a time that is late by an exponential delay."""
    rng = np.random.default_rng(seed)
    for block in range(1, round(seconds * RATE_HZ / BLOCK) + 1):
        count = block * BLOCK
        yield count, true_time_ns(count, drift_ppm) + round(rng.exponential(late_ns) if late_ns else 0.0)


def fed(seconds: float, **how: float) -> SampleClock:
    clock = SampleClock(RATE_HZ)
    for count, time_ns in pairs(seconds, **how):
        clock.feed(count, time_ns)
    return clock


@pytest.mark.parametrize("drift_ppm", [-90.0, 0.0, 40.0])
def test_drift_and_time_come_out_of_late_reports(drift_ppm: float) -> None:
    clock = fed(70, drift_ppm=drift_ppm, late_ns=200_000)
    assert clock.drift_ppm == pytest.approx(drift_ppm, abs=0.5)
    assert clock.rate_hz == pytest.approx(RATE_HZ * (1 + drift_ppm * 1e-6), abs=0.01)
    count = 69 * RATE_HZ
    assert abs(clock.time_of(count).time_ns - true_time_ns(count, drift_ppm)) < 20_000


def test_one_very_late_report_changes_nothing() -> None:
    clock, delayed = SampleClock(RATE_HZ), SampleClock(RATE_HZ)
    for number, (count, time_ns) in enumerate(pairs(20, drift_ppm=15, late_ns=50_000)):
        clock.feed(count, time_ns)
        delayed.feed(count, time_ns + (30_000_000 if number == 1_500 else 0))
    assert delayed.time_of(20 * RATE_HZ).time_ns == pytest.approx(clock.time_of(20 * RATE_HZ).time_ns, abs=10_000)


@pytest.mark.parametrize("seed", range(8))
def test_error_stays_within_a_few_sigma_from_the_first_second_on(seed: int) -> None:
    clock = SampleClock(RATE_HZ)
    for count, time_ns in pairs(15, drift_ppm=60, late_ns=1_000_000, seed=seed):
        clock.feed(count, time_ns)
        estimate = clock.time_of(count)
        assert abs(estimate.time_ns - true_time_ns(count, 60)) < 4 * estimate.sigma_ns


def test_sigma_says_how_coarse_the_reports_are() -> None:
    fine, coarse = fed(30, late_ns=10_000), fed(30, late_ns=3_000_000)
    count = 30 * RATE_HZ
    assert fine.time_of(count).sigma_ns < 20_000
    assert coarse.time_of(count).sigma_ns > 10 * fine.time_of(count).sigma_ns


def test_sigma_is_large_until_the_stream_has_settled() -> None:
    assert fed(0.5).time_of(RATE_HZ // 2).sigma_ns >= 5_000_000
    assert fed(4).time_of(4 * RATE_HZ).sigma_ns < 5_000_000


def test_sigma_grows_the_longer_no_report_comes() -> None:
    clock = fed(30, late_ns=100_000)
    soon, later = clock.time_of(31 * RATE_HZ), clock.time_of(600 * RATE_HZ)
    assert later.sigma_ns > 5 * soon.sigma_ns


def test_a_jump_starts_the_line_anew_and_keeps_the_rate() -> None:
    clock = fed(20, drift_ppm=40, late_ns=10_000)
    lost_ns = 700_000_000
    for count, time_ns in pairs(21, drift_ppm=40, late_ns=10_000):
        if count > 20 * RATE_HZ:
            clock.feed(count, time_ns + lost_ns)
    assert clock.n_restarts == 1
    count = 21 * RATE_HZ
    assert abs(clock.time_of(count).time_ns - true_time_ns(count, 40) - lost_ns) < 50_000
    assert clock.drift_ppm == pytest.approx(40, abs=0.5)


def test_times_that_no_crystal_can_cause_are_not_believed() -> None:
    # A file read as fast as it comes, instead of a microphone.
    clock = SampleClock(RATE_HZ)
    for block in range(1, 3_000):
        clock.feed(block * BLOCK, START_NS + block * 1_000)
    assert abs(clock.rate_hz / RATE_HZ - 1) < 400e-6
    assert clock.time_of(3_000 * BLOCK).sigma_ns >= 5_000_000


def test_count_at_is_the_inverse_of_time_of() -> None:
    clock = fed(30, drift_ppm=-25, late_ns=100_000)
    for count in (1, 12_345, 29 * RATE_HZ, 60 * RATE_HZ):
        assert clock.count_at(clock.time_of(count).time_ns) == count


def test_nothing_is_known_before_the_first_report() -> None:
    clock = SampleClock(RATE_HZ)
    assert clock.drift_ppm is None
    assert clock.rate_hz == RATE_HZ
    with pytest.raises(ValueError, match="no pair"):
        clock.time_of(0)


def test_days_of_reports_cost_no_precision() -> None:
    clock = SampleClock(RATE_HZ)
    minute = 60 * RATE_HZ
    for count in range(0, 10 * 24 * 60 * minute, minute):
        clock.feed(count, true_time_ns(count, 40))
    assert clock.n_restarts == 0
    assert abs(clock.time_of(count).time_ns - true_time_ns(count, 40)) < 1_000


def test_a_rate_that_no_crystal_has_is_not_followed() -> None:
    clock = fed(30, drift_ppm=1_000)
    assert abs(clock.rate_hz / RATE_HZ - 1) < 400e-6
    assert clock.time_of(30 * RATE_HZ).sigma_ns > 1_000_000


def test_a_change_of_temperature_is_followed() -> None:
    clock = SampleClock(RATE_HZ)
    for second in range(300):
        clock.feed(second * RATE_HZ, true_time_ns(second * RATE_HZ, 10))
    turn_ns = true_time_ns(300 * RATE_HZ, 10) - START_NS
    for second in range(300, 400):
        clock.feed(second * RATE_HZ, turn_ns + true_time_ns((second - 300) * RATE_HZ, 13))
    assert clock.drift_ppm == pytest.approx(13, abs=0.1)
