"""Commands to the mesh process over its control socket: a short connection for each, because they are rare."""

import itertools
import socket
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from appliance import __version__
from appliance.errors import PeerError, StoreError
from appliance.wire.framing import FrameDecoder, encode_frame
from appliance.wire.messages import AnswerMessage, CommandMessage, HelloMessage, local_decoder

TIMEOUT_S = 3.0
"""A record is on disk within tens of milliseconds; mesh that needs longer is in trouble."""
MAX_AT_ONCE = 4
"""Mesh takes a few connections, and one of them is the watch's."""
READ_BYTES = 65_536


class Mesh:
    """The node's mesh process as the pages command it. Safe from several threads."""

    def __init__(self, control_socket: Path | None) -> None:
        """Command over `control_socket`; None: there is nobody to command."""
        self._path = control_socket
        self._places = threading.BoundedSemaphore(MAX_AT_ONCE)
        self._numbers = itertools.count(1)

    def command(
        self, kind: str, body: msgspec.Struct | dict[str, Any], by: str, *, timeout_s: float = TIMEOUT_S
    ) -> AnswerMessage:
        """Have mesh write a record of `kind`, or do it. Raises StoreError where mesh does not answer."""
        if self._path is None:
            raise self._away("there is no mesh process")
        command = CommandMessage(next(self._numbers), kind, msgspec.msgpack.encode(body), by[:64])
        if not self._places.acquire(timeout=TIMEOUT_S):
            raise self._away("is busy")
        try:
            return self._ask(self._path, command, timeout_s)
        except (OSError, PeerError) as error:
            raise self._away(f"does not answer: {error}") from error
        finally:
            self._places.release()

    def _ask(self, path: Path, command: CommandMessage, timeout_s: float) -> AnswerMessage:
        deadline_s = time.monotonic() + timeout_s
        decoder = FrameDecoder(local_decoder(), str(path))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(timeout_s)
            link.connect(str(path))
            link.sendall(encode_frame(HelloMessage("web", __version__)) + encode_frame(command))
            while data := link.recv(READ_BYTES):
                for message in decoder.feed(data):
                    if isinstance(message, AnswerMessage) and message.request == command.request:
                        return message
                link.settimeout(max(0.01, deadline_s - time.monotonic()))
        raise OSError("it closed the connection")

    def _away(self, problem: str) -> StoreError:
        return StoreError("mesh", problem, "look at earshot mesh; the page tries again")
