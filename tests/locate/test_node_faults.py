"""Bad nodes are named with the evidence, good ones are not, and good ones' poses get better."""

import numpy as np
import pytest

from appliance.locate.calibration import estimate_errors, propose_changes
from appliance.locate.node_faults import Ailment, find_faults
from appliance.locate.settings import LocateSettings
from appliance.locate.sightings import MAX_SIGHTINGS, Heard, linearise, remember
from appliance.locate.solve import Arrivals, prior_of, solve
from appliance.model.instants import UtcNs
from appliance.model.space import Geodetic, NodePose
from appliance.physics.geodesy import LocalFrame
from tests.locate.nets import AIR, SIX_M, heard

FRAME = LocalFrame(Geodetic(48.2, 16.37, 180.0))
NAMES = tuple(f"n{i}" for i in range(6))
POSES = {
    name: NodePose(name, FRAME.to_geodetic(*map(float, place)), 1.0, 0.0, 2.5)
    for name, place in zip(NAMES, SIX_M, strict=True)
}
PATH_S = 0.0005
SETTINGS = LocateSettings(path_sigma_s=PATH_S, path_late_sigma_s=PATH_S, path_tail_dof=1e6)


def located(seed, shots, *, true_m=SIX_M, late_s=0.0, turn_deg=0.0, missed=()):
    """Shots from many places, located with the surveyed positions; n4, in the middle, may be late or turned."""
    rng = np.random.default_rng(seed)
    is_bad = np.arange(6) == 4
    history = ()
    for k in range(shots):
        place_m = np.array([*rng.uniform(-220.0, 220.0, 2), 0.0])
        exact = heard(true_m, place_m, is_bad * late_s + rng.normal(0.0, PATH_S, 6), bearing_sigma_rad=0.05)
        bearing = exact.bearing_rad - is_bad * np.radians(turn_deg) + rng.normal(0.0, 0.03, 6)
        arrivals = Arrivals(SIX_M, exact.time_s, np.full(6, 0.003), bearing, np.full(6, 0.05))
        fix = solve(arrivals, place_m, AIR, SETTINGS)
        keep = Heard(NAMES, np.full(6, PATH_S), np.full(6, np.radians(2.5)), missed)
        at = (UtcNs(k * 10**9), FRAME.to_geodetic(*map(float, fix.place_m)))
        history = remember(history, linearise(fix, arrivals, keep, prior_of(arrivals, 0.0, AIR), at))
    return history


@pytest.mark.parametrize("late_s", [0.005, -0.008])
def test_a_clock_that_is_off_is_named_with_its_amount(late_s):
    (fault,) = find_faults(located(1, 40, late_s=late_s), POSES)
    assert (fault.node, fault.ailment) == ("n4", Ailment.CLOCK)
    assert fault.amount == pytest.approx(late_s, abs=4.0 * fault.sigma)
    assert ("late" if late_s > 0.0 else "early") in fault.words
    assert "shots" in fault.words


@pytest.mark.parametrize("turn_deg", [10.0, -14.0])
def test_an_array_that_points_elsewhere_is_named(turn_deg):
    (fault,) = find_faults(located(2, 25, turn_deg=turn_deg), POSES)
    assert (fault.node, fault.ailment) == ("n4", Ailment.HEADING)
    assert fault.amount == pytest.approx(turn_deg, abs=2.0)


def test_a_node_that_was_moved_is_named():
    moved_m = SIX_M.copy()
    moved_m[1, :2] += [9.0, -6.0]
    (fault,) = find_faults(located(3, 40, true_m=moved_m), POSES)
    assert (fault.node, fault.ailment) == ("n1", Ailment.POSITION)
    assert fault.amount == pytest.approx(np.hypot(9.0, 6.0), abs=2.5)


def test_a_deaf_node_is_named_and_a_far_one_is_not():
    poses = POSES | {"n9": NodePose("n9", FRAME.to_geodetic(100.0, 40.0, 6.0), 1.0)}
    (fault,) = find_faults(located(4, 12, missed=("n9",)), poses)
    assert (fault.node, fault.ailment) == ("n9", Ailment.DEAF)
    assert "12 of 12" in fault.words
    assert find_faults(located(4, 12), poses) == ()


@pytest.mark.parametrize("seed", range(4))
def test_a_healthy_net_is_not_blamed(seed):
    survey_m = np.clip(np.random.default_rng(seed).normal(0.0, 1.0, (6, 2)), -1.5, 1.5)
    assert find_faults(located(seed, 30, true_m=SIX_M + np.column_stack([survey_m, np.zeros(6)])), POSES) == ()


def test_positions_get_better_and_the_change_is_proposed_with_what_is_left():
    shift_m = np.random.default_rng(8).normal(0.0, 1.0, (6, 2))
    history = located(8, 50, true_m=SIX_M + np.column_stack([shift_m, np.zeros(6)]))
    changes = {c.node: c for c in propose_changes(estimate_errors(history, POSES), POSES)}
    assert set(changes) == set(NAMES)
    moved_m = np.array([(changes[n].east_m, changes[n].north_m) for n in NAMES])
    # A common shift cannot be heard.
    before_m = shift_m - shift_m.mean(axis=0)
    after_m = before_m - (moved_m - moved_m.mean(axis=0))
    assert np.sqrt((after_m**2).mean()) < 0.5 * np.sqrt((before_m**2).mean())
    assert all(0.0 < c.sigma_m < 1.0 for c in changes.values())
    assert all(40 <= c.sightings <= 50 for c in changes.values())


def test_a_few_shots_change_no_pose():
    assert propose_changes(estimate_errors(located(5, 10), POSES), POSES) == ()


def test_shots_from_one_place_count_once_and_the_memory_is_bounded():
    (first, *_) = located(6, 1)
    assert len(remember((first,), first)) == 1
    far = located(6, 30)
    assert len(far) > 25
    many = far * 20
    assert len(remember(many, first)) <= MAX_SIGHTINGS
