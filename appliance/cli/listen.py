"""`earshot listen`: the process that hears."""

import argparse

from appliance.cli.main import STATUS_OK
from appliance.cli.state import add_state_argument, open_folder
from appliance.daemon.listen import Listener
from appliance.daemon.logs import set_up_logging
from appliance.daemon.notify import Notifier
from appliance.daemon.supervisor import stop_signals


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_state_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Hear until told to stop."""
    folder, settings = open_folder(arguments)
    set_up_logging()
    notifier = Notifier()
    with stop_signals() as stopped:
        listener = Listener(settings, folder, notifier.watchdog)
        notifier.ready()
        listener.run(stopped)
    return STATUS_OK
