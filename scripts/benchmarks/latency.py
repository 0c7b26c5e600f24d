"""How long after the last needed node has heard a shot its incident is in a browser, in the demo on this machine.

Starts `earshot demo` with five nodes and a page of each in one Chromium. A sample is the time from the third
earliest arrival of a shot at a node (worked out from the world's truth; three nodes make a fix) to the moment at
which a page gets the first located gunfire incident with that shot. The page's clock is this machine's.

    scripts/benchmarks/latency.py [--minutes M]
"""

import argparse
import contextlib
import json
import math
import platform
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pymap3d
from playwright.sync_api import Page, sync_playwright

from appliance.physics.air import sound_speed_mps

RESULT = Path(__file__).resolve().parents[2] / "tests" / "benchmarks" / "results" / "latency.json"
NEEDED_NODES = 3
NODES_UP_S = 180.0
WORLD_TEMPERATURE_C = 22.0
"""Of the demo's world; a degree off is 1 ms on 500 m."""
SAME_SHOT_S = 0.25
COLLECT = """() => {
  window.earshotHeard = [];
  const events = new EventSource('/api/events');
  events.addEventListener('incident', e => window.earshotHeard.push([Date.now(), JSON.parse(e.data)]));
}"""
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update"]  # fmt: skip


@dataclass(frozen=True)
class Node:
    """A node's name, page and place."""

    id: str
    url: str
    lat: float
    lon: float
    alt_m: float


@contextlib.contextmanager
def running_demo(state: Path) -> Iterator[list[dict[str, str]]]:
    """The demo's nodes as nodes.json lists them."""
    process = subprocess.Popen([sys.executable, "-m", "appliance", "demo", "--state", str(state)])
    try:
        deadline_s = time.monotonic() + NODES_UP_S
        while not (state / "nodes.json").exists():
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit("latency: the demo did not start")
            select.select([], [], [], 0.2)
        yield json.loads((state / "nodes.json").read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def third_arrival_ns(shot: dict[str, Any], nodes: list[Node]) -> int:
    """When the last of the nodes that a fix needs hears a shot, UTC ns."""
    speed_mps = sound_speed_mps(WORLD_TEMPERATURE_C)
    delays_s = []
    for node in nodes:
        enu = pymap3d.geodetic2enu(shot["lat"], shot["lon"], shot["alt_m"], node.lat, node.lon, node.alt_m)
        delays_s.append(math.hypot(*(float(v) for v in enu)) / speed_mps)
    return shot["time_ns"] + round(sorted(delays_s)[NEEDED_NODES - 1] * 1e9)


def samples_of(heard: list[tuple[int, dict[str, Any]]], shots: list[dict[str, Any]], nodes: list[Node]) -> list[float]:
    """Seconds from the third arrival of a shot to the page's first located gunfire incident with it, per incident."""
    samples: dict[int, float] = {}
    for at_ms, incident in heard:
        if incident["category"] != "gunfire" or incident["lat"] is None:
            continue
        first = min(
            (s for s in shots if abs(s["time_ns"] - incident["shots"][0]["time_ns"]) < SAME_SHOT_S * 1e9),
            key=lambda s: abs(s["time_ns"] - incident["shots"][0]["time_ns"]),
            default=None,
        )
        if first is not None:
            samples.setdefault(first["time_ns"], at_ms / 1e3 - third_arrival_ns(first, nodes) / 1e9)
    return list(samples.values())


def look(pages: list[Page], minutes: float) -> list[list[tuple[int, dict[str, Any]]]]:
    """What each page got in so many minutes."""
    for page in pages:
        page.evaluate(COLLECT)
    end_s = time.monotonic() + minutes * 60.0
    while (left_s := end_s - time.monotonic()) > 0.0:
        pages[0].wait_for_timeout(min(left_s, 10.0) * 1e3)
        print(f"  {left_s / 60.0:.1f} minutes left", file=sys.stderr)
    return [page.evaluate("() => window.earshotHeard") for page in pages]


def main() -> int:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=6.0)
    minutes = parser.parse_args().minutes
    chromium = shutil.which("chromium")
    if chromium is None:
        print("latency: needs Chromium: scripts/setup --test", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="earshot-bench-") as folder, running_demo(Path(folder)) as listed:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=CHROMIUM)
            pages = [browser.new_page() for _ in listed]
            for page, node in zip(pages, listed, strict=True):
                page.goto(node["url"])
            seen = pages[0].evaluate("async () => (await fetch('/api/nodes')).json()")
            nodes = [Node(n["id"], n["url"], n["lat"], n["lon"], n["alt_m"]) for n in seen]
            heard = look(pages, minutes)
            browser.close()
        lines = (Path(folder) / "truth.jsonl").read_text().splitlines()
    shots = [event for event in map(json.loads, lines) if event["kind"] == "shot"]
    samples = np.array([s for page in heard for s in samples_of(page, shots, nodes)])
    result = {
        "what": "third arrival of a shot at a node -> located gunfire incident at the browser, seconds",
        "how": f"scripts/bench latency ({minutes:g} minutes, 5 nodes, 5 pages in one Chromium)",
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "samples": len(samples),
        "median_s": round(float(np.median(samples)), 3) if len(samples) else None,
        "p90_s": round(float(np.quantile(samples, 0.9)), 3) if len(samples) else None,
        "p99_s": round(float(np.quantile(samples, 0.99)), 3) if len(samples) else None,
        "max_s": round(float(samples.max()), 3) if len(samples) else None,
    }
    print(json.dumps(result, indent=2))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if len(samples) else 1


if __name__ == "__main__":
    sys.exit(main())
