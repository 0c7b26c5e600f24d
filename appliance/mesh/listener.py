"""The ears' end of listen.sock: hands picks, levels and rejections to mesh, from a thread of its own.

Picks are kept until mesh acknowledges them, and sent again after a break, so that none is lost while mesh restarts.
Clips go out between them, and end with the connection that asked for them. Of everything else only the newest counts.
"""

import collections
import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from appliance.errors import PeerError
from appliance.model.health import HealthCheck
from appliance.model.picks import Pick, Rejection
from appliance.pipeline.clips import Clip, Refusal
from appliance.timing.utc import UtcMapping
from appliance.wire.clips import clip_messages
from appliance.wire.framing import FrameDecoder, encode_frame
from appliance.wire.messages import (
    AckMessage,
    ChannelLevel,
    ClipRequestMessage,
    ClockMessage,
    HealthMessage,
    HelloMessage,
    LevelsMessage,
    LocalMessage,
    local_decoder,
    pick_message,
    rejection_message,
)
from appliance.wire.records import check_to_body

MAX_UNACKNOWLEDGED: Final = 5_000
"""Minutes of rapid fire while mesh is down, at 1 KB each."""
MAX_REJECTIONS: Final = 200
"""The technician's list; older ones are of no use."""
MAX_CLIP_REQUESTS: Final = 16
"""Mesh asks once for each incident; what comes faster is dropped, and mesh asks again or does without."""
MAX_UNSENT_CLIP_BYTES: Final = 32 * 2**20
"""Ten seconds of the largest array at 48 kHz; mesh reads as fast as it is told to, or gets no more."""
RETRY_S: Final = 0.5
SEND_TIMEOUT_S: Final = 5.0
READ_BYTES: Final = 64 * 1024
SILENCE_DBFS: Final = -400.0


class ListenClient:
    """Connects to mesh, and again whenever that is lost. Its methods return at once and are safe from any thread."""

    def __init__(self, path: Path, software: str) -> None:
        """Connect to the socket at `path` as soon as it is there."""
        self._path = path
        self._hello = HelloMessage("listen", software[:64])
        self._lock = threading.Lock()
        self._picks: collections.OrderedDict[str, bytes] = collections.OrderedDict()
        self._unsent: collections.deque[str] = collections.deque()
        self._rejections: collections.deque[bytes] = collections.deque(maxlen=MAX_REJECTIONS)
        self._latest: dict[str, bytes] = {}
        self._requests: collections.deque[ClipRequestMessage] = collections.deque(maxlen=MAX_CLIP_REQUESTS)
        self._clips: collections.deque[bytes] = collections.deque()
        self._n_clip_bytes = 0
        self._clock: tuple[UtcMapping, int] | None = None
        self._n_dropped = 0
        self._connected = threading.Event()
        self._closing = threading.Event()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_out.settimeout(0.0)
        self._thread = threading.Thread(target=self._run, name="to-mesh", daemon=True)
        self._thread.start()

    @property
    def clock(self) -> UtcMapping | None:
        """What mesh last said about UTC, less sure the longer ago it was; None before it did."""
        told = self._clock
        return None if told is None else told[0].aged(time.monotonic_ns() - told[1])

    @property
    def n_dropped(self) -> int:
        """Picks given up because mesh was away for too long, or no message could carry them."""
        return self._n_dropped

    @property
    def n_unacknowledged(self) -> int:
        """Picks that mesh has not acknowledged yet."""
        with self._lock:
            return len(self._picks)

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait until mesh answers; False where it did not in time."""
        return self._connected.wait(timeout_s)

    def send_pick(self, pick: Pick) -> None:
        """Hand a pick over; kept until mesh has it on disk. One that no message can carry is dropped and counted."""
        frame = encode_frame(pick_message(pick))
        if not _is_readable(frame):
            with self._lock:
                self._n_dropped += 1
            return
        with self._lock:
            if len(self._picks) >= MAX_UNACKNOWLEDGED:
                self._picks.popitem(last=False)
                self._n_dropped += 1
            self._picks[pick.id] = frame
            self._unsent.append(pick.id)
        self._wake()

    def send_rejection(self, rejection: Rejection) -> None:
        """Tell of an onset that became no pick."""
        frame = encode_frame(rejection_message(rejection))
        with self._lock:
            self._rejections.append(frame)
        self._wake()

    def send_levels(
        self,
        time_ns: int,
        clock_sigma_ns: int,
        levels: Sequence[tuple[float, float, int]],
        bands_dbfs: Sequence[Sequence[float]] = (),
    ) -> None:
        """Tell what is heard: the end of the newest block, its clock's sigma, and rms, peak (dBFS), clipped samples.

        bands_dbfs: each channel's levels in third octaves; none where they are not of these channels
        """
        bands = bands_dbfs if len(bands_dbfs) == len(levels) else [()] * len(levels)
        channels = tuple(
            ChannelLevel(max(rms, SILENCE_DBFS), max(peak, SILENCE_DBFS), n, tuple(own))
            for (rms, peak, n), own in zip(levels, bands, strict=True)
        )
        self._put_latest("levels", LevelsMessage(time_ns, clock_sigma_ns, channels))

    def send_health(self, checks: Sequence[HealthCheck]) -> None:
        """Tell what listen finds out about itself: the device, the classifier."""
        self._put_latest("health", HealthMessage(tuple(check_to_body(check) for check in checks)))

    def take_clip_requests(self) -> list[ClipRequestMessage]:
        """What mesh has asked for since the last call."""
        with self._lock:
            requests = list(self._requests)
            self._requests.clear()
            return requests

    def send_clips(self, answers: Sequence[Clip | Refusal]) -> None:
        """Hand over all that comes of clip requests, as much as fits what may wait."""
        with self._lock:
            for message in clip_messages(answers, MAX_UNSENT_CLIP_BYTES - self._n_clip_bytes):
                frame = encode_frame(message)
                self._clips.append(frame)
                self._n_clip_bytes += len(frame)
        self._wake()

    def close(self) -> None:
        """End the connection and the thread."""
        self._closing.set()
        self._wake()
        self._thread.join()
        self._wake_in.close()
        self._wake_out.close()

    def _put_latest(self, name: str, message: msgspec.Struct) -> None:
        frame = encode_frame(message)
        with self._lock:
            self._latest[name] = frame
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_out.send(b"x")

    def _run(self) -> None:
        while not self._closing.is_set():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                # A PeerError here means that mesh runs another version; it is restarted with us soon.
                with contextlib.suppress(OSError, PeerError):
                    connection.settimeout(SEND_TIMEOUT_S)
                    connection.connect(str(self._path))
                    connection.sendall(encode_frame(self._hello))
                    with self._lock:
                        self._unsent = collections.deque(self._picks)
                        self._requests.clear()
                        self._clips.clear()
                        self._n_clip_bytes = 0
                    self._connected.set()
                    self._exchange(connection)
                self._connected.clear()
            self._closing.wait(RETRY_S)

    def _exchange(self, connection: socket.socket) -> None:
        """Send what there is and take acknowledgements until the connection ends."""
        decoder = FrameDecoder(local_decoder(), str(self._path))
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            selector.register(self._wake_in, selectors.EVENT_READ)
            while not self._closing.is_set():
                for frame in self._take():
                    connection.sendall(frame)
                for key, _ in selector.select(0.0 if self._clips else None):
                    if key.fileobj is self._wake_in:
                        self._wake_in.recv(READ_BYTES)
                        continue
                    data = connection.recv(READ_BYTES)
                    if not data:
                        return
                    for message in decoder.feed(data):
                        self._heard(message)

    def _take(self) -> list[bytes]:
        """What is to be sent now, picks first; of clips one part, so that no pick waits long for them."""
        with self._lock:
            frames = [self._picks[pick] for pick in self._unsent if pick in self._picks]
            frames += self._latest.values()
            frames += self._rejections
            if self._clips:
                frames.append(self._clips.popleft())
                self._n_clip_bytes -= len(frames[-1])
            self._unsent.clear()
            self._latest.clear()
            self._rejections.clear()
            return frames

    def _heard(self, message: LocalMessage) -> None:
        if isinstance(message, ClockMessage):
            self._clock = (UtcMapping(message.offset_ns, message.sigma_ns), time.monotonic_ns())
        elif isinstance(message, AckMessage):
            with self._lock:
                for pick in message.picks:
                    self._picks.pop(pick, None)
        elif isinstance(message, ClipRequestMessage):
            with self._lock:
                self._requests.append(message)


def _is_readable(frame: bytes) -> bool:
    """Whether mesh would take a frame: one that it refuses would be sent again for ever, and hold up all others."""
    try:
        return len(FrameDecoder(local_decoder(), "own").feed(frame)) == 1
    except PeerError:
        return False
