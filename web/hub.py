"""Hands what changed to every open stream of events: read once, encoded once, a bounded queue for each client."""

import threading
from collections import deque
from collections.abc import Sequence

from web import sse
from web.reader import Body, Reader
from web.sse import Frame, Presenter

PAGE_EVENTS = 500
NODES_INTERVAL_S = 1.0
"""Levels change all the time; meters that move once a second are live enough."""
HEARD_STEP_NS = 10_000_000_000
"""A node that was heard again is news only after so long: its state says whether it is heard at all."""


class Subscription:
    """The frames that wait for one client. The hub puts them in, the client's thread takes them out."""

    def __init__(self, limit: int) -> None:
        """Hold up to `limit` frames; one more closes the subscription, because it would tear a hole."""
        self._limit = limit
        self._frames: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def offer(self, frames: Sequence[Frame]) -> None:
        """Queue `frames`, or close when they don't fit."""
        with self._changed:
            if len(self._frames) + len(frames) > self._limit:
                self._frames.clear()
                self._closed = True
            elif not self._closed:
                self._frames.extend(frames)
            self._changed.notify()

    def close(self) -> None:
        """End the client's stream after what is queued."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self, timeout_s: float) -> list[Frame] | None:
        """All that waits, after at most `timeout_s` (then maybe nothing); None: the subscription has ended."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._frames) or self._closed, timeout_s)
            if not self._frames and self._closed:
                return None
            taken = list(self._frames)
            self._frames.clear()
            return taken


class Hub:
    """All open streams. `look` belongs to one thread, the rest may be called from any."""

    def __init__(self, reader: Reader, presenter: Presenter, *, max_clients: int, queue_limit: int) -> None:
        """Serve up to `max_clients` streams from `reader`."""
        self._reader = reader
        self._presenter = presenter
        self._max_clients = max_clients
        self._queue_limit = queue_limit
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()
        self._closed = False
        self._cursor: str | None = None
        self._nodes_sent: dict[str, Body] = {}
        self._nodes_due_s = 0.0

    @property
    def n_clients(self) -> int:
        """Streams that are open now."""
        return len(self._subscriptions)

    def subscribe(self) -> Subscription | None:
        """A place for one more client, or None when all are taken; give it back with `unsubscribe`."""
        with self._lock:
            if self._closed or len(self._subscriptions) >= self._max_clients:
                return None
            if self._cursor is None:
                # Before the client reads for itself, so that nothing falls between the two.
                self._cursor = self._reader.latest_cursor()
            subscription = Subscription(self._queue_limit)
            self._subscriptions.add(subscription)
            return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Let go of a client's place; harmless when repeated."""
        subscription.close()
        with self._lock:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End all streams and take no more."""
        with self._lock:
            self._closed = True
            for subscription in self._subscriptions:
                subscription.close()

    def look(self, now_s: float) -> None:
        """Read what changed since the last look and hand it to all clients; `now_s` is a monotonic time."""
        with self._lock:
            if not self._subscriptions:
                # Nobody waits: the next client reads for itself up to here. Inside the lock, so that no client
                # can join between this reading and the next and miss what lies between.
                self._cursor = self._reader.latest_cursor()
                return
        while events := self._reader.events_after(self._cursor, PAGE_EVENTS):
            self._broadcast(sse.frames(events, self._presenter))
            self._cursor = events[-1].cursor
            if len(events) < PAGE_EVENTS:
                break
        if now_s >= self._nodes_due_s:
            self._nodes_due_s = now_s + NODES_INTERVAL_S
            self._look_at_nodes()

    def _look_at_nodes(self) -> None:
        """Tell what is new of the nodes without being an event: levels, and when they were last heard."""
        nodes = {str(node["id"]): node for node in self._presenter.nodes()}
        changed = [node for key, node in nodes.items() if _differs(node, self._nodes_sent.get(key))]
        gone = [{"id": key, "removed": True} for key in self._nodes_sent.keys() - nodes.keys()]
        if changed or gone:
            self._broadcast([sse.nodes_frame(None, changed + gone, None)])
        for node in changed:
            self._nodes_sent[str(node["id"])] = node
        for node in gone:
            del self._nodes_sent[str(node["id"])]

    def _broadcast(self, frames: Sequence[Frame]) -> None:
        with self._lock:
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.offer(frames)


def _differs(node: Body, sent: Body | None) -> bool:
    """Whether a client that was sent `sent` must be told of `node`."""
    if sent is None:
        return True
    if abs(int(node["last_heard_ns"]) - int(sent["last_heard_ns"])) >= HEARD_STEP_NS:
        return True
    return {**node, "last_heard_ns": 0} != {**sent, "last_heard_ns": 0}
