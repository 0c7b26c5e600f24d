"""Whether a source is believed, or unrelated sounds at these nodes would have fitted some place as well.

The score of an explanation compares it with noise, and loud impulses are rarely noise. Here the question is another:
given that every node heard these loud sounds, by whatever cause, how likely is it that their times agree by chance?
Each arrival is compared with the rate at which its node heard sounds as strong; the free choice of place and time is
paid for; and strong sounds that no believed source explains speak against it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from appliance.locate.associate import Explanation
from appliance.locate.echoes import log_density_at_peak, log_echo_ratio, scatter_s
from appliance.locate.hearing import Hearing
from appliance.locate.paths import path_log_density, path_sigmas_s
from appliance.locate.settings import LocateSettings

_NEAR_S = 1.25
"""Within this of an arrival a sound at the same node could have been taken for it: net sizes over sound speed."""
_AS_STRONG = 1.0
"""Picks whose log ratio is less than this below an arrival's are as strong."""


def coincidence(hearing: Hearing, source: Explanation, settings: LocateSettings) -> float:
    """Log odds that the arrivals of a source agree because it is one, over their agreeing by chance."""
    total = 0.0
    for n in np.flatnonzero(np.isfinite(source.lag_s)):
        total += _agreement(hearing, source, int(n), settings)
    jitter_s, window_s = scatter_s(settings), 2.0 * _NEAR_S
    area_m2 = 2.0 * np.pi * np.sqrt(max(float(np.linalg.det(source.fix.covariance[:2, :2])), 1e-6))
    time_s = float(np.sqrt(source.fix.covariance[6, 6]))
    total += np.log(min(area_m2, settings.sharp_area_m2) / settings.search_area_m2)
    total += np.log(2.5066 * min(time_s, 0.02) / window_s)
    total += (len(source.time_s) - 1) * np.log(2.5066 * jitter_s / np.sqrt(source.n_nodes) / window_s)
    return round(float(total), 3)


def _agreement(hearing: Hearing, source: Explanation, n: int, settings: LocateSettings) -> float:
    """Log density of one node's arrivals where the source wants them, over that of sounds as strong at any time."""
    here = hearing.node_of == n
    arrivals = source.member[:, n][source.member[:, n] >= 0]
    expected_s = (source.time_s + source.travel_s[n] + source.lag_s[n])[source.member[:, n] >= 0]
    z = (hearing.time_s[arrivals] - expected_s) / scatter_s(settings)
    near = np.abs(hearing.time_s[None, :] - hearing.time_s[arrivals][:, None]) < _NEAR_S
    strong = hearing.raw_direct[None, :] >= hearing.raw_direct[arrivals][:, None] - _AS_STRONG
    rate_hz = (near & strong & here[None, :]).sum(axis=1) / (2.0 * _NEAR_S)
    early_s, late_s = path_sigmas_s(hearing.sigma_s[n : n + 1], settings)
    lag = float(path_log_density(source.lag_s[n : n + 1], early_s, late_s, settings)[0])
    rounds = len(arrivals)
    return (
        float(np.sum(-0.5 * z * z - np.log(rate_hz)))
        + (rounds - 1) * log_density_at_peak(1.0, settings)
        - 0.5 * float(np.log(rounds))
        + lag
    )


def unexplained_share(hearing: Hearing, sources: Sequence[Explanation], settings: LocateSettings) -> float:
    """Weight of strong picks that are neither arrivals nor likely echoes of these sources, as a share of all, 0..1."""
    left = hearing.raw_direct.copy()
    explained: NDArray[np.bool_] = np.zeros(len(left), dtype=bool)
    for source in sources:
        explained[source.member[source.member >= 0]] = True
        for n in np.flatnonzero(np.isfinite(source.lag_s)):
            here = np.flatnonzero(hearing.node_of == n)
            after_s = hearing.time_s[here][:, None] - (source.time_s + source.travel_s[n] + source.lag_s[n])[None, :]
            noise_hz = float(hearing.noise_rate_hz[n])
            left[here] -= log_echo_ratio(after_s, hearing.raw_direct[here], hearing.echo[here], noise_hz, settings)
    unexplained = float(np.maximum(left[~explained], 0.0).sum())
    weight = float(np.maximum(hearing.raw_direct[explained], 0.0).sum())
    return unexplained / max(unexplained + weight, 1e-9)


def belief(source: Explanation, odds: float, share: float, settings: LocateSettings) -> float:
    """How far a source is above what it takes to be believed; below zero it is not.

    Three arrivals of one round fit a place more often than not, so there only a silence of everything else convinces.
    """
    if source.n_nodes == settings.min_nodes and len(source.time_s) == 1:
        return min(odds - settings.lone_triple_odds, 40.0 * (settings.lone_triple_share - share))
    return odds - settings.chance_odds - settings.unexplained_cost * max(share - settings.unexplained_share, 0.0)
