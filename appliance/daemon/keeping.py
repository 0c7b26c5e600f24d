"""Keeping sound of gunfire: asks the ears for it while they still have it, and binds what comes to a signed record."""

import asyncio
import collections
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from appliance.daemon.exchange import Written
from appliance.errors import PeerError, StoreError
from appliance.model.incidents import Category, Incident
from appliance.model.instants import NS_PER_S
from appliance.storage.clips import ClipFolder, SavedClip
from appliance.wire.messages import MAX_CLIP_PICKS, ClipMessage, ClipRequestMessage
from appliance.wire.records import Body, ClipBody, PoseBody

log = logging.getLogger(__name__)

HELD_S = 60
"""The ears hold no sound for longer than this."""
ASK_AFTER_S = 2.0
"""Rounds of one string that come meanwhile are asked for together, so that they share one clip."""
MAX_ASKED = 10_000
"""Picks that were asked for, so that each is once: a day of the ears' allowance many times over."""
MAX_PARTIAL_BYTES = 64 * 2**20
"""Clips that are not whole yet; the ears send one after the other, and the largest one alone takes less."""


@dataclass(slots=True)
class _Partial:
    """A clip that is coming in, from its first part on."""

    first: ClipMessage
    data: bytearray = field(default_factory=bytearray)


class ClipKeeper:
    """One node's clips. Everything runs in one event loop but the writing of files."""

    def __init__(
        self,
        node: str,
        folder: ClipFolder,
        publish: Callable[[Body], Written],
        ask: Callable[[ClipRequestMessage], None],
    ) -> None:
        """Ask the ears of `node` by `ask`, write files into `folder` and records by `publish`."""
        self._node = node
        self._folder = folder
        self._publish = publish
        self._ask = ask
        self._n_requests = 0
        self._wanted: dict[str, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._asked: collections.OrderedDict[str, None] = collections.OrderedDict()
        self._incidents: collections.OrderedDict[int, str] = collections.OrderedDict()
        self._partial: dict[tuple[int, str], _Partial] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.pose: PoseBody | None = None
        self.problem: StoreError | None = None

    def located(self, incidents: Sequence[Incident], now_ns: int) -> None:
        """Ask for the sound of this node's own picks in what is gunfire now, each once."""
        for incident in incidents:
            if incident.category is not Category.GUNFIRE:
                continue
            own = {a.pick for s in incident.shots for a in s.arrivals if a.node == self._node}
            fresh = [p for p in sorted(own - self._asked.keys()) if now_ns - int(p[:16]) * 1_000 < HELD_S * NS_PER_S]
            if fresh and not self._wanted:
                self._timer = asyncio.get_running_loop().call_later(ASK_AFTER_S, self._ask_for_wanted)
            self._wanted.update(dict.fromkeys(fresh, incident.id))
            self._asked.update(dict.fromkeys(fresh))

    def heard(self, message: ClipMessage) -> None:
        """Take in a part of a clip. Raises PeerError where it does not fit what came before."""
        if message.request not in self._incidents:
            raise PeerError("the ears", "sent a clip that nobody asked for", "restart earshot listen")
        if message.refused is not None:
            log.info("no sound of %s: %s", message.pick, message.refused)
            return
        key = (message.request, message.pick)
        partial = self._partial.setdefault(key, _Partial(message))
        first, n_held = partial.first, sum(len(p.data) for p in self._partial.values())
        fits = message.offset == len(partial.data) and message.total_bytes == first.total_bytes
        fits = fits and first.n_channels > 0 and first.rate_hz > 0.0 and first.total_bytes % (2 * first.n_channels) == 0
        if not fits or n_held + len(message.data) > MAX_PARTIAL_BYTES:
            del self._partial[key]
            raise PeerError("the ears", "sent a clip in parts that do not fit", "restart earshot listen")
        partial.data += message.data
        if len(partial.data) >= first.total_bytes:
            del self._partial[key]
            task = asyncio.ensure_future(self._keep(self._incidents[message.request], first, bytes(partial.data)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Finish what is being written; forget the rest."""
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ask_for_wanted(self) -> None:
        wanted, self._wanted = self._wanted, {}
        for incident in sorted(set(wanted.values())):
            picks = sorted(pick for pick, of in wanted.items() if of == incident)
            for start in range(0, len(picks), MAX_CLIP_PICKS):
                self._n_requests += 1
                self._incidents[self._n_requests] = incident
                self._ask(ClipRequestMessage(self._n_requests, tuple(picks[start : start + MAX_CLIP_PICKS])))
        while len(self._asked) > MAX_ASKED:
            self._asked.popitem(last=False)
        while len(self._incidents) > MAX_ASKED:
            self._incidents.popitem(last=False)

    async def _keep(self, incident: str, first: ClipMessage, data: bytes) -> None:
        try:
            saved = await asyncio.to_thread(self._folder.save, first.pick, data, first.rate_hz, first.n_channels)
        except StoreError as error:
            self.problem = error
            log.error("a clip was lost: %s", error)  # noqa: TRY400  # the line says it all
            return
        self.problem = None
        self._publish(_body(incident, first, saved, self.pose))


def _body(incident: str, first: ClipMessage, saved: SavedClip, pose: PoseBody | None) -> ClipBody:
    return ClipBody(
        incident=incident,
        pick=first.pick,
        sha256=saved.sha256,
        n_bytes=saved.n_bytes,
        first_ns=first.first_ns,
        clock_sigma_ns=first.clock_sigma_ns,
        rate_hz=first.rate_hz,
        n_channels=first.n_channels,
        n_samples=saved.n_samples,
        pose=pose,
    )
