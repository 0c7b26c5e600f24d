"""Who sends word of an incident beyond the mesh: one node at a time, and another within seconds when that one fails.

The rule needs no agreement: of the living nodes that have the sink, the first by name sends at once; the second, if
no record says by then that it was sent, `TAKEOVER_S` later, and so on. So each state of an incident is sent at least
once; a repeat, when a record was slow, carries the same id and state. No clock, socket, thread or file.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

TAKEOVER_S = 2.0
"""A record of what was sent is everywhere within 0.1 s, and sending takes a second at most where it works at all."""
RETRY_S = (2.0, 5.0, 15.0, 60.0)
"""Waits after failures of the sink, for who has to send."""
MAX_WATCHED = 1_000
"""Incidents whose next state is waited for; the oldest are forgotten first."""


@dataclass(slots=True)
class _Watched:
    """One incident: its state and revision now, since when, and the states that were sent."""

    state: str
    revision: int
    since_s: float
    sent: set[str] = field(default_factory=set)
    n_failures: int = 0
    not_before_s: float = 0.0
    is_under_way: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """What is to be sent: an incident's id, its state (a category, or "cancelled") and its revision."""

    incident: str
    state: str
    revision: int


class Outbox:
    """What one node knows of what was sent to one sink. Times are monotonic seconds, given by the caller."""

    def __init__(self, node: str, states: Iterable[str]) -> None:
        """`states`: those of which word is sent; of others it is once word of the incident has gone out."""
        self._node = node
        self._states = frozenset(states)
        self._watched: OrderedDict[str, _Watched] = OrderedDict()
        self._sent_before: OrderedDict[str, set[str]] = OrderedDict()

    def changed(self, word: Word, aliases: Iterable[str], now_s: float) -> None:
        """Take in what an incident is now; what was sent of those that it took up (`aliases`) was sent of it."""
        watched = self._watched.get(word.incident)
        if watched is None:
            watched = self._watched[word.incident] = _Watched(word.state, word.revision, now_s)
        elif watched.state != word.state:
            watched.since_s, watched.n_failures, watched.not_before_s = now_s, 0, 0.0
        watched.state, watched.revision = word.state, max(word.revision, watched.revision)
        for alias in (word.incident, *aliases):
            watched.sent |= self._sent_before.get(alias, set())
            if alias != word.incident:
                merged = self._watched.pop(alias, None)
                watched.sent |= merged.sent if merged else set()
        while len(self._watched) > MAX_WATCHED:
            self._watched.popitem(last=False)

    def issued(self, incident: str, state: str) -> None:
        """Take in that some node sent word of an incident in a state."""
        self._sent_before.setdefault(incident, set()).add(state)
        if incident in self._watched:
            self._watched[incident].sent.add(state)
        while len(self._sent_before) > MAX_WATCHED:
            self._sent_before.popitem(last=False)

    def due(self, alive: Sequence[str], now_s: float) -> tuple[Word, ...]:
        """What this node has to send now; `alive` are the living nodes that have the sink, this one among them."""
        rank = sum(node < self._node for node in alive)
        words = []
        for incident, watched in self._watched.items():
            wanted = watched.state in self._states or bool(watched.sent)
            if not wanted or watched.state in watched.sent or watched.is_under_way:
                continue
            if now_s >= max(watched.since_s + rank * TAKEOVER_S, watched.not_before_s):
                watched.is_under_way = True
                words.append(Word(incident, watched.state, watched.revision))
        return tuple(words)

    def done(self, word: Word, *, was_sent: bool, now_s: float) -> None:
        """Say what came of a word that was due."""
        watched = self._watched.get(word.incident)
        if was_sent:
            self.issued(word.incident, word.state)
        if watched is None:
            return
        watched.is_under_way = False
        if not was_sent:
            watched.not_before_s = now_s + RETRY_S[min(watched.n_failures, len(RETRY_S) - 1)]
            watched.n_failures += 1
