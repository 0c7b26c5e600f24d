"""Server-sent events: what changed, as the lines of a `text/event-stream`. No I/O.

Format: WHATWG HTML, "Server-sent events". An event without `id` leaves the client's last event id as it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from web import present
from web.reader import Body, Event

RETRY_MS = 2_000
"""How long a browser waits before it connects again."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event ready to send.

    key:    tells whether a client has seen it; None: it can't be asked for again
    data:   for who may know where exactly nodes stand
    coarse: for everybody else
    """

    key: str | None
    data: bytes
    coarse: bytes

    def lines(self, *, is_exact: bool) -> bytes:
        """What a client gets that may, or may not, know exact positions of nodes."""
        return self.data if is_exact else self.coarse


@dataclass(frozen=True, slots=True)
class Presenter:
    """How the stream shows an incident, and all nodes as they are now."""

    incident: Callable[[Body], Body]
    nodes: Callable[[], Sequence[Body]]


def frames(events: Sequence[Event], presenter: Presenter) -> list[Frame]:
    """The frames of `events`, in order.

    However many events say that the nodes changed, one frame tells how they are now, in the place of the last.
    Only the last of several events with one cursor carries the id: who reads on from there has seen them all.
    """
    last_nodes = max((i for i, event in enumerate(events) if event.kind == "nodes"), default=-1)
    result: list[Frame] = []
    for i, event in enumerate(events):
        if event.kind == "nodes" and i != last_nodes:
            continue
        is_last_of_cursor = i + 1 == len(events) or events[i + 1].cursor != event.cursor
        cursor = event.cursor if is_last_of_cursor else None
        name = event.body.get("record") or event.body.get("id", "")
        result.append(_frame(f"{event.cursor} {event.kind} {name}", event, cursor, presenter))
    return result


def _frame(key: str, event: Event, cursor: str | None, presenter: Presenter) -> Frame:
    if event.kind == "nodes":
        return nodes_frame(key, presenter.nodes(), cursor)
    body = presenter.incident(event.body) if event.kind == "incident" else event.body
    data = event_lines(event.kind, body, cursor)
    return Frame(key, data, data)


def nodes_frame(key: str | None, nodes: Sequence[Body], cursor: str | None) -> Frame:
    """Nodes for both kinds of client."""
    coarse = [present.coarse(node) for node in nodes]
    return Frame(key, event_lines("nodes", nodes, cursor), event_lines("nodes", coarse, cursor))


def event_lines(kind: str, body: Any, cursor: str | None) -> bytes:  # noqa: ANN401  # any JSON value
    """One event; JSON holds no line breaks, so it is one line of data."""
    head = f"id: {cursor}\nevent: {kind}\ndata: " if cursor is not None else f"event: {kind}\ndata: "
    return head.encode() + msgspec.json.encode(body) + b"\n\n"


def opening(cursor: str | None) -> bytes:
    """The first lines of a stream; `cursor` is where a client stands that has not said where it does."""
    where = "" if cursor is None else f"id: {cursor}\n"
    return f"retry: {RETRY_MS}\n{where}\n".encode()


def heartbeat(time_ns: int, mesh: str) -> bytes:
    """A comment that proves the link; it carries the node's time and whether its mesh process answers."""
    return b": " + msgspec.json.encode({"time_ns": time_ns, "mesh": mesh}) + b"\n\n"
