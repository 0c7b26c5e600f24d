"""Simulated scenes through detector and localiser, by family: what is found, and at which stage the rest is lost.

Scenes are made by `appliance.scene.synthesise` from seeds, heard and located as `earshot replay` does, and compared
with their truth. Prints a row a family and, for each scene that went wrong, what went wrong.

    scripts/benchmarks/simulated.py [--scenes N] [--family NAME] [--seed N] [--folder DIR]     DIR keeps the scenes

Definitions: a round is found by a shot of a gunfire incident within 0.25 s and, if placed, 100 m. Rounds, shooters and
"one incident" are of the gunfire incidents with a found round. A true arrival is a round at a node, its moment the
straight line's travel time in the scene's air; the nearest pick within 5 or 25 ms of it stands for it.
"""

import argparse
import json
import math
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.classify import load_classifier
from appliance.daemon.replay import hear_scene, locate_picks
from appliance.model.air import UNKNOWN_AIR
from appliance.model.classes import Classifier
from appliance.model.incidents import Category, Incident, Shot
from appliance.model.picks import Pick
from appliance.model.space import Geodetic
from appliance.physics.air import sound_speed_mps
from appliance.physics.geodesy import LocalFrame
from appliance.physics.propagation import travel_time_s
from appliance.scene.emissions import DISTURBANCES
from appliance.scene.reader import RecordedScene, read_scene, read_truth
from appliance.scene.synthesise import SceneSpec, simulate_scene
from appliance.wire.truth import Truth, TruthShot

RESULT = Path(__file__).resolve().parents[2] / "tests" / "benchmarks" / "results" / "simulated.json"
SAME_SHOT_NS, SAME_SHOT_M = 250_000_000, 100.0
NEAR_M = 15.0
"""A place worse than this is listed among what went wrong."""
SHARP_S, WIDE_S = 0.005, 0.025
NEEDED_NODES = 3
PISTOLS = ("9mm pistol", "45 pistol", "38 revolver", "12 gauge shotgun")
RIFLES = ("5.56 mm rifle", "7.62 mm rifle")


def _family(rng: np.random.Generator, **given: object) -> dict[str, Any]:
    return {"rounds": int(rng.integers(3, 7)), "cadence_s": float(rng.uniform(0.4, 1.0)), "duration_s": 13.0} | given


def _weapon(rng: np.random.Generator, names: Sequence[str]) -> str:
    return names[int(rng.integers(len(names)))]


def _disturbed(rng: np.random.Generator, **given: object) -> dict[str, Any]:
    return _family(rng, duration_s=24.0, disturbances=tuple(rng.permutation(sorted(DISTURBANCES)).tolist()), **given)


FAMILIES: Mapping[str, Callable[[np.random.Generator], dict[str, Any]]] = {
    "single": lambda rng: _family(rng, rounds=1, duration_s=8.0, weapon=_weapon(rng, PISTOLS)),
    "string": lambda rng: _family(rng, weapon=_weapon(rng, PISTOLS)),
    "rapid": lambda rng: _family(
        rng,
        rounds=int(rng.integers(10, 21)),
        cadence_s=float(rng.uniform(0.066, 0.1)),
        gap_jitter=0.025,
        weapon=_weapon(rng, RIFLES),
    ),
    "two": lambda rng: _family(rng, shooters=2),
    "among": _disturbed,
    "nothing": lambda rng: _disturbed(rng, shooters=0),
    "three": lambda rng: _family(rng, n_nodes=3),
    "mono": lambda rng: _family(rng, array=False),
}


@dataclass(frozen=True)
class Stages:
    """Counts over all true arrivals of a scene: which have a pick, and which of those picks look like gunfire."""

    arrivals: int
    sharp: int
    wide: int
    gunshots: int
    picks: int


@dataclass(frozen=True)
class Row:
    """One scene's score; `error_m` and `holds` are of the first round, None where it is not found or not placed."""

    name: str
    shots: int
    rounds: int
    found: int
    incidents: int
    shooters_exact: bool
    error_m: float | None
    major_m: float | None
    holds: bool | None
    false: int
    locate_s: float
    stages: Stages
    causes: tuple[str, ...]


class Scored:
    """One located scene against its truth."""

    def __init__(
        self, recorded: RecordedScene, truth: Truth, picks: Sequence[Pick], incidents: Sequence[Incident]
    ) -> None:
        """Match what was reported with what happened."""
        self.scene, self.truth, self.picks, self.incidents = recorded.scene, truth, picks, incidents
        self.frame = LocalFrame(recorded.scene.nodes[0].pose.position)
        self.fire = [i for i in incidents if i.category is Category.GUNFIRE]
        reported = [(shot, i) for i in self.fire for shot in i.shots]
        self.match = self._match(reported)
        self.hit = [i for i in self.fire if any(reported[k][1] is i for k in self.match.values())]
        self.matched = {s: reported[k][0] for s, k in self.match.items()}
        self.late_s = self._late_s()

    def offset_m(self, place: Geodetic, shot: TruthShot) -> NDArray[np.float64]:
        """East and north of a place from a true shot."""
        return (self.frame.to_enu(place) - self.frame.to_enu(Geodetic(shot.lat, shot.lon, shot.alt_m)))[:2]

    def _match(self, reported: Sequence[tuple[Shot, Incident]]) -> dict[int, int]:
        """Index of the reported shot that finds each true one: the nearest in time that is left."""
        match: dict[int, int] = {}
        for s, shot in enumerate(self.truth.shots):
            near = [k for k, (r, _) in enumerate(reported) if k not in match.values() and self._finds(r, shot)]
            if near:
                match[s] = min(near, key=lambda k: abs(reported[k][0].time_ns - shot.time_ns))
        return match

    def _finds(self, reported: Shot, shot: TruthShot) -> bool:
        if abs(reported.time_ns - shot.time_ns) > SAME_SHOT_NS:
            return False
        return reported.position is None or math.hypot(*self.offset_m(reported.position, shot)) <= SAME_SHOT_M

    def _late_s(self) -> NDArray[np.float64]:
        """How long after each round's straight-line arrival at each node each pick comes, shape (shots, nodes, picks).

        Infinite where the pick is another node's.
        """
        air = self.scene.air or UNKNOWN_AIR
        node_m = self.frame.many_to_enu([n.pose.position for n in self.scene.nodes])
        shot_m = self.frame.many_to_enu([Geodetic(s.lat, s.lon, s.alt_m) for s in self.truth.shots]).reshape(-1, 3)
        wind_mps = (air.wind_east_mps, air.wind_north_mps)
        travel_s = travel_time_s(shot_m[:, None], node_m[None], sound_speed_mps(air.temperature_c), wind_mps)
        epoch_ns = self.scene.nodes[0].start_ns
        fired_s = np.array([(s.time_ns - epoch_ns) * 1e-9 for s in self.truth.shots])
        heard_s = np.array([(p.time_ns - epoch_ns) * 1e-9 for p in self.picks])
        late_s = heard_s[None, None] - (fired_s[:, None] + travel_s)[:, :, None]
        own = np.array([[p.node == n.id for p in self.picks] for n in self.scene.nodes]).reshape(-1, len(self.picks))
        return np.where(own[None], late_s, np.inf)

    def stages(self) -> Stages:
        """See `Stages`."""
        if not self.late_s.size:
            return Stages(self.late_s.shape[0] * self.late_s.shape[1], 0, 0, 0, len(self.picks))
        nearest = np.abs(self.late_s).argmin(axis=2)
        apart_s = np.abs(self.late_s).min(axis=2)
        sure = np.array([(p.gunshot_probability or 0.0) >= 0.5 for p in self.picks])
        wide = apart_s <= WIDE_S
        return Stages(
            wide.size, int((apart_s <= SHARP_S).sum()), int(wide.sum()), int(sure[nearest][wide].sum()), len(self.picks)
        )

    def hearers(self) -> NDArray[np.int64]:
        """At how many nodes each round has a pick within 25 ms, shape (shots,)."""
        hearers: NDArray[np.int64] = (np.abs(self.late_s) <= WIDE_S).any(axis=2).sum(axis=1)
        return hearers

    def causes(self) -> tuple[str, ...]:
        """What went wrong, in words, stage first."""
        found = [f"false: gunfire {_told(i)}" for i in self.fire if not any(i is h for h in self.hit)]
        if not self.truth.shots:
            return tuple(found)
        if not self.hit:
            return (self._why_missed(), *found)
        return tuple(found + self._why_inexact())

    def _why_missed(self) -> str:
        shots, hearers = self.truth.shots, self.hearers()
        for incident in self.incidents:
            if any(s.position and self._finds(s, shot) for s in incident.shots for shot in shots):
                return f"category: right place, but {_told(incident)}"
        placed = [i for i in self.fire if i.position is not None]
        if placed:
            off_m = min(math.hypot(*self.offset_m(i.position, shots[0])) for i in placed if i.position)
            return f"association: placed {off_m:.0f} m off; {self._heard_words(hearers)}"
        stage = "no pick" if hearers.max() < NEEDED_NODES else "association"
        told = "; ".join(_told(i) for i in self.incidents) or "no incident"
        return f"{stage}: {told}; {self._heard_words(hearers)}"

    def _heard_words(self, hearers: NDArray[np.int64]) -> str:
        ready = int((hearers >= NEEDED_NODES).sum())
        return f"{ready} of {len(hearers)} rounds have picks at {NEEDED_NODES} nodes or more of {len(self.scene.nodes)}"

    def _why_inexact(self) -> list[str]:
        words, shots, hearers = [], self.truth.shots, self.hearers()
        rounds, names = sum(i.rounds for i in self.hit), {s.shooter for s in shots}
        if len(self.hit) > 1:
            words.append(f"split: {len(self.hit)} incidents")
        if rounds != len(shots):
            missing = [s for s in range(len(shots)) if s not in self.match]
            ready = sum(int(hearers[s] >= NEEDED_NODES) for s in missing)
            words.append(
                f"rounds: {rounds} of {len(shots)}, {len(missing)} not found of which {ready} have picks at"
                f" {NEEDED_NODES} nodes, {rounds - len(self.match)} extra"
            )
        shooters = sum(i.shooters for i in self.hit)
        if shooters != len(names):
            first = [next(s for s in shots if s.shooter == name) for name in sorted(names)]
            apart = [self.offset_m(Geodetic(s.lat, s.lon, s.alt_m), first[0]) for s in first[1:]]
            where = f", {math.hypot(*apart[0]):.0f} m apart" if apart else ""
            words.append(f"shooters: {shooters} of {len(names)}{where}")
        error_m, major_m, holds = self.place()
        if error_m is not None and (error_m > NEAR_M or holds is False):
            words.append(f"place: {error_m:.1f} m off, ellipse {major_m:.1f} m {'holds' if holds else 'FAILS'}")
        return [*words, self._membership()] if words else []

    def _membership(self) -> str:
        """Share of the matched shots' arrivals that are true arrivals of any round."""
        index = {p.id: k for k, p in enumerate(self.picks)}
        late_s = [np.abs(self.late_s[:, :, index[a.pick]]).min() for r in self.matched.values() for a in r.arrivals]
        return f"members: {sum(v <= WIDE_S for v in late_s)} of {len(late_s)} are true arrivals"

    def place(self) -> tuple[float | None, float | None, bool | None]:
        """Error of the first round, the long axis of its ellipse and whether the truth lies inside."""
        first = self.matched.get(0)
        if first is None or first.position is None:
            return None, None, None
        east_m, north_m = (float(v) for v in self.offset_m(first.position, self.truth.shots[0]))
        if first.ellipse is None:
            return math.hypot(east_m, north_m), None, None
        turn = math.radians(first.ellipse.bearing_deg)
        along_m = east_m * math.sin(turn) + north_m * math.cos(turn)
        across_m = east_m * math.cos(turn) - north_m * math.sin(turn)
        minor_m = max(first.ellipse.minor_m, 1e-6)
        holds = (along_m / max(first.ellipse.major_m, 1e-6)) ** 2 + (across_m / minor_m) ** 2 <= 1.0
        return math.hypot(east_m, north_m), first.ellipse.major_m, holds


def _told(incident: Incident) -> str:
    where = "" if incident.position else f" without a place ({incident.reason})"
    return f"{incident.category.value} {incident.confidence:.2f}, {incident.rounds} rounds{where}"


def run_scene(name: str, spec: SceneSpec, folder: Path, classifier: Classifier) -> Row:
    """Make the scene unless it is there, hear, locate and score it."""
    if not (folder / "scene.json").exists():
        simulate_scene(spec, folder)
    recorded, truth = read_scene(folder), read_truth(folder)
    if truth is None:
        raise SystemExit(f"simulated: {folder} has no truth.json")
    picks = hear_scene(recorded, classifier, lambda _node: None)
    start_s = time.process_time()
    incidents = locate_picks(picks, tuple(node.pose for node in recorded.scene.nodes), recorded.scene.air)
    locate_s = time.process_time() - start_s
    scored = Scored(recorded, truth, picks, incidents)
    error_m, major_m, holds = scored.place()
    n_shooters = len({shot.shooter for shot in truth.shots})
    return Row(
        name=name,
        shots=len(truth.shots),
        rounds=sum(i.rounds for i in scored.hit),
        found=len(scored.match),
        incidents=len(scored.hit),
        shooters_exact=len(scored.hit) == 1 and scored.hit[0].shooters == n_shooters,
        error_m=error_m,
        major_m=major_m,
        holds=holds,
        false=len(scored.fire) - len(scored.hit),
        locate_s=locate_s,
        stages=scored.stages(),
        causes=scored.causes(),
    )


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Figures of some scenes; shares are of scenes with gunfire, or of true arrivals."""
    fire = [r for r in rows if r.shots]
    errors_m = [r.error_m for r in fire if r.error_m is not None]
    held = [r.holds for r in fire if r.holds is not None]
    arrivals, wide = sum(r.stages.arrivals for r in rows), sum(r.stages.wide for r in rows)
    return {
        "scenes": len(rows),
        "found": _share(sum(r.incidents > 0 for r in fire), len(fire)),
        "one_incident": _share(sum(r.incidents == 1 for r in fire), len(fire)),
        "rounds_exact": _share(sum(r.rounds == r.shots for r in fire), len(fire)),
        "shooters_exact": _share(sum(r.shooters_exact for r in fire), len(fire)),
        "median_m": round(float(np.median(errors_m)), 1) if errors_m else None,
        "p90_m": round(float(np.quantile(errors_m, 0.9)), 1) if errors_m else None,
        "ellipses_holding": _share(sum(held), len(held)),
        "false_gunfire": sum(r.false for r in rows),
        "picked_5_ms": _share(sum(r.stages.sharp for r in rows), arrivals),
        "picked_25_ms": _share(wide, arrivals),
        "picks_per_arrival": round(sum(r.stages.picks for r in rows) / arrivals, 2) if arrivals else None,
        "gunshot_of_picked": _share(sum(r.stages.gunshots for r in rows), wide),
        "locate_s_per_scene": round(sum(r.locate_s for r in rows) / len(rows), 3),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def _print_table(figures: Mapping[str, Mapping[str, Any]]) -> None:
    names = list(next(iter(figures.values())))
    print("\n" + " " * 8 + " ".join(f"{name.replace('_', ' '):>9.9s}" for name in names))
    for family, values in figures.items():
        cells = ("-" if value is None else f"{value:g}" for value in values.values())
        print(f"{family:8s}" + " ".join(f"{cell:>9s}" for cell in cells))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Score detector and localiser on simulated scenes.")
    parser.add_argument("--scenes", type=int, default=4, metavar="N", help="scenes of each family (4)")
    parser.add_argument("--family", choices=[*FAMILIES], action="append", help="only this family")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other scenes (1)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep scenes here, and use those that are there")
    return parser.parse_args()


def _rows(options: argparse.Namespace, folder: Path) -> dict[str, list[Row]]:
    classifier = load_classifier()
    rows: dict[str, list[Row]] = {}
    for family in options.family or FAMILIES:
        for k in range(options.scenes):
            name = f"{family}-{options.seed}-{k}"
            seed = [options.seed, list(FAMILIES).index(family), k]
            spec = SceneSpec(
                seed=int(np.random.SeedSequence(seed).generate_state(1)[0]),
                name=name,
                **FAMILIES[family](np.random.default_rng(seed)),
            )
            row = run_scene(name, spec, folder / name, classifier)
            rows.setdefault(family, []).append(row)
            print(f"{name}: {'; '.join(row.causes) or 'right'}", file=sys.stderr, flush=True)
    return rows


def main() -> int:
    """Run the families, print the table and keep the figures of a plain run."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="earshot-simulated-") as temporary:
        rows = _rows(options, options.folder or Path(temporary))
    figures = {family: summary(of_family) for family, of_family in rows.items()}
    everything = [row for of_family in rows.values() for row in of_family]
    figures["all"] = summary(everything)
    _print_table(figures)
    wrong = [row for row in everything if row.causes]
    print(f"\nwrong in some way: {len(wrong)} of {len(everything)}")
    for row in wrong:
        print(f"  {row.name}: {'; '.join(row.causes)}")
    if len(sys.argv) == 1:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        conditions = {"seed": options.seed, "python": platform.python_version(), "numpy": np.__version__}
        kept = {"conditions": conditions, "families": figures, "scenes": [asdict(row) for row in everything]}
        RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
