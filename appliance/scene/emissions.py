"""What happens in a simulated town: emissions (one sound at one place and time) and the happenings that make them.

Places are ENU metres around `town.ORIGIN`; times are seconds after the happening begins.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from appliance.physics.attenuation import Floats
from appliance.physics.blasts import WEAPONS, Weapon
from appliance.scene.town import STREET_WIDTH_M, Town

CHEST_M = 1.4
"""Height of a muzzle above the ground."""
MUZZLE_WANDER_M = 0.1
"""How far a muzzle moves between rounds, 1-sigma per axis."""


@dataclass(frozen=True, slots=True)
class Emission:
    """One sound from one place.

    kind:     "shot", or what else it is, as in a truth file
    sound:    what to synthesise: a key of `rendering.SOUNDS`, or "muzzle blast", "thunder", "vehicle"
    time_s:   when it leaves its place
    place_m:  where, ENU
    aim:      where the barrel (or the vehicle) points, unit vector ENU
    shooter:  who, where it is a shot
    weapon:   with what
    stand_m:  for rounds of one volley, where the shooter stands: what the echoes are those of; None: `place_m`
    """

    kind: str
    sound: str
    time_s: float
    place_m: tuple[float, float, float]
    aim: tuple[float, float, float] = (0.0, 1.0, 0.0)
    shooter: str = ""
    weapon: str = ""
    stand_m: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Volley:
    """Rounds of one shooter: how many, how far apart in time, how steady, and how fast the shooter walks."""

    weapon: Weapon
    rounds: int
    gap_s: float
    gap_jitter: float = 0.15
    shooter: str = "a"
    walk_mps: float = 0.0


def shots(volley: Volley, place_m: Floats, aim_rad: float, start_s: float, rng: np.random.Generator) -> list[Emission]:
    """The rounds of a volley from `place_m`, aimed about `aim_rad` (bearing), first round at `start_s`."""
    gaps_s = volley.gap_s * np.exp(rng.normal(0.0, volley.gap_jitter, volley.rounds))
    times_s = start_s + np.concatenate([[0.0], np.cumsum(gaps_s[:-1])])
    heading_rad = rng.uniform(0.0, 2.0 * math.pi)
    step = volley.walk_mps * np.array([math.sin(heading_rad), math.cos(heading_rad), 0.0])
    emissions = []
    for time_s in times_s:
        stand_m = place_m + step * (time_s - start_s)
        muzzle_m = stand_m + rng.normal(0.0, MUZZLE_WANDER_M, 3)
        bearing_rad, dip_rad = aim_rad + rng.normal(0.0, 0.05), rng.normal(0.02, 0.02)
        level = math.cos(dip_rad)
        aim = (level * math.sin(bearing_rad), level * math.cos(bearing_rad), math.sin(dip_rad))
        emissions.append(
            Emission(
                kind="shot",
                sound="muzzle blast",
                time_s=float(time_s),
                place_m=_xyz(muzzle_m),
                aim=aim,
                shooter=volley.shooter,
                weapon=volley.weapon.name,
                stand_m=_xyz(stand_m),
            )
        )
    return emissions


def gunfire(town: Town, sort: str, reach_m: float, rng: np.random.Generator) -> list[Emission]:
    """One incident of gunfire somewhere in the streets, of one of the sorts in `GUNFIRE`."""
    place_m = street_place(town, reach_m, rng)
    aim_rad = rng.uniform(0.0, 2.0 * math.pi)
    first = shots(GUNFIRE[sort](rng), place_m, aim_rad, 0.0, rng)
    if sort != "two shooters":
        return first
    apart = rng.uniform(0.0, 2.0 * math.pi)
    other_m = place_m + rng.uniform(15.0, 45.0) * np.array([math.sin(apart), math.cos(apart), 0.0])
    answer = replace(_string(rng), shooter="b", weapon=_one_of(rng, "45 pistol", "38 revolver"))
    reply = shots(answer, other_m, aim_rad + math.pi, float(rng.uniform(0.2, 1.2)), rng)
    return sorted([*first, *reply], key=lambda e: e.time_s)


def disturbance(town: Town, sort: str, reach_m: float, rng: np.random.Generator) -> list[Emission]:
    """Something loud that is not gunfire, of one of the sorts in `DISTURBANCES`."""
    return DISTURBANCES[sort](street_place(town, reach_m, rng), rng)


def street_place(town: Town, reach_m: float, rng: np.random.Generator) -> Floats:
    """A place in a street within `reach_m` of the middle, at a muzzle's height, ENU."""
    near = town.crossings_m[np.hypot(town.crossings_m[:, 0], town.crossings_m[:, 1]) < max(reach_m, 80.0)]
    corner = near[int(rng.integers(len(near)))]
    along_m, across_m = rng.uniform(-40.0, 40.0), rng.uniform(-0.4, 0.4) * STREET_WIDTH_M
    offset = (along_m, across_m) if rng.random() < 0.5 else (across_m, along_m)
    return town.to_enu(corner + np.array([*offset, CHEST_M]))


def _xyz(point_m: Floats) -> tuple[float, float, float]:
    return float(point_m[0]), float(point_m[1]), float(point_m[2])


def _one_of(rng: np.random.Generator, *names: str) -> Weapon:
    return WEAPONS[names[int(rng.integers(len(names)))]]


def _single(rng: np.random.Generator) -> Volley:
    return Volley(_one_of(rng, "9mm pistol", "38 revolver", "45 pistol", "12 gauge shotgun"), 1, 1.0)


def _string(rng: np.random.Generator) -> Volley:
    weapon = _one_of(rng, "9mm pistol", "45 pistol", "9mm pistol")
    return Volley(weapon, int(rng.integers(3, 8)), rng.uniform(0.35, 0.9), 0.2)


def _rapid(rng: np.random.Generator) -> Volley:
    weapon = _one_of(rng, "9mm pistol", "7.62 mm rifle")
    return Volley(weapon, int(rng.integers(6, 16)), rng.uniform(0.09, 0.16), 0.06)


def _rifle(rng: np.random.Generator) -> Volley:
    return Volley(_one_of(rng, "5.56 mm rifle", "7.62 mm rifle"), int(rng.integers(2, 6)), rng.uniform(0.5, 1.4), 0.25)


def _walking(rng: np.random.Generator) -> Volley:
    return replace(_string(rng), rounds=int(rng.integers(6, 10)), walk_mps=1.5)


GUNFIRE: Mapping[str, Callable[[np.random.Generator], Volley]] = {
    "single": _single,
    "string": _string,
    "rapid fire": _rapid,
    "two shooters": _string,
    "rifle": _rifle,
    "walking": _walking,
}
"""Sorts of gunfire: what the first shooter does."""


def _firework(place_m: Floats, rng: np.random.Generator) -> list[Emission]:
    """One to four aerial shells from one place, or a string of crackers, or a whistling rocket."""
    ground = _xyz(place_m)
    sort = rng.random()
    if sort < 0.25:
        return [Emission("firework", "crackers", 0.0, ground)]
    if sort < 0.4:
        above = (ground[0], ground[1], ground[2] + rng.uniform(25.0, 50.0))
        return [Emission("firework", "whistle", 0.0, ground), Emission("firework", "burst", 1.7, above)]
    emissions: list[Emission] = []
    time_s = 0.0
    for _ in range(int(rng.integers(1, 5))):
        climb_s = float(rng.uniform(2.0, 3.5))
        above = (ground[0] + rng.normal(0.0, 8.0), ground[1] + rng.normal(0.0, 8.0), ground[2] + 33.0 * climb_s)
        emissions += [
            Emission("firework", "lift", time_s, ground),
            Emission("firework", "burst", time_s + climb_s, above),
        ]
        if rng.random() < 0.5:
            emissions.append(Emission("firework", "crackle", time_s + climb_s + float(rng.uniform(0.2, 0.6)), above))
        time_s += float(rng.uniform(1.0, 3.0))
    return sorted(emissions, key=lambda e: e.time_s)


def _thunder(_place_m: Floats, rng: np.random.Generator) -> list[Emission]:
    """Lightning 1.2 to 5 km away."""
    bearing_rad, range_m = rng.uniform(0.0, 2.0 * math.pi), rng.uniform(1_200.0, 5_000.0)
    foot = (range_m * math.sin(bearing_rad), range_m * math.cos(bearing_rad), 5.0)
    return [Emission("thunder", "thunder", 0.0, foot)]


def _door(place_m: Floats, rng: np.random.Generator) -> list[Emission]:
    """One to three slams or blows at a house."""
    times_s = np.cumsum(np.concatenate([[0.0], rng.uniform(0.3, 2.0, int(rng.integers(0, 3)))]))
    return [Emission("impact", "impact", float(t), _xyz(place_m)) for t in times_s]


def _traffic(place_m: Floats, rng: np.random.Generator) -> list[Emission]:
    """A car down a street."""
    bearing_rad = rng.uniform(0.0, 2.0 * math.pi)
    return [Emission("vehicle", "vehicle", 0.0, _xyz(place_m), (math.sin(bearing_rad), math.cos(bearing_rad), 0.0))]


def _dog(place_m: Floats, _rng: np.random.Generator) -> list[Emission]:
    return [Emission("dog", "bark", 0.0, _xyz(place_m))]


def _voice(place_m: Floats, _rng: np.random.Generator) -> list[Emission]:
    return [Emission("voice", "voice", 0.0, _xyz(place_m))]


DISTURBANCES: Mapping[str, Callable[[Floats, np.random.Generator], list[Emission]]] = {
    "firework": _firework,
    "thunder": _thunder,
    "door": _door,
    "traffic": _traffic,
    "dog": _dog,
    "voice": _voice,
}
"""Sorts of loud things that are not gunfire."""
