"""Incidents without a fix: what one node heard, or two from a region, where the classifier is sure enough to say so."""

from collections.abc import Mapping, Sequence

from appliance.locate.category import ALONE_FROM, judge_unlocated
from appliance.locate.evidence import STRONG_LOG_RATIO, weigh
from appliance.locate.hearing import Hearing
from appliance.locate.region import NoRegion, Region, region_of_two
from appliance.locate.settings import LocateSettings
from appliance.model.incidents import Arrival, BearingLine, Incident, Shot
from appliance.model.picks import Pick

_FIRST_PICKS = 8
"""Of each of two nodes, those that the two sounds of one shot are looked for among."""
_ROUND_PROMINENCE_DB = 10.0
"""An echo rarely stands this far above the sound before it; what does counts as a round."""


def lone_incidents(picks: Sequence[Pick], hearing: Hearing | None, settings: LocateSettings) -> tuple[Incident, ...]:
    """One possible-gunfire incident from an episode in which no source was located, or none.

    The node with the most convincing picks speaks; a node's own time of arrival stands in for the time at the source.
    """
    sure = [p for p in picks if (p.gunshot_probability or 0.0) >= ALONE_FROM and weigh(p).direct > STRONG_LOG_RATIO]
    if not sure:
        return ()
    by_node: dict[str, list[Pick]] = {}
    for pick in sure:
        by_node.setdefault(pick.node, []).append(pick)
    speaker = min(by_node, key=lambda node: (-round(sum(weigh(p).direct for p in by_node[node]), 6), node))
    rounds = _rounds(by_node[speaker], settings)
    verdict = judge_unlocated(rounds)
    if verdict is None:
        return ()
    ids = sorted({p.id for p in sure})
    region = _region(by_node, hearing, settings)
    place = region if isinstance(region, Region) else None
    reason = "two nodes heard it: a region, not a place" if isinstance(region, Region) else region.reason
    return (
        Incident(
            id=ids[0],
            revision=len(picks),
            time_ns=rounds[0].time_ns,
            position=place.position if place else None,
            ellipse=place.ellipse if place else None,
            category=verdict.category,
            confidence=verdict.confidence,
            shots=tuple(_shot(p) for p in rounds),
            shooters=1,
            rounds_range=(1, len(rounds)),
            bearing=None if place else _bearing(rounds),
            reason=reason,
            aliases=tuple(ids[1:]),
            shooter_probabilities={1: 1.0},
        ),
    )


def _region(
    by_node: Mapping[str, Sequence[Pick]], hearing: Hearing | None, settings: LocateSettings
) -> Region | NoRegion:
    """The region that two nodes' first sounds of one shot leave, or why there is none."""
    if len(by_node) == 1:
        return NoRegion("heard by 1 node; a place needs three, or two with bearings")
    if len(by_node) >= settings.min_nodes:
        return NoRegion(f"the arrivals at {len(by_node)} nodes fit no common place")
    if hearing is None or not set(by_node) <= set(hearing.nodes):
        return NoRegion("heard by 2 nodes, of which one has no known place or too bad a clock")
    one, other = (by_node[node] for node in sorted(by_node))
    pairs = [(abs(a.time_ns - b.time_ns), a, b) for a in one[:_FIRST_PICKS] for b in other[:_FIRST_PICKS]]
    _, a, b = min(pairs, key=lambda pair: (pair[0], pair[1].id))
    return region_of_two(hearing, a, b, settings)


def _rounds(picks: Sequence[Pick], settings: LocateSettings) -> list[Pick]:
    """Picks that can each be a round: prominent, or else the first, and apart."""
    rounds: list[Pick] = []
    for pick in picks:
        prominent = pick.snr_db is None or pick.snr_db >= _ROUND_PROMINENCE_DB
        if not rounds or (prominent and pick.time_ns - rounds[-1].time_ns >= settings.min_round_gap_s * 1e9):
            rounds.append(pick)
    return rounds


def _shot(pick: Pick) -> Shot:
    arrival = Arrival(pick.id, pick.node, pick.time_ns, 0.0, 1.0)
    return Shot(pick.time_ns, max(pick.sigma_ns, pick.clock_sigma_ns), None, None, 1, (arrival,))


def _bearing(picks: Sequence[Pick]) -> BearingLine | None:
    for pick in picks:
        if pick.bearing_deg is not None:
            return BearingLine(pick.node, pick.bearing_deg, pick.bearing_sigma_deg or 5.0)
    return None
