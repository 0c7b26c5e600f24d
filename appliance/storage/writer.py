"""Group commit: many small pieces of work, one sync of the disk.

One thread takes whatever waits, does it in one transaction and tells each caller once it is on disk. Where the disk
is full or locked the work waits and is tried again; `problem` says so meanwhile.
"""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from appliance.errors import StoreError
from appliance.storage.node_store import NodeStore

T = TypeVar("T")

MAX_WAITING = 10_000
"""Minutes of work of a busy mesh; while a disk is full, memory must not fill up as well."""
LINGER_S = 0.25
"""How long work that nobody waits for lingers, so that more of it shares one sync: an SD card wears by the sync."""
MAX_GROUP = 256
"""Pieces in one transaction, so that the first of them is not kept waiting by the last."""
RETRY_S = 1.0


class _Job:
    """A piece of work and who waits for it."""

    def __init__(self, work: Callable[[NodeStore], Any], *, is_urgent: bool) -> None:
        self.work = work
        self.is_urgent = is_urgent
        self.future: Future[Any] = Future()
        self.future.set_running_or_notify_cancel()  # who stops waiting does not take the work back
        self.result: Any = None
        self.error: Exception | None = None


class GroupWriter:
    """Runs work on the store in its own thread, in the order in which it was handed in."""

    def __init__(self, store: NodeStore, retry_s: float = RETRY_S) -> None:
        """Take the store over: from now on only this thread uses it, and `close` closes it."""
        self._store = store
        self._retry_s = retry_s
        self._jobs: queue.Queue[_Job | None] = queue.Queue(MAX_WAITING)
        self._closing = threading.Event()
        self._problem: StoreError | None = None
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> StoreError | None:
        """Why nothing can be written at the moment; None: it can."""
        return self._problem

    def submit(self, work: Callable[[NodeStore], T], *, is_urgent: bool = True) -> Future[T]:
        """Do `work` in a transaction; the future is done when it is on disk. It may run again after a failed commit.

        What is not urgent lingers until urgent work comes, but no longer than `LINGER_S`; the order stays.
        Raises StoreError where too much waits already.
        """
        job = _Job(work, is_urgent=is_urgent)
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise self._problem or StoreError(
                str(self._store.path), f"{MAX_WAITING} writes wait", "check the speed of its disk"
            ) from None
        return job.future

    def close(self) -> None:
        """Write what waits, if it can be written, and close the store."""
        self._closing.set()
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            group, open_ = self._take_group()
            self._write(group)
        self._store.close()

    def _take_group(self) -> tuple[list[_Job], bool]:
        """What waits, at most `MAX_GROUP`, and whether more will come."""
        group: list[_Job] = []
        due_s = float("inf")
        while len(group) < MAX_GROUP:
            try:
                job = self._jobs.get(timeout=None if not group else max(0.0, due_s - time.monotonic()))
            except queue.Empty:
                break
            if job is None:
                return group, False
            group.append(job)
            due_s = 0.0 if job.is_urgent else min(due_s, time.monotonic() + LINGER_S)
        return group, True

    def _write(self, group: list[_Job]) -> None:
        """Do all of a group and tell its callers; for ever, unless the writer is closing."""
        if not group:
            return
        while True:
            try:
                with self._store.transaction():
                    for job in group:
                        self._do(job)
            except StoreError as error:
                self._problem = error
                if self._closing.wait(self._retry_s):
                    _fail(group, error)
                    return
                continue
            self._problem = None
            break
        for job in group:
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)

    def _do(self, job: _Job) -> None:
        """One piece of work; an error of its own undoes it alone, one of the database the whole group."""
        job.error = None
        try:
            with self._store.part():
                job.result = job.work(self._store)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the caller's who gets it
            job.error = error


def _fail(group: list[_Job], error: StoreError) -> None:
    for job in group:
        job.future.set_exception(error)
