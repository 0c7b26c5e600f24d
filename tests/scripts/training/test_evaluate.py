"""Figures of a classifier: what they count, and that intervals and calibration mean what they say."""

import numpy as np
import pytest
from training import evaluate
from training.corpus import WORK_RATE_HZ
from training.evaluate import Calibration, Heard, Outcome

from appliance.dsp.features import log_mel_patch
from appliance.model.classes import CLASSES, SoundClass

GUNSHOT, IMPACT = CLASSES.index(SoundClass.GUNSHOT), CLASSES.index(SoundClass.IMPACT)


def outcome(gunshot: list[float], is_gunshot: list[bool], groups: list[str] | None = None) -> Outcome:
    """Rows of these gunshot probabilities; what is no gunshot is an impact."""
    probabilities = np.zeros((len(gunshot), len(CLASSES)))
    probabilities[:, GUNSHOT] = gunshot
    probabilities[:, IMPACT] = 1.0 - np.array(gunshot)
    classes = np.where(is_gunshot, GUNSHOT, IMPACT)
    labels = np.where(is_gunshot, "gunshot", "impact")
    return Outcome(probabilities, classes, labels, np.array(groups or [str(k) for k in range(len(gunshot))]))


def test_passing_counts_what_reaches_the_threshold_that_nearly_all_gunshots_reach():
    o = outcome([0.9] * 100 + [0.95, 0.1, 0.1, 0.1], [True] * 100 + [False] * 4)
    assert evaluate.threshold(o) == pytest.approx(0.9)
    assert evaluate.impulses_passing(o) == 0.25
    assert np.isnan(evaluate.fireworks_passing(o))


def test_area_under_the_curve_is_one_for_a_perfect_order_and_half_for_chance():
    assert evaluate.auc(outcome([0.9, 0.8, 0.2], [True, True, False])) == 1.0
    assert evaluate.auc(outcome([0.5] * 9, [True] * 4 + [False] * 5)) == 0.5
    rng = np.random.default_rng(1)
    chance = outcome(list(rng.random(4_000)), list(rng.random(4_000) < 0.5))
    assert evaluate.auc(chance) == pytest.approx(0.5, abs=0.03)


def test_the_interval_is_wider_when_the_same_onsets_come_of_fewer_sources():
    rng = np.random.default_rng(3)
    truth = [True] * 100 + [False] * 100
    chances = list(np.concatenate([rng.uniform(0.3, 1.0, 100), rng.uniform(0.0, 0.7, 100)]))
    # Sources differ from each other more than the onsets of one: those of one source share their order.
    chances = sorted(chances[:100]) + sorted(chances[100:])
    many = evaluate.interval(evaluate.auc, outcome(chances, truth))
    few = evaluate.interval(evaluate.auc, outcome(chances, truth, [str(k // 20) for k in range(200)]))
    assert many[0] < evaluate.auc(outcome(chances, truth)) < many[1]
    assert few[1] - few[0] > 1.5 * (many[1] - many[0])


def test_calibration_undoes_overconfidence():
    rng = np.random.default_rng(4)
    honest = np.zeros((6_000, len(CLASSES)))
    honest[:, 2:] = -20.0
    honest[:, 0] = rng.normal(0.0, 2.0, 6_000)
    truth = rng.random(6_000) < 1.0 / (1.0 + np.exp(-honest[:, 0]))
    calibration = evaluate.calibrate(3.0 * honest, truth)
    assert calibration.temperature == pytest.approx(3.0, rel=0.1)
    probabilities = evaluate.softmax(calibration.apply(3.0 * honest))
    classes = np.where(truth, GUNSHOT, IMPACT)
    labels = np.where(truth, "gunshot", "impact")
    o = Outcome(probabilities, classes, labels, labels)
    assert evaluate.calibration_error(o) < 0.03
    over = Outcome(evaluate.softmax(Calibration().apply(3.0 * honest)), classes, labels, labels)
    assert evaluate.calibration_error(over) > 0.05


def test_reliability_holds_every_onset_once_and_shows_what_was_true():
    table = evaluate.reliability(outcome([0.05, 0.05, 0.75, 0.95, 1.0], [False, True, False, True, True]))
    assert table == [[2, 0.05, 0.5], [1, 0.75, 0.0], [2, 0.975, 1.0]]


@pytest.mark.parametrize("rate_hz", [8_000, 48_000])
def test_a_sound_at_another_rate_gives_the_same_patch(rate_hz):
    rng = np.random.default_rng(6)
    onset = 8_000
    sound = rng.normal(0.0, 0.01, 20_000)
    sound[onset : onset + 400] += rng.normal(size=400) * np.exp(-np.arange(400) / 100.0)
    heard = Heard(sound.astype(np.float32), onset, 0, direct=True)
    again = evaluate.at_rate(heard, rate_hz)
    patch = log_mel_patch(heard.samples, WORK_RATE_HZ, heard.onset)
    assert np.abs(log_mel_patch(again.samples, rate_hz, again.onset) - patch).mean() < 0.01
