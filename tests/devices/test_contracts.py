"""What every AudioSource and every PlaceSource must do, whatever stands behind it."""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from appliance.devices.disabled import DisabledMicrophones, DisabledPlace, FixedPlace
from appliance.devices.gps import GpsdPlace, GpsdSettings
from appliance.devices.microphones import AlsaMicrophones, ArraySettings
from appliance.devices.place import KeptPlace
from appliance.errors import EarshotError
from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.instants import UtcNs
from appliance.model.space import Geodetic, NodePose
from appliance.ports import AudioSource, PlaceSource
from appliance.scene.reader import read_scene
from appliance.scene.stream import BlockServer, StreamSource
from appliance.scene.world import WorldNode
from appliance.timing.utc import UtcMapping

GEOMETRY = ArrayGeometry(((0.0, 0.0, 0.0), (0.1, 0.0, 0.0)))
RATE_HZ = 16_000
POSE = NodePose("n1", Geodetic(35.0844, -106.6504, 1510.0), sigma_m=3.0)

SCENE = """{"version": 1, "nodes": [{"id": "n1", "audio": "n1.wav", "start_ns": 1783134720000000000,
"clock_sigma_ns": 1000, "position": {"lat": 35.0844, "lon": -106.6504, "alt_m": 1510.0, "sigma_m": 1.0},
"microphones_m": [[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]], "heading_deg": 0.0}]}"""


@pytest.fixture(params=["alsa", "simulated", "recorded", "disabled"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AudioSource]:
    if request.param == "disabled":
        yield DisabledMicrophones(GEOMETRY, RATE_HZ)
    elif request.param == "recorded":
        yield recorded_source(tmp_path)
    elif request.param == "simulated":
        with simulated_source(tmp_path / "ears.sock") as simulated:
            yield simulated
    else:
        plugin = request.getfixturevalue("paced_plugin")
        configure: Callable[[str], None] = request.getfixturevalue("alsa")
        configure(f'pcm_type.paced {{ lib "{plugin}" }}\npcm.array {{ type paced channels 2 rate {RATE_HZ} }}')
        yield AlsaMicrophones(ArraySettings("array", GEOMETRY, RATE_HZ), lambda: UtcMapping(0, 1_000))


def recorded_source(folder: Path) -> AudioSource:
    sound = np.random.default_rng(3).normal(0, 0.1, (10 * RATE_HZ, 2))
    soundfile.write(folder / "n1.wav", sound, RATE_HZ, subtype="PCM_16")
    (folder / "scene.json").write_text(SCENE, "utf-8")
    return read_scene(folder).source("n1")


@contextlib.contextmanager
def simulated_source(path: Path) -> Iterator[AudioSource]:
    """A node's end of a stream that another thread feeds at the pace of real time."""
    server = BlockServer(path, WorldNode("n1", POSE, GEOMETRY, float(RATE_HZ)))
    stop = threading.Event()
    world = threading.Thread(target=play, args=(server, stop))
    world.start()
    source = StreamSource(path)
    yield source
    source.close()
    stop.set()
    world.join()
    server.close()


def play(server: BlockServer, stop: threading.Event) -> None:
    rng = np.random.default_rng(4)
    n = RATE_HZ // 20
    for number in itertools.count():
        if stop.wait(0.05):
            return
        samples = rng.uniform(-1.0, 1.0, (2, n)).astype(np.float32)
        server.send(AudioBlock(samples, number * n, float(RATE_HZ), UtcNs(10**18 + number * 50_000_000), 1_000))


def test_audio_source_gives_blocks_that_fit_its_array_and_each_other(source: AudioSource) -> None:
    assert source.geometry == GEOMETRY
    assert source.sample_rate_hz == RATE_HZ
    heard = [block for block in (source.read(0.3) for _ in range(5)) if block is not None]
    source.close()
    for block in heard:
        assert block.samples.dtype == np.float32
        assert block.samples.shape == (2, block.n_samples)
        assert np.abs(block.samples).max() <= 1.0
        assert block.sigma_ns >= 0
        assert abs(block.sample_rate_hz / RATE_HZ - 1) < 1e-3
    for one, next_one in itertools.pairwise(heard):
        assert next_one.first_sample == one.first_sample + one.n_samples
        between_ns = one.n_samples / one.sample_rate_hz * 1e9
        assert next_one.start_ns - one.start_ns == pytest.approx(between_ns, abs=20_000_000)


@pytest.mark.parametrize("source", ["alsa", "simulated", "disabled"], indirect=True)
def test_live_audio_source_may_be_closed_by_another_thread_and_twice(source: AudioSource) -> None:
    ended = threading.Event()
    threading.Thread(target=read_to_the_end, args=(source, ended)).start()
    source.close()
    source.close()
    assert ended.wait(5.0)


def read_to_the_end(source: AudioSource, ended: threading.Event) -> None:
    with contextlib.suppress(EOFError, EarshotError):
        while source.read(60.0) is not None:
            pass
    ended.set()


@pytest.fixture(params=["gpsd", "kept", "fixed", "disabled"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> PlaceSource:
    if request.param == "disabled":
        return DisabledPlace()
    if request.param == "fixed":
        return FixedPlace(POSE)
    gpsd: Any = request.getfixturevalue("gpsd")
    receiver = GpsdPlace(GpsdSettings("n1", port=gpsd.port, poll_s=0.1))
    return receiver if request.param == "gpsd" else KeptPlace(receiver, tmp_path / "survey.json")


@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
def test_place_source_says_where_or_that_it_does_not_know(place: PlaceSource) -> None:
    pose = place.read()
    assert pose is None or pose.node == "n1"
    assert place.describe()
    assert "\n" not in place.describe()
    place.close()
    place.close()


def test_fixed_place_is_the_place_that_was_entered() -> None:
    place = FixedPlace(POSE)
    assert place.read() == POSE
    assert "35.084400, -106.650400" in place.describe()


def test_disabled_place_never_makes_one_up() -> None:
    assert DisabledPlace().read() is None


def test_disabled_microphones_wait_and_give_nothing() -> None:
    microphones = DisabledMicrophones(GEOMETRY, RATE_HZ)
    assert microphones.read(0.01) is None
    microphones.close()
