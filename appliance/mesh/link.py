"""One encrypted connection to one proven peer: TLS 1.3, both ends shown to be of the site, a hello each way.

In a PeerError's problem, details stand in brackets at the end: what comes before them is what the hub counts by.
"""

import asyncio
import ssl
import time
from dataclasses import dataclass

from appliance.errors import PeerError
from appliance.ledger.limits import MAX_MESSAGES_BURST, MAX_MESSAGES_PER_S, TokenBucket
from appliance.mesh.trust import Credentials, Enrolled
from appliance.wire.framing import FrameDecoder, encode_frame
from appliance.wire.messages import PEER_VERSION, PeerHelloMessage, PeerMessage, peer_decoder

HANDSHAKE_TIMEOUT_S = 5.0
"""A handshake takes 20 ms on a node; a stranger may not hold a place for longer."""
MAX_UNSENT_BYTES = 4 * 1024 * 1024
"""What waits for a peer that does not read; it is cut off then, and fetches what it missed when it is back."""
READ_BYTES = 64 * 1024
UNPROVEN = "could not prove that it is of this site"


class MemberError(PeerError):
    """A node that has proven to be of the site broke the protocol before it was linked."""

    def __init__(self, node: str, error: PeerError) -> None:
        """`node` did what `error` says."""
        super().__init__(error.thing, error.problem, error.remedy)
        self.node = node


class GuestError(Exception):
    """Somebody without a certificate is there, over TLS, while guests are let to the door of the site."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What this node needs to open links: its credentials, the TLS contexts made of them, and its hello."""

    credentials: Credentials
    server_context: ssl.SSLContext
    client_context: ssl.SSLContext
    hello: PeerHelloMessage


def make_identity(credentials: Credentials, software: str) -> Identity:
    """The identity of the node with these credentials, running `software`."""
    hello = PeerHelloMessage(credentials.node, software[:64])
    return Identity(credentials, credentials.server_context(), credentials.client_context(), hello)


class Link:
    """A connection to a peer that has proven itself. For use in one event loop."""

    def __init__(
        self,
        peer: Enrolled,
        dialler: str,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        decoder: FrameDecoder[PeerMessage],
        early: list[PeerMessage],
    ) -> None:
        """`dialler` is the node that opened the connection; `early` came together with the peer's hello."""
        self.peer = peer
        self.dialler = dialler
        self.since_s = self.last_heard_s = time.monotonic()
        self.peer_time: tuple[int, float] | None = None
        self._reader, self._writer = streams
        self._decoder = decoder
        self._early = early
        self._bucket = TokenBucket(MAX_MESSAGES_PER_S, MAX_MESSAGES_BURST)

    @property
    def address(self) -> str:
        """The other end's address."""
        return str((self._writer.get_extra_info("peername") or ("",))[0])

    def send(self, frame: bytes) -> bool:
        """Queue a frame; False where the peer does not read what it is sent."""
        if self._writer.is_closing():
            return True
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            return False
        self._writer.write(frame)
        return True

    async def receive(self) -> list[PeerMessage]:
        """The next messages; empty at the end of the connection. Raises PeerError on what breaks the protocol."""
        if self._early:
            early, self._early = self._early, []
            return early
        while True:
            try:
                data = await self._reader.read(READ_BYTES)
            except (OSError, ssl.SSLError):
                return []
            if not data:
                return []
            self.last_heard_s = time.monotonic()
            messages = self._decoder.feed(data)
            if not self._bucket.take(len(messages), self.last_heard_s):
                raise PeerError(f"peer {self.peer.node}", "floods", "find out why that node sends so much")
            if messages:
                return messages

    def close(self) -> None:
        """Cut the connection at once."""
        self._writer.transport.abort()


async def dial(identity: Identity, address: str, port: int) -> Link:
    """A link to whoever listens there. Raises OSError where nobody does; PeerError for strangers; MemberError."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), HANDSHAKE_TIMEOUT_S)
    return await _prove(identity, (reader, writer), dialled=True)


async def accept(identity: Identity, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Link:
    """A link from a connection that came in. Raises OSError, PeerError or MemberError.

    Where `server_context` asks for no certificate, GuestError says that there was none; the connection stays then.
    """
    return await _prove(identity, (reader, writer), dialled=False)


async def _prove(
    identity: Identity, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], *, dialled: bool
) -> Link:
    """Shake hands; the connection is closed where that fails."""
    reader, writer = streams
    own = identity.credentials
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            await writer.start_tls(identity.client_context if dialled else identity.server_context)
            tls = writer.get_extra_info("ssl_object")
            peer = own.site.check(_certificate_of(tls))
            writer.write(encode_frame(identity.hello))
            decoder = FrameDecoder(peer_decoder(), f"peer {peer.node}")
            try:
                early = await _hear_hello(reader, decoder, peer)
            except PeerError as error:
                raise MemberError(peer.node, error) from error
    except ssl.SSLError as error:
        writer.transport.abort()
        raise PeerError("a machine", UNPROVEN, "enrol it, or remove it") from error
    except GuestError:
        raise
    except BaseException:
        writer.transport.abort()
        raise
    return Link(peer, own.node if dialled else peer.node, streams, decoder, early)


def _certificate_of(tls: ssl.SSLObject) -> bytes:
    certificate = tls.getpeercert(binary_form=True)
    if certificate is None:
        raise GuestError
    return certificate


async def _hear_hello(
    reader: asyncio.StreamReader, decoder: FrameDecoder[PeerMessage], peer: Enrolled
) -> list[PeerMessage]:
    """Wait for the peer's hello and check it; returns what came together with it."""
    thing = f"peer {peer.node}"
    messages: list[PeerMessage] = []
    while not messages:
        data = await reader.read(READ_BYTES)
        if not data:
            raise ConnectionResetError(f"{thing} closed the connection before its hello")
        messages = decoder.feed(data)
    hello = messages[0]
    if not isinstance(hello, PeerHelloMessage):
        raise PeerError(thing, "did not begin with a hello", "check that both nodes run the same version")
    if hello.node != peer.node:
        raise PeerError(thing, f"calls itself by another name ({hello.node})", "enrol that node again under one name")
    if hello.version != PEER_VERSION:
        problem = f"speaks another version of the protocol ({hello.version}, this node {PEER_VERSION})"
        raise PeerError(thing, problem, "install the same version on both")
    return messages[1:]
