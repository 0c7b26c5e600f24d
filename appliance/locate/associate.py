"""Which picks are the direct sounds of one source's rounds, given where it may be.

Model of what a node hears of a source that fired K rounds:

* The direct sounds come a path delay late, the same delay in every round (a building stays where it is), plus a little
  scatter from round to round. Delays have a Gaussian core and heavy tails, mostly on the late side.
* A node hears a round with a probability that falls with range; a round unheard by a near node costs.
* Echoes follow direct sounds at a rate that decays, unrelated picks come at the node's own rate.

So a prominent pick that comes before a node's direct sound has only noise to explain it, and that is dear.
All scores are log likelihood ratios over "everything is noise".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.locate.hearing import Hearing
from appliance.locate.settings import LocateSettings
from appliance.locate.solve import Arrivals, Fix, path_log_density, path_sigmas_s, solve
from appliance.model.instants import NS_PER_S
from appliance.physics.propagation import travel_time_s

_ROUNDS_OF_WORK = 3
"""Association and solution settle within three alternations; more change nothing."""
_READING_FLOOR_S = 0.0003
_LAG_CANDIDATES = 10
"""Path delays tried per node: those of its weightiest picks."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """One source: where it is, when it fired, and which picks are its direct sounds.

    fix:        place and time of the first round, solved from one mean arrival per node
    time_s:     source times of the K rounds, ascending, shape (K,)
    member:     pick index of each round at each node, -1 where unheard, shape (K, n)
    lag_s:      path delay of each node, nan where it heard nothing, shape (n,)
    score:      log odds over chance, costs of place and rounds paid
    """

    fix: Fix
    time_s: NDArray[np.float64]
    member: NDArray[np.int64]
    lag_s: NDArray[np.float64]
    score: float

    @property
    def n_nodes(self) -> int:
        """How many nodes heard it."""
        return int(np.isfinite(self.lag_s).sum())


def explain(
    hearing: Hearing, active: NDArray[np.bool_], start_m: NDArray[np.float64], settings: LocateSettings
) -> Explanation | None:
    """The best explanation of the picks in `active` by one source near `start_m`, or None if there is none."""
    travel_s = _travel_s(hearing, start_m, None)
    heard = hearing_probability(np.linalg.norm(hearing.enu_m - start_m, axis=1), settings)
    wide_s = float(np.hypot(settings.path_sigma_s, settings.path_late_sigma_s)), 2.0 * settings.path_late_sigma_s
    member = _discover(hearing, active, hearing.time_s - travel_s[hearing.node_of], heard, wide_s, settings)
    if not len(member):
        return None
    found = None
    for _ in range(_ROUNDS_OF_WORK):
        fix, time_s, lag_s = _settle(hearing, member, start_m if found is None else found.fix.place_m, settings)
        travel_s = _travel_s(hearing, fix.place_m, fix.air_mps)
        heard = hearing_probability(np.linalg.norm(hearing.enu_m - fix.place_m, axis=1), settings)
        corrected = hearing.time_s - travel_s[hearing.node_of] - np.nan_to_num(lag_s)[hearing.node_of]
        narrow_s = 2.0 * settings.round_sigma_s, 2.0 * settings.round_sigma_s
        if len(time_s) > 1 or found is None:
            member = _discover(
                hearing, active & np.isfinite(lag_s)[hearing.node_of], corrected, heard, narrow_s, settings
            )
            if not len(member):
                return found
            time_s = _round_times_s(corrected, member)
        member, node_scores = _match(hearing, active, time_s, travel_s, heard, settings)
        member = member[(member >= 0).sum(axis=1) >= min(settings.min_nodes, len(hearing.nodes))]
        if not len(member):
            return found
        score = float(node_scores.sum()) - settings.place_cost - settings.round_cost * len(member)
        fix, time_s, lag_s = _settle(hearing, member, fix.place_m, settings)
        found = Explanation(fix, time_s, member, lag_s, round(score, 3))
    return found


def hearing_probability(range_m: NDArray[np.float64], settings: LocateSettings) -> NDArray[np.float64]:
    """Probability that a node at this range picks the direct sound of a round."""
    fade = 1.0 / (1.0 + np.exp((range_m - settings.hearing_range_m) / settings.hearing_slope_m))
    probability: NDArray[np.float64] = np.maximum(settings.hearing_best * fade, settings.hearing_worst)
    return probability


def _travel_s(
    hearing: Hearing, place_m: NDArray[np.float64], air_mps: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    if air_mps is None:
        wind = (hearing.air.wind_east_mps, hearing.air.wind_north_mps)
        return travel_time_s(place_m, hearing.enu_m, hearing.sound_speed_mps, wind)
    return travel_time_s(place_m, hearing.enu_m, float(air_mps[0]), (float(air_mps[1]), float(air_mps[2])))


def _discover(
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
    echo_rate = np.zeros(len(picks))
    free = np.ones(len(picks), dtype=bool)
    open_seed = np.ones(len(seeds), dtype=bool)
    hits = np.zeros(len(nodes))
    chosen: list[NDArray[np.int64]] = []
    for _ in range(settings.max_rounds):
        prior = (heard[nodes] * 2.0 + hits) / (2.0 + len(chosen))
        prior = np.clip(prior, 0.02, 0.95)
        clutter = np.log1p(echo_rate * np.exp(hearing.echo[picks]) / hearing.noise_rate_hz[node])
        gain = np.where(free, base - clutter, -np.inf)[None, :] + fit
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
            after_s = hearing.time_s[picks] - hearing.time_s[picks[local]]
            echo_rate += np.where((node == nodes[k]) & (after_s > 0.0), echo_rate_hz(after_s, settings), 0.0)
        chosen.append(row)
        open_seed &= np.abs(source_s[seeds] - source_s[seeds[seed]]) >= settings.min_round_gap_s
    chosen.sort(key=lambda r: float(np.median(source_s[r[r >= 0]])))
    return np.array(chosen, dtype=np.int64).reshape(-1, len(hearing.nodes))


def echo_rate_hz(after_s: NDArray[np.float64], settings: LocateSettings) -> NDArray[np.float64]:
    """Echoes per second at a node this long after a direct sound."""
    rate_hz: NDArray[np.float64] = (
        settings.echoes_per_shot / settings.echo_decay_s * np.exp(-np.maximum(after_s, 0.0) / settings.echo_decay_s)
    )
    return rate_hz


def _round_times_s(corrected_s: NDArray[np.float64], member: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.array([np.median(corrected_s[row[row >= 0]]) for row in member])


def _match(
    hearing: Hearing,
    active: NDArray[np.bool_],
    time_s: NDArray[np.float64],
    travel_s: NDArray[np.float64],
    heard: NDArray[np.float64],
    settings: LocateSettings,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For every node the path delay that explains its picks best: members, shape (K, n), and scores, shape (n,)."""
    member = np.full((len(time_s), len(hearing.nodes)), -1, dtype=np.int64)
    scores = np.zeros(len(hearing.nodes))
    early_s, late_s = path_sigmas_s(hearing.sigma_s, settings)
    for n in range(len(hearing.nodes)):
        picks = np.flatnonzero(active & (hearing.node_of == n))
        member[:, n], scores[n] = _match_node(
            hearing,
            picks,
            time_s + travel_s[n],
            float(np.clip(heard[n], 0.02, 0.95)),
            (early_s[n : n + 1], late_s[n : n + 1]),
            settings,
        )
    return member, scores


def _match_node(
    hearing: Hearing,
    picks: NDArray[np.int64],
    expected_s: NDArray[np.float64],
    heard: float,
    sigmas_s: tuple[NDArray[np.float64], NDArray[np.float64]],
    settings: LocateSettings,
) -> tuple[NDArray[np.int64], float]:
    """Members of one node, shape (K,), and its log likelihood ratio, for rounds expected at `expected_s`."""
    deaf = float(np.log(1.0 - heard)) * len(expected_s)
    none = np.full(len(expected_s), -1, dtype=np.int64)
    if not len(picks):
        return none, deaf
    late_s = hearing.time_s[picks][:, None] - expected_s[None, :]
    low_s, high_s = settings.path_window_s
    inside = (late_s > low_s) & (late_s < high_s)
    if not inside.any():
        return none, deaf
    rows, columns = np.nonzero(inside)
    order = np.lexsort((late_s[rows, columns], -hearing.direct[picks[rows]]))[:_LAG_CANDIDATES]
    lags_s = np.unique(np.round(late_s[rows[order], columns[order]], 6))
    noise_hz = hearing.noise_rate_hz[hearing.node_of[picks[0]]]
    after_s = late_s[None, :, :] - lags_s[:, None, None]
    scatter_s = float(np.hypot(settings.round_sigma_s, _READING_FLOOR_S)) * (2.0**0.5)
    echo_hz = np.where(after_s > 3.0 * scatter_s, echo_rate_hz(after_s, settings), 0.0).sum(axis=2)
    award = np.log1p(echo_hz * np.exp(hearing.echo[picks])[None, :] / noise_hz)
    direct = hearing.direct[picks] - np.log(noise_hz * 2.5066 * scatter_s)
    z = after_s / scatter_s
    hit = np.where(np.abs(z) < 4.0, direct[None, :, None] - 0.5 * z * z - award[:, :, None], -np.inf)
    best = hit.max(axis=1) + np.log(heard / (1.0 - heard))
    heard_rounds = (best > 0.0).sum(axis=1)
    spread = np.log(2.5066 * scatter_s / np.sqrt(np.maximum(heard_rounds, 1)))
    score = (
        path_log_density(lags_s, sigmas_s[0], sigmas_s[1], settings)
        + spread
        + np.maximum(best, 0.0).sum(axis=1)
        + deaf
        + award.sum(axis=1)
        - settings.echoes_per_shot * heard_rounds
    )
    score = np.where(heard_rounds > 0, np.round(score, 6), -np.inf)
    winner = int(np.argmax(score))
    if score[winner] <= deaf:
        return none, deaf
    chosen = picks[np.argmax(hit[winner], axis=0)]
    return np.where(best[winner] > 0.0, chosen, -1), float(score[winner])


def _settle(
    hearing: Hearing, member: NDArray[np.int64], start_m: NDArray[np.float64], settings: LocateSettings
) -> tuple[Fix, NDArray[np.float64], NDArray[np.float64]]:
    """Solve for the place from these members: fix, round times (K,), and path delays (n,), nan where unheard."""
    heard = member >= 0
    time_s = np.where(heard, hearing.time_s[np.maximum(member, 0)], np.nan)
    rounds_s, means_s = _two_way(time_s)
    nodes = np.flatnonzero(np.isfinite(means_s))
    rounds_per_node = heard[:, nodes].sum(axis=0)
    bearing, bearing_sigma = _bearings_rad(hearing, member[:, nodes])
    arrivals = Arrivals(
        enu_m=hearing.enu_m[nodes],
        time_s=means_s[nodes],
        sigma_s=np.hypot(hearing.sigma_s[nodes], settings.round_sigma_s / np.sqrt(rounds_per_node)),
        bearing_rad=bearing,
        bearing_sigma_rad=bearing_sigma,
    )
    fix = solve(arrivals, start_m, hearing.air, settings)
    lag_s = np.full(len(hearing.nodes), np.nan)
    lag_s[nodes] = fix.lag_s
    return fix, fix.time_s + rounds_s, lag_s


def _two_way(time_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split arrival times (K, n), nan where unheard, into round times (first is 0) and a mean per node.

    Medians over nodes for the rounds, so that one wrong member bends nothing; a few alternations converge.
    """
    with_nodes = np.isfinite(time_s).any(axis=0)
    rounds_s = np.zeros(len(time_s))
    filled = time_s[:, with_nodes]
    means = np.full(time_s.shape[1], np.nan)
    if len(time_s) == 1:
        return rounds_s, time_s[0]
    # The nodes that heard most rounds start the comparison: differences to the first round they all share.
    anchor = int(np.argmax(np.isfinite(filled).sum(axis=0)))
    rounds_s = filled[:, anchor].copy()
    for k in np.flatnonzero(~np.isfinite(rounds_s)):
        differences = filled[k][None, :] - filled + filled[:, anchor][:, None]
        rounds_s[k] = np.nanmedian(differences) if np.isfinite(differences).any() else np.nanmedian(filled[k])
    for _ in range(6):
        node_s = np.nanmedian(filled - rounds_s[:, None], axis=0)
        rounds_s = rounds_s + np.nanmedian(filled - node_s[None, :] - rounds_s[:, None], axis=1)
    offset_s = rounds_s[0]
    means[with_nodes] = np.nanmean(filled - rounds_s[:, None], axis=0) + offset_s
    return rounds_s - offset_s, means


def _bearings_rad(hearing: Hearing, member: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean bearing of each column's members and its sigma; heading errors do not shrink with the rounds."""
    bearing = np.full(member.shape[1], np.nan)
    sigma = np.full(member.shape[1], np.nan)
    for column in range(member.shape[1]):
        rows = [hearing.picks[i] for i in member[:, column] if i >= 0]
        given = [(p.bearing_deg, p.bearing_sigma_deg or 5.0) for p in rows if p.bearing_deg is not None]
        if not given:
            continue
        angles = np.radians([b for b, _ in given])
        weights = 1.0 / np.radians([s for _, s in given]) ** 2
        pose = hearing.poses[hearing.node_of[int(member[member[:, column] >= 0, column][0])]]
        bearing[column] = np.arctan2(weights @ np.sin(angles), weights @ np.cos(angles))
        sigma[column] = np.hypot(weights.sum() ** -0.5, np.radians(max(pose.heading_sigma_deg, 1.0)))
    return bearing, sigma


def reading_sigma_s(hearing: Hearing, pick: int) -> float:
    """1-sigma of the reading of one pick, not below what turbulence allows."""
    return max(hearing.picks[pick].sigma_ns / NS_PER_S, _READING_FLOOR_S)
