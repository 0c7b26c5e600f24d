"""Sounds of simulated towns, as the demonstration's nodes hear them: what is fired, thrown or slammed, past houses."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from appliance.model.air import Air
from appliance.model.classes import SoundClass
from appliance.physics.blasts import ONSET_SAMPLES
from appliance.physics.outdoors import LEAD_SAMPLES
from appliance.scene.emissions import DISTURBANCES, GUNFIRE, Emission, disturbance, gunfire
from appliance.scene.neighbourhood import SINGLE_MICROPHONE, NetSettings, make_net, reach_of
from appliance.scene.rendering import ArraySite, Rendered, Renderer
from training.corpus import WORK_RATE_HZ
from training.onsets import find_onsets, refine_onset
from training.outdoors import excerpt

CLASS_OF_KIND = {
    "shot": SoundClass.GUNSHOT,
    "firework": SoundClass.FIREWORK,
    "thunder": SoundClass.THUNDER,
    "impact": SoundClass.IMPACT,
    "vehicle": SoundClass.VEHICLE,
    "voice": SoundClass.VOICE,
    "dog": SoundClass.OTHER,
}
_N_NODES = 5
_HAPPENINGS_PER_TOWN = 36
_NODES_PER_HAPPENING = 2
_ONSETS_PER_NODE = 3
_ECHO_SHARE = 0.25


def town_sounds(seed: int) -> Iterator[tuple[SoundClass, NDArray[np.float64]]]:
    """Endless excerpts, onset at `outdoors.BEFORE`, in pascal, without background, from one town after another."""
    rng = np.random.default_rng(seed)
    while True:
        net = NetSettings(_N_NODES, float(rng.uniform(120.0, 320.0)), SINGLE_MICROPHONE)
        town, placed = make_net(net, rng)
        sites = [site for site, _ in placed]
        air = Air(rng.uniform(-5.0, 35.0), *rng.normal(0.0, 2.0, 2))
        renderer = Renderer(town, air, float(WORK_RATE_HZ), int(rng.integers(1 << 31)))
        sorts = [*GUNFIRE, *DISTURBANCES, *DISTURBANCES]
        for k in range(_HAPPENINGS_PER_TOWN):
            sort = sorts[k % len(sorts)]
            happen = gunfire if sort in GUNFIRE else disturbance
            emissions = happen(town, sort, reach_of(placed), rng)
            for chosen in rng.permutation(len(sites))[:_NODES_PER_HAPPENING]:
                yield from _heard_at(rng, renderer, emissions, sites[chosen], 100 * k)


def _heard_at(
    rng: np.random.Generator, renderer: Renderer, emissions: list[Emission], site: ArraySite, first_index: int
) -> Iterator[tuple[SoundClass, NDArray[np.float64]]]:
    """Some of the onsets that one node hears of one happening, each with all the rest of the happening around it."""
    rendered: list[tuple[Emission, Rendered]] = []
    for k, emission in enumerate(emissions):
        rendered.extend((emission, r) for r in renderer.render(emission, first_index + k, site))
    origin = min(r.first_sample for _, r in rendered)
    end = max(r.first_sample + r.pressure_pa.shape[1] for _, r in rendered)
    heard = np.zeros(end - origin, dtype=np.float32)
    for _, r in rendered:
        heard[r.first_sample - origin :][: r.pressure_pa.shape[1]] += r.pressure_pa[0]
    for chosen in rng.permutation(len(rendered))[:_ONSETS_PER_NODE]:
        emission, r = rendered[chosen]
        onset = r.first_sample - origin + ONSET_SAMPLES + LEAD_SAMPLES
        if emission.kind == "vehicle":
            onset = int(rng.integers(len(heard)))
        elif rng.random() < _ECHO_SHARE:
            onset = _echo(rng, heard, onset)
        yield CLASS_OF_KIND[emission.kind], excerpt(heard, refine_onset(heard, WORK_RATE_HZ, onset))


def _echo(rng: np.random.Generator, heard: NDArray[np.float32], onset: int) -> int:
    """A later rise within a second, if there is one."""
    segment = heard[onset : onset + WORK_RATE_HZ]
    later = [s for s in find_onsets(segment, WORK_RATE_HZ) if s > WORK_RATE_HZ // 50]
    return onset + later[rng.integers(len(later))] if later else onset
