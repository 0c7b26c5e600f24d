"""A simulated world: emissions of a schedule, rendered for each node and laid over its background, block by block."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.model.air import Air
from appliance.model.audio import AudioBlock
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.model.space import NodePose
from appliance.physics.ambience import background, digitise
from appliance.scene.emissions import Emission
from appliance.scene.rendering import ArraySite, Rendered, Renderer
from appliance.scene.world import INT16_FULL_SCALE, WorldNode
from appliance.wire.truth import Truth, TruthOther, TruthShot

LOOP_SAMPLES = 2**18
"""Background noise is made once and repeated: 16 s at 16 kHz, seamless."""
FRESH_NOISE = 0.1
"""Share of new white noise in the background, so that no two repetitions are equal."""
AHEAD_S = 6.0
"""How long before its time an emission is rendered at the earliest."""
NODES_PER_JOB = 4
"""Before they are due, emissions are rendered for one node a block, or for a quarter of all: it levels the work."""
LONG_JOBS: Mapping[str, int] = {"thunder": 4, "vehicle": 4}
"""What lasts for ten seconds costs as much as so many others."""
CAR_LEAD_S = 8.0
"""A passing car is heard before its time; this is more than half its `CAR_S`."""


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """What a simulated world is made of.

    full_scale_dbspl:  peak level of the largest sample of the nodes' converters
    clock_sigma_ns:    what the nodes believe of their clocks
    """

    air: Air = field(default_factory=lambda: Air(temperature_c=22.0, wind_east_mps=1.2, wind_north_mps=-0.6))
    sample_rate_hz: int = 16_000
    block_s: float = 0.1
    street_dba: float = 48.0
    full_scale_dbspl: float = 120.0
    rail: float = 1.0
    clock_sigma_ns: int = 1_000


@dataclass(order=True, slots=True)
class _Job:
    """An emission still to be rendered for one node, ordered by when it is due."""

    due_s: float
    index: int
    site: int
    emission: Emission = field(compare=False)


class SimulatedWorld:
    """Synthesises what each node hears of a schedule of emissions. The same seed gives the same samples."""

    def __init__(
        self,
        renderer: Renderer,
        sites: Sequence[tuple[ArraySite, NodePose]],
        schedule: Iterator[Emission],
        settings: WorldSettings,
        *,
        start_ns: int,
        seed: int,
    ) -> None:
        """State the world; `schedule` is in order of time, in seconds after `start_ns`, and may be endless."""
        self._renderer = renderer
        self._sites = [site for site, _ in sites]
        self._settings = settings
        self._start_ns = start_ns
        self._schedule = schedule
        self._coming: Emission | None = next(schedule, None)
        self._block_samples = round(settings.block_s * settings.sample_rate_hz)
        self._next_sample = 0
        self._jobs: list[_Job] = []
        self._sounding: list[list[Rendered]] = [[] for _ in sites]
        self._emitted: list[Emission] = []
        self._rngs = [np.random.default_rng([seed, 7, i]) for i in range(len(sites))]
        self._loops = [self._background(site, rng) for site, rng in zip(self._sites, self._rngs, strict=True)]
        rate_hz = float(settings.sample_rate_hz)
        self._nodes = tuple(WorldNode(site.node, pose, site.geometry, rate_hz) for site, pose in sites)

    @property
    def nodes(self) -> tuple[WorldNode, ...]:
        """Who listens, with the poses that they believe."""
        return self._nodes

    @property
    def air(self) -> Air:
        """The true temperature and wind, with the errors of a modest weather station."""
        air = self._settings.air
        return Air(air.temperature_c, air.wind_east_mps, air.wind_north_mps, 1.0, 1.5)

    @property
    def block_s(self) -> float:
        """Seconds of sound in a block."""
        return self._settings.block_s

    @property
    def emitted(self) -> tuple[Emission, ...]:
        """What has been taken from the schedule so far: the truth, for those who judge, never for nodes."""
        return tuple(self._emitted)

    def advance(self) -> Mapping[str, AudioBlock]:
        """The next block of every node."""
        first = self._next_sample
        end_s = (first + self._block_samples) / self._settings.sample_rate_hz
        self._plan(end_s + AHEAD_S)
        self._work(end_s)
        self._next_sample += self._block_samples
        return {site.node: self._block(i, first) for i, site in enumerate(self._sites)}

    def _plan(self, until_s: float) -> None:
        """Turn what is scheduled up to `until_s` into jobs, one per node."""
        while self._coming is not None and self._coming.time_s - CAR_LEAD_S < until_s:
            emission, index = self._coming, len(self._emitted)
            self._emitted.append(emission)
            for i, site in enumerate(self._sites):
                heapq.heappush(self._jobs, _Job(self._renderer.arrival_s(emission, site), index, i, emission))
            self._coming = next(self._schedule, None)

    def _work(self, end_s: float) -> None:
        """Render all jobs that are due by the end of this block, and a few of those to come."""
        spare = 1 + len(self._sites) // NODES_PER_JOB
        while self._jobs and (self._jobs[0].due_s < end_s or spare > 0):
            job = heapq.heappop(self._jobs)
            spare -= LONG_JOBS.get(job.emission.sound, 1)
            self._sounding[job.site] += self._renderer.render(job.emission, job.index, self._sites[job.site])

    def _block(self, i: int, first: int) -> AudioBlock:
        n = self._block_samples
        rng = self._rngs[i]
        loop = self._loops[i]
        pressure_pa = loop[:, (first + np.arange(n)) % loop.shape[1]]
        pressure_pa += rng.standard_normal(pressure_pa.shape, dtype=np.float32) * self._fresh_pa(loop)
        for sound in self._sounding[i]:
            _add(pressure_pa, first, sound)
        self._sounding[i] = [s for s in self._sounding[i] if s.first_sample + s.pressure_pa.shape[1] > first + n]
        settings = self._settings
        samples = digitise(pressure_pa, settings.full_scale_dbspl, rng, rail=settings.rail)
        return AudioBlock(
            samples=samples.astype(np.float32) / np.float32(INT16_FULL_SCALE),
            first_sample=first,
            sample_rate_hz=float(settings.sample_rate_hz),
            start_ns=UtcNs(self._start_ns + first * NS_PER_S // settings.sample_rate_hz),
            sigma_ns=settings.clock_sigma_ns,
        )

    def _background(self, site: ArraySite, rng: np.random.Generator) -> NDArray[np.float32]:
        air = self._settings.air
        wind_mps = float(np.hypot(air.wind_east_mps, air.wind_north_mps))
        loop = background(
            LOOP_SAMPLES,
            site.microphones_enu_m(),
            float(self._settings.sample_rate_hz),
            rng,
            level_dba=self._settings.street_dba + float(rng.normal(0.0, 2.0)),
            wind_mps=wind_mps,
        )
        return loop.astype(np.float32)

    def _fresh_pa(self, loop: NDArray[np.float32]) -> np.float32:
        return np.float32(FRESH_NOISE * float(np.std(loop[0, :4_096])))


def truth_of(emissions: Sequence[Emission], start_ns: int, place: "PlaceOf") -> Truth:
    """Emissions as a truth file has them."""
    shots: list[TruthShot] = []
    other: list[TruthOther] = []
    for emission in emissions:
        time_ns = start_ns + round(emission.time_s * NS_PER_S)
        lat, lon, alt_m = place(emission.place_m)
        if emission.kind == "shot":
            shots.append(TruthShot(time_ns, lat, lon, alt_m, emission.shooter, emission.weapon))
        else:
            other.append(TruthOther(time_ns, lat, lon, emission.kind, alt_m))
    return Truth(tuple(shots), tuple(other))


class PlaceOf(Protocol):
    """Turns a place of the world into latitude, longitude and height."""

    def __call__(self, place_m: tuple[float, float, float], /) -> tuple[float, float, float]:
        """Degrees, degrees, metres."""


def _add(pressure_pa: NDArray[np.float32], first: int, sound: Rendered) -> None:
    """Add the part of a sound that falls into the block that begins at sample `first`."""
    n, length = pressure_pa.shape[1], sound.pressure_pa.shape[1]
    begin, end = max(sound.first_sample, first), min(sound.first_sample + length, first + n)
    if begin < end:
        pressure_pa[:, begin - first : end - first] += sound.pressure_pa[
            :, begin - sound.first_sample : end - sound.first_sample
        ]
