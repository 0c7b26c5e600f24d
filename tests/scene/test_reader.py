"""Scenes on disk: streamed with true times and rates, refused when a file is not what the scene says."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from appliance.errors import InputError
from appliance.scene.reader import FileSource, read_picks, read_scene, read_truth

RATE_HZ = 8_000
START_NS = 1783134720000000000


def write_scene(
    folder: Path, samples: np.ndarray, *, rate_hz: int = RATE_HZ, name: str = "n1.flac", **fields: Any
) -> Path:
    """A scene of one node whose file holds `samples`, int16, shape (n, channels)."""
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / name, samples, rate_hz, subtype="PCM_16")
    node = {
        "id": "n1",
        "audio": name,
        "start_ns": START_NS,
        "clock_sigma_ns": 1000,
        "position": {"lat": 35.0, "lon": -106.0, "alt_m": 0.0, "sigma_m": 1.0},
        "microphones_m": [[0.0, 0.0, 0.0]] * samples.shape[1],
        "heading_deg": 0.0,
    }
    (folder / "scene.json").write_text(json.dumps({"version": 1, "nodes": [node | fields]}))
    return folder


def noise(n_samples: int, n_channels: int = 1) -> np.ndarray:
    return np.random.default_rng(5).integers(-9_000, 9_000, (n_samples, n_channels)).astype(np.int16)


def drain(source: FileSource) -> list[Any]:
    blocks = []
    while True:
        try:
            blocks.append(source.read(1.0))
        except EOFError:
            source.close()
            return blocks


@pytest.mark.parametrize("name", ["n1.flac", "n1.wav"])
def test_blocks_put_together_are_the_file(tmp_path: Path, name: str) -> None:
    samples = noise(2_050, 3)
    source = read_scene(write_scene(tmp_path / "s", samples, name=name)).source("n1")
    blocks = drain(source)
    heard = np.concatenate([b.samples for b in blocks], axis=1)
    assert [b.n_samples for b in blocks] == [800, 800, 450]
    assert [b.first_sample for b in blocks] == [0, 800, 1600]
    assert heard.dtype == np.float32
    np.testing.assert_array_equal(heard, samples.T / 32768.0)


def test_block_times_follow_the_true_rate(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "s", noise(8_001), sample_rate_error_ppm=250.0)
    last = drain(read_scene(folder).source("n1", block_s=0.5))[-1]
    assert last.sample_rate_hz == pytest.approx(8_002.0, rel=1e-12)
    # 8000 samples of a converter that runs fast by 250 ppm take 8000 / 8002 s.
    assert last.start_ns == START_NS + 999_750_062
    assert last.sigma_ns == 1000


def test_a_day_is_no_block(tmp_path: Path) -> None:
    source = read_scene(write_scene(tmp_path / "s", noise(20_000))).source("n1", block_s=86_400.0)
    assert [b.n_samples for b in drain(source)] == [8_000, 8_000, 4_000]


def test_24_bit_sound_keeps_its_bits(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "s", noise(800))
    soundfile.write(folder / "n1.flac", np.full((800, 1), 3 << 8, np.int32), RATE_HZ, subtype="PCM_24")
    block = drain(read_scene(folder).source("n1"))[0]
    assert float(block.samples[0, 0]) == 3 / 2**23


def cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def refusal(folder: Path) -> InputError:
    with pytest.raises(InputError) as error:
        read_scene(folder)
    assert str(folder) in error.value.thing
    assert str(error.value).isprintable()
    assert error.value.remedy
    return error.value


def test_a_missing_folder_or_file_is_named(tmp_path: Path) -> None:
    assert "is missing" in str(refusal(tmp_path / "nowhere"))
    folder = write_scene(tmp_path / "s", noise(800))
    (folder / "n1.flac").unlink()
    error = refusal(folder)
    assert "node n1, audio" in error.thing
    assert "n1.flac is missing" in error.problem


def test_a_file_with_another_number_of_channels_is_refused(tmp_path: Path) -> None:
    error = refusal(write_scene(tmp_path / "s", noise(800, 2), microphones_m=[[0, 0, 0]]))
    assert "node n1, microphones_m" in error.thing
    assert "has 1 entries, but n1.flac has 2 channels" in error.problem


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "s", noise(0), name="n1.wav")
    assert "is empty: 0 samples" in refusal(folder).problem
    folder = write_scene(tmp_path / "t", noise(800))
    (folder / "n1.flac").write_bytes(b"")
    assert "node n1" in refusal(folder).thing


@pytest.mark.parametrize("name", ["n1.flac", "n1.wav"])
def test_a_file_that_was_cut_off_is_refused_before_anything_of_it_is_used(tmp_path: Path, name: str) -> None:
    folder = write_scene(tmp_path / "s", noise(16_000, 2), name=name)
    cut(folder / name)
    error = refusal(folder)
    assert "node n1" in error.thing
    assert "cut off" in error.problem


def test_damage_within_a_file_is_reported_with_its_time(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "s", noise(32_000))
    path = folder / "n1.flac"
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4_000] = bytes(4_000)
    path.write_bytes(data)
    source = read_scene(folder).source("n1")
    with pytest.raises(InputError, match=r"n1.flac, node n1: damaged \d\.\d+ s into it"):
        drain(source)
    source.close()


def test_what_is_no_sound_is_refused(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "s", noise(800))
    (folder / "n1.flac").write_text("not a sound\n" * 99)
    assert "can't be read (Format not recognised)" in str(refusal(folder))


def test_floats_and_lossy_sound_are_refused(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "s", noise(800), name="n1.wav")
    soundfile.write(folder / "n1.wav", np.full((800, 1), np.nan), RATE_HZ, subtype="FLOAT")
    assert "is WAV FLOAT" in refusal(folder).problem


@pytest.mark.parametrize("rate_hz", [4_000, 192_000])
def test_other_rates_are_refused(tmp_path: Path, rate_hz: int) -> None:
    assert f"{rate_hz} samples a second" in str(refusal(write_scene(tmp_path / "s", noise(800), rate_hz=rate_hz)))


def test_more_than_an_hour_is_refused(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "s", np.zeros((8_000 * 3_601, 1), np.int16))
    assert "lasts 1.00 hours" in str(refusal(folder))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "s", noise(800))
    (folder / "n1.flac").unlink()
    os.mkfifo(folder / "n1.flac")
    assert "is no regular file" in str(refusal(folder))


def test_picks_and_truth_are_read_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "picks.json").write_text('{"version": 1, "arrivals": []}')
    assert read_picks(tmp_path / "picks.json").picks == ()
    assert read_truth(tmp_path) is None
    (tmp_path / "truth.json").write_text('{"shots": [{"time_ns": 5, "lat": 1.0, "lon": 2.0}]}')
    truth = read_truth(tmp_path)
    assert truth is not None
    assert truth.shots[0].time_ns == 5
    with pytest.raises(InputError, match="is no regular file"):
        read_picks(tmp_path)


def live_fire() -> Path:
    home = os.environ.get("EARSHOT_SHARED")
    return (Path(home) if home else Path(__file__).parents[3] / "shared") / "data" / "pittsburgh"


@pytest.mark.skipif(not live_fire().is_dir(), reason="the live-fire recordings are not here")
def test_the_live_fire_scenes_can_all_be_read() -> None:
    scenes = [read_scene(folder) for folder in sorted(live_fire().iterdir())]
    assert len(scenes) == 54
    assert all(scene.duration_s == pytest.approx(10.0) for scene in scenes)
    assert sum(block.n_samples for block in drain(scenes[0].source(scenes[0].scene.nodes[0].id))) == 120_000
