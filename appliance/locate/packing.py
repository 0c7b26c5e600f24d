"""Several sources share the picks of one episode: each round goes to the source that explains most of it.

A source found alone takes what it can of the others' rounds: where a few of its delays fit by chance, three nodes make
a round of it. So sources are compared as sets: their rounds are packed together, best round first, each pick used once,
and a further source is kept where the whole set explains more with it than it costs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from appliance.locate.associate import Explanation, hearing_at, refine, resolve
from appliance.locate.echoes import scatter_s
from appliance.locate.hearing import Hearing
from appliance.locate.paths import path_log_density, path_sigmas_s
from appliance.locate.rounds import NEVER, pack_rounds
from appliance.locate.settings import LocateSettings

_PASSES = 2
"""Packing and solving settle within two alternations."""
_IMAGE_S = 0.5
"""Reflections of a whole net's worth of walls, and shock waves, come within this of their shot."""
_IMAGE_SCATTER_S = 0.008
"""And as much later in every round, give or take turbulence; two shooters do not keep time like that."""
_ALIKE_SIGMAS = 3.5
"""Delays of two rounds of one shooter differ by no more than this at any node."""


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """Sources with disjoint picks, and the log odds of the whole set over noise."""

    sources: tuple[Explanation, ...]
    score: float


def pack(
    hearing: Hearing, active: NDArray[np.bool_], sources: Sequence[Explanation], settings: LocateSettings
) -> Packing:
    """Share the picks in `active` between these sources, each solved again from what it gets; empty ones leave."""
    left = list(sources)
    for _ in range(_PASSES):
        members, _ = _shared(hearing, active, left, settings)
        resolved = [resolve(hearing, s, m, settings) for s, m in zip(left, members, strict=True) if len(m)]
        left = [source for source in resolved if source.n_nodes >= settings.min_nodes]
        if not left:
            return Packing((), 0.0)
    members, total = _shared(hearing, active, left, settings)
    left = [replace(source, member=member) for source, member in zip(left, members, strict=True) if len(member)]
    total += sum(_source_score(hearing, source, settings) for source in left)
    return Packing(tuple(left), round(total, 3))


def settle(
    hearing: Hearing, active: NDArray[np.bool_], packing: Packing, settings: LocateSettings
) -> list[Explanation]:
    """Each source of a packing associated and solved once more with the picks that no other has."""
    members = [source.member for source in packing.sources]
    settled: list[Explanation] = []
    taken = np.zeros(len(active), dtype=bool)
    for s, source in enumerate(packing.sources):
        others = taken.copy()
        for member in members[s + 1 :]:
            others[member[member >= 0]] = True
        again = refine(hearing, active & ~others, members[s], source.fix.place_m, settings)
        if again is not None and again.n_nodes >= settings.min_nodes:
            settled.append(again)
            taken[again.member[again.member >= 0]] = True
    return settled


def by_pattern(
    hearing: Hearing, active: NDArray[np.bool_], source: Explanation, settings: LocateSettings
) -> list[Explanation]:
    """What one place may hide: rounds around it in groups that come to the nodes in the same pattern, as sources."""
    wide_s = float(np.hypot(settings.path_sigma_s, settings.path_late_sigma_s)), 2.0 * settings.path_late_sigma_s
    source_s = hearing.time_s - source.travel_s[hearing.node_of]
    heard = hearing_at(hearing, source.fix.place_m, settings)
    members, _ = pack_rounds(hearing, active, source_s[None], heard[None], wide_s, settings)
    groups = _alike(source_s, members[0], settings)
    if len(groups) < 2:
        return []
    solved = (refine(hearing, active, members[0][group], source.fix.place_m, settings) for group in groups)
    return [explanation for explanation in solved if explanation is not None]


def has_image(packing: Packing) -> bool:
    """Whether one source only repeats the rounds of another, each as much later: a reflection, or the bullet's shock.

    One round alone beside another tells nothing.
    """
    return any(_repeats(one.time_s, other.time_s) for one, other in permutations(packing.sources, 2))


def _repeats(one_s: NDArray[np.float64], other_s: NDArray[np.float64]) -> bool:
    """Whether every time of `one_s` lies as far from its neighbour in `other_s`, one to one."""
    if len(one_s) < 2 or len(other_s) < len(one_s):
        return False
    gaps_s = one_s[:, None] - other_s[None, :]
    for shift_s in gaps_s[0][np.abs(gaps_s[0]) < _IMAGE_S]:
        if (np.abs(gaps_s - shift_s).min(axis=1) < _IMAGE_SCATTER_S).all():
            return True
    return False


def _alike(source_s: NDArray[np.float64], member: NDArray[np.int64], settings: LocateSettings) -> list[list[int]]:
    """Rounds grouped by their pattern of delays over the nodes; a round joins the first group it agrees with."""
    time_s = np.where(member >= 0, source_s[np.maximum(member, 0)], np.nan)
    groups: list[list[int]] = []
    fullest_first = sorted(range(len(member)), key=lambda k: (-int((member[k] >= 0).sum()), k))
    for k in fullest_first:
        home = next((g for g in groups if all(_agree(time_s[k], time_s[j], settings) for j in g[:3])), None)
        if home is None:
            groups.append([k])
        else:
            home.append(k)
    return groups


def _agree(one_s: NDArray[np.float64], other_s: NDArray[np.float64], settings: LocateSettings) -> bool:
    apart_s = one_s - other_s
    apart_s = apart_s[np.isfinite(apart_s)]
    if len(apart_s) < 2:
        return False
    return float(np.abs(apart_s - np.median(apart_s)).max()) < _ALIKE_SIGMAS * scatter_s(settings)


def _shared(
    hearing: Hearing, active: NDArray[np.bool_], sources: Sequence[Explanation], settings: LocateSettings
) -> tuple[list[NDArray[np.int64]], float]:
    """Members of each source, rounds packed together, and what they explain."""
    narrow_s = 2.0 * settings.round_sigma_s, 2.0 * settings.round_sigma_s
    delay_s = np.stack([source.travel_s + source.lag_s for source in sources])
    source_s = np.nan_to_num(hearing.time_s[None, :] - delay_s[:, hearing.node_of], nan=NEVER)
    heard = np.stack([hearing_at(hearing, source.fix.place_m, settings) for source in sources])
    return pack_rounds(hearing, active, source_s, heard, narrow_s, settings)


def _source_score(hearing: Hearing, source: Explanation, settings: LocateSettings) -> float:
    """What a source costs beyond its rounds: its place and its paths, as densities over what they could be."""
    heard = np.isfinite(source.lag_s)
    early_s, late_s = path_sigmas_s(hearing.sigma_s[heard], settings)
    rounds = (source.member[:, heard] >= 0).sum(axis=0)
    paths = path_log_density(source.lag_s[heard], early_s, late_s, settings)
    paths += np.log(2.5066 * scatter_s(settings) / np.sqrt(np.maximum(rounds, 1)))
    area_m2 = 2.0 * np.pi * np.sqrt(max(float(np.linalg.det(source.fix.covariance[:2, :2])), 1e-6))
    return float(paths.sum()) + float(np.log(min(area_m2 / settings.search_area_m2, 1.0)))
