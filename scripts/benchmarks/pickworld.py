"""A world made of picks: nets, shots, paths, echoes and noise from seeds, without sound, so that hundreds take seconds.

What a node makes of each sound follows the model that the localiser's own was measured against, but is drawn
independently: levels fall with range and differ by path, a path's delay is the same for all rounds of one shooter at
one node, rounds differ by a little more, echoes repeat from round to round, and whatever comes into the tail of a
louder sound stands out less or is not picked at all. Levels, prominences, echoes and
misses are set to the live-fire recordings. Used by the benchmarks of association and of the solver.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from appliance.model.air import Air
from appliance.model.classes import CLASSES, ClassProbabilities, SoundClass
from appliance.model.instants import UtcNs
from appliance.model.picks import Pick, pick_id
from appliance.model.space import Geodetic, NodePose
from appliance.physics.air import sound_speed_mps
from appliance.physics.geodesy import LocalFrame
from appliance.physics.propagation import travel_time_s

Floats = NDArray[np.float64]

EPOCH_NS = 1_783_134_720_000_000_000
FRAME = LocalFrame(Geodetic(40.44, -79.99, 300.0))
"""Places are ENU metres in this frame."""
SOURCE_HEIGHT_M = 1.5
NODE_HEIGHT_M = 6.0

GUNSHOT_300_DB = 98.0
"""Peak level of a pistol at 300 m in a street: 157 dB at 1 m less spreading and 9 dB of ground and buildings."""
FLOOR_DB = 66.0
"""The 95 % quantile of a street's noise, in the same measure: first rounds at 300 m stand 32 dB above it."""
RAIL_DB = 42.0
"""Microphones clip: no prominence above this, give or take 2 dB."""
EXCESS_DB_PER_M = 0.015
"""Air and edges beyond spreading: a node at 1,000 m picks about half of the rounds."""
PICKED_FROM_DB = 4.0
"""Prominence at which every second onset becomes a pick."""
TAIL_DROP_DB = 10.0
"""How far the street's answer to a blast lies below the blast as long as prominence looks back on it ..."""
BURST_DROP_DB = 26.0
"""The same for the next round of a burst: there the detector leaves the blasts themselves out of what it looks at."""
BURST_MARGIN_DB = 6.0
"""What lies further below the last blast is taken for its echo."""
TAIL_HOLD_S = 0.285
"""... which is its 300 ms less the 5 % that its quantile leaves out ..."""
TAIL_DB_PER_S = 22.0
"""... and how fast it dies away. Rounds after the first stand 17 dB above what precedes them, as in live fire."""
BLIND_S = 0.012
"""Two fronts nearer than this are one onset."""
NOISE_DB = 2.5
"""Scale of the exponential prominence of unrelated weak picks, over `PICKED_FROM_DB`."""


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """How sound travels and is read.

    path_sigma_s:      1-sigma of a path's delay in sight, the same for all rounds of one source at one node
    late_share:        share of paths round a building ...
    late_mean_s:       ... and how much later those are, exponential
    round_sigma_s:     what differs from round to round at one node
    pick_sigma_s:      error of reading an onset, and what the picks state
    node_sigma_m:      error of the stated node positions, and what the poses state
    temperature_sigma_c, wind_sigma_mps: errors of the stated air, and what it states
    clock_sigma_s:     error of a node's clock, the same for all its picks
    bearing_sigma_deg: error of bearings; None: no arrays
    level_sigma_db:    how much paths differ in loss
    echoes:            reflections per source and node, on average
    echo_level_db:     how far an early one lies below its direct sound
    noise_hz:          unrelated weak picks per node and second
    slams_per_min:     unrelated strong sounds per node and minute, heard by that node alone
    all_heard:         every node hears every shot, and only that: no masking, echoes or noise
    """

    path_sigma_s: float = 0.005
    late_share: float = 0.15
    late_mean_s: float = 0.012
    round_sigma_s: float = 0.0013
    pick_sigma_s: float = 0.0002
    node_sigma_m: float = 0.5
    temperature_sigma_c: float = 2.0
    wind_sigma_mps: float = 1.0
    clock_sigma_s: float = 1e-6
    bearing_sigma_deg: float | None = None
    level_sigma_db: float = 6.5
    echoes: float = 2.5
    echo_level_db: float = 3.0
    noise_hz: float = 0.1
    slams_per_min: float = 1.0
    all_heard: bool = False


@dataclass(frozen=True, slots=True)
class Fired:
    """One sound with a place: seconds after `EPOCH_NS`, ENU metres, who, its class and its level at 300 m."""

    time_s: float
    place_m: tuple[float, float, float]
    shooter: str = "a"
    sound: SoundClass = SoundClass.GUNSHOT
    level_300_db: float = GUNSHOT_300_DB


@dataclass(frozen=True, slots=True)
class PickWorld:
    """What the localiser gets, and the truth.

    picks:      all picks, by time
    poses:      stated poses by node
    air:        stated air
    fired:      all sounds with a place, by time
    direct:     for each pick id that is a direct sound, the index of its sound in `fired`
    node_m:     true node positions, ENU, shape (n, 3), in the order of `poses`
    """

    picks: tuple[Pick, ...]
    poses: dict[str, NodePose]
    air: Air
    fired: tuple[Fired, ...]
    direct: dict[str, int]
    node_m: Floats

    @property
    def shots(self) -> tuple[Fired, ...]:
        """The gunshots among what was fired."""
        return tuple(f for f in self.fired if f.sound is SoundClass.GUNSHOT)


@dataclass(frozen=True, slots=True)
class _Sound:
    """One front at one node; `direct_of` is the index of what it is the direct sound of, or -1."""

    time_s: float
    level_db: float
    direct_of: int
    bearing_deg: float
    gunshot_logit: float
    sound: SoundClass


@dataclass(frozen=True, slots=True)
class _Path:
    """From one standing place to one node: what all rounds share."""

    delay_s: float
    loss_db: float
    echo_delays_s: Floats
    echo_levels_db: Floats
    is_deaf: bool


@dataclass(slots=True)
class _Drawn:
    """What is drawn once for a world."""

    rng: np.random.Generator
    spec: WorldSpec
    speed_mps: float
    wind_mps: tuple[float, float]
    paths: dict[tuple[str, int], _Path] = field(default_factory=dict)


DEAF_SHARE = 0.05
"""Paths on which nothing is heard, however near: behind a building, a machine running beside the node."""
EARLY_ECHOES = 0.25
"""Share of echoes from the nearest walls, a few hundredths of a second late; the others come from down the street."""
HEARD_TO_M = 2_500.0
"""Nothing is worked out beyond this range; no pistol is heard that far."""
_GUNSHOT_LOGITS = {
    SoundClass.GUNSHOT: 2.2,
    SoundClass.FIREWORK: -1.2,
    SoundClass.THUNDER: -3.0,
    SoundClass.IMPACT: -2.0,
    SoundClass.VEHICLE: -2.5,
    SoundClass.VOICE: -3.0,
    SoundClass.OTHER: -2.5,
}
"""Mean log odds that the classifier gives a sound of each class; single sounds and single readings scatter."""
_SOUND_LOGIT_SIGMA, _READING_LOGIT_SIGMA = 0.8, 1.2


def net(rng: np.random.Generator, n_nodes: int, spacing_m: float = 250.0, jitter: float = 0.25) -> Floats:
    """True node positions of a jittered grid with its middle at the origin, ENU, shape (n, 3)."""
    side = math.ceil(math.sqrt(n_nodes))
    cells = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1).reshape(-1, 2)
    from_middle = np.argsort(np.hypot(*(cells - (side - 1) / 2.0).T), kind="stable")
    flat = (cells[np.sort(from_middle[:n_nodes])] - (side - 1) / 2.0) * spacing_m
    flat = flat + rng.normal(0.0, jitter * spacing_m, flat.shape)
    return np.column_stack([flat - flat.mean(axis=0), NODE_HEIGHT_M + rng.uniform(-3.0, 3.0, n_nodes)])


def volley(
    place_m: Sequence[float],
    start_s: float,
    gaps_s: Sequence[float],
    shooter: str = "a",
    level_300_db: float = GUNSHOT_300_DB,
) -> list[Fired]:
    """A first round and one more after each gap, all from one place (east, north)."""
    times_s = start_s + np.concatenate([[0.0], np.cumsum(gaps_s)])
    place = (float(place_m[0]), float(place_m[1]), SOURCE_HEIGHT_M)
    return [Fired(float(t), place, shooter, SoundClass.GUNSHOT, level_300_db) for t in times_s]


def hear(
    node_m: Floats, fired: Sequence[Fired], spec: WorldSpec, rng: np.random.Generator, duration_s: float
) -> PickWorld:
    """What the nodes at `node_m` (true ENU positions, shape (n, 3)) make of these sounds in `duration_s`."""
    fired = tuple(sorted(fired, key=lambda f: f.time_s))
    names = [f"n{k + 1:04d}" for k in range(len(node_m))]
    stated_m = node_m + rng.normal(0.0, spec.node_sigma_m, node_m.shape)
    poses = {
        name: NodePose(name, FRAME.to_geodetic(*(float(v) for v in place)), spec.node_sigma_m)
        for name, place in zip(names, stated_m, strict=True)
    }
    air = Air(15.0, spec.temperature_sigma_c, 0.0, 0.0, spec.wind_sigma_mps)
    true_c = 15.0 + float(rng.normal(0.0, spec.temperature_sigma_c))
    wind_mps = (float(rng.normal(0.0, spec.wind_sigma_mps)), float(rng.normal(0.0, spec.wind_sigma_mps)))
    drawn = _Drawn(rng, spec, sound_speed_mps(true_c), wind_mps)
    logits = rng.normal([_GUNSHOT_LOGITS[f.sound] for f in fired], _SOUND_LOGIT_SIGMA) if fired else np.empty(0)
    picks: list[Pick] = []
    direct: dict[str, int] = {}
    for n, name in enumerate(names):
        sounds = _sounds_at(n, node_m, fired, logits, drawn)
        if not spec.all_heard:
            sounds += _unrelated(duration_s, drawn)
        for pick, index in _picked(name, sorted(sounds, key=lambda s: s.time_s), drawn):
            picks.append(pick)
            if index >= 0:
                direct[pick.id] = index
        if not spec.all_heard:
            picks.extend(_weak(name, duration_s, drawn))
    unique = {pick.id: pick for pick in sorted(picks, key=lambda p: (p.time_ns, p.node))}
    return PickWorld(tuple(unique.values()), poses, air, fired, direct, node_m)


def _sounds_at(n: int, node_m: Floats, fired: Sequence[Fired], logits: Floats, drawn: _Drawn) -> list[_Sound]:
    """Direct sounds and echoes of everything fired, at one node."""
    sounds: list[_Sound] = []
    if not fired:
        return sounds
    places_m = np.array([f.place_m for f in fired])
    offset_m = places_m - node_m[n]
    range_m = np.maximum(np.sqrt(np.sum(offset_m**2, axis=1)), 20.0)
    travel_s = travel_time_s(places_m, node_m[n], drawn.speed_mps, drawn.wind_mps)
    rng, spec = drawn.rng, drawn.spec
    for k in np.flatnonzero(range_m < HEARD_TO_M):
        shot = fired[k]
        path = _path(shot, n, drawn)
        if path.is_deaf and not spec.all_heard:
            continue
        spread_db = 20.0 * math.log10(range_m[k] / 300.0) + EXCESS_DB_PER_M * (range_m[k] - 300.0)
        level_db = shot.level_300_db - spread_db - path.loss_db + float(rng.normal(0.0, 2.0))
        arrival_s = shot.time_s + float(travel_s[k]) + path.delay_s + float(rng.normal(0.0, spec.round_sigma_s))
        bearing_deg = math.degrees(math.atan2(offset_m[k, 0], offset_m[k, 1]))
        sounds.append(_Sound(arrival_s, level_db, int(k), bearing_deg, float(logits[k]), shot.sound))
        if spec.all_heard:
            continue
        jitters_s = rng.normal(0.0, spec.round_sigma_s, len(path.echo_delays_s))
        levels_db = level_db + path.echo_levels_db + rng.normal(0.0, 2.0, len(jitters_s))
        for delay_s, level in zip(path.echo_delays_s + jitters_s, levels_db, strict=True):
            bearing = float(rng.uniform(0.0, 360.0))
            when_s = arrival_s + max(float(delay_s), 1e-4)
            sounds.append(_Sound(when_s, float(level), -1, bearing, float(logits[k]) - 0.7, shot.sound))
    return sounds


def _path(shot: Fired, n: int, drawn: _Drawn) -> _Path:
    """The path of one shooter to node `n`, drawn when it is first needed; places 10 m apart have different ones."""
    key = (f"{shot.place_m[0] / 10.0:.0f},{shot.place_m[1] / 10.0:.0f},{shot.shooter}", n)
    if key not in drawn.paths:
        rng, spec = drawn.rng, drawn.spec
        is_late = rng.uniform() < spec.late_share
        delay_s = float(rng.normal(0.0, spec.path_sigma_s)) + is_late * float(rng.exponential(spec.late_mean_s))
        n_echoes = int(rng.poisson(spec.echoes))
        delays_s = 0.013 + rng.exponential(np.where(rng.uniform(size=n_echoes) < EARLY_ECHOES, 0.02, 0.35))
        levels_db = -spec.echo_level_db - 12.0 * delays_s + rng.normal(0.0, 4.0, n_echoes)
        loss_db = float(rng.normal(0.0, spec.level_sigma_db)) + 3.0 * is_late
        drawn.paths[key] = _Path(delay_s, loss_db, delays_s, np.minimum(levels_db, 2.0), rng.uniform() < DEAF_SHARE)
    return drawn.paths[key]


def _unrelated(duration_s: float, drawn: _Drawn) -> list[_Sound]:
    """Strong sounds near one node: doors, dogs, cars."""
    rng = drawn.rng
    count = int(rng.poisson(drawn.spec.slams_per_min * duration_s / 60.0))
    kinds = (SoundClass.IMPACT, SoundClass.VOICE, SoundClass.VEHICLE, SoundClass.OTHER)
    sounds = []
    for _ in range(count):
        kind = kinds[int(rng.integers(len(kinds)))]
        level_db = FLOOR_DB + float(rng.uniform(6.0, 25.0))
        logit = float(rng.normal(_GUNSHOT_LOGITS[kind], _SOUND_LOGIT_SIGMA))
        bearing_deg = float(rng.uniform(0.0, 360.0))
        sounds.append(_Sound(float(rng.uniform(0.0, duration_s)), level_db, -1, bearing_deg, logit, kind))
    return sounds


def _picked(name: str, sounds: Sequence[_Sound], drawn: _Drawn) -> list[tuple[Pick, int]]:
    """Picks of one node from fronts in order of time, each with the index of what it is the direct sound of, or -1."""
    rng, spec = drawn.rng, drawn.spec
    clock_s = float(rng.normal(0.0, spec.clock_sigma_s))
    picked: list[tuple[Pick, int]] = []
    recent: list[_Sound] = []
    last_s = -1.0
    for sound in sounds:
        recent = [s for s in recent if _tail_db(s, sound) > FLOOR_DB - 10.0]
        tails_db = [_tail_db(s, sound) for s in recent if s.direct_of >= 0 and sound.time_s - s.time_s > BLIND_S]
        background_db = 10.0 * math.log10(sum(10.0 ** (v / 10.0) for v in [FLOOR_DB, *tails_db]))
        prominence_db = min(sound.level_db - background_db, RAIL_DB) + float(rng.normal(0.0, 1.5))
        recent.append(sound)
        chance = 1.0 / (1.0 + math.exp(-(prominence_db - PICKED_FROM_DB) / 1.0))
        if not spec.all_heard and (sound.time_s - last_s < BLIND_S or rng.uniform() > chance):
            continue
        last_s = sound.time_s
        read_s = sound.time_s + clock_s + float(rng.normal(0.0, spec.pick_sigma_s))
        picked.append((_pick(name, read_s, max(prominence_db, 0.5), sound, drawn), sound.direct_of))
    return picked


def _tail_db(before: _Sound, sound: _Sound) -> float:
    """What an earlier sound leaves of itself in what a later one is measured against."""
    age_s = sound.time_s - before.time_s
    is_burst = age_s < TAIL_HOLD_S and sound.direct_of >= 0 and sound.level_db > before.level_db - BURST_MARGIN_DB
    drop_db = BURST_DROP_DB if is_burst else TAIL_DROP_DB
    return before.level_db - drop_db - TAIL_DB_PER_S * max(age_s - TAIL_HOLD_S, 0.0)


def _weak(name: str, duration_s: float, drawn: _Drawn) -> list[Pick]:
    """Unrelated weak picks of one node."""
    rng = drawn.rng
    picks = []
    for time_s in rng.uniform(0.0, duration_s, int(rng.poisson(drawn.spec.noise_hz * duration_s))):
        prominence_db = 3.0 + float(rng.exponential(NOISE_DB))
        logit = float(rng.normal(_GUNSHOT_LOGITS[SoundClass.OTHER], _SOUND_LOGIT_SIGMA))
        bearing_deg = float(rng.uniform(0.0, 360.0))
        level_db = FLOOR_DB + prominence_db
        sound = _Sound(float(time_s), level_db, -1, bearing_deg, logit, SoundClass.OTHER)
        picks.append(_pick(name, float(time_s), prominence_db, sound, drawn))
    return picks


def _pick(name: str, time_s: float, prominence_db: float, sound: _Sound, drawn: _Drawn) -> Pick:
    rng, spec = drawn.rng, drawn.spec
    time_ns = UtcNs(EPOCH_NS + round(time_s * 1e6) * 1_000)
    logit = sound.gunshot_logit + float(rng.normal(0.0, _READING_LOGIT_SIGMA))
    gunshot = round(1.0 / (1.0 + math.exp(-logit)), 4)
    bearing_deg = None
    if spec.bearing_sigma_deg is not None:
        bearing_deg = round((sound.bearing_deg + float(rng.normal(0.0, spec.bearing_sigma_deg))) % 360.0, 2)
    return Pick(
        id=pick_id(time_ns, name),
        node=name,
        time_ns=time_ns,
        sigma_ns=round(spec.pick_sigma_s * 1e9),
        clock_sigma_ns=round(spec.clock_sigma_s * 1e9),
        snr_db=round(prominence_db, 1),
        level_db_spl=round(sound.level_db, 1),
        bearing_deg=bearing_deg,
        bearing_sigma_deg=spec.bearing_sigma_deg,
        classes=_classes(gunshot, sound.sound),
        gunshot_probability=gunshot,
    )


def _classes(gunshot: float, sound: SoundClass) -> ClassProbabilities:
    """The rest of the probability: most of it on the sound's own class, or on fireworks for a gunshot."""
    named = SoundClass.FIREWORK if sound is SoundClass.GUNSHOT else sound
    rest = (1.0 - gunshot) / (len(CLASSES) + 3.0)
    values = [gunshot if c is SoundClass.GUNSHOT else rest * (5.0 if c is named else 1.0) for c in CLASSES]
    return ClassProbabilities(tuple(v / math.fsum(values) for v in values))
