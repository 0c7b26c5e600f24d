"""Association on worlds of picks: which shots are found, whether rounds are exact, and what is made up.

Worlds come from `pickworld`, by stratum and seed. Prints a row a stratum and keeps the figures of a run of all strata.

    scripts/benchmarks/association.py [--worlds N] [--stratum NAME] [--seed N] [--wrong]     --wrong lists what failed

Definitions: a shot is found by a shot of a located gunfire incident within 0.1 s of it, one to one, and within 20 m or
inside that shot's ellipse; recall and precision are of shots. Rounds are exact when the incidents with a found shot
have as many as were fired, and "one" is the share of worlds in which they are one incident. "Made up" counts located
gunfire incidents without a found shot. Ellipses are judged at the first round of each incident with a found shot.
"""

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pickworld import EPOCH_NS, FRAME, GUNSHOT_300_DB, Fired, PickWorld, WorldSpec, hear, net, volley
from scipy.optimize import linear_sum_assignment

from appliance.locate import locate_incidents
from appliance.model.classes import SoundClass
from appliance.model.incidents import Category, Incident, Shot

RESULT = Path(__file__).resolve().parents[2] / "tests" / "benchmarks" / "results" / "association.json"
FOUND_S, FOUND_M = 0.1, 20.0
STEADY = 0.025
"""Automatic fire keeps its interval to 2 or 3 %: bolt and buffer are a mass and a spring."""
CONFUSERS = (SoundClass.FIREWORK, SoundClass.THUNDER, SoundClass.IMPACT, SoundClass.VOICE, SoundClass.OTHER)


@dataclass(frozen=True)
class Plan:
    """What a world is made of."""

    node_m: NDArray[np.float64]
    fired: tuple[Fired, ...]
    duration_s: float
    spec: WorldSpec = field(default_factory=WorldSpec)


@dataclass(frozen=True)
class Row:
    """One world's score; `holds` and `errors_m` have one value per incident with a found shot."""

    name: str
    shots: int
    found: int
    reported: int
    rounds: int
    incidents: int
    made_up: int
    shooters_exact: bool
    errors_m: tuple[float, ...]
    holds: tuple[bool, ...]
    picks: int
    locate_s: float


def _place(rng: np.random.Generator, half_m: float = 250.0) -> NDArray[np.float64]:
    return rng.uniform(-half_m, half_m, 2)


def _loudness_db(rng: np.random.Generator) -> float:
    return GUNSHOT_300_DB + float(rng.normal(0.0, 5.0))


def _semi(rng: np.random.Generator, n: int) -> list[float]:
    return [float(v) for v in rng.uniform(0.2, 1.2, n) ** 1.3 + 0.08]


def _automatic(rng: np.random.Generator, n: int) -> list[float]:
    """Gaps of `n` + 1 rounds at 550 to 900 a minute."""
    return [float(v) for v in 60.0 / rng.uniform(550.0, 900.0) * np.exp(rng.normal(0.0, STEADY, n))]


def _string(rng: np.random.Generator, n_nodes: int = 5, spec: WorldSpec | None = None) -> Plan:
    gaps_s = _semi(rng, int(rng.integers(2, 10)))
    fired = volley(_place(rng), 3.0, gaps_s, level_300_db=_loudness_db(rng))
    return Plan(net(rng, n_nodes), tuple(fired), 8.0 + sum(gaps_s), spec or WorldSpec())


def _single(rng: np.random.Generator, n_nodes: int = 5) -> Plan:
    return Plan(net(rng, n_nodes), tuple(volley(_place(rng), 3.0, [], level_300_db=_loudness_db(rng))), 8.0)


def _rapid(rng: np.random.Generator) -> Plan:
    fired = volley(_place(rng), 3.0, _automatic(rng, int(rng.integers(4, 20))), level_300_db=_loudness_db(rng))
    return Plan(net(rng, 5), tuple(fired), 10.0)


def _two(rng: np.random.Generator, low_m: float, high_m: float, n_nodes: int = 5) -> Plan:
    """Two shooters who fire at the same time, `low_m` to `high_m` apart."""
    middle, apart_m, turn = _place(rng, 150.0), rng.uniform(low_m, high_m), rng.uniform(0.0, 2.0 * math.pi)
    half = 0.5 * apart_m * np.array([math.cos(turn), math.sin(turn)])
    fired = volley(middle - half, 3.0, _semi(rng, int(rng.integers(2, 7))), "a", _loudness_db(rng))
    start_s = 3.0 + float(rng.uniform(0.1, 1.0))
    fired += volley(middle + half, start_s, _semi(rng, int(rng.integers(2, 7))), "b", _loudness_db(rng))
    return Plan(net(rng, n_nodes), tuple(fired), 14.0)


def _street(rng: np.random.Generator) -> Plan:
    """Four nodes along one street, shots to a side of it: the other side fits as well."""
    along_m = np.array([-375.0, -125.0, 125.0, 375.0]) + rng.normal(0.0, 20.0, 4)
    node_m = np.column_stack([along_m, rng.normal(0.0, 8.0, 4), np.full(4, 6.0)])
    place = np.array([rng.uniform(-250.0, 250.0), rng.uniform(60.0, 250.0) * rng.choice([-1.0, 1.0])])
    gaps_s = _semi(rng, int(rng.integers(1, 5)))
    return Plan(node_m, tuple(volley(place, 3.0, gaps_s, level_300_db=_loudness_db(rng))), 12.0)


def _confusers(rng: np.random.Generator) -> Plan:
    """A minute with ten sounds that are not gunfire, heard by all nodes around."""
    fired = [
        replace(volley(_place(rng, 400.0), float(t), [])[0], sound=kind, level_300_db=float(rng.uniform(75.0, 100.0)))
        for t, kind in zip(rng.uniform(2.0, 58.0, 10), rng.choice(np.array(CONFUSERS), 10), strict=True)
    ]
    return Plan(net(rng, 5), tuple(fired), 60.0)


def _dense(rng: np.random.Generator) -> Plan:
    """A minute of 25 nodes, 60 shots in a dozen incidents, and 5 unrelated picks per node and minute."""
    fired: list[Fired] = []
    for k in range(12):
        start_s = float(rng.uniform(2.0, 52.0))
        fired += volley(_place(rng, 550.0), start_s, _semi(rng, 4), f"s{k}", _loudness_db(rng))
    return Plan(net(rng, 25), tuple(fired), 62.0, WorldSpec(echoes=1.5, noise_hz=5.0 / 60.0, slams_per_min=0.5))


STRATA: Mapping[str, Callable[[np.random.Generator], Plan]] = {
    "single": _single,
    "single, 3 nodes": lambda rng: _single(rng, 3),
    "string": _string,
    "string, 3 nodes": lambda rng: _string(rng, 3),
    "string, 8 nodes": lambda rng: _string(rng, 8),
    "string, 25 nodes": lambda rng: _string(rng, 25),
    "string, late paths": lambda rng: _string(rng, 5, WorldSpec(late_share=0.2, late_mean_s=0.025)),
    "string, noisy": lambda rng: _string(rng, 5, WorldSpec(noise_hz=0.5, slams_per_min=8.0)),
    "automatic": _rapid,
    "two, 5-40 m": lambda rng: _two(rng, 5.0, 40.0),
    "two, 40-150 m": lambda rng: _two(rng, 40.0, 150.0),
    "two, 150-600 m": lambda rng: _two(rng, 150.0, 600.0, 8),
    "street": _street,
    "not gunfire": _confusers,
    "dense": _dense,
}
FEW = {"dense": 10, "string, 25 nodes": 3, "not gunfire": 2}
"""Of the long worlds, one in so many is run."""


def score(name: str, world: PickWorld, incidents: Sequence[Incident], locate_s: float) -> Row:
    """The row of one world."""
    fire = [i for i in incidents if i.category is Category.GUNFIRE and i.position is not None]
    reported = [(shot, k) for k, incident in enumerate(fire) for shot in incident.shots]
    match = _matched([shot for shot, _ in reported], world.shots)
    hit = sorted({reported[r][1] for r in match})
    first = {k: next(match[r] for r in sorted(match) if reported[r][1] == k) for k in hit}
    offsets = [(fire[k], *_first_offset_m(fire[k], world, first[k])) for k in hit]
    shooters = {shot.shooter for shot in world.shots}
    return Row(
        name=name,
        shots=len(world.shots),
        found=len(match),
        reported=len(reported),
        rounds=sum(fire[k].rounds for k in hit),
        incidents=len(hit),
        made_up=len(fire) - len(hit),
        shooters_exact=len(hit) == 1 and fire[hit[0]].shooters == len(shooters),
        errors_m=tuple(round(math.hypot(e, n), 2) for _, e, n in offsets),
        holds=tuple(inside(i, e, n) for i, e, n in offsets),
        picks=len(world.picks),
        locate_s=locate_s,
    )


def _matched(reported: Sequence[Shot], shots: Sequence[Fired]) -> dict[int, int]:
    """Index of the true shot that each reported one finds, one to one, as many and as close in time as can be."""
    if not reported or not shots:
        return {}
    apart_s = np.array([[abs((r.time_ns - EPOCH_NS) * 1e-9 - s.time_s) for s in shots] for r in reported])
    near = np.array([[_is_near(r, s) for s in shots] for r in reported])
    cost = np.where(near & (apart_s < FOUND_S), apart_s, 1e3)
    rows, columns = linear_sum_assignment(cost)
    return {int(r): int(c) for r, c in zip(rows, columns, strict=True) if cost[r, c] < FOUND_S}


def _is_near(reported: Shot, shot: Fired) -> bool:
    if reported.position is None or reported.ellipse is None:
        return False
    east_m, north_m = (float(v) for v in (FRAME.to_enu(reported.position) - np.array(shot.place_m))[:2])
    return math.hypot(east_m, north_m) <= FOUND_M or inside(reported, east_m, north_m)


def inside(reported: Shot | Incident, east_m: float, north_m: float) -> bool:
    """Whether an offset of the place from the truth lies within its ellipse."""
    if reported.ellipse is None:
        return False
    turn = math.radians(reported.ellipse.bearing_deg)
    along_m = east_m * math.sin(turn) + north_m * math.cos(turn)
    across_m = east_m * math.cos(turn) - north_m * math.sin(turn)
    major_m, minor_m = max(reported.ellipse.major_m, 1e-6), max(reported.ellipse.minor_m, 1e-6)
    return (along_m / major_m) ** 2 + (across_m / minor_m) ** 2 <= 1.0


def _first_offset_m(incident: Incident, world: PickWorld, shot: int) -> tuple[float, float]:
    if incident.position is None:
        return math.inf, math.inf
    offset_m = FRAME.to_enu(incident.position) - np.array(world.shots[shot].place_m)
    return float(offset_m[0]), float(offset_m[1])


def run_world(stratum: str, seed: int, k: int) -> Row:
    """Draw, locate and score one world."""
    rng = np.random.default_rng([seed, list(STRATA).index(stratum), k])
    plan = STRATA[stratum](rng)
    world = hear(plan.node_m, plan.fired, plan.spec, rng, plan.duration_s)
    start_s = time.process_time()
    incidents = locate_incidents(world.picks, world.poses, world.air)
    return score(f"{stratum} {k}", world, incidents, time.process_time() - start_s)


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Figures of some worlds."""
    shots, reported = sum(r.shots for r in rows), sum(r.reported for r in rows)
    found = sum(r.found for r in rows)
    fire = [r for r in rows if r.shots]
    errors_m = [e for r in rows for e in r.errors_m]
    holds = [h for r in rows for h in r.holds]
    return {
        "worlds": len(rows),
        "recall": _share(found, shots),
        "precision": _share(found, reported),
        "rounds": _share(sum(r.rounds == r.shots for r in fire), len(fire)),
        "one": _share(sum(r.incidents == 1 for r in fire), len(fire)),
        "shooters": _share(sum(r.shooters_exact for r in fire), len(fire)),
        "made_up": sum(r.made_up for r in rows),
        "median_m": round(float(np.median(errors_m)), 1) if errors_m else None,
        "p95_m": round(float(np.quantile(errors_m, 0.95)), 1) if errors_m else None,
        "holds": _share(sum(holds), len(holds)),
        "picks": round(sum(r.picks for r in rows) / len(rows)),
        "locate_s": round(sum(r.locate_s for r in rows) / len(rows), 2),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def _told(row: Row) -> str:
    return (
        f"{row.name}: found {row.found} of {row.shots}, reported {row.reported}, rounds {row.rounds}, incidents"
        f" {row.incidents}, made up {row.made_up}, errors {row.errors_m} {row.holds}"
    )


def _is_right(row: Row) -> bool:
    return row.found == row.shots == row.reported and row.incidents == min(row.shots, 1) and all(row.holds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Score association on worlds of picks.")
    parser.add_argument("--worlds", type=int, default=100, metavar="N", help="worlds of each stratum (100)")
    parser.add_argument("--stratum", choices=[*STRATA], action="append", help="only this stratum")
    parser.add_argument("--seed", type=int, default=1, help="another seed draws other worlds (1)")
    parser.add_argument("--wrong", action="store_true", help="list the worlds that went wrong in some way")
    return parser.parse_args()


def main() -> int:
    """Run the strata, print a row each, keep the figures of a run of all strata."""
    options = _options()
    figures: dict[str, dict[str, Any]] = {}
    for stratum in options.stratum or STRATA:
        worlds = max(options.worlds // FEW.get(stratum, 1), 1)
        rows = [run_world(stratum, options.seed, k) for k in range(worlds)]
        figures[stratum] = summary(rows)
        if len(figures) == 1:
            print(" " * 19 + " ".join(f"{name:>9s}" for name in figures[stratum]))
        cells = ("-" if value is None else f"{value:g}" for value in figures[stratum].values())
        print(f"{stratum:19s}" + " ".join(f"{cell:>9s}" for cell in cells), flush=True)
        if options.wrong:
            for row in rows:
                if not _is_right(row):
                    print(f"    {_told(row)}")
    if not options.stratum:
        conditions = {
            "seed": options.seed,
            "worlds": options.worlds,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
            "spec": asdict(WorldSpec()),
        }
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps({"conditions": conditions, "strata": figures}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
