import asyncio
import time

import msgspec
import pytest

import appliance.daemon.commands
from appliance.wire.framing import FrameDecoder, encode_frame
from appliance.wire.messages import AnswerMessage, ChangedMessage, CommandMessage, HelloMessage, local_decoder
from appliance.wire.records import encode_body, pick_to_body
from tests.daemon.meshes import fire, mesh_of, run
from tests.mesh.sites import until

INCIDENT = "1790000000000000-n1"


class Page:
    """A process at control.sock, as the pages are."""

    def __init__(self, node):
        self.node = node
        self.heard = []

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_unix_connection(self.node.folder.control_socket)
        self.writer.write(encode_frame(HelloMessage("web", "test")))
        self.decoder = FrameDecoder(local_decoder(), "mesh")
        self.listening = asyncio.ensure_future(self._listen())
        return self

    async def __aexit__(self, *_):
        self.listening.cancel()
        await asyncio.gather(self.listening, return_exceptions=True)
        self.writer.transport.abort()

    async def _listen(self):
        while data := await self.reader.read(65_536):
            self.heard += self.decoder.feed(data)

    async def ask(self, request, kind, body, by="ana"):
        """Send a command and wait for its answer."""
        data = body if isinstance(body, bytes) else msgspec.msgpack.encode(body)
        self.writer.write(encode_frame(CommandMessage(request, kind, data, by)))
        return await until(lambda: next((m for m in self.answers() if m.request == request), None))

    def answers(self):
        return [m for m in self.heard if isinstance(m, AnswerMessage)]


def acknowledgement(incident, unit="12", state="acknowledged", **more):
    return {"incident": incident, "unit": unit, "state": state, "time_ns": time.time_ns(), **more}


def review(incident, verdict, note=""):
    return {"incident": incident, "verdict": verdict, "note": note, "time_ns": time.time_ns()}


def test_an_acknowledgement_on_one_node_is_a_signed_record_an_event_and_a_state_on_all(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2", "n3") as nodes:
            a, b, _ = nodes
            first = await fire(nodes)
            await until(lambda: all(n.incident_ids() == [first] for n in nodes))
            async with Page(a) as page, Page(b) as other:
                answer = await page.ask(7, "acknowledgement", acknowledgement(first, state="en-route"))
                assert (answer.ok, answer.reason) == (True, "")
                await until(lambda: all(n.reader.acknowledgements([first])[first] for n in nodes))
                for node in nodes:
                    (said,) = node.reader.acknowledgements([first])[first]
                    assert (said["unit"], said["state"], said["by"]) == ("12", "en-route", "ana")
                    assert (said["node"], said["record"]) == ("n1", answer.record)
                    assert said["time"].endswith("Z")
                    (event,) = [e for e in node.reader.events_after(None) if e.kind == "acknowledgement"]
                    assert event.body == said
                await until(lambda: any(isinstance(m, ChangedMessage) for m in other.heard))
                assert not other.answers(), "an answer is for who asked"

    run(scenario)


def test_of_a_unit_and_of_a_person_the_newest_word_counts_and_none_is_lost(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2", "n3") as nodes:
            a, b, c = nodes
            first = await fire(nodes)
            await until(lambda: all(n.reader.incident(first) for n in nodes))
            alias = a.reader.incident(first)["aliases"][-1]
            async with Page(a) as page, Page(b) as other:
                for i, state in enumerate(("acknowledged", "en-route", "on-scene")):
                    assert (await page.ask(i, "acknowledgement", acknowledgement(first, state=state))).ok
                assert (await other.ask(3, "acknowledgement", acknowledgement(alias, unit="7", state="declined"))).ok
                await page.ask(4, "review", review(first, "gunfire"))
                await page.ask(5, "review", review(first, "not-gunfire", "a backfire"))
                assert (await other.ask(6, "review", review(first, "unsure"), by="bo")).ok
            await until(lambda: len(c.reader.remarks("review", first)) == 3)
            await until(lambda: len(c.reader.remarks("acknowledgement", first)) == 4)
            states = {s["unit"]: s["state"] for s in c.reader.acknowledgements([alias])[alias]}
            assert states == {"12": "on-scene", "7": "declined"}
            verdicts = {r["by"]: (r["verdict"], r["note"]) for r in c.reader.reviews([first])[first]}
            assert verdicts == {"ana": ("not-gunfire", "a backfire"), "bo": ("unsure", "")}
            assert c.reader.reviews(["nothing"]) == {"nothing": []}
            assert c.reader.incident(first)["category"] == "gunfire", "the machine's result stays"

    run(scenario)


def test_an_exercise_reaches_all_pages_and_is_no_incident(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2") as (a, b):
            async with Page(a) as page:
                answer = await page.ask(1, "exercise", {"words": "test of the cars", "time_ns": time.time_ns()})
                assert answer.ok
            await until(lambda: [e.kind for e in b.reader.events_after(None) if e.kind != "nodes"] == ["exercise"])
            assert [(e["words"], e["by"]) for e in b.reader.exercises()] == [("test of the cars", "ana")]
            assert b.incident_ids() == []

    run(scenario)


def test_what_a_page_may_not_say_is_answered_with_the_reason_and_writes_nothing(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1") as (node,):
            _, pick = encode_body(pick_to_body(node.pick_of_shot(time.time_ns())))
            good = acknowledgement(INCIDENT)
            async with Page(node) as page:
                for i, (kind, body, reason) in enumerate(
                    [
                        ("pick", pick, "a page can't ask for pick"),
                        ("make-coffee", b"", "a page can't ask for make-coffee"),
                        ("review", b"\xc1", "review body is malformed"),
                        ("acknowledgement", {**good, "incident": "x"}, "malformed"),
                        ("acknowledgement", {**good, "state": "asleep"}, "malformed"),
                        ("acknowledgement", {**good, "unit": "a\nb"}, "malformed"),
                        ("acknowledgement", {**good, "unit": "u" * 65}, "malformed"),
                        ("acknowledgement", {**good, "v": 2}, "newer than this software"),
                        ("review", review(INCIDENT, "gunfire", "n" * 1_001), "malformed"),
                    ]
                ):
                    answer = await page.ask(i, kind, body)
                    assert not answer.ok
                    assert reason in answer.reason
                    assert answer.record == ""
                assert (await page.ask(99, "acknowledgement", {**good, "by": "somebody else"})).ok
            await until(lambda: any(e.kind == "acknowledgement" for e in node.reader.events_after(None)))
            said = [e.body for e in node.reader.events_after(None) if e.kind == "acknowledgement"]
            assert [s["by"] for s in said] == ["ana"], "who is logged in, whatever the body says"

    run(scenario)


def test_pages_that_ask_too_much_are_told_so_and_nothing_else_suffers(tmp_path, monkeypatch):
    monkeypatch.setattr(appliance.daemon.commands, "COMMANDS_BURST", 5.0)
    monkeypatch.setattr(appliance.daemon.commands, "COMMANDS_PER_S", 0.001)

    async def scenario():
        async with mesh_of(tmp_path, "n1") as (node,):
            async with Page(node) as page:
                answers = [await page.ask(i, "acknowledgement", acknowledgement(INCIDENT)) for i in range(8)]
            assert [a.ok for a in answers] == [True] * 5 + [False] * 3
            assert "too many commands" in answers[-1].reason
            await fire([node])
            await until(lambda: node.incident_ids())

    run(scenario)


@pytest.mark.parametrize("message", [AnswerMessage(1, ok=True), ChangedMessage(1)], ids=lambda m: type(m).__name__)
def test_a_page_that_speaks_out_of_turn_is_cut_off(tmp_path, message):
    async def scenario():
        async with mesh_of(tmp_path, "n1") as (node,), Page(node) as page:
            page.writer.write(encode_frame(message))
            await until(page.listening.done)

    run(scenario)
