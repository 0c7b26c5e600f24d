"""After a partition heals: picks that come too late for the localiser's memory are located with those around them."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from appliance.daemon.locating import Window
from appliance.model.instants import NS_PER_S
from appliance.model.picks import Pick
from appliance.storage.node_store import NodeStore
from appliance.storage.writer import GroupWriter
from appliance.wire.records import PickBody, decode_body, pick_from_body

QUIET_S = 1.0
"""Late picks come in many messages; they are located once none came for so long."""
MARGIN_NS = 300 * NS_PER_S
"""Picks so far before and after a late one can belong to its incident."""
STRETCH_NS = 1_800 * NS_PER_S
"""A long partition is located in pieces of this length, so that live picks never wait for all of it."""


async def heal(take_late: Callable[[], list[Pick]], writer: GroupWriter, put_window: Callable[[Window], None]) -> None:
    """Until cancelled: collect late picks, and once they have all come, hand out the stretches of time to locate."""
    late: list[Pick] = []
    while True:
        await asyncio.sleep(QUIET_S)
        more = take_late()
        late += more
        if more or not late:
            continue
        for start_ns, end_ns in stretches([pick.time_ns for pick in late]):
            picks = await _picks_between(writer, start_ns - MARGIN_NS, end_ns + MARGIN_NS)
            put_window(Window(tuple(picks), frozenset(p.id for p in late if start_ns <= p.time_ns <= end_ns)))
        late = []


def stretches(times_ns: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Stretches of time of at most `STRETCH_NS` that hold all of `times_ns`, first and last time of each."""
    remaining = sorted(times_ns)
    while remaining:
        end_ns = remaining[0] + STRETCH_NS
        inside = [t for t in remaining if t <= end_ns]
        yield inside[0], inside[-1]
        remaining = remaining[len(inside) :]


async def _picks_between(writer: GroupWriter, start_ns: int, end_ns: int) -> list[Pick]:
    def read(store: NodeStore) -> list[Pick]:
        bodies = ((record.node, decode_body(record)) for record in store.records_between("pick", start_ns, end_ns))
        return [pick_from_body(body, node) for node, body in bodies if isinstance(body, PickBody)]

    return await asyncio.wrap_future(writer.submit(read))
