"""The site's authority for web pages: what a car must trust once, and the certificates that nodes show to browsers.

Browsers know no Ed25519, so pages have an authority of their own on P-256, whose key follows from the site's key
(HKDF, RFC 5869): who can enrol nodes can make it, and there is no second secret to keep. Each node gets an issuer of
its own at its enrolment and makes itself a certificate for the names and addresses that it has at each start.

A car that trusts this authority must not thereby trust whoever steals a node with a bank's page: authority and
issuers are bound to local names and private addresses (RFC 5280, 4.2.1.10).
"""

import datetime
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.errors import InputError

AUTHORITY_FILE = "pages-authority.pem"
ISSUER_KEY_FILE = "pages-issuer.key"
ISSUER_FILE = "pages-issuer.pem"

ISSUER_NAME = "Earshot node {node}"
"""Common name of a node's issuer: a page of that node proves by it which node it is."""
LEAF_DAYS = 397
"""Browsers refuse longer ones; a node makes a new one at each start."""
BACKDATED_DAYS = 1
LOCAL_DOMAINS = ("local", "localhost", "lan", "home.arpa", "internal")
PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8",
                    "fc00::/7", "fe80::/10", "::1/128")  # fmt: skip

_NOT_BEFORE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER = datetime.datetime(2049, 12, 31, tzinfo=datetime.UTC)  # the last year that every reader understands
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of P-256, SEC 2 2.4.2."""


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """What the pages of a node need: PEM of the private key, of certificate and issuer, and of the site's authority."""

    key: bytes
    chain: bytes
    authority: bytes


@dataclass(frozen=True, slots=True)
class Issuer:
    """What a node gets at its enrolment: PEM of the issuer's private key, its certificate, and the site's authority."""

    key: bytes
    certificate: bytes
    authority: bytes


def make_issuer(site_key: Ed25519PrivateKey, site: str, node: str) -> Issuer:
    """The issuer of `node`, made by who holds the site's key."""
    authority_key = _authority_key(site_key)
    authority = _authority(authority_key, site)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(
        _name(ISSUER_NAME.format(node=node)), authority.subject, key.public_key(), _NOT_BEFORE, _NOT_AFTER
    )
    builder = _as_authority(builder.serial_number(x509.random_serial_number()), path_length=0)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    certificate = builder.add_extension(identifier, critical=False).sign(authority_key, hashes.SHA256())
    return Issuer(_key_pem(key), _pem(certificate), _pem(authority))


def make_server_certificate(
    folder: Path, node: str, names: Sequence[str], addresses: Sequence[str], now: datetime.datetime
) -> ServerCertificate:
    """A certificate for the pages of `node`, from the issuer in `folder`; public names and addresses are left out.

    Raises InputError where the folder holds no issuer.
    """
    try:
        key = serialization.load_pem_private_key((folder / ISSUER_KEY_FILE).read_bytes(), None)
        issuer = x509.load_pem_x509_certificate((folder / ISSUER_FILE).read_bytes())
        authority = (folder / AUTHORITY_FILE).read_bytes()
    except (OSError, ValueError) as error:
        problem = f"no issuer for the pages ({error})"
        raise InputError(str(folder), problem, "enrol the node into its site again") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InputError(str(folder / ISSUER_KEY_FILE), "is no P-256 key", "enrol the node into its site again")
    own = ec.generate_private_key(ec.SECP256R1())
    since = max(_NOT_BEFORE, now - datetime.timedelta(days=BACKDATED_DAYS))
    builder = _builder(_name(node), issuer.subject, own.public_key(), since, since + datetime.timedelta(LEAF_DAYS))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(_alternative_names(names, addresses), critical=False)
    builder = builder.serial_number(x509.random_serial_number())
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    certificate = builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256())
    return ServerCertificate(_key_pem(own), _pem(certificate) + _pem(issuer), authority)


def is_local_name(name: str) -> bool:
    """Whether a certificate of the site may name this host: a name under a local domain."""
    labels = name.lower().rstrip(".").split(".")
    return labels[-1] in LOCAL_DOMAINS or ".".join(labels[-2:]) in LOCAL_DOMAINS


def _authority_key(site_key: Ed25519PrivateKey) -> ec.EllipticCurvePrivateKey:
    raw = site_key.private_bytes_raw()
    # 48 bytes for a 32-byte order: what reduction adds of bias is below 2**-128 (FIPS 186-5, A.2.1).
    wide = HKDF(hashes.SHA256(), 48, salt=None, info=b"earshot pages authority 1").derive(raw)
    return ec.derive_private_key(1 + int.from_bytes(wide, "big") % (_ORDER - 1), ec.SECP256R1())


def _authority(key: ec.EllipticCurvePrivateKey, site: str) -> x509.Certificate:
    """The same name, key and serial number whoever makes it, so that any copy checks what any other signed."""
    name = _name(f"Earshot {site}")
    builder = _builder(name, name, key.public_key(), _NOT_BEFORE, _NOT_AFTER)
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    serial = int.from_bytes(hashlib.sha256(point).digest()[:16], "big") >> 1
    builder = _as_authority(builder.serial_number(serial), path_length=1)
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def _as_authority(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    permitted: list[x509.GeneralName] = [x509.DNSName(domain) for domain in LOCAL_DOMAINS]
    permitted += [x509.IPAddress(ipaddress.ip_network(network)) for network in PRIVATE_NETWORKS]
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return builder.add_extension(x509.NameConstraints(permitted, None), critical=True)


def _alternative_names(names: Sequence[str], addresses: Sequence[str]) -> x509.SubjectAlternativeName:
    hosts = sorted({name.lower() for name in (*names, "localhost") if is_local_name(name)})
    networks = [ipaddress.ip_network(network) for network in PRIVATE_NETWORKS]
    numbers = sorted({ipaddress.ip_address(address) for address in (*addresses, "127.0.0.1")}, key=str)
    private = [n for n in numbers if any(n.version == net.version and n in net for net in networks)]
    return x509.SubjectAlternativeName([*map(x509.DNSName, hosts), *map(x509.IPAddress, private)])


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    since: datetime.datetime,
    until: datetime.datetime,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer_name=issuer, subject_name=subject, public_key=key)
    builder = builder.not_valid_before(since).not_valid_after(until)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
