"""Rounds as stacks of picks whose source times agree, for one assumed place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.locate.echoes import echo_ratio
from appliance.locate.hearing import Hearing
from appliance.locate.settings import LocateSettings

NEVER = -1e9
"""Source time of a pick that cannot be of a source."""
_FIT_SIGMAS = 3.5
"""Picks further from a stack's time belong elsewhere."""
_SEED_FROM = -2.0
"""Picks with less evidence of their own than this start no round."""
_EXPECTED_GAIN = 3.0
"""A round whose time the cadence foretells that well needs one node less."""
_STEADY_GAPS = 3
"""With fewer gaps nothing is known of a cadence."""
_MOST_STEPS = 4.0
"""More rounds in a row are not missed by all."""
_STEP_SHARE = 0.25
"""How often a round of a steady string is found by no node."""
_ANY_TIME_S = 10.0
"""Rounds without a cadence may come at any time of ten seconds: what `round_cost` counts moments of."""


def discover_rounds(
    hearing: Hearing,
    active: NDArray[np.bool_],
    source_s: NDArray[np.float64],
    heard: NDArray[np.float64],
    sigmas_s: tuple[float, float],
    settings: LocateSettings,
) -> NDArray[np.int64]:
    """Rounds of one source; pick indices, -1 where unheard, shape (K, n), by time; see `pack_rounds`."""
    return pack_rounds(hearing, active, source_s[None], heard[None], sigmas_s, settings)[0][0]


def pack_rounds(
    hearing: Hearing,
    active: NDArray[np.bool_],
    source_s: NDArray[np.float64],
    heard: NDArray[np.float64],
    sigmas_s: tuple[float, float],
    settings: LocateSettings,
) -> tuple[list[NDArray[np.int64]], float]:
    """Rounds as stacks of picks whose source times agree, for one or several sources that share the picks.

    `source_s` is the source time of each pick if it came from each source, shape (s, p), `NEVER` where it can't;
    `heard` the probability that each node hears each source, shape (s, n). Returns for each source its pick indices,
    -1 where unheard, shape (K, n), by time; and the log odds of all stacks over noise.
    Greedy: the best stack first; its picks are used up and make later picks of those nodes likelier to be echoes.
    """
    picks = np.flatnonzero(active)
    picks = picks[np.argsort(hearing.node_of[picks], kind="stable")]
    stacks = [_Stacks([], []) for _ in source_s]
    seeds = picks[hearing.raw_direct[picks] > _SEED_FROM]
    if not len(seeds):
        return [stack.members(len(hearing.nodes)) for stack in stacks], 0.0
    node = hearing.node_of[picks]
    nodes, starts = np.unique(node, return_index=True)
    ends = np.append(starts[1:], len(picks))
    source = np.repeat(np.arange(len(source_s)), len(seeds))
    seed_s = source_s[:, seeds].ravel()
    gap_s = source_s[:, picks][source] - seed_s[:, None]
    z = np.where(gap_s < 0.0, gap_s / sigmas_s[0], gap_s / sigmas_s[1])
    fit = np.where(np.abs(z) < _FIT_SIGMAS, -0.5 * z * z, -np.inf)
    base = hearing.direct[picks] - np.log(hearing.noise_rate_hz[node] * 1.2533 * (sigmas_s[0] + sigmas_s[1]))
    echoes, is_open, hits = np.zeros(len(picks)), seed_s > 0.5 * NEVER, np.zeros((len(source_s), len(nodes)))
    explained = 0.0
    for _ in range(settings.max_rounds):
        found = np.array([[len(stack.times_s)] for stack in stacks])
        prior = np.clip((heard[:, nodes] * 2.0 + hits) / (2.0 + found), 0.02, 0.95)
        gain = (base - np.log1p(echoes))[None, :] + fit
        best = np.maximum.reduceat(gain, starts, axis=1) + np.log(prior / (1.0 - prior))[source]
        cost = np.concatenate(
            [_round_cost(source_s[s, seeds], stacks[s].times_s, settings) for s in range(len(stacks))]
        )
        total = np.maximum(best, 0.0).sum(axis=1) + np.log(1.0 - prior).sum(axis=1)[source] - cost
        enough = _is_enough((best > 0.0).sum(axis=1), cost, len(nodes), settings)
        total = np.where(is_open & enough, np.round(total, 6), -np.inf)
        seed = int(np.argmax(total))
        if total[seed] <= 0.0:
            break
        explained += float(total[seed])
        row = np.full(len(hearing.nodes), -1, dtype=np.int64)
        for k in np.flatnonzero(best[seed] > 0.0):
            here = slice(starts[k], ends[k])
            local = starts[k] + int(np.argmax(gain[seed, here]))
            row[nodes[k]] = picks[local]
            base[local] = -np.inf
            hits[source[seed], k] += 1.0
            echoes[here] += _echoes_of(hearing, picks[local], picks[here], settings)
        own_s = source_s[source[seed]]
        stacks[source[seed]].add(row, float(np.median(own_s[row[row >= 0]])))
        is_open &= (source != source[seed]) | (np.abs(seed_s - seed_s[seed]) >= settings.min_round_gap_s)
    return [stack.members(len(hearing.nodes)) for stack in stacks], explained


@dataclass(slots=True)
class _Stacks:
    """The rounds of one source as they are found, with their source times."""

    rows: list[NDArray[np.int64]]
    times_s: list[float]

    def add(self, row: NDArray[np.int64], time_s: float) -> None:
        self.rows.append(row)
        self.times_s.append(time_s)

    def members(self, n_nodes: int) -> NDArray[np.int64]:
        """All rows by time, shape (K, n)."""
        order = np.argsort(np.array(self.times_s), kind="stable")
        return np.array([self.rows[k] for k in order], dtype=np.int64).reshape(-1, n_nodes)


def cadence_gain(time_s: NDArray[np.float64], settings: LocateSettings) -> float:
    """How much likelier these source times, ascending, are as fire of a steady weapon than as rounds at any time.

    The first two gaps set the interval and gain nothing; a gap of two or three intervals holds rounds nobody heard.
    """
    gaps_s = np.diff(time_s)
    if len(gaps_s) < _STEADY_GAPS:
        return 0.0
    total = float(_gap_gain(gaps_s, _interval_s(gaps_s), settings).sum())
    return max(total - 2.0 * settings.cadence_gain_max, 0.0)


def _interval_s(gaps_s: NDArray[np.float64]) -> float:
    """The interval of a steady weapon, if it is one: a third up, for some rounds are not heard."""
    return max(float(np.sort(gaps_s)[(len(gaps_s) - 1) // 3]), 1e-3)


def _gap_gain(gap_s: NDArray[np.float64], interval_s: float, settings: LocateSettings) -> NDArray[np.float64]:
    """Log density ratio of gaps, over rounds at any time within ten seconds, where the weapon keeps `interval_s`."""
    steps = np.clip(np.round(gap_s / interval_s), 1.0, _MOST_STEPS)
    sigma_s = np.hypot(settings.cadence_jitter * interval_s * np.sqrt(steps), settings.cadence_jitter_s)
    z2 = ((gap_s - steps * interval_s) / sigma_s) ** 2
    density = np.exp(-0.5 * z2) / (2.5066 * sigma_s) * _STEP_SHARE ** (steps - 1.0)
    gain: NDArray[np.float64] = np.minimum(np.log(0.5 + 0.5 * density * _ANY_TIME_S), settings.cadence_gain_max)
    return gain


def enough_nodes(
    n_heard: NDArray[np.int64], time_s: NDArray[np.float64], n_nodes: int, settings: LocateSettings
) -> NDArray[np.bool_]:
    """Which rounds were heard by enough nodes: three, or two where the cadence of the others wants a round there."""
    cost = np.full(len(time_s), settings.round_cost)
    for k in np.flatnonzero(n_heard < min(settings.min_nodes, n_nodes)):
        cost[k] = _round_cost(time_s[k : k + 1], [*time_s[:k], *time_s[k + 1 :]], settings)[0]
    return _is_enough(n_heard, cost, n_nodes, settings)


def _is_enough(
    n_heard: NDArray[np.int64], cost: NDArray[np.float64], n_nodes: int, settings: LocateSettings
) -> NDArray[np.bool_]:
    expected = cost < settings.round_cost - _EXPECTED_GAIN
    needed = np.minimum(np.where(expected, settings.min_nodes - 1, settings.min_nodes), n_nodes)
    enough: NDArray[np.bool_] = n_heard >= needed
    return enough


def _round_cost(source_s: NDArray[np.float64], times_s: list[float], settings: LocateSettings) -> NDArray[np.float64]:
    """What a further round at each of `source_s` costs, given those already found: less where a cadence wants it."""
    cost = np.full(len(source_s), settings.round_cost)
    ordered_s = np.sort(times_s)
    gaps_s = np.diff(ordered_s)
    if len(gaps_s) < _STEADY_GAPS:
        return cost
    interval_s = _interval_s(gaps_s)
    gains = _gap_gain(gaps_s, interval_s, settings)
    if float(gains.mean()) < 0.5 * settings.cadence_gain_max:
        return cost
    at = np.searchsorted(ordered_s, source_s)
    before_s = source_s - ordered_s[np.maximum(at - 1, 0)]
    after_s = ordered_s[np.minimum(at, len(ordered_s) - 1)] - source_s
    apart_s = np.where(at == 0, after_s, before_s)
    less: NDArray[np.float64] = cost - np.maximum(_gap_gain(apart_s, interval_s, settings), 0.0)
    return less


def _echoes_of(
    hearing: Hearing, direct: int, picks: NDArray[np.int64], settings: LocateSettings
) -> NDArray[np.float64]:
    """`echo_ratio` of picks of the same node as the direct sound `direct`."""
    after_s = hearing.time_s[picks] - hearing.time_s[direct]
    noise_hz = hearing.noise_rate_hz[hearing.node_of[direct]]
    return echo_ratio(after_s, hearing.direct[picks], hearing.echo[picks], float(noise_hz), settings)
