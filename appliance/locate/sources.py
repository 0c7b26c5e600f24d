"""All sources of one episode: the best explanation first, then what its picks and echoes leave over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from appliance.locate.acceptance import belief, coincidence, unexplained_share
from appliance.locate.associate import Explanation, explain, mean_arrivals, refine
from appliance.locate.echoes import log_echo_ratio
from appliance.locate.hearing import Hearing, gather
from appliance.locate.mirrors import mirror_places
from appliance.locate.packing import Packing, by_pattern, has_image, pack, settle
from appliance.locate.search import candidate_places, search_grid
from appliance.locate.settings import LocateSettings
from appliance.model.air import Air
from appliance.model.picks import Pick
from appliance.model.space import NodePose

_SOLID_NODES = 5
"""Five arrivals of one round leave two to spare."""
_FURTHER = 3
"""Candidates for one more source that are packed with those found."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One located source, with what else explains its picks nearly as well.

    hearing:     the episode as it was when the source was found
    best:        the explanation that won
    rivals:      explanations at other places, best first
    belief:      log odds by which it is above what chance offers; see `acceptance`
    """

    hearing: Hearing
    best: Explanation
    rivals: tuple[Explanation, ...]
    belief: float


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeFindings:
    """What one episode holds: its picks in order, its located sources by time, and its picks as arrays.

    `hearing` is None where no pick can take part in a fix.
    """

    picks: tuple[Pick, ...]
    sources: tuple[Source, ...]
    hearing: Hearing | None = None


def find_sources(
    picks: Sequence[Pick], poses: Mapping[str, NodePose], air: Air, settings: LocateSettings
) -> EpisodeFindings:
    """Locate the sources of one episode, whose picks are sorted by time and id."""
    hearing = gather(picks, poses, air, settings)
    if hearing is None:
        return EpisodeFindings(tuple(picks), ())
    return EpisodeFindings(tuple(picks), _believed(hearing, _found(hearing, settings), settings), hearing)


def _found(hearing: Hearing, settings: LocateSettings) -> list[list[Explanation]]:
    """The set of sources that explains most, each with its rivals behind it."""
    everything = np.ones(len(hearing.picks), dtype=bool)
    ranked = _explanations(hearing, everything, settings)
    if not ranked or ranked[0].score < settings.min_evidence:
        return []
    best = pack(hearing, everything, ranked[:1], settings)
    beside = [*by_pattern(hearing, everything, ranked[0], settings)[:_FURTHER], *ranked[1:_FURTHER]]
    while len(best.sources) < settings.max_sources:
        further = _better(hearing, best, beside, settings)
        if further.score <= best.score + settings.source_cost:
            break
        best = further
    if len(best.sources) == 1:
        return [ranked]
    return [[source] for source in settle(hearing, everything, best, settings)]


def _better(hearing: Hearing, so_far: Packing, beside: Sequence[Explanation], settings: LocateSettings) -> Packing:
    """The best set of sources with one more than `so_far`, or `so_far`; `beside` are more places to try."""
    left = np.ones(len(hearing.picks), dtype=bool)
    rest = hearing
    for source in so_far.sources:
        left[source.member[source.member >= 0]] = False
        rest = _with_echoes_of(rest, source, settings)
    everything = np.ones(len(left), dtype=bool)
    further = [e for e in _explanations(rest, left, settings)[:_FURTHER] if e.score >= settings.min_evidence]
    sets = [[*so_far.sources, e] for e in [*further, *beside]]
    if len(so_far.sources) == 1:
        sets.extend(list(pair) for pair in combinations(beside[:_FURTHER], 2))
    packed = [pack(hearing, everything, sources, settings) for sources in sets]
    return max([so_far, *(p for p in packed if not has_image(p))], key=lambda p: p.score)


def _believed(hearing: Hearing, found: Sequence[list[Explanation]], settings: LocateSettings) -> tuple[Source, ...]:
    """The sources that chance does not explain, by time: together where they convince together, else one by one."""
    odds = [coincidence(hearing, ranked[0], settings) for ranked in found]
    firm = [i for i, value in enumerate(odds) if value >= settings.joint_odds]
    if len(firm) > 1 and any(_is_solid(found[i][0]) for i in firm):
        share = unexplained_share(hearing, [found[i][0] for i in firm], settings)
        beliefs = {i: belief(found[i][0], odds[i], share, settings) for i in firm}
        if min(beliefs.values()) >= 0.0:
            return _by_time([_source(hearing, found[i], beliefs[i]) for i in firm])
    sources = []
    for ranked, value in zip(found, odds, strict=True):
        share = unexplained_share(hearing, [ranked[0]], settings)
        sources.append(_source(hearing, ranked, belief(ranked[0], value, share, settings)))
    return _by_time([source for source in sources if source.belief >= 0.0])


def _is_solid(source: Explanation) -> bool:
    """Whether a source is more than one round that a few nodes heard: two of those together explain much by chance."""
    return len(source.time_s) > 1 or source.n_nodes >= _SOLID_NODES


def _source(hearing: Hearing, ranked: Sequence[Explanation], value: float) -> Source:
    return Source(hearing, ranked[0], tuple(ranked[1:]), round(value, 3))


def _by_time(sources: Sequence[Source]) -> tuple[Source, ...]:
    return tuple(
        sorted(sources, key=lambda s: (round(float(s.best.time_s[0]) * 1e6), round(float(s.best.fix.place_m[0]) * 100)))
    )


def _explanations(hearing: Hearing, active: NDArray[np.bool_], settings: LocateSettings) -> list[Explanation]:
    """Explanations of the picks in `active` by one source, best first."""
    starts = candidate_places(hearing, active, settings)
    ranked = _ranked([explain(hearing, active, place_m, settings) for place_m in starts], settings)
    return _ranked([*ranked, *_mirrored(hearing, active, ranked, settings)], settings)


def _ranked(explanations: Sequence[Explanation | None], settings: LocateSettings) -> list[Explanation]:
    """Best first, one of those that ended at the same place."""
    enough = [e for e in explanations if e is not None and e.n_nodes >= settings.min_nodes]
    enough.sort(key=lambda e: (-e.score, round(float(e.fix.place_m[0]) * 100), round(float(e.fix.place_m[1]) * 100)))
    distinct: list[Explanation] = []
    for explanation in enough:
        if all(_apart_m(explanation, other) > settings.grid_step_m for other in distinct):
            distinct.append(explanation)
    return distinct


def _mirrored(
    hearing: Hearing, active: NDArray[np.bool_], explanations: Sequence[Explanation], settings: LocateSettings
) -> list[Explanation | None]:
    """The best associations worked out at the other places that fit their arrival times."""
    found: list[Explanation | None] = []
    few = [e for e in explanations[: settings.max_associations] if e.n_nodes <= settings.mirror_nodes]
    if not few:
        return found
    places_m, step_m = search_grid(hearing, active & (hearing.raw_direct > 0.0), settings)
    for explanation in few:
        arrivals, _, _ = mean_arrivals(hearing, explanation.member, settings)
        mirrors_m = mirror_places(arrivals, places_m, step_m, hearing.sound_speed_mps, settings)
        apart_m = np.hypot(*(mirrors_m - explanation.fix.place_m)[:, :2].T)
        elsewhere_m = mirrors_m[apart_m > 3.0 * step_m]
        found.extend(refine(hearing, active, explanation.member, place_m, settings) for place_m in elsewhere_m)
    return found


def _apart_m(one: Explanation, other: Explanation) -> float:
    return float(np.hypot(*(one.fix.place_m - other.fix.place_m)[:2]))


def _with_echoes_of(hearing: Hearing, source: Explanation, settings: LocateSettings) -> Hearing:
    """The same picks, less surprising where they may be echoes of this source's direct sounds."""
    direct = hearing.direct.copy()
    for n in np.flatnonzero(np.isfinite(source.lag_s)):
        here = np.flatnonzero(hearing.node_of == n)
        sounds_s = source.time_s + source.travel_s[n] + source.lag_s[n]
        after_s = hearing.time_s[here][:, None] - sounds_s[None, :]
        direct[here] -= log_echo_ratio(
            after_s, hearing.direct[here], hearing.echo[here], float(hearing.noise_rate_hz[n]), settings
        )
    return replace(hearing, direct=direct)
