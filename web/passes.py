"""Passes: how a person who logged in at one node is known at the others, where the page goes when that node dies.

A node signs who somebody is with the key of its own pages; another node of the site believes it because the
certificate beside it comes from the site's authority (`appliance.mesh.pages`). Passes are short-lived, and none is
worth an installer: a stolen node can't make one for the others.
"""

import base64
import hashlib
import threading
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.errors import StoreError
from appliance.model.instants import NS_PER_S
from web.roles import ROAMING, Person, Proof, Role

KEY_FILE = "server.key"
CHAIN_FILE = "server.pem"
AUTHORITY_FILE = "authority.pem"
LIFETIME_NS = 12 * 3_600 * NS_PER_S
SKEW_NS = 60 * NS_PER_S
"""How far the clocks of two nodes of one site may differ here; those with GPS differ by less than a millisecond."""
MAX_PASS_CHARS = 4_096
PURPOSE = b"earshot pass 1\n"
"""Signed before the claim, so that no signature made for something else can pass for one."""
_ISSUER = "Earshot node "


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """What a pass says: who, as what, from when until when (UTC)."""

    name: str
    role: Role
    since_ns: int
    until_ns: int


class _Pass(msgspec.Struct, frozen=True, array_like=True):
    claim: bytes
    signature: bytes
    certificate: bytes
    issuer: bytes


class Passes:
    """Signs and checks passes with the keys in a folder that mesh fills at each start. Safe from several threads."""

    def __init__(self, folder: Path | None) -> None:
        """Take the keys from `folder`; None or an empty one: no passes are made and none is valid."""
        self._lock = threading.Lock()
        self._known: dict[str, ec.EllipticCurvePublicKey] = {}
        self._key: ec.EllipticCurvePrivateKey | None = None
        if folder is None or not (folder / KEY_FILE).exists():
            return
        try:
            key = serialization.load_pem_private_key((folder / KEY_FILE).read_bytes(), None)
            chain = x509.load_pem_x509_certificates((folder / CHAIN_FILE).read_bytes())
            self._authority = x509.load_pem_x509_certificate((folder / AUTHORITY_FILE).read_bytes())
        except (OSError, ValueError) as error:
            raise StoreError(str(folder), f"can't be used: {error}", "restart earshot mesh, which writes it") from error
        if isinstance(key, ec.EllipticCurvePrivateKey) and len(chain) == 2:
            self._key = key
            self._chain = [certificate.public_bytes(serialization.Encoding.DER) for certificate in chain]

    def issue(self, person: Person, now_ns: int) -> str | None:
        """A pass for `person`; None where this node has no keys, or where a pass would only copy a pass."""
        if self._key is None or person.proof is Proof.PASS:
            return None
        claim = msgspec.msgpack.encode(Claim(person.name, ROAMING[person.role], now_ns, now_ns + LIFETIME_NS))
        signature = self._key.sign(PURPOSE + claim, ec.ECDSA(hashes.SHA256()))
        packed = msgspec.msgpack.encode(_Pass(claim, signature, *self._chain))
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    def check(self, text: str, now_ns: int) -> Person | None:
        """Whose pass it is; None for one that is over, changed, or not of this site."""
        if self._key is None or len(text) > MAX_PASS_CHARS:
            return None
        try:
            given = msgspec.msgpack.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Pass)
            claim = msgspec.msgpack.decode(given.claim, type=Claim)
            key = self._key_of(given)
            key.verify(given.signature, PURPOSE + given.claim, ec.ECDSA(hashes.SHA256()))
        except (ValueError, TypeError, InvalidSignature, msgspec.MsgspecError, x509.ExtensionNotFound):
            return None
        lasts = claim.until_ns - claim.since_ns <= LIFETIME_NS
        if not lasts or not claim.since_ns - SKEW_NS <= now_ns <= claim.until_ns:
            return None
        return Person(claim.name[:64], ROAMING[claim.role], Proof.PASS)

    def _key_of(self, given: _Pass) -> ec.EllipticCurvePublicKey:
        """The key that a pass was signed with, once its certificates lead to the site. Raises like cryptography."""
        fingerprint = hashlib.sha256(given.certificate + given.issuer).hexdigest()
        with self._lock:
            if fingerprint in self._known:
                return self._known[fingerprint]
        certificate = x509.load_der_x509_certificate(given.certificate)
        issuer = x509.load_der_x509_certificate(given.issuer)
        issuer.verify_directly_issued_by(self._authority)
        certificate.verify_directly_issued_by(issuer)
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        name = issuer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        key = certificate.public_key()
        if not constraints.ca or not str(name).startswith(_ISSUER) or not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("no issuer of a node")
        with self._lock:
            if len(self._known) > 100:
                self._known.clear()
            self._known[fingerprint] = key
        return key
