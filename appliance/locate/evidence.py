"""What a pick's own properties say about its being a direct sound, an echo or unrelated noise.

Densities over prominence (rise over the 95 % quantile of the 300 ms before), measured on tagged live-fire recordings:
direct sounds spread around 17 dB, echoes fall into the tail of their direct sound and have little, noise has least.
"""

import math
from dataclasses import dataclass

from appliance.model.picks import Pick

_UNKNOWN_PROMINENCE_DB = 12.0
_NOISE_FLOOR = 2e-4
"""A prominent pick is no proof: doors slam. Keeps the log ratio of the loudest picks near +5."""
STRONG_LOG_RATIO = 0.0
"""From here on a pick is likelier a direct sound than noise and may open an episode or seed a source time."""


@dataclass(frozen=True, slots=True)
class PickEvidence:
    """Log density ratios over unrelated noise: of a direct sound and of an echo."""

    direct: float
    echo: float


def weigh(pick: Pick) -> PickEvidence:
    """Log density ratios of one pick from its prominence and, where known, its class."""
    prominence_db = _UNKNOWN_PROMINENCE_DB if pick.snr_db is None else min(max(pick.snr_db, 0.0), 45.0)
    noise = math.log(_NOISE_FLOOR + math.exp(-max(prominence_db - 3.0, 0.0) / 2.5) / 2.5)
    spread_db = 8.0 if prominence_db < 17.0 else 14.0
    direct = math.log(0.003 + 0.0363 * math.exp(-0.5 * ((prominence_db - 17.0) / spread_db) ** 2)) - noise
    echo = math.log(1e-4 + 0.0665 * math.exp(-0.5 * (max(prominence_db - 3.0, 0.0) / 8.0) ** 2)) - noise
    by_class = _class_log_ratio(pick.gunshot_probability)
    return PickEvidence(direct + by_class, echo + 0.5 * by_class)


def _class_log_ratio(gunshot_probability: float | None) -> float:
    """Half the log odds of a gunshot, at most 2: classifiers are confidently wrong on street recordings."""
    if gunshot_probability is None:
        return 0.0
    bounded = min(max(gunshot_probability, 1e-3), 1.0 - 1e-3)
    return min(max(0.5 * math.log(bounded / (1.0 - bounded)), -2.0), 2.0)
