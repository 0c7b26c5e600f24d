"""From good records to what they mean: picks, poses and air for the localiser, the rest for the pages."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from appliance.daemon.locating import Input
from appliance.daemon.nodes import NodesBoard
from appliance.ledger.limits import MAX_AHEAD_NS, MAX_PICK_AGE_NS
from appliance.ledger.records import Record
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.model.picks import Pick
from appliance.wire.records import (
    AirBody,
    CalibrationBody,
    HealthBody,
    NodeBody,
    PickBody,
    PoseBody,
    Unread,
    air_from_body,
    calibrated_pose,
    decode_body,
    pick_from_body,
)

log = logging.getLogger(__name__)

LATE_AFTER_NS = 840 * NS_PER_S
"""Fusion forgets picks after 900 s; what comes in later than this is located in a window of its own."""
MAX_REASONS = 64
OTHER_REASONS = "other reasons"
"""A peer that makes up kinds makes up reasons; those beyond so many are counted together."""
PLAUSIBLE_UTC_NS = UtcNs(1_735_689_600 * NS_PER_S)
"""2025-01-01: a clock that says less has not been set since power-on and can't judge the age of anything."""


class Intake:
    """Reads records in any order; of poses, air, health and names only the newest of each node counts."""

    def __init__(self, board: NodesBoard, put: Callable[[Sequence[Input]], None]) -> None:
        """Hand inputs of the localiser to `put` and the rest to `board`."""
        self._board = board
        self._put = put
        self._newest: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._newest_air: tuple[int, str] = (0, "")
        self._poses: dict[str, PoseBody] = {}
        self._calibrations: dict[str, CalibrationBody] = {}
        self._unread: Counter[str] = Counter()
        self._late: list[Pick] = []

    @property
    def unread(self) -> Counter[str]:
        """Records that were kept but not used, counted by reason."""
        return self._unread

    def take_late(self) -> list[Pick]:
        """Picks that came too late for the localiser's memory since the last call."""
        late, self._late = self._late, []
        return late

    def read(self, records: Sequence[Record], now_ns: int) -> None:
        """Take in records; `now_ns` is this node's UTC."""
        inputs = [item for record in records if (item := self._input(record, now_ns)) is not None]
        self._put(inputs)

    def _input(self, record: Record, now_ns: int) -> Input | None:
        body = decode_body(record)
        if isinstance(body, Unread):
            reason = body.reason if len(self._unread) < MAX_REASONS or body.reason in self._unread else OTHER_REASONS
            if reason not in self._unread:
                log.warning("a record of %s is kept but not used: %s", record.node, reason)
            self._unread[reason] += 1
            return None
        if isinstance(body, PickBody):
            return self._pick(record, body, now_ns)
        if isinstance(body, AirBody) and _is_ahead(record, now_ns):
            self._unread["air of a time that can't be"] += 1  # it would be the newest for ever, and for all nodes
            return None
        if isinstance(body, AirBody):
            newest, self._newest_air = self._newest_air, max(self._newest_air, (record.time_ns, record.node))
            return air_from_body(body) if self._newest_air != newest else None
        if not self._is_newest(record):
            return None
        if isinstance(body, PoseBody | CalibrationBody):
            return self._pose(record.node, body)
        if isinstance(body, NodeBody | HealthBody):
            self._board.node_said(record.node, body)
        return None

    def _pose(self, node: str, body: PoseBody | CalibrationBody) -> Input | None:
        """The node's pose with its calibration, whichever of the two came first; None while it has stated none."""
        if isinstance(body, PoseBody):
            self._poses[node] = body
        else:
            self._calibrations[node] = body
        if node not in self._poses:
            return None
        pose = calibrated_pose(self._poses[node], self._calibrations.get(node), node)
        self._board.pose_of(node, pose)
        return pose

    def _pick(self, record: Record, body: PickBody, now_ns: int) -> Pick | None:
        age_ns = record.time_ns - body.time_ns
        if not -MAX_AHEAD_NS <= age_ns <= MAX_PICK_AGE_NS or _is_ahead(record, now_ns):
            self._unread["pick of a time that can't be"] += 1
            return None
        pick = pick_from_body(body, record.node)
        if now_ns - pick.time_ns > LATE_AFTER_NS:
            self._late.append(pick)
            return None
        return pick

    def _is_newest(self, record: Record) -> bool:
        key, order = (record.kind, record.node), (record.time_ns, record.epoch, record.seq)
        if order <= self._newest.get(key, (0, 0, 0)):
            return False
        self._newest[key] = order
        return True


def _is_ahead(record: Record, now_ns: int) -> bool:
    """Whether a record says that it was written in the future, by a clock that can judge that."""
    return now_ns > PLAUSIBLE_UTC_NS and record.time_ns - now_ns > MAX_AHEAD_NS
