"""`earshot simulate … OUT`: write a scene with its truth, from a seed."""

import argparse
from pathlib import Path

from appliance.cli.batch import progress
from appliance.cli.main import STATUS_OK
from appliance.physics.blasts import WEAPONS
from appliance.scene.emissions import DISTURBANCES
from appliance.scene.synthesise import SceneSpec, simulate_scene

DEFAULTS = SceneSpec()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the defaults are those of `SceneSpec`."""
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="folder for scene.json, truth.json and one FLAC file per node")
    add("--seed", type=int, default=DEFAULTS.seed, metavar="N", help="another seed, another town and other places")
    add("--nodes", type=int, default=DEFAULTS.n_nodes, metavar="N", help="how many nodes, 1 to 25")
    add("--spacing", type=float, default=DEFAULTS.spacing_m, metavar="M", help="metres between nodes")
    add("--duration", type=float, default=DEFAULTS.duration_s, metavar="S", help="seconds of sound")
    add("--shooters", type=int, default=DEFAULTS.shooters, metavar="N", help="how many shooters; 0: no gunfire")
    add("--rounds", type=int, default=DEFAULTS.rounds, metavar="N", help="rounds of each shooter")
    add("--cadence", type=float, default=DEFAULTS.cadence_s, metavar="S", help="seconds between rounds of one shooter")
    add("--weapon", default=DEFAULTS.weapon, metavar="NAME", help=f"one of {', '.join(WEAPONS)}")
    add("--disturb", action="append", default=[], metavar="KIND", help=f"also: {', '.join(DISTURBANCES)}; repeatable")
    add("--single", action="store_true", help="one microphone per node instead of four on a circle of 32 mm")
    add("--rate", type=int, default=DEFAULTS.sample_rate_hz, metavar="HZ", help="sample rate")
    add("--temperature", type=float, default=DEFAULTS.temperature_c, metavar="C", help="degrees Celsius")
    add("--wind", type=float, nargs=2, default=DEFAULTS.wind_mps, metavar=("E", "N"), help="m/s to east and to north")


def run(arguments: argparse.Namespace) -> int:
    """Write the scene."""
    spec = SceneSpec(
        seed=arguments.seed,
        n_nodes=arguments.nodes,
        spacing_m=arguments.spacing,
        duration_s=arguments.duration,
        shooters=arguments.shooters,
        rounds=arguments.rounds,
        cadence_s=arguments.cadence,
        weapon=arguments.weapon,
        disturbances=tuple(arguments.disturb),
        array=not arguments.single,
        sample_rate_hz=arguments.rate,
        temperature_c=arguments.temperature,
        wind_mps=tuple(arguments.wind),
    )
    with progress("%", total=100) as bar:

        def show(share: float) -> None:
            bar.n = round(100 * share)
            bar.refresh()

        simulate_scene(spec, arguments.out, show)
    return STATUS_OK
