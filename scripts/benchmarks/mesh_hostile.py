"""A node under ten thousand malformed and forged messages over real links, while a good peer goes on.

    scripts/benchmarks/mesh_hostile.py [--messages N]

The messages are random bytes, good messages with bits flipped, cut or doubled, and the forgeries of the tests. The node
must not fail, make no incident of it, keep its memory, and give the good peer's records as before.
"""

import argparse
import asyncio
import gc
import random
import tempfile
import time
from pathlib import Path

from meshbench import keep  # isort: skip  # first: it shows the way to the tests

import appliance.mesh.hub
from appliance.daemon.intake import Intake
from appliance.daemon.nodes import NodesBoard
from appliance.wire.framing import encode_frame
from appliance.wire.messages import PeerHelloMessage, RecordsMessage
from appliance.wire.records import NodeBody
from tests.daemon.test_exchange import LogNode
from tests.daemon.test_forgeries import SAID, Forger
from tests.mesh.sites import enrolled, until

SETTLE = 500
"""Messages before memory is first looked at: pools and caches fill with the first ones."""


def main() -> int:
    """Run and keep the result; status 1 where the node failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    arguments = parser.parse_args()
    appliance.mesh.hub.PENANCE_S = 0.0  # or the forger would wait most of the time
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(attack(Path(folder), arguments.messages))
    keep("mesh_hostile", figures)
    return int(figures["memory_growth_bytes"] >= 5_000_000 or figures["picks_used"] or not figures["good_peer_heard"])


async def attack(folder: Path, n_messages: int) -> dict[str, object]:
    """Link a good peer and a forger to a node, and see what becomes of it."""
    first, second, third = enrolled(folder, "n1", "n2", "n3")
    victim, good = LogNode(first), LogNode(third)
    await victim.start()
    await good.start()
    used: list[object] = []
    intake = Intake(NodesBoard("n1", None, "", 0.0), used.extend)
    victim.exchange._on_records = lambda records: intake.read(records, time.time_ns())  # noqa: SLF001
    good.dial(victim)
    await until(lambda: "n3" in victim.hub.peers())
    forger = Forger(victim, second, folder)
    context = second.client_context()
    rng = random.Random(1)  # noqa: S311  # to be repeated, not kept secret
    memory_bytes, heard = 0, []
    for number in range(n_messages):
        await say(victim.port, context, _message(rng, forger))
        if number == SETTLE:
            memory_bytes = resident_bytes()
        if number % 500 == 499:
            began_s = time.monotonic()
            await good.say(f"{number}")
            seq = good.exchange._replica.heads()[-1].seq  # noqa: SLF001
            await until(lambda seq=seq: ("n3", good.epoch, seq) in victim.held())
            heard.append(time.monotonic() - began_s)
    growth_bytes = resident_bytes() - memory_bytes
    refused = dict(victim.hub.refused)
    await victim.stop()
    await good.stop()
    return {
        "messages": n_messages,
        "refused": sum(refused.values()),
        "reasons": refused,
        "kept_and_not_used": dict(intake.unread),
        "picks_used": sum(type(item).__name__ == "Pick" for item in used),
        "memory_growth_bytes": growth_bytes,
        "good_peer_heard": len(heard),
        "good_peer_slowest_s": round(max(heard, default=0.0), 2),
    }


def _message(rng: random.Random, forger: Forger) -> bytes:
    """Something that a node must bear."""
    kind = rng.choice(["random", "flipped", "cut", "forged"])
    if kind == "random":
        return rng.randbytes(rng.randint(1, 2_000))
    if kind == "forged":
        say_it, _ = SAID[rng.choice([name for name in SAID if "without end" not in name])]
        return b"".join(m if isinstance(m, bytes) else encode_frame(m) for m in say_it(forger))
    good = bytearray(encode_frame(RecordsMessage(tuple(forger.stream(NodeBody("", "x"))), asked=False)))
    if kind == "cut":
        return bytes(good[: rng.randrange(len(good))]) + rng.randbytes(20)
    good[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
    return bytes(good)


async def say(port: int, context: object, data: bytes) -> None:
    """Link as a member, say it, and go."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="")  # type: ignore[arg-type]
        writer.write(encode_frame(PeerHelloMessage("n2", "x")) + data)
        await writer.drain()
        async with asyncio.timeout(0.05):
            while await reader.read(65_536):
                pass
        writer.transport.abort()
    except (OSError, TimeoutError):
        pass


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4_096


if __name__ == "__main__":
    raise SystemExit(main())
