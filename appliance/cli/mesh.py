"""`earshot mesh`: the process that keeps the log, meets the peers and locates."""

import argparse
import datetime

from appliance.cli.main import STATUS_OK
from appliance.cli.state import add_state_argument, open_folder
from appliance.daemon.logs import set_up_logging
from appliance.daemon.mesh import run_mesh
from appliance.daemon.mesh_setup import ensure_keys, mesh_setup
from appliance.daemon.notify import Notifier
from appliance.daemon.page_keys import write_page_keys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_state_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the mesh process until told to stop."""
    folder, settings = open_folder(arguments)
    set_up_logging()
    ensure_keys(settings, folder)
    write_page_keys(settings, folder, datetime.datetime.now(tz=datetime.UTC))
    notifier = Notifier()
    run_mesh(mesh_setup(settings, folder, notifier.watchdog), lambda _port: notifier.ready())
    return STATUS_OK
