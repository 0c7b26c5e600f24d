"""The stream that stands in for a microphone: whole, bounded, mute on demand, and back after a break."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.errors import DeviceError
from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.instants import UtcNs
from appliance.model.space import Geodetic, NodePose
from appliance.ports import AudioSource
from appliance.scene import stream
from appliance.scene.stream import BlockServer, StreamSource
from appliance.scene.world import WorldNode

PAIR = ArrayGeometry(((0.0, 0.0, 0.0), (0.1, 0.0, 0.0)))
NODE = WorldNode("n1", NodePose("n1", Geodetic(1.0, 2.0), 1.0), PAIR, 16_000.0)


def block(number: int, n_samples: int = 1_600) -> AudioBlock:
    rng = np.random.default_rng(number)
    samples = (rng.integers(-32_768, 32_768, (2, n_samples)) / 32_768.0).astype(np.float32)
    return AudioBlock(samples, number * n_samples, 16_000.5, UtcNs(10**18 + number * 10**8), 1_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.sock"


@pytest.fixture
def server(path: Path) -> Iterator[BlockServer]:
    server = BlockServer(path, NODE)
    yield server
    server.close()


def while_sending(server: BlockServer, work: Callable[[], StreamSource | None]) -> StreamSource | None:
    """Do `work` in a thread while the server sends block 0 until it is done, as a paced world would."""
    result: list[StreamSource | None] = []
    worker = threading.Thread(target=lambda: result.append(work()))
    worker.start()
    while worker.is_alive():
        server.send(block(0))
        worker.join(0.01)
    return result[0]


@pytest.fixture
def source(server: BlockServer, path: Path) -> Iterator[StreamSource]:
    source = while_sending(server, lambda: StreamSource(path))
    assert source is not None
    while source.read(0.05) is not None:
        pass
    yield source
    source.close()


def test_blocks_arrive_as_they_were_sent(server: BlockServer, source: StreamSource) -> None:
    reader: AudioSource = source
    assert reader.geometry == PAIR
    assert reader.sample_rate_hz == 16_000.0
    server.send(block(5))
    heard = reader.read(1.0)
    assert heard is not None
    np.testing.assert_array_equal(heard.samples, block(5).samples)
    assert (heard.first_sample, heard.start_ns, heard.sigma_ns) == (8_000, 10**18 + 5 * 10**8, 1_000)
    assert heard.sample_rate_hz == 16_000.5


def test_a_long_block_comes_in_pieces_that_join(server: BlockServer, source: StreamSource) -> None:
    long = block(1, 120_000)
    server.send(long)
    pieces = []
    while sum(p.n_samples for p in pieces) < 120_000:
        # The client reads while the server is still sending the rest.
        piece = source.read(0.05)
        if piece is None:
            server.send(block(99, 1))
            continue
        pieces.append(piece)
    np.testing.assert_array_equal(np.concatenate([p.samples for p in pieces], axis=1)[:, :120_000], long.samples)
    assert pieces[1].first_sample == pieces[0].first_sample + pieces[0].n_samples
    assert pieces[1].start_ns == pieces[0].start_ns + round(pieces[0].n_samples / 16_000.5 * 1e9)


def test_nothing_to_read_is_none_after_the_time(source: StreamSource) -> None:
    assert source.read(0.01) is None


def test_a_muted_microphone_keeps_its_clock_and_loses_its_sound(server: BlockServer, source: StreamSource) -> None:
    server.mute(is_muted=True)
    server.send(block(1))
    server.mute(is_muted=False)
    server.send(block(2))
    mute, loud = source.read(1.0), source.read(1.0)
    assert mute is not None
    assert loud is not None
    assert np.abs(mute.samples).max() < 1e-3
    assert np.std(mute.samples) > 0.0
    assert (mute.first_sample, mute.start_ns) == (1_600, 10**18 + 10**8)
    np.testing.assert_array_equal(loud.samples, block(2).samples)


def test_nobody_there_is_a_device_error_that_names_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "RETRY_S", 0.0)
    with pytest.raises(DeviceError, match=r"sound stream .*nowhere.sock: nobody serves sound there"):
        StreamSource(tmp_path / "nowhere.sock")


def test_a_world_that_ends_is_a_device_error_and_a_new_one_is_heard_again(
    server: BlockServer, source: StreamSource, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RETRY_S", 0.0)
    server.close()
    with pytest.raises(DeviceError, match="ended"):
        source.read(1.0)
    with pytest.raises(DeviceError, match="nobody serves sound there"):
        source.read(1.0)
    again = BlockServer(path, NODE)
    heard: list[AudioBlock | None] = []
    while_sending(again, lambda: heard.append(source.read(1.0)))
    assert heard[0] is not None
    np.testing.assert_array_equal(heard[0].samples, block(0).samples)
    again.close()


def test_a_stream_of_another_array_is_not_taken_for_the_same(
    server: BlockServer, source: StreamSource, path: Path
) -> None:
    server.close()
    with pytest.raises(DeviceError):
        source.read(1.0)
    other = BlockServer(path, WorldNode("n1", NODE.pose, PAIR, 48_000.0))
    errors: list[BaseException] = []

    def read() -> None:
        try:
            source.read(1.0)
        except DeviceError as error:
            errors.append(error)

    while_sending(other, read)
    assert "another array or rate" in str(errors[0])
    other.close()


def test_bytes_that_are_no_stream_end_the_connection(path: Path) -> None:
    def answer() -> None:
        client, _ = listener.accept()
        with client:
            client.sendall(b"\xff" * 64)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        world = threading.Thread(target=answer)
        world.start()
        with pytest.raises(DeviceError, match="too long a message"):
            StreamSource(path)
        world.join()


def test_a_client_that_never_reads_costs_bounded_memory_and_then_sees_a_gap(
    server: BlockServer, source: StreamSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_PENDING_BYTES", 100_000)
    for number in range(1, 400):
        server.send(block(number))
    assert sum(len(part) for part in server._pending) < 200_000
    numbers = []
    for _ in range(1_000):
        heard = source.read(0.01)
        if heard is None:
            server.send(block(400))
            continue
        numbers.append(heard.first_sample // 1_600)
        if numbers[-1] == 400:
            break
    assert numbers[:3] == [1, 2, 3]
    assert numbers[-1] == 400
    assert len(numbers) < 390


def test_closing_ends_a_read_in_another_thread(source: StreamSource) -> None:
    errors: list[BaseException] = []

    def read() -> None:
        try:
            source.read(30.0)
        except DeviceError as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    source.close()
    reader.join(5.0)
    assert not reader.is_alive()
    assert errors


class CountingWorld:
    """A world of numbered blocks of a twentieth of a second that stops its feeder after the fourth."""

    nodes = (NODE,)
    air = None
    block_s = 0.05

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._count = 0

    def advance(self) -> dict[str, AudioBlock]:
        self._count += 1
        if self._count > 4:
            self._stop.set()
        return {"n1": block(self._count, 800)}


def test_a_world_is_fed_at_the_pace_of_real_time(server: BlockServer, source: StreamSource) -> None:
    stop = threading.Event()
    begin_s = time.monotonic()
    stream.feed(CountingWorld(stop), {"n1": server}, start_ns=time.time_ns(), stop=stop)
    took_s = time.monotonic() - begin_s
    heard = [source.read(1.0) for _ in range(4)]
    assert [b.first_sample // 800 for b in heard if b is not None] == [1, 2, 3, 4]
    assert took_s >= 0.2
