"""What the nodes are doing right now: a small file beside the sockets, written anew about once a second.

It lies in the `run` folder, which a node keeps in memory, because levels and heartbeats change all the time and an SD
card wears. It is replaced in one step, so that a reader never sees half of it.
"""

import time
from pathlib import Path
from typing import Any

import msgspec

from appliance.errors import StoreError
from appliance.model.health import HealthState
from appliance.model.instants import NS_PER_S

STALE_AFTER_NS = 5 * NS_PER_S
"""It is written once a second; when it is so old, mesh hangs or is down."""
MAX_STATUS_BYTES = 1024 * 1024
"""Twenty-five nodes and two hundred rejections take 60 KB."""


class NodeStatus(msgspec.Struct, frozen=True, rename={"is_self": "self"}, kw_only=True):
    """One node as this one knows it; the page shows these fields under these names."""

    id: str
    is_self: bool
    url: str | None
    software: str | None
    lat: float | None
    lon: float | None
    alt_m: float | None
    position_sigma_m: float | None
    heading_deg: float | None
    alive: bool
    last_heard_ns: int
    health: list[dict[str, Any]]
    levels: list[dict[str, Any]] = []


class Status(msgspec.Struct, frozen=True):
    """The whole file: when it was written (UTC), the nodes, and the newest rejections, newest first."""

    written_ns: int
    nodes: list[NodeStatus]
    rejections: list[dict[str, Any]] = []


def status_file(database: Path) -> Path:
    """Where the status of the node with this database lies."""
    return database.parent / "run" / "status.json"


def write_status(path: Path, status: Status) -> None:
    """Replace the file. Raises StoreError."""
    fresh = path.with_suffix(".new")
    try:
        fresh.write_bytes(msgspec.json.encode(status))
        fresh.replace(path)
    except OSError as error:
        problem = error.strerror or "can't be written"
        raise StoreError(str(path), problem, "make its folder writable for earshot mesh") from error


def read_nodes(path: Path) -> list[dict[str, Any]]:
    """The nodes as objects; with a stale file nobody is said to be alive. Empty before mesh first wrote it."""
    status = _read(path)
    if status is None:
        return []
    age_ns = time.time_ns() - status.written_ns
    nodes = [dict(msgspec.to_builtins(node)) for node in status.nodes]
    return [_stale(node, status.written_ns) for node in nodes] if age_ns > STALE_AFTER_NS else nodes


def read_rejections(path: Path, limit: int) -> list[dict[str, Any]]:
    """The newest rejections, newest first."""
    status = _read(path)
    return [dict(r) for r in status.rejections[:limit]] if status else []


def _stale(node: dict[str, Any], written_ns: int) -> dict[str, Any]:
    """The node as it must be shown when mesh does not report any more: not alive, and this node says why."""
    node = {**node, "alive": False, "levels": []}
    if node["self"]:
        check = {
            "name": "mesh",
            "state": HealthState.FAILED.value,
            "words": "the mesh process of this node does not report",
            "number": None,
            "unit": "",
            "since_ns": written_ns,
            "remedy": "start earshot mesh and look at its messages",
        }
        node["health"] = [check, *node["health"]]
    return node


def _read(path: Path) -> Status | None:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_STATUS_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = error.strerror or "can't be read"
        raise StoreError(str(path), problem, "make it readable for earshot web") from error
    try:
        return msgspec.json.decode(data, type=Status)
    except msgspec.MsgspecError as error:
        raise StoreError(str(path), "is damaged", "restart earshot mesh, which writes it anew") from error
