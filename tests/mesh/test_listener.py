import socket
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

import appliance.mesh.listener
from appliance.mesh.listener import ListenClient
from appliance.model.health import HealthCheck, HealthState
from appliance.model.instants import UtcNs
from appliance.model.picks import Pick, Rejection, pick_id
from appliance.pipeline.clips import Clip, Refusal
from appliance.wire.framing import FrameDecoder, encode_frame
from appliance.wire.messages import (
    AckMessage,
    ClipMessage,
    ClipRequestMessage,
    ClockMessage,
    HealthMessage,
    HelloMessage,
    LevelsMessage,
    PickMessage,
    RejectionMessage,
    local_decoder,
    pick_of,
)

TIMEOUT_S = 10.0


def pick(n):
    time_ns = 1_790_000_000_000_000_000 + n * 1_000_000
    return Pick(pick_id(time_ns, "n1"), "n1", time_ns, 1_000)


class Mesh:
    """The other end of listen.sock, one connection at a time."""

    def __init__(self, path):
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.unlink(missing_ok=True)
        self._server.bind(str(path))
        self._server.listen()
        self._server.settimeout(TIMEOUT_S)
        self._connection = None
        self._heard = []

    def accept(self):
        self._connection, _ = self._server.accept()
        self._connection.settimeout(TIMEOUT_S)
        self._decoder = FrameDecoder(local_decoder(), "listen")
        self._heard = []
        assert self.next(HelloMessage).role == "listen"

    def next(self, kind):
        """The next message of a kind; others before it are dropped."""
        while True:
            while self._heard:
                message = self._heard.pop(0)
                if isinstance(message, kind):
                    return message
            data = self._connection.recv(65_536)
            assert data, "listen hung up"
            self._heard = self._decoder.feed(data)

    def say(self, message):
        self._connection.sendall(encode_frame(message))

    def die(self):
        if self._connection is not None:
            self._connection.close()
        self._server.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "listen.sock"


@pytest.fixture
def client(path, monkeypatch):
    monkeypatch.setattr(appliance.mesh.listener, "RETRY_S", 0.02)
    client = ListenClient(path, "test")
    yield client
    client.close()


@pytest.fixture
def mesh(path, client):
    mesh = Mesh(path)
    mesh.accept()
    yield mesh
    mesh.die()


def wait_for(condition):
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def test_picks_arrive_in_order_and_are_kept_until_they_are_acknowledged(client, mesh):
    for n in range(3):
        client.send_pick(pick(n))
    assert [pick_of(mesh.next(PickMessage)) for _ in range(3)] == [pick(n) for n in range(3)]
    assert client.n_unacknowledged == 3
    mesh.say(AckMessage((pick(0).id, pick(2).id, pick(77).id)))
    wait_for(lambda: client.n_unacknowledged == 1)


def test_after_mesh_restarts_it_gets_what_it_had_not_acknowledged_and_what_came_meanwhile(client, mesh, path):
    client.send_pick(pick(1))
    client.send_pick(pick(2))
    mesh.next(PickMessage)
    mesh.say(AckMessage((pick(1).id,)))
    wait_for(lambda: client.n_unacknowledged == 1)
    mesh.die()
    client.send_pick(pick(3))
    again = Mesh(path)
    again.accept()
    assert [pick_of(again.next(PickMessage)) for _ in range(2)] == [pick(2), pick(3)]
    again.die()


def test_everything_else_that_listen_tells_arrives(client, mesh):
    client.send_levels(5, 6, [(-60.0, -50.0, 0), (float("-inf"), float("-inf"), 2)])
    levels = mesh.next(LevelsMessage)
    assert (levels.time_ns, levels.clock_sigma_ns) == (5, 6)
    assert [c.rms_dbfs for c in levels.channels] == [-60.0, -400.0], "silence has a level that can be sent"
    client.send_levels(6, 6, [(-60.0, -50.0, 0)], [[-70.0, -80.5]])
    assert mesh.next(LevelsMessage).channels[0].bands_dbfs == (-70.0, -80.5)
    client.send_rejection(Rejection("n1", 9, "onset", "too weak"))
    assert mesh.next(RejectionMessage).reason == "too weak"
    client.send_health([HealthCheck("ears", HealthState.FAILED, "gone", None, "", 1, "plug it in")])
    assert mesh.next(HealthMessage).checks[0].words == "gone"


def test_what_mesh_says_of_the_clock_is_there_to_read(client, mesh):
    assert client.clock is None
    mesh.say(ClockMessage(-5, 700))
    wait_for(lambda: client.clock is not None)
    assert client.clock.offset_ns == -5
    assert 700 <= client.clock.sigma_ns < 700 + 50_000, "5 ppm of the time since"


def test_while_mesh_is_away_memory_stays_bounded_and_losses_are_counted(client, monkeypatch, path):
    monkeypatch.setattr(appliance.mesh.listener, "MAX_UNACKNOWLEDGED", 50)
    for n in range(60):
        client.send_pick(pick(n))
        client.send_levels(n, 6, [(-60.0, -50.0, 0)])
        client.send_rejection(Rejection("n1", n, "onset", "x"))
    assert client.n_unacknowledged == 50
    assert client.n_dropped == 10
    mesh = Mesh(path)
    mesh.accept()
    assert pick_of(mesh.next(PickMessage)) == pick(10), "the oldest went first"
    assert mesh.next(LevelsMessage).time_ns == 59, "only the newest levels count"
    mesh.die()


def test_a_pick_that_no_message_can_carry_does_not_hold_up_the_others(client, mesh):
    broken = replace(pick(1), clock_sigma_ns=10**15)
    client.send_pick(broken)
    client.send_pick(pick(2))
    assert pick_of(mesh.next(PickMessage)) == pick(2)
    assert (client.n_dropped, client.n_unacknowledged) == (1, 1)


def test_picks_from_many_threads_all_arrive(client, mesh):
    threads = [
        threading.Thread(target=lambda base=base: [client.send_pick(pick(base + n)) for n in range(50)])
        for base in range(0, 400, 50)
    ]
    for thread in threads:
        thread.start()
    arrived = {pick_of(mesh.next(PickMessage)).id for _ in range(400)}
    for thread in threads:
        thread.join()
    assert len(arrived) == 400


def test_a_mesh_of_another_version_does_not_stop_the_ears(client, mesh, path):
    mesh._connection.sendall(b"\0\0\0\1\xc1")
    mesh.die()
    client.send_pick(pick(1))
    again = Mesh(path)
    again.accept()
    assert pick_of(again.next(PickMessage)) == pick(1)
    again.die()


def test_closing_ends_the_thread_whether_or_not_mesh_is_there(path):
    client = ListenClient(path, "test")
    client.send_pick(pick(1))
    client.close()
    mesh = Mesh(path)
    client = ListenClient(path, "test")
    mesh.accept()
    assert client.wait_connected(TIMEOUT_S)
    client.close()
    mesh.die()


def clip(request, n_samples, *, n_channels=2):
    samples = np.arange(n_samples * n_channels, dtype=np.int64).astype(np.int16).reshape(n_samples, n_channels)
    return Clip(request, pick(request).id, UtcNs(5), 6, 16_000.5, samples)


def test_a_clip_asked_for_arrives_whole_in_parts_and_picks_do_not_wait_for_it(client, mesh):
    mesh.say(ClipRequestMessage(7, (pick(7).id,)))
    wait_for(lambda: client.take_clip_requests() == [ClipRequestMessage(7, (pick(7).id,))])
    sent = clip(7, 500_000)
    client.send_clips([sent, Refusal(7, pick(8).id, "gone")])
    client.send_pick(pick(1))
    kinds, parts = [], []
    while not (parts and parts[-1].last):
        message = mesh.next(PickMessage | ClipMessage)
        kinds.append(type(message))
        if isinstance(message, ClipMessage):
            parts.append(message)
    assert kinds.index(PickMessage) < len(parts) - 1
    *of_clip, refusal = parts
    assert (refusal.pick, refusal.refused) == (pick(8).id, "gone")
    assert b"".join(part.data for part in of_clip) == sent.samples.tobytes()
    assert {(p.pick, p.first_ns, p.clock_sigma_ns, p.rate_hz, p.n_channels, p.total_bytes) for p in of_clip} == {
        (pick(7).id, 5, 6, 16_000.5, 2, sent.samples.nbytes)
    }


def test_clips_that_nobody_reads_are_refused_before_memory_is_full(client, mesh, monkeypatch):
    monkeypatch.setattr(appliance.mesh.listener, "MAX_UNSENT_CLIP_BYTES", 1_000_000)
    client.send_clips([clip(1, 200_000), clip(2, 200_000)])
    heard = [mesh.next(ClipMessage)]
    while not heard[-1].last or heard[-1].request != 2:
        heard.append(mesh.next(ClipMessage))
    assert heard[-1].refused == "earlier clips were not read yet"
    assert sum(len(part.data) for part in heard) == 800_000


def test_clips_asked_for_in_an_earlier_connection_are_not_sent_in_the_next(client, mesh, path):
    mesh.die()
    wait_for(lambda: not client.wait_connected(0.0))
    client.send_clips([clip(1, 1_000)])
    again = Mesh(path)
    again.accept()
    client.send_clips([clip(2, 10)])
    assert again.next(ClipMessage).request == 2
    again.die()
