"""Scenes made by physics, written as scenes on disk with their truth: `earshot simulate`.

The same specification gives the same scene.json, truth.json and samples, byte for byte.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from appliance.errors import InputError
from appliance.model.air import Air
from appliance.model.audio import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.physics.blasts import WEAPONS
from appliance.scene.emissions import DISTURBANCES, Emission, Volley, disturbance, shots, street_place
from appliance.scene.neighbourhood import RING_OF_FOUR, SINGLE_MICROPHONE, NetSettings, make_net, reach_of
from appliance.scene.reader import MAX_DURATION_S
from appliance.scene.rendering import Renderer
from appliance.scene.simulation import SimulatedWorld, WorldSettings, truth_of
from appliance.scene.town import Town, degrees_of
from appliance.scene.world import INT16_FULL_SCALE
from appliance.wire.scenes import Scene, SceneNode, encode_scene
from appliance.wire.truth import encode_truth

MAX_SHOOTERS = 8
MAX_ROUNDS = 200
QUIET_S = 2.0
"""Nothing happens so close to either end of a scene."""


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """What a scene is made of; everything else follows from `seed`.

    shooters, rounds:  that many shooters, each firing that many rounds of `weapon` every `cadence_s`
    gap_jitter:        1-sigma of the log of a gap between rounds: 0.15 by hand, 0.02 to 0.03 for an automatic weapon,
                       whose bolt and buffer keep time as a mass on a spring does
    disturbances:      kinds of `emissions.DISTURBANCES`, each once, spread over the scene
    array:             whether each node has four microphones on a circle of 32 mm, or one
    """

    seed: int = 1
    name: str = ""
    n_nodes: int = 5
    spacing_m: float = 250.0
    duration_s: float = 20.0
    shooters: int = 1
    rounds: int = 3
    cadence_s: float = 0.6
    gap_jitter: float = 0.15
    weapon: str = "9mm pistol"
    disturbances: tuple[str, ...] = ()
    array: bool = True
    sample_rate_hz: int = 16_000
    temperature_c: float = 18.0
    wind_mps: tuple[float, float] = (1.0, -0.5)
    start_ns: int = 1_783_134_720 * NS_PER_S


def simulate_scene(spec: SceneSpec, folder: Path, progress: Callable[[float], None] = lambda _share: None) -> None:
    """Write the scene of `spec` into `folder`, made if need be; `progress` is told the share done.

    Raises InputError for a specification that can't be, and where the folder can't be written.
    """
    _check(spec)
    rng = np.random.default_rng([spec.seed, 3])
    geometry = RING_OF_FOUR if spec.array else SINGLE_MICROPHONE
    town, sites = make_net(NetSettings(spec.n_nodes, spec.spacing_m, geometry), rng)
    emissions = _emissions(spec, town, reach_of(sites), rng)
    settings = _settings(spec)
    renderer = Renderer(town, settings.air, float(spec.sample_rate_hz), spec.seed)
    world = SimulatedWorld(renderer, sites, iter(emissions), settings, start_ns=spec.start_ns, seed=spec.seed)
    nodes = tuple(
        SceneNode(
            id=node.id,
            audio=f"{node.id}.flac",
            start_ns=UtcNs(spec.start_ns),
            clock_sigma_ns=settings.clock_sigma_ns,
            sample_rate_error_ppm=0.0,
            pose=node.pose,
            geometry=node.geometry,
        )
        for node in world.nodes
    )
    scene = Scene(spec.name or folder.name, settings.air, nodes)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_sound(spec, world, folder, progress)
        (folder / "truth.json").write_bytes(encode_truth(truth_of(emissions, spec.start_ns, degrees_of)))
        (folder / "scene.json").write_bytes(encode_scene(scene))
    except (OSError, soundfile.SoundFileError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise InputError(str(folder), f"can't be written ({words})", "make room or name another folder") from error


def _check(spec: SceneSpec) -> None:
    bounds = (
        ("the duration in seconds", spec.duration_s, 2.0 * QUIET_S + 1.0, MAX_DURATION_S),
        ("the spacing in metres", spec.spacing_m, 20.0, 1_000.0),
        ("the number of shooters", spec.shooters, 0, MAX_SHOOTERS),
        ("the number of rounds", spec.rounds, 1, MAX_ROUNDS),
        ("the cadence in seconds", spec.cadence_s, 0.03, 60.0),
        ("the sample rate in Hz", spec.sample_rate_hz, MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ),
        ("the temperature in degrees Celsius", spec.temperature_c, -40.0, 50.0),
        ("the wind in metres per second", math.hypot(*spec.wind_mps), 0.0, 30.0),
        ("the seed", spec.seed, 0, 2**63),
    )
    for thing, value, low, high in bounds:
        if not low <= value <= high:
            raise InputError(thing, f"is {value}", f"choose {low} to {high}")
    if spec.weapon not in WEAPONS:
        raise InputError("the weapon", f"is {spec.weapon!r}", f"choose one of {', '.join(WEAPONS)}")
    for sort in spec.disturbances:
        if sort not in DISTURBANCES:
            raise InputError("the disturbance", f"is {sort!r}", f"choose from {', '.join(DISTURBANCES)}")


def _settings(spec: SceneSpec) -> WorldSettings:
    east_mps, north_mps = spec.wind_mps
    return WorldSettings(air=Air(spec.temperature_c, east_mps, north_mps), sample_rate_hz=spec.sample_rate_hz)


def _emissions(spec: SceneSpec, town: Town, reach_m: float, rng: np.random.Generator) -> list[Emission]:
    """Everything that happens, in order of time; disturbances take turns with gunfire, which comes first."""
    last_s = spec.duration_s - QUIET_S
    emissions: list[Emission] = []
    volley = Volley(WEAPONS[spec.weapon], spec.rounds, spec.cadence_s, spec.gap_jitter)
    for i in range(spec.shooters):
        place_m, aim_rad = street_place(town, reach_m, rng), float(rng.uniform(0.0, 2.0 * math.pi))
        start_s = QUIET_S + float(rng.uniform(0.0, 1.0)) + (i * 0.4 if i else 0.0)
        emissions += shots(replace(volley, shooter="abcdefgh"[i]), place_m, aim_rad, start_s, rng)
    end_s = max((e.time_s for e in emissions), default=0.0)
    if end_s > last_s:
        thing = "the duration in seconds"
        raise InputError(thing, f"is {spec.duration_s}", f"choose {math.ceil(end_s + QUIET_S)} for so many rounds")
    step_s = (last_s - QUIET_S) / (len(spec.disturbances) + 1)
    for i, sort in enumerate(spec.disturbances):
        start_s = QUIET_S + (i + 1) * step_s
        emissions += [
            replace(e, time_s=e.time_s + start_s) for e in disturbance(town, sort, reach_m, rng) if e.time_s < step_s
        ]
    return sorted(emissions, key=lambda e: e.time_s)


def _write_sound(spec: SceneSpec, world: SimulatedWorld, folder: Path, progress: Callable[[float], None]) -> None:
    files = {
        node.id: soundfile.SoundFile(
            str(folder / f"{node.id}.flac"), "w", spec.sample_rate_hz, node.geometry.n_channels, "PCM_16", format="FLAC"
        )
        for node in world.nodes
    }
    n_left = n_all = round(spec.duration_s * spec.sample_rate_hz)
    try:
        while n_left > 0:
            for node, block in world.advance().items():
                samples = block.samples[:, :n_left] * np.float32(INT16_FULL_SCALE)
                files[node].write(np.ascontiguousarray(samples.T.astype(np.int16)))
            n_left -= round(world.block_s * spec.sample_rate_hz)
            progress(1.0 - max(n_left, 0) / n_all)
    finally:
        for file in files.values():
            file.close()
