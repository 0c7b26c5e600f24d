"""`earshot watch` beside real pages: it rings, tells what it missed, and goes on at another node when one dies."""

import datetime
import json
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from argon2 import PasswordHasher

import appliance
from appliance.cli.main import main
from appliance.config import Settings
from appliance.config.folder import NodeFolder
from appliance.config.settings import NodeSettings
from appliance.daemon.mesh_setup import ensure_keys
from appliance.daemon.page_keys import write_page_keys
from appliance.daemon.watch import Access, Nodes, Watcher, log_in
from appliance.model.incidents import Arrival, Category, Incident, Shot
from appliance.model.picks import pick_id
from appliance.model.space import Ellipse, Geodetic
from appliance.storage.node_store import NodeStore

ROOT = Path(appliance.__file__).parents[1]
WAIT_S = 30.0


def gunfire(time_ns, revision=1, category=Category.GUNFIRE):
    pick = pick_id(time_ns, "n1")
    place, ellipse = Geodetic(35.0844, -106.6504, 1510.0), Ellipse(6.1, 2.9, 37.0)
    shot = Shot(time_ns, 100_000, place, ellipse, 1, (Arrival(pick, "n1", time_ns, 0.0, 1.0),))
    return Incident(pick, revision, time_ns, place, ellipse, category, 0.97, (shot,), 1, (1, 1), aliases=(pick,))


class Output:
    """The lines that a process prints, as they come."""

    def __init__(self, stream):
        self._lines = queue.Queue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream):
        for line in stream:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, words):
        """The first line that holds `words`, from here on."""
        deadline_s = time.monotonic() + WAIT_S
        while (line := self._lines.get(timeout=max(0.01, deadline_s - time.monotonic()))) is not None:
            if words in line:
                return line
        raise AssertionError(f"it ended without {words!r}")


@pytest.fixture
def state(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "earshot.toml").write_text("[web]\nopen_loopback = true\n")
    return tmp_path


@pytest.fixture
def store(state):
    store = NodeStore(state / "node.db")
    yield store
    store.close()


@pytest.fixture
def start():
    processes = []

    def begin(*command, **options):
        process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, **options,
        )  # fmt: skip
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def pages(start, state):
    process = start("-m", "web", "--state", str(state), "--host", "127.0.0.1", "--port", "0")
    return process, json.loads(process.stdout.readline())["url"]


def put(store, incident, seq):
    with store.transaction():
        store.put_incidents([incident], [], f"n1:1:{seq}", incident.time_ns)


def test_it_rings_and_goes_on_at_the_next_node_with_what_it_missed(state, store, start):
    first, first_url = pages(start, state)
    _second, second_url = pages(start, state)
    put(store, gunfire(time.time_ns()), 1)
    watch = start("-m", "appliance", "watch", "--no-mdns", "--unit", "12", "--node", first_url, "--node", second_url)
    output = Output(watch.stdout)
    known = output.wait_for("[1]")
    assert "\a" not in known
    assert "Gunfire, 1 round, within 7 m (95 %)" in known
    put(store, gunfire(time.time_ns()), 2)
    assert output.wait_for("!! [2]").startswith("\a")
    watch.stdin.write("a 7\na\n")
    watch.stdin.flush()
    output.wait_for("there is no alert 7")
    output.wait_for("NOT SAVED: ")  # no mesh runs here: what was not written down is not called saved

    first.terminate()
    first.wait(timeout=10)
    put(store, gunfire(time.time_ns()), 3)
    output.wait_for(f"live from {second_url}")
    assert output.wait_for("!! [3]").startswith("\a")
    watch.stdin.write("q\n")
    watch.stdin.flush()
    put(store, gunfire(time.time_ns()), 4)
    assert watch.wait(timeout=15) == 0


def test_over_https_it_logs_in_once_and_believes_the_site_alone(state, store, start, tmp_path):
    from web.people import People
    from web.roles import Role

    settings, folder = Settings(node=NodeSettings(id="n1", site="city")), NodeFolder(state)
    ensure_keys(settings, folder)
    write_page_keys(settings, folder, datetime.datetime.now(tz=datetime.UTC))
    (state / "earshot.toml").write_text('[web]\nhost = "0.0.0.0"\n')
    people = People(folder.people, hasher=PasswordHasher(1, 8, 1))
    people.add("ann", Role.PATROL, "correct horse battery", time.time_ns())
    people.close()
    process = start("-m", "web", "--state", str(state), "--host", "0.0.0.0", "--port", "0")
    url = json.loads(process.stdout.readline())["url"].replace("0.0.0.0", "127.0.0.1")
    put(store, gunfire(time.time_ns()), 1)

    from appliance.cli.watch import _context

    context = _context(folder.page_keys / "authority.pem")
    access = log_in(url, context, "ann", "correct horse battery")
    assert access.header.startswith("Pass ")
    watcher = Watcher(Nodes([url]), access, context)
    events = watcher.follow(lambda: False)
    assert next(event for event in events if event.kind == "known").body["category"] == "gunfire"
    events.close()
    events = Watcher(Nodes([url]), Access(), context).follow(lambda: False)
    assert "nobody is logged in" in next(events).body["why"]
    events.close()
    foreign = Settings(node=NodeSettings(id="n1", site="city")), NodeFolder(tmp_path / "foreign")
    foreign[1].make()
    ensure_keys(*foreign)
    write_page_keys(*foreign, datetime.datetime.now(tz=datetime.UTC))
    doubting = _context(foreign[1].page_keys / "authority.pem")
    events = Watcher(Nodes([url]), access, doubting).follow(lambda: False)
    assert "CERTIFICATE_VERIFY_FAILED" in next(events).body["why"]
    events.close()


def test_https_without_the_sites_certificate_is_refused_with_the_remedy(capsys):
    assert main(["watch", "--no-mdns", "--unit", "12", "--node", "https://127.0.0.1:9"]) == 2
    errors = capsys.readouterr().err
    assert "/trust/site.crt" in errors
    assert errors.count("\n") == 1


def test_without_any_node_it_says_what_to_name(capsys):
    assert main(["watch", "--no-mdns", "--unit", "12"]) == 2
    assert "name a node with --node" in capsys.readouterr().err
