"""The stream of events: what happened since the client's cursor, then what happens, and a heartbeat between."""

import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, request

from web import sse
from web.access import cookie_name, current_person
from web.api import checked_cursor
from web.hub import PAGE_EVENTS, Subscription
from web.problems import Refusal
from web.reader import Event
from web.roles import Proof, Role
from web.site import Site, current_site
from web.views import presenter

log = logging.getLogger(__name__)

RETRY_FULL_S = 5
STALLED_MS = 15_000
"""A client that takes nothing for so long is cut, so that its place goes to another."""

LOOK_AGAIN_S = 5.0
"""How long a stream outlives the access of who opened it."""

blueprint = Blueprint("live", __name__)


@dataclass(frozen=True, slots=True)
class Client:
    """One open stream: its place, whether it may know exact positions of nodes, and whether it may go on."""

    subscription: Subscription
    is_exact: bool
    may_stay: Callable[[], bool]


@blueprint.get("/api/events")
def events() -> Response:
    """Server-sent events from the header `Last-Event-ID`, else from `?since=`, else from now on."""
    site = current_site()
    # A browser that reconnects repeats its first address, so the header knows better.
    given = request.headers.get("Last-Event-ID") or request.args.get("since")
    cursor = checked_cursor(given, site.texts)
    site.watch.start()
    subscription = site.hub.subscribe()
    if subscription is None:
        limit = site.settings.max_event_clients
        raise Refusal(
            503, site.texts.say("error.full", limit=limit), site.texts["error.full.remedy"], retry_after_s=RETRY_FULL_S
        )
    try:
        here = site.reader.latest_cursor() if cursor is None else None
        missed = site.reader.events_after(cursor, PAGE_EVENTS) if cursor is not None else ()
    except BaseException:
        site.hub.unsubscribe(subscription)
        raise
    _drop_when_stalled()
    client = Client(subscription, is_exact=current_person().role is Role.INSTALLER, may_stay=_may_stay(site))
    response = Response(stream(site, client, sse.opening(here), missed), mimetype="text/event-stream")
    # Not in the generator: one that was never begun never ends.
    response.call_on_close(lambda: site.hub.unsubscribe(subscription))
    response.headers["X-Accel-Buffering"] = "no"
    return response


def stream(site: Site, client: Client, opening: bytes, missed: Sequence[Event]) -> Iterator[bytes]:
    """What one client is sent: `opening`, what it `missed`, then what the hub hands out, until one of them ends it."""
    yield opening + _heartbeat(site)
    show = presenter(site.reader, site.texts, site.geography)
    # The hub has been filling the queue since before `missed` was read, so the two may overlap.
    seen: set[str | None] = set()
    while missed:
        frames = sse.frames(missed, show)
        seen.update(frame.key for frame in frames)
        yield b"".join(frame.lines(is_exact=client.is_exact) for frame in frames)
        missed = site.reader.events_after(missed[-1].cursor, PAGE_EVENTS) if len(missed) == PAGE_EVENTS else ()
    while (waiting := client.subscription.take(site.settings.heartbeat_s)) is not None:
        fresh = [frame for frame in waiting if frame.key is None or frame.key not in seen]
        new = [frame.lines(is_exact=client.is_exact) for frame in fresh]
        if not client.may_stay():
            return
        yield b"".join(new) or _heartbeat(site)
        if not waiting:
            seen.clear()


def _may_stay(site: Site) -> Callable[[], bool]:
    """Whether who opened a stream may still have it, asked at each turn: somebody's access may end meanwhile."""
    cookie = request.cookies.get(cookie_name())
    if current_person().proof is not Proof.SESSION or site.people is None or cookie is None:
        return lambda: True
    people, due_s = site.people, time.monotonic()

    def may_stay() -> bool:
        nonlocal due_s
        if time.monotonic() < due_s:
            return True
        due_s = time.monotonic() + LOOK_AGAIN_S
        return people.session(cookie, time.time_ns()) is not None

    return may_stay


def _heartbeat(site: Site) -> bytes:
    return sse.heartbeat(time.time_ns(), site.watch.mesh)


def _drop_when_stalled() -> None:
    """Let the kernel end a connection whose client has gone or takes nothing; a blocked write has no other end."""
    connection = request.environ.get("gunicorn.socket")
    if isinstance(connection, socket.socket):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
