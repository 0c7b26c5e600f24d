"""What makes a cell an onset."""

import numpy as np
import pytest

from appliance.dsp.onsets import OnsetRules, onset_at

RULES = OnsetRules(
    history=300,
    min_history=40,
    peak=5,
    before=10,
    guard=2,
    min_rise_db=3.0,
    min_prominence_db=4.0,
    short_history_db=6.0,
    blast=10,
    blast_age=40,
    blast_margin_db=6.0,
    min_blasts=3,
)


def test_prominence_is_the_rise_over_the_95_percent_quantile_of_300_ms():
    energies = np.ones(400)
    energies[50:350:12] = 4.0  # 8 % of the history
    energies[380] = 400.0

    onset = onset_at(energies, 380, [], RULES)

    assert onset is not None
    assert onset.prominence_db == pytest.approx(20.0)
    assert onset.is_accepted


def test_what_does_not_stand_out_is_not_accepted():
    energies = np.ones(400)
    energies[100:340] = 10.0
    energies[360] = 12.0

    onset = onset_at(energies, 360, [], RULES)

    assert onset is not None
    assert onset.rise_db > 3.0
    assert not onset.is_accepted


def test_what_does_not_rise_is_no_onset():
    assert onset_at(np.linspace(1.0, 2.0, 400), 380, [], RULES) is None


def test_too_little_history_is_no_onset():
    energies = np.ones(400)
    energies[30] = 1e6

    assert onset_at(energies, 30, [], RULES) is None


def burst(n_rounds: int, level: float = 1_000.0) -> tuple[np.ndarray, list[int]]:
    """Rounds 50 ms apart, each followed by a weak tail."""
    energies = np.ones(700)
    cells = [350 + 50 * k for k in range(n_rounds)]
    for cell in cells:
        energies[cell : cell + 40] = 20.0
        energies[cell : cell + 8] = level
    return energies, cells


def test_the_rounds_of_a_burst_do_not_hide_each_other():
    energies, cells = burst(6)

    last = onset_at(energies, cells[-1], cells[:-1], RULES)

    assert last is not None
    assert last.prominence_db == pytest.approx(10 * np.log10(1_000.0 / 20.0))


def test_louder_blasts_still_hide_an_echo():
    energies, cells = burst(5)
    energies[610] = 100.0

    echo = onset_at(energies, 610, cells, RULES)

    assert echo is not None
    assert not echo.is_accepted
