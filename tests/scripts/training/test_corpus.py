"""How the data's labels become classes, and which of its tags are believed."""

import csv

import numpy as np
import pytest
import soundfile
from training.corpus import WORK_RATE_HZ, class_of, read_corpus

from appliance.model.classes import SoundClass

COLUMNS = (
    *("file", "label", "source", "licence", "split", "original_path"),
    *("notes", "weapon", "distance_m", "onsets_s", "recording"),
)


@pytest.mark.parametrize(
    ("label", "original", "notes", "sound_class"),
    [
        ("gunshot", "", "", SoundClass.GUNSHOT),
        ("gunshot", "", "suppressed .22", None),
        ("clap/pop", "", "", SoundClass.IMPACT),
        ("construction", "Chainsaw.ogg", "", SoundClass.VEHICLE),
        ("construction", "drill.ogg", "", SoundClass.OTHER),
        ("other", "crying_baby.wav", "", SoundClass.VOICE),
        ("other", "clock.wav", "", SoundClass.OTHER),
        ("other", "slide.wav", "gun handling", None),
        ("other", "boom.wav", "black-powder cannon", None),
        ("dog", "", "", SoundClass.OTHER),
    ],
)
def test_every_label_has_its_class_or_is_left_out(label, original, notes, sound_class):
    assert class_of(label, original, notes) is sound_class


def write_recording(folder, sound: np.ndarray, **row: str) -> None:
    """A data folder of one recording."""
    soundfile.write(folder / "a.flac", sound, WORK_RATE_HZ)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerow(dict.fromkeys(COLUMNS, "") | {"file": "a.flac", "label": "gunshot", "split": "train"} | row)


def two_tags_and_one_bang() -> np.ndarray:
    """Four seconds of noise with a bang at 2 s; nothing at 3 s."""
    rng = np.random.default_rng(2)
    sound = rng.normal(0.0, 0.003, 4 * WORK_RATE_HZ)
    sound[2 * WORK_RATE_HZ :][:600] += 0.5 * rng.normal(size=600) * np.exp(-np.arange(600) / 100.0)
    return np.clip(sound, -1.0, 1.0)


def test_a_street_sensors_tag_without_a_sound_is_left_out(tmp_path):
    street = {"source": "ShotSpotter live fire", "recording": "pittsburgh:FP1:001", "onsets_s": "2.000;3.000"}
    write_recording(tmp_path, two_tags_and_one_bang(), **street)
    (recording,) = read_corpus(tmp_path)
    assert recording.group == "pittsburgh:FP1"
    (onset,) = [o for o in recording.onsets if o.direct]
    assert abs(onset.sample - 2 * WORK_RATE_HZ) < 0.005 * WORK_RATE_HZ


def test_only_the_validation_split_is_read_where_that_is_asked(tmp_path):
    write_recording(tmp_path, two_tags_and_one_bang(), source="elsewhere", recording="x")
    assert len(read_corpus(tmp_path)) == 1
    assert read_corpus(tmp_path, held_out_only=True) == []
