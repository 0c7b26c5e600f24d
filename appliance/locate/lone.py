"""Incidents without a place: what one or two nodes heard, where the classifier is sure enough to say so."""

from collections.abc import Sequence

from appliance.locate.category import ALONE_FROM, judge_unlocated
from appliance.locate.evidence import STRONG_LOG_RATIO, weigh
from appliance.locate.settings import LocateSettings
from appliance.model.incidents import Arrival, BearingLine, Incident, Shot
from appliance.model.picks import Pick

_ROUND_PROMINENCE_DB = 10.0
"""An echo rarely stands this far above the sound before it; what does counts as a round."""


def lone_incidents(picks: Sequence[Pick], settings: LocateSettings) -> tuple[Incident, ...]:
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
    reason = f"heard by {len(by_node)} node{'s' if len(by_node) > 1 else ''}; a place needs three, or two with bearings"
    if len(by_node) >= settings.min_nodes:
        reason = f"the arrivals at {len(by_node)} nodes fit no common place"
    return (
        Incident(
            id=ids[0],
            revision=len(picks),
            time_ns=rounds[0].time_ns,
            position=None,
            ellipse=None,
            category=verdict.category,
            confidence=verdict.confidence,
            shots=tuple(_shot(p) for p in rounds),
            shooters=1,
            rounds_range=(1, len(rounds)),
            bearing=_bearing(rounds),
            reason=reason,
            aliases=tuple(ids[1:]),
            shooter_probabilities={1: 1.0},
        ),
    )


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
