import asyncio
import random
import ssl
import struct

import pytest

import appliance.ledger.health
import appliance.mesh.hub
import appliance.mesh.link
from appliance.errors import InputError, PeerError
from appliance.mesh.discovery import Found
from appliance.mesh.hub import MAX_PENDING_PER_ADDRESS, PeerHub
from appliance.mesh.link import make_identity
from appliance.mesh.trust import create_site, load_credentials
from appliance.wire.framing import FrameDecoder, encode_frame
from appliance.wire.messages import HeadsMessage, HeartbeatMessage, PeerHelloMessage, RosterMessage, peer_decoder
from tests.mesh.sites import TIMEOUT_S, enrolled, until


class Peer:
    """A node with links and nothing behind them: it notes what it is told, and refuses what it is told to refuse."""

    def __init__(self, credentials):
        self.credentials = credentials
        self.hub = PeerHub(make_identity(credentials, "test"), self)
        self.linked = set()
        self.n_links = 0
        self.heard = []
        self.refuses = lambda _: False

    def peer_up(self, peer):
        assert peer.node not in self.linked
        self.linked.add(peer.node)
        self.n_links += 1

    def peer_down(self, node):
        self.linked.remove(node)

    def peer_said(self, node, message):
        if self.refuses(message):
            raise PeerError(f"peer {node}", "said what it must not", "none")
        self.heard.append((node, message))

    async def start(self, port=0):
        self.port = await self.hub.listen(("127.0.0.1",), port)
        self.task = asyncio.ensure_future(self.hub.run(lambda: 1))

    async def stop(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.hub.close()


def with_peers(folder, *names, site=None):
    """Run a coroutine function with started peers of one site."""

    def decorate(scenario):
        async def run():
            peers = [Peer(credentials) for credentials in enrolled(folder, *names, site=site)]
            for peer in peers:
                await peer.start()
            try:
                await asyncio.wait_for(scenario(*peers), 2 * TIMEOUT_S)
            finally:
                for peer in peers:
                    await peer.stop()

        asyncio.run(run())

    return decorate


def message(n):
    return RosterMessage((b"%d" % n,))


def test_peers_hear_each_other_in_both_directions_and_in_order(tmp_path):
    @with_peers(tmp_path, "n1", "n2", "n3")
    async def scenario(a, b, c):
        a.hub.add_static("127.0.0.1", b.port)
        c.hub.add_static("127.0.0.1", b.port)
        await until(lambda: b.linked == {"n1", "n3"} and a.linked == {"n2"} and c.linked == {"n2"})
        for n in range(50):
            a.hub.send("n2", message(n))
            b.hub.broadcast(message(n))
        expected = [message(n) for n in range(50)]
        await until(lambda: len(a.heard) == len(b.heard) == len(c.heard) == 50)
        assert [m for _, m in a.heard] == [m for _, m in b.heard] == [m for _, m in c.heard] == expected
        assert {node for node, _ in b.heard} == {"n1"}
        a.hub.send("nobody", message(1))


def test_two_who_dial_each_other_at_once_end_with_one_link_that_works(tmp_path):
    @with_peers(tmp_path, "n1", "n2")
    async def scenario(a, b):
        for _ in range(3):
            a.hub.add_static("127.0.0.1", b.port)
            b.hub.add_static("127.0.0.1", a.port)
        a.hub.add_found(Found("n2", ("127.0.0.1",), b.port))
        b.hub.add_found(Found("n1", ("127.0.0.1",), a.port))
        await until(lambda: a.linked and b.linked)
        for n in range(1_000_000):  # a link that is replaced loses what was under way, so it is said until it is heard
            a.hub.send("n2", message(n))
            b.hub.send("n1", message(n))
            if a.heard and b.heard:
                break
            await asyncio.sleep(0.01)
        await until(lambda: a.linked == {"n2"} and b.linked == {"n1"})


def test_of_two_links_of_a_pair_the_one_that_the_smaller_name_dialled_stays(tmp_path):
    @with_peers(tmp_path, "n1", "n2")
    async def scenario(a, b):
        a.hub.add_static("127.0.0.1", b.port)
        await until(lambda: a.linked and b.linked)
        reader, writer = await tls_to(a, b.credentials)
        await hung_up(reader)
        writer.transport.abort()
        assert a.n_links == 1
        reader, writer = await tls_to(b, a.credentials)
        await until(lambda: b.n_links == 2)
        assert b.linked == {"n1"}, "a newer link by the same node replaces a dead one"
        writer.transport.abort()


def test_a_node_that_finds_itself_leaves_it_at_that(tmp_path):
    @with_peers(tmp_path, "n1")
    async def scenario(a):
        a.hub.add_static("127.0.0.1", a.port)
        await until(lambda: [t.node for t in a.hub._targets.values()] == ["n1"])
        assert a.n_links == 0
        assert not a.hub.refused


def test_a_peer_that_dies_is_noticed_and_found_again_when_it_is_back(tmp_path):
    @with_peers(tmp_path, "n1", "n2")
    async def scenario(a, b):
        a.hub.add_static("127.0.0.1", b.port)
        await until(lambda: a.linked and b.linked)
        await b.stop()
        await until(lambda: not a.linked)
        again = Peer(b.credentials)
        await again.start(b.port)
        await until(lambda: a.linked == {"n2"} and again.linked == {"n1"})
        await again.stop()


def test_the_larger_name_dials_as_well_when_it_alone_knows_of_the_pair(tmp_path, monkeypatch):
    monkeypatch.setattr(appliance.mesh.hub, "SECOND_CHANCE_S", 0.2)

    @with_peers(tmp_path, "n1", "n2")
    async def scenario(a, b):
        b.hub.add_found(Found("n1", ("127.0.0.9", "127.0.0.1"), a.port))
        await until(lambda: a.linked == {"n2"} and b.linked == {"n1"})


async def tls_to(peer, credentials, *, hello=True):
    """A connection by somebody who holds a member's keys and says what he likes."""
    context = credentials.client_context()
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.port, ssl=context, server_hostname="")
    if hello:
        writer.write(encode_frame(PeerHelloMessage(credentials.node, "test")))
    return reader, writer


async def hung_up(reader):
    try:
        while await reader.read(65_536):
            pass
    except OSError:
        pass
    return True


def test_a_linked_peer_that_falls_silent_is_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(appliance.ledger.health, "PEER_DEAD_AFTER_S", 1.0)
    monkeypatch.setattr(appliance.mesh.hub, "HEARTBEAT_S", 0.2)

    @with_peers(tmp_path, "n1", "n2")
    async def scenario(a, b):
        a.hub.add_static("127.0.0.1", b.port)
        await until(lambda: a.linked == {"n2"})
        await b.stop()
        await until(lambda: not a.linked)
        reader, writer = await tls_to(a, b.credentials)
        await until(lambda: a.linked == {"n2"})
        await hung_up(reader)
        await until(lambda: not a.linked)
        writer.transport.abort()


def strangers(folder):
    """Ways to connect without being a member, each as a coroutine function of a peer."""
    other = create_site("test")
    other.enrol("n2", folder / "stranger")
    stranger = load_credentials(folder / "stranger")

    async def of_another_site(peer):
        context = stranger.client_context()
        context.verify_mode = ssl.CERT_NONE
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port, ssl=context, server_hostname="")
        writer.write(encode_frame(PeerHelloMessage("n2", "test")))
        return reader, writer

    async def without_a_certificate(peer):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return await asyncio.open_connection("127.0.0.1", peer.port, ssl=context, server_hostname="")

    async def without_encryption(peer):
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
        writer.write(encode_frame(PeerHelloMessage("n2", "test")))
        return reader, writer

    async def who_hangs_up(peer):
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
        writer.close()
        return reader, writer

    return [of_another_site, without_a_certificate, without_encryption, who_hangs_up]


def test_strangers_are_refused_and_counted_and_members_do_not_notice(tmp_path):
    @with_peers(tmp_path, "n1", "n3")
    async def scenario(a, c):
        a.hub.add_static("127.0.0.1", c.port)
        await until(lambda: a.linked == {"n3"})
        for n, approach in enumerate(strangers(tmp_path), 1):
            streams = await approach(a)
            if streams:
                await hung_up(streams[0])
                streams[1].transport.abort()
            await until(lambda n=n: sum(a.hub.refused.values()) == n)
        assert a.linked == {"n3"}
        assert "could not prove that it is of this site" in a.hub.refused
        c.hub.send("n1", message(1))
        await until(lambda: a.heard == [("n3", message(1))])


def test_a_member_with_an_older_tls_gets_no_link(tmp_path):
    @with_peers(tmp_path, "n1", "n2")
    async def scenario(a, b):
        context = b.credentials.client_context()
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", a.port, ssl=context, server_hostname="")
        await until(lambda: a.hub.refused)
        assert a.n_links == 0


def test_connections_that_say_nothing_do_not_pile_up(tmp_path, monkeypatch):
    monkeypatch.setattr(appliance.mesh.link, "HANDSHAKE_TIMEOUT_S", 1.0)

    @with_peers(tmp_path, "n1", "n2")
    async def scenario(a, b):
        idle = [await asyncio.open_connection("127.0.0.1", a.port) for _ in range(MAX_PENDING_PER_ADDRESS + 5)]
        await until(lambda: a.hub.refused.get("too many connections at once") == 5)
        for reader, writer in idle:
            await hung_up(reader)
            writer.transport.abort()
        b.hub.add_static("127.0.0.1", a.port)
        await until(lambda: a.linked == {"n2"})


HELLO = PeerHelloMessage("n2", "test")
LAST = encode_frame(HeartbeatMessage(1))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([PeerHelloMessage("n3", "test")], "calls itself by another name"),
        ([PeerHelloMessage("n2", "test", version=2)], "speaks another version of the protocol"),
        ([HeartbeatMessage(1)], "did not begin with a hello"),
        ([HELLO, b"\0\0\0\1\xc1"], "sent a message that does not fit the protocol"),
        ([HELLO, struct.pack(">I", 2**31)], "announced too long a message"),
        ([b"GET / HTTP/1.1\r\n\r\n"], "announced too long a message"),
        ([HELLO, RosterMessage((b"refuse me",))], "said what it must not"),
    ],
    ids=["name", "version", "no hello", "malformed", "oversize", "http", "refused by the handler"],
)
def test_a_member_that_breaks_the_protocol_is_cut_off_and_the_reason_counted(tmp_path, said, reason):
    @with_peers(tmp_path, "n1", "n2")
    async def scenario(a, b):
        a.refuses = lambda m: isinstance(m, RosterMessage)
        reader, writer = await tls_to(a, b.credentials, hello=False)
        for part in said:
            writer.write(part if isinstance(part, bytes) else encode_frame(part))
        await hung_up(reader)
        writer.transport.abort()
        await until(lambda: not a.linked)
        assert dict(a.hub.refused) == {reason: 1}


def test_who_broke_the_protocol_is_not_talked_to_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(appliance.mesh.hub, "PENANCE_S", 2.0)

    @with_peers(tmp_path, "n1", "n2")
    async def scenario(a, b):
        reader, writer = await tls_to(a, b.credentials)
        writer.write(b"\0\0\0\1\xc1")
        await hung_up(reader)
        writer.transport.abort()
        b.hub.add_static("127.0.0.1", a.port)
        await until(lambda: a.hub.refused.get("came back too soon after breaking the protocol", 0) > 0)
        await until(lambda: a.linked == {"n2"})


def test_a_flood_is_cut_off_while_others_are_heard(tmp_path):
    @with_peers(tmp_path, "n1", "n2", "n3")
    async def scenario(a, b, c):
        c.hub.add_static("127.0.0.1", a.port)
        await until(lambda: "n3" in a.linked)
        reader, writer = await tls_to(a, b.credentials)
        frame = encode_frame(HeadsMessage(()))
        ended = asyncio.ensure_future(hung_up(reader))
        while not ended.done():
            writer.write(frame * 500)
            c.hub.send("n1", message(1))
            await asyncio.sleep(0.005)
        assert a.hub.refused == {"floods": 1}
        assert "n3" in a.linked
        assert ("n3", message(1)) in a.heard
        writer.transport.abort()


def test_a_peer_that_does_not_read_is_cut_off_before_it_fills_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(appliance.mesh.link, "MAX_UNSENT_BYTES", 100_000)

    @with_peers(tmp_path, "n1", "n2")
    async def scenario(a, b):
        _, writer = await tls_to(a, b.credentials)
        await until(lambda: a.linked == {"n2"})
        writer.transport.pause_reading()
        big = RosterMessage((bytes(2_000),) * 60)
        for _ in range(10_000):
            if not a.linked:
                break
            a.hub.send("n2", big)
            await asyncio.sleep(0)
        assert "a peer that does not read" in a.hub.refused
        await until(lambda: not a.linked)
        writer.transport.abort()


def test_random_bytes_from_a_member_never_harm_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr(appliance.mesh.hub, "PENANCE_S", 0.0)
    rng = random.Random(7)

    @with_peers(tmp_path, "n1", "n2")
    async def scenario(a, b):
        for _ in range(40):
            reader, writer = await tls_to(a, b.credentials)
            good = encode_frame(HeadsMessage(()))
            data = bytearray(good + rng.randbytes(rng.randint(1, 300)))
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            writer.write(bytes(data) + struct.pack(">I", 2**30))
            await hung_up(reader)
            writer.transport.abort()
            await until(lambda: not a.linked)
        assert sum(a.hub.refused.values()) == 40
        b.hub.add_static("127.0.0.1", a.port)
        await until(lambda: a.linked == {"n2"})


def test_the_hello_says_who_is_there(tmp_path):
    @with_peers(tmp_path, "n1", "n2")
    async def scenario(a, b):
        reader, writer = await tls_to(a, b.credentials)
        decoder = FrameDecoder(peer_decoder(), "n1")
        messages = []
        while not messages:
            messages = decoder.feed(await reader.read(65_536))
        assert messages[0] == PeerHelloMessage("n1", "test")
        writer.transport.abort()


@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.77"])
def test_a_port_or_address_that_can_not_be_had_is_named_with_the_remedy(tmp_path, address):
    @with_peers(tmp_path, "n1", "n2")
    async def scenario(a, b):
        with pytest.raises(InputError, match=f"peers at {address} port .*choose another port"):
            await b.hub.listen((address,), a.port)
