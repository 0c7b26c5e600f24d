"""The listening process: what it says of itself, and its loop on a real ALSA device, with the test as mesh."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.config.folder import NodeFolder
from appliance.config.settings import parse_settings
from appliance.daemon.listen import Listener, channels_check
from appliance.model.health import HealthState
from appliance.model.instants import UtcNs
from appliance.model.picks import pick_id
from appliance.pipeline.channels import ChannelFault, ChannelFaultKind
from appliance.wire.messages import ClipMessage, ClipRequestMessage, ClockMessage, HealthMessage, PickMessage
from tests.devices.paced import build_plugin
from tests.mesh.test_listener import Mesh

RATE_HZ = 16_000
BLAST_S = 1.0
SETTINGS = b"""
[node]
id = "n1"
[ears]
array = "generic"
device = "array"
microphones_m = [[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]]
"""


class Array:
    """Two channels of a file of four seconds, over and over, with a blast in each; and the faults of the device."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(5)
        sound = rng.normal(0.0, 60.0, (4 * RATE_HZ, 2))
        time_s = np.arange(RATE_HZ // 20) / RATE_HZ
        first = round(BLAST_S * RATE_HZ)
        sound[first : first + len(time_s)] += (12_000.0 * (1.0 - time_s / 2e-3) * np.exp(-time_s / 2e-3))[:, None]
        self.sound: NDArray[np.int16] = sound.astype("<i2")
        self._fault = folder / "fault"
        (folder / "sound.raw").write_bytes(self.sound.tobytes())
        (folder / "asound.conf").write_text(
            f'<confdir:alsa.conf>\npcm_type.paced {{ lib "{build_plugin(folder)}" }}\n'
            f"pcm.array {{ type paced channels 2 rate {RATE_HZ} epoch_ns {time.monotonic_ns()}"
            f' file "{folder}/sound.raw" fault "{self._fault}" }}\n'
        )

    def fail(self, word: str) -> None:
        draft = self._fault.with_suffix(".draft")
        draft.write_text(word, "ascii")
        draft.rename(self._fault)

    def mend(self) -> None:
        self._fault.unlink()


@pytest.fixture
def array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Array:
    device = Array(tmp_path)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    return device


@pytest.fixture
def mesh(array: Array, tmp_path: Path) -> Iterator[Mesh]:
    """Mesh's end, connected to a listener that hears the array."""
    folder = NodeFolder(tmp_path)
    folder.make()
    mesh = Mesh(folder.listen_socket)
    listener = Listener(parse_settings(SETTINGS, "test"), folder, lambda: None)
    stopped = threading.Event()
    thread = threading.Thread(target=listener.run, args=(stopped,))
    thread.start()
    mesh.accept()
    mesh.say(ClockMessage(1_790_000_000_000_000_000, 5_000))
    yield mesh
    stopped.set()
    thread.join()
    mesh.die()


def next_pick(mesh: Mesh) -> PickMessage:
    """The next pick after mesh has said what time it is."""
    while True:
        message: PickMessage = mesh.next(PickMessage)
        if message.pick.time_ns > 1_780_000_000_000_000_000 and message.pick.clock_sigma_ns < 100_000_000:
            return message


def test_mesh_gets_the_sound_around_a_pick_as_the_microphones_heard_it(mesh: Mesh, array: Array) -> None:
    message = next_pick(mesh)
    pick = pick_id(message.pick.time_ns, "n1")
    mesh.say(ClipRequestMessage(4, (pick, pick_id(5, "n1"))))
    answers: list[ClipMessage] = []
    while not (answers and answers[-1].last):
        answers.append(mesh.next(ClipMessage))
    refusals = [a for a in answers if a.refused is not None]
    parts = [a for a in answers if a.refused is None]
    assert [a.pick for a in refusals] == [pick_id(5, "n1")]
    assert {a.request for a in answers} == {4}
    data = b"".join(part.data for part in parts)
    assert len(data) == parts[0].total_bytes
    heard = np.frombuffer(data, "<i2").reshape(-1, parts[0].n_channels)
    # One second before the blast is the beginning of the file; the first pick may come less than that after the start.
    front = round((message.pick.time_ns - parts[0].first_ns) * parts[0].rate_hz / 1e9)
    begin = round(BLAST_S * RATE_HZ) - front
    played = np.take(array.sound, np.arange(begin - 40, begin + len(heard) + 40), axis=0, mode="wrap")
    lags = [lag for lag in range(80) if np.array_equal(played[lag : lag + len(heard)], heard)]
    assert len(lags) == 1, "the very samples, within the pick's own error of their place"
    assert RATE_HZ < len(heard) <= 2 * RATE_HZ + 1


def state_of(mesh: Mesh, name: str) -> tuple[HealthState, str]:
    """The next state and words of one of the listener's own checks."""
    while True:
        message: HealthMessage = mesh.next(HealthMessage)
        for check in message.checks:
            if check.name == name:
                return check.state, check.words


def wait_for(mesh: Mesh, state: HealthState, words: str) -> str:
    deadline_s = time.monotonic() + 20.0
    while time.monotonic() < deadline_s:
        now, said = state_of(mesh, "microphones")
        if now is state and words in said:
            return said
    pytest.fail(f"no {state} with {words!r}")


def test_an_array_that_is_unplugged_is_told_and_heard_again_when_it_is_back(mesh: Mesh, array: Array) -> None:
    wait_for(mesh, HealthState.OK, "array: 2 microphones at 16 kHz")
    array.fail("unplug")
    wait_for(mesh, HealthState.FAILED, "No such device")
    array.mend()
    wait_for(mesh, HealthState.DEGRADED, "samples lost 1 times since the start")
    next_pick(mesh)


def test_faulty_channels_are_named_as_people_count_them_with_what_to_do() -> None:
    faults = (
        ChannelFault(ChannelFaultKind.DEAD, (2,)),
        ChannelFault(ChannelFaultKind.DEAD, (4,)),
        ChannelFault(ChannelFaultKind.SWAPPED, (0, 5)),
    )

    check = channels_check(faults, UtcNs(7))

    assert check.state is HealthState.DEGRADED
    assert check.words == (
        "channel 3 hears nothing; channel 5 hears nothing; channels 1 and 6 stand in each other's place"
    )
    assert check.number == 4.0
    assert check.remedy.count("check the microphone and its plug") == 1
    assert "exchange their plugs" in check.remedy


def test_channels_that_agree_are_fine() -> None:
    check = channels_check((), UtcNs(7))

    assert check.state is HealthState.OK
    assert check.remedy == ""
