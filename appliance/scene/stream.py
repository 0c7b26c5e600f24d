"""A stream of sound blocks over a Unix socket: the world's end, and the end that stands in for a node's microphones."""

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from appliance.errors import DeviceError, PeerError
from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.instants import NS_PER_S
from appliance.scene.world import World, WorldNode, faint_noise
from appliance.wire.blocks import (
    StreamBlock,
    StreamHeader,
    decode_block,
    decode_geometry,
    encode_block,
    encode_header,
    stream_decoder,
)

MAX_PENDING_BYTES = 4 * 2**20
"""What waits for a slow client at most: some seconds of sound; then blocks are dropped, and the client sees a gap."""
HEADER_WAIT_S = 5.0
"""How long a client waits for the stream's first message; a world sends it with its next block."""
RETRY_S = 0.2
"""How long a client waits after a failed connection before it says so, so that nobody tries in a busy loop."""
_READ_BYTES = 65_536


class BlockServer:
    """Sends the blocks of one node to whoever is connected, the latest client alone. Nothing here waits."""

    def __init__(self, path: Path, node: WorldNode) -> None:
        """Listen at `path`, replacing what a run before left there. Raises DeviceError where that is impossible."""
        self._path = path
        self._header = encode_header(node.geometry, node.sample_rate_hz)
        self._is_muted = False
        self._rng = np.random.default_rng(0)
        self._client: socket.socket | None = None
        self._pending: deque[memoryview] = deque()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if path.is_socket():
                path.unlink()
            self._listener.bind(str(path))
        except OSError as error:
            self._listener.close()
            raise DeviceError(str(path), f"can't listen there ({error})", "use a shorter or another path") from error
        self._listener.listen(1)
        self._listener.settimeout(0.0)

    def mute(self, *, is_muted: bool) -> None:
        """Send the faintest noise instead of sound, or sound again; times and counts go on. From any thread."""
        self._is_muted = is_muted

    def send(self, block: AudioBlock) -> None:
        """Hand a block to the client, if there is one; drop it where the client is seconds behind."""
        self._accept()
        if self._client is None:
            return
        if sum(len(part) for part in self._pending) < MAX_PENDING_BYTES:
            self._pending.append(memoryview(encode_block(self._muted(block) if self._is_muted else block)))
        self._flush()

    def close(self) -> None:
        """Drop the client and stop listening."""
        self._drop()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        self._drop()
        client.settimeout(0.0)
        self._client = client
        self._pending.append(memoryview(self._header))

    def _flush(self) -> None:
        while self._client is not None and self._pending:
            try:
                sent = self._client.send(self._pending[0])
            except BlockingIOError:
                return
            except OSError:
                self._drop()
                return
            if sent == len(self._pending[0]):
                self._pending.popleft()
            else:
                self._pending[0] = self._pending[0][sent:]

    def _drop(self) -> None:
        self._pending.clear()
        if self._client is not None:
            self._client.close()
            self._client = None

    def _muted(self, block: AudioBlock) -> AudioBlock:
        n_channels, n = block.samples.shape
        silence = faint_noise(n_channels, n, self._rng)
        return AudioBlock(silence, block.first_sample, block.sample_rate_hz, block.start_ns, block.sigma_ns)


class StreamSource:
    """An AudioSource that reads a `BlockServer`. When the stream breaks `read` says so once, then connects again."""

    def __init__(self, path: Path) -> None:
        """Connect and learn the array. Raises DeviceError where nobody serves at `path`."""
        self._path = path
        self._blocks: deque[AudioBlock] = deque()
        self._socket: socket.socket | None = None
        self._is_closed = False
        self._decoder = stream_decoder(str(path))
        self._header: StreamHeader | None = None
        self._connect()
        self._first_header = self._read_header()

    @property
    def geometry(self) -> ArrayGeometry:
        """The array that the stream is of."""
        return decode_geometry(self._first_header)

    @property
    def sample_rate_hz(self) -> float:
        """The nominal rate that the stream states."""
        return self._first_header.sample_rate_hz

    def read(self, timeout_s: float) -> AudioBlock | None:
        """The next block, or None after `timeout_s`. Raises DeviceError when the stream broke; then read again."""
        if self._is_closed:
            raise DeviceError(str(self._path), "was closed", "open it again")
        deadline_s = time.monotonic() + timeout_s
        if self._socket is None:
            self._reconnect()
        while not self._blocks:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0.0 or not self._receive(left_s):
                return None
        return self._blocks.popleft()

    def close(self) -> None:
        """Close the connection; a `read` in another thread ends with a DeviceError."""
        self._is_closed = True
        connection = self._socket
        if connection is not None:
            # Wakes a reader in another thread, which a mere close would not.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(HEADER_WAIT_S)
            connection.connect(str(self._path))
        except OSError as error:
            connection.close()
            time.sleep(RETRY_S)
            raise self._lost(f"nobody serves sound there ({error})") from error
        self._socket = connection
        self._decoder = stream_decoder(str(self._path))
        self._header = None

    def _reconnect(self) -> None:
        self._connect()
        if self._read_header() != self._first_header:
            self._disconnect()
            raise self._lost("now streams another array or rate")

    def _read_header(self) -> StreamHeader:
        deadline_s = time.monotonic() + HEADER_WAIT_S
        while self._header is None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0.0 or not self._receive(left_s):
                self._disconnect()
                raise self._lost(f"sent nothing within {HEADER_WAIT_S:.0f} s")
        return self._header

    def _receive(self, timeout_s: float) -> bool:
        """Take in what comes within the time; whether anything did. Raises DeviceError when the stream broke."""
        if self._socket is None:
            raise self._lost("is not connected")
        try:
            self._socket.settimeout(timeout_s)
            data = self._socket.recv(_READ_BYTES)
        except TimeoutError:
            return False
        except OSError as error:
            self._disconnect()
            raise self._lost(f"broke ({error})") from error
        if not data:
            self._disconnect()
            raise self._lost("ended")
        try:
            for message in self._decoder.feed(data):
                self._take(message)
        except PeerError as error:
            self._disconnect()
            raise self._lost(error.problem) from error
        return True

    def _take(self, message: StreamHeader | StreamBlock) -> None:
        if isinstance(message, StreamHeader):
            self._header = message
            return
        if self._header is None:
            raise PeerError(str(self._path), "sent a block before its header", "start the world again")
        self._blocks.append(decode_block(message, len(self._header.microphones_m), str(self._path)))

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _lost(self, problem: str) -> DeviceError:
        return DeviceError(f"sound stream {self._path}", problem, "see that the world which serves it runs")


def feed(world: World, servers: Mapping[str, BlockServer], *, start_ns: int, stop: threading.Event) -> None:
    """Send a world's blocks at the pace of real time until `stop`; each when its last sample has been heard.

    `start_ns` is the UTC of the world's first sample. The next block is made while the last one plays.
    """
    zero_s = time.monotonic() + (start_ns - time.time_ns()) / NS_PER_S
    end_s = zero_s
    while not stop.is_set():
        blocks = world.advance()
        end_s += world.block_s
        if stop.wait(max(end_s - time.monotonic(), 0.0)):
            return
        for node, block in blocks.items():
            servers[node].send(block)
