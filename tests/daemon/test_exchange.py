import asyncio
import contextlib
import time

import appliance.daemon.exchange
from appliance.daemon.exchange import Exchange, open_log
from appliance.ledger.records import NO_RECORD, Range, RecordWriter
from appliance.mesh.hub import PeerHub
from appliance.mesh.link import make_identity
from appliance.mesh.trust import create_site, load_credentials
from appliance.storage.node_store import NodeStore
from appliance.storage.writer import GroupWriter
from appliance.wire.framing import FrameDecoder, encode_frame
from appliance.wire.messages import PeerHelloMessage, RecordsMessage, RosterMessage, WantMessage, peer_decoder
from appliance.wire.records import EpochBody, NodeBody, encode_body
from tests.mesh.sites import enrolled, until


class LogNode:
    """A node with log, disk and links, and neither ears nor localiser nor mDNS: it knows whom it is told to dial."""

    def __init__(self, credentials):
        self.credentials = credentials
        self.name = credentials.node
        self.seen = []

    async def start(self):
        store = NodeStore(self.credentials.folder.parent / "node.db")
        opened, _ = open_log(store, self.credentials, "test", time.time_ns())
        self.epoch = opened.epoch
        self.writer = GroupWriter(store)
        self.exchange = Exchange(self.credentials, opened, self.writer, self.seen.extend)
        self.hub = PeerHub(make_identity(self.credentials, "test"), self.exchange)
        self.exchange.hub = self.hub
        self.port = await self.hub.listen(("127.0.0.1",), 0)
        self.tasks = [asyncio.ensure_future(self.hub.run(time.time_ns)), asyncio.ensure_future(self.exchange.run())]

    async def stop(self):
        """Harmless when repeated."""
        tasks, self.tasks = self.tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if tasks:
            await self.hub.close()
            await self.exchange.close()
            await asyncio.to_thread(self.writer.close)

    def dial(self, other):
        self.hub.add_static("127.0.0.1", other.port)

    def say(self, words):
        return self.exchange.publish(NodeBody("", words), time.time_ns()).stored

    def held(self):
        """Keys of all records on disk."""
        work = self.writer.submit(lambda store: {(r.node, r.epoch, r.seq) for r in store.all_records()})
        return work.result(5)


def with_nodes(folder, *names):
    """Run a coroutine function with started nodes of one site."""

    def decorate(scenario):
        async def run():
            async with contextlib.AsyncExitStack() as stack:
                nodes = [LogNode(credentials) for credentials in enrolled(folder, *names)]
                for node in nodes:
                    await node.start()
                    stack.push_async_callback(node.stop)
                await scenario(*nodes)

        asyncio.run(asyncio.wait_for(run(), 60.0))

    return decorate


def test_records_pass_through_a_node_between_two_that_do_not_reach_each_other(tmp_path):
    @with_nodes(tmp_path, "n1", "n2", "n3")
    async def scenario(a, b, c):
        a.dial(b)
        b.dial(c)
        await until(lambda: a.exchange.members == c.exchange.members == ("n1", "n2", "n3"))
        await a.say("hello")
        await until(lambda: ("n1", a.epoch, 2) in c.held())
        await c.say("hello yourself")
        await until(lambda: a.held() == b.held() == c.held())
        assert a.exchange.knowledge() == c.exchange.knowledge()
        assert set(a.hub.peers()) == {"n2"}


def test_a_long_history_is_fetched_in_many_requests(tmp_path):
    @with_nodes(tmp_path, "n1", "n2")
    async def scenario(a, b):
        for n in range(500):
            stored = a.say(f"{n}")
        await stored
        b.dial(a)
        await until(lambda: a.held() == b.held())
        assert [r.seq for r in b.seen if r.node == "n1"] == list(range(1, 502))


def test_a_node_that_lost_its_database_gets_its_own_history_back(tmp_path):
    @with_nodes(tmp_path, "n1", "n2")
    async def scenario(a, b):
        a.dial(b)
        for n in range(5):
            await a.say(f"{n}")
        await until(lambda: a.held() == b.held())
        before = a.held()
        await a.stop()
        for file in a.credentials.folder.parent.glob("node.db*"):
            file.unlink()
        again = LogNode(a.credentials)
        await asyncio.sleep(max(0.0, a.epoch + 1 - time.time()))  # the epoch's number is the second of the start
        await again.start()
        again.dial(b)
        await until(lambda: before < again.held() and again.held() == b.held())
        await again.stop()


def test_a_flood_of_pushed_records_is_not_taken_at_once_and_yet_arrives(tmp_path, monkeypatch):
    monkeypatch.setattr(appliance.daemon.exchange, "MAX_PUSHED_BURST", 50.0)

    @with_nodes(tmp_path, "n1", "n2")
    async def scenario(a, b):
        a.dial(b)
        await until(lambda: a.hub.peers() and b.hub.peers())
        for n in range(300):
            a.say(f"{n}")
        await until(lambda: "pushes too fast" in b.hub.refused)
        await until(lambda: a.held() == b.held())
        assert set(b.hub.peers()) == {"n1"}, "it is slowed down, not cut off"


def test_a_node_that_writes_without_end_fills_nobodys_disk_and_others_are_heard(tmp_path, monkeypatch):
    monkeypatch.setattr(appliance.daemon.exchange, "MAX_AUTHOR_BYTES_BURST", 20_000.0)
    monkeypatch.setattr(appliance.daemon.exchange, "MAX_AUTHOR_BYTES_PER_S", 10.0)

    @with_nodes(tmp_path, "n1", "n2", "n3")
    async def scenario(a, b, c):
        b.dial(a)
        c.dial(a)
        await until(lambda: set(a.hub.peers()) == {"n2", "n3"})
        for n in range(400):
            b.say(f"{n}")
        await c.say("a word")
        await until(lambda: ("n3", c.epoch, 2) in a.held())
        await until(lambda: "n2 writes more than is kept of one node" in a.hub.refused)
        assert sum(node == "n2" for node, _, _ in a.held()) <= 20_000 / 300
        assert set(a.hub.peers()) == {"n2", "n3"}, "what it says of itself, once it is sane again, is heard"


async def member_says(node, credentials, *messages, n_answers=10**9):
    """Somebody with a member's keys links to a node and says things, and gives the records that he gets as answers.

    He goes after `n_answers`, or when the node hangs up.
    """
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", node.port, ssl=credentials.client_context(), server_hostname=""
    )
    for message in (PeerHelloMessage(credentials.node, "test"), *messages):
        writer.write(encode_frame(message))
    answers, decoder = [], FrameDecoder(peer_decoder(), node.name)
    try:
        while len(answers) < n_answers and (data := await reader.read(65_536)):
            answers += (m for m in decoder.feed(data) if isinstance(m, RecordsMessage) and m.asked)
    except OSError:
        pass
    writer.transport.abort()
    return answers


def test_a_member_that_sends_what_nobody_honest_sends_is_cut_off_with_the_reason(tmp_path):
    other_site = create_site("test")
    other_site.enrol("n9", tmp_path / "n9" / "keys")
    stranger = load_credentials(tmp_path / "n9" / "keys")

    @with_nodes(tmp_path, "n1", "n2")
    async def scenario(a, b):
        await b.stop()
        thief = b.credentials
        writer = RecordWriter(thief.private_key, thief.site.key, "n2", 77, NO_RECORD)
        start = writer.write(*encode_body(EpochBody(0, 0, "x")), 1)
        fork = RecordWriter(thief.private_key, thief.site.key, "n2", 77, NO_RECORD)
        other_start = fork.write(*encode_body(EpochBody(0, 0, "y")), 1)
        in_anothers_name = RecordWriter(thief.private_key, thief.site.key, "n1", 78, NO_RECORD)
        forged = in_anothers_name.write(*encode_body(EpochBody(0, 0, "x")), 1)
        for messages, reason in (
            ((RecordsMessage((forged,), asked=False),), "record: signature does not fit"),
            ((RecordsMessage((start, other_start), asked=True),), "record: another record stands in its place"),
            ((RosterMessage((stranger.enrolled.der,)),), "was not signed for a node by the site test"),
            ((PeerHelloMessage("n2", "again"),), "sent a message out of turn"),
            ((WantMessage((Range("n1", a.epoch, 1, 5),)),) * 400, "asks for too much"),
        ):
            a.hub._banned_until_s.clear()
            await member_says(a, thief, *messages)
            assert reason in a.hub.refused, a.hub.refused
        assert {node for node, _, _ in a.held()} == {"n1", "n2"}
        assert ("n2", 77, 1) in a.held(), "what was good of it is kept"
        assert a.exchange.members == ("n1", "n2")


def test_an_answer_holds_only_what_was_asked_and_fits_a_frame(tmp_path):
    @with_nodes(tmp_path, "n1", "n2")
    async def scenario(a, b):
        await b.stop()
        for n in range(300):
            stored = a.say(f"{n}" * 12)
        await stored
        wants = (
            WantMessage((Range("n1", a.epoch, 3, 4), Range("n7", 1, 1, 9))),
            WantMessage((Range("n1", a.epoch, 1, 2**50),)),
            WantMessage((Range("n7", 1, 1, 2**50),)),
        )
        answers = [m.records for m in await member_says(a, b.credentials, *wants, n_answers=3)]
        assert [r.seq for r in answers[0]] == [3, 4]
        assert [r.seq for r in answers[1]] == list(range(1, 129))
        assert answers[2] == ()
