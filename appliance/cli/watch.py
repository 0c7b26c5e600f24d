"""`earshot watch`: a terminal in a car: finds the mesh, prints and rings alerts, acknowledges."""

import argparse
import getpass
import os
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.cli.main import STATUS_OK
from appliance.daemon.watch import Access, Event, Nodes, Watcher, connect, find_nodes, is_loud, line_of, log_in
from appliance.errors import EarshotError, InputError

TOKEN_VARIABLE = "EARSHOT_WEB_TOKEN"  # noqa: S105 - the name of a variable
FIND_S = 5.0
BELL = "\a"
STEPS = {"a": "acknowledged", "e": "en-route", "s": "on-scene", "c": "clear", "d": "declined"}
HELP = "a acknowledge, e en route, s on scene, c clear, d can't respond (of the last alert, or: a NUMBER); q ends"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--node", action="append", default=[], metavar="URL", help="address of a node's pages")
    parser.add_argument("--unit", required=True, help="this car, as others see it")
    parser.add_argument("--name", help="log in under this name; the password is asked for")
    parser.add_argument(
        "--site-certificate", type=Path, metavar="FILE", help="the site's certificate, from a node's page /trust"
    )
    parser.add_argument("--no-mdns", action="store_true", help="ask only the nodes that are named")


def run(arguments: argparse.Namespace) -> int:
    """Watch until the input ends or somebody types q."""
    context = _context(arguments.site_certificate)
    nodes = Nodes()
    for url in arguments.node:
        nodes.add(url)
    stop_looking: Callable[[], None] | None = None if arguments.no_mdns else find_nodes(nodes, FIND_S)
    try:
        first = nodes.first()
        if first is None:
            raise InputError("the mesh", "was not found", "name a node with --node https://ADDRESS:PORT")
        connect(first, context, FIND_S).close()  # connects to nobody yet: it refuses what could never be checked
        watcher = Watcher(nodes, _access(arguments, first, context), context)
        terminal = Terminal(watcher, arguments.unit)
        thread = threading.Thread(target=terminal.read_commands, name="keys", daemon=True)
        thread.start()
        for event in watcher.follow(terminal.ended.is_set):
            terminal.show(event)
    finally:
        if stop_looking is not None:
            stop_looking()
    return STATUS_OK


class Terminal:
    """What is printed, and what is typed. The last alerts have numbers."""

    def __init__(self, watcher: Watcher, unit: str) -> None:
        """Speak for `unit`."""
        self._watcher = watcher
        self._unit = unit
        self._alerts: list[str] = []
        self._seen: dict[str, dict[str, Any]] = {}
        self.ended = threading.Event()
        _say(HELP)

    def show(self, event: Event) -> None:
        """Print an event; an alert that is new or has become one rings."""
        body = event.body
        if event.kind == "link":
            words = f"live from {body['node']}" if body["state"] == "live" else f"NO LINK: {body['why']}"
            _say(f"-- {words}", bell=body["state"] != "live")
        elif event.kind in ("incident", "known"):
            self._show_incident(body, is_known=event.kind == "known")
        elif event.kind == "acknowledgement":
            _say(f"   {body['unit']}: {body['state']} ({self._number(body['incident'])})")
        elif event.kind == "exercise":
            _say(f"   EXERCISE: {body['words']}", bell=True)

    def read_commands(self) -> None:
        """Read lines until the input ends."""
        for line in sys.stdin:
            words = line.split()
            if words[:1] == ["q"]:
                break
            if words and words[0] in STEPS:
                self._press(STEPS[words[0]], words[1] if len(words) > 1 else str(len(self._alerts)))
            elif words:
                _say(HELP)
        self.ended.set()

    def _show_incident(self, incident: dict[str, Any], *, is_known: bool) -> None:
        before = next((self._seen[i] for i in (incident["id"], *incident.get("aliases", ())) if i in self._seen), None)
        self._seen[incident["id"]] = incident
        if not is_loud(incident) and (before is None or not is_loud(before)):
            return
        if incident["id"] not in self._alerts:
            self._alerts.append(incident["id"])
        is_new = is_loud(incident) and (before is None or not is_loud(before))
        mark = "!!" if is_new else " ~"
        _say(f"{mark} [{self._number(incident['id'])}] {line_of(incident)}", bell=is_new and not is_known)

    def _number(self, incident: str) -> str:
        known = {i: n for n, i in enumerate(self._alerts, start=1)}
        return str(known.get(incident, incident))

    def _press(self, state: str, number: str) -> None:
        if not (number.isascii() and number.isdigit() and 1 <= int(number) <= len(self._alerts)):
            _say(f"there is no alert {number}")
            return
        try:
            self._watcher.acknowledge(self._alerts[int(number) - 1], self._unit, state)
        except (EarshotError, OSError) as error:
            _say(f"NOT SAVED: {error}")
        else:
            _say(f"saved: {state}")


def _context(file: Path | None) -> ssl.SSLContext | None:
    """TLS that believes the site alone, and no authority of the internet. Raises InputError."""
    if file is None:
        return None
    try:
        data = file.read_bytes()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        is_text = data.startswith(b"-----")
        context.load_verify_locations(cadata=data.decode("ascii") if is_text else data)
    except (OSError, ssl.SSLError, UnicodeDecodeError) as error:
        raise InputError(str(file), f"is no certificate: {error}", "get it from a node's page /trust") from error
    return context


def _access(arguments: argparse.Namespace, url: str, context: ssl.SSLContext | None) -> Access:
    if arguments.name is None:
        token = os.environ.get(TOKEN_VARIABLE)
        return Access(f"Bearer {token}" if token else None)
    try:
        return log_in(url, context, arguments.name, getpass.getpass(f"Password of {arguments.name}: "))
    except OSError as error:
        raise InputError(url, f"can't be reached: {error}", "name another node with --node") from error


def _say(words: str, *, bell: bool = False) -> None:
    sys.stdout.write(f"{BELL if bell else ''}{words}\n")
    sys.stdout.flush()
