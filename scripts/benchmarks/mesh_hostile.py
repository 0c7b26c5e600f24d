"""A node under ten thousand malformed and forged messages over real links, while a good peer goes on.

    scripts/benchmarks/mesh_hostile.py [--messages N]

The messages are random bytes, good messages with bits flipped, cut or doubled, and the forgeries of the tests. The node
must not fail, make no incident of it, keep its memory, and give the good peer's records as before.
"""

import argparse
import asyncio
import gc
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from meshbench import keep  # isort: skip  # first: it shows the way to the tests

import appliance.mesh.hub
from appliance.daemon.intake import Intake
from appliance.daemon.nodes import NodesBoard
from appliance.mesh.trust import load_credentials
from appliance.wire.framing import encode_frame
from appliance.wire.messages import PeerHelloMessage, RecordsMessage
from appliance.wire.records import NodeBody
from tests.daemon.test_exchange import LogNode
from tests.daemon.test_forgeries import SAID, Forger
from tests.mesh.sites import enrolled, until

LEFT_OUT = (
    "requests without end",
    "messages without end",
    "this node's own next record",
    "a revocation that n2 signed",
)
"""Those that are slow, and those that need to look into the node under attack."""
SETTLE = 500
"""Messages before memory is first looked at: pools and caches fill with the first ones."""


def main() -> int:
    """Run and keep the result; status 1 where the node failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    appliance.mesh.hub.PENANCE_S = 0.0  # or the forger would wait most of the time
    if arguments.serve is not None:
        asyncio.run(serve(arguments.serve))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(attack(Path(folder), arguments.messages))
    keep("mesh_hostile", figures)
    return int(figures["memory_growth_bytes"] >= 5_000_000 or figures["picks_used"] or not figures["good_peer_heard"])


async def serve(folder: Path) -> None:
    """Be the node under attack: print the port, and answer each line of standard input with what has become of it."""
    victim = LogNode(load_credentials(folder / "n1" / "keys"))
    await victim.start()
    used: list[object] = []
    intake = Intake(NodesBoard("n1", None, "", 0.0), used.extend)
    victim.exchange._on_records = lambda records: intake.read(records, time.time_ns())  # noqa: SLF001
    print(victim.port, flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        refused = dict(victim.hub.refused)
        report = {
            "refused": sum(refused.values()),
            "reasons": refused,
            "kept_and_not_used": dict(intake.unread),
            "picks_used": sum(type(item).__name__ == "Pick" for item in used),
            "memory_bytes": resident_bytes(),
        }
        print(json.dumps(report), flush=True)
    await victim.stop()


async def attack(folder: Path, n_messages: int) -> dict[str, object]:
    """Link a good peer and a forger to a node in a process of its own, and see what becomes of that."""
    _, second, third = enrolled(folder, "n1", "n2", "n3")
    good = LogNode(third)
    await good.start()
    command = [sys.executable, "-W", "ignore", __file__, "--serve", folder]
    with (
        (folder / "victim.log").open("w") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        port = int(_answer(process))
        good.hub.add_static("127.0.0.1", port)
        await until(lambda: good.hub.peers())
        forger = Forger(None, second, folder)
        context, rng = second.client_context(), random.Random(1)  # noqa: S311  # to be repeated, not kept secret
        memory_bytes, heard = 0, []
        for number in range(n_messages):
            await say(port, context, _message(rng, forger))
            if number == SETTLE:
                memory_bytes = int(_report(process)["memory_bytes"])
            if number % 500 == 499:
                heard.append(await _time_to_hear(good, folder))
        report = _report(process)
        growth_bytes = int(report.pop("memory_bytes")) - memory_bytes
        await good.stop()
    return {
        "messages": n_messages,
        **report,
        "memory_growth_bytes": growth_bytes,
        "good_peer_heard": len(heard),
        "good_peer_slowest_s": round(max(heard, default=0.0), 2),
    }


def _answer(process: "subprocess.Popen[str]") -> str:
    if process.stdout is None or not (line := process.stdout.readline()):
        raise SystemExit("mesh_hostile: the node under attack has ended")
    return line


def _report(process: "subprocess.Popen[str]") -> dict[str, Any]:
    if process.stdin is not None:
        process.stdin.write("\n")
        process.stdin.flush()
    report: dict[str, Any] = json.loads(_answer(process))
    return report


async def _time_to_hear(good: LogNode, folder: Path) -> float:
    """How long until a record of the good peer is on the disk of the node under attack, seconds."""
    began_s = time.monotonic()
    await good.say("still here")
    (seq,) = (head.seq for head in good.exchange._replica.heads() if head.stream == ("n3", good.epoch))  # noqa: SLF001
    database = sqlite3.connect(f"file:{folder / 'n1' / 'node.db'}?mode=ro", uri=True)
    place = ("n3", good.epoch, seq)
    query = "SELECT 1 FROM records WHERE node = ? AND epoch = ? AND seq = ?"
    await until(lambda: database.execute(query, place).fetchone())
    database.close()
    return time.monotonic() - began_s


def _message(rng: random.Random, forger: Forger) -> bytes:
    """Something that a node must bear."""
    kind = rng.choice(["random", "flipped", "cut", "forged"])
    if kind == "random":
        return rng.randbytes(rng.randint(1, 2_000))
    if kind == "forged":
        say_it, _ = SAID[rng.choice([name for name in SAID if name not in LEFT_OUT])]
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
