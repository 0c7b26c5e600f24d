"""What systemd hears: a real notification socket, and a real child process with its environment."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.daemon.notify import Notifier


class Manager:
    """The end of the notification socket where systemd would be."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    end = Manager(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    yield end
    end.close()


def test_systemd_hears_ready_status_and_stopping(manager: Manager) -> None:
    notifier = Notifier()
    notifier.ready()
    notifier.status("hears 4 channels,\n no peers")
    notifier.stopping()
    assert manager.heard() == ["READY=1", "STATUS=hears 4 channels, no peers", "STOPPING=1"]


def test_signs_of_life_are_sent_no_more_often_than_needed(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3600000000")
    notifier = Notifier()
    for _ in range(5):
        notifier.watchdog()
    assert manager.heard() == ["WATCHDOG=1"]


def test_signs_of_life_go_on_while_the_work_does(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "4")
    notifier = Notifier()
    for _ in range(3):
        notifier.watchdog()
        assert manager.heard() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "4", "WATCHDOG_PID": "1"}],
)
def test_no_signs_of_life_where_none_are_wanted(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    Notifier().watchdog()
    assert manager.heard() == []


def test_the_watchdog_of_this_very_process_is_fed(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "4")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    Notifier().watchdog()
    assert manager.heard() == ["WATCHDOG=1"]


def test_outside_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.ready()
    notifier.watchdog()
    notifier.stopping()


def test_a_manager_that_is_gone_ends_nothing(manager: Manager, tmp_path: Path) -> None:
    manager.close()
    (tmp_path / "notify").unlink()
    Notifier().ready()
