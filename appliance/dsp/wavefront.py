"""One wavefront as an array heard it: when it reached the array's origin, and from where."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.dsp.arrival import align, first_arrival, first_look, refine
from appliance.dsp.bearing import SOUND_SPEED_MPS, Bearing, BearingScan, NoBearing
from appliance.dsp.levels import rail_of

BEFORE_S = 0.08
"""Sound wanted before the trigger: the noise of ten bearing windows and more."""
AFTER_S = 0.016
"""Sound wanted after the trigger: a late front, and the bearing's window for an array of up to two metres."""

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
    heights = np.abs(samples[working] - samples[working].mean(axis=1, keepdims=True)).max(axis=1)
    channel = int(working[np.argmax(heights)])
    look = first_look(samples[channel], sample_rate_hz, trigger)
    bearing = scan.find(samples, round(look.crossing), channel, working)
    if isinstance(bearing, NoBearing):
        arrival = refine(look, sample_rate_hz, np.abs(samples[channel]) < rail_of(samples[channel]))
        # Without a direction the wave may have reached this microphone before or after the array's origin.
        offset_s = float(np.linalg.norm(scan.positions_m[channel])) / SOUND_SPEED_MPS / math.sqrt(2.0)
        sigma = math.hypot(arrival.sigma_samples, offset_s * sample_rate_hz)
        return Wavefront(arrival.sample, sigma, channel, arrival.sample, bearing)
    delays_s = scan.positions_m[working] @ bearing.slowness_spm
    beam = align(samples[working], sample_rate_hz, delays_s)
    at_channel_s = float(scan.positions_m[channel] @ bearing.slowness_spm)
    expected = round(look.crossing - at_channel_s * sample_rate_hz)
    at_origin = first_arrival(beam, sample_rate_hz, expected, rail=_beam_rail(samples[working], beam))
    # The array knows best when the wave passed its middle; from there to the origin the direction's error counts.
    middle_m = scan.positions_m[working].mean(axis=0)
    way_s = math.sqrt(float(middle_m @ bearing.covariance @ middle_m))
    sigma = math.hypot(at_origin.sigma_samples, way_s * sample_rate_hz)
    at_channel = at_origin.sample + at_channel_s * sample_rate_hz
    return Wavefront(at_origin.sample, sigma, channel, at_channel, bearing)


def _working(samples: NDArray[np.float64], end: int) -> NDArray[np.intp]:
    """The channels that carry sound and no more noise before `end` than the others do; all, where none is left."""
    noise = np.std(samples[:, : max(end, 2)], axis=1)
    carries = np.ptp(samples, axis=1) > 0.0
    if not carries.any():
        return np.arange(samples.shape[0])
    return np.flatnonzero(carries & (noise <= NOISY * np.median(noise[carries])))


def _beam_rail(samples: NDArray[np.float64], beam: NDArray[np.float64]) -> float:
    """The magnitude at which the mean of aligned channels is a rail, where they clipped."""
    if not any(math.isfinite(rail_of(row)) for row in samples):
        return math.inf
    return BEAM_RAIL * float(np.abs(beam).max())
