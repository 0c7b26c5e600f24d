"""Emissions as a node's array hears them: the waveform at each microphone, and when it begins there."""

import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.model.air import Air
from appliance.model.audio import ArrayGeometry
from appliance.physics import confusers
from appliance.physics.air import sound_speed_mps
from appliance.physics.attenuation import Floats
from appliance.physics.blasts import (
    ONSET_SAMPLES,
    WEAPONS,
    Sound,
    Weapon,
    muzzle_blast,
    shock_arrival,
    shock_wave,
)
from appliance.physics.outdoors import (
    LEAD_SAMPLES,
    Listener,
    Response,
    SoundPath,
    convolve,
    fast_length,
    impulse_response,
    turbulence_delay_s,
    turbulence_gain,
)
from appliance.physics.propagation import travel_time_s
from appliance.scene.emissions import Emission
from appliance.scene.town import Town
from appliance.scene.tracing import Trace, free_range_m, trace

MAX_RESPONSES = 96
"""Responses kept for further rounds from the same place: some incidents of a mesh of 25."""
PLACE_GRID_M = 2.0
"""Places closer than this share their echoes; the direct sound is timed for each exactly."""
BULLET_RANGE_M = 500.0
"""Where a bullet that hits no house ends at the latest."""
CAR_MPS = 12.0
CAR_S = 14.0
"""Speed of a passing car, and how long it is heard."""

SOUNDS: Mapping[str, Callable[[float, np.random.Generator, float], Sound]] = {
    "burst": lambda rate_hz, rng, distance_m: confusers.firework_burst(rate_hz, rng, distance_m=distance_m),
    "lift": lambda rate_hz, rng, distance_m: confusers.firework_lift(rate_hz, rng, distance_m=distance_m),
    "crackle": lambda rate_hz, rng, _: confusers.firework_crackle(rate_hz, rng),
    "crackers": lambda rate_hz, rng, _: confusers.cracker_string(rate_hz, rng),
    "whistle": lambda rate_hz, rng, _: confusers.firework_whistle(rate_hz, rng),
    "impact": lambda rate_hz, rng, _: confusers.impact(rate_hz, rng),
    "bark": lambda rate_hz, rng, _: confusers.bark(rate_hz, rng),
    "voice": lambda rate_hz, rng, _: confusers.voice(rate_hz, rng),
}
"""Sounds from a point, by the word that an emission uses: (rate, generator, distance) to sound."""


@dataclass(frozen=True, slots=True)
class ArraySite:
    """Where an array really stands (ENU around the town's origin) and points, whatever its node believes."""

    node: str
    place_m: tuple[float, float, float]
    heading_deg: float
    geometry: ArrayGeometry

    def microphones_enu_m(self) -> Floats:
        """Offsets of the microphones from the array's centre, ENU, shape (channels, 3)."""
        heading_rad = np.radians(self.heading_deg)
        right = np.array([np.cos(heading_rad), -np.sin(heading_rad), 0.0])
        forward = np.array([np.sin(heading_rad), np.cos(heading_rad), 0.0])
        offsets: Floats = np.array(self.geometry.microphones_m) @ np.stack([right, forward, [0.0, 0.0, 1.0]])
        return offsets


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """A waveform at an array, pascal, float32, shape (channels, n), and the world's sample at which it begins."""

    first_sample: int
    pressure_pa: NDArray[np.float32]


class Renderer:
    """Renders emissions for arrays in one town. Results depend on seed and index alone, never on the order of calls."""

    def __init__(self, town: Town, air: Air, sample_rate_hz: float, seed: int) -> None:
        """State the world; `air` is the true one."""
        self._town = town
        self._air = air
        self._speed_mps = sound_speed_mps(air.temperature_c)
        self._rate_hz = sample_rate_hz
        self._seed = seed
        self._responses: OrderedDict[tuple[object, ...], Response] = OrderedDict()

    def arrival_s(self, emission: Emission, site: ArraySite) -> float:
        """When the first sound of an emission may reach an array, for the order of work; never too late."""
        if emission.sound == "vehicle":
            return emission.time_s - CAR_S / 2.0
        if emission.sound == "thunder":
            return emission.time_s + self._distance_m(emission, site) / self._speed_mps * 0.5
        # No wind of this world blows at a tenth of the speed of sound, and no bullet flies faster than 1 km/s.
        fastest_mps = 1_000.0 if emission.weapon else 1.1 * self._speed_mps
        return emission.time_s + self._distance_m(emission, site) / fastest_mps - 0.01

    def render(self, emission: Emission, index: int, site: ArraySite) -> list[Rendered]:
        """What the array hears of the emission, the `index`-th of its world."""
        rng = np.random.default_rng([self._seed, index, _number(site.node)])
        if emission.sound == "thunder":
            return [self._thunder(emission, index, site)]
        if emission.sound == "vehicle":
            return [self._car(emission, index, site, rng)]
        if emission.sound == "muzzle blast":
            return self._shot(emission, index, site, rng)
        distance_m = self._distance_m(emission, site)
        sound = SOUNDS[emission.sound](self._rate_hz, self._own_rng(index), distance_m)
        return [self._from_point(emission, sound, site, rng)]

    def _shot(self, emission: Emission, index: int, site: ArraySite, rng: np.random.Generator) -> list[Rendered]:
        weapon = WEAPONS[emission.weapon]
        offset_m = np.array(site.place_m) - np.array(emission.place_m)
        distance_m = max(float(np.linalg.norm(offset_m)), 1.0)
        off_axis_rad = float(np.arccos(np.clip(offset_m @ np.array(emission.aim) / distance_m, -1.0, 1.0)))
        blast = muzzle_blast(
            weapon, self._rate_hz, self._own_rng(index), off_axis_rad=off_axis_rad, distance_m=distance_m
        )
        heard = [self._from_point(emission, blast, site, rng)]
        shock = self._shock(emission, weapon, site, rng)
        return [*heard, shock] if shock is not None else heard

    def _own_rng(self, index: int) -> np.random.Generator:
        """What belongs to the emission itself is the same for every array."""
        return np.random.default_rng([self._seed, index])

    def _from_point(self, emission: Emission, sound: Sound, site: ArraySite, rng: np.random.Generator) -> Rendered:
        source_m, array_m = np.array(emission.place_m), np.array(site.place_m)
        wind_mps = (self._air.wind_east_mps, self._air.wind_north_mps)
        travel_s = float(travel_time_s(source_m, array_m, self._speed_mps, wind_mps))
        distance_m = self._distance_m(emission, site)
        at_s = emission.time_s + travel_s + turbulence_delay_s(distance_m, rng)
        response = self._response(emission.stand_m or emission.place_m, site)
        return self._placed(sound, response, at_s, turbulence_gain(distance_m, rng))

    def _response(self, place_m: tuple[float, float, float], site: ArraySite) -> Response:
        cell = tuple(round(v / PLACE_GRID_M) for v in place_m)
        key = (cell, site.node)
        known = self._responses.get(key)
        if known is not None:
            self._responses.move_to_end(key)
            return known
        rng = np.random.default_rng([self._seed, *(v + 1_000_000 for v in cell), _number(site.node)])
        centre_m = np.maximum(np.array(cell) * PLACE_GRID_M, [-np.inf, -np.inf, 0.5])
        traced = self._trace(centre_m, np.array(site.place_m), rng)
        response = impulse_response(traced.paths, traced.tails, self._listener(site), self._air, rng)
        self._responses[key] = response
        if len(self._responses) > MAX_RESPONSES:
            self._responses.popitem(last=False)
        return response

    def _trace(self, source_m: Floats, array_m: Floats, rng: np.random.Generator) -> Trace:
        town = self._town
        return trace(town, town.from_enu(source_m), town.from_enu(array_m), self._air, rng)

    def _listener(self, site: ArraySite) -> Listener:
        return Listener(site.microphones_enu_m(), self._rate_hz)

    def _placed(self, sound: Sound, response: Response, at_s: float, gain: float) -> Rendered:
        """A sound whose onset, on the response's time zero, reaches the array at `at_s`, exact to a fraction."""
        at = at_s * self._rate_hz - ONSET_SAMPLES - LEAD_SAMPLES
        first = int(np.floor(at))
        heard = convolve(_delayed(sound.pressure_pa, at - first), response) * gain
        return Rendered(first, heard.astype(np.float32))

    def _shock(self, emission: Emission, weapon: Weapon, site: ArraySite, rng: np.random.Generator) -> Rendered | None:
        """The shock wave, from where on the bullet's path it leaves for this array, past what stands between."""
        muzzle_m, aim, array_m = np.array(emission.place_m), np.array(emission.aim), np.array(site.place_m)
        if weapon.bullet_diameter_m == 0.0:
            return None
        free_m = free_range_m(self._town, self._town.from_enu(muzzle_m), self._town.from_enu(aim), BULLET_RANGE_M)
        arrival = shock_arrival(muzzle_m, aim, array_m, weapon.bullet_mps, self._speed_mps, free_m)
        if arrival is None:
            return None
        traced = self._trace(muzzle_m + aim * arrival.from_m, array_m, rng)
        direct = traced.paths[0]
        # The N-wave is stated where it is heard: spreading is in it, and the way's own is taken out again.
        paths = [
            SoundPath(p.length_m, p.delay_s, p.towards, p.gain * direct.length_m, p.detour_m, p.heights_m)
            for p in traced.paths
        ]
        response = impulse_response(paths, (), self._listener(site), self._air, rng)
        wave = shock_wave(weapon, arrival.miss_m, self._speed_mps, self._rate_hz)
        at_s = emission.time_s + arrival.delay_s + turbulence_delay_s(direct.length_m, rng)
        return self._placed(wave, response, at_s, turbulence_gain(direct.length_m, rng))

    def _thunder(self, emission: Emission, index: int, site: ArraySite) -> Rendered:
        channel = confusers.lightning(emission.place_m[:2], self._own_rng(index))
        array_m = np.array(site.place_m)
        first_s, pressure_pa = confusers.thunder_at(channel, array_m, self._rate_hz, self._speed_mps)
        nearest = channel.points_m[np.argmin(np.linalg.norm(channel.points_m - array_m, axis=1))]
        towards = (nearest - array_m) / np.linalg.norm(nearest - array_m)
        response = self._plane_wave(site, towards)
        return self._placed(Sound(pressure_pa, self._rate_hz), response, emission.time_s + first_s, 1.0)

    def _car(self, emission: Emission, index: int, site: ArraySite, rng: np.random.Generator) -> Rendered:
        """A car that drives through `place_m` at `time_s`; its level follows its distance, 1 / r as from a point."""
        sound = confusers.vehicle(self._rate_hz, CAR_S, self._own_rng(index))
        n = len(sound.pressure_pa)
        along_m = CAR_MPS * (np.arange(n) / self._rate_hz - CAR_S / 2.0)
        track_m = np.array(emission.place_m) + along_m[:, None] * np.array(emission.aim)
        distance_m = np.maximum(np.linalg.norm(track_m - np.array(site.place_m), axis=1), 2.0)
        fade = np.clip(np.minimum(np.arange(n), n - np.arange(n)) / self._rate_hz, 0.0, 1.0)
        nearest = int(np.argmin(distance_m))
        towards = (track_m[nearest] - np.array(site.place_m)) / distance_m[nearest]
        delay_s = float(distance_m[nearest]) / self._speed_mps
        heard = Sound(sound.pressure_pa * fade / distance_m, self._rate_hz)
        at_s = emission.time_s - CAR_S / 2.0 + delay_s
        return self._placed(
            heard, self._plane_wave(site, towards), at_s, turbulence_gain(float(distance_m[nearest]), rng)
        )

    def _plane_wave(self, site: ArraySite, towards: Floats) -> Response:
        """What has come its way already: only the array's own delays are left."""
        path = SoundPath(1.0, 0.0, (float(towards[0]), float(towards[1]), float(towards[2])))
        rng = np.random.default_rng(0)  # a single path draws nothing from it
        return impulse_response([path], (), self._listener(site), self._air, rng)

    def _distance_m(self, emission: Emission, site: ArraySite) -> float:
        return float(np.linalg.norm(np.array(site.place_m) - np.array(emission.place_m)))


def _delayed(pressure_pa: Floats, fraction: float) -> Floats:
    """The sound later by a fraction of a sample."""
    n = fast_length(len(pressure_pa) + 2)
    phase = np.exp(-2j * np.pi * np.fft.rfftfreq(n) * fraction)
    shifted: Floats = np.fft.irfft(np.fft.rfft(pressure_pa, n) * phase, n)[: len(pressure_pa) + 2]
    return shifted


def _number(node: str) -> int:
    """A number for a node's name, the same in every run."""
    return zlib.crc32(node.encode())
