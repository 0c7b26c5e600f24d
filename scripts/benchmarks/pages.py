"""How long an event that is on disk takes to a browser's screen while as many clients follow as there are places.

Starts the pages of one node on a database that this program writes as mesh does, and tells them of each commit as
mesh does. All places but two are taken by clients that read, one by a client that takes nothing, one by a browser.

    scripts/benchmarks/pages.py [--clients N] [--events N]
"""

import argparse
import contextlib
import http.client
import json
import platform
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from playwright.sync_api import sync_playwright

from appliance.model.incidents import Arrival, Category, Incident, Shot
from appliance.model.picks import PickId, pick_id
from appliance.model.space import Ellipse, Geodetic
from appliance.storage.node_store import NodeStore
from appliance.wire.framing import encode_frame
from appliance.wire.messages import ChangedMessage

RESULT = Path(__file__).resolve().parents[2] / "tests" / "benchmarks" / "results" / "pages.json"
APART_S = 0.5
REQUEST = "GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update"]  # fmt: skip
WATCH_CARDS = """() => {
  window.shown = {};
  new MutationObserver(() => {
    for (const { dataset } of document.querySelectorAll('#cards [data-incident]')) {
      window.shown[dataset.incident] ??= Date.now();
    }
  }).observe(document.getElementById('cards'), {childList: true, subtree: true});
}"""


class Control:
    """Mesh's control socket, as far as the pages listen to it."""

    def __init__(self, path: Path) -> None:
        """Serve at `path`."""
        self._links: list[socket.socket] = []
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def changed(self, row: int) -> None:
        """Tell the pages that events up to `row` are on disk."""
        for link in self._links:
            link.sendall(encode_frame(ChangedMessage(row)))

    def _accept(self) -> None:
        while True:
            link, _ = self._server.accept()
            self._links.append(link)


class Clients:
    """Streams of events that are read and thrown away, in one thread."""

    def __init__(self, address: tuple[str, int], n: int) -> None:
        """Open `n` of them."""
        self._selector = selectors.DefaultSelector()
        self.statuses: list[int] = []
        for _ in range(n):
            link = socket.create_connection(address)
            link.sendall(REQUEST.encode())
            self.statuses.append(int(link.recv(65_536).split()[1]))
            self._selector.register(link, selectors.EVENT_READ)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            for key, _ in self._selector.select():
                link = key.fileobj
                if isinstance(link, socket.socket) and not link.recv(1 << 20):
                    self._selector.unregister(link)


def gunfire(time_ns: int) -> Incident:
    """A located incident of one round."""
    pick: PickId = pick_id(time_ns, "n1")
    place, ellipse = Geodetic(35.0844, -106.6504, 1510.0), Ellipse(6.1, 2.9, 37.0)
    shot = Shot(time_ns, 100_000, place, ellipse, 1, (Arrival(pick, "n1", time_ns, 0.0, 1.0),))  # type: ignore[arg-type]
    return Incident(
        pick,
        1,
        time_ns,
        place,
        ellipse,
        Category.GUNFIRE,
        0.97,
        (shot,),
        1,
        (1, 1),
        aliases=(pick,),  # type: ignore[arg-type]
    )


@contextlib.contextmanager
def pages(state: Path, clients: int) -> Iterator[str]:
    """The address of a web process with so many places."""
    (state / "earshot.toml").write_text(f"[web]\nopen_loopback = true\nmax_clients = {clients}\n")
    command = [sys.executable, "-m", "web", "--state", str(state), "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        ready = "" if process.stdout is None else process.stdout.readline()
        yield str(json.loads(ready)["url"])
        process.terminate()


def get(address: tuple[str, int], path: str) -> tuple[int, str | None, float]:
    """Status, Retry-After and seconds of one request."""
    begun_s = time.monotonic()
    connection = http.client.HTTPConnection(*address, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        retry = answer.headers.get("Retry-After")
        if answer.status != 200 or path != "/api/events":
            answer.read()
    return answer.status, retry, time.monotonic() - begun_s


def measure(state: Path, n_clients: int, n_events: int) -> dict[str, Any]:
    """Milliseconds from commit to screen, and of other pages meanwhile; and what one client too many gets."""
    (state / "run").mkdir()
    store = NodeStore(state / "node.db")
    control = Control(state / "run" / "control.sock")
    with pages(state, n_clients) as url, sync_playwright() as driver:
        parts = urlsplit(url)
        address = (str(parts.hostname), int(parts.port or 0))
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector("#link[data-link=live]")
        page.evaluate(WATCH_CARDS)
        stalled = socket.create_connection(address)
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        stalled.sendall(REQUEST.encode())
        clients = Clients(address, n_clients - 2)
        one_more = get(address, "/api/events")
        committed_ms: dict[str, float] = {}
        others_s = []
        for i in range(n_events):
            time_ns = time.time_ns()
            with store.transaction():
                row = store.put_incidents([gunfire(time_ns)], [], f"n1:1:{i + 1}", time_ns)  # type: ignore[arg-type]
            committed_ms[pick_id(time_ns, "n1")] = time.time() * 1e3
            control.changed(row or 0)
            others_s.append(get(address, "/api/nodes")[2])
            page.wait_for_timeout(APART_S * 1e3)
        shown = page.evaluate("() => window.shown")
        browser.close()
    store.close()
    delays_ms = np.array([shown[i] - at for i, at in committed_ms.items() if i in shown])
    return {
        "clients": n_clients,
        "refused_of_those": sum(status != 200 for status in clients.statuses),
        "one_more": {"status": one_more[0], "retry_after": one_more[1]},
        "events": n_events,
        "shown": len(delays_ms),
        "median_ms": round(float(np.median(delays_ms)), 1),
        "p99_ms": round(float(np.quantile(delays_ms, 0.99)), 1),
        "other_pages_p99_ms": round(1e3 * float(np.quantile(others_s, 0.99)), 1),
    }


def main() -> int:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    if shutil.which("chromium") is None:
        print("pages: needs Chromium: scripts/setup --test", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="earshot-bench-") as folder:
        figures = measure(Path(folder), arguments.clients, arguments.events)
    result = {
        "what": "commit of an incident to its card on a browser's screen, with every place of the node taken",
        "how": f"scripts/bench pages (one browser, one client that takes nothing, {arguments.clients - 2} that read)",
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        **figures,
    }
    print(json.dumps(result, indent=2))
    if not arguments.no_write:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
