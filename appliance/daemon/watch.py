"""What a terminal in a car does: finds the nodes' pages, follows their events, and turns to another node by itself."""

import contextlib
import http.client
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from zeroconf import Error as ZeroconfError
from zeroconf import IPVersion, ServiceBrowser, ServiceStateChange, Zeroconf

from appliance.errors import EarshotError, InputError, PeerError
from appliance.mesh.discovery import MAX_SERVICES, SERVICE_TYPE

log = logging.getLogger(__name__)

SILENT_S = 11.0
"""Two heartbeats missed: who watches must know within 12 s."""
CONNECT_S = 4.0
AGAIN_S = 1.0
LOOKUP_MS = 2_000
MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_NODES = 25
LOUD = ("gunfire", "possible-gunfire")


@dataclass(frozen=True, slots=True)
class Access:
    """How the terminal proves itself: an `Authorization` header, or nothing where the node asks for nothing."""

    header: str | None = None

    def headers(self) -> dict[str, str]:
        """What goes with every request."""
        return {"Authorization": self.header} if self.header else {}


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a node: `incident`, `acknowledgement`, …, or `link` with what is to be said of the link."""

    kind: str
    body: dict[str, Any]


@dataclass(slots=True)
class Nodes:
    """The addresses of pages that may serve, in the order in which they are tried. Safe from several threads."""

    urls: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, url: object) -> None:
        """Take an address in, unless it is none or there are enough."""
        if not isinstance(url, str) or not url.startswith(("https://", "http://")):
            return
        with self._lock:
            if url.rstrip("/") not in self.urls and len(self.urls) < MAX_NODES:
                self.urls.append(url.rstrip("/"))

    def turn(self) -> None:
        """Put the first one last."""
        with self._lock:
            self.urls.append(self.urls.pop(0))

    def first(self) -> str | None:
        """Whom to ask now."""
        with self._lock:
            return self.urls[0] if self.urls else None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Message
    body: bytes


class Watcher:
    """Follows the events of a site at whichever node answers, and speaks to that node."""

    def __init__(self, nodes: Nodes, access: Access, context: ssl.SSLContext | None) -> None:
        """Ask `nodes`; HTTPS is checked by `context`, and nobody is asked over HTTPS without one."""
        self.nodes = nodes
        self._access = access
        self._context = context
        self._cursor: str | None = None
        self.serving: str | None = None

    def follow(self, stop: Callable[[], bool]) -> Iterator[Event]:
        """Events until `stop`, lost links among them; each node is tried in its turn. Where none is known, nothing."""
        lost_s: float | None = None
        while not stop():
            url = self.nodes.first()
            if url is None:
                return
            try:
                for event in self._stream(url):
                    if lost_s is not None or self.serving != url:
                        yield Event("link", {"state": "live", "node": url})
                    lost_s, self.serving = None, url
                    if stop():
                        return
                    if event is not None:
                        yield event
            except (OSError, http.client.HTTPException, EarshotError, ValueError) as error:
                if lost_s is None:
                    lost_s = time.monotonic()
                    yield Event("link", {"state": "lost", "node": url, "why": str(error)})
            self.nodes.turn()
            time.sleep(AGAIN_S if lost_s is not None and time.monotonic() - lost_s > AGAIN_S else 0.1)

    def acknowledge(self, incident: str, unit: str, state: str) -> None:
        """Say how far the unit is. Raises PeerError with the node's reason, OSError where no node answers."""
        body = json.dumps({"unit": unit, "state": state, "time_ns": time.time_ns()})
        url = self.serving or self.nodes.first() or ""
        self._ask(url, "POST", f"/api/incidents/{quote(incident)}/acknowledgements", body)

    def _stream(self, url: str) -> Iterator[Event | None]:
        """Events of one node from the cursor on; None for a heartbeat. Raises where the node falls silent."""
        if self._cursor is None:
            listed = self._ask(url, "GET", "/api/incidents?limit=20")
            self._cursor = listed.headers["Earshot-Cursor"]
            for incident in reversed(json.loads(listed.body)):
                yield Event("known", incident)
        for node in json.loads(self._ask(url, "GET", "/api/nodes").body):
            self.nodes.add(node.get("url"))
        headers = {**self._access.headers(), "Last-Event-ID": self._cursor}
        with contextlib.closing(connect(url, self._context, SILENT_S)) as connection:
            connection.request("GET", "/api/events", headers=headers)
            stream = connection.getresponse()
            if stream.status == 400:
                self._cursor = None  # the node's database was replaced: begin anew
            if stream.status != 200:
                raise _refused(Answer(stream.status, stream.headers, stream.read(MAX_LINE_BYTES)), url)
            yield None
            yield from self._events(stream)

    def _events(self, stream: http.client.HTTPResponse) -> Iterator[Event | None]:
        """The events of an open stream (WHATWG HTML, "Interpreting an event stream"), as far as ours use it."""
        kind, cursor = "", None
        while line := stream.readline(MAX_LINE_BYTES):
            text = line.decode(errors="replace").rstrip("\n")
            name, _, value = text.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                kind = value
            elif name == "id":
                cursor = value
            elif name == "data" and kind != "nodes":
                yield Event(kind, json.loads(value))
            elif text == "":
                self._cursor = cursor or self._cursor
                kind, cursor = "", None
                yield None
        raise PeerError("the stream", "ended", "it is opened again")

    def _ask(self, url: str, method: str, path: str, body: str | None = None) -> Answer:
        """One request. Raises PeerError with the node's reason for every status but 200."""
        headers = {**self._access.headers(), "Content-Type": "application/json"}
        answer = fetch(connect(url, self._context, CONNECT_S), method, path, body, headers)
        if answer.status != 200:
            raise _refused(answer, url)
        return answer


def fetch(
    connection: http.client.HTTPConnection, method: str, path: str, body: str | None, headers: dict[str, str]
) -> Answer:
    """One request over `connection`, which is closed. Raises OSError and HTTPException."""
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read(MAX_LINE_BYTES))


def connect(url: str, context: ssl.SSLContext | None, timeout_s: float) -> http.client.HTTPConnection:
    """A connection to a node's pages. Raises InputError for HTTPS without a site to check it by."""
    parts = urlsplit(url)
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.netloc, timeout=timeout_s)
    if context is None:
        remedy = f"get {url}/trust/site.crt, compare its fingerprint, and name it with --site-certificate"
        raise InputError(url, "can't be checked without the site's certificate", remedy)
    return http.client.HTTPSConnection(parts.netloc, timeout=timeout_s, context=context)


def log_in(url: str, context: ssl.SSLContext | None, name: str, password: str) -> Access:
    """A pass for every node of the site, from a login at one. Raises InputError where name and password don't fit."""
    form = urlencode({"name": name, "password": password})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = fetch(connect(url, context, CONNECT_S), "POST", "/login", form, kind)
    if answer.status == 429:
        raise InputError(url, "had too many wrong logins", f"wait {answer.headers.get('Retry-After', 'a few')} s")
    cookie = (answer.headers.get("Set-Cookie") or "").split(";")[0]
    if answer.status != 302 or not cookie:
        raise InputError(url, f"refused the login of {name}", "check name and password")
    given = fetch(connect(url, context, CONNECT_S), "GET", "/api/pass", None, {"Cookie": cookie})
    made = json.loads(given.body).get("pass")
    if not made:
        raise InputError(url, "makes no passes", "start earshot mesh there, which makes its keys")
    return Access(f"Pass {made}")


def find_nodes(nodes: Nodes, wait_s: float) -> Callable[[], None]:
    """Look for the site's nodes by mDNS, and go on looking; returns how to stop. They must still prove themselves."""
    try:
        mdns = Zeroconf(ip_version=IPVersion.V4Only)
    except (OSError, ZeroconfError) as error:
        log.warning("mDNS is not available: %s", error)
        return lambda: None

    def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Removed or len(nodes.urls) >= MAX_SERVICES:
            return
        info = zeroconf.get_service_info(service_type, name, LOOKUP_MS)
        if info is not None:
            nodes.add(info.decoded_properties.get("pages"))

    ServiceBrowser(mdns, SERVICE_TYPE, handlers=[changed])
    deadline_s = time.monotonic() + wait_s
    while not nodes.urls and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return mdns.close


def _refused(answer: Answer, url: str) -> PeerError:
    try:
        told = json.loads(answer.body)
        return PeerError(url, str(told["error"]), str(told["remedy"]))
    except (ValueError, KeyError, TypeError):
        return PeerError(url, f"answered with status {answer.status}", "check its address")


def line_of(incident: dict[str, Any]) -> str:
    """An incident in one line, as the node's words say it."""
    words = incident.get("words", {})
    parts: Sequence[object] = (
        str(incident.get("time", ""))[11:19],
        words.get("line", incident.get("category", "")),
        incident.get("address", ""),
    )
    return "  ".join(str(part) for part in parts if part)


def is_loud(incident: dict[str, Any]) -> bool:
    """Whether an incident must ring."""
    return incident.get("category") in LOUD and incident.get("status", "live") != "cancelled"
