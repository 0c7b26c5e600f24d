"""Self-calibration: how well nodes know each other after located shots, and whether bad ones are named.

In each trial the nodes of a net stand where their survey says within 1 m, and shots from different places are located
one after the other with those positions; then all of them are asked about the nodes. The bound is the posterior of the
same linear problem at the truth, with the same priors. Relative errors are what is left after the best common shift
and turn, which no sound can see.

    scripts/benchmarks/calibration.py [--trials N]
"""

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pickworld import FRAME

from appliance.locate.calibration import CLOCK, OF_NODE, estimate_errors, if_free
from appliance.locate.node_faults import Ailment, find_faults
from appliance.locate.settings import LocateSettings
from appliance.locate.sightings import Heard, Sighting, linearise
from appliance.locate.solve import Arrivals, prior_of, solve
from appliance.model.air import Air
from appliance.model.instants import UtcNs
from appliance.model.space import NodePose
from appliance.physics.air import sound_speed_mps
from appliance.physics.propagation import travel_times

Floats = NDArray[np.float64]

RESULT = Path(__file__).resolve().parents[2] / "tests" / "benchmarks" / "results" / "calibration.json"
AIR = Air(temperature_c=15.0, temperature_sigma_c=1.0, wind_sigma_mps=1.5)
SURVEY_M = 1.0
HEADING_DEG = 2.5
BEARING_DEG = 2.0
HEARING_M = 800.0
START_M = 15.0
CLOCK_OFF_S = 0.005
HEADING_OFF_DEG = 10.0


class World:
    """One net with its errors, and shots located in it."""

    def __init__(self, seed: int, n_nodes: int, path_s: float) -> None:
        """`path_s` is what an arrival is off by, anew at each place; the localiser is told so."""
        self.rng = np.random.default_rng([seed, n_nodes])
        side_m = 250.0 * np.sqrt(n_nodes / 5.0)
        self.half_m = side_m
        self.surveyed_m = self._spread(n_nodes)
        shift_m = self.rng.normal(0.0, SURVEY_M, (n_nodes, 2))
        self.true_m = self.surveyed_m + np.column_stack([shift_m, np.zeros(n_nodes)])
        self.turn_rad = np.radians(self.rng.normal(0.0, HEADING_DEG, n_nodes))
        self.clock_s = np.zeros(n_nodes)
        self.path_s = path_s
        self.settings = LocateSettings(path_sigma_s=path_s, path_late_sigma_s=path_s, path_tail_dof=1e6)
        self.names = tuple(f"n{i:02d}" for i in range(n_nodes))
        self.poses = {
            name: NodePose(name, FRAME.to_geodetic(*map(float, place)), SURVEY_M, 0.0, HEADING_DEG)
            for name, place in zip(self.names, self.surveyed_m, strict=True)
        }

    def _spread(self, n_nodes: int) -> Floats:
        while True:
            place_m = self.rng.uniform(-self.half_m, self.half_m, (n_nodes, 2))
            apart_m = np.sqrt(((place_m[:, None] - place_m[None]) ** 2).sum(axis=2)) + 1e9 * np.eye(n_nodes)
            if apart_m.min() > 100.0:
                return np.column_stack([place_m, self.rng.uniform(4.0, 9.0, n_nodes)])

    def shot(self) -> Sighting | None:
        """One shot from anywhere in the net, heard by the nodes within reach, and located; None if too few heard it."""
        rng = self.rng
        place_m = np.array([*rng.uniform(-self.half_m, self.half_m, 2), rng.normal(0.0, 2.0)])
        air_mps = np.array([sound_speed_mps(AIR.temperature_c) + rng.normal(0.0, 0.6), *rng.normal(0.0, 1.5, 2)])
        near = np.flatnonzero(np.hypot(*(self.true_m - place_m)[:, :2].T) < HEARING_M)
        if len(near) < 4:
            return None
        time_s = travel_times(place_m, self.true_m[near], air_mps[0], (air_mps[1], air_mps[2])).time_s
        time_s += self.clock_s[near] + rng.normal(0.0, self.path_s, len(near))
        east_m, north_m = (place_m[:2] - self.true_m[near, :2]).T
        bearing = (
            np.arctan2(east_m, north_m) - self.turn_rad[near] + np.radians(rng.normal(0.0, BEARING_DEG, len(near)))
        )
        sigma_s = np.full(len(near), SURVEY_M / 340.0)
        bearing_sigma = np.full(len(near), np.radians(np.hypot(BEARING_DEG, HEADING_DEG)))
        arrivals = Arrivals(self.surveyed_m[near], time_s, sigma_s, bearing, bearing_sigma)
        start_m = np.array([*(place_m[:2] + rng.normal(0.0, START_M, 2)), 0.0])
        fix = solve(arrivals, start_m, AIR, self.settings)
        heard = Heard(
            tuple(self.names[i] for i in near),
            np.full(len(near), self.path_s),
            np.full(len(near), np.radians(HEADING_DEG)),
        )
        at = (UtcNs(0), FRAME.to_geodetic(*map(float, fix.place_m)))
        return linearise(fix, arrivals, heard, prior_of(arrivals, 0.0, AIR), at)

    def shots(self, count: int) -> list[Sighting]:
        """As many located shots."""
        found: list[Sighting] = []
        while len(found) < count:
            sighting = self.shot()
            if sighting is not None:
                found.append(sighting)
        return found


def relative_projection(place_m: Floats) -> Floats:
    """Projection of node shifts (east, north of each, shape (2 n,)) onto what is no common shift and no turn."""
    n = len(place_m)
    shifts = np.tile(np.eye(2), (n, 1))
    turn = np.column_stack([place_m[:, 1], -place_m[:, 0]]).reshape(-1, 1)
    basis, _ = np.linalg.qr(np.hstack([shifts, turn]))
    return np.eye(2 * n) - basis @ basis.T


def known_apart(trials: int, n_nodes: int, path_s: float, counts: tuple[int, ...]) -> list[dict[str, Any]]:
    """Relative node errors against the bound after some numbers of shots."""
    squares = {count: [0.0, 0.0, 0.0] for count in counts}
    for trial in range(trials):
        world = World(trial, n_nodes, path_s)
        history = world.shots(max(counts))
        project = relative_projection(world.surveyed_m)
        shift_m = (world.true_m - world.surveyed_m)[:, :2].ravel()
        for count in counts:
            errors = estimate_errors(history[:count], world.poses)
            own = (OF_NODE * np.arange(n_nodes)[:, None] + np.arange(2)).ravel()
            left_m = project @ (errors.mean[own] - shift_m)
            bound_m2 = project @ errors.covariance[np.ix_(own, own)] @ project
            squares[count][0] += float(left_m @ left_m) / n_nodes
            squares[count][1] += float(np.trace(bound_m2)) / n_nodes
            squares[count][2] += float((project @ shift_m) @ (project @ shift_m)) / n_nodes
    rows = []
    for count, (error, bound, before) in squares.items():
        rms, bound_m, before_m = (float(np.sqrt(v / trials / 2.0)) for v in (error, bound, before))
        rows.append(
            {
                "nodes": n_nodes,
                "path_ms": path_s * 1e3,
                "shots": count,
                "before_m": round(before_m, 3),
                "rms_m": round(rms, 3),
                "bound_m": round(bound_m, 3),
                "ratio": round(rms / bound_m, 3),
            }
        )
    return rows


def named(trials: int, n_nodes: int, path_s: float, shots: int) -> dict[str, Any]:
    """How often a bad clock, a turned array and nothing at all are named, and how often a healthy node is."""
    clock = can = clock_can = heading = blamed = false = 0
    for trial in range(trials):
        for bad in (None, Ailment.CLOCK, Ailment.HEADING):
            world = World(1_000 + trial, n_nodes, path_s)
            if bad is Ailment.CLOCK:
                world.clock_s[1] = CLOCK_OFF_S * (-1.0) ** trial
            if bad is Ailment.HEADING:
                world.turn_rad[1] = np.radians(HEADING_OFF_DEG) * (-1.0) ** trial
            history = world.shots(shots)
            faults = find_faults(history, world.poses)
            right = [f for f in faults if f.node == world.names[1] and f.ailment is bad]
            if bad is Ailment.CLOCK:
                _, sigma_s = if_free(estimate_errors(history, world.poses), OF_NODE + CLOCK, 0.1)
                clock += bool(right)
                can += sigma_s < CLOCK_OFF_S / 5.0
                clock_can += sigma_s < CLOCK_OFF_S / 5.0 and bool(right)
            heading += bad is Ailment.HEADING and bool(right)
            others = [f for f in faults if f not in right]
            false += bool(others) and bad is None
            blamed += bool(others) and bad is not None
    return {
        "nodes": n_nodes,
        "path_ms": path_s * 1e3,
        "shots": shots,
        "trials": trials,
        "clock_5_ms_named": round(clock / trials, 3),
        "nets_that_can_tell_5_ms_at_5_sigma": round(can / trials, 3),
        "of_these_named": round(clock_can / can, 3) if can else None,
        "heading_10_deg_named": round(heading / trials, 3),
        "healthy_net_blamed": round(false / trials, 3),
        "something_else_blamed_too": round(blamed / (2 * trials), 3),
    }


def main() -> int:
    """Print the figures and keep them."""
    parser = argparse.ArgumentParser(description="Score self-calibration on simulated nets.")
    parser.add_argument("--trials", type=int, default=40, metavar="N", help="nets of each kind (40)")
    trials = parser.parse_args().trials
    result: dict[str, Any] = {
        "command": "scripts/bench calibration",
        "conditions": {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()},
        "known_apart": [],
        "named": [],
    }
    for n_nodes, path_s in ((5, 0.0003), (5, 0.003), (20, 0.0003)):
        rows = known_apart(trials, n_nodes, path_s, (10, 50))
        result["known_apart"].extend(rows)
        for row in rows:
            print(row, flush=True)
    for n_nodes, path_s in ((5, 0.0003), (5, 0.003), (8, 0.007)):
        result["named"].append(named(trials, n_nodes, path_s, 50))
        print(result["named"][-1], flush=True)
    if len(sys.argv) == 1:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
