"""Starts `earshot demo` as a person would and asks its nodes over HTTP what they found."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NODES_UP_S = 90.0
"""Five nodes of three processes each start on two busy cores."""

LEFTOVERS_END_S = 5.0
"""A web worker whose master had to be killed on a busy machine notices within a second or two."""


class Demo:
    """A running demo: its state folder and its nodes as nodes.json lists them."""

    def __init__(self, process: subprocess.Popen[str], state: Path) -> None:
        self.process = process
        self.state = state
        self.nodes: list[dict[str, str]] = []

    def get(self, node: dict[str, str], path: str) -> Any:
        """The JSON that a node answers with, asked with the node's token."""
        request = urllib.request.Request(
            node["url"].rstrip("/") + path, headers={"Authorization": f"Bearer {node['token']}"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def post(self, node: dict[str, str], path: str, body: dict[str, Any]) -> Any:
        """What a node answers to a JSON body, sent with the node's token."""
        headers = {"Authorization": f"Bearer {node['token']}", "Content-Type": "application/json"}
        request = urllib.request.Request(node["url"].rstrip("/") + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def incidents(self, node: dict[str, str], category: str = "gunfire") -> list[dict[str, Any]]:
        return [i for i in self.get(node, "/api/incidents") if i["category"] == category]

    def events(self, node: dict[str, str], deadline_s: float) -> Iterator[dict[str, Any]]:
        """Incidents as they come over server-sent events, until `deadline_s` (monotonic)."""
        request = urllib.request.Request(
            node["url"].rstrip("/") + "/api/events", headers={"Authorization": f"Bearer {node['token']}"}
        )
        with urllib.request.urlopen(request, timeout=30) as stream:
            event = ""
            for raw in stream:  # a heartbeat comes every few seconds, so this wakes up without gunfire too
                line = raw.decode().rstrip("\n")
                if line.startswith("event:"):
                    event = line.removeprefix("event:").strip()
                elif line.startswith("data:") and event == "incident":
                    yield json.loads(line.removeprefix("data:"))
                if time.monotonic() > deadline_s:
                    return

    def wait_for(self, what: str, condition: Callable[[], Any], timeout_s: float) -> Any:
        """Ask `condition` until it gives something true; fail with `what` after `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        while not (answer := condition()):
            assert self.process.poll() is None, f"the demo ended with status {self.process.returncode}"
            assert time.monotonic() < deadline_s, f"{what}: not within {timeout_s:.0f} s"
            select.select([], [], [], 0.2)
        return answer


@contextlib.contextmanager
def running_demo(state: Path, *options: str) -> Iterator[Demo]:
    """A demo whose nodes serve; ended with SIGTERM, which must leave status 0 and no process behind."""
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance", "demo", "--state", str(state), *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    demo = Demo(process, state)
    try:
        listed = demo.wait_for("nodes.json", lambda: (state / "nodes.json").exists(), NODES_UP_S)
        assert listed
        demo.nodes = json.loads((state / "nodes.json").read_text())
        yield demo
        process.send_signal(signal.SIGTERM)
        _out, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    deadline_s = time.monotonic() + LEFTOVERS_END_S
    while _alive_in_group(process.pid):
        assert time.monotonic() < deadline_s, "the demo left processes behind"
        select.select([], [], [], 0.1)


def _alive_in_group(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
