"""Who fired first."""

import pytest

from appliance.locate.order import FirstRound, first_shooter


def test_a_clear_lead_is_sure_and_a_tie_is_not():
    clear = first_shooter({1: FirstRound(0.0, 1e-6), 2: FirstRound(0.5, 1e-6)})
    assert (clear.shooter, clear.probability) == (1, 1.0)
    tie = first_shooter({1: FirstRound(0.0, 1e-4), 2: FirstRound(0.0, 1e-4)})
    assert tie.probability == pytest.approx(0.5)


def test_one_sigma_of_lead_is_84_percent():
    first = first_shooter({1: FirstRound(0.010, 0.5e-4), 2: FirstRound(0.0, 0.5e-4)})
    assert first.shooter == 2
    assert first.probability == pytest.approx(0.841, abs=0.001)


def test_one_shooter_alone_has_no_order():
    assert first_shooter({1: FirstRound(0.0, 1e-6)}) is None
