"""Taking a node out of its site: a statement signed by the site itself, carried in the log like every record.

It names the node's certificates and, stream by stream, how far its records still count: what was written before the
theft stays evidence, what a thief writes afterwards is refused everywhere.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta

from appliance.ledger.records import Epoch, Hash, NodeName, Record, Sequence, StreamId, Tip, record_hash

REVOCATION_KIND: Final = "revocation"
MAX_KEPT: Final = 200
"""Newest epochs that a statement lists, 50 bytes each; older ones are long known to everybody and count in whole."""
MAX_STATEMENT_BYTES: Final = 14 * 1024
MAX_REVOKED_CERTIFICATES: Final = 4
"""As many as a node can have keys."""

_MAGIC = b"earshot revocation 1\0"


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """Records 1 to `seq` of an epoch count; `hash` is the last one's."""

    epoch: Epoch
    seq: Sequence
    hash: Hash


class Statement(msgspec.Struct, frozen=True):
    """What the site says: these keys speak for the node no longer.

    keys:  SHA-256 of each raw public key
    kept:  what counts of the streams written with them, newest `MAX_KEPT` epochs
    """

    node: NodeName
    keys: Annotated[tuple[Hash, ...], Meta(min_length=1, max_length=MAX_REVOKED_CERTIFICATES)]
    kept: Annotated[tuple[Kept, ...], Meta(max_length=MAX_KEPT)]
    time_ns: Annotated[int, Meta(ge=0, lt=2**62)]
    reason: Annotated[str, Meta(max_length=200)]


@dataclass(frozen=True, slots=True)
class Cut:
    """How far the records of revoked keys count: by epoch, the last number and its hash."""

    kept: Mapping[int, Kept] = field(default_factory=dict)

    def allows(self, record: Record, site_key: bytes) -> bool:
        """Whether a record written with such a key was there before the key was revoked."""
        kept = self.kept.get(record.epoch)
        if kept is not None:
            return record.seq < kept.seq or (record.seq == kept.seq and record_hash(record, site_key) == kept.hash)
        return len(self.kept) == MAX_KEPT and record.epoch < min(self.kept)


def sign_statement(statement: Statement, key: Ed25519PrivateKey) -> tuple[bytes, bytes]:
    """The statement's bytes and the site's signature over them."""
    data = msgspec.msgpack.encode(statement)
    return data, key.sign(_MAGIC + data)


def read_statement(data: bytes, signature: bytes, site_key: bytes) -> Statement | None:
    """What the site stated; None where it did not sign these bytes or they make no sense."""
    try:
        Ed25519PublicKey.from_public_bytes(site_key).verify(signature, _MAGIC + data)
        return msgspec.msgpack.decode(data, type=Statement)
    except (InvalidSignature, ValueError, msgspec.MsgspecError, RecursionError):
        return None


def key_hash(key: Ed25519PublicKey) -> bytes:
    """How a statement names a key."""
    return hashlib.sha256(key.public_bytes_raw()).digest()


def kept_of(tips: Mapping[StreamId, Tip]) -> tuple[Kept, ...]:
    """What counts of a node's streams that are held as far as `tips` say."""
    newest = sorted(tips.items(), key=lambda item: item[0][1], reverse=True)[:MAX_KEPT]
    return tuple(Kept(epoch, tip.seq, tip.hash) for (_, epoch), tip in newest)
