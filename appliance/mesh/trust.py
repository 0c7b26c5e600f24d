"""A site's key, the certificates that it signs for nodes, and the TLS contexts that follow from them.

A node has one Ed25519 key. Its certificate, signed by the site, binds the key to the node's name; with it the node
proves itself in TLS 1.3 and signs its records. Certificates don't expire: a node has no clock before it has GPS, so
time can't be a reason to trust or not to.
"""

import datetime
import hashlib
import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.errors import InputError, PeerError
from appliance.mesh.pages import AUTHORITY_FILE, ISSUER_FILE, ISSUER_KEY_FILE, Issuer, make_issuer

SITE_KEY_FILE = "site.key"
SITE_CERTIFICATE_FILE = "site.pem"
NODE_KEY_FILE = "node.key"
NODE_CERTIFICATE_FILE = "node.pem"

BAD_CERTIFICATE = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)
"""What reading and checking a certificate raises that somebody made up."""

_SIGNATURE_HEAD = bytes.fromhex("300506032b6570034100")
"""Before an Ed25519 signature in DER: the algorithm, and a bit string of 64 bytes with no unused bits (X.690 8.6)."""
_URN = "urn:earshot:node:"
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_NOT_BEFORE = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)  # RFC 5280: no well-defined end


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A node that the site vouches for: its name, its key, and its certificate with the SHA-256 of that."""

    node: str
    key: Ed25519PublicKey
    der: bytes
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Site:
    """What everybody of a site knows of it: its name, its certificate, and its raw public key."""

    name: str
    certificate: x509.Certificate
    key: bytes

    @property
    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of the key's SHA-256, to tell sites apart before any handshake."""
        return hashlib.sha256(self.key).hexdigest()[:16]

    def check(self, der: bytes) -> Enrolled:
        """The node that a certificate names. Raises PeerError unless this site signed it for a node."""
        try:
            certificate = x509.load_der_x509_certificate(der)
            certificate.verify_directly_issued_by(self.certificate)
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            key = certificate.public_key()
            if not der.endswith(_SIGNATURE_HEAD + certificate.signature):
                raise ValueError("one certificate has one encoding, or its fingerprint would be no name for it")
        except BAD_CERTIFICATE as error:
            raise _not_of_site(self.name) from error
        urns = [name for name in names.get_values_for_type(x509.UniformResourceIdentifier) if name.startswith(_URN)]
        if not isinstance(key, Ed25519PublicKey) or len(urns) != 1 or not _NODE.fullmatch(urns[0][len(_URN) :]):
            raise _not_of_site(self.name)
        return Enrolled(urns[0][len(_URN) :], key, der, hashlib.sha256(der).hexdigest())


@dataclass(frozen=True, slots=True)
class SiteAuthority:
    """The site with its private key: who holds it can enrol nodes."""

    site: Site
    private_key: Ed25519PrivateKey

    def enrol(self, node: str, folder: Path) -> None:
        """Make a key and a certificate for `node` and write them into `folder`, with the site's certificate."""
        key = Ed25519PrivateKey.generate()
        write_credentials(folder, key, self.certify(node, key.public_key()), self.site.certificate)
        self.enrol_pages(node, folder)

    def certify(self, node: str, key: Ed25519PublicKey) -> bytes:
        """A certificate (DER) that binds `key` to `node`. Raises InputError for what is no node's name."""
        if not _NODE.fullmatch(node):
            raise InputError("node", f"is named {node!a}", "use letters, digits, '.', '_' and '-'")
        builder = _builder(_name(node), self.site.certificate.subject, key)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(_URN + node)]), critical=False
        )
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = builder.add_extension(usage, critical=False).sign(self.private_key, None)
        return certificate.public_bytes(serialization.Encoding.DER)

    def enrol_pages(self, node: str, folder: Path) -> None:
        """Make what `node` needs to show browsers a certificate of the site, and write it into `folder`."""
        write_issuer(folder, make_issuer(self.private_key, self.site.name, node))

    def save(self, folder: Path) -> None:
        """Write the site's private key and certificate into `folder`; it belongs on one node and in the safe."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_secret(folder / SITE_KEY_FILE, _pem(self.private_key))
        _write_secret(folder / SITE_CERTIFICATE_FILE, self.site.certificate.public_bytes(serialization.Encoding.PEM))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a node needs to prove itself and to check others."""

    node: str
    site: Site
    private_key: Ed25519PrivateKey
    enrolled: Enrolled
    folder: Path

    def server_context(self) -> ssl.SSLContext:
        """TLS 1.3 for who is dialled; both ends show a certificate of the site."""
        return self._context(ssl.PROTOCOL_TLS_SERVER)

    def client_context(self) -> ssl.SSLContext:
        """TLS 1.3 for who dials. Names are not looked at: the certificate's node counts, wherever it is reached."""
        return self._context(ssl.PROTOCOL_TLS_CLIENT)

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.folder / NODE_CERTIFICATE_FILE, self.folder / NODE_KEY_FILE)
        context.load_verify_locations(self.folder / SITE_CERTIFICATE_FILE)
        return context


def create_site(name: str) -> SiteAuthority:
    """A new site with a new key."""
    key = Ed25519PrivateKey.generate()
    builder = _builder(_name(name), _name(name), key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = builder.sign(key, None)
    return SiteAuthority(_site(certificate), key)


def load_site(folder: Path) -> SiteAuthority:
    """The site whose private key lies in `folder`. Raises InputError."""
    key = _load_key(folder / SITE_KEY_FILE)
    return SiteAuthority(_site(_load_certificate(folder / SITE_CERTIFICATE_FILE)), key)


def read_site(der: bytes) -> Site:
    """The site whose own certificate this is. Raises PeerError where it is none, or not signed by itself."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(certificate)
        return _site(certificate)
    except (*BAD_CERTIFICATE, IndexError, InputError) as error:
        raise PeerError("certificate", "is not that of a site", "join again with a fresh code") from error


def load_site_certificate(path: Path) -> Site:
    """The site whose certificate lies at `path`. Raises InputError."""
    return _site(_load_certificate(path))


def write_credentials(folder: Path, key: Ed25519PrivateKey, der: bytes, site: x509.Certificate) -> None:
    """Write a node's key, its certificate and that of its site into `folder`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificate = x509.load_der_x509_certificate(der)
    _write_secret(folder / NODE_KEY_FILE, _pem(key))
    _write_secret(folder / NODE_CERTIFICATE_FILE, certificate.public_bytes(serialization.Encoding.PEM))
    _write_secret(folder / SITE_CERTIFICATE_FILE, site.public_bytes(serialization.Encoding.PEM))


def write_issuer(folder: Path, issuer: Issuer) -> None:
    """Write what a node needs to make certificates for its pages."""
    _write_secret(folder / ISSUER_KEY_FILE, issuer.key)
    _write_secret(folder / ISSUER_FILE, issuer.certificate)
    _write_secret(folder / AUTHORITY_FILE, issuer.authority)


def load_credentials(folder: Path) -> Credentials:
    """The credentials of the node whose keys lie in `folder`. Raises InputError."""
    site = _site(_load_certificate(folder / SITE_CERTIFICATE_FILE))
    certificate = _load_certificate(folder / NODE_CERTIFICATE_FILE)
    key = _load_key(folder / NODE_KEY_FILE)
    thing = str(folder / NODE_CERTIFICATE_FILE)
    try:
        enrolled = site.check(certificate.public_bytes(serialization.Encoding.DER))
    except PeerError as error:
        raise InputError(thing, "was not signed by the site in site.pem", "enrol the node again") from error
    if enrolled.key != key.public_key():
        raise InputError(thing, "does not belong to the key in node.key", "enrol the node again")
    return Credentials(enrolled.node, site, key, enrolled, folder)


def _site(certificate: x509.Certificate) -> Site:
    key = certificate.public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(SITE_CERTIFICATE_FILE, "holds no Ed25519 key", "copy the site's certificate again")
    name = str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return Site(name, certificate, raw)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: Ed25519PublicKey) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer_name=issuer, subject_name=subject, public_key=key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(_NOT_BEFORE).not_valid_after(_NOT_AFTER)


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_secret(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all, and on disk when this returns."""
    fresh = path.with_suffix(path.suffix + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise InputError(str(path), error.strerror or "can't be read", "enrol the node into its site") from error
    except ValueError as error:
        raise InputError(str(path), "is no certificate", "enrol the node into its site again") from error


def _load_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise InputError(str(path), error.strerror or "can't be read", "enrol the node into its site") from error
    except (ValueError, TypeError) as error:
        raise InputError(str(path), "is no private key", "enrol the node into its site again") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(str(path), "is no Ed25519 key", "enrol the node into its site again")
    return key


def _not_of_site(site: str) -> PeerError:
    return PeerError("certificate", f"was not signed for a node by the site {site}", "enrol that node into this site")
