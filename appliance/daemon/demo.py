"""A neighbourhood of nodes on this machine: real processes, sockets and mDNS; only the sound is made or recorded.

What the world plays reaches the nodes through their ears alone. Its truth is written into the demo's own folder, for
whoever wants to compare, and no node's process is told of it.
"""

import contextlib
import json
import logging
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance.config import Settings, describe
from appliance.config.folder import NodeFolder
from appliance.config.settings import (
    AirSettings,
    ClockSettings,
    EarsSettings,
    MeshSettings,
    NodeSettings,
    PlaceSettings,
    WebSettings,
)
from appliance.daemon.node import node_children
from appliance.daemon.supervisor import Child, Supervisor, stop_signals
from appliance.errors import EarshotError, InputError
from appliance.mesh.trust import create_site
from appliance.model.air import Air
from appliance.model.audio import AudioBlock
from appliance.model.health import HealthState
from appliance.model.instants import NS_PER_S
from appliance.scene.neighbourhood import NetSettings, make_neighbourhood
from appliance.scene.reader import read_scene
from appliance.scene.replaying import QuietWorld, ReplayWorld
from appliance.scene.simulation import SimulatedWorld, WorldSettings, truth_of
from appliance.scene.stream import BlockServer, feed
from appliance.scene.town import degrees_of
from appliance.scene.world import World, WorldNode

LOOPBACK = "127.0.0.1"
TOKEN_BYTES = 24
TOKEN_VARIABLE = "EARSHOT_WEB_TOKEN"  # noqa: S105 - the name of a variable
NODES_UP_S = 120.0
"""Fifteen processes on two busy cores start well within this."""
POLL_S = 0.3
WORLD_LEAD_S = 1.0
WORLD_LEAD_PER_NODE_S = 0.15
"""The world begins so long after it is asked for: making it takes time, and its first block must not be late."""
CLOCK_SIGMA_US = 1.0
"""What GPS with PPS gives."""
MAX_NODES = 25
MARKER = ".earshot-demo"
"""Tells a folder of an earlier demo, which may be emptied, from any other."""
STATUS_DID_NOT_START = 1


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asks for; `state` None: a new folder that is deleted at the end."""

    nodes: int = 5
    scene: Path | None = None
    seed: int = 1
    state: Path | None = None
    muted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DemoNode:
    """One node of the demo: what the world knows of it, its folder, its page and the token that opens the API."""

    world: WorldNode
    folder: NodeFolder
    url: str
    token: str


class _WitnessedWorld:
    """A world that writes down what it plays, for whoever wants to compare."""

    def __init__(self, world: SimulatedWorld, start_ns: int, path: Path) -> None:
        self._world = world
        self._start_ns = start_ns
        self._path = path
        self._n_written = 0

    @property
    def nodes(self) -> tuple[WorldNode, ...]:
        return self._world.nodes

    @property
    def air(self) -> Air | None:
        return self._world.air

    @property
    def block_s(self) -> float:
        return self._world.block_s

    def advance(self) -> Mapping[str, AudioBlock]:
        blocks = self._world.advance()
        new = self._world.emitted[self._n_written :]
        if new:
            self._n_written += len(new)
            truth = msgspec.to_builtins(truth_of(new, self._start_ns, degrees_of))
            lines = [json.dumps({"kind": "shot", **shot}) for shot in truth["shots"]]
            lines += [json.dumps(other) for other in truth["other"]]
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(line + "\n" for line in lines))
        return blocks


class Demo:
    """The world, its nodes and their processes."""

    def __init__(self, options: DemoOptions, state: Path) -> None:
        """Make the nodes' folders, keys and settings. Raises InputError."""
        self._options = options
        self._state = state
        world, streets = self._make_world(start_ns=time.time_ns())
        _check_nodes([node.id for node in world.nodes], options.muted)
        self.nodes = _make_nodes(world, state, streets)
        self.supervisor = Supervisor([child for node in self.nodes for child in _children(node)])
        self._servers = {node.world.id: BlockServer(node.folder.ears_socket, node.world) for node in self.nodes}
        for muted in options.muted:
            self._servers[muted].mute(is_muted=True)
        self._stop_playing = threading.Event()
        self._player: threading.Thread | None = None
        self.problem: EarshotError | None = None

    def open_ears(self) -> None:
        """Let the nodes hear quiet, so that they come up with working ears and nothing is missed."""
        start_ns = time.time_ns()
        self._start_feeding(QuietWorld([node.world for node in self.nodes], start_ns=start_ns), start_ns)

    def play(self) -> None:
        """Begin to play the world."""
        start_ns = time.time_ns() + round((WORLD_LEAD_S + WORLD_LEAD_PER_NODE_S * len(self.nodes)) * NS_PER_S)
        made, _ = self._make_world(start_ns=start_ns)
        world: World = made
        if isinstance(made, SimulatedWorld):
            world = _WitnessedWorld(made, start_ns, self._state / "truth.jsonl")
        self._stop_feeding()
        self._start_feeding(world, start_ns)

    def _start_feeding(self, world: World, start_ns: int) -> None:
        self._stop_playing.clear()
        self._player = threading.Thread(target=self._feed, args=(world, start_ns), name="world", daemon=True)
        self._player.start()

    def _stop_feeding(self) -> None:
        self._stop_playing.set()
        if self._player is not None:
            self._player.join()

    def _feed(self, world: World, start_ns: int) -> None:
        try:
            feed(world, self._servers, start_ns=start_ns, stop=self._stop_playing)
        except EarshotError as error:
            self.problem = error

    def _make_world(self, *, start_ns: int) -> tuple[SimulatedWorld | ReplayWorld, dict[str, object] | None]:
        """The world as it begins at `start_ns`, and its streets; the same nodes at each call."""
        options = self._options
        if options.scene is not None:
            return ReplayWorld(read_scene(options.scene), start_ns=start_ns), None
        return make_neighbourhood(seed=options.seed, start_ns=start_ns, net=NetSettings(n_nodes=options.nodes))

    def close(self) -> None:
        """End the processes and the world."""
        self._stop_feeding()
        self.supervisor.stop()
        for server in self._servers.values():
            server.close()


def run_demo(options: DemoOptions) -> int:
    """Run the demo until it is interrupted. Raises InputError for a broken scene or a folder that can't be used."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with _state_folder(options.state) as state, stop_signals() as stopped:
        demo = Demo(options, state)
        try:
            _say(f"starting {len(demo.nodes)} nodes; their files are in {state}")
            demo.supervisor.start()
            demo.open_ears()
            if not _wait_until_up(demo, stopped):
                return STATUS_DID_NOT_START if not stopped.is_set() else 0
            demo.play()
            _announce(demo, state)
            return _watch(demo, stopped)
        finally:
            demo.close()


def _wait_until_up(demo: Demo, stopped: threading.Event) -> bool:
    """Wait until every node serves its page, knows all the others and hears; False where that did not happen."""
    deadline_s = time.monotonic() + NODES_UP_S
    waiting = list(demo.nodes)
    while waiting and not stopped.is_set():
        for node in [node for node in waiting if _is_up(node, len(demo.nodes))]:
            waiting.remove(node)
            _say(f"  {node.world.id} serves {node.url}/  ({len(demo.nodes) - len(waiting)} of {len(demo.nodes)})")
        demo.supervisor.check(time.monotonic())
        if demo.supervisor.failed() or time.monotonic() > deadline_s:
            _say(f"not up: {', '.join(node.world.id for node in waiting)}; see the files in their log folders")
            return False
        stopped.wait(POLL_S)
    return not waiting


def _is_up(node: DemoNode, n_nodes: int) -> bool:
    request = urllib.request.Request(f"{node.url}/api/nodes", headers={"Authorization": f"Bearer {node.token}"})  # noqa: S310 - our own loopback address
    try:
        with urllib.request.urlopen(request, timeout=2.0) as response:  # noqa: S310 - our own loopback address
            seen = json.load(response)
    except (OSError, ValueError):
        return False
    ears = [check for peer in seen if peer["self"] for check in peer["health"] if check["name"] == "ears"]
    return (
        sum(bool(peer["alive"]) for peer in seen) == n_nodes and bool(ears) and ears[0]["state"] == HealthState.OK.value
    )


def _announce(demo: Demo, state: Path) -> None:
    listed = [{"id": node.world.id, "url": node.url, "token": node.token} for node in demo.nodes]
    draft = state / "nodes.json.new"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    draft.replace(state / "nodes.json")
    _say(f"\nOpen {demo.nodes[0].url}/ in a browser; every node shows the same. Ctrl-C ends the demo.")


def _watch(demo: Demo, stopped: threading.Event) -> int:
    """Keep the processes running until `stopped`. Raises what ended the world."""
    while not stopped.wait(POLL_S):
        demo.supervisor.check(time.monotonic())
        if demo.problem is not None:
            raise demo.problem
    _say("stopping")
    return 0


@contextlib.contextmanager
def _state_folder(chosen: Path | None) -> Iterator[Path]:
    """The folder for all files of the demo: the chosen one, emptied of an earlier demo, or a new one for its time."""
    if chosen is None:
        with tempfile.TemporaryDirectory(prefix="earshot-demo-") as folder:
            yield Path(folder)
        return
    marker = chosen / MARKER
    try:
        chosen.mkdir(parents=True, exist_ok=True)
        if any(chosen.iterdir()) and not marker.exists():
            raise InputError(str(chosen), "holds files that are not a demo's", "name an empty or a new folder")
        for entry in chosen.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        marker.touch()
    except OSError as error:
        problem = error.strerror or "can't be used"
        raise InputError(str(chosen), problem, "name a folder that can be written") from error
    yield chosen


def _check_nodes(ids: Sequence[str], muted: Sequence[str]) -> None:
    if len(ids) > MAX_NODES:
        raise InputError("the scene", f"has {len(ids)} nodes", f"choose one with at most {MAX_NODES}: that is one mesh")
    for name in muted:
        if name not in ids:
            raise InputError("--mute", f"{name} is no node", f"choose from {', '.join(ids)}")


def _make_nodes(world: World, state: Path, streets: dict[str, object] | None) -> list[DemoNode]:
    """Folders, keys of a site made for this run, settings and the map of every node."""
    authority = create_site(f"demo-{secrets.token_hex(3)}")
    nodes: list[DemoNode] = []
    ports = _free_ports(len(world.nodes))
    for world_node, port in zip(world.nodes, ports, strict=True):
        folder = NodeFolder(state / world_node.id)
        folder.make()
        authority.enrol(world_node.id, folder.keys)
        settings = _settings(world_node, world, authority.site.name, port)
        folder.settings_file.write_text(describe(settings), encoding="utf-8")
        if streets is not None:
            folder.map_file.write_text(json.dumps(streets), encoding="utf-8")
        nodes.append(DemoNode(world_node, folder, f"http://{LOOPBACK}:{port}", secrets.token_urlsafe(TOKEN_BYTES)))
    return nodes


def _settings(node: WorldNode, world: World, site: str, port: int) -> Settings:
    pose, air = node.pose, world.air
    # How loud full scale is, is known of the simulated microphones alone.
    sensitivity_dbspl = WorldSettings().full_scale_dbspl if isinstance(world, SimulatedWorld) else None
    return Settings(
        node=NodeSettings(id=node.id, site=site),
        ears=EarsSettings(source="stream", sensitivity_dbspl=sensitivity_dbspl),
        place=PlaceSettings(
            source="fixed",
            lat_deg=pose.position.lat_deg,
            lon_deg=pose.position.lon_deg,
            alt_m=pose.position.alt_m,
            sigma_m=pose.sigma_m,
            heading_deg=pose.heading_deg,
            heading_sigma_deg=pose.heading_sigma_deg,
        ),
        clock=ClockSettings(sigma_us=CLOCK_SIGMA_US),
        air=AirSettings() if air is None else _air_settings(air),
        mesh=MeshSettings(interfaces=(LOOPBACK,), port=0),
        web=WebSettings(host=LOOPBACK, port=port, open_loopback=True),
    )


def _air_settings(air: Air) -> AirSettings:
    return AirSettings(
        temperature_c=air.temperature_c,
        temperature_sigma_c=air.temperature_sigma_c,
        wind_east_mps=air.wind_east_mps,
        wind_north_mps=air.wind_north_mps,
        wind_sigma_mps=air.wind_sigma_mps,
    )


def _free_ports(n: int) -> list[int]:
    """Ports that were free a moment ago; nodes announce the address of their page before it serves."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _children(node: DemoNode) -> list[Child]:
    return node_children(node.world.id, node.folder, sys.executable, {TOKEN_VARIABLE: node.token})


def _say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()
