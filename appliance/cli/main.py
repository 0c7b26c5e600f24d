"""Reads the command line and turns every error that a person can mend into one line and a status."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from appliance import __version__
from appliance.errors import EarshotError

STATUS_OK = 0
STATUS_BAD_INPUT = 2


class Command(Protocol):
    """What each module of a command offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's options."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; returns the exit status. Raises EarshotError for what a person can mend."""


COMMANDS: dict[str, str] = {
    "demo": "a neighbourhood of simulated nodes on this machine: real processes, real mesh, real pages",
    "node": "all three processes of one node",
    "listen": "the process that hears",
    "mesh": "the process that keeps the log, meets the peers and locates",
    "web": "the process that serves the pages",
    "replay": "scenes in, incidents out",
    "locate": "the localiser alone, from picks files",
    "classify": "what the detector and the classifier make of sound files",
    "simulate": "write a scene with its truth, from a seed",
    "export": "a bundle of evidence of one incident",
    "verify": "whether a log or a bundle of evidence is whole, and where it is not",
    "join": "ask to be let into a site by the code that another node shows",
    "latency": "the fixed delay of this node's array, from clicks that its receiver's pulse makes",
    "watch": "a terminal in a car: finds the mesh, prints and rings alerts, acknowledges",
    "check": "configuration, devices, clock, keys: what works, what doesn't, what to do",
}
"""Name and one line of help of each command; its module in this package has the same name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Status 0: done; 1: done, but something isn't as it should be; 2: wrong input."""
    words = sys.argv[1:] if argv is None else list(argv)
    parser = _parser(words)
    arguments = parser.parse_args(words)
    try:
        run = cast("Callable[[argparse.Namespace], int]", arguments.run)
        return run(arguments)
    except EarshotError as error:
        print(f"earshot: {error}", file=sys.stderr)
        return STATUS_BAD_INPUT
    except KeyboardInterrupt:
        return 130  # what a shell reports for a program that SIGINT ended
    except BrokenPipeError:
        # The reader of standard output went away (`earshot classify … | head`); that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return STATUS_OK


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, with the options of the one command that `words` name: importing all would cost a second."""
    parser = argparse.ArgumentParser(prog="earshot", description="Hears, times and locates gunfire as a mesh of nodes.")
    parser.add_argument("--version", action="version", version=f"earshot {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    asked = next((word for word in words if not word.startswith("-")), None)
    for name, help_text in COMMANDS.items():
        subparser = commands.add_parser(name, help=help_text, description=help_text)
        if name == asked:
            command = cast("Command", importlib.import_module(f"appliance.cli.{name}"))
            command.add_arguments(subparser)
            subparser.set_defaults(run=command.run)
    return parser
