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
    tail=20,
    min_tail_rise_db=-2.0,
    min_tail_prominence_db=2.5,
)


def test_prominence_is_the_rise_over_the_95_percent_quantile_of_300_ms():
    energies = np.ones(400)
    energies[50:350:12] = 4.0  # 8 % of the history
    energies[380] = 400.0

    onset = onset_at(energies, 380, RULES)

    assert onset is not None
    assert onset.prominence_db == pytest.approx(20.0)
    assert onset.is_accepted


def test_what_does_not_stand_out_is_not_accepted():
    energies = np.ones(400)
    energies[100:340] = 10.0
    energies[360] = 12.0

    onset = onset_at(energies, 360, RULES)

    assert onset is not None
    assert onset.rise_db > 3.0
    assert not onset.is_accepted


def test_what_does_not_rise_is_no_onset():
    assert onset_at(np.linspace(1.0, 2.0, 400), 380, RULES) is None


def test_too_little_history_is_no_onset():
    energies = np.ones(400)
    energies[30] = 1e6

    assert onset_at(energies, 30, RULES) is None


def tail_of_a_blast(rise: float) -> np.ndarray:
    """A blast 60 cells ago, a tail a hundredth as strong, and something in it that is `rise` times the tail."""
    energies = np.ones(700)
    energies[400:420] = 1_000.0
    energies[420:] = 10.0
    energies[460:464] = 10.0 * rise
    return energies


def test_what_rises_from_the_tail_of_a_blast_is_faint_within_a_burst():
    onset = onset_at(tail_of_a_blast(4.0), 460, RULES, in_burst=True)

    assert onset is not None
    assert onset.is_faint
    assert not onset.is_accepted
    assert onset.tail_db == pytest.approx(10 * np.log10(4.0))


def test_what_rises_from_the_tail_is_refused_outside_a_burst():
    onset = onset_at(tail_of_a_blast(4.0), 460, RULES)

    assert onset is not None
    assert not onset.is_faint
    assert onset.refusal


def test_a_ripple_of_the_tail_is_no_onset_even_within_a_burst():
    assert onset_at(tail_of_a_blast(1.5), 460, RULES, in_burst=True) is None


def test_what_stands_out_needs_no_repetition_within_a_burst():
    onset = onset_at(tail_of_a_blast(1_000.0), 460, RULES, in_burst=True)

    assert onset is not None
    assert onset.is_accepted


def test_a_round_that_rises_from_the_noise_is_not_hidden_by_the_rounds_before():
    energies = np.ones(700)
    for cell in range(160, 460, 50):
        energies[cell : cell + 10] = 1_000.0
    energies[460:464] = 20.0

    quiet, unknown = (onset_at(energies, 460, RULES, floor=floor) for floor in (1.0, 0.01))

    assert quiet is not None
    assert unknown is not None
    assert quiet.is_accepted
    assert quiet.prominence_db == pytest.approx(10 * np.log10(20.0) - 2.5)
    assert not unknown.is_accepted
