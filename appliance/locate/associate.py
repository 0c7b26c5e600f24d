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

from appliance.locate.echoes import (
    direct_level_ratio,
    echo_level_ratio,
    echo_ratio,
    log_density_at_peak,
    repeat_gain,
    scatter_s,
)
from appliance.locate.hearing import Hearing
from appliance.locate.paths import path_log_density, path_sigmas_s
from appliance.locate.rounds import cadence_gain, discover_rounds, enough_nodes
from appliance.locate.settings import LocateSettings
from appliance.locate.solve import Arrivals, Fix, solve
from appliance.physics.propagation import travel_time_s

_ROUNDS_OF_WORK = 3
"""Association and solution settle within three alternations; more change nothing."""
_NEAREST_M = 20.0
"""Nearer than this a blast overloads every microphone and gets no louder."""
_HEADING_SIGMA_DEG = 2.0
"""Part of a bearing's error that all rounds share where the pose says nothing of its heading."""
_HEADING_FLOOR_DEG = 1.0
"""No heading on a pole is known better than this."""
_BEARING_FLOOR_DEG = 0.1
"""And no single bearing, whatever its array says."""
_LAG_CANDIDATES = 10
"""Path delays tried per node: those of its weightiest picks."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """One source: where it is, when it fired, and which picks are its direct sounds.

    fix:        place and time of the first round, solved from one mean arrival per node
    time_s:     source times of the K rounds, ascending, shape (K,)
    member:     pick index of each round at each node, -1 where unheard, shape (K, n)
    lag_s:      path delay of each node, nan where it heard nothing, shape (n,)
    travel_s:   travel time to every node along the straight path, shape (n,)
    score:      log odds over chance, costs of place and rounds paid
    """

    fix: Fix
    time_s: NDArray[np.float64]
    member: NDArray[np.int64]
    lag_s: NDArray[np.float64]
    travel_s: NDArray[np.float64]
    score: float

    @property
    def n_nodes(self) -> int:
        """How many nodes heard it."""
        return int(np.isfinite(self.lag_s).sum())


def explain(
    hearing: Hearing, active: NDArray[np.bool_], start_m: NDArray[np.float64], settings: LocateSettings
) -> Explanation | None:
    """The best explanation of the picks in `active` by one source near `start_m`, or None if there is none."""
    wide_s = float(np.hypot(settings.path_sigma_s, settings.path_late_sigma_s)), 2.0 * settings.path_late_sigma_s
    source_s = hearing.time_s - _travel_s(hearing, start_m, None)[hearing.node_of]
    member = discover_rounds(hearing, active, source_s, hearing_at(hearing, start_m, settings), wide_s, settings)
    return refine(hearing, active, member, start_m, settings)


def refine(
    hearing: Hearing,
    active: NDArray[np.bool_],
    member: NDArray[np.int64],
    start_m: NDArray[np.float64],
    settings: LocateSettings,
) -> Explanation | None:
    """Alternate place and association from these members on; None when no round is left."""
    narrow_s = 2.0 * settings.round_sigma_s, 2.0 * settings.round_sigma_s
    place_m = start_m
    for _ in range(_ROUNDS_OF_WORK):
        if not len(member):
            return None
        fix, _, lag_s = _settle(hearing, member, place_m, settings)
        place_m = fix.place_m
        travel_s = _travel_s(hearing, place_m, fix.air_mps)
        heard = hearing_at(hearing, place_m, settings)
        corrected_s = hearing.time_s - (travel_s + np.nan_to_num(lag_s))[hearing.node_of]
        audible = active & np.isfinite(lag_s)[hearing.node_of]
        rounds = discover_rounds(hearing, audible, corrected_s, heard, narrow_s, settings)
        time_s = np.array([np.median(corrected_s[row[row >= 0]]) for row in rounds])
        member, _ = _match(hearing, active, time_s, travel_s, heard, settings)
        member = member[enough_nodes((member >= 0).sum(axis=1), time_s, len(hearing.nodes), settings)]
    return _conclude(hearing, active, member, place_m, settings) if len(member) else None


def _conclude(
    hearing: Hearing,
    active: NDArray[np.bool_],
    member: NDArray[np.int64],
    start_m: NDArray[np.float64],
    settings: LocateSettings,
) -> Explanation:
    """Solve once more from the final members and score what came out."""
    fix, time_s, lag_s = _settle(hearing, member, start_m, settings)
    travel_s = _travel_s(hearing, fix.place_m, fix.air_mps)
    matched, node_scores = _match(
        hearing, active, time_s, travel_s, hearing_at(hearing, fix.place_m, settings), settings
    )
    if enough_nodes((matched >= 0).sum(axis=1), time_s, len(hearing.nodes), settings).all():
        # What is scored is what is kept: members that the final place gains or loses.
        member = matched
        fix, time_s, lag_s = _settle(hearing, member, fix.place_m, settings)
        travel_s = _travel_s(hearing, fix.place_m, fix.air_mps)
    area_m2 = 2.0 * np.pi * np.sqrt(max(float(np.linalg.det(fix.covariance[:2, :2])), 1e-6))
    place_prior = float(np.log(min(area_m2 / settings.search_area_m2, 1.0)))
    range_m = np.sqrt(np.sum((hearing.enu_m - fix.place_m) ** 2, axis=1))
    place_prior -= float(range_m[np.isfinite(lag_s)].min()) / settings.nearest_node_m
    loudness = _loudness_score(hearing, member, range_m, settings)
    score = float(node_scores.sum()) + place_prior + loudness - settings.round_cost * len(member)
    score += cadence_gain(time_s, settings)
    return Explanation(fix, time_s, member, lag_s, travel_s, round(score, 3))


def resolve(hearing: Hearing, source: Explanation, member: NDArray[np.int64], settings: LocateSettings) -> Explanation:
    """The same source solved from these members alone; nodes that hear it no more keep their delay. Not scored."""
    fix, time_s, lag_s = _settle(hearing, member, source.fix.place_m, settings)
    travel_s = _travel_s(hearing, fix.place_m, fix.air_mps)
    lag_s = np.where(np.isfinite(lag_s), lag_s, source.lag_s)
    return Explanation(fix, time_s, member, lag_s, travel_s, source.score)


def hearing_at(hearing: Hearing, place_m: NDArray[np.float64], settings: LocateSettings) -> NDArray[np.float64]:
    """Probability that each node hears a round from `place_m`, shape (n,)."""
    offset_m = hearing.enu_m - place_m
    return hearing_probability(np.sqrt(np.sum(offset_m * offset_m, axis=1)), settings)


def _loudness_score(
    hearing: Hearing, member: NDArray[np.int64], range_m: NDArray[np.float64], settings: LocateSettings
) -> float:
    """How well the nodes' prominences fall with range, up to a loudness that all share; 0 where they are not known."""
    prominence_db = np.array([np.nan if p.snr_db is None else p.snr_db for p in hearing.picks])
    most_db = np.where(member >= 0, prominence_db[np.maximum(member, 0)], -np.inf).max(axis=0)
    known = np.isfinite(most_db)
    if known.sum() < 2:
        return 0.0
    spreading_db = 20.0 * np.log10(np.maximum(range_m[known], _NEAREST_M) / 300.0)
    excess_db = most_db[known] - settings.prominence_db + spreading_db
    sigma_db, loudness_db = settings.prominence_sigma_db, settings.loudness_sigma_db
    shared_db = excess_db.sum() / (len(excess_db) + (sigma_db / loudness_db) ** 2)
    z2 = ((excess_db - shared_db) / sigma_db) ** 2
    dof = settings.path_tail_dof
    return float(-0.5 * (dof + 1.0) * np.log1p(z2 / dof).sum() - 0.5 * (shared_db / loudness_db) ** 2)


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
    silent = float(np.log(1.0 - heard)) * len(expected_s)
    deaf = float(np.log(settings.deaf_share + (1.0 - settings.deaf_share) * np.exp(silent)))
    silent += float(np.log(1.0 - settings.deaf_share))
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
    noise_hz = float(hearing.noise_rate_hz[hearing.node_of[picks[0]]])
    jitter_s, peak = scatter_s(settings), log_density_at_peak(noise_hz, settings)
    after_s = late_s[None, :, :] - lags_s[:, None, None]
    direct, echo = hearing.direct[picks], hearing.echo[picks]
    follows_s = np.where(after_s > 3.0 * jitter_s, after_s, -1.0)
    once = np.log1p(echo_ratio(follows_s, direct[:, None], echo[:, None], noise_hz, settings).sum(axis=2))
    z = after_s / jitter_s
    hit = np.where(np.abs(z) < 4.0, (direct + peak)[:, None] - 0.5 * z * z, -np.inf)
    prior = float(np.log(heard / (1.0 - heard)))
    chosen, is_heard = _best_hits(hit - once[:, :, None], prior)
    usual_db = _usual_levels(hearing.level_db[picks], chosen, is_heard)
    apart_db = hearing.level_db[picks][None, :] - usual_db[:, None]
    hit = hit + direct_level_ratio(apart_db, settings)[:, :, None]
    once = np.log1p(np.expm1(once) * np.exp(echo_level_ratio(apart_db, settings)))
    chosen, is_heard = _best_hits(hit - once[:, :, None], prior)
    explained = np.zeros(once.shape, dtype=bool)
    lag_index, round_index = np.nonzero(is_heard)
    explained[lag_index, chosen[lag_index, round_index]] = True
    follows = (follows_s > 0.0) & ~explained[:, :, None] & is_heard[:, None, :]
    award = once + repeat_gain(late_s, follows, once, echo + peak, settings)
    n_heard = is_heard.sum(axis=1)
    gain = np.take_along_axis(hit, chosen[:, None, :], axis=1)[:, 0, :] + prior
    score = (
        path_log_density(lags_s, sigmas_s[0], sigmas_s[1], settings)
        + np.log(2.5066 * jitter_s / np.sqrt(np.maximum(n_heard, 1)))
        + np.where(is_heard, gain, 0.0).sum(axis=1)
        + np.where(explained, 0.0, award).sum(axis=1)
        + silent
        - (settings.echo_rate_hz * settings.echo_decay_s + settings.twin_rate_hz * settings.twin_decay_s) * n_heard
    )
    score = np.where(n_heard > 0, np.round(score, 6), -np.inf)
    winner = int(np.argmax(score))
    if score[winner] <= deaf:
        return none, deaf
    return np.where(is_heard[winner], picks[chosen[winner]], -1), float(score[winner])


def _best_hits(gain: NDArray[np.float64], prior: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The best pick of each round and whether it is likelier its direct sound than not; gain: lags, picks, rounds."""
    chosen = np.argmax(gain, axis=1)
    return chosen, np.take_along_axis(gain, chosen[:, None, :], axis=1)[:, 0, :] + prior > 0.0


def _usual_levels(
    level_db: NDArray[np.float64], chosen: NDArray[np.int64], is_heard: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Median level of the rounds heard, for each lag; nan where none is known."""
    levels_db = np.where(is_heard, level_db[chosen], np.nan)
    known = np.isfinite(levels_db).any(axis=1)
    usual_db = np.full(len(chosen), np.nan)
    if known.any():
        usual_db[known] = _medians(levels_db[known].T)
    return usual_db


def mean_arrivals(
    hearing: Hearing, member: NDArray[np.int64], settings: LocateSettings
) -> tuple[Arrivals, NDArray[np.int64], NDArray[np.float64]]:
    """One mean arrival per node that heard anything, those nodes' indices, and the rounds' times after the first."""
    heard = member >= 0
    time_s = np.where(heard, hearing.time_s[np.maximum(member, 0)], np.nan)
    rounds_s, means_s = _two_way(time_s)
    nodes = np.flatnonzero(np.isfinite(means_s))
    bearing, bearing_sigma = _bearings_rad(hearing, member[:, nodes])
    arrivals = Arrivals(
        enu_m=hearing.enu_m[nodes],
        time_s=means_s[nodes],
        sigma_s=np.hypot(hearing.sigma_s[nodes], settings.round_sigma_s / np.sqrt(heard[:, nodes].sum(axis=0))),
        bearing_rad=bearing,
        bearing_sigma_rad=bearing_sigma,
    )
    return arrivals, nodes, rounds_s


def _settle(
    hearing: Hearing, member: NDArray[np.int64], start_m: NDArray[np.float64], settings: LocateSettings
) -> tuple[Fix, NDArray[np.float64], NDArray[np.float64]]:
    """Solve for the place from these members: fix, round times (K,), and path delays (n,), nan where unheard."""
    arrivals, nodes, rounds_s = mean_arrivals(hearing, member, settings)
    fix = solve(arrivals, start_m, hearing.air, settings)
    lag_s = np.full(len(hearing.nodes), np.nan)
    # From the final place: what the solver's last step was linearised at may lie metres off beside a near node.
    lag_s[nodes] = arrivals.time_s - fix.time_s - _travel_s(hearing, fix.place_m, fix.air_mps)[nodes]
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
        known = np.isfinite(differences)
        rounds_s[k] = np.median(differences[known]) if known.any() else np.nanmedian(filled[k])
    for _ in range(6):
        node_s = _medians(filled - rounds_s[:, None])
        rounds_s = rounds_s + _medians((filled - node_s[None, :] - rounds_s[:, None]).T)
    offset_s = rounds_s[0]
    means[with_nodes] = np.nanmean(filled - rounds_s[:, None], axis=0) + offset_s
    return rounds_s - offset_s, means


def _medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of the numbers in each column, shape (n,); a column has at least one beside its nan.

    Sorting puts nan last. numpy's own nanmedian goes through masked arrays and takes ten times as long on ours.
    """
    ordered = np.sort(values, axis=0)
    count = np.isfinite(values).sum(axis=0)
    columns = np.arange(values.shape[1])
    middle: NDArray[np.float64] = 0.5 * (ordered[(count - 1) // 2, columns] + ordered[count // 2, columns])
    return middle


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
        sigmas = np.radians([s for _, s in given])
        pose = hearing.poses[hearing.node_of[int(member[member[:, column] >= 0, column][0])]]
        shared = min(np.radians(pose.heading_sigma_deg or _HEADING_SIGMA_DEG), float(sigmas.min()))
        # A bearing's sigma holds the heading's error, which every round repeats; only the rest averages out.
        weights = 1.0 / np.maximum(sigmas**2 - shared**2, np.radians(_BEARING_FLOOR_DEG) ** 2)
        bearing[column] = np.arctan2(weights @ np.sin(angles), weights @ np.cos(angles))
        sigma[column] = np.hypot(weights.sum() ** -0.5, max(shared, np.radians(_HEADING_FLOOR_DEG)))
    return bearing, sigma
