"""The Unix sockets of one node, as mesh serves them: listen.sock for the ears, control.sock for the pages."""

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path

from appliance.errors import PeerError, StoreError
from appliance.wire.framing import FrameDecoder, encode_frame
from appliance.wire.messages import LocalMessage, local_decoder

log = logging.getLogger(__name__)

MAX_CLIENTS = 16
"""One listening process, one web process with its workers, and room for a technician's tools."""
MAX_UNSENT_BYTES = 1024 * 1024
"""What waits for a process that does not read; it is cut off then, and connects again."""
READ_BYTES = 64 * 1024
MODE = 0o660
"""Mesh, listen and web run as users of one group."""


Reply = Callable[[LocalMessage], None]
"""Sends a message to the one process that a message came from, if it is still there."""


class LocalServer:
    """One Unix socket that several processes of this node may connect to."""

    def __init__(self, path: Path, on_message: Callable[[LocalMessage, Reply], None]) -> None:
        """Serve at `path`; `on_message` is called in the event loop, and closes the connection by a PeerError."""
        self._path = path
        self._on_message = on_message
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def n_clients(self) -> int:
        """Processes connected now."""
        return len(self._writers)

    async def start(self) -> None:
        """Begin to serve. Raises StoreError where another process serves already, or the folder can't be written."""
        remove_stale(self._path)
        try:
            self._server = await asyncio.start_unix_server(self._came_in, self._path)
            self._path.chmod(MODE)
        except OSError as error:
            problem = error.strerror or "can't be made"
            raise StoreError(str(self._path), problem, "make its folder writable for earshot mesh") from error

    async def close(self) -> None:
        """End all connections and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def broadcast(self, message: LocalMessage) -> None:
        """Send to all processes that are connected; one that does not read is cut off."""
        frame = encode_frame(message)
        for writer in list(self._writers):
            self._write(writer, frame)

    def _write(self, writer: asyncio.StreamWriter, frame: bytes) -> None:
        if writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            log.warning("a process on %s does not read and was cut off", self._path)
            writer.transport.abort()
        elif not writer.is_closing():
            writer.write(frame)

    def _came_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) >= MAX_CLIENTS:
            writer.transport.abort()
            return
        self._writers.add(writer)
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._read(reader, lambda message: self._write(writer, encode_frame(message)))
        except PeerError as error:
            log.warning("%s", error)
        except OSError as error:
            log.info("a process on %s went away: %s", self._path, error)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader, reply: Reply) -> None:
        decoder = FrameDecoder(local_decoder(), str(self._path))
        while data := await reader.read(READ_BYTES):
            for message in decoder.feed(data):
                self._on_message(message, reply)


def remove_stale(path: Path) -> None:
    """Remove a socket that a dead process left. Raises StoreError where a living one answers on it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise StoreError(str(path), "is served already", "stop the other earshot mesh of this state folder")
