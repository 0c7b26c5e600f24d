"""`earshot latency`: the fixed delay of this node's array, from clicks that its receiver's pulse makes."""

import argparse
import contextlib

from appliance.cli.main import STATUS_OK
from appliance.cli.state import add_state_argument, open_folder
from appliance.daemon.latency import measure_latency
from appliance.daemon.witnesses import open_witnesses
from appliance.model.instants import NS_PER_US


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_state_argument(parser)
    parser.add_argument("--seconds", type=int, default=60, metavar="S", help="how long to listen (default: 60)")


def run(arguments: argparse.Namespace) -> int:
    """Listen and print the line to put into the settings; earshot listen must not run meanwhile."""
    folder, settings = open_folder(arguments)
    with contextlib.closing(open_witnesses(settings, folder)) as witnesses:
        found = measure_latency(settings, folder, arguments.seconds, witnesses.mapping)
    print(f"# {found.n_clicks} clicks, ± {found.sigma_ns / NS_PER_US:.1f} µs and the clock's error")
    print(f"[ears]\nlatency_us = {found.latency_ns / NS_PER_US:.1f}")
    return STATUS_OK
