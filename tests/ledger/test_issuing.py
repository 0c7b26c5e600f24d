import random

import pytest

from appliance.ledger.issuing import MAX_WATCHED, RETRY_S, TAKEOVER_S, Outbox, Word

GUNFIRE = Word("1-n1", "gunfire", 1)
ALIVE = ("n1", "n2", "n3")


def outbox(node):
    return Outbox(node, ["gunfire"])


def test_the_first_living_node_sends_at_once_and_the_next_only_when_no_record_came():
    boxes = {node: outbox(node) for node in ALIVE}
    for box in boxes.values():
        box.changed(GUNFIRE, (), 0.0)
    assert [node for node, box in boxes.items() if box.due(ALIVE, 0.0)] == ["n1"]
    assert boxes["n2"].due(ALIVE, TAKEOVER_S - 0.1) == ()
    boxes["n3"].issued("1-n1", "gunfire")
    assert boxes["n2"].due(ALIVE, TAKEOVER_S) == (GUNFIRE,), "n1 died with it"
    assert boxes["n3"].due(ALIVE, 99.0) == ()


def test_a_dead_node_is_not_waited_for():
    box = outbox("n2")
    box.changed(GUNFIRE, (), 5.0)
    assert box.due(("n2", "n3"), 5.0) == (GUNFIRE,)
    assert box.due(("n2", "n3"), 9.0) == (), "it is under way"


def test_what_could_not_be_sent_is_tried_again_ever_more_seldom():
    box = outbox("n1")
    box.changed(GUNFIRE, (), 0.0)
    now_s, waits = 0.0, []
    (word,) = box.due(["n1"], now_s)
    for _ in range(5):
        box.done(word, was_sent=False, now_s=now_s)
        failed_s = now_s
        while not (again := box.due(["n1"], now_s)):
            now_s += 0.5
        (word,) = again
        waits.append(now_s - failed_s)
    assert waits == [*RETRY_S, RETRY_S[-1]]


def test_word_goes_out_when_an_incident_is_gunfire_and_when_it_turns_out_otherwise():
    box = outbox("n1")
    box.changed(Word("1-n1", "possible-gunfire", 1), (), 0.0)
    assert box.due(["n1"], 100.0) == ()
    box.changed(GUNFIRE, (), 101.0)
    (word,) = box.due(["n1"], 101.0)
    box.done(word, was_sent=True, now_s=101.0)
    box.changed(Word("1-n1", "gunfire", 5), (), 102.0)
    assert box.due(["n1"], 103.0) == (), "more of the same is no news"
    box.changed(Word("1-n1", "cancelled", 6), (), 104.0)
    assert [w.state for w in box.due(["n1"], 104.0)] == ["cancelled"]


def test_incidents_that_become_one_are_not_sent_a_second_time():
    box = outbox("n1")
    box.changed(Word("2-n2", "gunfire", 1), (), 0.0)
    box.issued("2-n2", "gunfire")
    box.changed(Word("1-n1", "gunfire", 2), ("2-n2",), 1.0)
    assert box.due(["n1"], 9.0) == ()
    late = outbox("n1")
    late.issued("2-n2", "gunfire")
    late.changed(Word("1-n1", "gunfire", 2), ("2-n2",), 1.0)
    assert late.due(["n1"], 9.0) == (), "also when the record came first"


def test_memory_is_bounded():
    box = outbox("n1")
    for n in range(MAX_WATCHED + 50):
        box.changed(Word(f"{n}-n1", "gunfire", 1), (), 0.0)
        box.issued(f"x{n}", "gunfire")
    assert len(box.due(["n1"], 0.0)) == MAX_WATCHED
    assert len(box._sent_before) <= MAX_WATCHED


@pytest.mark.parametrize("seed", range(50))
def test_whoever_dies_word_is_out_within_seconds_and_seldom_twice(seed):
    """Nodes that die before or after sending, a record that takes a while: at least once, by 5 s after the first."""
    rng = random.Random(seed)
    boxes = {node: outbox(node) for node in ALIVE}
    for box in boxes.values():
        box.changed(GUNFIRE, (), 0.0)
    dead_at_s = {node: rng.uniform(0.0, 3.0) if rng.random() < 0.4 else 1e9 for node in ALIVE[:2]}
    sent, arriving = [], []
    for step in range(100):
        now_s = step * 0.1
        alive = [n for n in ALIVE if now_s < dead_at_s.get(n, 1e9) + 4.0]  # death is noticed 4 s late
        for due_s, node in arriving:
            if abs(due_s - now_s) < 0.05:
                boxes[node].issued("1-n1", "gunfire")
        for node, box in boxes.items():
            if now_s < dead_at_s.get(node, 1e9):
                for word in box.due(alive, now_s):
                    sent.append((now_s, node))
                    box.done(word, was_sent=True, now_s=now_s)
                    if now_s + 0.3 < dead_at_s.get(node, 1e9):
                        arriving += [(now_s + 0.3, other) for other in boxes]
    assert sent, "never sent"
    assert sent[0][0] <= 5.0
    assert len(sent) <= 1 + sum(s < 1e9 for s in dead_at_s.values())
