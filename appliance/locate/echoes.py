"""What follows a direct sound at a node: echoes, twins, and that a street answers every round alike."""

import numpy as np
from numpy.typing import NDArray

from appliance.locate.settings import LocateSettings

_ECHO_SPAN_S = 1.5
"""Echoes of streets that are looked for in every round; later ones are too weak to repeat."""
READING_FLOOR_S = 0.0003
"""No reading of an onset in the street is better than this, whatever its filter says."""
_LEAST_LEVEL_RATIO = -2.0
"""No level alone rules an echo out."""
REPEAT_MAX = 6.0
"""No single repeated echo decides where a source is."""


def echo_ratio(
    after_s: NDArray[np.float64],
    direct: NDArray[np.float64],
    echo: NDArray[np.float64],
    noise_rate_hz: float,
    settings: LocateSettings,
) -> NDArray[np.float64]:
    """How much likelier than noise a pick is, this long after a direct sound, as its echo or twin; 0 before it.

    The arrays broadcast; `direct` and `echo` are the pick's log density ratios.
    """
    lag_s = np.maximum(after_s, 0.0)
    echoes = settings.echo_rate_hz * np.exp(echo - lag_s / settings.echo_decay_s)
    twins = settings.twin_rate_hz * np.exp(direct - lag_s / settings.twin_decay_s)
    ratio: NDArray[np.float64] = np.where(after_s > 0.0, (echoes + twins) / noise_rate_hz, 0.0)
    return ratio


def log_echo_ratio(
    after_s: NDArray[np.float64],
    direct: NDArray[np.float64],
    echo: NDArray[np.float64],
    noise_rate_hz: float,
    settings: LocateSettings,
) -> NDArray[np.float64]:
    """Log odds of picks of one node to be echoes rather than noise, shape (picks,), repeats over rounds included.

    `after_s` is picks by rounds, seconds after the node's direct sound of each round.
    """
    follows = after_s > settings.round_sigma_s
    late_s = np.where(follows, after_s, -1.0)
    once: NDArray[np.float64] = np.log1p(
        echo_ratio(late_s, direct[:, None], echo[:, None], noise_rate_hz, settings).sum(axis=1)
    )
    chance = echo + log_density_at_peak(noise_rate_hz, settings)
    total: NDArray[np.float64] = once + repeat_gain(after_s, follows[None], once[None], chance, settings)[0]
    return total


def repeat_gain(
    late_s: NDArray[np.float64],
    follows: NDArray[np.bool_],
    once: NDArray[np.float64],
    chance: NDArray[np.float64],
    settings: LocateSettings,
) -> NDArray[np.float64]:
    """What picks gain over `once`, their log odds as single echoes, where another round has their like, as `once`.

    `chance` is the log odds of a pick that comes exactly when an echo of another round says, against noise; the rest
    is as for `repeat_shares`.
    """
    again = np.clip(np.log(settings.echo_repeats) + chance - once, 0.0, REPEAT_MAX)
    gain: NDArray[np.float64] = repeat_shares(late_s, follows, 3.0 * scatter_s(settings)) * again
    return gain


def scatter_s(settings: LocateSettings) -> float:
    """1-sigma by which a delay between two picks of one node differs from round to round."""
    return float(np.hypot(settings.round_sigma_s, READING_FLOOR_S) * 2.0**0.5)


def log_density_at_peak(noise_rate_hz: float, settings: LocateSettings) -> float:
    """Log of how much denser picks lie at a predicted moment than noise does, for a certain pick."""
    return -float(np.log(noise_rate_hz * 2.5066 * scatter_s(settings)))


def direct_level_ratio(apart_db: NDArray[np.float64], settings: LocateSettings) -> NDArray[np.float64]:
    """Log density ratio, over unrelated picks, of direct sounds whose level lies so far from their source's usual one.

    Zero where a level is not known (nan).
    """
    dof, sigma_db = settings.path_tail_dof, settings.level_sigma_db
    z2 = (apart_db / sigma_db) ** 2
    ratio = np.log(settings.level_span_db / (2.5066 * sigma_db)) - 0.5 * (dof + 1.0) * np.log1p(z2 / dof)
    known: NDArray[np.float64] = np.nan_to_num(ratio, nan=0.0)
    return known


def echo_level_ratio(apart_db: NDArray[np.float64], settings: LocateSettings) -> NDArray[np.float64]:
    """The same for echoes, which are mostly lower; round a building they may be the louder ones."""
    sigma_db = settings.echo_level_sigma_db
    z2 = ((np.minimum(apart_db, 0.0) - settings.echo_level_db) / sigma_db) ** 2
    louder = np.maximum(apart_db, 0.0) / sigma_db
    ratio = np.log(settings.level_span_db / (2.5066 * sigma_db)) - 0.5 * z2 - 0.5 * louder**2
    known: NDArray[np.float64] = np.nan_to_num(np.maximum(ratio, _LEAST_LEVEL_RATIO), nan=0.0)
    return known


def repeat_shares(late_s: NDArray[np.float64], follows: NDArray[np.bool_], tolerance_s: float) -> NDArray[np.float64]:
    """Which picks another round has its like of at the same delay: a street answers every round alike, noise does not.

    `late_s` is picks by rounds; `follows` lags by picks by rounds, true where the pick may be an echo of the round.
    Returns for each lag and pick the share of its group that is a repeat: c / (c + 1) with c others, 0 when alone.
    """
    n_picks, n_rounds = late_s.shape
    others = np.zeros((len(follows), n_picks, n_rounds))
    if n_rounds < 2:
        return others[:, :, 0]
    order = np.argsort(late_s, axis=None, kind="stable")
    order = order[(late_s.ravel()[order] > 0.0) & (late_s.ravel()[order] < _ECHO_SPAN_S)]
    delay_s, pick, round_ = late_s.ravel()[order], order // n_rounds, order % n_rounds
    flat, count = follows.reshape(len(follows), -1)[:, order], others.reshape(len(follows), -1)
    for shift in range(1, min(n_rounds, 4)):
        like = (delay_s[shift:] - delay_s[:-shift] < tolerance_s) & (pick[shift:] != pick[:-shift])
        like &= round_[shift:] != round_[:-shift]
        both = (flat[:, shift:] & flat[:, :-shift] & like).astype(np.float64)
        count[:, order[shift:]] += both
        count[:, order[:-shift]] += both
    most = others.max(axis=2)
    shares: NDArray[np.float64] = most / (most + 1.0)
    return shares
