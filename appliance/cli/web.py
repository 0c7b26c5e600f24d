"""`earshot web`: the process that serves the pages, which is another package that the appliance never imports."""

import argparse
import os
import sys

from appliance.cli.state import add_state_argument, open_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_state_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Become the web process; its settings are checked first, so that a mistake is told in the same words."""
    folder, _settings = open_folder(arguments)
    os.execv(sys.executable, [sys.executable, "-m", "web", "--state", str(folder.root)])  # noqa: S606 - no shell wanted
