import itertools
import random

import pytest

from appliance.errors import InputError
from appliance.ledger.knowledge import MAX_TEXT_BYTES, Knowledge, knowledge_of, parse_knowledge, union


def test_a_mesh_without_restarts_is_told_in_one_entry_per_node():
    text = knowledge_of({("n2", 5): 7, ("n1", 3): 4}, {}).text()
    assert text == "n1:3:4,n2:5:7"
    assert parse_knowledge(text) == knowledge_of({("n2", 5): 7, ("n1", 3): 4}, {})


def test_an_older_epoch_is_left_out_once_it_is_known_to_its_end():
    ends = {("n1", 3): 4}
    assert knowledge_of({("n1", 3): 4, ("n1", 9): 2}, ends).text() == "n1:9:2"
    assert knowledge_of({("n1", 3): 3, ("n1", 9): 2}, ends).text() == "n1:3:3,n1:9:2"
    assert knowledge_of({("n1", 9): 2}, ends).text() == "n1:3:0,n1:9:2"
    assert knowledge_of({("n1", 3): 5, ("n1", 9): 2}, ends).text() == "n1:3:5,n1:9:2", "further than remembered"


@pytest.mark.parametrize(
    ("mine", "theirs", "covered"),
    [
        ("n1:3:4", "n1:3:4", True),
        ("n1:3:4", "n1:3:5", False),
        ("n1:3:5,n2:1:1", "n1:3:4", True),
        ("n1:3:4", "n1:3:4,n2:1:1", False),
        ("", "", True),
        ("", "n1:1:1", False),
        ("n1:9:1", "n1:3:4", True),
        ("n1:3:3,n1:9:1", "n1:3:4", False),
        ("n1:3:4", "n1:9:1", False),
    ],
)
def test_knowledge_covers_other_knowledge_where_it_has_every_record_of_it(mine, theirs, covered):
    assert parse_knowledge(mine).covers(parse_knowledge(theirs), {("n1", 3): 4}) is covered


def random_history(rng):
    """Nodes with epochs: how long each was, and what the next one remembers of it (sometimes less, or nothing)."""
    history = {}
    for node in ("a", "b"):
        epochs = sorted(rng.sample(range(1, 9), rng.randint(1, 4)))
        lengths = {epoch: rng.randint(1, 4) for epoch in epochs}
        remembered = {
            after: (before, max(0, lengths[before] - (rng.random() < 0.2)))
            for before, after in itertools.pairwise(epochs)
            if rng.random() < 0.85
        }
        history[node] = (lengths, remembered)
    return history


def random_part(rng, history):
    """What one node of the mesh holds of it: the beginning of each stream."""
    lengths = ((node, epoch, n) for node, (epochs, _) in history.items() for epoch, n in epochs.items())
    held = {(node, epoch): rng.choice([0, n, n, n, rng.randint(0, n)]) for node, epoch, n in lengths}
    held = {stream: n for stream, n in held.items() if n}
    starts = ((node, history[node][1].get(epoch)) for node, epoch in held)
    return held, {(node, start[0]): start[1] for node, start in starts if start and start[1] > 0}


def all_ends(history):
    starts = ((node, start) for node, (_, remembered) in history.items() for start in remembered.values())
    return {(node, epoch): end for node, (epoch, end) in starts if end}


def test_nobody_is_told_to_know_a_record_that_he_does_not_have():
    """Whatever the restarts, losses and partitions: covers() never says yes where a record is missing."""
    n_yes = 0
    for seed in range(3_000):
        rng = random.Random(seed)
        history = random_history(rng)
        (mine, my_ends), (theirs, their_ends) = random_part(rng, history), random_part(rng, history)
        told = parse_knowledge(knowledge_of(mine, my_ends).text())
        # Whoever compares may have learnt of more restarts since.
        ends = (
            their_ends if seed % 2 else {(n, e): end for n, (_, r) in history.items() for e, end in r.values() if end}
        )
        if told.covers(knowledge_of(theirs, their_ends), ends):
            n_yes += 1
            assert all(mine.get(stream, 0) >= n for stream, n in theirs.items()), f"seed {seed}"
    assert n_yes > 300, "it must not say no to everything either"


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "n1:1",
        "n1:1:1,",
        ",n1:1:1",
        "n1:0:1",
        "n1:01:1",
        "n1:1:-1",
        "n1:1:1;n2:1:1",
        "n 1:1:1",
        "n1:1:1\n",
        "9" * 5_000,
    ],
)
def test_text_that_is_no_knowledge_is_refused_in_one_line(text):
    with pytest.raises(InputError) as caught:
        parse_knowledge(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 150


def test_the_text_fits_a_header_whatever_is_known():
    huge = Knowledge({(f"node-with-a-long-name-{i % 64:040d}", 1_700_000_000 + i): i for i in range(1_000)})
    text = huge.text()
    assert len(text) <= MAX_TEXT_BYTES
    assert ":1700000999:999" in text, "the latest epochs are the last to be left out"
    parse_knowledge(text)


def test_a_union_knows_what_either_knows_also_of_epochs_that_only_one_names():
    ends = {("a", 1): 7}
    one, other = parse_knowledge("a:1:5,b:1:9"), parse_knowledge("a:2:3,b:1:4,c:1:1")
    both = union(one, other, ends)
    assert both.text() == union(other, one, ends).text() == "a:1:7,a:2:3,b:1:9,c:1:1"
    assert both.covers(one, ends)
    assert both.covers(other, ends)
    assert not one.covers(both, ends)
