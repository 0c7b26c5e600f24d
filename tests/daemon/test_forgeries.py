"""What a forger can say to a node, and the reason for which each is refused: over real links, with real keys."""

import asyncio
import contextlib
import datetime
import ssl
import struct
import time

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from appliance.daemon.intake import Intake
from appliance.daemon.nodes import NodesBoard
from appliance.ledger.records import NO_RECORD, Head, Range, RecordWriter, Tip, record_hash
from appliance.ledger.revocation import sign_statement
from appliance.mesh.trust import SiteAuthority, create_site, load_credentials
from appliance.model.incidents import Category
from appliance.model.picks import Phase, Pick, pick_id
from appliance.model.space import NodePose
from appliance.pipeline.fusion import Fusion
from appliance.wire.framing import encode_frame
from appliance.wire.messages import (
    HeadsMessage,
    HeartbeatMessage,
    PeerHelloMessage,
    RecordsMessage,
    RosterMessage,
    WantMessage,
)
from appliance.wire.records import AirBody, EpochBody, NodeBody, PickBody, PoseBody, RevocationBody, encode_body
from tests.daemon.meshes import FRAME, GUNSHOT, PLACES
from tests.daemon.test_exchange import LogNode
from tests.mesh.sites import enrolled, until

UNPROVEN = "could not prove that it is of this site"
UNFIT = "sent a message that does not fit the protocol"
STRANGER = "was not signed for a node by the site"
FORGED = "record: signature does not fit"
MALFORMED = "body is malformed"
NOW_NS = time.time_ns()


class Forger:
    """Somebody with the keys of node n2, whose node is off, and knowledge of all that n1 says in public."""

    def __init__(self, victim, credentials, folder):
        self.victim = victim
        self.credentials = credentials
        self.folder = folder
        self.site_key = credentials.site.key
        self.epoch = 1_000

    def writer(self, node="n2", key=None, site_key=None):
        self.epoch += 1
        return RecordWriter(key or self.credentials.private_key, site_key or self.site_key, node, self.epoch, NO_RECORD)

    def stream(self, *bodies, time_ns=NOW_NS, **more):
        """A good epoch of n2 that says these bodies."""
        writer = self.writer(**more)
        records = [writer.write(*encode_body(EpochBody(0, 0, "x")), time_ns)]
        return [*records, *(writer.write(*encode_body(body), time_ns) for body in bodies)]

    def changed(self, **fields):
        """A good epoch whose second record has fields changed after it was signed."""
        first, second = self.stream(NodeBody("", "x"))
        return [first, msgspec.structs.replace(second, **fields)]

    def enrolled_elsewhere(self):
        folder = self.folder / f"other-{self.epoch}"
        create_site("test").enrol("n2", folder)
        return load_credentials(folder)


def records(*items, asked=False):
    return [RecordsMessage(tuple(items), asked=asked)]


def raw(structure):
    """A message that our own classes would not make."""
    data = msgspec.msgpack.encode(structure)
    return [struct.pack(">I", len(data)) + data]


def pick(time_ns=NOW_NS, **more):
    return PickBody(time_ns, 100_000, **more)


def signed_by(forger, kind, body, time_ns=NOW_NS):
    writer = forger.writer()
    return [writer.write(*encode_body(EpochBody(0, 0, "x")), time_ns), writer.write(kind, body, time_ns)]


def second_start(forger):
    writer = forger.writer()
    start = encode_body(EpochBody(0, 0, "x"))
    return [writer.write(*start, NOW_NS), writer.write(*start, NOW_NS)]


def no_start(forger):
    return [forger.writer().write(*encode_body(NodeBody("", "x")), NOW_NS)]


def fork(forger):
    first = forger.stream(NodeBody("", "x"))
    forger.epoch -= 1
    return [*first, *forger.stream(NodeBody("", "other"))[1:]]


def broken_chain(forger):
    first, _, third = forger.stream(NodeBody("", "x"), NodeBody("", "y"))
    forger.epoch -= 1
    writer = forger.writer()
    writer._tip = Tip(1, record_hash(third, forger.site_key))
    return [first, writer.write(*encode_body(NodeBody("", "z")), NOW_NS)]


def cloned(forger):
    writer = RecordWriter(forger.victim.credentials.private_key, forger.site_key, "n1", forger.victim.epoch, NO_RECORD)
    writer._tip = forger.victim.exchange._replica._tips[("n1", forger.victim.epoch)]
    return [writer.write(*encode_body(NodeBody("", "not me")), NOW_NS)]


def signature_of_another(forger):
    first, second, third = forger.stream(NodeBody("", "x"), NodeBody("", "y"))
    return [first, msgspec.structs.replace(second, signature=third.signature)]


def own_authority(forger):
    """A certificate that n2 signs, as if it were the site."""
    site = forger.credentials.site
    authority = SiteAuthority(site, forger.credentials.private_key)
    return [RosterMessage((authority.certify("n9", Ed25519PrivateKey.generate().public_key()),))]


def site_itself(forger):
    return [RosterMessage((forger.credentials.site.certificate.public_bytes(serialization.Encoding.DER),))]


def self_signed(forger):
    key, name = Ed25519PrivateKey.generate(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "n9")])
    day = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, day, day + datetime.timedelta(9_999))
    return [RosterMessage((builder.sign(key, None).public_bytes(serialization.Encoding.DER),))]


def revocation(forger):
    """n2 takes n1 out of the site, which only the site can."""
    statement = forger.victim.exchange.revocation_of("n2", "", NOW_NS)
    statement = msgspec.structs.replace(statement, node="n1")
    return forger.stream(RevocationBody(*sign_statement(statement, forger.credentials.private_key)))


SAID = {
    # what: (what the forger says after a good hello, the reason)
    "a second hello": (lambda f: [PeerHelloMessage("n2", "x")], "sent a message out of turn"),
    "a frame of 4 GB": (lambda f: [b"\xff\xff\xff\xff"], "announced too long a message"),
    "no msgpack": (lambda f: [b"\0\0\0\1\xc1"], UNFIT),
    "an empty frame": (lambda f: [b"\0\0\0\0"], UNFIT),
    "a message of no kind": (lambda f: raw({"t": "attack"}), UNFIT),
    "nesting without end": (lambda f: [struct.pack(">I", 90_000) + b"\x91" * 90_000], UNFIT),
    "a field of another type": (lambda f: raw({"t": "heartbeat", "time_ns": "now"}), UNFIT),
    "a number that is none": (lambda f: raw({"t": "heartbeat", "time_ns": float("nan")}), UNFIT),
    "a time after 2100": (lambda f: raw({"t": "heartbeat", "time_ns": 2**63 - 1}), UNFIT),
    "a negative number": (lambda f: raw({"t": "heads", "heads": [["n1", 1, -1]]}), UNFIT),
    "a name that leads elsewhere": (lambda f: raw({"t": "heads", "heads": [["../n1", 1, 1]]}), UNFIT),
    "too many heads": (lambda f: [HeadsMessage((Head("n1", 1, 1),) * 1_001)], UNFIT),
    "too many records": (lambda f: raw({"t": "records", "records": [[]] * 129, "asked": False}), UNFIT),
    "a request for nothing": (lambda f: [WantMessage(())], UNFIT),
    "a certificate of 3 KB": (lambda f: [RosterMessage((bytes(3_000),))], UNFIT),
    "a hash of 31 bytes": (lambda f: records(*f.changed(body_hash=bytes(31))), UNFIT),
    "a body of 20 KB": (lambda f: records(*f.changed(body=bytes(20_000))), UNFIT),
    "requests without end": (lambda f: [WantMessage((Range("n1", 1, 1, 9),))] * 400, "asks for too much"),
    "messages without end": (lambda f: [HeartbeatMessage(1)] * 6_000, "floods"),
    "a certificate of another site": (lambda f: [RosterMessage((f.enrolled_elsewhere().enrolled.der,))], STRANGER),
    "a certificate that is none": (lambda f: [RosterMessage((b"\x30\x03abc",))], STRANGER),
    "a certificate that n2 signed": (own_authority, STRANGER),
    "a certificate that signed itself": (self_signed, STRANGER),
    "the site's own certificate as a node's": (site_itself, STRANGER),
    "a record in another's name": (lambda f: records(*f.stream(node="n1")), FORGED),
    "a record for another site": (lambda f: records(*f.stream(site_key=bytes(32))), FORGED),
    "a record with another key": (lambda f: records(*f.stream(key=Ed25519PrivateKey.generate())), FORGED),
    "a signature of another record": (lambda f: records(*signature_of_another(f)), FORGED),
    "a time that was changed": (lambda f: records(*f.changed(time_ns=NOW_NS + 1)), FORGED),
    "a kind that was changed": (lambda f: records(*f.changed(kind="pick")), FORGED),
    "a hash that was changed": (lambda f: records(*f.changed(body_hash=bytes(32))), FORGED),
    "a link that was changed": (lambda f: records(*f.changed(previous=bytes(32))), FORGED),
    "a body that was changed": (lambda f: records(*f.changed(body=b"\x80")), "record: body does not fit its hash"),
    "a body that was left out": (lambda f: records(*f.changed(body=None)), "record: body is missing"),
    "a record that follows another": (
        lambda f: records(*broken_chain(f)),
        "record: does not follow the record before it",
    ),
    "two records in one place": (lambda f: records(*fork(f), asked=True), "record: another record stands in its place"),
    "a second start of an epoch": (
        lambda f: records(*second_start(f)),
        "record: an epoch does not begin with its epoch record",
    ),
    "an epoch without its start": (
        lambda f: records(*no_start(f)),
        "record: an epoch does not begin with its epoch record",
    ),
    "a record of a stranger": (
        lambda f: records(*f.stream(node="n9")),
        "record: written by a node that is not of this site",
    ),
    "this node's own next record": (
        lambda f: records(*cloned(f)),
        "record: signed with this node's own key, but not by it",
    ),
    "a revocation that n2 signed": (lambda f: records(*revocation(f)), "revocation that the site did not sign"),
    # Good records whose content is kept and not used.
    "a pick of tomorrow": (
        lambda f: records(*f.stream(pick(NOW_NS + 86_400 * 10**9), time_ns=NOW_NS + 86_400 * 10**9)),
        "pick of a time that can't be",
    ),
    "a pick of an hour ago as if now": (
        lambda f: records(*f.stream(pick(NOW_NS - 3_600 * 10**9))),
        "pick of a time that can't be",
    ),
    "a pick after its own record": (
        lambda f: records(*f.stream(pick(NOW_NS + 120 * 10**9))),
        "pick of a time that can't be",
    ),
    "the air of next year": (
        lambda f: records(*f.stream(AirBody(60.0, 0.0, 0.0, 0.1, 0.1), time_ns=NOW_NS + 10**17)),
        "air of a time that can't be",
    ),
    "a pick that is no number": (lambda f: records(*f.stream(pick(snr_db=float("nan")))), f"pick {MALFORMED}"),
    "a place that is none": (
        lambda f: records(*f.stream(PoseBody(91.0, 0.0, 0.0, 1.0, 0.0, 0.0))),
        f"pose {MALFORMED}",
    ),
    "a page with a script for an address": (
        lambda f: records(*f.stream(NodeBody("javascript:alert(1)", "x"))),
        f"node {MALFORMED}",
    ),
    "a body of no msgpack": (lambda f: records(*signed_by(f, "pick", b"\xc1")), f"pick {MALFORMED}"),
    "a body of a newer version": (
        lambda f: records(*signed_by(f, "pick", msgspec.msgpack.encode({"v": 9}))),
        "version 9 of kind pick is newer",
    ),
    "a kind of a newer version": (lambda f: records(*signed_by(f, "prophecy", b"\x80")), "kind prophecy is newer"),
}

AT_THE_DOOR = {
    # what: (hello, the reason)
    "no hello at all": (HeadsMessage(()), "did not begin with a hello"),
    "another's name": (PeerHelloMessage("n1", "x"), "calls itself by another name"),
    "another version": (PeerHelloMessage("n2", "x", 99), "speaks another version of the protocol"),
}


def stranger_context(forger, how):
    """TLS as somebody speaks it who is not of the site."""
    if how == "another site":
        return forger.enrolled_elsewhere().client_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if how == "an old version of TLS":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


async def speak(victim, context, *said):
    """Connect and say things until the node hangs up or has had the time to read them."""
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", victim.port, ssl=context, server_hostname="" if context else None
        )
        for message in said:
            writer.write(message if isinstance(message, bytes) else encode_frame(message))
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(0.3):
                while await reader.read(65_536):
                    pass
        writer.transport.abort()


def scenario_with_forger(folder, scenario):
    async def run():
        first, second = enrolled(folder, "n1", "n2")
        victim = LogNode(first)
        await victim.start()
        used = []
        intake = Intake(NodesBoard("n1", None, "", 0.0), used.extend)
        victim.exchange._on_records = lambda records: intake.read(records, time.time_ns())
        try:
            await scenario(victim, Forger(victim, second, folder), intake, used)
        finally:
            await victim.stop()

    asyncio.run(asyncio.wait_for(run(), 100.0))


def count(reason, victim, intake):
    """How often something was refused for a reason."""
    return sum(n for r, n in (*victim.hub.refused.items(), *intake.unread.items()) if reason in r)


def test_there_are_enough_cases():
    assert len(SAID) + len(AT_THE_DOOR) + 4 >= 40


def test_every_forgery_is_refused_for_its_own_reason_and_makes_nothing(tmp_path):
    async def scenario(victim, forger, intake, used):
        hello = PeerHelloMessage("n2", "x")
        for what, (say, reason) in SAID.items():
            victim.hub._banned_until_s.clear()
            before = count(reason, victim, intake)
            await speak(victim, forger.credentials.client_context(), hello, *say(forger))
            assert await until(lambda r=reason, n=before: count(r, victim, intake) > n), what
            await until(lambda: not victim.hub.peers())
        assert [item for item in used if not hasattr(item, "position")] == [], "no pick was used"
        assert victim.exchange.members == ("n1", "n2")

    scenario_with_forger(tmp_path, scenario)


def test_made_up_kinds_fill_neither_memory_nor_the_log(tmp_path, caplog):
    async def scenario(victim, forger, intake, used):
        writer = forger.writer()
        said = [writer.write(*encode_body(EpochBody(0, 0, "x")), NOW_NS)]
        said += [writer.write(f"kind-{n}", b"\x80", NOW_NS) for n in range(300)]
        victim.exchange._on_records(said)
        assert len(intake.unread) <= 65
        assert intake.unread["other reasons"] > 200
        assert len(caplog.records) < 100

    scenario_with_forger(tmp_path, scenario)


def test_who_is_not_of_the_site_gets_no_further_than_the_door(tmp_path):
    async def scenario(victim, forger, intake, used):
        for how in ("no certificate", "another site", "an old version of TLS"):
            before = victim.hub.refused.get(UNPROVEN, 0)
            await speak(victim, stranger_context(forger, how), PeerHelloMessage("n2", "x"))
            await until(lambda before=before: victim.hub.refused.get(UNPROVEN, 0) > before, 8.0)
        before = victim.hub.refused[UNPROVEN]
        await speak(victim, None, b"GET / HTTP/1.0\r\n\r\n")
        await until(lambda: victim.hub.refused[UNPROVEN] > before, 8.0)
        for hello, reason in AT_THE_DOOR.values():
            victim.hub._banned_until_s.clear()
            await speak(victim, forger.credentials.client_context(), hello)
            await until(lambda reason=reason: any(reason in r for r in victim.hub.refused))
        assert victim.exchange.members == ("n1",), "nobody was ever linked"

    scenario_with_forger(tmp_path, scenario)


@pytest.mark.parametrize("n_picks", [1, 12])
def test_the_picks_of_one_stolen_node_alone_never_make_gunfire(n_picks):
    fusion = Fusion()
    for name, (east_m, north_m) in PLACES.items():
        fusion.set_pose(NodePose(name, FRAME.to_geodetic(east_m, north_m, 0.0), 0.5))
    for n in range(n_picks):
        time_ns = NOW_NS + n * 120_000_000
        fusion.add_pick(
            Pick(pick_id(time_ns, "n2"), "n2", time_ns, 10_000, 0, 40.0, 140.0, bearing_deg=80.0, bearing_sigma_deg=1.0,
                 phase=Phase.MUZZLE_BLAST, classes=GUNSHOT, gunshot_probability=1.0)
        )  # fmt: skip
    fusion.update(NOW_NS + 10**10)
    assert {i.category for i in fusion.incidents()} <= {Category.POSSIBLE_GUNFIRE, Category.OTHER, Category.FIREWORK}
