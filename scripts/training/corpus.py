"""The recordings: read, named, grouped, brought to one rate, with the onsets in them."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from appliance.model.audio import ArrayGeometry
from appliance.model.classes import SoundClass
from appliance.model.instants import NS_PER_S
from appliance.model.picks import Pick
from appliance.pipeline.detector import Detector
from appliance.scene.sound import read_sound, sound_blocks
from training.onsets import nearest_onset, rise_db

WORK_RATE_HZ = 12_000
"""Everything is mixed at the street sensors' rate; the front end hears up to 3.4 kHz anyway."""

STREET = "ShotSpotter"
_STREET_TAIL_S = 1.0
"""Outside one second around the tagged arrivals a street recording may hold filler noise that no microphone heard."""

_TAG_TOLERANCE_S = 0.04
"""The publisher accepts tags up to 40 ms from the true arrival."""

_SMALLEST_RISE_DB = 3.0
"""A street sensor's tag where the sound rises less marks nothing that was recorded: in one test four sensors, the
nearest 48 m away, hold no trace of a tagged round whose forerunners stand 20 dB out."""


@dataclass(frozen=True, slots=True)
class Onset:
    """An onset in a recording; `direct`: tagged as a first arrival, not found by its rise alone."""

    sample: int
    direct: bool


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One sound file at `WORK_RATE_HZ`.

    group:      what must not be split between training and test: the firing position, weapon or source recording
    background: whether it may be mixed under other sounds
    """

    name: str
    label: str
    sound_class: SoundClass
    source: str
    group: str
    held_out: bool
    rate_hz: int
    distance: str
    samples: NDArray[np.float32]
    onsets: tuple[Onset, ...]
    background: bool

    @property
    def street(self) -> bool:
        """Whether a street sensor recorded it, with the street's own propagation in it."""
        return self.source.startswith(STREET)


def class_of(label: str, original: str, notes: str) -> SoundClass | None:
    """What a labelled recording is to the classifier.

    None: left out (gun handling, cannon, and the one suppressed weapon, recorded indoors at its muzzle).
    """
    if "suppressed" in notes:
        return None
    if label == "other":
        return _class_of_other(original, notes)
    if label == "construction":
        return SoundClass.VEHICLE if "hainsaw" in original else SoundClass.OTHER
    return {
        "gunshot": SoundClass.GUNSHOT,
        "firework": SoundClass.FIREWORK,
        "thunder": SoundClass.THUNDER,
        "impact": SoundClass.IMPACT,
        "clap/pop": SoundClass.IMPACT,
        "engine": SoundClass.VEHICLE,
        "speech": SoundClass.VOICE,
        "dog": SoundClass.OTHER,
        "ambient/wind/rain": SoundClass.OTHER,
    }[label]


def _class_of_other(original: str, notes: str) -> SoundClass | None:
    if "handling" in notes or "cannon" in notes:
        return None
    voices = ("baby", "Baby", "crowd", "sneez", "Sneez")
    return SoundClass.VOICE if any(v in original for v in voices) else SoundClass.OTHER


def read_corpus(data: Path, *, held_out_only: bool = False) -> list[Recording]:
    """Every recording that has a class (or of those the `val` split), in the manifest's order."""
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "val" or not held_out_only]
    recordings = []
    for row in rows:
        sound_class = class_of(row["label"], row["original_path"], row["notes"])
        if sound_class is not None:
            recordings.append(_read_recording(data, row, sound_class))
    return recordings


def _read_recording(data: Path, row: dict[str, str], sound_class: SoundClass) -> Recording:
    original, rate_hz = read_sound(data / row["file"])
    samples = _at_work_rate(original, rate_hz)
    tags_s = [float(t) for t in row["onsets_s"].split(";") if t]
    found_s = _detected(original, rate_hz)
    return Recording(
        name=row["file"],
        label=row["label"],
        sound_class=sound_class,
        source=row["source"],
        group=_group(row),
        held_out=row["split"] == "val",
        rate_hz=rate_hz,
        distance=row["distance_m"],
        samples=samples,
        onsets=_onsets(samples, tags_s, found_s, row),
        background=row["label"] in ("ambient/wind/rain", "engine"),
    )


def _group(row: dict[str, str]) -> str:
    if row["source"].startswith(STREET):
        return ":".join(row["recording"].split(":")[:2])
    if row["recording"].startswith("ffsl:"):
        return row["recording"].split("_")[0]
    return row["recording"]


def _at_work_rate(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    divisor = int(np.gcd(WORK_RATE_HZ, rate_hz))
    return scipy.signal.resample_poly(samples, WORK_RATE_HZ // divisor, rate_hz // divisor).astype(np.float32)


def _detected(samples: NDArray[np.float32], rate_hz: int) -> list[float]:
    """Times of the picks that a node's own detector makes of the recording, seconds."""
    detector = Detector("training", ArrayGeometry(((0.0, 0.0, 0.0),)), classifier=None)
    picks: list[Pick] = []
    for block in sound_blocks(samples, rate_hz):
        picks.extend(detector.feed(block).picks)
    picks.extend(detector.flush().picks)
    return [p.time_ns / NS_PER_S for p in picks if p.time_ns >= 0]


def _onsets(
    samples: NDArray[np.float32], tags_s: list[float], found_s: list[float], row: dict[str, str]
) -> tuple[Onset, ...]:
    """Tagged onsets, each moved to the detector's reading of it, and what else the detector picked."""
    tolerance = round(_TAG_TOLERANCE_S * WORK_RATE_HZ)
    found = np.array([round(t * WORK_RATE_HZ) for t in found_s], dtype=np.int64)
    if row["label"] == "gunshot" and not tags_s:
        # A street sensor without a tag may have heard nothing; in the library the first sound is the shot.
        return () if row["source"].startswith(STREET) else tuple(Onset(int(s), direct=True) for s in found[:1])
    tags = [_read_tag(samples, round(t * WORK_RATE_HZ), found, tolerance) for t in tags_s]
    if row["source"].startswith(STREET):
        found = found[(found > min(tags)) & (found < max(tags) + _STREET_TAIL_S * WORK_RATE_HZ)]
    untagged = [int(s) for s in found if all(abs(s - t) > tolerance for t in tags)]
    if row["source"].startswith(STREET):
        tags = [t for t in tags if rise_db(samples, WORK_RATE_HZ, t) >= _SMALLEST_RISE_DB]
    onsets = [Onset(t, direct=True) for t in tags] + [Onset(s, direct=False) for s in untagged]
    return tuple(sorted(onsets, key=lambda o: o.sample))


def _read_tag(samples: NDArray[np.float32], tag: int, found: NDArray[np.int64], tolerance: int) -> int:
    near = found[np.abs(found - tag) <= tolerance]
    if len(near) == 0:
        return nearest_onset(samples, WORK_RATE_HZ, tag, tolerance)
    return int(near[np.argmin(np.abs(near - tag))])
