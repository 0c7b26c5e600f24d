import pytest

from appliance.timing.utc import UtcMapping


def test_monotonic_time_moves_by_the_offset() -> None:
    assert UtcMapping(1_783_134_720_000_000_000, 1_000).to_utc(5_000) == 1_783_134_720_000_005_000


def test_a_negative_sigma_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        UtcMapping(0, -1)
