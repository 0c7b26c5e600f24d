"""`python -m web`: serves the pages of the node whose state folder is given."""

import argparse
import ipaddress
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from flask import Flask

from appliance.config import Settings, load_settings
from appliance.config.folder import NodeFolder
from appliance.errors import EarshotError, InputError, StoreError
from appliance.storage import StoreReader
from web.app import create_app
from web.passes import CHAIN_FILE, KEY_FILE
from web.people import People
from web.server import Tls, listen, serve
from web.settings import WebSettings

TOKEN_VARIABLE = "EARSHOT_WEB_TOKEN"  # noqa: S105  # the name of a variable, no secret
DATABASE_WAIT_S = 30.0
DATABASE_POLL_S = 0.1


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop. Status 2 for wrong input, with one line on standard error."""
    arguments = _parser().parse_args(argv)
    listener: socket.socket | None = None
    try:
        folder = NodeFolder(Path(arguments.state))
        settings = load_settings(folder.settings_file) if folder.settings_file.exists() else Settings()
        web_settings = _web_settings(arguments, folder, settings)
        host = settings.web.host if arguments.host is None else arguments.host
        port = settings.web.port if arguments.port is None else arguments.port
        listener = listen(host, port)
        _wait_for(folder.database)
        tls = None if is_loopback(listener) else _tls(folder.page_keys)
        people_file = _people_file(folder)
        _tell_setup_code(people_file)
    except EarshotError as error:
        if listener is not None:
            listener.close()
        sys.stderr.write(f"earshot web: {error}\n")
        return 2

    def make_app() -> Flask:
        return create_app(web_settings, StoreReader(folder.database), People(people_file))

    serve(make_app, listener, max_event_clients=web_settings.max_event_clients, tls=tls)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m web", description="Serves the pages of one node.")
    parser.add_argument("--state", required=True, metavar="DIR", help="the node's state folder")
    parser.add_argument("--host", help="address to serve on (default: from the settings)")
    parser.add_argument("--port", type=_port, help="port; 0 takes any free one (default: from the settings)")
    parser.add_argument("--title", default="Earshot", help="heading of the page")
    parser.add_argument(
        "--token-file", metavar="FILE", help=f"file with the API's token (default: the variable {TOKEN_VARIABLE})"
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 0 to 65535")
    return int(text)


def _web_settings(arguments: argparse.Namespace, folder: NodeFolder, settings: Settings) -> WebSettings:
    try:
        return WebSettings(
            title=arguments.title,
            token=_token(arguments.token_file),
            max_event_clients=settings.web.max_clients,
            map_file=folder.map_file,
            control_socket=folder.control_socket,
            page_keys=folder.page_keys,
            clips=folder.clips,
            geography=_people_file(folder).parent / "geography",
            open_loopback=settings.web.open_loopback,
            open_metrics=settings.web.open_metrics,
        )
    except ValueError as error:
        raise InputError("token", str(error), "mend the token") from error


def _token(token_file: str | None) -> str | None:
    """The token from the file, else from the environment, where other users of the machine can't see it either."""
    if token_file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        return Path(token_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(token_file, f"can't be read: {error}", "name a readable file with one token") from error


def is_loopback(listener: socket.socket) -> bool:
    """Whether nobody but this machine can reach `listener`: only then are the pages served without HTTPS."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _tls(folder: Path) -> Tls:
    """The key and certificate that mesh writes at its start, which it did before it made the database."""
    tls = Tls(folder / KEY_FILE, folder / CHAIN_FILE)
    if tls.key.exists() and tls.chain.exists():
        return tls
    remedy = "start earshot mesh, which makes it, or serve this machine alone with web.host = 127.0.0.1"
    raise InputError(str(folder), "holds no certificate for the pages", remedy)


def _people_file(folder: NodeFolder) -> Path:
    """Where systemd gives this process a folder of its own, else in the node's state folder."""
    own = os.environ.get("STATE_DIRECTORY")
    return Path(own.split(":")[0]) / folder.people.name if own else folder.people


def _tell_setup_code(file: Path) -> None:
    """Say how the first person gets in: on standard error, which is the node's log."""
    people = People(file)
    try:
        if not people.has_owner():
            sys.stderr.write(f"earshot web: nobody can log in yet; the setup code is {people.setup_code()}\n")
    finally:
        people.close()


def _wait_for(database: Path) -> None:
    """Mesh makes the database at its first start; web may be quicker. Raises StoreError when it never can be read."""
    deadline_s = time.monotonic() + DATABASE_WAIT_S
    told = False
    while True:
        try:
            StoreReader(database).close()
        except StoreError:
            if time.monotonic() > deadline_s:
                raise
        else:
            return
        if not told:
            sys.stderr.write(f"earshot web: waiting up to {DATABASE_WAIT_S:.0f} s for {database}\n")
            told = True
        time.sleep(DATABASE_POLL_S)


if __name__ == "__main__":
    sys.exit(main())
