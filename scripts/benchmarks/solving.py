"""The solver against the Cramér-Rao bound, its ellipses, liars, rounds relative to each other, shooters, order, cost.

Arrivals are drawn from seeds and belong to one source each; finding out which do is `association`'s bench. A solve
starts 20 m (1-sigma per axis) from the truth, as an association would have it; of mirror places the true side is given.

    scripts/benchmarks/solving.py [--draws N]

Model of a draw: nodes in a square of 500 m known to 1 m, readings and turbulence of 0.3 ms, sound speed known to
0.6 m/s, wind to 1.5 m/s, source height to 12 m; inside means in the nodes' hull, outside up to a square of 1 km around.
"Late": one arrival of five comes later by an exponential delay of 12 ms. The solver knows these numbers. The bound is
that of the same geometry at the truth with the same priors, with late arrivals that of their density; errors are scored
in units of it, draw by draw. An oracle that is told which arrivals are late, and leaves them out, is scored beside.
"""

import argparse
import dataclasses
import json
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial import ConvexHull, Delaunay

from appliance.locate.ground import SOURCE_HEIGHT_SIGMA_M
from appliance.locate.lateness import settle_lateness
from appliance.locate.order import FirstRound, first_shooter
from appliance.locate.paths import path_log_density, path_sigmas_s
from appliance.locate.relative import Reference, RelativeRounds, relate_rounds
from appliance.locate.settings import DEFAULT_SETTINGS, LocateSettings
from appliance.locate.shooters import count_shooters
from appliance.locate.solve import Arrivals, Fix, prior_of, solve
from appliance.locate.uncertainty import CHI2_95_OF_TWO
from appliance.model.air import Air
from appliance.physics.air import sound_speed_mps, sound_speed_sigma_mps
from appliance.physics.propagation import travel_time_s, travel_times

Floats = NDArray[np.float64]

RESULT = Path(__file__).resolve().parents[2] / "tests" / "benchmarks" / "results" / "solving.json"
AIR = Air(temperature_c=15.0, temperature_sigma_c=1.0, wind_sigma_mps=1.5)
SIGMA_S = float(np.hypot(1.0 / sound_speed_mps(15.0), 0.0003))
LATE_SHARE, LATE_S = 0.2, 0.012
START_M = 20.0
LEAD_S = 0.004
"""1-sigma by which one of two fires first where the order is asked for: longer leads are always told right."""
SIGHT = LocateSettings(path_sigma_s=0.0, path_late_sigma_s=0.0, path_tail_dof=1e6)
LATE = dataclasses.replace(SIGHT, late_share=LATE_SHARE, late_scale_s=LATE_S, wrong_share=1e-3)
STRATA = {"3-4": (3, 4), "5-7": (5, 7), "8-12": (8, 12)}


@dataclasses.dataclass(frozen=True)
class Draw:
    """One source as its nodes heard it, and the truth."""

    arrivals: Arrivals
    is_late: NDArray[np.bool_]
    place_m: Floats
    air_mps: Floats
    start_m: Floats


def draw_net(rng: np.random.Generator, n: int) -> Floats:
    """Nodes in the square, 60 m apart at least and no line of them, shape (n, 3)."""
    while True:
        place_m = rng.uniform(-250.0, 250.0, (n, 2))
        apart_m = np.sqrt(((place_m[:, None] - place_m[None]) ** 2).sum(axis=2)) + 1e9 * np.eye(n)
        if apart_m.min() > 60.0 and ConvexHull(place_m).volume > 37_500.0:
            return np.column_stack([place_m, rng.uniform(4.0, 9.0, n)])


def draw_place(rng: np.random.Generator, nodes_m: Floats, *, inside: bool) -> Floats:
    """A source in or out of the nodes' hull, 15 m from any node."""
    hull = Delaunay(nodes_m[:, :2])
    while True:
        place_m = rng.uniform(-500.0, 500.0, 2)
        if bool(hull.find_simplex(place_m) >= 0) == inside and np.hypot(*(nodes_m[:, :2] - place_m).T).min() > 15.0:
            return np.array([*place_m, rng.normal(0.0, SOURCE_HEIGHT_SIGMA_M)])


def draw(rng: np.random.Generator, n: int, *, inside: bool, late: bool) -> Draw:
    """One source with its arrivals."""
    nodes_m = draw_net(rng, n)
    place_m = draw_place(rng, nodes_m, inside=inside)
    speed_mps = sound_speed_mps(AIR.temperature_c) + rng.normal(0.0, sound_speed_sigma_mps(AIR))
    air_mps = np.array([speed_mps, *rng.normal(0.0, AIR.wind_sigma_mps, 2)])
    time_s = travel_time_s(place_m, nodes_m, air_mps[0], (air_mps[1], air_mps[2])) + rng.normal(0.0, SIGMA_S, n)
    is_late = rng.random(n) < (LATE_SHARE if late else 0.0)
    time_s = time_s + is_late * rng.exponential(LATE_S, n)
    nan = np.full(n, np.nan)
    arrivals = Arrivals(nodes_m, time_s, np.full(n, SIGMA_S), nan, nan)
    start_m = np.array([*(place_m[:2] + rng.normal(0.0, START_M, 2)), 0.0])
    return Draw(arrivals, is_late, place_m, air_mps, start_m)


def settled(arrivals: Arrivals, start_m: Floats, settings: LocateSettings) -> Fix:
    """The fix as it would be published."""
    fix = solve(arrivals, start_m, AIR, settings)
    if settings.late_share > 0.0:
        return settle_lateness(fix, arrivals, prior_of(arrivals, 0.0, AIR), settings)
    return fix


def information_factor(settings: LocateSettings) -> float:
    """Fisher information of one arrival time over that of its Gaussian core alone, by numerical integration."""
    lag_s = np.linspace(-8.0 * SIGMA_S, 8.0 * SIGMA_S + 12.0 * LATE_S, 40_001)
    scales_s = path_sigmas_s(np.full(len(lag_s), SIGMA_S), settings)
    log_density = path_log_density(lag_s, *scales_s, settings)
    slope = np.gradient(log_density, lag_s)
    return float((slope**2 * np.exp(log_density)).sum() * (lag_s[1] - lag_s[0]) * SIGMA_S**2)


def bound_m2(drawn: Draw, factor: float) -> Floats:
    """Cramér-Rao bound of the horizontal place, with priors, shape (2, 2)."""
    wind = (float(drawn.air_mps[1]), float(drawn.air_mps[2]))
    travel = travel_times(drawn.place_m, drawn.arrivals.enu_m, float(drawn.air_mps[0]), wind)
    jacobian = np.vstack([travel.slopes, np.ones(len(travel.time_s))])
    prior = np.diag(prior_of(drawn.arrivals, 0.0, AIR).precision)
    return np.linalg.inv(factor * (jacobian / SIGMA_S**2) @ jacobian.T + prior)[:2, :2]


def stratum(seed: int, nodes: tuple[int, int], draws: int, *, inside: bool, late: bool) -> dict[str, Any]:
    """Errors in units of the bound, coverage and area of one stratum."""
    rng = np.random.default_rng(seed)
    settings = LATE if late else SIGHT
    factor = information_factor(LATE) if late else 1.0
    ratio2, sight2, oracle2, covered, area, square = [], [], [], [], [], []
    for _ in range(draws):
        drawn = draw(rng, int(rng.integers(nodes[0], nodes[1] + 1)), inside=inside, late=late)
        fix = settled(drawn.arrivals, drawn.start_m, settings)
        error_m = (fix.place_m - drawn.place_m)[:2]
        bound = bound_m2(drawn, factor)
        covariance = fix.covariance[:2, :2]
        ratio2.append(error_m @ error_m / np.trace(bound))
        sight2.append(error_m @ error_m / np.trace(bound_m2(drawn, 1.0)))
        square.append(error_m @ np.linalg.solve(covariance, error_m))
        covered.append(square[-1] < CHI2_95_OF_TWO)
        area.append(np.sqrt(np.linalg.det(covariance) / np.linalg.det(bound)))
        oracle2.append(_oracle2(drawn, bound) if late else np.nan)
    told = [v for v in oracle2 if np.isfinite(v)]
    return {
        "where": "inside" if inside else "outside",
        "nodes": f"{nodes[0]}-{nodes[1]}",
        "late": late,
        "draws": draws,
        "rms_over_bound": _rms(ratio2),
        "rms_over_bound_without_worst_1_percent": _rms(sorted(ratio2)[: int(0.99 * draws)]),
        "rms_over_bound_in_sight": _rms(sight2),
        "oracle_over_bound_without_worst_1_percent": _rms(sorted(told)[: int(0.99 * len(told))]) if late else None,
        "coverage": round(float(np.mean(covered)), 4),
        "mean_square_sigmas": round(float(np.mean(square)), 2),
        "area_over_bound_median": round(float(np.median(area)), 3),
        "area_over_bound_mean": round(float(np.mean(area)), 3),
    }


def _oracle2(drawn: Draw, bound: Floats) -> float:
    """Squared error over the bound of a solve without the late arrivals; nan where fewer than three are left."""
    good = ~drawn.is_late
    if good.sum() < 3:
        return float("nan")
    a = drawn.arrivals
    left = Arrivals(a.enu_m[good], a.time_s[good], a.sigma_s[good], a.bearing_rad[good], a.bearing_sigma_rad[good])
    error_m = (solve(left, drawn.start_m, AIR, SIGHT).place_m - drawn.place_m)[:2]
    return float(error_m @ error_m / np.trace(bound))


def _rms(squares: Sequence[float]) -> float:
    return round(float(np.sqrt(np.mean(squares))), 3)


def liars(draws: int, settings: LocateSettings, name: str) -> dict[str, Any]:
    """How often one node of six or more that is off by 20 ms moves the fix out of its ellipse, and by how much."""
    rng = np.random.default_rng(5)
    out, moved_m = 0, []
    for k in range(draws):
        drawn = draw(rng, int(rng.integers(6, 11)), inside=k % 2 == 0, late=False)
        honest = settled(drawn.arrivals, drawn.start_m, settings)
        lie_s = np.where(np.arange(len(drawn.is_late)) == rng.integers(len(drawn.is_late)), 0.02 * (-1.0) ** k, 0.0)
        lied = dataclasses.replace(drawn.arrivals, time_s=drawn.arrivals.time_s + lie_s)
        fix = settled(lied, drawn.start_m, settings)
        away_m = (fix.place_m - honest.place_m)[:2]
        out += away_m @ np.linalg.solve(fix.covariance[:2, :2], away_m) > CHI2_95_OF_TWO
        moved_m.append(float(np.hypot(*away_m)))
    return {
        "noise": name,
        "draws": draws,
        "moved_beyond_ellipse": round(out / draws, 4),
        "moved_median_m": round(float(np.median(moved_m)), 2),
        "moved_p95_m": round(float(np.quantile(moved_m, 0.95)), 2),
    }


@dataclasses.dataclass(frozen=True)
class Volley:
    """Rounds heard by one net, related to each other, with the truth."""

    rounds: RelativeRounds
    place_m: Floats
    time_s: Floats
    who: NDArray[np.int64]
    bound_m2: Floats


def volley(
    rng: np.random.Generator, n: int, each: Sequence[int], apart_m: float, scatter_s: float, lead_s: float = 0.4
) -> Volley:
    """As many rounds of each shooter, `apart_m` apart, through paths of 7 ms that all rounds share.

    The second one's first round comes after the other's, or before, by `lead_s` (1-sigma).
    """
    nodes_m = draw_net(rng, n)
    place_m = draw_place(rng, nodes_m, inside=True)
    turn = rng.uniform(0.0, 2.0 * np.pi)
    spots_m = [place_m, place_m + apart_m * np.array([np.cos(turn), np.sin(turn), 0.0])]
    starts_s = [0.0, float(rng.normal(0.0, lead_s))]
    times = [starts_s[s] + np.cumsum([0.0, *rng.lognormal(np.log(0.5), 0.35, k - 1)]) for s, k in enumerate(each)]
    time_s = np.concatenate(times)
    who = np.repeat(np.arange(len(each)), each)
    order = np.argsort(time_s, kind="stable")
    time_s, who = time_s[order], who[order]
    speed_mps = sound_speed_mps(AIR.temperature_c) + rng.normal(0.0, 0.6)
    arrival_s = np.array([travel_time_s(spots_m[w], nodes_m, speed_mps) + t for w, t in zip(who, time_s, strict=True)])
    arrival_s += rng.normal(0.0, 0.007, n) + rng.normal(0.0, scatter_s, arrival_s.shape)
    base_m = np.array([*(place_m[:2] + rng.normal(0.0, 3.0, 2)), 0.0])
    air_mps = np.array([sound_speed_mps(AIR.temperature_c), 0.0, 0.0])
    lag_s = arrival_s[0] - travel_time_s(base_m, nodes_m, float(air_mps[0])) - time_s[0]
    settings = dataclasses.replace(DEFAULT_SETTINGS, round_sigma_s=scatter_s)
    rounds = relate_rounds(arrival_s, nodes_m, Reference(base_m, air_mps, lag_s), settings)
    slopes = np.vstack([travel_times(place_m, nodes_m, speed_mps).slopes[:2], np.ones(n)])
    bound = np.linalg.inv(slopes @ slopes.T)[:2, :2] * scatter_s**2
    return Volley(rounds, np.array([spots_m[w][:2] for w in who]), time_s, who, bound)


def relative(draws: int, scatter_s: float) -> dict[str, Any]:
    """Round-to-round errors of one shooter against the bound (the same paths for all rounds, nothing else known)."""
    rng = np.random.default_rng(6)
    ratio2 = []
    for _ in range(draws):
        shot = volley(rng, int(rng.integers(5, 10)), [5], 0.0, scatter_s)
        apart_m = shot.rounds.offset_m - shot.rounds.offset_m.mean(axis=0)
        ratio2.append((apart_m**2).sum() / 4.0 / np.trace(shot.bound_m2))
    return {"turbulence_ms": scatter_s * 1e3, "draws": draws, "rms_over_bound": _rms(ratio2)}


def shooters(draws: int, scatter_s: float, n_nodes: tuple[int, int], each: int) -> dict[str, Any]:
    """Two shooters 5 m apart told apart, one left one, and who fired first."""
    rng = np.random.default_rng(7)
    two = one = 0
    brier, sure = [], []
    for _ in range(draws):
        n = int(rng.integers(n_nodes[0], n_nodes[1] + 1))
        pair = volley(rng, n, [each, each], 5.0, scatter_s)
        count = count_shooters(pair.rounds, DEFAULT_SETTINGS)
        two += count.likeliest == 2
        single = volley(rng, n, [2 * each], 0.0, scatter_s)
        one += count_shooters(single.rounds, DEFAULT_SETTINGS).likeliest == 1
        reply = volley(rng, n, [each, each], 5.0, scatter_s, LEAD_S)
        first = _first(reply, count_shooters(reply.rounds, DEFAULT_SETTINGS).shooter_of)
        if first is not None:
            brier.append((first[1] - float(first[0] == reply.who[0])) ** 2)
            sure.append(first[1])
    return {
        "turbulence_ms": scatter_s * 1e3,
        "nodes": f"{n_nodes[0]}-{n_nodes[1]}",
        "rounds_each": each,
        "draws": draws,
        "two_told_apart": round(two / draws, 3),
        "one_stays_one": round(one / draws, 3),
        "first_shooter_brier": round(float(np.mean(brier)), 4) if brier else None,
        "first_shooter_mean_probability": round(float(np.mean(sure)), 3) if sure else None,
    }


def _first(pair: Volley, shooter_of: NDArray[np.int64]) -> tuple[int, float] | None:
    """Who of the truth's two is said to have fired first, and how surely."""
    first: dict[int, FirstRound] = {}
    of: dict[int, int] = {}
    for k in np.argsort(pair.rounds.time_s, kind="stable"):
        label = int(shooter_of[k])
        if label not in first:
            first[label] = FirstRound(float(pair.rounds.time_s[k]), float(pair.rounds.covariance[k, 2, 2]))
            of[label] = int(pair.who[k])
    verdict = first_shooter(first)
    return None if verdict is None else (of[verdict.shooter], verdict.probability)


def cost(n: int, repeats: int = 60) -> dict[str, Any]:
    """Median time of a solve with covariance over that of scipy's least_squares on the same likelihood, one by one."""
    rng = np.random.default_rng(8)
    ours, theirs, apart_m = [], [], []
    for _ in range(repeats):
        drawn = draw(rng, n, inside=True, late=False)
        start_s = time.perf_counter()
        fix = solve(drawn.arrivals, drawn.start_m, AIR, DEFAULT_SETTINGS)
        ours.append(time.perf_counter() - start_s)
        start_s = time.perf_counter()
        place_m = _by_scipy(drawn)
        theirs.append(time.perf_counter() - start_s)
        apart_m.append(float(np.hypot(*(fix.place_m - place_m)[:2])))
    return {
        "nodes": n,
        "over_least_squares": round(float(np.median(ours) / np.median(theirs)), 3),
        "places_apart_median_m": round(float(np.median(apart_m)), 4),
    }


def _by_scipy(drawn: Draw) -> Floats:
    """The same maximum likelihood by `least_squares` with its defaults, and the covariance from its Jacobian."""
    a = drawn.arrivals
    prior = prior_of(a, 0.0, AIR)
    early_s, late_s = path_sigmas_s(a.sigma_s, DEFAULT_SETTINGS)
    dof = DEFAULT_SETTINGS.path_tail_dof

    def residuals(state: Floats) -> Floats:
        lag_s = (
            a.time_s - state[6] - travel_time_s(state[:3], a.enu_m, float(state[3]), (float(state[4]), float(state[5])))
        )
        z = lag_s / np.where(lag_s > 0.0, late_s, early_s)
        robust = np.sign(z) * np.sqrt((dof + 1.0) * np.log1p(z * z / dof))
        return np.concatenate([robust, np.sqrt(prior.precision) * (state - prior.mean)])

    state = prior.mean.copy()
    state[:3] = drawn.start_m
    state[6] = np.median(a.time_s - travel_time_s(drawn.start_m, a.enu_m, float(state[3])))
    found = least_squares(residuals, state, x_scale=[1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01])
    np.linalg.inv(found.jac.T @ found.jac)
    place_m: Floats = found.x[:3]
    return place_m


def main() -> int:
    """Print the figures and keep them."""
    parser = argparse.ArgumentParser(description="Score the solver on drawn arrivals.")
    parser.add_argument("--draws", type=int, default=400, metavar="N", help="draws of each stratum (400)")
    draws = parser.parse_args().draws
    result: dict[str, Any] = {
        "command": "scripts/bench solving",
        "conditions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
            "sigma_ms": round(SIGMA_S * 1e3, 3),
            "late_share": LATE_SHARE,
            "late_mean_ms": LATE_S * 1e3,
            "information_of_late": round(information_factor(LATE), 3),
        },
        "cost": [cost(n) for n in (5, 8, 20)],
        "strata": [],
    }
    for row in result["cost"]:
        print(row, flush=True)
    seed = 0
    for late in (False, True):
        for inside in (True, False):
            for nodes in STRATA.values():
                seed += 1
                row = stratum(seed, nodes, draws, inside=inside, late=late)
                result["strata"].append(row)
                print(row, flush=True)
    few = max(draws // 4, 20)
    result["liars"] = [liars(few, DEFAULT_SETTINGS, "streets (default)"), liars(few, LATE, "1 m survey, 20 % late")]
    result["relative"] = [relative(few, s) for s in (0.0003, 0.002)]
    result["shooters"] = [
        shooters(few, s, nodes, each) for s in (0.0003, 0.0013, 0.002) for nodes in ((5, 6), (7, 10)) for each in (2, 4)
    ]
    for name in ("liars", "relative", "shooters"):
        for row in result[name]:
            print(row, flush=True)
    if len(sys.argv) == 1:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
