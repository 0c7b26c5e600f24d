"""The mesh process of one node, put together: log, peers, localiser, database, sockets."""

import asyncio
import collections
import contextlib
import functools
import logging
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from appliance import __version__
from appliance.alerts.webhook import NAME as WEBHOOK
from appliance.alerts.webhook import Webhook
from appliance.config.folder import NodeFolder
from appliance.daemon.commands import Commands
from appliance.daemon.exchange import Exchange, Opened, open_log
from appliance.daemon.healing import heal
from appliance.daemon.intake import Intake
from appliance.daemon.issuing import Issuing
from appliance.daemon.keeping import ClipKeeper
from appliance.daemon.locating import Located, Locator
from appliance.daemon.membership import Membership
from appliance.daemon.nodes import NodesBoard, View
from appliance.errors import InputError, PeerError, StoreError
from appliance.ledger.limits import MAX_PICK_AGE_NS
from appliance.ledger.records import Record
from appliance.mesh.discovery import Announcement, Discovery
from appliance.mesh.hub import PeerHub
from appliance.mesh.link import make_identity
from appliance.mesh.local import LocalServer, Reply, remove_stale
from appliance.mesh.trust import Credentials, load_credentials
from appliance.model.air import Air
from appliance.model.health import HealthCheck, HealthState
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.model.picks import pick_id
from appliance.model.space import NodePose
from appliance.pipeline.fusion import Fusion
from appliance.ports import PlaceSource
from appliance.storage.clips import ClipFolder
from appliance.storage.node_store import NodeStore, Retention
from appliance.storage.status import status_file, write_status
from appliance.storage.writer import GroupWriter
from appliance.timing.utc import UtcMapping
from appliance.wire.messages import (
    AckMessage,
    ChangedMessage,
    ClipMessage,
    ClockMessage,
    CommandMessage,
    HealthMessage,
    HelloMessage,
    LevelsMessage,
    LocalMessage,
    PickMessage,
    RejectionMessage,
    rejection_of,
)
from appliance.wire.records import NodeBody, PickBody, air_to_body, decode_body, pose_to_body

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often health is judged, the status file written and the place asked for."""
RECALL_NS = 900 * NS_PER_S
"""Picks of the last quarter of an hour are located again after a start, so that a shot across it stays one incident."""
MAX_RECALLED = 20_000
ISSUED_NS = 86_400 * NS_PER_S
"""What was sent in the last day is remembered across a start, so that it is not sent again."""
RETENTION_EVERY_S = 3_600.0
WITNESS_EVERY_S = 600.0
"""A witness of 25 nodes takes 1.2 KB: 4 MB a day from all of them."""
BODIES_KEPT_NS = 30 * 86_400 * NS_PER_S
INCIDENTS_KEPT_NS = 90 * 86_400 * NS_PER_S
EVENTS_KEPT_NS = 7 * 86_400 * NS_PER_S
"""A car that was away for longer reads the list of incidents instead of every change to it."""
MIN_MOVE_M = 2.0
MIN_TURN_DEG = 2.0
"""A receiver's place wanders by metres; only what matters to a fix is announced anew."""
MAX_OWN_PICKS = 10_000
"""Ids of picks that were signed, to recognise those that listen sends again."""
METRES_PER_DEGREE = 111_320.0
"""Of latitude, on the mean sphere; good to 0.6 %, and only compared with `MIN_MOVE_M`."""


@dataclass(frozen=True, slots=True)
class MeshSetup:
    """What a mesh process needs beside its state folder, in which its keys lie.

    interfaces: addresses to announce and to listen on; empty: all
    port:       TCP port for peers; 0: any free one
    peers:      "host:port" of peers that mDNS can't find
    url:        of this node's own pages, for the pages of others
    place:      where this node is
    clock:      how far UTC is from CLOCK_MONOTONIC, told to the ears once a second; None: they know it themselves
    air:        what this node measured, if it did
    webhook:    where alerts go beyond the mesh; None: nowhere
    alive:      called once a second by the loop that everything runs in, for the watchdog
    checks:     what is known of the devices at a UTC, without waiting: clock, power, disk
    """

    folder: NodeFolder
    place: PlaceSource
    interfaces: tuple[str, ...] = ()
    port: int = 0
    peers: tuple[str, ...] = ()
    url: str | None = None
    clock: Callable[[], UtcMapping] | None = None
    air: Air | None = None
    webhook: Webhook | None = None
    alive: Callable[[], None] = lambda: None
    checks: Callable[[int], Sequence[HealthCheck]] = lambda _now_ns: ()


def run_mesh(setup: MeshSetup, ready: Callable[[int], None]) -> None:
    """Run the mesh process until SIGTERM or SIGINT; `ready` is called with the peers' port once it serves.

    Raises InputError or StoreError where it can't start.
    """
    asyncio.run(_run_until_signal(setup, ready))


async def _run_until_signal(setup: MeshSetup, ready: Callable[[int], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve_mesh(setup, ready=ready, stop=stop)


async def serve_mesh(setup: MeshSetup, *, ready: Callable[[int], None], stop: asyncio.Event) -> None:
    """The mesh process in the running event loop, until `stop` is set."""
    peers = [_parse_address(peer) for peer in setup.peers]
    setup.folder.make()
    remove_stale(setup.folder.listen_socket)  # before the database: a second process must not begin an epoch in it
    credentials = load_credentials(setup.folder.keys)
    store = NodeStore(setup.folder.database)
    try:
        opened, _ = open_log(store, credentials, __version__, time.time_ns())
        recalled = recall(store, time.time_ns())
        known = store.addresses()
    except BaseException:
        store.close()
        raise
    writer = GroupWriter(store)
    try:
        process = MeshProcess(setup, credentials, opened, writer, recalled)
        for address, port in peers:
            process.hub.add_static(address, port)
        for node in known.keys() & set(process.members):
            process.hub.add_known(node, *known[node])
        await process.run(ready, stop)
    finally:
        await asyncio.to_thread(writer.close)


def recall(store: NodeStore, now_ns: int) -> list[Record]:
    """The stored records that a starting process has to read again: recent picks, and the newest of everything else."""
    recalled = store.records_since("pick", now_ns - RECALL_NS, MAX_RECALLED)
    recalled += store.records_since("issued", now_ns - ISSUED_NS, MAX_RECALLED)
    for kind in ("pose", "calibration", "air", "node", "health"):
        recalled += store.latest_of_nodes(kind)
    return recalled


class MeshProcess:
    """The parts of a mesh process and what passes between them; everything runs in one event loop."""

    def __init__(
        self,
        setup: MeshSetup,
        credentials: Credentials,
        opened: Opened,
        writer: GroupWriter,
        recalled: Sequence[Record],
    ) -> None:
        """Put the parts together; `recalled` are the stored records to begin from."""
        self._setup = setup
        self._node = credentials.node
        self._credentials = credentials
        self._writer = writer
        self._exchange = Exchange(credentials, opened, writer, self._on_records, self._on_event)
        self.hub = PeerHub(make_identity(credentials, __version__), self._exchange)
        self._exchange.hub = self.hub
        self._board = NodesBoard(self._node, setup.url, __version__, time.monotonic())
        self._locator = Locator(
            Fusion(), knowledge=self._exchange.knowledge, utc_ns=_utc_ns, on_located=self._on_located
        )
        self._intake = Intake(self._board, self._locator.put)
        self._ears = LocalServer(setup.folder.listen_socket, self._on_local)
        self._pages = LocalServer(setup.folder.control_socket, self._on_pages)
        self._stop = asyncio.Event()
        self._membership = Membership(credentials, setup.folder, self._exchange, self.hub, self._stop.set)
        self._commands = Commands(
            lambda body: self._exchange.publish(body, _utc_ns()), time.monotonic, self._membership.actions()
        )
        self._clips = ClipFolder(setup.folder.clips)
        self._keeper = ClipKeeper(
            self._node, self._clips, lambda body: self._exchange.publish(body, _utc_ns()), self._ears.broadcast
        )
        self._issuing = self._make_issuing(setup.webhook)
        self._own_picks: collections.OrderedDict[str, None] = collections.OrderedDict()
        self._addresses: dict[str, tuple[str, int]] = {}
        self._pose: NodePose | None = None
        self._discovery: Discovery | None = None
        self._recall(recalled)

    @property
    def members(self) -> tuple[str, ...]:
        """All nodes of the site."""
        return self._exchange.members

    def _make_issuing(self, webhook: Webhook | None) -> Issuing | None:
        if webhook is None:
            return None
        return Issuing(self._node, WEBHOOK, webhook, lambda b: self._exchange.publish(b, _utc_ns()), self.hub.peers)

    async def run(self, ready: Callable[[int], None], stop: asyncio.Event) -> None:
        """Serve until `stop` is set, or this node was let into another site and has to start again."""
        tasks: list[asyncio.Future[object]] = []
        try:
            port = await self.hub.listen(self._setup.interfaces, self._setup.port)
            await self._ears.start()
            await self._pages.start()
            self._introduce()
            self._discovery = Discovery(self._announcement(port), self._setup.interfaces, self.hub.add_found)
            tasks += [asyncio.ensure_future(work) for work in self._work(self._discovery)]
            tasks += [asyncio.ensure_future(event.wait()) for event in (stop, self._stop)]
            ready(port)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # none of them ends by itself but by an error
        finally:
            await self._close(tasks)

    def _work(self, discovery: Discovery) -> tuple[Coroutine[Any, Any, None], ...]:
        """All that goes on until the process stops."""
        return (
            self.hub.run(_utc_ns),
            self._exchange.run(),
            self._locator.run(),
            discovery.run(),
            self._look(),
            heal(self._intake.take_late, self._writer, self._locator.put_window),
            self._retain(),
            self._witness(),
            *([self._issuing.run()] if self._issuing is not None else []),
        )

    async def _close(self, tasks: Sequence["asyncio.Future[object]"]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._commands.close()
        await self._keeper.close()
        await self.hub.close()
        await self._exchange.close()
        await self._ears.close()
        await self._pages.close()

    def _announcement(self, port: int) -> Announcement:
        site = self._credentials.site
        key = self._credentials.enrolled.fingerprint
        return Announcement(self._node, site.name, site.fingerprint, key, port, pages=self._setup.url or "")

    def _introduce(self) -> None:
        """Say who this node is: the first records of an epoch after the one that opens it."""
        now_ns = _utc_ns()
        sinks = () if self._setup.webhook is None else (WEBHOOK,)
        self._exchange.publish(NodeBody(self._setup.url or "", __version__, sinks), now_ns)
        if self._setup.air is not None:
            self._exchange.publish(air_to_body(self._setup.air), now_ns)
        self._look_for_place()

    def _recall(self, records: Sequence[Record]) -> None:
        for record in records:
            body = decode_body(record)
            if isinstance(body, PickBody) and record.node == self._node:
                self._own_picks[pick_id(body.time_ns, record.node)] = None
        self._on_records(records)

    def _on_records(self, records: Sequence[Record]) -> None:
        self._intake.read(records, _utc_ns())
        if self._issuing is not None:
            self._issuing.read(records)

    def _on_local(self, message: LocalMessage, _reply: Reply) -> None:
        """What the ears say."""
        if isinstance(message, PickMessage):
            self._take_pick(message)
        elif isinstance(message, LevelsMessage):
            self._board.heard(message, time.monotonic())
        elif isinstance(message, RejectionMessage):
            self._board.rejected(rejection_of(message, self._node))
        elif isinstance(message, HealthMessage):
            self._board.ears_said(message.checks, time.monotonic())
        elif isinstance(message, ClipMessage):
            self._keeper.heard(message)
        elif not isinstance(message, HelloMessage):
            raise PeerError(str(self._setup.folder.listen_socket), "got a message out of turn", "restart earshot")

    def _on_pages(self, message: LocalMessage, reply: Reply) -> None:
        """What the pages say."""
        if isinstance(message, CommandMessage):
            self._commands.take(message, reply)
        elif not isinstance(message, HelloMessage):
            raise PeerError(str(self._setup.folder.control_socket), "got a message out of turn", "restart earshot")

    def _take_pick(self, message: PickMessage) -> None:
        """Sign a pick of the ears, unless it was signed before or is too old, and acknowledge it once it is on disk."""
        if message.node != self._node:
            problem = f"got a pick of node {message.node}"
            raise PeerError(str(self._setup.folder.listen_socket), problem, f"run earshot listen as {self._node}")
        pick = pick_id(message.pick.time_ns, self._node)
        now_ns = _utc_ns()
        is_old = now_ns - message.pick.time_ns > MAX_PICK_AGE_NS
        if is_old and pick not in self._own_picks:
            self._intake.unread["pick too old when the ears could hand it over"] += 1
        if is_old or pick in self._own_picks:
            self._ears.broadcast(AckMessage((pick,)))
            return
        self._own_picks[pick] = None
        if len(self._own_picks) > MAX_OWN_PICKS:
            self._own_picks.popitem(last=False)
        written = self._exchange.publish(message.pick, now_ns)
        written.stored.add_done_callback(lambda done: self._acknowledge(pick, done))

    def _acknowledge(self, pick: str, stored: "asyncio.Future[int | None]") -> None:
        if not stored.cancelled() and stored.exception() is None:
            self._ears.broadcast(AckMessage((pick,)))

    def _on_located(self, located: Located) -> None:
        """Store what was found, and tell the pages once it is on disk."""
        now_ns = _utc_ns()
        self._keeper.located(located.incidents, now_ns)
        if self._issuing is not None:
            self._issuing.located(located.incidents, located.cancelled)
        self._tell_pages(
            lambda store: store.put_incidents(located.incidents, located.cancelled, located.knowledge, now_ns)
        )

    def _tell_pages(self, work: Callable[[NodeStore], int | None]) -> None:
        """Do work on the store that returns the row of a new event, and tell the pages of it."""
        try:
            stored = asyncio.wrap_future(self._writer.submit(work))
        except StoreError as error:
            log.error("an event was lost: %s", error)  # noqa: TRY400  # the line says it all
            return
        stored.add_done_callback(self._event_stored)

    def _event_stored(self, stored: "asyncio.Future[int | None]") -> None:
        if stored.cancelled():
            return
        error = stored.exception()
        if error is not None:
            log.error("an event was lost: %s", error)
            return
        row = stored.result()
        if row is not None:
            self._on_event(row)

    def _on_event(self, row: int) -> None:
        """Tell the pages of an event that is on disk."""
        self._pages.broadcast(ChangedMessage(row))

    async def _look(self) -> None:
        """Once a second: place, clock, health, and what the pages show of the nodes."""
        path = status_file(self._setup.folder.database)
        while True:
            self._setup.alive()
            self._look_for_place()
            if self._setup.clock is not None:
                mapping = self._setup.clock()
                self._ears.broadcast(ClockMessage(mapping.offset_ns, mapping.sigma_ns))
            now_ns = _utc_ns()
            if self._board.update(self._view(now_ns)):
                self._exchange.publish(self._board.health_body(), now_ns)
            status = self._board.status(now_ns)
            try:
                await asyncio.to_thread(write_status, path, status)
            except StoreError as error:
                log.warning("%s", error)
            self._remember_addresses(now_ns)
            changed = self._board.changed_nodes(status)
            if changed:
                self._tell_pages(functools.partial(NodeStore.put_nodes_event, nodes=changed, now_ns=now_ns))
            await asyncio.sleep(LOOK_S)

    def _remember_addresses(self, now_ns: int) -> None:
        """Keep on disk where nodes were reached, so that they are found again where mDNS is not."""
        new = {n: where for n, where in self.hub.reached().items() if self._addresses.get(n) != where}
        if new:
            self._addresses |= new
            with contextlib.suppress(StoreError):
                self._writer.submit(lambda store: store.put_addresses(new, now_ns), is_urgent=False)

    def _look_for_place(self) -> None:
        """Announce the place where it differs from what was announced."""
        pose = self._setup.place.read()
        if pose is None or not matters(self._pose, pose):
            return
        self._pose = pose
        self._keeper.pose = pose_to_body(pose)
        self._exchange.publish(self._keeper.pose, _utc_ns())

    def _view(self, now_ns: int) -> View:
        problem = self._writer.problem
        now_s = time.monotonic()
        times = self.hub.peer_times().items()
        return View(
            now_ns=now_ns,
            now_s=now_s,
            ahead_ns={node: said_ns - now_ns + int((now_s - at_s) * NS_PER_S) for node, (said_ns, at_s) in times},
            peers=self.hub.peers(),
            members=self._exchange.members,
            refused=self.hub.refused,
            storage_problem=problem.problem if problem else None,
            storage_remedy=problem.remedy if problem else "",
            checks=self._other_checks(now_ns),
            n_pages=self._pages.n_clients,
        )

    def _other_checks(self, now_ns: int) -> list[HealthCheck]:
        since = UtcNs(now_ns)
        checks = [*self._setup.checks(now_ns)]
        if self._locator.problem:
            remedy = "report this with the messages of earshot mesh"
            checks.append(HealthCheck("locate", HealthState.FAILED, self._locator.problem, None, "", since, remedy))
        if self._issuing is not None and self._issuing.problem is not None:
            refusal = self._issuing.problem
            checks.append(HealthCheck("alerts", HealthState.FAILED, refusal.problem, None, "", since, refusal.remedy))
        if self._keeper.problem is not None:
            error = self._keeper.problem
            checks.append(HealthCheck("clips", HealthState.DEGRADED, error.problem, None, "", since, error.remedy))
        if self._discovery is not None and self._discovery.problem:
            words, remedy = f"mDNS: {self._discovery.problem}", "check the network; peers in the settings still work"
            checks.append(HealthCheck("discovery", HealthState.DEGRADED, words, None, "", since, remedy))
        n_unread = self._intake.unread.total()
        if n_unread:
            words = "; ".join(f"{n} times {reason}" for reason, n in self._intake.unread.most_common(3))
            remedy = "install the same version on all nodes"
            checks.append(HealthCheck("records", HealthState.DEGRADED, words, n_unread, "records", since, remedy))
        return checks

    async def _witness(self) -> None:
        """Sign now and then what is held of the other nodes, so that nobody can cut off the end of their logs."""
        while True:
            await asyncio.sleep(WITNESS_EVERY_S)
            body = self._exchange.witness()
            if body is not None:
                self._exchange.publish(body, _utc_ns())

    async def _retain(self) -> None:
        """Delete what is past its time, once an hour."""
        while True:
            await asyncio.sleep(RETENTION_EVERY_S)
            retention = retention_at(_utc_ns())
            with contextlib.suppress(StoreError):
                await asyncio.wrap_future(self._writer.submit(functools.partial(NodeStore.prune, retention=retention)))
            await asyncio.to_thread(self._clips.prune, retention.incidents_before_ns)


def retention_at(now_ns: int) -> Retention:
    """What may go at `now_ns`."""
    return Retention(
        bodies_before_ns=now_ns - BODIES_KEPT_NS,
        incidents_before_ns=now_ns - INCIDENTS_KEPT_NS,
        events_before_ns=now_ns - EVENTS_KEPT_NS,
    )


def _utc_ns() -> UtcNs:
    return UtcNs(time.time_ns())


def matters(before: NodePose | None, now: NodePose) -> bool:
    """Whether a place differs from the one announced by more than a receiver wanders."""
    if before is None:
        return True
    a, b = before.position, now.position
    moved_m = max(abs(a.lat_deg - b.lat_deg) * METRES_PER_DEGREE, abs(a.lon_deg - b.lon_deg) * METRES_PER_DEGREE)
    moved_m = max(moved_m, abs(a.alt_m - b.alt_m) / 2)  # height is known half as well, and matters less
    turned_deg = abs((before.heading_deg - now.heading_deg + 180.0) % 360.0 - 180.0)
    return (
        moved_m > max(MIN_MOVE_M, before.sigma_m)
        or turned_deg > MIN_TURN_DEG
        or not 0.5 < (now.sigma_m + 0.1) / (before.sigma_m + 0.1) < 2.0
    )


def _parse_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise InputError("mesh.peers", f'"{text}" is no address', "write host:port, for example 10.0.0.7:7117")
    return host.strip("[]"), int(port)
