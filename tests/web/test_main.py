"""`python -m web`: the real process, on a real database, from its first line to its end."""

import contextlib
import datetime
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import web
from appliance.config import Settings
from appliance.config.folder import NodeFolder
from appliance.config.settings import NodeSettings
from appliance.daemon.mesh_setup import ensure_keys
from appliance.daemon.page_keys import write_page_keys
from appliance.model.incidents import Arrival, Category, Incident, Shot
from appliance.model.picks import pick_id
from appliance.model.space import Ellipse, Geodetic
from appliance.storage.node_store import NodeStore
from web.__main__ import main


def gunfire(time_ns):
    pick = pick_id(time_ns, "n1")
    place, ellipse = Geodetic(35.0844, -106.6504, 1510.0), Ellipse(6.1, 2.9, 37.0)
    shot = Shot(time_ns, 100_000, place, ellipse, 1, (Arrival(pick, "n1", time_ns, 0.0, 1.0),))
    return Incident(pick, 1, time_ns, place, ellipse, Category.GUNFIRE, 0.97, (shot,), 1, (1, 1), aliases=(pick,))


def store_incident(store, time_ns, seq):
    with store.transaction():
        store.put_incidents([gunfire(time_ns)], [], f"n1:1:{seq}", time_ns)


@pytest.fixture
def state(tmp_path):
    """A node's folder whose pages are open to this machine, as the demo's are."""
    (tmp_path / "run").mkdir()
    (tmp_path / "earshot.toml").write_text("[web]\nopen_loopback = true\n")
    return tmp_path


@pytest.fixture
def store(state):
    store = NodeStore(state / "node.db")
    yield store
    store.close()


@pytest.fixture
def start(state):
    processes = []

    def begin(*options, **environment):
        command = [sys.executable, "-m", "web", "--state", str(state), "--host", "127.0.0.1", "--port", "0", *options]
        root = Path(web.__file__).parents[1]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root, env={**os.environ, **environment}
        )
        processes.append(process)
        ready = json.loads(process.stdout.readline())
        assert ready["ready"] is True
        return process, ready["url"]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def get(url, path, **headers):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", path, headers=headers)
    return connection, connection.getresponse()


def test_the_process_serves_tells_live_and_ends_at_once(start, store):
    store_incident(store, time.time_ns(), 1)
    process, url = start(EARSHOT_WEB_TOKEN="demo-token")
    assert url.startswith("http://127.0.0.1:")

    connection, response = get(url, "/api/incidents", Authorization="Bearer demo-token")
    cursor = response.headers["Earshot-Cursor"]
    assert [i["category"] for i in json.loads(response.read())] == ["gunfire"]
    connection.close()
    connection, response = get(url, "/api/incidents", Authorization="Bearer other")
    assert response.status == 401
    response.read()
    connection.close()

    connection, stream = get(url, "/api/events", **{"Last-Event-ID": cursor})
    assert stream.status == 200
    store_incident(store, time.time_ns(), 2)
    while not (line := stream.readline()).startswith(b"data: {"):
        assert line, "the stream ended before the incident came"
    assert json.loads(line[6:])["category"] == "gunfire"

    process.send_signal(signal.SIGTERM)
    rest = stream.read()
    connection.close()
    assert (line + rest).endswith(b"\n\n")
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert b"Traceback" not in errors


def test_a_stream_ends_with_the_process_that_serves_it_even_when_killed(start, store):
    process, url = start(EARSHOT_WEB_TOKEN="demo-token")
    connection, stream = get(url, "/api/events", Authorization="Bearer demo-token")
    assert stream.readline()
    process.kill()
    connection.sock.settimeout(60)  # heartbeats come far more often: only the stream's end gets this far
    while stream.readline():
        pass
    connection.close()
    process.communicate(timeout=30)  # returns once the worker, which holds the same pipes, has ended too


def test_on_the_lan_it_is_https_with_the_sites_certificate_or_nothing(state, store, start, capsys):
    assert main(["--state", str(state), "--host", "0.0.0.0", "--port", "0"]) == 2
    assert "holds no certificate for the pages" in capsys.readouterr().err

    settings, folder = Settings(node=NodeSettings(id="n1", site="city")), NodeFolder(state)
    ensure_keys(settings, folder)
    write_page_keys(settings, folder, datetime.datetime.now(tz=datetime.UTC))
    (state / "earshot.toml").write_text('[web]\nhost = "0.0.0.0"\n')
    process, url = start("--host", "0.0.0.0")
    assert url.startswith("https://")
    port = urlsplit(url).port
    trusting = ssl.create_default_context(cafile=folder.page_keys / "authority.pem")
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trusting)
    for path, status in (("/trust", 200), ("/trust/site.crt", 200), ("/trust/code.svg", 200), ("/api/incidents", 401)):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        assert response.status == status, path
    connection.close()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert b"HTTP/1.1 200" not in plain.recv(1_000)
    process.terminate()
    _, errors = process.communicate(timeout=10)
    assert b"the setup code is " in errors


def test_a_web_that_starts_before_mesh_waits_for_the_database(state, start):
    root = Path(web.__file__).parents[1]
    command = [sys.executable, "-m", "web", "--state", str(state), "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root) as process:
        assert b"waiting up to" in process.stderr.readline()
        NodeStore(state / "node.db").close()
        assert json.loads(process.stdout.readline())["ready"] is True
        process.terminate()
        process.communicate(timeout=10)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--token-file", "nowhere/token"], ["nowhere/token", "can't be read"]),
        (["--host", "203.0.113.1", "--port", "0"], ["203.0.113.1:0", "choose another --host or --port"]),
    ],
)
def test_wrong_input_is_one_line_and_status_2(state, store, capsys, options, words):
    assert main(["--state", str(state), *options]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert all(word in errors for word in words)


def test_a_token_with_spaces_is_refused(state, store, capsys):
    (state / "token").write_text("two words\n")
    assert main(["--state", str(state), "--token-file", str(state / "token")]) == 2
    assert "printable ASCII" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536", "http", ""])
def test_a_bad_port_is_refused(state, port, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--state", str(state), "--port", port])
    assert ended.value.code == 2
    assert "is no port from 0 to 65535" in capsys.readouterr().err
