"""Where a wavefront comes from, by one array: a coherent scan weighted by signal and noise, with an honest error.

All microphones are steered to a direction in the frequency domain and added up; the power, with each bin weighted by
its signal over its noise, is the likelihood of that direction (Van Trees, Optimum Array Processing, 2002, section 8.5).
A coarse scan over directions finds the hill, Newton's method its top, in slowness, so that a wave that is not plane or
not sound shows by a wrong speed. The error is the Cramér-Rao bound at the signal that was found, widened where other
hills are nearly as high.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len, rfft

SOUND_SPEED_MPS = 340.0
"""For the scan only; the direction of the slowness does not depend on it. 331 at 0 degrees C, 349 at 30."""
SOUND_SPEED_SHARE = 0.02
"""1-sigma of the true speed over that, over a year."""
BEFORE_S = 0.0005
AFTER_S = 0.0015
"""The window: from half a millisecond before the front to where reflections begin to matter, as the array sees it."""
TAPER_S = 0.001
"""The window fades out over this time, added to it."""
LOW_HZ = 150.0
HIGH_HZ = 10_000.0
"""Bins used. Blasts have little above, and the steering tables grow with it."""
NOISE_WINDOWS = 10
"""The noise of each bin is the mean over at most so many windows that end before the front."""
MIN_NOISE_WINDOWS = 2
LEAST_NOISE = 1e-7
"""Noise is taken for no lower than this share of the signal: even in digital silence microphones differ by as much."""
SMOOTHED_BINS = 5
"""A blast is several times shorter than the window, so its spectrum is smooth over as many bins."""
SIGNAL_SIGMAS = 3.0
"""A bin whose power stands out by less than this holds no signal: such bins would add noise and false certainty."""
RANK_TOLERANCE = 0.1
"""An array is flat, or straight, when its extent in a direction is below this share of its largest."""
MIN_COHERENCE = 0.85
"""Share of the signal's power that one plane wave explains: above 0.95 for a direct sound at 12 dB, among street echoes
too; what has less is a blend of waves, whose direction is off by several sigmas."""
SPEED_TOLERANCE = 0.1
"""A trace slowness of more than 1.1 times that of sound, and three sigmas, is no plane sound wave."""
MAX_SIGMA_RAD = math.radians(30.0)
"""A bearing wider than this says nothing."""
NEWTON_STEPS = 8
ROUGH_GAIN = 0.1
FINE_GAIN = 0.005
"""Gains of log-likelihood below which a top is reached: a step converges so fast that the next would bring nothing."""
ELEVATIONS_RAD = (0.0, math.radians(35.0), math.radians(65.0))
"""Elevations scanned; arrays that are not flat also look below the horizon."""


@dataclass(frozen=True, slots=True)
class Bearing:
    """The direction that a wavefront comes from, in the array's frame.

    azimuth_rad:    clockwise from the array's +y axis, seen from above
    slowness_spm:   seconds per metre, shape (3,), along the wave's travel; z is zero for flat arrays
    covariance:     of the slowness, shape (3, 3), (s/m)^2
    coherence:      share of the signal's power that this one plane wave explains
    elevation_rad:  above the array's horizontal; a flat array can't tell up from down and gives the magnitude
    """

    azimuth_rad: float
    sigma_rad: float
    slowness_spm: NDArray[np.float64]
    covariance: NDArray[np.float64]
    coherence: float
    elevation_rad: float
    elevation_sigma_rad: float


@dataclass(frozen=True, slots=True)
class NoBearing:
    """Why there is no bearing."""

    reason: str


class BearingScan:
    """Finds bearings with one array at one sample rate; holds the tables that depend on those alone."""

    def __init__(self, microphones_m: NDArray[np.float64], sample_rate_hz: float) -> None:
        """Prepare for microphones of shape (channels, 3), in the array's frame."""
        self.positions_m = microphones_m
        self._rate_hz = sample_rate_hz
        centred = microphones_m - microphones_m.mean(axis=0)
        self._aperture_m = 2.0 * float(np.max(np.linalg.norm(centred, axis=1), initial=0.0))
        self._centred = centred
        self._n_dims = _observable_dimensions(centred)
        transit_s = self._aperture_m / SOUND_SPEED_MPS
        self._wide = _Window.of(transit_s, sample_rate_hz)
        self._narrow = _Window.of(0.0, sample_rate_hz)
        directions = _scan_directions(self._n_dims, self._aperture_m)
        self._slownesses = directions * (-1.0 / SOUND_SPEED_MPS)
        self._azimuths = _Azimuths(np.arctan2(directions[:, 0], directions[:, 1]), _azimuth_step_rad(self._aperture_m))
        delays_s = self._slownesses @ centred.T
        self._steering = np.exp(1j * delays_s[:, :, np.newaxis] * self._wide.omega).astype(np.complex64)

    def find(
        self, samples: NDArray[np.float64], front: int, heard_by: int, channels: NDArray[np.intp]
    ) -> Bearing | NoBearing:
        """The bearing of the front that channel `heard_by` heard at sample `front`, from `channels` only.

        `samples` has the shape (channels, n).
        """
        is_whole = channels.size == len(self.positions_m)
        positions = self._centred if is_whole else self._centred[channels] - self._centred[channels].mean(axis=0)
        n_dims = self._n_dims if is_whole else min(self._n_dims, _observable_dimensions(positions))
        if n_dims < 2:
            return NoBearing("the microphones are too few or stand in line")
        if not is_whole:
            samples = samples[channels]
        wide = self._wide.spectra(samples, np.full(channels.size, front))
        if wide is None:
            return NoBearing("too little sound around the onset")
        wave = _Wavefield.of(self._wide, *wide, positions[:, :n_dims])
        likelihoods = wave.scan(self._steering if is_whole else self._steering[:, channels])
        top = _climb(wave, self._slownesses[int(np.argmax(likelihoods)), :n_dims], ROUGH_GAIN)
        relative = likelihoods - top.likelihood
        # Once more, with a window that moves along with the wave: it can be short without cutting the wave differently
        # at each microphone.
        delays_s = positions[:, :n_dims] @ top.slowness
        shifts = np.round((delays_s - delays_s[channels == heard_by]) * self._rate_hz).astype(np.intp)
        narrow = self._narrow.spectra(samples, front + shifts)
        if narrow is not None:
            wave = _Wavefield.of(self._narrow, *narrow, positions[:, :n_dims])
            top = _climb(wave, top.slowness, FINE_GAIN)
        return _conclude(wave, top, relative, self._azimuths)


@dataclass(frozen=True, slots=True)
class _Azimuths:
    """The azimuth of each direction scanned, and how far apart they lie."""

    azimuths_rad: NDArray[np.float64]
    step_rad: float


@dataclass(frozen=True, slots=True)
class _Top:
    """The top of a hill of likelihood: its slowness (dims,), log-likelihood, and the beam that looks there (bins,)."""

    slowness: NDArray[np.float64]
    likelihood: float
    beam: NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch around the front, the bins of its spectrum that are used, and its fade-out."""

    before: int
    taper: NDArray[np.float64]
    bins: NDArray[np.intp]
    omega: NDArray[np.float64]
    sample_rate_hz: float

    @property
    def noise_share(self) -> float:
        """Mean square of the fading window: the front lies where it is 1, and the noise there is as much stronger."""
        return float(np.mean(self.taper**2))

    @classmethod
    def of(cls, transit_s: float, sample_rate_hz: float) -> "_Window":
        """For a wave that reaches a microphone up to `transit_s` sooner or later than the time that is given for it."""
        before = math.ceil((BEFORE_S + transit_s) * sample_rate_hz)
        length_s = BEFORE_S + AFTER_S + TAPER_S + 2.0 * transit_s
        n_samples = next_fast_len(math.ceil(length_s * sample_rate_hz), real=True)
        n_taper = min(n_samples, math.ceil(TAPER_S * sample_rate_hz))
        taper = np.ones(n_samples)
        taper[-n_taper:] = 0.5 + 0.5 * np.cos(np.pi * (np.arange(n_taper) + 0.5) / n_taper)
        frequencies = np.fft.rfftfreq(n_samples, 1.0 / sample_rate_hz)
        bins = np.flatnonzero((frequencies >= LOW_HZ) & (frequencies <= min(HIGH_HZ, 0.45 * sample_rate_hz)))
        return cls(before, taper, bins, 2.0 * np.pi * frequencies[bins], sample_rate_hz)

    def spectra(
        self, samples: NDArray[np.float64], fronts: NDArray[np.intp]
    ) -> tuple[NDArray[np.complex128], NDArray[np.float64]] | None:
        """Spectra of the window of each channel and the noise power of each bin, both (channels, bins).

        `fronts` is where the front is expected in each channel; phases are relative to one common instant. None where
        there is not sound enough before or after.
        """
        n = self.taper.size
        first = int(fronts.min()) - self.before
        n_noise = min(NOISE_WINDOWS, first // n)
        if n_noise < MIN_NOISE_WINDOWS or int(fronts.max()) - self.before + n > samples.shape[1]:
            return None
        noise = samples[:, first - n_noise * n : first].reshape(samples.shape[0], n_noise, n)
        starts = fronts - self.before
        window = np.stack([row[start : start + n] for row, start in zip(samples, starts, strict=True)])
        pieces = np.concatenate([noise, window[:, np.newaxis]], axis=1)
        pieces = (pieces - pieces[:, :-1].mean(axis=(1, 2), keepdims=True)) * self.taper
        spectra = rfft(pieces, axis=2)[:, :, self.bins[0] : self.bins[-1] + 1]
        power = np.mean(_squares(spectra[:, :-1]), axis=1)
        smooth = power.copy()
        smooth[:, 1:-1] = (power[:, :-2] + power[:, 1:-1] + power[:, 2:]) / 3.0
        floor = max(float(_squares(spectra[:, -1]).max()) * LEAST_NOISE, 1e-18)
        delays_s = (starts - first) / self.sample_rate_hz
        aligned = spectra[:, -1] * np.exp(-1j * np.outer(delays_s, self.omega))
        return aligned, np.maximum(smooth, floor)


@dataclass(frozen=True, slots=True)
class _Wavefield:
    """What the array saw in one window: spectra over noise power, with the weight of each bin.

    spectra:    (channels, bins), already divided by the noise power
    signal:     power of the wave in each bin, (bins,)
    precision:  sum over channels of one over the noise power, (bins,)
    power:      sum over channels of the power over the noise power, (bins,)
    inertia:    (bins, dims, dims), sum over channels of centred position products over the noise power
    omega:      angular frequency of each bin, rad/s
    noise_share: of the window (see there)
    positions:  (channels, dims), centred
    products:   (dims * dims, channels), of the positions with each other
    weights:    of each bin's beam power in the likelihood of a Gaussian signal in Gaussian noise, (bins,)
    """

    spectra: NDArray[np.complex128]
    signal: NDArray[np.float64]
    precision: NDArray[np.float64]
    power: NDArray[np.float64]
    inertia: NDArray[np.float64]
    omega: NDArray[np.float64]
    noise_share: float
    positions: NDArray[np.float64]
    products: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        window: "_Window",
        spectra: NDArray[np.complex128],
        noise: NDArray[np.float64],
        positions: NDArray[np.float64],
    ) -> "_Wavefield":
        """From spectra and noise power, both (channels, bins), and positions (channels, dims)."""
        precision = np.sum(1.0 / noise, axis=0)
        power = np.sum(_squares(spectra) / noise, axis=0)
        raw = (power - spectra.shape[0]) / precision
        smooth = np.convolve(raw, np.full(SMOOTHED_BINS, 1.0 / SMOOTHED_BINS), "same")
        spread = math.sqrt(spectra.shape[0] / SMOOTHED_BINS) / precision
        signal = np.where(smooth > SIGNAL_SIGMAS * spread, smooth, 0.0)
        n_channels, n_dims = positions.shape
        products = (positions[:, :, np.newaxis] * positions[:, np.newaxis]).reshape(n_channels, -1).T
        inertia = (products @ (1.0 / noise)).T.reshape(-1, n_dims, n_dims)
        weights = signal / (1.0 + signal * precision)
        return cls(
            spectra / noise,
            signal,
            precision,
            power,
            inertia,
            window.omega,
            window.noise_share,
            positions,
            products,
            weights,
        )

    def scan(self, steering: NDArray[np.complex64]) -> NDArray[np.float64]:
        """Log-likelihood of each direction of a steering table (directions, channels, bins)."""
        beams = np.einsum("dmf,mf->df", steering, self.spectra.astype(np.complex64))
        likelihoods: NDArray[np.float64] = _squares(beams).astype(np.float64) @ self.weights
        return likelihoods

    def derivatives(
        self, slowness: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.complex128]]:
        """Log-likelihood at a slowness with gradient (dims,) and Hessian (dims, dims), and the beam (bins,)."""
        steered = self.spectra * np.exp(1j * np.outer(self.positions @ slowness, self.omega))
        beam = steered.sum(axis=0)
        weighted = self.weights * beam.conj()
        turning = self.omega * weighted
        moments = self.positions.T @ steered
        gradient = -2.0 * (moments @ turning).imag
        likelihood = float((weighted @ beam).real)
        squares = (self.omega**2 * self.weights * moments) @ moments.conj().T
        bend = (self.products @ (steered @ (self.omega * turning))).reshape(squares.shape)
        hessian = 2.0 * (squares - bend).real
        return likelihood, gradient, hessian, beam

    def information(self, beam: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Fisher information of the slowness, (dims, dims), at the signal in `beam`, less what the noise adds to it."""
        signal = _squares(beam) / self.precision**2 - 1.0 / self.precision
        share = self.signal * self.precision / (1.0 + self.signal * self.precision)
        per_bin = 2.0 * self.noise_share * self.omega**2 * signal * share
        matrix: NDArray[np.float64] = np.einsum("f,fkl->kl", per_bin, self.inertia)
        return matrix


def _observable_dimensions(positions: NDArray[np.float64]) -> int:
    """3 for an array with height, 2 for one with an extent in the horizontal plane, less for a line or a point."""
    if len(positions) < 3:
        return min(1, len(positions) - 1)
    horizontal = np.linalg.svd(positions[:, :2], compute_uv=False)
    if horizontal[1] < RANK_TOLERANCE * horizontal[0] or horizontal[0] <= 0.0:
        return 1
    extents = np.linalg.svd(positions, compute_uv=False)
    return 3 if len(positions) > 3 and extents[2] >= RANK_TOLERANCE * extents[0] else 2


def _scan_directions(n_dims: int, aperture_m: float) -> NDArray[np.float64]:
    """Unit vectors to look at, (directions, 3), a third of a beam of 3 kHz apart."""
    n_azimuths = round(2.0 * np.pi / _azimuth_step_rad(aperture_m))
    azimuths = np.linspace(0.0, 2.0 * np.pi, n_azimuths, endpoint=False)
    elevations = np.array((*ELEVATIONS_RAD, -ELEVATIONS_RAD[1]) if n_dims == 3 else ELEVATIONS_RAD)
    elevation, azimuth = np.meshgrid(elevations, azimuths, indexing="ij")
    flat = np.cos(elevation)
    directions = np.stack([flat * np.sin(azimuth), flat * np.cos(azimuth), np.sin(elevation)], axis=-1)
    table: NDArray[np.float64] = directions.reshape(-1, 3)
    return table


def _azimuth_step_rad(aperture_m: float) -> float:
    """A third of a beam of 3 kHz or less, a whole number of times in the circle."""
    step_rad = min(math.radians(6.0), SOUND_SPEED_MPS / 3_000.0 / max(aperture_m, 0.01) / 3.0)
    return 2.0 * math.pi / min(360, math.ceil(2.0 * math.pi / step_rad))


def _climb(wave: _Wavefield, slowness: NDArray[np.float64], least_gain: float) -> _Top:
    """Newton's method to the top of the hill, each step halved until it leads up, until one brings `least_gain`."""
    likelihood, gradient, hessian, beam = wave.derivatives(slowness)
    for _ in range(NEWTON_STEPS):
        step = _newton_step(gradient, hessian)
        step *= min(1.0, 0.2 / SOUND_SPEED_MPS / max(float(np.linalg.norm(step)), 1e-12))
        for _ in range(4):
            trial = wave.derivatives(slowness + step)
            if trial[0] >= likelihood:
                break
            step = step / 2.0
        else:
            break
        gain = trial[0] - likelihood
        slowness = slowness + step
        likelihood, gradient, hessian, beam = trial
        if gain < least_gain:
            break
    return _Top(slowness, likelihood, beam)


def _newton_step(gradient: NDArray[np.float64], hessian: NDArray[np.float64]) -> NDArray[np.float64]:
    """The step to the top of a hill of this slope and curvature, or uphill where it is not bowed downwards."""
    if gradient.size == 2:
        (a, b), (_, c) = (-hessian).tolist()
        determinant = a * c - b * b
        if a > 0.0 and determinant > 1e-6 * (a + c) ** 2:
            along, across = gradient.tolist()
            newton: NDArray[np.float64] = np.array([c * along - b * across, a * across - b * along]) / determinant
            return newton
    curvature, axes = np.linalg.eigh(-hessian)
    # Where the hill is not yet bowed downwards, follow the slope instead of running from the top.
    curvature = np.maximum(np.abs(curvature), 1e-6 * np.abs(curvature).max() + 1e-12)
    step: NDArray[np.float64] = axes @ ((axes.T @ gradient) / curvature)
    return step


def _squares(values: NDArray[np.complexfloating[Any, Any]]) -> NDArray[np.floating[Any]]:
    """Squared magnitudes."""
    squares: NDArray[np.floating[Any]] = values.real**2 + values.imag**2
    return squares


def _conclude(wave: _Wavefield, top: _Top, relative: NDArray[np.float64], scanned: _Azimuths) -> Bearing | NoBearing:
    """Test the top of the hill against one plane sound wave and give it its error.

    `relative` is the log-likelihood of each scanned slowness less that of the top.
    """
    n_channels, n_bins = wave.spectra.shape
    slowness = top.slowness
    explained = _squares(top.beam) / wave.precision
    signal_power = max(float(np.sum(wave.power - n_channels)), 1e-9)
    coherence = min(1.0, max(0.0, float(np.sum(explained - 1.0)) / signal_power))
    if coherence < MIN_COHERENCE:
        return NoBearing("not one plane wave")
    misfit = float(np.sum(wave.power - explained)) / ((n_channels - 1) * n_bins)
    information = wave.information(top.beam)
    if float(np.linalg.eigvalsh(information)[0]) <= 0.0:
        return NoBearing("no signal above the noise")
    covariance = np.linalg.inv(information) * max(1.0, misfit)
    speed_ratio = float(np.linalg.norm(slowness)) * SOUND_SPEED_MPS
    direction = slowness / max(float(np.linalg.norm(slowness)), 1e-9)
    ratio_sigma = SOUND_SPEED_MPS * math.sqrt(float(direction @ covariance @ direction))
    if speed_ratio > 1.0 + SPEED_TOLERANCE + 3.0 * ratio_sigma:
        return NoBearing("slower across the array than sound")
    return _bearing(slowness, covariance, coherence, relative, scanned)


def _bearing(
    slowness: NDArray[np.float64],
    covariance: NDArray[np.float64],
    coherence: float,
    relative: NDArray[np.float64],
    scanned: _Azimuths,
) -> Bearing | NoBearing:
    azimuth = math.atan2(-slowness[0], -slowness[1])
    flat = max(float(np.hypot(slowness[0], slowness[1])), 1e-9)
    across = np.array([-slowness[1], slowness[0]]) / flat**2
    variance = float(across @ covariance[:2, :2] @ across)
    variance += _far_hills(azimuth, math.sqrt(variance), relative, scanned)
    if variance > MAX_SIGMA_RAD**2:
        return NoBearing("several directions fit equally well")
    full = np.zeros(3)
    full[: slowness.size] = slowness
    spread = np.zeros((3, 3))
    spread[: slowness.size, : slowness.size] = covariance
    if slowness.size < 3:
        return Bearing(azimuth, math.sqrt(variance), full, spread, coherence, *_flat_elevation(slowness, covariance))
    norm = float(np.linalg.norm(slowness))
    up = np.array([0.0, 0.0, 1.0]) - slowness * slowness[2] / norm**2
    slope = up / max(flat, 1e-9)
    elevation_sigma = math.sqrt(float(slope @ covariance @ slope))
    elevation = math.asin(-slowness[2] / norm)
    return Bearing(azimuth, math.sqrt(variance), full, spread, coherence, elevation, elevation_sigma)


def _flat_elevation(slowness: NDArray[np.float64], covariance: NDArray[np.float64]) -> tuple[float, float]:
    """Elevation and its 1-sigma from how slowly a wave crosses the array's plane: cos e = |s| c.

    Near the horizontal the cosine hardly changes: the sigma there is such that the horizontal lies as many sigmas away
    in elevation as it does in the cosine.
    """
    norm = max(float(np.linalg.norm(slowness)), 1e-12)
    cosine = min(norm * SOUND_SPEED_MPS, 1.0)
    along = slowness / norm
    cosine_sigma = math.hypot(
        SOUND_SPEED_MPS * math.sqrt(float(along @ covariance @ along)), cosine * SOUND_SPEED_SHARE
    )
    sine = math.sqrt(1.0 - cosine**2)
    may_be_level = 1.0 - cosine < 3.0 * cosine_sigma
    sigma = (2.0 if may_be_level else 1.0) * cosine_sigma / max(sine, math.sqrt(2.0 * cosine_sigma))
    return math.acos(cosine), min(sigma, math.pi / 4.0)


def _far_hills(azimuth: float, sigma: float, relative: NDArray[np.float64], scanned: _Azimuths) -> float:
    """Variance, rad^2, that directions beyond the hill add by being nearly as likely as its top."""
    away = (scanned.azimuths_rad - azimuth + np.pi) % (2.0 * np.pi) - np.pi
    likelihood = np.exp(np.minimum(relative, 0.0))
    step = scanned.step_rad
    far = np.abs(away) > max(4.0 * sigma, 2.0 * step)
    hill = max(math.sqrt(2.0 * np.pi) * sigma / step, 1e-3)
    mass = likelihood[far] / (likelihood[far].sum() + hill)
    return float(np.sum(mass * away[far] ** 2))
