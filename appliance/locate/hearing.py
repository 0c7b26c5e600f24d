"""One episode's picks as arrays in a local frame, with what each pick says about itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.locate.evidence import weigh
from appliance.locate.settings import LocateSettings
from appliance.model.air import Air
from appliance.model.instants import NS_PER_S, NS_PER_US
from appliance.model.picks import Pick
from appliance.model.space import Geodetic, NodePose
from appliance.physics.air import sound_speed_mps
from appliance.physics.geodesy import LocalFrame


@dataclass(frozen=True, slots=True, eq=False)
class Hearing:
    """Picks and nodes of one episode; nodes sorted by id, picks by time and id.

    nodes:              ids of the nodes that made a pick, n of them
    enu_m:              their positions, shape (n, 3); `frame` leads back
    sigma_s:            what their position's and clock's errors make of an arrival time, shape (n,)
    noise_rate_hz:      unrelated picks per second of each node, shape (n,)
    picks:              the p picks; arrays below have shape (p,)
    node_of:            index into `nodes`
    time_s:             since `epoch_ns`, whole microseconds
    direct, echo:       log density ratios over noise
    raw_direct:         `direct` as it was before echoes of located sources were taken off
    level_db:           peak level, on a scale of the node's own; nan where it is not known
    span_s:             length of the episode
    """

    frame: LocalFrame
    air: Air
    sound_speed_mps: float
    nodes: tuple[str, ...]
    poses: tuple[NodePose, ...]
    enu_m: NDArray[np.float64]
    sigma_s: NDArray[np.float64]
    noise_rate_hz: NDArray[np.float64]
    epoch_ns: int
    span_s: float
    picks: tuple[Pick, ...]
    node_of: NDArray[np.int64]
    time_s: NDArray[np.float64]
    direct: NDArray[np.float64]
    echo: NDArray[np.float64]
    raw_direct: NDArray[np.float64]
    level_db: NDArray[np.float64]


def gather(picks: Sequence[Pick], poses: Mapping[str, NodePose], air: Air, settings: LocateSettings) -> Hearing | None:
    """The episode as arrays, or None when no pick can take part in a fix (no pose, or too bad a clock)."""
    max_clock_ns = settings.max_clock_sigma_s * NS_PER_S
    usable = tuple(p for p in picks if p.node in poses and p.clock_sigma_ns <= max_clock_ns)
    if not usable:
        return None
    nodes = tuple(sorted({p.node for p in usable}))
    index = {node: i for i, node in enumerate(nodes)}
    node_poses = tuple(poses[node] for node in nodes)
    frame = LocalFrame(_middle([pose.position for pose in node_poses]))
    speed_mps = sound_speed_mps(air.temperature_c)
    epoch_ns = usable[0].time_ns // NS_PER_US * NS_PER_US
    node_of = np.array([index[p.node] for p in usable])
    time_s = np.array([(p.time_ns - epoch_ns) // NS_PER_US for p in usable]) * 1e-6
    evidence = [weigh(p) for p in usable]
    span_s = max(float(time_s[-1]), 1.0)
    return Hearing(
        frame=frame,
        air=air,
        sound_speed_mps=speed_mps,
        nodes=nodes,
        poses=node_poses,
        enu_m=frame.many_to_enu([pose.position for pose in node_poses]),
        sigma_s=_node_sigma_s(usable, nodes, node_poses, speed_mps),
        noise_rate_hz=_noise_rate_hz(node_of, np.array([e.direct for e in evidence]), span_s, len(nodes), settings),
        epoch_ns=epoch_ns,
        span_s=span_s,
        picks=usable,
        node_of=node_of,
        time_s=time_s,
        direct=np.array([e.direct for e in evidence]),
        echo=np.array([e.echo for e in evidence]),
        raw_direct=np.array([e.direct for e in evidence]),
        level_db=np.array([_level_db(p) for p in usable]),
    )


def _level_db(pick: Pick) -> float:
    level_db = pick.peak_dbfs if pick.level_db_spl is None else pick.level_db_spl
    return float("nan") if level_db is None else level_db


def _middle(places: Sequence[Geodetic]) -> Geodetic:
    """A place amid these, on the ellipsoid of height zero; across the date line it is merely somewhere near."""
    lons_deg = [p.lon_deg for p in places]
    wraps = max(lons_deg) - min(lons_deg) > 180.0
    lon_deg = sum((lon + 360.0) if wraps and lon < 0.0 else lon for lon in lons_deg) / len(places)
    return Geodetic(sum(p.lat_deg for p in places) / len(places), lon_deg - 360.0 if lon_deg > 180.0 else lon_deg, 0.0)


def _node_sigma_s(
    picks: Sequence[Pick], nodes: Sequence[str], poses: Sequence[NodePose], speed_mps: float
) -> NDArray[np.float64]:
    clock_ns: dict[str, int] = {}
    for pick in picks:
        clock_ns[pick.node] = max(clock_ns.get(pick.node, 0), pick.clock_sigma_ns)
    return np.array(
        [
            ((pose.sigma_m / speed_mps) ** 2 + (clock_ns[node] / NS_PER_S) ** 2) ** 0.5
            for node, pose in zip(nodes, poses, strict=True)
        ]
    )


def _noise_rate_hz(
    node_of: NDArray[np.int64],
    direct: NDArray[np.float64],
    span_s: float,
    n_nodes: int,
    settings: LocateSettings,
) -> NDArray[np.float64]:
    """Weak picks per second of each node: what little prominence it takes to be picked there by chance."""
    weak = np.bincount(node_of[direct < 0.0], minlength=n_nodes)
    rate_hz: NDArray[np.float64] = np.maximum(weak / (span_s + 2.0), settings.noise_rate_min_hz)
    return rate_hz
