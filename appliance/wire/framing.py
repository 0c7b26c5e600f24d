"""Frames on Unix sockets and between peers: four bytes of length, big end first, then that many bytes of msgpack."""

import struct
from typing import Generic, TypeVar

import msgspec

from appliance.errors import PeerError

MAX_FRAME_BYTES = 256 * 1024
"""The largest message anybody sends is an answer of 128 records of at most 1.5 KiB on average; twice that is refused
before memory is set aside for it."""

MessageT = TypeVar("MessageT")

_LENGTH = struct.Struct(">I")


def encode_frame(message: msgspec.Struct) -> bytes:
    """One message as bytes for the wire. Raises ValueError where it is longer than `MAX_FRAME_BYTES`: our own fault."""
    payload = msgspec.msgpack.encode(message)
    if len(payload) > MAX_FRAME_BYTES:
        raise ValueError(f"a message of {len(payload)} bytes is longer than a frame's {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(payload)) + payload


class FrameDecoder(Generic[MessageT]):
    """Turns a stream of bytes into checked messages. After a PeerError the stream has lost step: close it."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[MessageT], source: str) -> None:
        """Decode what `source` (named in errors) sends by `decoder`, which knows the bounds of every field."""
        self._decoder = decoder
        self._source = source
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[MessageT]:
        """The messages that `data` completes, in order. Raises PeerError on the first bad length or message."""
        self._buffer += data
        messages: list[MessageT] = []
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if length > MAX_FRAME_BYTES:
                raise PeerError(
                    self._source,
                    f"announced too long a message ({length} bytes, the most is {MAX_FRAME_BYTES})",
                    "the connection was closed; check that both ends run the same version",
                )
            end = start + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            messages.append(self._decode(bytes(self._buffer[start + _LENGTH.size : end])))
            start = end
        del self._buffer[:start]
        return messages

    def _decode(self, payload: bytes) -> MessageT:
        try:
            return self._decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise PeerError(
                self._source,
                f"sent a message that does not fit the protocol ({one_line(error)})",
                "the connection was closed; check that both ends run the same version",
            ) from error


def one_line(said: object) -> str:
    """What an error or a peer says, short and without the line breaks and control characters that may be in it."""
    return "".join(c if c.isprintable() else " " for c in str(said))[:160]
