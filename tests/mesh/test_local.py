import asyncio
import socket

import pytest

import appliance.mesh.local
from appliance.errors import PeerError, StoreError
from appliance.mesh.local import MAX_CLIENTS, LocalServer
from appliance.wire.framing import FrameDecoder, encode_frame
from appliance.wire.messages import ChangedMessage, HelloMessage, local_decoder
from tests.mesh.sites import until

HELLO = HelloMessage("web", "test")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "control.sock"


def serve(path, scenario, on_message=lambda _message, _reply: None):
    async def run():
        server = LocalServer(path, on_message)
        await server.start()
        try:
            await scenario(server)
        finally:
            await server.close()

    asyncio.run(run())


async def next_message(reader, decoder):
    messages = []
    while not messages:
        data = await reader.read(65_536)
        assert data, "the connection ended"
        messages = decoder.feed(data)
    return messages[0]


def test_every_process_that_is_connected_hears_a_broadcast_and_is_heard(path):
    heard = []

    async def scenario(server):
        clients = [await asyncio.open_unix_connection(path) for _ in range(3)]
        for _, writer in clients:
            writer.write(encode_frame(HELLO))
        await until(lambda: heard == [HELLO] * 3)
        server.broadcast(ChangedMessage(7))
        for reader, writer in clients:
            assert await next_message(reader, FrameDecoder(local_decoder(), "mesh")) == ChangedMessage(7)
            writer.close()
        await until(lambda: server.n_clients == 0)

    serve(path, scenario, lambda message, _: heard.append(message))
    assert not path.exists()


def test_only_this_machines_group_may_connect(path):
    async def scenario(_):
        assert path.stat().st_mode & 0o777 == 0o660

    serve(path, scenario)


@pytest.mark.parametrize("said", [b"\0\0\0\1\xc1", b"\xff\xff\xff\xff", encode_frame(ChangedMessage(1))])
def test_a_process_that_breaks_the_protocol_is_cut_off_and_others_stay(path, said):
    def refuse_changed(message, _):
        if isinstance(message, ChangedMessage):
            raise PeerError("control.sock", "got a ChangedMessage", "restart")

    async def scenario(server):
        good_reader, good_writer = await asyncio.open_unix_connection(path)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(said)
        assert await reader.read() == b""
        writer.close()
        await until(lambda: server.n_clients == 1)
        server.broadcast(ChangedMessage(9))
        assert await next_message(good_reader, FrameDecoder(local_decoder(), "mesh")) == ChangedMessage(9)
        good_writer.close()

    serve(path, scenario, refuse_changed)


def test_a_process_that_does_not_read_is_cut_off(path, monkeypatch):
    monkeypatch.setattr(appliance.mesh.local, "MAX_UNSENT_BYTES", 1_000)

    async def scenario(server):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as deaf:
            deaf.connect(str(path))
            await until(lambda: server.n_clients == 1)
            for row in range(100_000):
                server.broadcast(ChangedMessage(row))
                if not server.n_clients:
                    break
                await asyncio.sleep(0)
            assert server.n_clients == 0

    serve(path, scenario)


def test_more_processes_than_a_node_has_are_turned_away(path):
    async def scenario(server):
        clients = [await asyncio.open_unix_connection(path) for _ in range(MAX_CLIENTS)]
        await until(lambda: server.n_clients == MAX_CLIENTS)
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b""
        for _, w in (*clients, (reader, writer)):
            w.close()

    serve(path, scenario)


def test_a_socket_that_a_killed_process_left_is_replaced(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
        dead.listen()

    async def scenario(server):
        _, writer = await asyncio.open_unix_connection(path)
        await until(lambda: server.n_clients == 1)
        writer.close()

    serve(path, scenario)


def test_a_second_mesh_of_the_same_folder_is_refused(path):
    async def scenario(server):
        with pytest.raises(StoreError, match="stop the other earshot mesh"):
            await asyncio.to_thread(asyncio.run, LocalServer(path, print).start())
        _, writer = await asyncio.open_unix_connection(path)
        await until(lambda: server.n_clients == 1)
        writer.close()
        await until(lambda: server.n_clients == 0)

    serve(path, scenario)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match="make its folder writable"):
        asyncio.run(LocalServer(tmp_path / "none" / "x.sock", print).start())
