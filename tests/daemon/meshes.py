"""Whole mesh processes in one event loop, each with its own folder, database, sockets and links."""

import asyncio
import contextlib
import math
import time

from appliance.config.folder import NodeFolder
from appliance.daemon.mesh import MeshSetup, serve_mesh
from appliance.mesh.listener import ListenClient
from appliance.mesh.trust import create_site
from appliance.model.classes import ClassProbabilities
from appliance.model.picks import Phase, Pick, pick_id
from appliance.model.space import Geodetic, NodePose
from appliance.physics.geodesy import LocalFrame
from appliance.storage import StoreReader
from tests.mesh.sites import TIMEOUT_S, until

FRAME = LocalFrame(Geodetic(35.0, -106.0, 1500.0))
PLACES = {"n1": (0.0, 0.0), "n2": (200.0, 10.0), "n3": (20.0, 190.0), "n4": (210.0, 205.0), "n5": (110.0, 320.0)}
SHOT = (120.0, 80.0)
GUNSHOT = ClassProbabilities((0.95, 0.01, 0.01, 0.01, 0.01, 0.005, 0.005))


class Survey:
    """A place that was surveyed once."""

    def __init__(self, pose):
        self.pose = pose

    def read(self):
        return self.pose

    def describe(self):
        return "surveyed"

    def close(self):
        pass


class MeshNode:
    """One node without ears of its own: the test sends its picks over listen.sock."""

    def __init__(self, folder, name, site):
        self.name = name
        self.folder = NodeFolder(folder / name)
        self.east_m, self.north_m = PLACES[name]
        self.pose = NodePose(name, FRAME.to_geodetic(self.east_m, self.north_m, 0.0), 0.5)
        self.task = None
        site.enrol(name, self.folder.keys)

    async def start(self, **more):
        self.survey = Survey(self.pose)
        more = {"interfaces": ("127.0.0.1",), "url": f"http://{self.name}:1", **more}
        setup = MeshSetup(self.folder, self.survey, **more)
        self.stop_event, ready = asyncio.Event(), asyncio.Event()
        self.port = None

        def on_ready(port):
            self.port = port
            ready.set()

        self.task = asyncio.ensure_future(serve_mesh(setup, ready=on_ready, stop=self.stop_event))
        waiting = asyncio.ensure_future(ready.wait())
        await asyncio.wait([waiting, self.task], return_when=asyncio.FIRST_COMPLETED, timeout=TIMEOUT_S)
        waiting.cancel()
        if self.task.done():
            self.task.result()
        self.reader = StoreReader(self.folder.database)
        self.ears = ListenClient(self.folder.listen_socket, "test")

    async def stop(self):
        if self.task is None:
            return
        await asyncio.to_thread(self.ears.close)
        self.reader.close()
        self.stop_event.set()
        await self.task
        self.task = None

    def pick_of_shot(self, time_ns, shot=SHOT):
        """What this node reads of a shot fired at `time_ns`."""
        distance_m = math.hypot(self.east_m - shot[0], self.north_m - shot[1])
        heard_ns = time_ns + round(distance_m / 340.3 * 1e9)
        return Pick(
            id=pick_id(heard_ns, self.name),
            node=self.name,
            time_ns=heard_ns,
            sigma_ns=100_000,
            clock_sigma_ns=1_000,
            snr_db=22.0,
            level_db_spl=110.0,
            phase=Phase.MUZZLE_BLAST,
            classes=GUNSHOT,
            gunshot_probability=0.95,
        )

    def alive(self):
        return {node["id"] for node in self.reader.nodes() if node["alive"]}

    def incident_ids(self):
        return [incident["id"] for incident in self.reader.incidents()]

    def health(self):
        (own,) = (node for node in self.reader.nodes() if node["self"])
        return {check["name"]: check for check in own["health"]}


@contextlib.asynccontextmanager
async def mesh_of(folder, *names, start=True, site_on=None):
    """Nodes of one new site, started and all alive to each other, and stopped at the end.

    site_on: the node that holds the site's key
    """
    site = create_site("test")
    nodes = [MeshNode(folder, name, site) for name in names]
    if site_on is not None:
        site.save(folder / site_on / "keys")
    try:
        if start:
            for node in nodes:
                await node.start()
            await until(lambda: all(node.alive() == set(names) for node in nodes))
        yield nodes
    finally:
        for node in nodes:
            await node.stop()


async def fire(nodes, *, time_ns=None):
    """A shot that all of `nodes` hear now; returns the id of its first pick."""
    time_ns = time.time_ns() if time_ns is None else time_ns
    picks = [node.pick_of_shot(time_ns) for node in nodes]
    for node, pick in zip(nodes, picks, strict=True):
        node.ears.send_pick(pick)
    return min(pick.id for pick in picks)


def run(scenario):
    """Run a scenario to its end, within a time in which even a busy machine gets there."""
    asyncio.run(asyncio.wait_for(scenario(), 4 * TIMEOUT_S))
