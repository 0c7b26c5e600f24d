"""`earshot node`: all three processes of one node, where no systemd starts them."""

import argparse
import sys
import time

from appliance.cli.main import STATUS_OK
from appliance.cli.state import add_state_argument, open_folder
from appliance.daemon.logs import set_up_logging
from appliance.daemon.node import node_children
from appliance.daemon.supervisor import Supervisor, stop_signals

CHECK_INTERVAL_S = 0.5
STATUS_GIVEN_UP = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_state_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Keep the three processes running until told to stop; status 1 where one of them could not be kept up."""
    folder, settings = open_folder(arguments)
    set_up_logging()
    supervisor = Supervisor(node_children(settings.node.id, folder, sys.executable))
    with stop_signals() as stopped:
        supervisor.start()
        try:
            while not stopped.wait(CHECK_INTERVAL_S) and not supervisor.failed():
                supervisor.check(time.monotonic())
        finally:
            supervisor.stop()
    return STATUS_GIVEN_UP if supervisor.failed() else STATUS_OK
