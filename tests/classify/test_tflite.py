"""The TFLite classifier: what it makes of sounds, and how it refuses models that it can't use."""

import hashlib
import json
import struct

import numpy as np
import pytest

from appliance.classify import COMMITTED_MODEL, load_classifier
from appliance.classify.interpreter import make_interpreter
from appliance.errors import ModelError
from appliance.model.classes import CLASSES


def write_model(folder, content: bytes, **statement):
    """A model and its statement, as scripts/train writes them."""
    stated = {
        "features_version": 1,
        "classes": [c.value for c in CLASSES],
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    path = folder / "mine.tflite"
    path.write_bytes(content)
    path.with_suffix(".json").write_text(json.dumps(stated | statement))
    return path


def blast(rate_hz: float, positive_s: float = 1e-3) -> tuple[np.ndarray, int]:
    """A Friedlander pulse in faint noise, and its onset."""
    rng = np.random.default_rng(3)
    onset = round(0.4 * rate_hz)
    phase = np.arange(round(0.9 * rate_hz)) / (positive_s * rate_hz)
    sound = rng.normal(0.0, 1e-3, onset + len(phase))
    sound[onset:] += 0.5 * (1.0 - phase) * np.exp(-phase)
    return sound.astype(np.float32), onset


def test_probabilities_are_one_per_class_and_sum_to_one():
    sound, onset = blast(16_000.0)
    values = load_classifier().classify(sound, 16_000.0, onset).values
    assert len(values) == len(CLASSES)
    assert sum(values) == pytest.approx(1.0)


def test_the_same_sound_gives_the_same_answer_again_and_whatever_came_between():
    classifier = load_classifier()
    sound, onset = blast(16_000.0)
    first = classifier.classify(sound, 16_000.0, onset)
    classifier.classify(np.zeros(16_000, dtype=np.float32), 16_000.0, 4_000)
    assert classifier.classify(sound, 16_000.0, onset) == first
    assert load_classifier().classify(sound, 16_000.0, onset) == first


def test_the_window_leaves_time_for_an_alert_within_a_second():
    classifier = load_classifier()
    assert 0.1 < classifier.window_before_s <= 0.2
    assert 0.3 < classifier.window_after_s <= 0.6


def test_a_missing_model_is_named_with_a_remedy(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.tflite: no such file; .*scripts/train"):
        load_classifier(tmp_path / "absent.tflite")


def test_a_model_without_its_statement_is_refused(tmp_path):
    path = write_model(tmp_path, COMMITTED_MODEL.read_bytes())
    path.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"mine\.json: no such file"):
        load_classifier(path)


def test_a_folder_in_place_of_a_model_is_refused(tmp_path):
    (tmp_path / "mine.tflite").mkdir()
    with pytest.raises(ModelError, match=r"mine\.tflite: can't be read"):
        load_classifier(tmp_path / "mine.tflite")


@pytest.mark.parametrize("kept", [0, 100, 40_000, -1])
def test_a_truncated_model_never_reaches_the_interpreter(tmp_path, kept):
    content = COMMITTED_MODEL.read_bytes()
    path = write_model(tmp_path, content[:kept], sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(ModelError, match=r"mine\.tflite: .*damaged"):
        load_classifier(path)


def test_one_flipped_bit_is_noticed(tmp_path):
    content = bytearray(COMMITTED_MODEL.read_bytes())
    content[len(content) // 2] ^= 1
    path = write_model(tmp_path, bytes(content), sha256=hashlib.sha256(COMMITTED_MODEL.read_bytes()).hexdigest())
    with pytest.raises(ModelError, match="damaged"):
        load_classifier(path)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"mine\.tflite: no TFLite model"):
        load_classifier(write_model(tmp_path, b"RIFF\x00\x00\x00\x00WAVEfmt "))


def test_an_endless_file_is_not_read_to_its_end(tmp_path):
    path = write_model(tmp_path, b"")
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ModelError, match=r"mine\.tflite: more than \d+ bytes"):
        load_classifier(path)


def test_a_model_with_another_input_is_refused(tmp_path):
    shape, other = struct.pack("<4i", 1, 152, 28, 1), struct.pack("<4i", 1, 152, 20, 1)
    content = COMMITTED_MODEL.read_bytes()
    assert shape in content
    with pytest.raises(ModelError, match=r"mine\.tflite: .*; use a model made by scripts/train"):
        load_classifier(write_model(tmp_path, content.replace(shape, other)))


def test_a_model_of_other_classes_is_refused(tmp_path):
    path = write_model(tmp_path, COMMITTED_MODEL.read_bytes(), classes=["gunshot", "other"])
    with pytest.raises(ModelError, match=r"mine\.json: its classes are gunshot, other; this Earshot's are gunshot, fi"):
        load_classifier(path)


def test_a_model_for_other_features_is_refused(tmp_path):
    path = write_model(tmp_path, COMMITTED_MODEL.read_bytes(), features_version=99)
    with pytest.raises(ModelError, match="features version 99"):
        load_classifier(path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"classes": 3}', '{"features_version": 1, "classes": [], "sha256": ""}']
)
def test_a_broken_statement_is_refused(tmp_path, text):
    path = write_model(tmp_path, COMMITTED_MODEL.read_bytes())
    path.with_suffix(".json").write_text(text)
    with pytest.raises(ModelError, match=r"mine\.json"):
        load_classifier(path)


def test_an_output_that_is_no_number_is_not_taken_for_an_answer(tmp_path):
    content = COMMITTED_MODEL.read_bytes()
    sound, onset = blast(16_000.0)
    path = write_model(tmp_path, content.replace(last_scale(content), struct.pack("<f", float("inf"))))
    with pytest.raises(ModelError, match=r"mine\.tflite: its output .*(nan|inf)"):
        load_classifier(path).classify(sound, 16_000.0, onset)


def last_scale(content: bytes) -> bytes:
    """The four bytes of the scale that turns the last int8 tensor into the output."""
    interpreter = make_interpreter(content)
    output = interpreter.get_output_details()[0]
    same_shape = [t for t in interpreter.get_tensor_details() if tuple(t["shape"]) == tuple(output["shape"])]
    scale = next(float(t["quantization"][0]) for t in same_shape if t["dtype"] is np.int8)
    return struct.pack("<f", scale)
