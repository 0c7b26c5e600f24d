"""Events as lines of a stream."""

import json

from web import sse
from web.sse import Presenter


def show(nodes=()):
    return Presenter(incident=lambda body: {**body, "shown": True}, nodes=lambda: list(nodes))


def test_an_event_is_one_line_of_json_whatever_it_holds(fakes):
    frame = sse.frames([fakes.FakeEvent("c:1:1", "incident", {"id": "a", "reason": "two\nlines\r\u2028"})], show())[0]
    lines = frame.data.decode().split("\n")
    assert lines[:2] == ["id: c:1:1", "event: incident"]
    assert lines[3:] == ["", ""]
    assert json.loads(lines[2].removeprefix("data: ")) == {"id": "a", "reason": "two\nlines\r\u2028", "shown": True}


def test_many_changes_of_the_nodes_become_one_that_tells_how_they_are_now(fakes):
    events = [
        fakes.FakeEvent(f"c:1:{i}", kind, {"id": str(i)}) for i, kind in enumerate(["nodes", "incident", "nodes"])
    ]
    frames = sse.frames(events, show([{"id": "n1"}]))
    assert [f.data.split(b"\n")[1] for f in frames] == [b"event: incident", b"event: nodes"]
    assert frames[-1].data == b'id: c:1:2\nevent: nodes\ndata: [{"id":"n1"}]\n\n'


def test_events_that_share_a_cursor_are_resumed_only_when_all_were_seen(fakes):
    events = [fakes.FakeEvent("c:1:7", "incident", {"id": name}) for name in "abc"]
    frames = sse.frames(events, show())
    assert [frame.data.startswith(b"id: c:1:7\n") for frame in frames] == [False, False, True]
    assert len({frame.key for frame in frames}) == 3


def test_the_opening_sets_the_cursor_without_an_event():
    assert sse.opening("c:1:7") == b"retry: 2000\nid: c:1:7\n\n"
    assert sse.opening(None) == b"retry: 2000\n\n"
