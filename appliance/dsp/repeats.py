"""Whether a sound repeats one that was heard just before: the next round of a shooter, or only an echo.

Rounds of one shooter reach a microphone by the same ways, so the 30 ms after their fronts are alike in waveform: on the
live-fire recordings nineteen in twenty correlate by 0.9 and more. What comes after an echo is another mixture: nineteen
in twenty of those stay below 0.6. So a round that hardly rises from the tail of the round before can be told from an
echo that rises as much, and its front is timed by the whole pattern.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from appliance.dsp.band_energy import HIGH_HZ, LOW_HZ, LOW_PASS_ORDER, cell_grid
from appliance.dsp.filters import high_pass_response, low_pass_response

LENGTH_S = 0.030
"""The sound that is compared: long enough for the pattern of the first echoes, shorter than rounds are apart."""
BEFORE_S = 0.001
LAG_S = 0.008
"""How far the front may lie beside where energy rises: a weak front is found by the first strong echo after it."""
RUN_IN_S = 0.010
"""Sound before that, in which the filter settles."""
HIGH_PASS_ORDER = 2
SHORTEST_PERIOD_S = 0.002
"""Of voices and engines; a passage is like itself at smaller lags whatever it is."""


@dataclass(frozen=True, slots=True)
class Repetition:
    """Which earlier passage a passage is most like, and how much.

    likeness:      correlation coefficient at the best lag, -1 to 1
    late_samples:  by how much this passage lies later in its window than the earlier one in its own
    sigma_samples: 1-sigma of that
    """

    which: int
    likeness: float
    late_samples: float
    sigma_samples: float


class RepeatTest:
    """Compares passages of one channel at one sample rate."""

    def __init__(self, sample_rate_hz: float) -> None:
        """Prepare for a sample rate of 8 to 96 kHz."""
        self._decimation = cell_grid(sample_rate_hz).decimation
        rate_hz = sample_rate_hz / self._decimation
        self._lag = round(LAG_S * rate_hz)
        self._run_in = round(RUN_IN_S * rate_hz)
        self._before = round(BEFORE_S * rate_hz)
        self._width = self._before + round(LENGTH_S * rate_hz)
        self._n = self._run_in + self._width + 2 * self._lag
        frequencies_hz = np.fft.rfftfreq(self._n, 1.0 / rate_hz)
        self._response = high_pass_response(frequencies_hz, LOW_HZ, HIGH_PASS_ORDER, rate_hz)
        self._response *= low_pass_response(frequencies_hz, HIGH_HZ, LOW_PASS_ORDER, rate_hz)

    @property
    def samples_before(self) -> int:
        """Samples wanted before a front."""
        return (self._run_in + self._before + self._lag) * self._decimation

    @property
    def samples_after(self) -> int:
        """Samples wanted from a front on."""
        return self._n * self._decimation - self.samples_before

    def passage(self, samples: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """What is compared of a sound, given from `samples_before` its front to `samples_after` it: shape (n,).

        None where there is less sound than that, or none at all.
        """
        if samples.size < self._n * self._decimation:
            return None
        means = samples[: self._n * self._decimation].reshape(self._n, -1).mean(axis=1, dtype=np.float64)
        filtered: NDArray[np.float64] = irfft(rfft(means - means.mean()) * self._response, self._n)
        passage = filtered[self._run_in :]
        return passage if float(passage @ passage) > 0.0 else None

    def self_likeness(self, passage: NDArray[np.float64]) -> float:
        """How much a passage repeats itself within `LAG_S`: voices and engines do, gunfire does not."""
        shortest = round(SHORTEST_PERIOD_S / LAG_S * self._lag)
        own = self._likeness(passage, [passage])[:, 0]
        return float(np.concatenate([own[: self._lag - shortest], own[self._lag + shortest + 1 :]]).max())

    def compare(self, passage: NDArray[np.float64], earlier: Sequence[NDArray[np.float64]]) -> Repetition:
        """The most alike of the earlier passages, of which there must be one at least."""
        likeness = self._likeness(passage, earlier)
        lag, which = divmod(int(np.argmax(likeness)), len(earlier))
        best = float(likeness[lag, which])
        around = likeness[lag - 1 : lag + 2, which]
        between = _top(around) if around.size == 3 else 0.0
        sigma = _lag_sigma(earlier[which][self._lag : self._lag + self._width], best)
        late = (lag - self._lag + between) * self._decimation
        return Repetition(which, best, late, sigma * self._decimation)

    def _likeness(self, passage: NDArray[np.float64], earlier: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Correlation coefficients of a passage with earlier ones at all lags, (lags, earlier)."""
        cores = np.stack(earlier)[:, self._lag : self._lag + self._width]
        n_lags = passage.size - self._width + 1
        # Lags that would wrap around are not among these.
        spectra = rfft(cores, passage.size).conj() * rfft(passage)
        products = irfft(spectra, passage.size, axis=1)[:, :n_lags]
        energy = np.concatenate([[0.0], np.cumsum(passage * passage)])
        norms = np.maximum(np.sqrt(np.maximum(energy[self._width :] - energy[:n_lags], 0.0)), 1e-12)
        likeness: NDArray[np.float64] = products.T / np.outer(norms, np.linalg.norm(cores, axis=1))
        return likeness


def _top(values: NDArray[np.float64]) -> float:
    """Where the parabola through three values has its top, counted from the middle one."""
    bow = float(values[0] - 2.0 * values[1] + values[2])
    return 0.5 * float(values[0] - values[2]) / bow if bow < 0.0 else 0.0


def _lag_sigma(core: NDArray[np.float64], likeness: float) -> float:
    """1-sigma of a lag in samples, at this correlation: the Cramér-Rao bound of a delay (Carter 1987, equation 31)."""
    slope = float(np.linalg.norm(np.diff(core)) / np.linalg.norm(core))
    noise = max(1.0 - likeness**2, 0.0) / max(likeness**2, 1e-3)
    return math.sqrt(noise / core.size) / max(slope, 1e-6)
