"""One wavefront as an array heard it: when it reached the array's origin, and from where."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.dsp.arrival import align, first_arrival
from appliance.dsp.bearing import SOUND_SPEED_MPS, Bearing, BearingScan, NoBearing
from appliance.dsp.levels import rail_of

BEFORE_S = 0.08
"""Sound wanted before the trigger: the noise of ten bearing windows and more."""
AFTER_S = 0.016
"""Sound wanted after the trigger: a late front, and the bearing's window for an array of up to two metres."""

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

    Channels that stand still are left out.
    """
    working = np.flatnonzero(np.ptp(samples, axis=1) > 0.0)
    if working.size == 0:
        working = np.arange(samples.shape[0])
    heights = np.abs(samples[working] - samples[working].mean(axis=1, keepdims=True)).max(axis=1)
    channel = int(working[np.argmax(heights)])
    arrival = first_arrival(samples[channel], sample_rate_hz, trigger, rail=rail_of(samples[channel]))
    bearing = scan.find(samples, round(arrival.sample), channel, working)
    if isinstance(bearing, NoBearing):
        # Without a direction the wave may have reached this microphone before or after the array's origin.
        offset_s = float(np.linalg.norm(scan.positions_m[channel])) / SOUND_SPEED_MPS / math.sqrt(2.0)
        sigma = math.hypot(arrival.sigma_samples, offset_s * sample_rate_hz)
        return Wavefront(arrival.sample, sigma, channel, arrival.sample, bearing)
    delays_s = scan.positions_m[working] @ bearing.slowness_spm
    beam = align(samples[working], sample_rate_hz, delays_s)
    at_channel_s = float(scan.positions_m[channel] @ bearing.slowness_spm)
    expected = round(arrival.sample - at_channel_s * sample_rate_hz)
    at_origin = first_arrival(beam, sample_rate_hz, expected, rail=_beam_rail(samples[working], beam))
    # The array knows best when the wave passed its middle; from there to the origin the direction's error counts.
    middle_m = scan.positions_m[working].mean(axis=0)
    way_s = math.sqrt(float(middle_m @ bearing.covariance @ middle_m))
    sigma = math.hypot(at_origin.sigma_samples, way_s * sample_rate_hz)
    return Wavefront(at_origin.sample, sigma, channel, arrival.sample, bearing)


def _beam_rail(samples: NDArray[np.float64], beam: NDArray[np.float64]) -> float:
    """The magnitude at which the mean of aligned channels is a rail, where they clipped."""
    if not any(math.isfinite(rail_of(row)) for row in samples):
        return math.inf
    return BEAM_RAIL * float(np.abs(beam).max())
