import pytest

from appliance.timing.utc import UNKNOWN_SIGMA_NS, UtcMapping


def test_monotonic_time_moves_by_the_offset() -> None:
    assert UtcMapping(1_783_134_720_000_000_000, 1_000).to_utc(5_000) == 1_783_134_720_000_005_000


def test_a_negative_sigma_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        UtcMapping(0, -1)


def test_without_news_the_error_grows_and_ends_at_not_known() -> None:
    mapping = UtcMapping(7, 1_000)
    assert mapping.aged(0) == mapping
    assert mapping.aged(1_000_000_000).sigma_ns == 1_000 + 5_000, "5 ppm of a second"
    assert mapping.aged(10**18).sigma_ns == UNKNOWN_SIGMA_NS
