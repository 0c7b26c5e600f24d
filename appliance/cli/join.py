"""`earshot join CODE`: ask to be let into the site of the node that shows the code."""

import argparse
import asyncio

from appliance.cli.main import STATUS_OK
from appliance.cli.state import add_state_argument, open_folder
from appliance.errors import InputError
from appliance.mesh.joining import join


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("code", metavar="CODE", help="the 16 characters that the page of the other node shows")
    parser.add_argument("door", metavar="HOST:PORT", help="where joining is open, as that page says")
    add_state_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Be let in; the keys are taken into use when `earshot mesh` starts next."""
    folder, settings = open_folder(arguments)
    host, _, port = arguments.door.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise InputError("HOST:PORT", f'"{arguments.door}" is no address', "write it like 10.0.0.7:40123")
    joined = asyncio.run(join(settings.node.id, arguments.code, host.strip("[]"), int(port)))
    joined.save(folder.joined_keys)
    print(f"{settings.node.id} was let in; restart earshot mesh on this node to go on as part of the site")
    return STATUS_OK
