"""Runs the localiser beside the event loop: one computation at a time, and all that came meanwhile in the next."""

import asyncio
import functools
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from appliance.model.air import Air
from appliance.model.incidents import Incident
from appliance.model.instants import UtcNs
from appliance.model.picks import Pick
from appliance.model.space import NodePose
from appliance.pipeline.fusion import Fusion

log = logging.getLogger(__name__)

MAX_REST_S = 0.5
"""After a computation the locator rests for as long as it took, but not for longer than an alert may be put off."""

Input = Pick | NodePose | Air


@dataclass(frozen=True, slots=True)
class Located:
    """What a computation found: incidents new or changed, ids of those that turned out to be none, and what it knew."""

    incidents: tuple[Incident, ...]
    cancelled: tuple[str, ...]
    knowledge: str


@dataclass(frozen=True, slots=True)
class Window:
    """Picks around some that came too late for `Fusion`, which has forgotten their time; `late` are the late ones."""

    picks: tuple[Pick, ...]
    late: frozenset[str]


class Locator:
    """Feeds `Fusion` in a thread of its own and hands on what changes."""

    def __init__(
        self,
        fusion: Fusion,
        *,
        knowledge: Callable[[], str],
        utc_ns: Callable[[], UtcNs],
        on_located: Callable[[Located], None],
    ) -> None:
        """`knowledge` says what the inputs so far reflect; `on_located` is called in the event loop."""
        self._fusion = fusion
        self._knowledge = knowledge
        self._utc_ns = utc_ns
        self._on_located = on_located
        self._inputs: list[Input] = []
        self._windows: list[Window] = []
        self._poses: dict[str, NodePose] = {}
        self._air: Air | None = None
        self._came = asyncio.Event()
        self.problem: str | None = None

    def put(self, inputs: Sequence[Input]) -> None:
        """Take inputs in; the next computation sees them."""
        self._inputs.extend(inputs)
        if inputs:
            self._came.set()

    def put_window(self, window: Window) -> None:
        """Locate a stretch of the past anew."""
        self._windows.append(window)
        self._came.set()

    async def run(self) -> None:
        """Compute whenever something came, until cancelled; what is being computed then is forgotten."""
        # A daemon thread, because a computation may outlast the two seconds that a stop may take.
        loop = asyncio.get_running_loop()
        jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        threading.Thread(target=_work, args=(jobs,), name="locate", daemon=True).start()
        try:
            while True:
                await self._came.wait()
                self._came.clear()
                inputs, self._inputs = self._inputs, []
                windows, self._windows = self._windows[:1], self._windows[1:]
                if self._windows:
                    self._came.set()
                began_s = loop.time()
                await self._compute(jobs, functools.partial(self._update, inputs))
                for window in windows:
                    await self._compute(jobs, functools.partial(self._locate_window, window))
                # The first answer is never put off; echoes that trickle in afterwards must not fill the processor.
                await asyncio.sleep(min(loop.time() - began_s, MAX_REST_S))
        finally:
            jobs.put(None)

    async def _compute(self, jobs: "queue.SimpleQueue[_Job | None]", work: "Callable[[], Found]") -> None:
        knowledge = self._knowledge()
        job = _Job(work, Future())
        jobs.put(job)
        try:
            incidents, cancelled = await asyncio.wrap_future(job.future)
        except Exception as error:
            # One set of picks that the localiser can't digest must not end the mesh; health says so.
            log.exception("locating failed")
            self.problem = f"locating failed: {type(error).__name__}"
            return
        self.problem = None
        if incidents or cancelled:
            self._on_located(Located(incidents, cancelled, knowledge))

    def _update(self, inputs: Sequence[Input]) -> "Found":
        before = {incident.id for incident in self._fusion.incidents()}
        for item in inputs:
            take_in(self._fusion, item)
            if isinstance(item, NodePose):
                self._poses[item.node] = item
            elif isinstance(item, Air):
                self._air = item
        changed = self._fusion.update(self._utc_ns())
        after = self._fusion.incidents()
        oldest = min((incident.id for incident in after), default="")
        living = {alias for incident in after for alias in (incident.id, *incident.aliases)}
        # What is older than all that Fusion still holds has left it for age, not for being wrong.
        return changed, tuple(sorted(i for i in before - living if i > oldest))

    def _locate_window(self, window: Window) -> "Found":
        fusion = Fusion()
        for pose in self._poses.values():
            fusion.set_pose(pose)
        if self._air is not None:
            fusion.set_air(self._air)
        for pick in window.picks:
            fusion.add_pick(pick)
        found = fusion.update(max((pick.time_ns for pick in window.picks), default=UtcNs(0)))
        return tuple(i for i in found if window.late & {i.id, *i.aliases}), ()


def take_in(fusion: Fusion, item: Input) -> None:
    """Give the localiser one input."""
    if isinstance(item, Pick):
        fusion.add_pick(item)
    elif isinstance(item, NodePose):
        fusion.set_pose(item)
    else:
        fusion.set_air(item)


Found = tuple[tuple[Incident, ...], tuple[str, ...]]
"""Incidents to store, and ids of those that are none any more."""


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[], Found]
    future: "Future[Any]"


def _work(jobs: "queue.SimpleQueue[_Job | None]") -> None:
    while (job := jobs.get()) is not None:
        if not job.future.set_running_or_notify_cancel():
            continue
        try:
            job.future.set_result(job.work())
        except Exception as error:  # noqa: BLE001  # whoever waits for the result gets it
            job.future.set_exception(error)
