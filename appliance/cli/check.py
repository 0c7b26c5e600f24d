"""`earshot check`: what works on this node, what doesn't, and what to do."""

import argparse
import logging

from appliance.cli.main import STATUS_OK
from appliance.cli.state import add_state_argument, open_folder
from appliance.config import describe
from appliance.daemon.check import check_node
from appliance.model.health import HealthState

STATUS_NOT_READY = 1
MARKS = {HealthState.OK: "ok", HealthState.DEGRADED: "weak", HealthState.FAILED: "FAILED", HealthState.UNKNOWN: "?"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_state_argument(parser)
    parser.add_argument("--settings", action="store_true", help="print the settings in force as well")


def run(arguments: argparse.Namespace) -> int:
    """Print a line per check; status 1 where one of them failed."""
    folder, settings = open_folder(arguments)
    # What is wrong is in the checks; the log would only say it again between them.
    logging.getLogger("appliance").addHandler(logging.NullHandler())
    if arguments.settings:
        print(describe(settings))
    failed = False
    for check in check_node(settings, folder):
        failed |= check.state == HealthState.FAILED
        print(f"{MARKS[check.state]:6} {check.name}: {check.words}", flush=True)
        if check.remedy and check.state != HealthState.OK:
            print(f"       {check.remedy}", flush=True)
    return STATUS_NOT_READY if failed else STATUS_OK
