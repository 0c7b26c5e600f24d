"""Who fired which round of an incident, where from relative to the others, who fired first, and who moved.

Sources of one incident that stand near each other are taken as one neighbourhood: their rounds are compared with the
delays of its best source, which tells shooters apart by metres, and finds rounds that two sources explain twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.locate.joint import JointNodes, JointSource, joint_covariance
from appliance.locate.movement import fit_velocity, movement_of
from appliance.locate.order import FirstRound, first_shooter
from appliance.locate.relative import Reference, RelativeRounds, relate_rounds
from appliance.locate.settings import LocateSettings
from appliance.locate.shooters import count_shooters
from appliance.locate.sources import Source
from appliance.model.incidents import FirstShooter, Movement
from appliance.model.instants import NS_PER_S

_NEIGHBOURS_M = 60.0
"""Sources nearer than this share their paths well enough to be compared by them."""
_MIN_SHARED = 3
"""Nodes that a round must share with the reference to be placed beside it: east, north and time."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round: its source (index into the incident's) and index there, who fired it, and where.

    place_m:   east, north, up in the frame of `frame_of`, an index into the incident's sources
    time_ns:   UTC at the source
    """

    source: int
    index: int
    shooter: int
    place_m: tuple[float, float, float]
    frame_of: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Shooting:
    """Rounds by time, each once; probability of each number of shooters; order and movement."""

    rounds: tuple[Round, ...]
    shooters: int
    probabilities: dict[int, float]
    first: FirstShooter | None
    movement: Movement


@dataclass(frozen=True, slots=True, eq=False)
class _Neighbourhood:
    """Sources near each other; the reference comes first. Rows of the arrays are their rounds, one after another."""

    sources: tuple[int, ...]
    source_of: NDArray[np.int64]
    index_of: NDArray[np.int64]
    related: RelativeRounds
    shooter_of: NDArray[np.int64]
    probabilities: dict[int, float]
    once: NDArray[np.bool_]


def tell_shooting(sources: Sequence[Source], settings: LocateSettings) -> Shooting:
    """Who fired what, of an incident's sources in the order of time."""
    hoods = [_neighbourhood(sources, members, settings) for members in _gather(sources)]
    probabilities = {0: 1.0}
    for hood in hoods:
        probabilities = _added(probabilities, hood.probabilities)
    n_shooters = [int(hood.shooter_of.max()) for hood in hoods]
    rounds, first = _numbered(sources, hoods, settings)
    movement = Movement(reason="cannot tell: several shooters")
    if n_shooters == [1]:
        movement = movement_of(hoods[0].related, hoods[0].once)
    return Shooting(rounds, sum(n_shooters), probabilities, first_shooter(first), movement)


def _gather(sources: Sequence[Source]) -> list[list[int]]:
    """Indices of sources by neighbourhood, its best source first; a source that can't be compared is alone."""
    left = sorted(range(len(sources)), key=lambda i: (-sources[i].best.score, i))
    hoods: list[list[int]] = []
    while left:
        lead = left.pop(0)
        near = [i for i in left if _comparable(sources[lead], sources[i])]
        hoods.append([lead, *near])
        left = [i for i in left if i not in near]
    return hoods


def _comparable(lead: Source, other: Source) -> bool:
    place_m = lead.hearing.frame.to_enu(other.hearing.frame.to_geodetic(*map(float, other.best.fix.place_m)))
    if np.hypot(*(place_m - lead.best.fix.place_m)[:2]) > _NEIGHBOURS_M:
        return False
    shared = np.isfinite(_arrivals_s(lead, other)) & np.isfinite(lead.best.lag_s)
    return int(shared.sum(axis=1).min()) >= _MIN_SHARED


def _arrivals_s(lead: Source, other: Source) -> NDArray[np.float64]:
    """Arrivals of the other source's rounds at the lead's nodes, seconds after the lead's epoch, nan where unheard."""
    member = other.best.member
    time_s = np.full((len(member), len(lead.hearing.nodes)), np.nan)
    shift_s = (other.hearing.epoch_ns - lead.hearing.epoch_ns) / NS_PER_S
    column = {node: n for n, node in enumerate(lead.hearing.nodes)}
    for n, node in enumerate(other.hearing.nodes):
        if node in column:
            heard = member[:, n] >= 0
            time_s[heard, column[node]] = other.hearing.time_s[member[heard, n]] + shift_s
    return time_s


def _neighbourhood(sources: Sequence[Source], members: Sequence[int], settings: LocateSettings) -> _Neighbourhood:
    lead = sources[members[0]]
    source_of = np.concatenate([np.full(len(sources[i].best.time_s), i) for i in members])
    index_of = np.concatenate([np.arange(len(sources[i].best.time_s)) for i in members])
    arrival_s = np.vstack([_arrivals_s(lead, sources[i]) for i in members])
    reference = Reference(lead.best.fix.place_m, lead.best.fix.air_mps, lead.best.lag_s)
    related = _anchored(relate_rounds(arrival_s, lead.hearing.enu_m, reference, settings), lead)
    count = count_shooters(related, settings)
    once = _once(related.time_s, count.shooter_of, np.isfinite(arrival_s).sum(axis=1), settings)
    return _Neighbourhood(tuple(members), source_of, index_of, related, count.shooter_of, count.probabilities, once)


def _anchored(related: RelativeRounds, lead: Source) -> RelativeRounds:
    """The same rounds, with the lead's own around its place and at its times on average."""
    own = slice(0, len(lead.best.time_s))
    weight = np.linalg.inv(related.covariance[own, :2, :2])
    mean_m = np.linalg.solve(weight.sum(axis=0), np.einsum("kij,kj->i", weight, related.offset_m[own]))
    late_s = float(np.median(related.time_s[own] - lead.best.time_s))
    return RelativeRounds(related.offset_m - mean_m, related.time_s - late_s, related.covariance, related.scatter_s)


def _once(
    time_s: NDArray[np.float64], shooter_of: NDArray[np.int64], n_heard: NDArray[np.int64], settings: LocateSettings
) -> NDArray[np.bool_]:
    """False for rounds that repeat one of the same shooter, nearer than a weapon fires; the best heard one stays."""
    once = np.ones(len(time_s), dtype=bool)
    for k in np.lexsort((time_s, -n_heard)):
        same = once & (shooter_of == shooter_of[k]) & (np.abs(time_s - time_s[k]) < settings.min_round_gap_s)
        same[k] = False
        if once[k]:
            once[same] = False
    return once


def _added(some: dict[int, float], more: dict[int, float]) -> dict[int, float]:
    """Distribution of the sum of two independent counts."""
    total: dict[int, float] = {}
    for a, p in some.items():
        for b, q in more.items():
            total[a + b] = total.get(a + b, 0.0) + p * q
    return {n: round(p, 3) for n, p in sorted(total.items())}


def _numbered(
    sources: Sequence[Source], hoods: Sequence[_Neighbourhood], settings: LocateSettings
) -> tuple[tuple[Round, ...], dict[int, FirstRound]]:
    """All rounds by time with shooters numbered by their first rounds, and those first rounds."""
    variances_s2 = _time_variances_s2([sources[hood.sources[0]] for hood in hoods], settings)
    raw = []
    for h, hood in enumerate(hoods):
        lead = sources[hood.sources[0]]
        places_m = _places_m(hood) + lead.best.fix.place_m[:2]
        for k in np.flatnonzero(hood.once):
            time_ns = lead.hearing.epoch_ns + round(float(hood.related.time_s[k]) * 1e6) * 1000
            raw.append((time_ns, h, int(hood.shooter_of[k]), int(k), places_m[k]))
    raw.sort(key=lambda item: item[:4])
    numbers: dict[tuple[int, int], int] = {}
    first: dict[int, FirstRound] = {}
    rounds = []
    for time_ns, h, label, k, (east_m, north_m) in raw:
        hood = hoods[h]
        number = numbers.setdefault((h, label), len(numbers) + 1)
        if number not in first:
            variance_s2 = variances_s2[h] + float(hood.related.covariance[k, 2, 2])
            first[number] = FirstRound((time_ns - raw[0][0]) / NS_PER_S, variance_s2)
        lead_index = hood.sources[0]
        place_m = (float(east_m), float(north_m), float(sources[lead_index].best.fix.place_m[2]))
        rounds.append(Round(int(hood.source_of[k]), int(hood.index_of[k]), number, place_m, lead_index, time_ns))
    return tuple(rounds), first


def _places_m(hood: _Neighbourhood) -> NDArray[np.float64]:
    """Displacement of each round from the reference: its shooter's mean place, or his steady walk, shape (K, 2)."""
    places_m = np.zeros((len(hood.once), 2))
    several = hood.shooter_of.max() > 1
    for shooter in range(1, int(hood.shooter_of.max()) + 1):
        of = hood.shooter_of == shooter
        covariance = hood.related.covariance[of, :2, :2]
        weight = np.linalg.inv(covariance)
        mean_m = np.linalg.solve(weight.sum(axis=0), np.einsum("kij,kj->i", weight, hood.related.offset_m[of]))
        if several:
            places_m[of] = mean_m
        if movement_of(hood.related, of).reason is None:
            time_s = hood.related.time_s[of]
            velocity_mps, _ = fit_velocity(time_s, hood.related.offset_m[of], covariance)
            places_m[of] = mean_m + (time_s - time_s.mean())[:, None] * velocity_mps
    return places_m


def _time_variances_s2(leads: Sequence[Source], settings: LocateSettings) -> list[float]:
    """Half the variance of each lead's source time against the others', without what node and air errors they share."""
    net = leads[0].hearing
    if len(leads) < 2:
        return [0.0]
    if any(lead.hearing.nodes != net.nodes for lead in leads):
        return [float(lead.best.fix.covariance[6, 6]) for lead in leads]
    survey_m = np.array([pose.sigma_m for pose in net.poses])
    clock_s = np.sqrt(np.maximum(net.sigma_s**2 - (survey_m / net.sound_speed_mps) ** 2, 0.0))
    joint = [_joint(lead, settings) for lead in leads]
    covariance = joint_covariance(joint, JointNodes(net.enu_m, survey_m, clock_s), net.air)[3::4, 3::4]
    own = np.diag(covariance)
    differences_s2 = own[:, None] + own[None, :] - 2.0 * covariance
    return [float(v) for v in 0.5 * differences_s2.max(axis=1)]


def _joint(source: Source, settings: LocateSettings) -> JointSource:
    nodes = np.flatnonzero(np.isfinite(source.best.lag_s))
    n_rounds = (source.best.member[:, nodes] >= 0).sum(axis=0)
    path_s = 0.5 * (settings.path_sigma_s + settings.path_late_sigma_s)
    return JointSource(
        source.best.fix.place_m,
        source.best.fix.air_mps,
        nodes,
        np.full(len(nodes), path_s),
        settings.round_sigma_s / np.sqrt(n_rounds),
    )
