"""Fixtures that all tests share."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
THREADS_END_WITHIN_S = 2.0


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings; a test that asks for it is skipped where there are none."""
    shared = Path(os.environ.get("EARSHOT_SHARED") or REPOSITORY.parent / "shared")
    if not (shared / "data").is_dir():
        pytest.skip(f"no real recordings at {shared} (EARSHOT_SHARED names another place)")
    return shared / "data"


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread running: it would live on into the next test, and hang a node's shutdown."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREADS_END_WITHIN_S
    while (left := _threads_since(before)) and time.monotonic() < deadline:
        left[0].join(timeout=0.05)
    if left:
        pytest.fail(f"left running: {', '.join(sorted(thread.name for thread in left))}")


def _threads_since(before: set[threading.Thread]) -> list[threading.Thread]:
    # A thread that is waited for by whoever started it (Popen's readers, executors at exit) counts as well.
    return [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]
