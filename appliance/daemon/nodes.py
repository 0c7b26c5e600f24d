"""What this node knows of itself and of its peers right now, as the pages show it."""

import collections
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from appliance.ledger.health import (
    HealthBoard,
    alerts_check,
    clock_check,
    ears_check,
    is_alive,
    peer_trouble,
    peers_check,
    place_check,
    storage_check,
)
from appliance.model.health import HealthCheck, HealthState
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.model.picks import Rejection
from appliance.model.space import NodePose
from appliance.storage.status import NodeStatus, Status
from appliance.wire.messages import LevelsMessage
from appliance.wire.records import CheckBody, HealthBody, NodeBody, check_from_body, check_to_body

MAX_REJECTIONS = 200
"""The technician's list; a noisy street makes a few a second."""
MAX_UNSHOWN = 50
"""Levels that wait for the next look of a page: ten seconds of them."""
SAID_S = 15.0
"""The listening process says every 5 s how it is; after three times of silence nobody knows."""
CLIP_MEMORY = 50
"""Ten seconds of levels: a blast is over after some of them, and its echoes too."""
GRACE_S = 10.0
"""After its start a node gives its peers so long before it calls them silent."""

_SEVERITY = (HealthState.OK, HealthState.UNKNOWN, HealthState.DEGRADED, HealthState.FAILED)


@dataclass(slots=True)
class _Peer:
    """What another node said of itself."""

    about: NodeBody | None = None
    pose: NodePose | None = None
    checks: tuple[HealthCheck, ...] = ()
    last_heard_ns: int = 0
    alive: bool = False


@dataclass(slots=True)
class _Ears:
    """What the listening process said last, and when (monotonic)."""

    heard_s: float | None = None
    levels: LevelsMessage | None = None
    unshown: list[LevelsMessage] = field(default_factory=list)
    said_s: float = -math.inf
    checks: dict[str, HealthCheck] = field(default_factory=dict)
    clipped: collections.deque[frozenset[int]] = field(default_factory=lambda: collections.deque(maxlen=CLIP_MEMORY))

    def take_levels(self) -> list[dict[str, Any]]:
        """For each channel the newest RMS, and the highest peak and all clipped samples since this was last asked.

        Pages see the levels once a second, and a tap on a microphone is over sooner.
        """
        if self.levels is None:
            return []
        n_channels = len(self.levels.channels)
        heard = [m.channels for m in (*self.unshown, self.levels) if len(m.channels) == n_channels]
        new = [m.channels for m in self.unshown if len(m.channels) == n_channels]
        self.unshown = []
        return [
            {
                "rms_dbfs": self.levels.channels[i].rms_dbfs,
                "peak_dbfs": max(channels[i].peak_dbfs for channels in heard),
                "n_clipped_samples": sum(channels[i].n_clipped_samples for channels in new),
            }
            for i in range(n_channels)
        ]

    def stuck(self) -> list[int]:
        """Channels, from 0, that were at the rail in most of the last levels."""
        if len(self.clipped) < CLIP_MEMORY:
            return []
        counts = collections.Counter(channel for channels in self.clipped for channel in channels)
        return sorted(channel for channel, n in counts.items() if n > CLIP_MEMORY / 2)


class NodesBoard:
    """This node and its peers; times are given by the caller."""

    def __init__(self, node: str, url: str | None, software: str, start_s: float) -> None:
        """Begin with this node alone; `start_s` is the monotonic time now."""
        self._node = node
        self._url = url
        self._software = software
        self._start_s = start_s
        self._pose: NodePose | None = None
        self._ears = _Ears()
        self._health = HealthBoard()
        self._peers: dict[str, _Peer] = {}
        self._rejections: collections.deque[Rejection] = collections.deque(maxlen=MAX_REJECTIONS)
        self._shown: dict[str, object] = {}

    def heard(self, levels: LevelsMessage, now_s: float) -> None:
        """Take in what the ears heard."""
        self._ears.heard_s = now_s
        self._ears.levels = levels
        self._ears.unshown = [*self._ears.unshown[-MAX_UNSHOWN:], levels]
        self._ears.clipped.append(frozenset(i for i, c in enumerate(levels.channels) if c.n_clipped_samples > 0))

    def ears_said(self, checks: Sequence[CheckBody], now_s: float) -> None:
        """Take in what the listening process finds out about itself; it counts until it should have said more."""
        self._ears.said_s = now_s
        self._ears.checks = {check.name: check_from_body(check) for check in checks}

    def rejected(self, rejection: Rejection) -> None:
        """Take in an onset that became no pick."""
        self._rejections.appendleft(rejection)

    def pose_of(self, node: str, pose: NodePose) -> None:
        """Take in where a node stands."""
        if node == self._node:
            self._pose = pose
        else:
            self._peer(node).pose = pose

    def node_said(self, node: str, body: NodeBody | HealthBody) -> None:
        """Take in what a peer says of itself."""
        if node == self._node:
            return
        if isinstance(body, NodeBody):
            self._peer(node).about = body
        else:
            self._peer(node).checks = tuple(check_from_body(check) for check in body.checks)

    def update(self, view: "View") -> bool:
        """Judge everything anew; whether the state of one of this node's own checks changed."""
        self._peers = {node: peer for node, peer in self._peers.items() if node in view.members}
        for node in view.members:
            if node != self._node:
                self._peer(node)
        for node, peer in self._peers.items():
            heard_s = view.peers.get(node)
            peer.alive = is_alive(heard_s, view.now_s)
            if heard_s is not None:
                peer.last_heard_ns = view.now_ns - int((view.now_s - heard_s) * NS_PER_S)
        return self._health.put(self._own_checks(view))

    def health_body(self) -> HealthBody:
        """This node's checks, for its peers."""
        return HealthBody(tuple(check_to_body(check) for check in self._health.checks()))

    def status(self, now_ns: int) -> Status:
        """Everything, for the status file."""
        nodes = [self._own_status(now_ns), *(self._peer_status(n, p) for n, p in sorted(self._peers.items()))]
        rejections = [{"time_ns": r.time_ns, "stage": r.stage, "reason": r.reason} for r in self._rejections]
        return Status(now_ns, nodes, rejections)

    def changed_nodes(self, status: Status) -> list[str]:
        """Nodes that differ from the last call in more than levels, numbers and times."""
        shown = {node.id: _essence(node) for node in status.nodes}
        changed = [node for node, essence in shown.items() if self._shown.get(node) != essence]
        self._shown = shown
        return changed

    def _own_checks(self, view: "View") -> list[HealthCheck]:
        since = UtcNs(view.now_ns)
        levels = self._ears.levels
        age_s = None if self._ears.heard_s is None else view.now_s - self._ears.heard_s
        is_early = view.now_s - self._start_s <= GRACE_S
        silent = [] if is_early else [n for n, p in self._peers.items() if not p.alive]
        n_alive = sum(peer.alive for peer in self._peers.values())
        checks = {
            "ears": ears_check(
                age_s, [c.rms_dbfs for c in levels.channels] if levels else [], since, self._ears.stuck()
            ),
            "clock": clock_check(levels.clock_sigma_ns if levels else None, since),
            "place": place_check(self._pose.sigma_m if self._pose else None, since),
            "peers": peers_check(n_alive, silent, self._troubled(view), view.refused, since),
            "alerts": alerts_check(view.n_pages or (None if is_early else 0), since),
            "storage": storage_check(view.storage_problem, view.storage_remedy, since),
        }
        said = self._ears.checks if view.now_s - self._ears.said_s < SAID_S else {}
        for name, check in (*said.items(), *((c.name, c) for c in view.checks)):
            own = checks.get(name)
            if own is None or _SEVERITY.index(check.state) >= _SEVERITY.index(own.state):
                checks[name] = check
        return list(checks.values())

    def _troubled(self, view: "View") -> dict[str, str]:
        """Peers alive that are no help in locating, with what is wrong with each."""
        alive = {node: peer for node, peer in self._peers.items() if peer.alive}
        troubles = {node: peer_trouble(peer.checks, view.ahead_ns.get(node)) for node, peer in alive.items()}
        return {node: trouble for node, trouble in troubles.items() if trouble}

    def _peer(self, node: str) -> _Peer:
        return self._peers.setdefault(node, _Peer())

    def _own_status(self, now_ns: int) -> NodeStatus:
        return NodeStatus(
            id=self._node,
            is_self=True,
            url=self._url,
            software=self._software,
            alive=True,
            last_heard_ns=now_ns,
            health=[_plain(check) for check in self._health.checks()],
            levels=self._ears.take_levels(),
            **_place(self._pose),
        )

    def _peer_status(self, node: str, peer: _Peer) -> NodeStatus:
        return NodeStatus(
            id=node,
            is_self=False,
            url=peer.about.url or None if peer.about else None,
            software=peer.about.software if peer.about else None,
            alive=peer.alive,
            last_heard_ns=peer.last_heard_ns,
            health=[_plain(check) for check in peer.checks],
            **_place(peer.pose),
        )


@dataclass(frozen=True, slots=True)
class View:
    """What the rest of the process knows at one moment, for `NodesBoard.update`.

    peers:   linked nodes and when each was last heard, monotonic
    ahead_ns: how far each one's time was ahead of this node's at its last heartbeat
    members: nodes of the site ever met
    refused: what was refused, by reason
    checks:  checks made elsewhere in the process
    n_pages: page processes that listen for alerts
    """

    now_ns: int
    now_s: float
    peers: Mapping[str, float]
    members: Sequence[str]
    refused: Mapping[str, int]
    storage_problem: str | None
    storage_remedy: str
    checks: Sequence[HealthCheck]
    n_pages: int = 0
    ahead_ns: Mapping[str, int] = field(default_factory=dict)


def _place(pose: NodePose | None) -> dict[str, Any]:
    if pose is None:
        return dict.fromkeys(("lat", "lon", "alt_m", "position_sigma_m", "heading_deg"))
    place = pose.position
    return {
        "lat": place.lat_deg,
        "lon": place.lon_deg,
        "alt_m": place.alt_m,
        "position_sigma_m": pose.sigma_m,
        "heading_deg": pose.heading_deg,
    }


def _plain(check: HealthCheck) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(check)
    return plain


def _essence(node: NodeStatus) -> object:
    states = tuple((check["name"], check["state"]) for check in node.health)
    return (node.alive, node.url, node.lat, node.lon, node.heading_deg, states)
