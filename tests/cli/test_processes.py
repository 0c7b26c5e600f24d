"""The processes of a node as systemd starts them: they say when they are ready, and keep saying that they live."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest

SETTINGS = """
[node]
id = "roof-3"
[ears]
source = "disabled"
[place]
source = "disabled"
[mesh]
interfaces = ["127.0.0.1"]
port = 0
"""
WAIT_S = 30.0


@contextlib.contextmanager
def under_systemd(tmp_path, process: str):
    """Run `earshot <process>` with a notification socket as systemd gives it; gives that socket."""
    (tmp_path / "earshot.toml").write_text(SETTINGS)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WAIT_S)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        environment.pop("WATCHDOG_PID", None)
        command = [sys.executable, "-m", "appliance", process, "--state", str(tmp_path)]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
            try:
                yield manager
                running.send_signal(signal.SIGTERM)
                _, errors = running.communicate(timeout=WAIT_S)
                assert running.returncode == 0, errors
                assert "Traceback" not in errors
            finally:
                running.kill()


@pytest.mark.parametrize("process", ["mesh", "listen"])
def test_a_process_tells_systemd_that_it_is_ready_and_that_it_lives(tmp_path, process):
    with under_systemd(tmp_path, process) as manager:
        heard = manager.recv(4096).decode()
        while "READY=1" not in heard:
            heard += manager.recv(4096).decode()
        for _ in range(3):
            assert "WATCHDOG=1" in manager.recv(4096).decode()
