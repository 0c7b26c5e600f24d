"""How a new node is let into a site by a code that a person carries: the messages, the code, and the two proofs.

Both ends know the code, 80 random bits that live for minutes. Over TLS 1.3 each shows the other that it knows it by
an HMAC-SHA256 over what both ends of this very connection see: the certificate of the end that was dialled (RFC 5929,
tls-server-end-point). Who sits in between has another certificate, so what he could pass on fits nothing, and 80
bits can't be guessed from it. Only then does the site's side sign the new node's key, and the new node believe in the
site's certificate.
"""

import hashlib
import hmac
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from appliance.errors import InputError
from appliance.ledger.records import Hash, NodeName

JOIN_VERSION: Final = 1
CODE_BYTES: Final = 10
NONCE_BYTES: Final = 16
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, which are read as others."""
_MISREAD: Final = str.maketrans("OIL", "011", "- \t")
_CODE_CHARACTERS: Final = 16
Der = Annotated[bytes, Meta(max_length=2_048)]
Pem = Annotated[bytes, Meta(max_length=4_096)]
Nonce = Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]


class JoinRequestMessage(msgspec.Struct, frozen=True, tag_field="t", tag="join"):
    """A new node asks in: its request for a certificate (PKCS #10, proves its key), and that it knows the code."""

    node: NodeName
    request: Der
    nonce: Nonce
    proof: Hash
    version: Annotated[int, Meta(ge=1, le=1_000)] = JOIN_VERSION


class WelcomeMessage(msgspec.Struct, frozen=True, tag_field="t", tag="welcome"):
    """The site lets it in: certificates of node and site, what its pages need, and that it knows the code as well."""

    certificate: Der
    site: Der
    pages: tuple[Pem, Pem, Pem]
    proof: Hash


class SorryMessage(msgspec.Struct, frozen=True, tag_field="t", tag="sorry"):
    """The site does not let it in, and why."""

    reason: Annotated[str, Meta(max_length=200)]


JoinMessage = JoinRequestMessage | WelcomeMessage | SorryMessage


def join_decoder() -> msgspec.msgpack.Decoder[JoinMessage]:
    """Decodes what both ends say."""
    return msgspec.msgpack.Decoder(JoinMessage)


def format_code(secret: bytes) -> str:
    """A code as a person types it: 16 characters in four groups."""
    number = int.from_bytes(secret, "big")
    text = "".join(_ALPHABET[(number >> shift) & 31] for shift in range(5 * (_CODE_CHARACTERS - 1), -1, -5))
    return "-".join(text[i : i + 4] for i in range(0, _CODE_CHARACTERS, 4))


def parse_code(text: str) -> bytes:
    """The secret in a code, however it was typed. Raises InputError."""
    plain = text[:100].upper().translate(_MISREAD)
    if len(plain) != _CODE_CHARACTERS or any(c not in _ALPHABET for c in plain):
        raise InputError("code", "is none", "type the 16 characters that the other node shows")
    number = 0
    for character in plain:
        number = 32 * number + _ALPHABET.index(character)
    return number.to_bytes(CODE_BYTES, "big")


def asker_proof(secret: bytes, host: bytes, message: JoinRequestMessage) -> bytes:
    """That who asks knows the code; `host` is the certificate (DER) of the end that was dialled."""
    return _proof(secret, b"earshot join 1 asker", host, message.node.encode(), message.request, message.nonce)


def host_proof(secret: bytes, host: bytes, asked: JoinRequestMessage, welcome: WelcomeMessage) -> bytes:
    """That who answers knows the code, and means this very answer."""
    answer = (welcome.certificate, welcome.site, *welcome.pages)
    return _proof(secret, b"earshot join 1 host", host, asked.request, asked.nonce, *answer)


def is_same(proof: bytes, expected: bytes) -> bool:
    """Whether two proofs are equal, in the same time whatever they are."""
    return hmac.compare_digest(proof, expected)


def _proof(secret: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) of the parts' hashes; each has a fixed length, so no two lists of parts look alike."""
    return hmac.new(secret, b"".join(hashlib.sha256(part).digest() for part in parts), hashlib.sha256).digest()
