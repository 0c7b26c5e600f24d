import numpy as np
import pytest

from appliance.model.space import Geodetic
from appliance.physics.geodesy import LocalFrame
from appliance.pipeline.survey import DONE_MINUTES, SURVEYED_MINUTES, Survey

HERE = Geodetic(-33.86, 151.21, 30.0)
FRAME = LocalFrame(HERE)


class Receiver:
    """A receiver whose error wanders over a quarter of an hour, and jitters from fix to fix."""

    def __init__(self, seed=1, *, sigma_m=2.5):
        self._rng = np.random.default_rng(seed)
        self._error_m = self._rng.normal(0.0, sigma_m, 3)
        self._sigma_m = sigma_m
        self.now_s = 0.0
        self.at_m = np.zeros(3)

    def feed(self, survey, minutes, *, every_s=6.0):
        keep = np.exp(-every_s / 900.0)
        for _ in range(round(minutes * 60 / every_s)):
            self.now_s += every_s
            step_m = self._rng.normal(0.0, self._sigma_m * np.sqrt(1 - keep**2), 3)
            self._error_m = keep * self._error_m + step_m
            survey.feed(self.now_s, FRAME.to_geodetic(*(self.at_m + self._error_m + self._rng.normal(0.0, 0.3, 3))))


def error_m(surveyed, at_m=(0.0, 0.0, 0.0)):
    offset_m = FRAME.to_enu(surveyed.position) - np.array(at_m)
    return float(np.hypot(offset_m[0], offset_m[1]))


def test_hours_make_a_better_place_than_a_fix_and_the_error_says_how_good():
    errors, sigmas = [], []
    for seed in range(8):
        survey = Survey()
        Receiver(seed).feed(survey, 6 * 60)
        known = survey.surveyed()
        errors.append(error_m(known) / np.sqrt(2.0))
        sigmas.append(known.sigma_m)
    assert np.sqrt(np.mean(np.square(errors))) < 1.0
    assert np.sqrt(np.mean(np.square(errors))) < 1.3 * np.mean(sigmas)
    assert known.is_usable
    assert not known.is_done


def test_the_circular_error_is_the_median_distance_of_a_minute():
    survey = Survey()
    Receiver(3).feed(survey, DONE_MINUTES + 1, every_s=6.0)
    # Per axis 2.5 m: half of all minutes lie within 1.18 of that.
    assert survey.surveyed().cep_m == pytest.approx(1.18 * 2.5, rel=0.3)


def test_a_few_minutes_are_no_survey_yet():
    survey = Survey()
    assert survey.surveyed() is None
    receiver = Receiver()
    receiver.feed(survey, 3)
    assert not survey.surveyed().is_usable
    receiver.feed(survey, SURVEYED_MINUTES)
    assert survey.surveyed().is_usable


def test_after_a_day_the_place_stands():
    survey, receiver = Survey(), Receiver()
    receiver.feed(survey, DONE_MINUTES + 2, every_s=6.0)
    done = survey.surveyed()
    assert done.is_done
    receiver.feed(survey, 60)
    assert survey.surveyed() == done


def test_a_node_that_was_carried_away_is_noticed_within_minutes_and_surveyed_anew():
    survey, receiver = Survey(), Receiver()
    receiver.feed(survey, 60)
    assert survey.surveyed().moved_m == 0.0
    receiver.at_m = np.array([80.0, 0.0, 0.0])
    receiver.feed(survey, 6)
    known = survey.surveyed()
    assert known.moved_m == pytest.approx(80.0, abs=12.0)
    assert error_m(known, (80.0, 0.0, 0.0)) < 10.0
    assert not known.is_usable


def test_a_reflection_of_a_minute_or_two_neither_moves_the_node_nor_its_place():
    survey, receiver = Survey(), Receiver()
    receiver.feed(survey, 60)
    before = survey.surveyed()
    receiver.at_m = np.array([80.0, 0.0, 0.0])
    receiver.feed(survey, 2)
    receiver.at_m = np.zeros(3)
    receiver.feed(survey, 10)
    after = survey.surveyed()
    assert after.moved_m == 0.0
    assert error_m(after) == pytest.approx(error_m(before), abs=2.5)


def test_reflections_that_come_and_go_do_not_add_up_to_a_move():
    survey, receiver = Survey(), Receiver()
    receiver.feed(survey, 60)
    for _ in range(5):
        receiver.at_m = np.array([80.0, 0.0, 0.0])
        receiver.feed(survey, 2)
        receiver.at_m = np.zeros(3)
        receiver.feed(survey, 3)
    assert survey.surveyed().moved_m == 0.0


def test_what_is_remembered_is_where_the_next_start_goes_on():
    survey, receiver = Survey(), Receiver()
    receiver.feed(survey, 120)
    again = Survey(survey.sums)
    assert again.surveyed() == survey.surveyed()
    receiver.feed(again, 5)
    assert again.surveyed().minutes > survey.surveyed().minutes


def test_a_node_that_was_moved_while_it_was_off_is_noticed():
    survey, receiver = Survey(), Receiver()
    receiver.feed(survey, 120)
    again = Survey(survey.sums)
    receiver.at_m = np.array([0.0, -300.0, 0.0])
    receiver.feed(again, 5)
    assert again.surveyed().moved_m == pytest.approx(300.0, abs=12.0)


def test_a_minute_with_hardly_any_fix_does_not_count():
    survey = Survey()
    for minute in range(30):
        survey.feed(minute * 60.0, HERE)
    assert survey.surveyed() is None
