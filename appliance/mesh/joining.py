"""Letting new nodes into the site, and asking to be let in; `wire.joining` says how both ends prove themselves.

The door is open only while a code is valid, and for one new node. It is the port of the peers, which lets machines
without a certificate as far as the door, and no further, while a code is valid.
"""

import asyncio
import contextlib
import logging
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from appliance.errors import InputError, PeerError
from appliance.mesh.pages import Issuer, make_issuer
from appliance.mesh.trust import (
    BAD_CERTIFICATE,
    Credentials,
    SiteAuthority,
    read_site,
    write_credentials,
    write_issuer,
)
from appliance.wire.framing import FrameDecoder, encode_frame, one_line
from appliance.wire.joining import (
    CODE_BYTES,
    JOIN_VERSION,
    NONCE_BYTES,
    JoinMessage,
    JoinRequestMessage,
    SorryMessage,
    WelcomeMessage,
    asker_proof,
    format_code,
    host_proof,
    is_same,
    join_decoder,
    parse_code,
)

log = logging.getLogger(__name__)

OPEN_S = 600.0
"""How long a code is valid: time to walk to the new node and type it."""
MAX_TRIES = 10
"""Wrong codes after which the door closes: a person mistypes twice, ten is somebody else."""
MAX_PENDING = 8
TALK_TIMEOUT_S = 10.0
READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Joined:
    """What a new node has after it was let in: its own key, certificate and site, and the issuer of its pages."""

    key: Ed25519PrivateKey
    certificate: bytes
    site: bytes
    issuer: Issuer

    def save(self, folder: Path) -> None:
        """Write all of it into `folder`."""
        write_credentials(folder, self.key, self.certificate, read_site(self.site).certificate)
        write_issuer(folder, self.issuer)


class JoinDoor:
    """The site's side: lets in one new node for one code. For use in one event loop."""

    def __init__(
        self,
        credentials: Credentials,
        authority: SiteAuthority,
        is_taken: Callable[[str], bool],
        on_shut: Callable[[], None],
    ) -> None:
        """Make a code, and sign for the site by `authority` for who knows it.

        is_taken: whether a node of that name is there already
        on_shut:  called when the code has ended
        """
        self._authority = authority
        self._is_taken = is_taken
        self._on_shut = on_shut
        self._certificate = credentials.enrolled.der
        self._secret = secrets.token_bytes(CODE_BYTES)
        self._open_until_s = time.monotonic() + OPEN_S
        self._tries = 0
        self._n_guests = 0

    @property
    def code(self) -> str:
        """What a person types on the new node."""
        return format_code(self._secret)

    def shut(self) -> None:
        """End the code."""
        self._open_until_s = 0.0
        self._on_shut()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one machine that asks in over TLS, and wait until it has heard."""
        if self._n_guests >= MAX_PENDING:
            return
        self._n_guests += 1
        try:
            async with asyncio.timeout(TALK_TIMEOUT_S):
                message = await _next_message(reader, "a new node")
                writer.write(encode_frame(self._answer(message)))
                await reader.read(1)  # until it hangs up
        except (OSError, TimeoutError, PeerError) as error:
            log.info("somebody at the door of the site went away: %s", error)
        finally:
            self._n_guests -= 1

    def _answer(self, message: JoinMessage) -> WelcomeMessage | SorryMessage:
        if time.monotonic() >= self._open_until_s:
            self.shut()
            return SorryMessage("the code has ended; open joining again")
        if not isinstance(message, JoinRequestMessage) or message.version != JOIN_VERSION:
            return SorryMessage("speaks another version of the protocol; install the same version on both nodes")
        if not is_same(message.proof, asker_proof(self._secret, self._certificate, message)):
            self._tries += 1
            log.warning("a node that calls itself %s asked in with a wrong code", message.node)
            if self._tries >= MAX_TRIES:
                log.warning("%d wrong codes: joining is closed", self._tries)
                self.shut()
            return SorryMessage("the code is wrong; type the one that is shown now")
        key = _key_of(message)
        if key is None:
            return SorryMessage("its request for a certificate is not signed by its own key")
        if self._is_taken(message.node):
            return SorryMessage(f"a node named {message.node} is there already; give this one another name")
        return self._welcome(message, key)

    def _welcome(self, message: JoinRequestMessage, key: Ed25519PublicKey) -> WelcomeMessage:
        authority = self._authority
        issuer = make_issuer(authority.private_key, authority.site.name, message.node)
        site = authority.site.certificate.public_bytes(serialization.Encoding.DER)
        pages = (issuer.key, issuer.certificate, issuer.authority)
        unproven = WelcomeMessage(authority.certify(message.node, key), site, pages, bytes(32))
        proof = host_proof(self._secret, self._certificate, message, unproven)
        self.shut()  # one code, one node
        log.warning("let node %s into the site %s", message.node, authority.site.name)
        return msgspec.structs.replace(unproven, proof=proof)


async def join(node: str, code: str, address: str, port: int) -> Joined:
    """Be let into the site whose door is at `address`. Raises InputError or PeerError where that fails."""
    secret, key = parse_code(code), Ed25519PrivateKey.generate()
    thing = f"the door at {address} port {port}"
    try:
        async with asyncio.timeout(TALK_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                await writer.start_tls(_client_context())
                host = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
                unproven = JoinRequestMessage(node, _request(node, key), secrets.token_bytes(NONCE_BYTES), bytes(32))
                asked = msgspec.structs.replace(unproven, proof=asker_proof(secret, host, unproven))
                writer.write(encode_frame(asked))
                answer = await _next_message(reader, thing)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError) as error:
        problem = str(error) or "does not answer"
        raise InputError(thing, problem, "check the address, and that joining is open there") from error
    return _check(node, key, answer, (secret, host, asked))


def _check(
    node: str, key: Ed25519PrivateKey, answer: JoinMessage, talk: tuple[bytes, bytes, JoinRequestMessage]
) -> Joined:
    """What a node has of an answer that proves itself. Raises InputError or PeerError."""
    if isinstance(answer, SorryMessage):
        raise InputError("joining", "was refused", one_line(answer.reason))
    secret, host, asked = talk
    if not isinstance(answer, WelcomeMessage) or not is_same(answer.proof, host_proof(secret, host, asked, answer)):
        remedy = "somebody else answers there: do not go on, and look at the network"
        raise PeerError("joining", "the other end does not know the code", remedy)
    enrolled = read_site(answer.site).check(answer.certificate)
    if enrolled.node != node or enrolled.key != key.public_key():
        raise PeerError("joining", "the certificate is for another node", "open joining again and take the new code")
    return Joined(key, answer.certificate, answer.site, Issuer(*answer.pages))


async def _next_message(reader: asyncio.StreamReader, source: str) -> JoinMessage:
    decoder = FrameDecoder(join_decoder(), source)
    while data := await reader.read(READ_BYTES):
        for message in decoder.feed(data):
            return message
    raise ConnectionResetError(f"{source} hung up")


def _request(node: str, key: Ed25519PrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node)])
    return x509.CertificateSigningRequestBuilder(name).sign(key, None).public_bytes(serialization.Encoding.DER)


def _key_of(message: JoinRequestMessage) -> Ed25519PublicKey | None:
    """The key in a request that proves itself; None: it doesn't."""
    with contextlib.suppress(*BAD_CERTIFICATE):
        request = x509.load_der_x509_csr(message.request)
        key = request.public_key()
        if request.is_signature_valid and isinstance(key, Ed25519PublicKey):
            return key
    return None


def _client_context() -> ssl.SSLContext:
    """TLS 1.3 with whoever answers: the proof of the code says who that is, as no site is known yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
