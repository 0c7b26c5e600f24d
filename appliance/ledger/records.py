"""One record of a node's log: its fields, its exact bytes, its hash and its signature.

A node writes one stream of records per epoch (per start), numbered from 1. Each record holds the hash of its body and
the hash of the record before it, so that a body can be deleted later and the chain still be checked; the last record
of the epoch before is the one before an epoch's first.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta

MAX_BODY_BYTES = 16 * 1024
"""A pick takes 200 bytes, a health report of twenty checks 4 KiB; nothing a node says of itself needs more."""
HASH_BYTES = 32
SIGNATURE_BYTES = 64
NO_RECORD = bytes(HASH_BYTES)
"""What stands for the record before in the first record that a node ever wrote."""
EPOCH_KIND = "epoch"
"""The kind of the first record of every epoch, and of no other."""

NodeName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]
"""Goes into cursors, file names, certificates and mDNS names: nothing there may have a meaning of its own."""
KindName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]
Epoch = Annotated[int, Meta(ge=1, lt=2**53)]
Sequence = Annotated[int, Meta(ge=1, lt=2**53)]
Held = Annotated[int, Meta(ge=0, lt=2**53)]
Hash = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
SignatureBytes = Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]

StreamId = tuple[str, int]
"""A node and one of its epochs."""

_MAGIC = b"earshot record 1\0"
_NUMBERS = struct.Struct(">QQq")


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One entry of a node's log, as it goes over the wire and into the database.

    node, epoch, seq: its place; seq counts from 1 in each epoch
    time_ns:          UTC when it was written, by its node's clock
    kind:             what its body is (wire.records)
    body_hash:        SHA-256 of the body's bytes
    previous:         SHA-256 of the record before (`record_hash`)
    signature:        Ed25519 by the node's key over `signed_bytes`
    body:             the bytes, or None once retention deleted them
    """

    node: NodeName
    epoch: Epoch
    seq: Sequence
    time_ns: Annotated[int, Meta(ge=0, lt=2**62)]
    kind: KindName
    body_hash: Hash
    previous: Hash
    signature: SignatureBytes
    body: Annotated[bytes, Meta(max_length=MAX_BODY_BYTES)] | None

    @property
    def stream(self) -> StreamId:
        """The stream that the record belongs to."""
        return (self.node, self.epoch)


class Head(msgspec.Struct, frozen=True, array_like=True):
    """How far somebody knows one stream: its records 1 to `seq`; 0 where only its existence is known."""

    node: NodeName
    epoch: Epoch
    seq: Held

    @property
    def stream(self) -> StreamId:
        """The stream that is meant."""
        return (self.node, self.epoch)


class Range(msgspec.Struct, frozen=True, array_like=True):
    """Records `first` to `last`, both included, of one stream."""

    node: NodeName
    epoch: Epoch
    first: Sequence
    last: Sequence

    @property
    def stream(self) -> StreamId:
        """The stream that is meant."""
        return (self.node, self.epoch)


@dataclass(frozen=True, slots=True)
class Tip:
    """The end of a stream as far as it is held: the number and the hash of its last record."""

    seq: int
    hash: bytes


class RecordWriter:
    """Writes the records of one epoch of one node, one after the other."""

    def __init__(self, key: Ed25519PrivateKey, site_key: bytes, node: str, epoch: int, previous: bytes) -> None:
        """Begin `epoch` of `node` after the record whose hash is `previous` (`NO_RECORD`: there was none)."""
        self._key = key
        self._site_key = site_key
        self._node = node
        self._epoch = epoch
        self._tip = Tip(0, previous)

    def write(self, kind: str, body: bytes, time_ns: int) -> Record:
        """The next record, signed. Raises ValueError for a body over `MAX_BODY_BYTES`."""
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"a {kind} body of {len(body)} bytes is longer than {MAX_BODY_BYTES}")
        unsigned = Record(
            node=self._node,
            epoch=self._epoch,
            seq=self._tip.seq + 1,
            time_ns=time_ns,
            kind=kind,
            body_hash=hashlib.sha256(body).digest(),
            previous=self._tip.hash,
            signature=bytes(SIGNATURE_BYTES),
            body=body,
        )
        exact = signed_bytes(unsigned, self._site_key)
        self._tip = Tip(unsigned.seq, hashlib.sha256(exact).digest())
        return msgspec.structs.replace(unsigned, signature=self._key.sign(exact))


def signed_bytes(record: Record, site_key: bytes) -> bytes:
    """The exact bytes that are signed: every field but signature and body, each with its length, after the site's key.

    The site's public key is part of them, so that a record means nothing on another site.
    """
    node, kind = record.node.encode(), record.kind.encode()
    return b"".join(
        (
            _MAGIC,
            site_key,
            bytes((len(node),)),
            node,
            _NUMBERS.pack(record.epoch, record.seq, record.time_ns),
            bytes((len(kind),)),
            kind,
            record.body_hash,
            record.previous,
        )
    )


def record_hash(record: Record, site_key: bytes) -> bytes:
    """What the next record's `previous` must be."""
    return hashlib.sha256(signed_bytes(record, site_key)).digest()


def body_matches(record: Record) -> bool:
    """Whether the body is the one that was signed; a body that was deleted matches."""
    return record.body is None or hashlib.sha256(record.body).digest() == record.body_hash


def is_signed_by(record: Record, key: Ed25519PublicKey, site_key: bytes) -> bool:
    """Whether the holder of `key` signed the record for the site with `site_key`."""
    try:
        key.verify(record.signature, signed_bytes(record, site_key))
    except InvalidSignature:
        return False
    return True
