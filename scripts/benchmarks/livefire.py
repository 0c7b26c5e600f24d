"""Live-fire recordings and picks files against the survey: places, rounds, ellipses, and what chance alone would give.

Prints one row a test and a summary: from sound, from the picks files, and a control in which every node plays its
recording of another test of the same firing position, where nothing should be located.

    scripts/benchmarks/livefire.py [--scenes DIR] [--picks] [--sound] [--control]      all three without an option

Definitions: a test counts as located by its gunfire incident with the most rounds within a second of the test's rounds;
rounds are exact when their number is right and the place within 25 m; an ellipse holds when the surveyed place lies in
it after 2.5 m of survey error (95 %: 6.1 m) has been added to both axes.
"""

import argparse
import dataclasses
import json
import math
import os
import platform
import statistics
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from appliance.classify import load_classifier
from appliance.daemon.replay import hear_scene, locate_picks
from appliance.model.incidents import Category, Incident
from appliance.model.picks import Pick, pick_id
from appliance.model.space import Geodetic
from appliance.physics.geodesy import LocalFrame
from appliance.scene.reader import RecordedScene, read_picks, read_scene, read_truth
from appliance.wire.truth import Truth

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "tests" / "benchmarks" / "results" / "livefire.json"
SURVEY_SIGMA_M = 2.5
SIGMAS_95 = 2.448
"""Of a circular normal distribution: sqrt(-2 ln 0.05)."""
AROUND_NS = 1_000_000_000
CONTROL_SEEDS = 3
CONTROL_MIN_NODES = 3


@dataclass(frozen=True)
class Heard:
    """One test's scene and what its nodes made of the sound."""

    name: str
    recorded: RecordedScene
    truth: Truth
    picks: tuple[Pick, ...]
    cpu_s: float


@dataclass(frozen=True)
class Row:
    """One test's score; `error_m` is infinite without a place."""

    name: str
    error_m: float
    rounds: int | None
    true_rounds: int
    holds: bool | None
    major_m: float | None
    incidents: int
    reason: str | None

    @property
    def rounds_exact(self) -> bool:
        """Whether the place is near and the number of rounds right."""
        return self.error_m <= 25.0 and self.rounds == self.true_rounds


def main() -> int:
    """Run what was asked for, print it, keep the figures."""
    options = _options()
    scenes = options.scenes or Path(os.environ.get("EARSHOT_SHARED", ROOT.parent / "shared")) / "data" / "pittsburgh"
    folders = sorted(p.parent for p in scenes.glob("*/truth.json"))
    if not folders:
        print(f"no live-fire scenes at {scenes}: nothing is measured (EARSHOT_SHARED or --scenes names another place)")
        return 0
    everything = not (options.picks or options.sound or options.control)
    result: dict[str, Any] = {"conditions": _conditions(len(folders))}
    if options.picks or everything:
        result["picks"] = _from_picks(folders)
    if options.sound or options.control or everything:
        heard = _hear(folders)
        if options.sound or everything:
            result["sound"] = _from_sound(heard)
        if options.control or everything:
            result["control"] = _control(heard)
    if everything and options.scenes is None:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Score the localiser on live-fire tests.")
    parser.add_argument("--scenes", type=Path, metavar="DIR", help="folder of scene folders with truth.json")
    parser.add_argument("--picks", action="store_true", help="from picks files only")
    parser.add_argument("--sound", action="store_true", help="from sound only")
    parser.add_argument("--control", action="store_true", help="the exchanged recordings only")
    return parser.parse_args()


def _conditions(n_tests: int) -> dict[str, Any]:
    return {
        "tests": n_tests,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "survey_sigma_m": SURVEY_SIGMA_M,
    }


def _from_picks(folders: Sequence[Path]) -> dict[str, Any]:
    rows, cpu_s = [], []
    for folder in folders:
        truth = read_truth(folder)
        if truth is None or not (folder / "picks.json").exists():
            continue
        heard = read_picks(folder / "picks.json")
        start_s = time.process_time()
        incidents = locate_picks(heard.picks, tuple(heard.poses.values()), heard.air)
        cpu_s.append(time.process_time() - start_s)
        rows.append(score(folder.name, incidents, truth))
    return _report("from the picks files", rows, {"locate_s_per_test": round(statistics.mean(cpu_s), 3)})


def _hear(folders: Sequence[Path]) -> list[Heard]:
    classifier = load_classifier()
    heard = []
    for i, folder in enumerate(folders, start=1):
        print(f"\rhearing {i} of {len(folders)}", end="", file=sys.stderr, flush=True)
        recorded, truth = read_scene(folder), read_truth(folder)
        if truth is None:
            continue
        start_s = time.process_time()
        picks = hear_scene(recorded, classifier, lambda _node: None)
        heard.append(Heard(folder.name, recorded, truth, picks, time.process_time() - start_s))
    print(file=sys.stderr)
    return heard


def _from_sound(heard: Sequence[Heard]) -> dict[str, Any]:
    rows, hear_s, locate_s, sound_s = [], 0.0, 0.0, 0.0
    for test in heard:
        start_s = time.process_time()
        incidents = _locate(test, test.picks)
        locate_s += time.process_time() - start_s
        hear_s += test.cpu_s
        sound_s += sum(facts.duration_s for facts in test.recorded.sounds.values())
        rows.append(score(test.name, incidents, test.truth))
    cost = {
        "cpu_per_node_second": round((hear_s + locate_s) / sound_s, 4),
        "locate_s_per_test": round(locate_s / len(rows), 3),
    }
    many = {test.name for test in heard if len(test.recorded.scene.nodes) >= CONTROL_MIN_NODES}
    return _report("from sound", rows, cost) | {
        "three_nodes_or_more": _summary([row for row in rows if row.name in many])
    }


def _locate(test: Heard, picks: Sequence[Pick]) -> tuple[Incident, ...]:
    scene = test.recorded.scene
    return locate_picks(picks, tuple(node.pose for node in scene.nodes), scene.air)


def _control(heard: Sequence[Heard]) -> dict[str, Any]:
    """Share of scenes made of recordings of different tests in which gunfire is located."""
    located = total = 0
    for seed in range(CONTROL_SEEDS):
        for test in heard:
            picks = _exchanged(test, heard, seed)
            if len({pick.node for pick in picks}) < CONTROL_MIN_NODES:
                continue
            total += 1
            located += any(i.position is not None and i.category is Category.GUNFIRE for i in _locate(test, picks))
    print(f"\ncontrol, recordings exchanged between tests: located gunfire in {located} of {total} scenes")
    return {"scenes": total, "located_gunfire": located}


def _exchanged(test: Heard, heard: Sequence[Heard], seed: int) -> list[Pick]:
    """Each node's picks of another test of the same firing position, every test used once, as if heard in this one."""
    rng = np.random.default_rng([seed, zlib.crc32(test.name.encode())])
    position = test.name.split("-")[0]
    left = [other for other in heard if other.name.split("-")[0] == position and other.name != test.name]
    picks: list[Pick] = []
    for node in test.recorded.scene.nodes:
        having = [o for o in left if any(n.id == node.id for n in o.recorded.scene.nodes)]
        if not having:
            continue
        other = having[int(rng.integers(len(having)))]
        left.remove(other)
        shift_ns = node.start_ns - next(n.start_ns for n in other.recorded.scene.nodes if n.id == node.id)
        picks.extend(_shifted(pick, shift_ns) for pick in other.picks if pick.node == node.id)
    return picks


def _shifted(pick: Pick, shift_ns: int) -> Pick:
    time_ns = type(pick.time_ns)(pick.time_ns + shift_ns)
    return dataclasses.replace(pick, id=pick_id(time_ns, pick.node), time_ns=time_ns)


def score(name: str, incidents: Sequence[Incident], truth: Truth) -> Row:
    """The row of one test."""
    first_ns, last_ns = truth.shots[0].time_ns - AROUND_NS, truth.shots[-1].time_ns + AROUND_NS
    gunfire = [i for i in incidents if i.category is Category.GUNFIRE and first_ns <= i.time_ns <= last_ns]
    located = [i for i in gunfire if i.position is not None]
    true_rounds = len(truth.shots) if truth.rounds is None else truth.rounds
    if not located:
        return Row(name, math.inf, None, true_rounds, None, None, len(gunfire), _reason(incidents))
    best = max(located, key=lambda i: (i.rounds, i.confidence))
    east_m, north_m = _offset_m(truth, best)
    return Row(
        name=name,
        error_m=math.hypot(east_m, north_m),
        rounds=best.rounds,
        true_rounds=true_rounds,
        holds=_holds(best, east_m, north_m),
        major_m=None if best.ellipse is None else best.ellipse.major_m,
        incidents=len(gunfire),
        reason=best.reason,
    )


def _reason(incidents: Sequence[Incident]) -> str:
    reasons = [f"{i.category.value}: {i.reason}" for i in incidents if i.reason]
    return "; ".join(reasons) or "no incident"


def _offset_m(truth: Truth, incident: Incident) -> tuple[float, float]:
    if incident.position is None:
        return math.inf, math.inf
    shot = truth.shots[0]
    frame = LocalFrame(Geodetic(shot.lat, shot.lon, 0.0))
    place = frame.to_enu(Geodetic(incident.position.lat_deg, incident.position.lon_deg, 0.0))
    return float(place[0]), float(place[1])


def _holds(incident: Incident, east_m: float, north_m: float) -> bool | None:
    if incident.ellipse is None:
        return None
    survey_m = SURVEY_SIGMA_M * SIGMAS_95
    major_m, minor_m = (math.hypot(axis, survey_m) for axis in (incident.ellipse.major_m, incident.ellipse.minor_m))
    turn = math.radians(incident.ellipse.bearing_deg)
    along_m = east_m * math.sin(turn) + north_m * math.cos(turn)
    across_m = east_m * math.cos(turn) - north_m * math.sin(turn)
    return (along_m / major_m) ** 2 + (across_m / minor_m) ** 2 <= 1.0


def _report(title: str, rows: Sequence[Row], cost: dict[str, float]) -> dict[str, Any]:
    print(f"\n{title}\ntest       error m  rounds  ellipse m  holds  incidents")
    for row in rows:
        ellipse = "        -" if row.major_m is None else f"{row.major_m:9.1f}"
        holds = {True: "yes", False: "NO", None: "-"}[row.holds]
        note = f"   {row.reason}" if row.reason else ""
        rounds = f"{'-' if row.rounds is None else row.rounds} of {row.true_rounds}"
        print(f"{row.name:10s} {row.error_m:7.1f}  {rounds:6s}  {ellipse}  {holds:5s}  {row.incidents}{note}")
    summary = _summary(rows) | cost
    for name, value in summary.items():
        print(f"  {name}: {value}")
    positions = sorted({row.name.split("-")[0] for row in rows})
    by_position = {p: _summary([row for row in rows if row.name.split("-")[0] == p]) for p in positions}
    for position, figures in by_position.items():
        print(f"  {position}: {figures}")
    tests = [dataclasses.asdict(row) | {"error_m": _finite(row.error_m)} for row in rows]
    return {"summary": summary, "by_position": by_position, "tests": tests}


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    errors_m = sorted(row.error_m for row in rows)
    with_ellipse = [row for row in rows if row.holds is not None]
    n = len(rows)
    return {
        "tests": n,
        "within_15_m": round(sum(e <= 15.0 for e in errors_m) / n, 3),
        "within_25_m": round(sum(e <= 25.0 for e in errors_m) / n, 3),
        "median_m": _finite(errors_m[n // 2]),
        "p90_m": _finite(errors_m[math.ceil(0.9 * (n - 1))]),
        "rounds_exact": round(sum(row.rounds_exact for row in rows) / n, 3),
        "ellipses_holding": f"{sum(row.holds is True for row in with_ellipse)} of {len(with_ellipse)}",
        "ellipses_over_60_m": sum((row.major_m or 0.0) > 60.0 for row in rows),
        "one_incident": round(sum(row.incidents == 1 for row in rows) / n, 3),
        "unlocated": sum(not math.isfinite(e) for e in errors_m),
    }


def _finite(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None


if __name__ == "__main__":
    sys.exit(main())
