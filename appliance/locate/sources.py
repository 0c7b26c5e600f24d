"""All sources of one episode: the best explanation first, then what its picks and echoes leave over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.locate.associate import Explanation, echo_rate_hz, explain
from appliance.locate.hearing import Hearing, gather
from appliance.locate.search import candidate_places
from appliance.locate.settings import LocateSettings
from appliance.model.air import Air
from appliance.model.picks import Pick
from appliance.model.space import NodePose


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One located source, with what else explains its picks nearly as well.

    hearing:     the episode as it was when the source was found
    best:        the explanation that won
    rivals:      explanations at other places, best first
    """

    hearing: Hearing
    best: Explanation
    rivals: tuple[Explanation, ...]


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeFindings:
    """What one episode holds: its picks in order, its located sources by time, and why there may be none."""

    picks: tuple[Pick, ...]
    sources: tuple[Source, ...]


def find_sources(
    picks: Sequence[Pick], poses: Mapping[str, NodePose], air: Air, settings: LocateSettings
) -> EpisodeFindings:
    """Locate the sources of one episode, whose picks are sorted by time and id."""
    hearing = gather(picks, poses, air, settings)
    if hearing is None:
        return EpisodeFindings(tuple(picks), ())
    active = np.ones(len(hearing.picks), dtype=bool)
    found: list[Source] = []
    while len(found) < settings.max_sources:
        source = _best_source(hearing, active, settings)
        if source is None:
            break
        found.append(source)
        members = source.best.member[source.best.member >= 0]
        active[members] = False
        hearing = _with_echoes_of(hearing, members, settings)
    found.sort(key=lambda s: (round(float(s.best.time_s[0]) * 1e6), round(float(s.best.fix.place_m[0]) * 100)))
    return EpisodeFindings(tuple(picks), tuple(found))


def _best_source(hearing: Hearing, active: NDArray[np.bool_], settings: LocateSettings) -> Source | None:
    explanations = []
    for place_m in candidate_places(hearing, active, settings):
        explanation = explain(hearing, active, place_m, settings)
        if explanation is not None and explanation.n_nodes >= settings.min_nodes:
            explanations.append(explanation)
    explanations.sort(
        key=lambda e: (-e.score, round(float(e.fix.place_m[0]) * 100), round(float(e.fix.place_m[1]) * 100))
    )
    if not explanations or explanations[0].score < settings.min_evidence:
        return None
    best = explanations[0]
    rivals = tuple(e for e in explanations[1:] if _apart_m(e, best) > settings.grid_step_m)
    return Source(hearing, best, rivals)


def _apart_m(one: Explanation, other: Explanation) -> float:
    return float(np.hypot(*(one.fix.place_m - other.fix.place_m)[:2]))


def _with_echoes_of(hearing: Hearing, members: NDArray[np.int64], settings: LocateSettings) -> Hearing:
    """The same picks, less surprising as echoes of these direct sounds."""
    rate_hz = np.zeros(len(hearing.picks))
    for i in members:
        after_s = hearing.time_s - hearing.time_s[i]
        rate_hz += np.where(
            (hearing.node_of == hearing.node_of[i]) & (after_s > 0.0), echo_rate_hz(after_s, settings), 0.0
        )
    clutter = np.log1p(rate_hz * np.exp(hearing.echo) / hearing.noise_rate_hz[hearing.node_of])
    return replace(hearing, direct=hearing.direct - clutter)
