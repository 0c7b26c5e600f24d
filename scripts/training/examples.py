"""From recordings and simulations to labelled patches: the training set, and the fixed test set.

Every example belongs to a cell: its fold (of five, by group) and whether it is held out from the committed model.
The noise under it comes from the same cell, so that leaving a fold out leaves all of its sound out.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.dsp.features import PATCH_SHAPE, log_mel_patch
from appliance.model.classes import CLASSES, SoundClass
from training import simulated, towns
from training.corpus import STREET, WORK_RATE_HZ, Onset, Recording
from training.outdoors import EXCERPT_SAMPLES, Backgrounds, Way, excerpt, through_outdoors

N_FOLDS = 5
PATCH_LEVELS = 255

_STREET_ADDS = Way((1.0, 300.0), 0.5, (5.0, 40.0))
_JITTER_S = 0.003
_N_TOWN_SOUNDS = 7_000
_MAX_TOWN_SHARE = 0.35
_CONTINUOUS_LEAD_S = 0.3


@dataclass(frozen=True, slots=True)
class Plan:
    """How many examples of a class are made from recordings and by simulation, and the way that they come."""

    n_recorded: int
    n_simulated: int
    maker: simulated.Maker | None
    way: Way
    untouched_share: float
    anywhere_share: float = 0.0


PLANS = {
    SoundClass.GUNSHOT: Plan(7_000, 3_000, simulated.gunshot, Way((5.0, 900.0), 0.8, (2.0, 40.0)), 0.1),
    SoundClass.FIREWORK: Plan(3_000, 4_500, simulated.firework, Way((10.0, 1_500.0), 0.7, (2.0, 40.0)), 0.1),
    SoundClass.THUNDER: Plan(2_500, 1_200, simulated.thunder, Way((10.0, 2_000.0), 0.5, (2.0, 40.0)), 0.3),
    SoundClass.IMPACT: Plan(4_500, 3_000, simulated.impact, Way((2.0, 200.0), 0.7, (2.0, 40.0)), 0.2),
    SoundClass.VEHICLE: Plan(2_500, 1_000, simulated.vehicle, Way((5.0, 200.0), 0.5, (2.0, 40.0)), 0.3, 0.3),
    SoundClass.VOICE: Plan(2_500, 0, None, Way((2.0, 150.0), 0.6, (2.0, 40.0)), 0.3, 0.2),
    SoundClass.OTHER: Plan(5_500, 1_500, simulated.fault, Way((2.0, 200.0), 0.5, (2.0, 40.0)), 0.5, 0.3),
}


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """`patches` uint8 (n, *PATCH_SHAPE), 255 the loudest; `classes` index into CLASSES; `folds`; `held_out`."""

    patches: NDArray[np.uint8]
    classes: NDArray[np.int64]
    folds: NDArray[np.int64]
    held_out: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cell:
    """What an example must not be split from."""

    fold: int
    held_out: bool


def fold_of_groups(recordings: list[Recording]) -> dict[str, int]:
    """A fold for every group: firing positions apart from each other, then each class dealt out evenly."""
    folds: dict[str, int] = {}
    for sound_class in CLASSES:
        groups = dict.fromkeys(r.group for r in recordings if r.sound_class is sound_class)
        first = [g for g in groups if g.startswith("pittsburgh")]
        for k, group in enumerate([*first, *(g for g in groups if g not in first)]):
            folds.setdefault(group, k % N_FOLDS)
    return folds


def training_examples(recordings: list[Recording], seed: int, *, share: float) -> Iterator[tuple[str, Examples]]:
    """The examples of each class, as they are made; `share` scales their number."""
    folds = fold_of_groups(recordings)
    cells = {r.name: Cell(folds[r.group], r.held_out) for r in recordings}
    backgrounds = _backgrounds(recordings, cells)
    for index, sound_class in enumerate(CLASSES):
        rng = np.random.default_rng((seed, index))
        own = [r for r in recordings if r.sound_class is sound_class]
        yield sound_class.value, _of_class(rng, sound_class, own, cells, backgrounds, share)
    yield "simulated towns", _of_towns(seed, backgrounds, round(_N_TOWN_SOUNDS * share))


def _of_class(
    rng: np.random.Generator,
    sound_class: SoundClass,
    recordings: list[Recording],
    cells: dict[str, Cell],
    backgrounds: dict[Cell, Backgrounds],
    share: float,
) -> Examples:
    plan = PLANS[sound_class]
    n_recorded, n_simulated = round(plan.n_recorded * share), round(plan.n_simulated * share)
    made: list[tuple[NDArray[np.float32], Cell]] = []
    weights = _weights(recordings)
    for choice in rng.choice(len(recordings), size=n_recorded, p=weights):
        recording = recordings[choice]
        cell = cells[recording.name]
        made.append((_recorded_patch(rng, recording, plan, backgrounds[cell]), cell))
    for cell in itertools.islice(itertools.cycle(backgrounds), n_simulated):
        assert plan.maker is not None  # noqa: S101  # a plan with simulations names their maker
        sound = plan.maker(rng)
        way = None if rng.random() < plan.untouched_share else plan.way
        made.append((_patch(rng, sound, backgrounds[cell], way), cell))
    return _examples(made, [sound_class] * len(made))


def _of_towns(seed: int, backgrounds: dict[Cell, Backgrounds], n_sounds: int) -> Examples:
    """What nodes of simulated towns hear, a limited number of each class."""
    rng = np.random.default_rng((seed, len(CLASSES)))
    counts: Counter[SoundClass] = Counter()
    made: list[tuple[NDArray[np.float32], Cell]] = []
    classes: list[SoundClass] = []
    sounds = zip(itertools.cycle(backgrounds), towns.town_sounds(seed), strict=False)
    for cell, (sound_class, sound) in itertools.islice(sounds, n_sounds):
        counts[sound_class] += 1
        if counts[sound_class] > _MAX_TOWN_SHARE * n_sounds:
            continue
        made.append((_patch(rng, sound, backgrounds[cell], None), cell))
        classes.append(sound_class)
    return _examples(made, classes)


def _examples(made: list[tuple[NDArray[np.float32], Cell]], classes: list[SoundClass]) -> Examples:
    return Examples(
        patches=np.stack([_as_bytes(patch) for patch, _ in made]),
        classes=np.array([CLASSES.index(c) for c in classes]),
        folds=np.array([cell.fold for _, cell in made]),
        held_out=np.array([cell.held_out for _, cell in made]),
    )


def _weights(recordings: list[Recording]) -> NDArray[np.float64]:
    """Groups count by the square root of their size; street sensors and libraries of gunshots by halves."""
    sizes: dict[str, int] = defaultdict(int)
    for recording in recordings:
        sizes[recording.group] += 1
    weights = np.array([sizes[r.group] ** -0.5 for r in recordings])
    street = np.array([r.street for r in recordings])
    if street.any():
        weights[street] *= 1.3 / weights[street].sum()
        weights[~street] *= 0.7 / weights[~street].sum()
    return weights / weights.sum()


def _recorded_patch(
    rng: np.random.Generator, recording: Recording, plan: Plan, background: Backgrounds
) -> NDArray[np.float32]:
    sound = excerpt(recording.samples, choose_onset(rng, recording, plan.anywhere_share))
    way: Way | None = plan.way
    if recording.street:
        way = _STREET_ADDS if rng.random() < 0.35 else None
    elif rng.random() < plan.untouched_share:
        way = None
    return _patch(rng, sound, background, way)


def choose_onset(rng: np.random.Generator, recording: Recording, anywhere_share: float) -> int:
    """A tagged onset three times of four where there is one, else any rise, else anywhere."""
    candidates = usable_onsets(recording)
    if not candidates or rng.random() < anywhere_share:
        return int(rng.integers(len(recording.samples)))
    direct = [o for o in candidates if o.direct]
    chosen = direct if direct and rng.random() < 0.75 else candidates
    return chosen[rng.integers(len(chosen))].sample


def usable_onsets(recording: Recording) -> list[Onset]:
    """The onsets, less those at a cut: a continuous sound's file begins in its middle."""
    lead = round(_CONTINUOUS_LEAD_S * WORK_RATE_HZ)
    return [o for o in recording.onsets if o.direct or o.sample > lead]


def _patch(
    rng: np.random.Generator, sound: NDArray[np.float64], background: Backgrounds, way: Way | None
) -> NDArray[np.float32]:
    heard, onset = through_outdoors(rng, sound, background.draw(rng), way)
    return log_mel_patch(heard, WORK_RATE_HZ, onset + round(rng.normal(0.0, _JITTER_S) * WORK_RATE_HZ))


def _as_bytes(patch: NDArray[np.float32]) -> NDArray[np.uint8]:
    assert patch.shape == PATCH_SHAPE  # noqa: S101  # what the network is built for
    return np.round(patch * PATCH_LEVELS).astype(np.uint8)


def _backgrounds(recordings: list[Recording], cells: dict[str, Cell]) -> dict[Cell, Backgrounds]:
    sounds: dict[Cell, list[NDArray[np.float32]]] = defaultdict(list)
    for recording in recordings:
        if recording.background:
            sounds[cells[recording.name]].append(recording.samples)
        if recording.street:
            sounds[cells[recording.name]].extend(street_noise(recording))
    return {cell: Backgrounds(s) for cell, s in sounds.items()}


def street_noise(recording: Recording) -> list[NDArray[np.float32]]:
    """What a street sensor heard before the first tagged arrival: the one second that is no filler."""
    direct = [o.sample for o in recording.onsets if o.direct]
    if not direct or not recording.source.startswith(STREET):
        return []
    noise = recording.samples[max(0, min(direct) - round(0.9 * WORK_RATE_HZ)) : min(direct) - WORK_RATE_HZ // 20]
    return [noise] if WORK_RATE_HZ // 2 < len(noise) < EXCERPT_SAMPLES and noise.any() else []
