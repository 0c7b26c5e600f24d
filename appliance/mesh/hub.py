"""All links of one node: who is dialled, who is accepted, who is dropped.

`PeerHub` keeps one link per pair of nodes, sends heartbeats, closes what is silent, slow or hostile, and tells its
handler what came. Everything runs in one event loop.
"""

import asyncio
import logging
import ssl
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from appliance.errors import InputError, PeerError
from appliance.ledger.health import HEARTBEAT_S, is_alive
from appliance.mesh.discovery import Found
from appliance.mesh.link import UNPROVEN, GuestError, Identity, Link, MemberError, accept, dial
from appliance.mesh.trust import Enrolled
from appliance.wire.framing import encode_frame
from appliance.wire.messages import HeartbeatMessage, PeerMessage

log = logging.getLogger(__name__)

MAX_LINKS = 64
"""One LAN mesh is up to 25 nodes."""
MAX_PENDING = 64
"""Connections that have not proven themselves yet: every node of a full mesh dialling twice at once."""
MAX_PENDING_PER_ADDRESS = 32
"""One address alone can't keep others from connecting; nodes of a demo share one."""
MAX_TARGETS = 128
"""Addresses to dial; mDNS can name more, and those are ignored."""
MAX_REASONS = 64
"""Kinds of refusal that are counted apart; our own words, so there are few, but never more than this."""
BACK_OFF_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Waits between attempts: a rebooting peer is back within seconds, an absent one is asked six times a minute."""
SECOND_CHANCE_S = 2.0
"""The node with the smaller name dials; the other one waits so long and then dials as well, should it be the only
one that learnt of the pair."""
PENANCE_S = 10.0
"""A peer that broke the protocol is not talked to for so long."""
STEADY_S = 5.0
"""A link that does not last as long counts as a failed attempt: the other end does not want it now."""
TICK_S = 0.1


GuestTalk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
"""Talks over TLS with a machine that is not of the site yet, and returns when that is over."""


class PeerHandler(Protocol):
    """Who is told what happens on the links, in the event loop. A PeerError from it closes the link."""

    def peer_up(self, peer: Enrolled) -> None:
        """A link to `peer` is there."""

    def peer_down(self, node: str) -> None:
        """The link to `node` is gone."""

    def peer_said(self, node: str, message: PeerMessage) -> None:
        """A message came from `node`."""


@dataclass(slots=True)
class _Target:
    """Somebody to dial: a node that mDNS named, or an address whose node is known once it answered."""

    addresses: tuple[str, ...]
    port: int
    node: str | None
    failures: int = 0
    due_s: float = 0.0
    dialling: bool = False


class PeerHub:
    """All links of one node."""

    def __init__(self, identity: Identity, handler: PeerHandler) -> None:
        """Prove this node by `identity` and tell `handler` what happens."""
        self._identity = identity
        self._node = identity.credentials.node
        self._handler = handler
        self._links: dict[str, Link] = {}
        self._targets: dict[str, _Target] = {}
        self._reached: dict[str, tuple[str, int]] = {}
        self._banned_until_s: dict[str, float] = {}
        self._pending: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._refused: Counter[str] = Counter()
        self._talk_to_guest: GuestTalk | None = None

    @property
    def refused(self) -> Mapping[str, int]:
        """What was refused since the start, and how often."""
        return self._refused

    def peers(self) -> dict[str, float]:
        """Linked nodes, and the monotonic time when each was last heard."""
        return {node: link.last_heard_s for node, link in self._links.items()}

    def peer_times(self) -> dict[str, tuple[int, float]]:
        """What time (UTC) linked nodes said it was, and the monotonic time when they did."""
        return {node: link.peer_time for node, link in self._links.items() if link.peer_time is not None}

    @property
    def port(self) -> int:
        """Where peers are accepted; 0: not yet."""
        return int(self._servers[0].sockets[0].getsockname()[1]) if self._servers else 0

    def let_guests(self, talk: GuestTalk | None) -> None:
        """Hand connections of machines that have no certificate yet to `talk`; None: refuse them again."""
        self._talk_to_guest = talk
        self._identity.server_context.verify_mode = ssl.CERT_REQUIRED if talk is None else ssl.CERT_OPTIONAL

    async def listen(self, addresses: tuple[str, ...], port: int) -> int:
        """Accept peers on `addresses` (none: all) and `port` (0: any free one, the same on all); returns the port.

        Raises InputError where that can't be listened on.
        """
        for address in addresses or ("0.0.0.0",):  # noqa: S104  # peers are wherever the LAN is
            try:
                server = await asyncio.start_server(self._came_in, address, port)
            except OSError as error:
                remedy = "choose another port, or an address that this machine has"
                raise InputError(f"peers at {address} port {port}", error.strerror or str(error), remedy) from error
            port = server.sockets[0].getsockname()[1]
            self._servers.append(server)
        return port

    def add_static(self, address: str, port: int) -> None:
        """Dial an address from the settings until it answers, and again whenever the link is lost."""
        self._targets[f"{address}:{port}"] = _Target((address,), port, None)

    def add_found(self, found: Found) -> None:
        """Dial a node that mDNS named; a newer address replaces the older."""
        old = self._targets.get(found.node)
        if old is None and len(self._targets) >= MAX_TARGETS:
            self.refuse("mDNS named too many peers")
        elif old is None or (old.addresses, old.port) != (found.addresses, found.port):
            wait_s = 0.0 if self._node < found.node else SECOND_CHANCE_S
            due_s = time.monotonic() + wait_s
            self._targets[found.node] = _Target(found.addresses, found.port, found.node, due_s=due_s)

    def add_known(self, node: str, address: str, port: int) -> None:
        """Dial a node where it was reached before; what mDNS says of it replaces that."""
        if len(self._targets) < MAX_TARGETS:
            self._targets.setdefault(node, _Target((address,), port, node))

    def forget(self, node: str) -> None:
        """Dial a node no more, and end the link to it."""
        self._targets = {key: target for key, target in self._targets.items() if target.node != node}
        self._reached.pop(node, None)
        link = self._links.get(node)
        if link is not None:
            link.close()

    def reached(self) -> Mapping[str, tuple[str, int]]:
        """Where each node was last reached by dialling it."""
        return self._reached

    def send(self, node: str, message: PeerMessage) -> None:
        """Send to one peer; without a link to it nothing happens."""
        link = self._links.get(node)
        if link is not None:
            self._write(link, encode_frame(message))

    def broadcast(self, message: PeerMessage) -> None:
        """Send to all peers."""
        frame = encode_frame(message)
        for link in list(self._links.values()):
            self._write(link, frame)

    def refuse(self, reason: str) -> None:
        """Count something that was refused, by what stands before the details in brackets."""
        reason = reason.partition(" (")[0]
        if reason in self._refused or len(self._refused) < MAX_REASONS:
            self._refused[reason] += 1

    async def run(self, utc_ns: Callable[[], int]) -> None:
        """Dial, send heartbeats and drop silent links until cancelled."""
        next_beat_s = time.monotonic()
        while True:
            now_s = time.monotonic()
            self._dial_due(now_s)
            if now_s >= next_beat_s:
                next_beat_s = now_s + HEARTBEAT_S
                self.broadcast(HeartbeatMessage(utc_ns()))
                self._drop_silent(now_s)
            await asyncio.sleep(TICK_S)

    async def close(self) -> None:
        """Accept nobody any more and end all links."""
        for server in self._servers:
            server.close()
        for link in self._links.values():
            link.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _dial_due(self, now_s: float) -> None:
        for target in list(self._targets.values()):
            known = target.node in self._links or target.node == self._node
            if not target.dialling and not known and now_s >= target.due_s:
                target.dialling = True
                self._start(self._dial(target))

    async def _dial(self, target: _Target) -> None:
        """Try a target once, stay with the link for as long as it lasts, and say when to try again."""
        target.failures += 1
        try:
            link = await self._first_answering(target)
            if link is not None:
                target.node = link.peer.node
                self._reached[link.peer.node] = (link.address, target.port)
                if await self._serve(link) and time.monotonic() - link.since_s > STEADY_S:
                    target.failures = 0
        finally:
            target.due_s = time.monotonic() + BACK_OFF_S[min(target.failures, len(BACK_OFF_S) - 1)]
            target.dialling = False

    async def _first_answering(self, target: _Target) -> Link | None:
        for address in target.addresses:
            try:
                return await dial(self._identity, address, target.port)
            except PeerError as error:
                self._refused_by(error)
            except OSError as error:
                log.debug("nobody at %s port %d: %s", address, target.port, error)
        return None

    def _came_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection that came in, if there is room."""
        address = str((writer.get_extra_info("peername") or ("",))[0])
        if self._pending.total() >= MAX_PENDING or self._pending[address] >= MAX_PENDING_PER_ADDRESS:
            self.refuse("too many connections at once")
            writer.transport.abort()
            return
        self._pending[address] += 1
        self._start(self._accept(address, reader, writer))

    async def _accept(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Have a connection that came in prove itself, and stay with it for as long as it lasts."""
        try:
            link = await accept(self._identity, reader, writer)
        except GuestError:
            await self._receive_guest(reader, writer)
            return
        except PeerError as error:
            self._refused_by(error)
            return
        except OSError:
            self.refuse(UNPROVEN)  # it hung up, said nothing, or did not like our certificate: a stranger as well
            return
        finally:
            self._pending[address] -= 1
            self._pending += Counter()  # forgets addresses with none left
        await self._serve(link)

    async def _receive_guest(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._talk_to_guest is None:
                self.refuse(UNPROVEN)
            else:
                await self._talk_to_guest(reader, writer)
        finally:
            writer.transport.abort()

    async def _serve(self, link: Link) -> bool:
        """Hand on what a peer says until the link ends; False where the link was not wanted."""
        if not self._admit(link):
            link.close()
            return False
        node = link.peer.node
        try:
            self._handler.peer_up(link.peer)
            while messages := await link.receive():
                for message in messages:
                    if isinstance(message, HeartbeatMessage):
                        link.peer_time = (message.time_ns, link.last_heard_s)
                    else:
                        self._handler.peer_said(node, message)
        except PeerError as error:
            self._ban(node, error)
        finally:
            link.close()
            if self._links.get(node) is link:
                del self._links[node]
                self._handler.peer_down(node)
        return True

    def _refused_by(self, error: PeerError) -> None:
        """Somebody could not prove himself, or broke the protocol right after."""
        if isinstance(error, MemberError):
            self._ban(error.node, error)
        else:
            self.refuse(error.problem)

    def _ban(self, node: str, error: PeerError) -> None:
        log.warning("%s; not talking to it for %.0f s", error, PENANCE_S)
        self.refuse(error.problem)
        self._banned_until_s[node] = time.monotonic() + PENANCE_S

    def _admit(self, link: Link) -> bool:
        """Whether a new link is kept. Of two links of one pair both ends keep the one that the smaller name dialled."""
        node = link.peer.node
        if node == self._node:
            return False  # mDNS or the settings led this node to itself
        if time.monotonic() < self._banned_until_s.get(node, 0.0):
            self.refuse("came back too soon after breaking the protocol")
            return False
        old = self._links.get(node)
        if old is None and len(self._links) >= MAX_LINKS:
            self.refuse("too many peers")
            return False
        if old is not None:
            preferred = min(self._node, node)
            if old.dialler == preferred and link.dialler != preferred:
                return False
            old.close()
            self._handler.peer_down(node)
        self._links[node] = link
        return True

    def _drop_silent(self, now_s: float) -> None:
        for link in list(self._links.values()):
            if not is_alive(link.last_heard_s, now_s):
                link.close()

    def _write(self, link: Link, frame: bytes) -> None:
        if not link.send(frame):
            self.refuse("a peer that does not read")
            link.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a link ended by an error of our own", exc_info=error)
