"""`earshot demo`: a neighbourhood of simulated nodes on this machine."""

import argparse
from pathlib import Path

from appliance.daemon.demo import DemoOptions, run_demo
from appliance.errors import InputError

DEFAULT_NODES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--nodes", type=int, metavar="N", help=f"how many nodes, 1 to 25 (default {DEFAULT_NODES})")
    parser.add_argument("--scene", type=Path, metavar="DIR", help="play this recorded scene through its own nodes")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, another neighbourhood")
    parser.add_argument("--state", type=Path, metavar="DIR", help="keep the nodes' files here (default: a new folder)")
    parser.add_argument("--mute", action="append", default=[], metavar="NODE", help="silence this node's microphones")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo until it is interrupted."""
    if arguments.scene is not None and arguments.nodes is not None:
        raise InputError("--nodes", f"is {arguments.nodes} beside --scene", "leave it out: a scene has its own nodes")
    nodes = DEFAULT_NODES if arguments.nodes is None else arguments.nodes
    if not 1 <= nodes <= 25:
        raise InputError("--nodes", f"is {nodes}", "give a number from 1 to 25, which is the size of one mesh")
    if arguments.seed < 0:
        raise InputError("--seed", f"is {arguments.seed}", "give a number that is not negative")
    return run_demo(
        DemoOptions(
            nodes=nodes, scene=arguments.scene, seed=arguments.seed, state=arguments.state, muted=tuple(arguments.mute)
        )
    )
