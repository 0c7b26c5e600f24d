"""Findings of episodes as incidents: ids, places, ellipses, alternatives, rounds, shooters and verdicts."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from appliance.locate.associate import Explanation
from appliance.locate.category import judge_located
from appliance.locate.lone import lone_incidents
from appliance.locate.settings import LocateSettings
from appliance.locate.shooting import Round, tell_shooting
from appliance.locate.sources import EpisodeFindings, Source
from appliance.locate.uncertainty import ellipse_95
from appliance.model.incidents import Alternative, Arrival, Category, Incident, Shot
from appliance.model.instants import NS_PER_S, NS_PER_US, UtcNs
from appliance.model.picks import Pick, PickId
from appliance.model.space import Geodetic
from appliance.physics.geodesy import LocalFrame

SAME_INCIDENT_M = 300.0
"""Sources further apart are different incidents: nobody exchanges pistol fire across three blocks ..."""
EXCHANGE_M = 800.0
"""... unless their rounds come in turns: two who shoot at each other, or at the same time at something between."""
EXCHANGE_ROUNDS = 3
"""So often must the shooter change for it to be an exchange."""
SAME_INCIDENT_S = 10.0
"""A longer pause ends an incident."""
_MAX_ALTERNATIVES = 3
_MAX_ALIASES = 256
"""Bounds what an incident carries; a string of 30 rounds at 8 nodes has 240 picks."""
_RIVAL_FROM = 0.02
"""Alternatives less probable than this are not worth a patrol's attention."""


def form_incidents(findings: Sequence[EpisodeFindings], settings: LocateSettings) -> tuple[Incident, ...]:
    """Incidents of all episodes, by time and id."""
    incidents = [_incident(group, settings) for group in _group(findings)]
    for episode in findings:
        if not episode.sources:
            incidents.extend(lone_incidents(episode.picks, episode.hearing, settings))
    return tuple(sorted(incidents, key=lambda i: (i.time_ns, i.id)))


def _group(findings: Sequence[EpisodeFindings]) -> list[list[tuple[EpisodeFindings, Source]]]:
    """Sources that belong to one incident: near in place, without a long pause between, and of one category.

    A disturbance beside gunfire stays an incident of its own, and makes no second shooter.
    """
    groups: list[list[tuple[EpisodeFindings, Source]]] = []
    for episode in findings:
        for source in episode.sources:
            home = next((g for g in groups if any(_belongs(source, other) for _, other in g)), None)
            if home is None:
                groups.append([(episode, source)])
            else:
                home.append((episode, source))
    return groups


def _belongs(one: Source, other: Source) -> bool:
    (first_a, last_a), (first_b, last_b) = _span_ns(one), _span_ns(other)
    pause_ns = max(first_a - last_b, first_b - last_a)
    if pause_ns > SAME_INCIDENT_S * NS_PER_S or _category(one) is not _category(other):
        return False
    place = other.hearing.frame.to_enu(_place(one.hearing.frame, one.best.fix.place_m))
    apart_m = float(np.hypot(*(place - other.best.fix.place_m)[:2]))
    return apart_m <= (EXCHANGE_M if _takes_turns(one, other) else SAME_INCIDENT_M)


def _category(source: Source) -> Category:
    """What a source would be alone; what may be gunfire counts as such beside gunfire."""
    members = [source.hearing.picks[i] for i in source.best.member[source.best.member >= 0]]
    category = judge_located(members, source.belief).category
    return Category.GUNFIRE if category is Category.POSSIBLE_GUNFIRE else category


def _takes_turns(one: Source, other: Source) -> bool:
    times_ns = [(_time_ns(s, float(t)), k) for k, s in enumerate((one, other)) for t in s.best.time_s]
    order = [k for _, k in sorted(times_ns)]
    return sum(a != b for a, b in pairwise(order)) >= EXCHANGE_ROUNDS


def _span_ns(source: Source) -> tuple[int, int]:
    return _time_ns(source, float(source.best.time_s[0])), _time_ns(source, float(source.best.time_s[-1]))


def _time_ns(source: Source, time_s: float) -> int:
    return source.hearing.epoch_ns + round(time_s * 1e6) * NS_PER_US


def _incident(group: Sequence[tuple[EpisodeFindings, Source]], settings: LocateSettings) -> Incident:
    sources = [source for _, source in group]
    shooting = tell_shooting(sources, settings)
    shots = tuple(_shot(r, sources, settings) for r in shooting.rounds)
    members = [source.hearing.picks[i] for source in sources for i in source.best.member[source.best.member >= 0]]
    lead = max(sources, key=lambda s: (s.best.score, -s.best.time_s[0]))
    verdict = judge_located(members, lead.belief)
    ids = sorted({pick.id for pick in members})
    episodes = {id(episode): episode for episode, _ in group}
    ambiguity = _alternatives(lead)
    return Incident(
        id=ids[0],
        revision=sum(len(episode.picks) for episode in episodes.values()),
        time_ns=shots[0].time_ns,
        position=shots[0].position,
        ellipse=shots[0].ellipse,
        category=verdict.category,
        confidence=verdict.confidence,
        shots=shots,
        shooters=shooting.shooters,
        rounds_range=(len(shots), len(shots)),
        reason="two places explain the arrivals about equally well" if ambiguity else None,
        alternatives=ambiguity,
        aliases=tuple(ids[1 : 1 + _MAX_ALIASES]),
        shooter_probabilities=shooting.probabilities,
        first_shooter=shooting.first,
        movement=shooting.movement,
    )


def _shot(round_: Round, sources: Sequence[Source], settings: LocateSettings) -> Shot:
    source, lead = sources[round_.source], sources[round_.frame_of]
    return Shot(
        time_ns=UtcNs(round_.time_ns),
        time_sigma_ns=round(math.sqrt(lead.best.fix.covariance[6, 6]) * NS_PER_S),
        position=_place(lead.hearing.frame, np.array(round_.place_m)),
        ellipse=ellipse_95(_covariance_m2(lead)),
        shooter=round_.shooter,
        arrivals=_arrivals(source.hearing.picks, source.best, round_.index, settings),
    )


def _arrivals(picks: Sequence[Pick], best: Explanation, k: int, settings: LocateSettings) -> tuple[Arrival, ...]:
    arrivals = []
    for n in np.flatnonzero(best.member[k] >= 0):
        pick = picks[best.member[k, n]]
        lag_s = float(best.lag_s[n])
        scale_s = settings.path_late_sigma_s if lag_s > 0.0 else settings.path_sigma_s
        weight = 1.0 / (1.0 + (lag_s / scale_s) ** 2 / settings.path_tail_dof)
        arrivals.append(Arrival(PickId(pick.id), pick.node, pick.time_ns, round(lag_s, 6), round(weight, 3)))
    return tuple(arrivals)


def _place(frame: LocalFrame, place_m: NDArray[np.float64]) -> Geodetic:
    """The place to a centimetre, so that the last bits of a computation never show."""
    exact = frame.to_geodetic(*(float(v) for v in place_m))
    return Geodetic(round(exact.lat_deg, 7), round(exact.lon_deg, 7), round(exact.alt_m, 1))


def _rivals(source: Source) -> list[tuple[Explanation, float]]:
    """The best explanation and its rivals at distinct places with their shares of the probability."""
    distinct = [source.best]
    for rival in source.rivals:
        if all(np.hypot(*(rival.fix.place_m - d.fix.place_m)[:2]) > 20.0 for d in distinct):
            distinct.append(rival)
    shares = np.exp([max(e.score - source.best.score, -50.0) for e in distinct])
    shares /= shares.sum()
    return [(e, float(p)) for e, p in zip(distinct, shares, strict=True) if e is source.best or p >= _RIVAL_FROM]


def _alternatives(source: Source) -> tuple[Alternative, ...]:
    return tuple(
        Alternative(
            _place(source.hearing.frame, e.fix.place_m), ellipse_95(e.fix.covariance[:2, :2]), round(probability, 3)
        )
        for e, probability in _rivals(source)[1 : 1 + _MAX_ALTERNATIVES]
    )


def _covariance_m2(source: Source) -> NDArray[np.float64]:
    """Horizontal covariance; where rivals share the probability, it spans them too."""
    covariance = np.zeros((2, 2))
    for explanation, probability in _rivals(source):
        apart_m = (explanation.fix.place_m - source.best.fix.place_m)[:2]
        covariance += probability * (explanation.fix.covariance[:2, :2] + np.outer(apart_m, apart_m))
    return covariance
