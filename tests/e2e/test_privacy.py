"""What a node hears is nowhere on its disk: the sound of a real run is looked for in every file that it left."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.devices.paced import build_plugin

RATE_HZ = 16_000
LOOP_S = 10
WINDOW_BYTES = 16
"""Eight samples of noise: that a file has these by chance is out of the question."""
SETTINGS = """
[node]
id = "roof-3"
[ears]
array = "generic"
device = "array"
microphones_m = [[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]]
[place]
source = "fixed"
lat_deg = 35.1
lon_deg = -106.6
[clock]
sigma_us = 10.0
[mesh]
interfaces = ["127.0.0.1"]
port = 0
"""


@pytest.fixture
def marker() -> NDArray[np.int16]:
    """Noise that is nowhere else, with a blast every two seconds so that there are picks, shape (n, 2)."""
    rng = np.random.default_rng(20_261_121)
    sound = rng.normal(0.0, 150.0, (LOOP_S * RATE_HZ, 2))
    time_s = np.arange(RATE_HZ // 20) / RATE_HZ
    blast = 20_000.0 * (1.0 - time_s / 2e-3) * np.exp(-time_s / 2e-3)
    for second in range(1, LOOP_S, 2):
        sound[second * RATE_HZ :][: len(blast)] += blast[:, None]
    return np.clip(sound, -32_768, 32_767).astype("<i2")


@pytest.fixture
def environment(tmp_path: Path, marker: NDArray[np.int16]) -> dict[str, str]:
    """ALSA with an array that plays the marker, over and over."""
    folder = tmp_path / "array"
    folder.mkdir()
    (folder / "sound.raw").write_bytes(marker.tobytes())
    (folder / "asound.conf").write_text(
        f'<confdir:alsa.conf>\npcm_type.paced {{ lib "{build_plugin(folder)}" }}\n'
        f"pcm.array {{ type paced channels 2 rate {RATE_HZ} epoch_ns {time.monotonic_ns()}"
        f' file "{folder}/sound.raw" fault "{folder}/fault" }}\n'
    )
    return {**os.environ, "ALSA_CONFIG_PATH": str(folder / "asound.conf"), "TMPDIR": str(tmp_path / "state")}


@pytest.fixture
def state(tmp_path: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The state folder of a node whose processes hear the marker."""
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "earshot.toml").write_text(SETTINGS)
    running = []
    for process in ("mesh", "listen"):
        log = (folder / f"{process}.log").open("wb")
        command = [sys.executable, "-m", "appliance", process, "--state", str(folder)]
        running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        log.close()
    yield folder
    for process in running:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20.0) == 0


def picks(state: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{state}/node.db?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT count(*) FROM records WHERE kind = 'pick'").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def traces(folder: Path, sound: NDArray[np.int16]) -> list[Path]:
    """Files under `folder` with a piece of `sound`: as 16 bit or float, all channels or one."""
    scaled = sound.astype("<f4") / 32_768
    forms = [array for wide in (sound, scaled) for array in (wide, *(column.copy() for column in wide.T))]
    wanted: set[bytes] = set()
    for form in forms:
        data, step = form.tobytes(), form.itemsize
        wanted.update(data[i : i + WINDOW_BYTES] for i in range(0, len(data) - WINDOW_BYTES, step))
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if _has_any(path.read_bytes(), wanted)]


def _has_any(data: bytes, wanted: set[bytes]) -> bool:
    return any(data[i : i + WINDOW_BYTES] in wanted for i in range(len(data) - WINDOW_BYTES + 1))


def test_the_sound_that_a_node_hears_is_in_no_file_of_it(state: Path, marker: NDArray[np.int16]) -> None:
    deadline_s = time.monotonic() + 60.0
    while picks(state) < 3:
        assert time.monotonic() < deadline_s, (state / "listen.log").read_text()
        time.sleep(0.1)
    files = {path.name for path in state.rglob("*")}
    assert {"node.db", "node.db-wal", "listen.log", "mesh.log"} <= files
    assert traces(state, marker) == []
    # The search does find what is there.
    (state / "planted").write_bytes(b"x" * 77 + marker[5_000:5_010, 1].tobytes() + b"y" * 10)
    assert [path.name for path in traces(state, marker)] == ["planted"]
