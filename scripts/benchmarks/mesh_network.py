"""Five mesh processes in network namespaces of their own, with real mDNS, over a network that fails. Needs root.

    sudo scripts/benchmarks/mesh_network.py

A shot that all hear is one incident with one id everywhere, through a partition, 30 % loss each way, a cut link, and a
kill -9; at the end all nodes hold the same records. Times are from the event named to the state on all nodes.
"""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from meshbench import ROOT, keep  # isort: skip  # first: it shows the way to the tests

from appliance.mesh.listener import ListenClient
from appliance.mesh.trust import create_site
from appliance.storage import StoreReader
from tests.daemon.meshes import MeshNode

NAMES = ("n1", "n2", "n3", "n4", "n5")
SWITCH = "esh-switch"
WAIT_S = 90.0
QUIET_S = 12.0
"""Between shots, so that each is an incident of its own."""
RUN = """
import json, sys
from pathlib import Path
from appliance.config.folder import NodeFolder
from appliance.daemon.mesh import MeshSetup, run_mesh
from tests.daemon.meshes import MeshNode, Survey, FRAME, PLACES
from appliance.model.space import NodePose

folder, name, address = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
pose = NodePose(name, FRAME.to_geodetic(*PLACES[name], 0.0), 0.5)
run_mesh(MeshSetup(NodeFolder(folder / name), Survey(pose), interfaces=(address,), port=7117),
         lambda port: print("ready", flush=True))
"""


class Node:
    """One process in its namespace, its ears and its database as this process reaches them."""

    def __init__(self, folder: Path, number: int, site: object) -> None:
        """Make the keys of node `number` of a site, in `folder`."""
        self.name, self.space, self.address = NAMES[number], f"esh-{number}", f"10.77.0.{number + 1}"
        self.port = f"esh-p{number}"
        self.folder, self.mesh = folder, MeshNode(folder, NAMES[number], site)
        self.process: subprocess.Popen[str] | None = None
        self.ears: ListenClient | None = None

    def start(self) -> None:
        """Start the process and wait until it serves."""
        command = ["ip", "netns", "exec", self.space, sys.executable, "-c", RUN, self.folder, self.name, self.address]
        with (self.folder / f"{self.name}.log").open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=log,
                text=True,
            )  # fmt: skip
        assert self.process.stdout is not None  # noqa: S101  # it was asked for
        if not self.process.stdout.readline():
            raise SystemExit(f"{self.name} did not start; see {self.folder}")
        if self.ears is None:
            self.ears = ListenClient(self.mesh.folder.listen_socket, "bench")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the process by a signal."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()

    def hear(self, time_ns: int) -> None:
        """Let its ears hear the shot fired at `time_ns`."""
        self.ears.send_pick(self.mesh.pick_of_shot(time_ns))  # type: ignore[union-attr]  # it was started

    def alive(self) -> set[str]:
        """Nodes that it takes to be alive."""
        with _reader(self) as reader:
            return {node["id"] for node in reader.nodes() if node["alive"]}

    def incidents(self) -> list[tuple[str, tuple[str, ...]]]:
        """Id and hearers of its incidents, newest first."""
        with _reader(self) as reader:
            return [(i["id"], tuple(i["heard_by"])) for i in reader.incidents() if i.get("status") != "cancelled"]

    def records(self) -> set[tuple[str, int, int]]:
        """Places of the records that it holds."""
        database = sqlite3.connect(f"file:{self.mesh.folder.database}?mode=ro", uri=True)
        try:
            return set(database.execute("SELECT node, epoch, seq FROM records"))
        finally:
            database.close()


@contextlib.contextmanager
def _reader(node: Node) -> Iterator[StoreReader]:
    reader = StoreReader(node.mesh.folder.database)
    try:
        yield reader
    finally:
        reader.close()


def main() -> int:
    """Run and keep the result."""
    if os.geteuid() != 0:
        print("mesh_network: namespaces need root; nothing was measured")
        return 0
    with tempfile.TemporaryDirectory() as folder, switched():
        site = create_site("bench")
        nodes = [Node(Path(folder), number, site) for number in range(len(NAMES))]
        try:
            keep("mesh_network", run(nodes))
        finally:
            for node in nodes:
                node.stop(signal.SIGKILL)
                if node.ears is not None:
                    node.ears.close()
    return 0


class Story:
    """What happens to the nodes, and how long it takes until all is the same everywhere."""

    def __init__(self, nodes: list[Node]) -> None:
        """Begin with nodes that run."""
        self.nodes = nodes
        self.n_shots = self.n_hearers = 0

    def fire(self, hearing: list[Node]) -> None:
        """A shot that some hear."""
        self.n_shots, self.n_hearers = self.n_shots + 1, len(hearing)
        now_ns = time.time_ns()
        for node in hearing:
            node.hear(now_ns)

    def is_same(self) -> bool:
        """Whether all nodes have one incident for each shot, with the same ids, and the last one whole."""
        found = [node.incidents() for node in self.nodes]
        same = len(found[0]) == self.n_shots and all(other == found[0] for other in found)
        return same and len(found[0][0][1]) == self.n_hearers

    def all_alive(self) -> bool:
        """Whether all nodes know all to be alive."""
        return all(node.alive() == set(NAMES) for node in self.nodes)

    def partition(self) -> dict[str, object]:
        """Two nodes and three nodes, which all hear a shot, and find each other again."""
        drop("ip saddr {10.77.0.1, 10.77.0.2} ip daddr {10.77.0.3, 10.77.0.4, 10.77.0.5} drop",
             "ip daddr {10.77.0.1, 10.77.0.2} ip saddr {10.77.0.3, 10.77.0.4, 10.77.0.5} drop")  # fmt: skip
        until(lambda: all(len(node.alive()) < len(NAMES) for node in self.nodes))
        self.fire(self.nodes)
        until(lambda: all(len(node.incidents()) == self.n_shots for node in self.nodes))
        differ = not self.is_same()
        drop()
        linked_s = until(self.all_alive)
        same_s = until(self.is_same)
        return {"incidents_differ_while_parted": differ, "healed_to_linked_s": linked_s,
                "linked_to_same_incident_s": same_s}  # fmt: skip

    def loss(self) -> dict[str, object]:
        """30 % of all packets lost each way."""
        drop("numgen random mod 100 < 30 drop")
        time.sleep(QUIET_S)
        self.fire(self.nodes)
        same_s = until(self.is_same)
        drop()
        until(self.all_alive)
        return {"shot_to_same_incident_at_30_percent_loss_s": same_s}

    def kill(self) -> dict[str, object]:
        """One node is killed, misses a shot, and starts again."""
        victim = self.nodes[2]
        victim.stop(signal.SIGKILL)
        self.fire([node for node in self.nodes if node is not victim])
        time.sleep(3.0)
        victim.start()
        return {"killed_and_started_to_same_incident_s": until(self.is_same)}

    def cut(self) -> dict[str, object]:
        """One node's cable is out while it hears a shot, and goes in again."""
        lonely = self.nodes[4]
        ip("-n", SWITCH, "link", "set", lonely.port, "down")
        until(lambda: lonely.name not in self.nodes[0].alive())
        self.fire(self.nodes)
        time.sleep(3.0)
        ip("-n", SWITCH, "link", "set", lonely.port, "up")
        return {"cable_back_to_same_incident_s": until(self.is_same)}


def run(nodes: list[Node]) -> dict[str, object]:
    """The whole story; each figure in seconds."""
    for node in nodes:
        node.start()
    story = Story(nodes)
    figures: dict[str, object] = {"nodes": len(nodes), "all_know_all_s": until(story.all_alive)}
    story.fire(nodes)
    figures["shot_to_same_incident_s"] = until(story.is_same)
    for trouble in (story.partition, story.loss, story.kill, story.cut):
        time.sleep(QUIET_S)
        figures |= trouble()
    until(story.all_alive)
    until(lambda: all(node.records() == nodes[0].records() for node in nodes))
    figures |= {"shots": story.n_shots, "incidents": len(nodes[0].incidents())}
    figures["records_everywhere"] = len(nodes[0].records())
    figures["unacknowledged_picks"] = sum(node.ears.n_unacknowledged for node in nodes if node.ears is not None)
    return figures


def until(condition: Callable[[], bool]) -> float:
    """Wait for a condition; how long it took, seconds."""
    began_s = time.monotonic()
    while not condition():
        if time.monotonic() - began_s > WAIT_S:
            raise SystemExit(f"mesh_network: not so after {WAIT_S:.0f} s (line {sys._getframe(1).f_lineno})")  # noqa: SLF001
        time.sleep(0.05)
    return round(time.monotonic() - began_s, 2)


@contextlib.contextmanager
def switched() -> Iterator[None]:
    """One namespace for each node and a bridge between them, and none of it afterwards."""
    spaces = [f"esh-{number}" for number in range(len(NAMES))]
    try:
        ip("netns", "add", SWITCH)
        ip("-n", SWITCH, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        ip("-n", SWITCH, "link", "set", "br0", "up")
        for number, space in enumerate(spaces):
            ip("netns", "add", space)
            ip("link", "add", "eth0", "netns", space, "type", "veth", "peer", "name", f"esh-p{number}", "netns", SWITCH)
            ip("-n", SWITCH, "link", "set", f"esh-p{number}", "master", "br0", "up")
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "addr", "add", f"10.77.0.{number + 1}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "route", "add", "224.0.0.0/4", "dev", "eth0")
        yield
    finally:
        for space in (*spaces, SWITCH):
            subprocess.run(["ip", "netns", "del", space], check=False, stderr=subprocess.DEVNULL)


def drop(*rules: str) -> None:
    """Have the bridge drop what the rules say, and nothing else."""
    chain = "add chain bridge t f {type filter hook forward priority 0;}"
    script = "\n".join(["add table bridge t", "delete table bridge t", "add table bridge t", chain,
                        *(f"add rule bridge t f {rule}" for rule in rules)])  # fmt: skip
    subprocess.run(["ip", "netns", "exec", SWITCH, "nft", "-f", "-"], input=script, text=True, check=True)


def ip(*words: str) -> None:
    """Run ip."""
    subprocess.run(["ip", *words], check=True)


if __name__ == "__main__":
    raise SystemExit(main())
