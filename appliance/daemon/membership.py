"""Who is of the site, as pages ask for it: letting new nodes in, asking to be let in, taking nodes out."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from appliance.config.folder import NodeFolder
from appliance.daemon.commands import Action
from appliance.daemon.exchange import Exchange
from appliance.errors import InputError
from appliance.ledger.records import NodeName
from appliance.ledger.revocation import sign_statement
from appliance.mesh.hub import PeerHub
from appliance.mesh.joining import OPEN_S, JoinDoor, join
from appliance.mesh.trust import SITE_KEY_FILE, Credentials, SiteAuthority, load_site
from appliance.model.instants import NS_PER_S
from appliance.wire.framing import one_line
from appliance.wire.records import RevocationBody, Words

BodyT = TypeVar("BodyT")

log = logging.getLogger(__name__)


class OpenedBody(msgspec.Struct, frozen=True):
    """What `open-joining` gives back: what to type on the new node, where it goes, and until when (UTC)."""

    code: str
    port: int
    until_ns: int


class JoinBody(msgspec.Struct, frozen=True):
    """What `join` needs: the code, and the address and port of the door."""

    code: Annotated[str, Meta(max_length=100)]
    address: Annotated[str, Meta(min_length=1, max_length=255)]
    port: Annotated[int, Meta(ge=1, le=65_535)]


class RevokeBody(msgspec.Struct, frozen=True):
    """What `revoke` needs: the node, and why."""

    node: NodeName
    reason: Words = ""


class Membership:
    """Carries out the commands `open-joining`, `close-joining`, `join` and `revoke`."""

    def __init__(
        self,
        credentials: Credentials,
        folder: NodeFolder,
        exchange: Exchange,
        hub: PeerHub,
        on_joined: Callable[[], None],
    ) -> None:
        """`on_joined` is called when this node was let into another site and must start again."""
        self._credentials = credentials
        self._folder = folder
        self._exchange = exchange
        self._hub = hub
        self._on_joined = on_joined
        self._door: JoinDoor | None = None

    def actions(self) -> Mapping[str, Action]:
        """The commands by name."""
        return {
            "open-joining": self._open,
            "close-joining": self._close,
            "join": self._join,
            "revoke": self._revoke,
        }

    async def _open(self, _body: bytes, by: str) -> bytes:
        self._shut()
        self._door = JoinDoor(self._credentials, self._authority(), self._is_taken, self._shut)
        self._hub.let_guests(self._door.talk)
        log.warning("%s opened the site for one new node", by)
        opened = OpenedBody(self._door.code, self._hub.port, time.time_ns() + int(OPEN_S * NS_PER_S))
        return msgspec.msgpack.encode(opened)

    async def _close(self, _body: bytes, _by: str) -> bytes:
        self._shut()
        return b""

    def _shut(self) -> None:
        """End the code, if there is one."""
        self._door = None
        self._hub.let_guests(None)

    async def _join(self, body: bytes, _by: str) -> bytes:
        asked = _read(body, JoinBody)
        joined = await join(self._credentials.node, asked.code, asked.address, asked.port)
        joined.save(self._folder.joined_keys)
        self._on_joined()
        return b""

    async def _revoke(self, body: bytes, by: str) -> bytes:
        asked = _read(body, RevokeBody)
        authority = self._authority()
        now_ns = time.time_ns()
        statement = self._exchange.revocation_of(asked.node, asked.reason, now_ns)
        written = self._exchange.publish(RevocationBody(*sign_statement(statement, authority.private_key), by), now_ns)
        await written.stored
        return b""

    def _authority(self) -> SiteAuthority:
        """The site with its key, where this node holds it. Raises InputError."""
        if not (self._folder.keys / SITE_KEY_FILE).exists():
            remedy = "do this on the node that does, or put site.key into the folder keys of this one"
            raise InputError("the site's key", "is not on this node", remedy)
        return load_site(self._folder.keys)

    def _is_taken(self, node: str) -> bool:
        return node == self._credentials.node or node in self._hub.peers()


def _read(body: bytes, shape: type[BodyT]) -> BodyT:
    try:
        return msgspec.msgpack.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError("the command", f"makes no sense ({one_line(error)})", "reload the page") from error
