import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from appliance.errors import StoreError
from appliance.storage.node_store import NodeStore
from appliance.storage.writer import GroupWriter
from tests.ledger.authors import Author


@pytest.fixture
def path(tmp_path):
    return tmp_path / "node.db"


@pytest.fixture
def writer(path):
    writer = GroupWriter(NodeStore(path), retry_s=0.01)
    yield writer
    writer.close()


def wait_for_problem(writer):
    deadline_s = time.monotonic() + 5.0
    while writer.problem is None:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def stored(path):
    store = NodeStore(path)
    try:
        return store.all_records()
    finally:
        store.close()


def seen_by_another_program(path):
    connection = sqlite3.connect(path)
    try:
        return [seq for (seq,) in connection.execute("SELECT seq FROM records ORDER BY seq")]
    finally:
        connection.close()


def test_work_is_on_disk_when_its_future_is_done(path, writer):
    for record in Author("n1").stream(4):
        writer.submit(lambda store, record=record: store.add_records([record])).result(5)
        assert seen_by_another_program(path)[-1] == record.seq


def test_work_returns_its_result_in_the_order_in_which_it_was_handed_in(writer):
    done = []
    futures = [writer.submit(lambda _, n=n: done.append(n) or n) for n in range(500)]
    assert [f.result(5) for f in futures] == list(range(500))
    assert done == list(range(500))


def test_work_that_nobody_waits_for_gets_done_soon_all_the_same(path, writer):
    records = Author("n1").stream(40)
    futures = [writer.submit(lambda store, r=r: store.add_records([r]), is_urgent=False) for r in records]
    for future in futures:
        future.result(5)
    assert seen_by_another_program(path) == [r.seq for r in records]


def test_urgent_work_takes_what_lingers_along_and_before_itself(path, writer, monkeypatch):
    monkeypatch.setattr("appliance.storage.writer.LINGER_S", 60.0)
    first, second = Author("n1").stream(2)
    lingering = writer.submit(lambda store: store.add_records([first]), is_urgent=False)
    with pytest.raises(TimeoutError):
        lingering.result(0.05)
    writer.submit(lambda store: store.add_records([second])).result(5)
    lingering.result(0)
    assert seen_by_another_program(path) == [1, 2]


def test_one_piece_that_fails_fails_alone(path, writer):
    records = Author("n1").stream(3)
    hold = threading.Event()
    writer.submit(lambda _: hold.wait(5))  # so that the next three come into one transaction

    def broken(store):
        store.add_records([records[1]])
        raise ValueError("mine")

    first = writer.submit(lambda store: store.add_records([records[0]]))
    second = writer.submit(broken)
    third = writer.submit(lambda store: store.add_records([records[2]]))
    hold.set()
    first.result(5)
    third.result(5)
    with pytest.raises(ValueError, match="mine"):
        second.result(5)
    assert seen_by_another_program(path) == [1, 3]


def test_while_another_program_holds_a_lock_work_waits_and_the_problem_is_told(path, writer):
    writer.submit(lambda store: store._db.execute("PRAGMA busy_timeout = 10").fetchall()).result(5)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    future = writer.submit(lambda store: store.add_records(Author("n1").stream(1)))
    wait_for_problem(writer)
    assert not future.done()
    assert "locked" in writer.problem.problem
    assert "end the other program" in writer.problem.remedy
    other.execute("ROLLBACK")
    other.close()
    future.result(5)
    assert writer.problem is None


def test_a_full_disk_is_told_and_nothing_is_lost_once_there_is_room(path, writer):
    """SQLite's own page limit stands for the disk: the error is the same."""
    writer.submit(lambda store: store.add_records([])).result(5)

    def limit(store, pages):
        return store._db.execute(f"PRAGMA max_page_count = {pages}").fetchone()[0]

    full = writer.submit(lambda store: limit(store, store._db.execute("PRAGMA page_count").fetchone()[0])).result(5)
    author = Author("n1")
    author.begin()
    records = [author.write("note", bytes(8_000)) for _ in range(20)]
    future = writer.submit(lambda store: (limit(store, full + allowance[0]), store.add_records(records)))
    allowance = [0]
    wait_for_problem(writer)
    assert not future.done()
    assert "full" in writer.problem.problem
    assert "make room" in writer.problem.remedy
    assert seen_by_another_program(path) == []
    allowance[0] = 1_000
    future.result(5)
    assert len(seen_by_another_program(path)) == 20


def test_closing_writes_what_waits(path):
    writer = GroupWriter(NodeStore(path))
    records = Author("n1").stream(300)
    futures = [writer.submit(lambda store, r=r: store.add_records([r])) for r in records]
    writer.close()
    assert all(f.done() for f in futures)
    assert stored(path) == records


def test_closing_does_not_wait_for_ever_for_a_disk_that_takes_nothing(path):
    writer = GroupWriter(NodeStore(path), retry_s=60.0)
    writer.submit(lambda store: store._db.execute("PRAGMA busy_timeout = 10").fetchall()).result(5)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    future = writer.submit(lambda store: store.add_records(Author("n1").stream(1)))
    writer.close()
    other.close()
    with pytest.raises(StoreError, match="locked"):
        future.result(5)


WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
from appliance.storage.node_store import NodeStore
from appliance.storage.writer import GroupWriter
from tests.ledger.authors import Author

author = Author(f"n{sys.argv[2]}")
writer = GroupWriter(NodeStore(Path(sys.argv[1])))
futures = [writer.submit(lambda store, r=author.begin(): store.add_records([r]))]
while True:
    for _ in range(20):
        futures.append(writer.submit(lambda store, r=author.pick(): store.add_records([r])))
    futures.pop(0).result()
    done = [f for f in futures if f.done()]
    futures = [f for f in futures if not f.done()]
    print(author.tip.seq - len(futures), flush=True)
"""


@pytest.mark.parametrize("n_acknowledged", [1, 200, 700])
def test_a_killed_process_loses_nothing_that_was_acknowledged(path, repository, n_acknowledged):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_UNTIL_KILLED, path, str(n_acknowledged)],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        acknowledged = 0
        while acknowledged < n_acknowledged:
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in process.stdout.read().split())])
    assert [r.seq for r in stored(path)][:acknowledged] == list(range(1, acknowledged + 1))
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    connection.close()


def test_waiting_work_is_bounded(path, monkeypatch):
    monkeypatch.setattr("appliance.storage.writer.MAX_WAITING", 5)
    writer = GroupWriter(NodeStore(path))
    hold = threading.Event()
    started = threading.Event()
    first = writer.submit(lambda _: (started.set(), hold.wait(5)))
    started.wait(5)
    waiting = [writer.submit(lambda _: None) for _ in range(5)]
    with pytest.raises(StoreError, match="5 writes wait"):
        writer.submit(lambda _: None)
    hold.set()
    for future in (first, *waiting):
        future.result(5)
    writer.close()
