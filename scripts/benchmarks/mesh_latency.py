"""How long after a pick was signed on one node another can use it, with twenty nodes on this machine, and the traffic.

    scripts/benchmarks/mesh_latency.py [--nodes N] [--seconds S]

Every node signs one pick a second. By default all nodes run in one process and one event loop, each with its own
database, keys and TLS links, so one clock times both ends, and a processor that all of them share makes it look worse
than it is on machines of their own. The traffic is what goes into TLS; TLS and TCP add about 90 bytes a message.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from meshbench import keep  # isort: skip  # first: it shows the way to the tests

from appliance.mesh.link import Link
from appliance.mesh.trust import create_site, load_credentials
from appliance.wire.records import PickBody
from tests.daemon.test_exchange import LogNode
from tests.mesh.sites import until

WARM_UP_S = 3.0


def main() -> int:
    """Run and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder), arguments.nodes, arguments.seconds))
    keep("mesh_latency", figures)
    return 0


async def measure(folder: Path, n_nodes: int, seconds: float) -> dict[str, object]:
    """Link all nodes with each other, let them sign, and time each arrival."""
    site = create_site("bench")
    nodes = []
    for number in range(n_nodes):
        name = f"n{number:02d}"
        site.enrol(name, folder / name / "keys")
        nodes.append(LogNode(load_credentials(folder / name / "keys")))
    signed_s: dict[tuple[str, int, int], float] = {}
    late_s: list[float] = []
    for node in nodes:
        await node.start()
        node.exchange._on_records = lambda records, name=node.name: _note(records, name, signed_s, late_s)  # noqa: SLF001
    for i, node in enumerate(nodes):
        for other in nodes[i + 1 :]:
            node.dial(other)
    await until(lambda: all(len(node.hub.peers()) == n_nodes - 1 for node in nodes), 120.0)
    sent = _count_traffic()
    writers = [asyncio.ensure_future(_sign(node, i / n_nodes, signed_s)) for i, node in enumerate(nodes)]
    await asyncio.sleep(WARM_UP_S)
    late_s.clear()
    sent.clear()
    began_s, used_s = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    took_s, used_s, n_sent = time.monotonic() - began_s, time.process_time() - used_s, sum(sent)
    arrivals = sorted(late_s)
    for writer in writers:
        writer.cancel()
    await asyncio.gather(*writers, return_exceptions=True)
    for node in nodes:
        await node.stop()
    return {
        "what": "pick signed on one node -> handed to the localiser of another, milliseconds",
        "nodes": n_nodes,
        "picks_per_node_per_s": 1,
        "arrivals": len(arrivals),
        "expected_arrivals": round(n_nodes * (n_nodes - 1) * took_s),
        "median_ms": round(1e3 * statistics.median(arrivals), 2),
        "p99_ms": round(1e3 * arrivals[int(0.99 * len(arrivals))], 2),
        "max_ms": round(1e3 * arrivals[-1], 2),
        "sent_bytes_per_node_per_s": round(n_sent / n_nodes / took_s),
        "processor_share_of_all_nodes": round(used_s / took_s, 2),
    }


def _note(records: object, name: str, signed_s: dict[tuple[str, int, int], float], late_s: list[float]) -> None:
    now_s = time.perf_counter()
    for record in records:  # type: ignore[attr-defined]  # a sequence of records
        begun_s = signed_s.get((record.node, record.epoch, record.seq))
        if record.node != name and begun_s is not None:
            late_s.append(now_s - begun_s)


async def _sign(node: LogNode, phase_s: float, signed_s: dict[tuple[str, int, int], float]) -> None:
    await asyncio.sleep(phase_s)
    seq = 1
    while True:
        began_s = time.perf_counter()
        seq += 1
        signed_s[(node.name, node.epoch, seq)] = began_s
        body = PickBody(time.time_ns(), 100_000, 1_000, 22.0, 110.0, -3.0, classes=(0.9, 0.1, 0, 0, 0, 0, 0))
        node.exchange.publish(body, time.time_ns())
        await asyncio.sleep(max(0.0, 1.0 - (time.perf_counter() - began_s)))


def _count_traffic() -> list[int]:
    """Count every frame that a link is given to send, from now on."""
    sent: list[int] = []
    send = Link.send

    def counted(link: Link, frame: bytes) -> bool:
        sent.append(len(frame))
        return send(link, frame)

    Link.send = counted  # type: ignore[method-assign]  # for this process alone
    return sent


if __name__ == "__main__":
    raise SystemExit(main())
