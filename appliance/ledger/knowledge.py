"""How much of the mesh's records an event reflects, as text that every node understands (the cursor of live events).

A knowledge lists, per node, its latest epoch with the sequence number reached. Older epochs are left out where they
are known to their end; that end is what the next epoch's first record says it was (`EpochEnds`). Left out therefore
means "all of it"; what is known only in part, or further than its writer remembered, is listed as well.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.errors import InputError
from appliance.ledger.records import StreamId

EpochEnds = Mapping[StreamId, int]
"""The last sequence number of an epoch, as the next epoch's first record states it."""

MAX_TEXT_BYTES = 4_000
"""It travels in one HTTP header, and servers refuse headers over 8 KiB; 64 nodes need 3 KiB."""

_ENTRY = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63}):([1-9]\d{0,15}):(0|[1-9]\d{0,15})")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The records that were known at one moment: stream to the last number known, complete older epochs left out."""

    entries: Mapping[StreamId, int]

    def text(self) -> str:
        """The entries as "node:epoch:seq,…", sorted; what does not fit `MAX_TEXT_BYTES` is left out, oldest first."""
        parts = [f"{node}:{epoch}:{seq}" for (node, epoch), seq in sorted(self.entries.items())]
        while parts and sum(map(len, parts)) + len(parts) > MAX_TEXT_BYTES:
            parts.remove(min(parts, key=lambda part: int(part.split(":")[1])))
        return ",".join(parts)

    def reached(self, stream: StreamId, ends: EpochEnds) -> int:
        """How many records of `stream` are known."""
        if stream in self.entries:
            return self.entries[stream]
        node, epoch = stream
        later = [e for n, e in self.entries if n == node and e > epoch]
        if not later or self.entries[(node, min(later))] == 0:
            return 0  # nothing of this epoch, or of the one after it that would have told of it
        return ends.get(stream, 0)

    def covers(self, other: "Knowledge", ends: EpochEnds) -> bool:
        """Whether every record known to `other` is known here."""
        if any(self.reached(stream, ends) < seq for stream, seq in other.entries.items()):
            return False
        return all(other.reached(stream, ends) <= seq for stream, seq in self.entries.items())


def union(one: Knowledge, other: Knowledge, ends: EpochEnds) -> Knowledge:
    """What is known to one or the other; never less, and at most what a later epoch says that its writer knew."""
    streams = one.entries.keys() | other.entries.keys()
    return Knowledge({stream: max(one.reached(stream, ends), other.reached(stream, ends)) for stream in streams})


def knowledge_of(held: Mapping[StreamId, int], ends: EpochEnds) -> Knowledge:
    """The knowledge of somebody who holds records 1 to `held[stream]` of each stream."""
    latest: dict[str, int] = {}
    for node, epoch in held:
        latest[node] = max(epoch, latest.get(node, 0))
    reached = {(node, epoch): held[(node, epoch)] for node, epoch in latest.items()}
    in_part = {stream: seq for stream, seq in held.items() if ends.get(stream) != seq}
    missing = {stream: 0 for stream, seq in ends.items() if seq > 0 and stream not in held}
    return Knowledge({**reached, **in_part, **missing})


def parse_knowledge(text: str) -> Knowledge:
    """The knowledge that `text` states. Raises InputError; the text comes from a browser."""
    if len(text) > MAX_TEXT_BYTES:
        raise _bad_cursor(text)
    entries: dict[StreamId, int] = {}
    for part in text.split(",") if text else ():
        match = _ENTRY.fullmatch(part)
        if match is None:
            raise _bad_cursor(text)
        entries[(match[1], int(match[2]))] = int(match[3])
    return Knowledge(entries)


def _bad_cursor(text: str) -> InputError:
    shown = "".join(c if c.isprintable() else " " for c in text[:40])
    return InputError("cursor", f'"{shown}" is none', "leave it out to read from the beginning")
