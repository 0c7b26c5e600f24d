"""One wavefront as an array heard it: when it reached the array's origin, and from where."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.dsp.arrival import Arrival, align, first_arrival, first_look, refine
from appliance.dsp.bearing import SOUND_SPEED_MPS, Bearing, BearingScan, NoBearing
from appliance.dsp.levels import rail_of

BEFORE_S = 0.08
"""Sound wanted before the trigger: the noise of ten bearing windows and more."""
AFTER_S = 0.016
"""Sound wanted after the trigger: a late front, and the bearing's window for an array of up to two metres."""

NEAR_S = 0.04
"""Of that, what the first arrival needs."""
NOISY = 5.0
"""A channel whose noise is so many times the middle one's buzzes or is blown upon."""
BEAM_RAIL = 0.95
"""The mean of channels that clipped is flat to about this share: each has its own noise and fraction of a sample."""


@dataclass(frozen=True, slots=True)
class Wavefront:
    """A wavefront as measured.

    sample, sigma_samples:   when it reached the array's origin
    channel, channel_sample: which microphone heard it best, and when
    """

    sample: float
    sigma_samples: float
    channel: int
    channel_sample: float
    bearing: Bearing | NoBearing


def measure_wavefront(
    samples: NDArray[np.float64], sample_rate_hz: float, trigger: int, scan: BearingScan
) -> Wavefront:
    """Measure the wavefront near `samples[:, trigger]`, shape (channels, n), from `BEFORE_S` before to `AFTER_S` after.

    Channels that stand still, or are much noisier than the others, are left out.
    """
    working = _working(samples, trigger - round(0.004 * sample_rate_hz))
    near = max(0, trigger - round(NEAR_S * sample_rate_hz))
    rows = samples[:, near:] if working.size == samples.shape[0] else samples[working, near:]
    channel = int(working[np.argmax(rows.max(axis=1) - rows.min(axis=1))])
    look = first_look(samples[channel, near:], sample_rate_hz, trigger - near)
    seen = near + look.crossing
    bearing = scan.find(samples, round(seen), channel, working)
    if isinstance(bearing, NoBearing):
        one = samples[channel, near:]
        arrival = refine(look, sample_rate_hz, np.abs(one) < rail_of(one))
        # Without a direction the wave may have reached this microphone before or after the array's origin.
        offset_s = float(np.linalg.norm(scan.positions_m[channel])) / SOUND_SPEED_MPS / math.sqrt(2.0)
        sigma = math.hypot(arrival.sigma_samples, offset_s * sample_rate_hz)
        return Wavefront(near + arrival.sample, sigma, channel, near + arrival.sample, bearing)
    later = float(scan.positions_m[channel] @ bearing.slowness_spm) * sample_rate_hz
    at_origin = _together(rows, sample_rate_hz, round(seen - later) - near, bearing, scan.positions_m[working])
    sample = near + at_origin.sample
    return Wavefront(sample, at_origin.sigma_samples, channel, sample + later, bearing)


def _together(
    samples: NDArray[np.float64],
    sample_rate_hz: float,
    expected: int,
    bearing: Bearing,
    positions_m: NDArray[np.float64],
) -> Arrival:
    """The first arrival at the array's origin, near sample `expected`, by all channels together."""
    beam = align(samples, sample_rate_hz, positions_m @ bearing.slowness_spm)
    arrival = first_arrival(beam, sample_rate_hz, expected, rail=_beam_rail(samples, beam))
    # The array knows best when the wave passed its middle; from there to the origin the direction's error counts.
    middle_m = positions_m.mean(axis=0)
    way_s = math.sqrt(float(middle_m @ bearing.covariance @ middle_m))
    return replace(arrival, sigma_samples=math.hypot(arrival.sigma_samples, way_s * sample_rate_hz))


def _working(samples: NDArray[np.float64], end: int) -> NDArray[np.intp]:
    """The channels that carry sound and no more noise before `end` than the others do; all, where none is left."""
    before = samples[:, : max(end, 2)]
    power = np.einsum("cn,cn->c", before, before) / before.shape[1] - before.mean(axis=1) ** 2
    noise = np.sqrt(np.maximum(power, 0.0))
    carries = samples.max(axis=1) != samples.min(axis=1)
    if not carries.any():
        return np.arange(samples.shape[0])
    return np.flatnonzero(carries & (noise <= NOISY * np.median(noise[carries])))


def _beam_rail(samples: NDArray[np.float64], beam: NDArray[np.float64]) -> float:
    """The magnitude at which the mean of aligned channels is a rail, where they clipped."""
    if not any(math.isfinite(rail_of(row)) for row in samples):
        return math.inf
    return BEAM_RAIL * float(np.abs(beam).max())
