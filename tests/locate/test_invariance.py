"""Turning, shifting, renaming, reordering or delaying a whole scene moves its results along."""

import math

import numpy as np
import pytest

from appliance.locate import locate_incidents
from tests.locate.picked import AIR, FRAME, NET, heard, poses

SOURCE = (70.0, -55.0)
TOLERANCE_M = 0.1


def moved(place, turn_deg, shift_m):
    turn = math.radians(turn_deg)
    east, north = place
    return (
        east * math.cos(turn) - north * math.sin(turn) + shift_m[0],
        east * math.sin(turn) + north * math.cos(turn) + shift_m[1],
    )


def scene(turn_deg=0.0, shift_m=(0.0, 0.0), delay_s=0.0, names=None):
    """Three rounds with crooked paths, echoes and noise; the same draws whatever is done to the scene."""
    names = names or {n: n for n in NET}
    net = {names[n]: moved(NET[n], turn_deg, shift_m) for n in NET}
    source, rng, picks = moved(SOURCE, turn_deg, shift_m), np.random.default_rng(9), []
    for node in NET:
        path_s = rng.normal(0.003, 0.006)
        for time_s in (2.0, 2.7, 3.3):
            jitter_s = path_s + rng.normal(0.0, 0.0013)
            picks.append(heard(names[node], source, delay_s + time_s, jitter_s, 22.0, net))
            picks.append(heard(names[node], source, delay_s + time_s, jitter_s + rng.uniform(0.03, 0.4), 8.0, net))
        picks += [heard(names[node], source, delay_s + t, 0.0, 5.0, net) for t in rng.uniform(0.0, 6.0, 3)]
    return picks, poses(net)


@pytest.mark.parametrize(
    ("turn_deg", "shift_m", "delay_s", "names"),
    [
        (37.0, (0.0, 0.0), 0.0, None),
        (0.0, (813.0, -377.0), 0.0, None),
        (0.0, (0.0, 0.0), 86_400.137, None),
        (0.0, (0.0, 0.0), 0.0, dict(zip(NET, reversed(NET), strict=True))),
    ],
    ids=["turned", "shifted", "delayed", "renamed"],
)
def test_results_move_with_the_scene(turn_deg, shift_m, delay_s, names):
    (before,) = locate_incidents(*scene(), AIR)
    (after,) = locate_incidents(*scene(turn_deg, shift_m, delay_s, names), AIR)
    east_m, north_m, _ = FRAME.to_enu(before.position)
    there_m = FRAME.to_enu(after.position)[:2]
    assert (after.rounds, after.category) == (before.rounds, before.category)
    np.testing.assert_allclose(there_m, moved((east_m, north_m), turn_deg, shift_m), atol=TOLERANCE_M)
    assert after.time_ns - before.time_ns == pytest.approx(delay_s * 1e9, abs=1e6)
