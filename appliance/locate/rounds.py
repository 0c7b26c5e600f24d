"""Rounds as stacks of picks whose source times agree, for one assumed place."""

import numpy as np
from numpy.typing import NDArray

from appliance.locate.echoes import echo_ratio
from appliance.locate.hearing import Hearing
from appliance.locate.settings import LocateSettings


def discover_rounds(
    hearing: Hearing,
    active: NDArray[np.bool_],
    source_s: NDArray[np.float64],
    heard: NDArray[np.float64],
    sigmas_s: tuple[float, float],
    settings: LocateSettings,
) -> NDArray[np.int64]:
    """Rounds as stacks of picks whose source times agree; pick indices, -1 where unheard, shape (K, n), by time.

    Greedy: the best stack first; its picks are used up and make later picks of those nodes likelier to be echoes.
    """
    picks = np.flatnonzero(active)
    picks = picks[np.argsort(hearing.node_of[picks], kind="stable")]
    if not len(picks):
        return np.empty((0, len(hearing.nodes)), dtype=np.int64)
    node = hearing.node_of[picks]
    nodes, starts = np.unique(node, return_index=True)
    seeds = picks[hearing.direct[picks] > 0.0]
    gap_s = source_s[picks][None, :] - source_s[seeds][:, None]
    z = np.where(gap_s < 0.0, gap_s / sigmas_s[0], gap_s / sigmas_s[1])
    base = hearing.direct[picks] - np.log(hearing.noise_rate_hz[node] * 1.2533 * (sigmas_s[0] + sigmas_s[1]))
    fit = np.where(np.abs(z) < 3.5, -0.5 * z * z, -np.inf)
    echoes = np.zeros(len(picks))
    free = np.ones(len(picks), dtype=bool)
    open_seed = np.ones(len(seeds), dtype=bool)
    hits = np.zeros(len(nodes))
    chosen: list[NDArray[np.int64]] = []
    for _ in range(settings.max_rounds):
        prior = (heard[nodes] * 2.0 + hits) / (2.0 + len(chosen))
        prior = np.clip(prior, 0.02, 0.95)
        gain = np.where(free, base - np.log1p(echoes), -np.inf)[None, :] + fit
        best = np.maximum.reduceat(gain, starts, axis=1) + np.log(prior / (1.0 - prior))
        total = np.maximum(best, 0.0).sum(axis=1) + np.log(1.0 - prior).sum() - settings.round_cost
        enough = (best > 0.0).sum(axis=1) >= min(settings.min_nodes, len(nodes))
        total = np.where(open_seed & enough, np.round(total, 6), -np.inf)
        if not len(total) or np.max(total) <= 0.0:
            break
        seed = int(np.argmax(total))
        row = np.full(len(hearing.nodes), -1, dtype=np.int64)
        for k in np.flatnonzero(best[seed] > 0.0):
            end = starts[k + 1] if k + 1 < len(starts) else len(picks)
            local = starts[k] + int(np.argmax(gain[seed, starts[k] : end]))
            row[nodes[k]] = picks[local]
            free[local] = False
            hits[k] += 1.0
            here = slice(starts[k], end)
            echoes[here] += _echoes_of(hearing, picks[local], picks[here], settings)
        chosen.append(row)
        open_seed &= np.abs(source_s[seeds] - source_s[seeds[seed]]) >= settings.min_round_gap_s
    chosen.sort(key=lambda r: float(np.median(source_s[r[r >= 0]])))
    return np.array(chosen, dtype=np.int64).reshape(-1, len(hearing.nodes))


def _echoes_of(
    hearing: Hearing, direct: int, picks: NDArray[np.int64], settings: LocateSettings
) -> NDArray[np.float64]:
    """`echo_ratio` of picks of the same node as the direct sound `direct`."""
    after_s = hearing.time_s[picks] - hearing.time_s[direct]
    noise_hz = hearing.noise_rate_hz[hearing.node_of[direct]]
    return echo_ratio(after_s, hearing.direct[picks], hearing.echo[picks], float(noise_hz), settings)
