"""`earshot classify`: one JSON line per file, errors beside it."""

import json
import shutil

import numpy as np
import soundfile

from appliance.classify import COMMITTED_MODEL
from appliance.cli import main
from appliance.model.classes import CLASSES

RATE_HZ = 16_000


def write_bang(path, at_s: float) -> None:
    """A second of quiet noise with a sharp, decaying bang in it."""
    rng = np.random.default_rng(5)
    samples = rng.normal(0.0, 0.001, RATE_HZ)
    first = round(at_s * RATE_HZ)
    decay = np.exp(-np.arange(RATE_HZ - first) / (0.01 * RATE_HZ))
    samples[first:] += 0.8 * decay * rng.normal(0.0, 0.4, RATE_HZ - first)
    soundfile.write(path, samples, RATE_HZ)


def test_each_file_is_a_line_with_its_onsets_and_all_classes(tmp_path, capsys):
    write_bang(tmp_path / "a.wav", at_s=0.5)
    write_bang(tmp_path / "b.wav", at_s=0.0)
    assert main(["classify", str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["file"] for line in lines] == [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    for line, at_s in zip(lines, (0.5, 0.0), strict=True):
        first = line["onsets"][0]
        assert abs(first["time_s"] - at_s) < 0.005
        assert set(first["classes"]) == {c.value for c in CLASSES}
        assert abs(sum(first["classes"].values()) - 1.0) < 0.01


def test_a_broken_file_is_one_line_of_error_and_the_others_still_run(tmp_path, capsys):
    write_bang(tmp_path / "good.wav", at_s=0.3)
    (tmp_path / "bad.flac").write_bytes(b"fLaC, it says")
    status = main(["classify", str(tmp_path / "bad.flac"), str(tmp_path / "good.wav")])
    out, err = capsys.readouterr()
    assert status == 2
    assert [json.loads(line)["file"] for line in out.splitlines()] == [str(tmp_path / "good.wav")]
    assert len(err.strip().splitlines()) == 1
    assert "bad.flac" in err
    assert "Traceback" not in err


def test_an_unreadable_model_is_named(tmp_path, capsys):
    write_bang(tmp_path / "good.wav", at_s=0.3)
    shutil.copy(COMMITTED_MODEL.with_suffix(".json"), tmp_path / "model.json")
    (tmp_path / "model.tflite").write_bytes(b"\x00" * 100)
    assert main(["classify", "--model", str(tmp_path / "model.tflite"), str(tmp_path / "good.wav")]) == 2
    assert "model.tflite" in capsys.readouterr().err
