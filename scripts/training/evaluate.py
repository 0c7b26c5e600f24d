"""How well a model tells sounds apart: the fixed test set, and figures with intervals."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
import scipy.signal
import scipy.stats
from numpy.typing import NDArray

from appliance.dsp.features import log_mel_patch
from appliance.model.classes import CLASSES, SoundClass
from training.corpus import WORK_RATE_HZ, Recording
from training.examples import PATCH_LEVELS, fold_of_groups, street_noise, usable_onsets
from training.onsets import refine_onset
from training.outdoors import BEFORE, Backgrounds, excerpt, propagate

RAIL = 32_124 / 32_768
"""Where the street sensors clip."""
_CLIPPED_SAMPLES = 5
_STREET_SNR_DB = (15.0, 35.0)
_MAX_ONSETS_PER_RECORDING = 6
_N_BINS = 15
_N_TENTHS = 10
_N_RESAMPLES = 1_000

IMPULSES = ("impact", "clap/pop", "thunder")
FIREWORKS = ("firework",)
OTHERS = ("ambient/wind/rain", "construction", "dog", "engine", "other", "speech")
"""What else trips the detector: barks, engines, crackling fire, drops of rain, words."""

RECALL = 0.97
DISTANCE_EDGES_M = (0.0, 100.0, 200.0, 300.0, 500.0, 1_000.0)


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationSet:
    """One row per onset: `patches` uint8; `recording` its index in the corpus; `fold`; `direct` a tagged onset."""

    patches: NDArray[np.uint8]
    recording: NDArray[np.int64]
    fold: NDArray[np.int64]
    direct: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """One onset as a street sensor hears it, at `WORK_RATE_HZ`; `recording` is its index in the corpus."""

    samples: NDArray[np.float32]
    onset: int
    recording: int
    direct: bool


def evaluated_sounds(recordings: list[Recording], seed: int, distance_m: float | None) -> Iterator[Heard]:
    """Every usable onset (at most six of a recording), heard by one street sensor.

    What no street sensor recorded goes through a simulated one: 12 kHz, street noise 15 to 35 dB below the event,
    the five largest samples at the rail; before that, where `distance_m` is given, over that distance with a
    street's echoes. Recordings of street sensors are taken as they are, and left out where `distance_m` is given. Under
    a held-out sound lies held-out noise.
    """
    noise = {
        held_out: Backgrounds([n for r in recordings if r.held_out is held_out for n in street_noise(r)])
        for held_out in {r.held_out for r in recordings}
    }
    for index, recording in enumerate(recordings):
        if recording.street and distance_m is not None:
            continue
        rng = np.random.default_rng((seed, zlib.crc32(recording.name.encode())))
        for sample, direct in _evaluated_onsets(rng, recording):
            sound = excerpt(recording.samples, sample)
            if recording.street:
                yield Heard(sound.astype(np.float32), BEFORE, index, direct)
                continue
            heard = _through_street_sensor(rng, sound, noise[recording.held_out], distance_m)
            yield Heard(heard, refine_onset(heard, WORK_RATE_HZ, BEFORE), index, direct)


def evaluation_set(recordings: list[Recording], seed: int, distance_m: float | None) -> EvaluationSet:
    """The patches of all evaluated sounds."""
    return patches_of(list(evaluated_sounds(recordings, seed, distance_m)), recordings, WORK_RATE_HZ)


def patches_of(heard: list[Heard], recordings: list[Recording], rate_hz: int) -> EvaluationSet:
    """What the front end makes of sounds, brought to `rate_hz` first."""
    folds = fold_of_groups(recordings)
    sounds = heard if rate_hz == WORK_RATE_HZ else [at_rate(h, rate_hz) for h in heard]
    patches = [log_mel_patch(h.samples, rate_hz, h.onset) for h in sounds]
    return EvaluationSet(
        np.stack([np.round(p * PATCH_LEVELS).astype(np.uint8) for p in patches]),
        np.array([h.recording for h in heard]),
        np.array([folds[recordings[h.recording].group] for h in heard]),
        np.array([h.direct for h in heard]),
    )


def at_rate(heard: Heard, rate_hz: int) -> Heard:
    """The same sound at another sample rate; a lower one loses what lies above its half."""
    divisor = int(np.gcd(rate_hz, WORK_RATE_HZ))
    samples = scipy.signal.resample_poly(heard.samples, rate_hz // divisor, WORK_RATE_HZ // divisor)
    onset = round(heard.onset * rate_hz / WORK_RATE_HZ)
    return Heard(samples.astype(np.float32), onset, heard.recording, heard.direct)


def _evaluated_onsets(rng: np.random.Generator, recording: Recording) -> Iterator[tuple[int, bool]]:
    """Tagged onsets where there are any; of gunshots only those, for an untagged rise may be anything."""
    onsets = usable_onsets(recording)
    direct = [o for o in onsets if o.direct]
    if recording.sound_class is SoundClass.GUNSHOT or direct:
        onsets = direct
    chosen = rng.permutation(len(onsets))[:_MAX_ONSETS_PER_RECORDING]
    yield from ((onsets[k].sample, onsets[k].direct) for k in sorted(chosen))


def _through_street_sensor(
    rng: np.random.Generator, sound: NDArray[np.float64], noise: Backgrounds, distance_m: float | None
) -> NDArray[np.float32]:
    sound = sound / (np.abs(sound[BEFORE - 240 : BEFORE + 1_200]).max() + 1e-12)
    if distance_m is not None:
        sound = propagate(rng, sound, distance_m, echoes=True)
    event_rms = np.sqrt(np.mean(np.square(np.diff(sound[BEFORE : BEFORE + 240]))) + 1e-12)
    sound = sound + noise.draw(rng) * event_rms / 10.0 ** (rng.uniform(*_STREET_SNR_DB) / 20.0)
    loudest = np.sort(np.abs(sound[BEFORE - 240 : BEFORE + 1_200]))[-_CLIPPED_SAMPLES]
    heard = np.clip(sound / loudest * RAIL, -RAIL, RAIL)
    return (np.round(heard * 32_768.0) / 32_768.0).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Probabilities of the test set's rows, with what each row is; `groups` are what intervals resample."""

    probabilities: NDArray[np.float64]
    classes: NDArray[np.int64]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]

    def where(self, chosen: NDArray[np.bool_]) -> "Outcome":
        """The rows chosen by a mask or by indices."""
        return Outcome(self.probabilities[chosen], self.classes[chosen], self.labels[chosen], self.groups[chosen])

    @property
    def gunshot(self) -> NDArray[np.float64]:
        """Each row's probability of a gunshot."""
        return self.probabilities[:, CLASSES.index(SoundClass.GUNSHOT)]

    @property
    def is_gunshot(self) -> NDArray[np.bool_]:
        """Whether each row is one."""
        return self.classes == CLASSES.index(SoundClass.GUNSHOT)


def outcome(test: EvaluationSet, recordings: list[Recording], probabilities: NDArray[np.float64]) -> Outcome:
    """The rows with their truth."""
    rows = [recordings[k] for k in test.recording]
    return Outcome(
        probabilities,
        np.array([CLASSES.index(r.sound_class) for r in rows]),
        np.array([r.label for r in rows]),
        np.array([r.name.split("/")[1] if r.street else r.group for r in rows]),
    )


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of each row."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes the gunshot probability honest: logits over `temperature`, and `bias` on the gunshot's."""

    temperature: float = 1.0
    bias: float = 0.0

    def apply(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated logits."""
        calibrated = logits / self.temperature
        calibrated[:, CLASSES.index(SoundClass.GUNSHOT)] += self.bias
        return calibrated


def calibrate(logits: NDArray[np.float64], is_gunshot: NDArray[np.bool_]) -> Calibration:
    """The calibration of the smallest log loss of gunshot against the rest, the two sides weighed alike."""

    def loss(parameters: NDArray[np.float64]) -> float:
        calibrated = Calibration(float(np.exp(parameters[0])), float(parameters[1])).apply(logits)
        chance = softmax(calibrated)[:, CLASSES.index(SoundClass.GUNSHOT)].clip(1e-9, 1.0 - 1e-9)
        return float(-np.log(chance[is_gunshot]).mean() - np.log(1.0 - chance[~is_gunshot]).mean())

    best = scipy.optimize.minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return Calibration(float(np.exp(best[0])), float(best[1]))


def auc(o: Outcome) -> float:
    """Chance that a gunshot's probability of being one is above another sound's; equal ones count half."""
    ranks = scipy.stats.rankdata(o.gunshot)
    n_gunshots, n = int(o.is_gunshot.sum()), len(ranks)
    return float((ranks[o.is_gunshot].sum() - n_gunshots * (n_gunshots + 1) / 2) / (n_gunshots * (n - n_gunshots)))


def threshold(o: Outcome) -> float:
    """The probability that `RECALL` of the gunshots reach."""
    return float(np.quantile(o.gunshot[o.is_gunshot], 1.0 - RECALL))


def passing(o: Outcome, labels: tuple[str, ...]) -> float:
    """Share of onsets of these labels that reach the threshold; not a number where there are none."""
    others = o.gunshot[np.isin(o.labels, labels)]
    return float((others >= threshold(o)).mean()) if len(others) else float("nan")


def impulses_passing(o: Outcome) -> float:
    """`passing` of hits, claps, pops and thunder."""
    return passing(o, IMPULSES)


def fireworks_passing(o: Outcome) -> float:
    """`passing` of fireworks."""
    return passing(o, FIREWORKS)


def calibration_error(o: Outcome) -> float:
    """Expected calibration error of the gunshot probability, 15 bins of equal width."""
    bins = np.minimum((o.gunshot * _N_BINS).astype(int), _N_BINS - 1)
    gaps = [
        abs(o.gunshot[bins == b].mean() - o.is_gunshot[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)
    ]
    return float(np.sum(gaps))


def reliability(o: Outcome) -> list[list[float]]:
    """Of each tenth of the gunshot probability that occurs: onsets, mean probability, share that are gunshots."""
    bins = np.minimum((o.gunshot * _N_TENTHS).astype(int), _N_TENTHS - 1)
    return [
        [
            int((bins == b).sum()),
            round(float(o.gunshot[bins == b].mean()), 3),
            round(float(o.is_gunshot[bins == b].mean()), 3),
        ]
        for b in np.unique(bins)
    ]


def accuracy(o: Outcome) -> float:
    """Share of rows whose most probable class is the right one."""
    return float((o.probabilities.argmax(axis=1) == o.classes).mean())


Figure = Callable[[Outcome], float]


def interval(figure: Figure, o: Outcome, seed: int = 0) -> tuple[float, float]:
    """95 % interval of a figure: whole groups resampled, so that clips of one source count as one."""
    rng = np.random.default_rng(seed)
    names, index = np.unique(o.groups, return_inverse=True)
    members = [np.flatnonzero(index == k) for k in range(len(names))]
    values = []
    for _ in range(_N_RESAMPLES):
        chosen = np.concatenate([members[k] for k in rng.integers(len(names), size=len(names))])
        drawn = o.where(chosen)
        if drawn.is_gunshot.any() and not drawn.is_gunshot.all():
            values.append(figure(drawn))
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def are_gunshots(chosen: EvaluationSet, recordings: list[Recording]) -> NDArray[np.bool_]:
    """Which rows are gunshots."""
    return np.array([recordings[k].sound_class is SoundClass.GUNSHOT for k in chosen.recording])


def rows_of(chosen: EvaluationSet, mask: NDArray[np.bool_]) -> EvaluationSet:
    """Part of an evaluation set."""
    return EvaluationSet(chosen.patches[mask], chosen.recording[mask], chosen.fold[mask], chosen.direct[mask])


def figures(chosen: EvaluationSet, recordings: list[Recording], probabilities: NDArray[np.float64]) -> dict[str, Any]:
    """Everything that is reported of one evaluation set, ready for JSON."""
    o = outcome(chosen, recordings, probabilities)
    summary = {
        "auc": auc,
        "impulses_passing": impulses_passing,
        "fireworks_passing": fireworks_passing,
        "others_passing": lambda drawn: passing(drawn, OTHERS),
        "calibration_error": calibration_error,
    }
    return {
        "n_onsets": len(o.classes),
        "n_gunshots": int(o.is_gunshot.sum()),
        "threshold": round(threshold(o), 4),
        "passing_at_recall": _trade(o),
        **{name: _with_interval(figure, o) for name, figure in summary.items()},
        "by_label": {str(label): _of_label(o, str(label)) for label in np.unique(o.labels)},
        "fireworks": _of_sources(o, "firework"),
        "reliability": reliability(o),
        "recall": _recall_by_place(o, [recordings[k] for k in chosen.recording]),
        "confusion": _confusion(o),
    }


def _trade(o: Outcome) -> dict[str, list[float]]:
    """For each recall: the threshold, and the shares of impulses, fireworks and all else that reach it."""
    rows = {}
    for recall in (0.99, 0.97, 0.95, 0.90):
        level = float(np.quantile(o.gunshot[o.is_gunshot], 1.0 - recall))
        shares = [
            float((o.gunshot[np.isin(o.labels, labels)] >= level).mean()) for labels in (IMPULSES, FIREWORKS, OTHERS)
        ]
        rows[f"{recall:.2f}"] = [round(v, 3) for v in (level, *shares)]
    return rows


def _with_interval(figure: Figure, o: Outcome) -> list[float]:
    return [round(v, 4) for v in (figure(o), *interval(figure, o))]


def _of_label(o: Outcome, label: str) -> dict[str, float]:
    own = o.where(o.labels == label)
    return {
        "n_onsets": len(own.classes),
        "n_sources": len(np.unique(own.groups)),
        "right_class": round(accuracy(own), 3),
        "mean_gunshot_probability": round(float(own.gunshot.mean()), 3),
        "passing": round(float((own.gunshot >= threshold(o)).mean()), 3),
    }


def _of_sources(o: Outcome, label: str) -> dict[str, list[float]]:
    """Share that passes and number of onsets of each source of a label."""
    own = o.labels == label
    reached = o.gunshot >= threshold(o)
    return {
        str(group): [round(float(reached[own & (o.groups == group)].mean()), 3), int((own & (o.groups == group)).sum())]
        for group in np.unique(o.groups[own])
    }


def _recall_by_place(o: Outcome, rows: list[Recording]) -> dict[str, list[float]]:
    """Share of gunshots above the threshold and their number, by firing position or library, and by distance."""
    places: dict[str, list[bool]] = {}
    for row, reached in zip(rows, o.gunshot >= threshold(o), strict=True):
        if row.sound_class is SoundClass.GUNSHOT:
            places.setdefault(row.group if row.street else row.source.split(" (")[0], []).append(bool(reached))
            if row.street:
                places.setdefault(_distance_bin(float(row.distance)), []).append(bool(reached))
    return {place: [round(float(np.mean(values)), 4), len(values)] for place, values in sorted(places.items())}


def _distance_bin(distance_m: float) -> str:
    k = int(np.searchsorted(DISTANCE_EDGES_M, distance_m, side="right"))
    return f"{DISTANCE_EDGES_M[k - 1]:.0f} to {DISTANCE_EDGES_M[k]:.0f} m"


def _confusion(o: Outcome) -> list[list[int]]:
    counts = np.zeros((len(CLASSES), len(CLASSES)), dtype=int)
    np.add.at(counts, (o.classes, o.probabilities.argmax(axis=1)), 1)
    return counts.tolist()
