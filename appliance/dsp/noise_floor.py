"""A noise floor from order statistics, and the threshold above it that noise alone almost never passes."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

QUANTISATION_FLOOR = (2.0**-16) ** 2
"""Mean square below which a cell holds nothing: an eighth of the rounding noise of 16 bits that falls into the band."""
LOWER_QUANTILE = 0.5
UPPER_QUANTILE = 0.98
SURE_CELLS = 150
"""From this many cells on the quantiles are good to a few per cent."""
SHAPES = np.geomspace(0.05, 200.0, 120)


class NoiseFloor:
    """Quantiles of the latest cell energies and the tail threshold that goes with them.

    Order statistics are blind to a few loud cells among the many, so pulses don't raise the floor that they are
    measured against. The tail is the higher of a gamma and a Weibull tail through the median and the 98 % quantile:
    the gamma holds for steady noise, the Weibull for noise that itself comes in bursts.
    """

    def __init__(self, n_cells: int, false_alarm_probability: float) -> None:
        """Remember `n_cells` energies; `false_alarm_probability` is per cell."""
        self._energies = np.empty(n_cells)
        self._n = 0
        self._next = 0
        self._median: float | None = None
        self._log_false_alarm = -math.log(false_alarm_probability)
        lower, upper = gammaincinv(SHAPES, LOWER_QUANTILE), gammaincinv(SHAPES, UPPER_QUANTILE)
        tail = gammaincinv(SHAPES, 1.0 - false_alarm_probability)
        # Spread falls with the shape; np.interp wants it rising.
        self._log_spreads = np.log(upper / lower)[::-1]
        self._log_tails = np.log(tail / upper)[::-1]

    @property
    def n_cells(self) -> int:
        """How many cells the floor rests on."""
        return self._n

    def learn(self, energies: NDArray[np.float64]) -> None:
        """Take in cells, newest last."""
        energies = energies[-self._energies.size :]
        n_first = min(energies.size, self._energies.size - self._next)
        self._energies[self._next : self._next + n_first] = energies[:n_first]
        self._energies[: energies.size - n_first] = energies[n_first:]
        self._next = (self._next + energies.size) % self._energies.size
        self._n = min(self._n + energies.size, self._energies.size)
        self._median = None

    def median(self) -> float:
        """The median energy; the quantisation floor before anything was learnt."""
        if self._n == 0:
            return QUANTISATION_FLOOR
        if self._median is None:
            self._median = max(float(np.median(self._energies[: self._n])), QUANTISATION_FLOOR)
        return self._median

    def threshold(self) -> float:
        """The energy that a cell of noise passes with the false-alarm probability."""
        if self._n == 0:
            return QUANTISATION_FLOOR
        lower_at = int(LOWER_QUANTILE * (self._n - 1))
        upper_at = int(UPPER_QUANTILE * (self._n - 1))
        parts = np.partition(self._energies[: self._n], (lower_at, upper_at))
        lower = max(float(parts[lower_at]), QUANTISATION_FLOOR)
        upper = max(float(parts[upper_at]), lower * 1.001)
        log_spread = math.log(upper / lower)
        gamma = float(np.interp(log_spread, self._log_spreads, self._log_tails))
        weibull = log_spread * (
            math.log(self._log_false_alarm / -math.log(1 - UPPER_QUANTILE))
            / math.log(math.log(1 - UPPER_QUANTILE) / math.log(1 - LOWER_QUANTILE))
        )
        # A young floor may be off by as much.
        unsure = max(0.0, 1.0 - self._n / SURE_CELLS)
        return upper * math.exp(max(gamma, weibull) + unsure)
