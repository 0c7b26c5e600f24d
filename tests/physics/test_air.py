import math

import pytest

from appliance.model.air import Air
from appliance.physics.air import sound_speed_mps, sound_speed_sigma_mps


# Literals from the tables of Bohn (1988), dry air; the ideal-gas law meets them within 0.1 m/s.
@pytest.mark.parametrize(("temperature_c", "table_mps"), [(-20.0, 318.9), (0.0, 331.3), (20.0, 343.2), (35.0, 351.9)])
def test_sound_speed_agrees_with_published_tables(temperature_c, table_mps):
    assert sound_speed_mps(temperature_c) == pytest.approx(table_mps, abs=0.15)


def test_sound_speed_refuses_air_that_cannot_be():
    with pytest.raises(ValueError, match="-150"):
        sound_speed_mps(-150.0)


def test_speed_error_follows_from_the_temperature_error():
    sigma_mps = sound_speed_sigma_mps(Air(temperature_c=15.0, temperature_sigma_c=2.0))
    by_difference = (sound_speed_mps(16.0) - sound_speed_mps(14.0)) / 2.0 * 2.0
    assert sigma_mps == pytest.approx(by_difference, rel=1e-3)
    assert math.isclose(sigma_mps, 2 * 0.59, rel_tol=0.02)
