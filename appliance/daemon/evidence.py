"""Evidence of one incident as a bundle that anybody can check: records, certificates, sound, and the incident itself.

The manifest names every file by its SHA-256 and every record by its place, and is signed by the node that exported
it. Records and certificates are signed already; so nothing in a bundle rests on who handed it over.
"""

import base64
import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from appliance import __version__
from appliance.daemon.intake import Intake
from appliance.daemon.locating import Input, take_in
from appliance.daemon.nodes import NodesBoard
from appliance.errors import InputError
from appliance.ledger.records import Range, Record, StreamId
from appliance.ledger.revocation import REVOCATION_KIND
from appliance.mesh.trust import Credentials
from appliance.model.incidents import Incident
from appliance.model.instants import NS_PER_S, NS_PER_US, UtcNs
from appliance.pipeline.fusion import Fusion
from appliance.storage.bundle import MANIFEST, pack
from appliance.storage.clips import SUFFIX, ClipFolder
from appliance.storage.log_reader import LogReader
from appliance.wire.framing import encode_frame
from appliance.wire.records import KINDS, ClipBody, decode_body
from appliance.wire.remarks import remark_of

SIGNATURE = "manifest.sig"
INCIDENT = "incident.json"
RECORDS = "records.bin"
SITE = "site.der"
CERTIFICATES = "certificates/"
CLIPS = "clips/"
MARGIN_NS = 60 * NS_PER_S
"""Picks so far around an incident go with it: what the localiser did not take is part of why it took the rest."""
SAID_WITHIN_NS = 90 * 86_400 * NS_PER_S
"""Acknowledgements, reviews and clips are looked for so long after the incident: as long as incidents are kept."""
MAX_FILLED = 200
"""Records between two that are needed come along without bodies, so that the chain joins them, up to so many."""

_MAGIC = b"earshot bundle 1\0"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in a bundle, and who says so.

    node, certificate: who exported it, and the SHA-256 of the certificate that signs the manifest
    as_of_ns:          UTC when the incident became what it says; only earlier records made it
    files:             name to SHA-256 of every other file but the signature
    segments:          the records, in their order
    absent_clips:      sound that other nodes keep, by pick
    """

    version: Literal[1]
    incident: Annotated[str, Meta(max_length=128)]
    site: Annotated[str, Meta(max_length=64)]
    node: Annotated[str, Meta(max_length=64)]
    certificate: Annotated[str, Meta(max_length=64)]
    made_ns: int
    as_of_ns: int
    software: Annotated[str, Meta(max_length=64)]
    files: Annotated[dict[str, str], Meta(max_length=10_000)]
    segments: Annotated[tuple[Range, ...], Meta(max_length=100_000)]
    absent_clips: Annotated[tuple[str, ...], Meta(max_length=10_000)]


def export_incident(log: LogReader, clips: ClipFolder, credentials: Credentials, incident_id: str) -> bytes:
    """A bundle of the incident that an id leads to. Raises InputError where there is none."""
    found = log.incident(incident_id)
    if found is None:
        raise InputError(f"incident {incident_id[:100]!a}", "is not known here", "name one that the page shows")
    incident, changed_ns = found
    members = [incident["id"], *incident.get("aliases", ())]
    times_ns = [int(pick[:16]) * NS_PER_US for pick in members]
    as_of_ns = changed_ns or max(times_ns) + MARGIN_NS
    records = _with_fillers(log, _needed(log, members, (min(times_ns), max(times_ns), as_of_ns)))
    kept = {body.pick: body for r in records if isinstance(body := decode_body(r), ClipBody)}
    sound = {pick: data for pick in kept if (data := clips.read(pick)) is not None}
    site = credentials.site.certificate.public_bytes(serialization.Encoding.DER)
    files = {
        INCIDENT: json.dumps(incident, ensure_ascii=False, indent=1).encode(),
        RECORDS: b"".join(map(encode_frame, records)),
        SITE: site,
        **{f"{CERTIFICATES}{fingerprint}.der": der for fingerprint, der in log.certificates()},
        **{f"{CLIPS}{pick}{SUFFIX}": data for pick, data in sound.items()},
    }
    manifest = Manifest(
        version=1,
        incident=str(incident["id"]),
        site=credentials.site.fingerprint,
        node=credentials.node,
        certificate=credentials.enrolled.fingerprint,
        made_ns=time.time_ns(),
        as_of_ns=as_of_ns,
        software=__version__,
        files={name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
        segments=segments_of(records),
        absent_clips=tuple(sorted(kept.keys() - sound.keys())),
    )
    text = msgspec.json.format(msgspec.json.encode(manifest))
    signature = base64.b64encode(credentials.private_key.sign(_MAGIC + text))
    return pack({MANIFEST: text, SIGNATURE: signature, **files})


def is_signed(manifest: bytes, signature: bytes, key: Ed25519PublicKey) -> bool:
    """Whether the holder of a key signed a manifest."""
    try:
        key.verify(base64.b64decode(signature, validate=True), _MAGIC + manifest)
    except (InvalidSignature, ValueError):
        return False
    return True


def segments_of(records: Sequence[Record]) -> tuple[Range, ...]:
    """The places of records that come in order, run by run."""
    runs: list[Range] = []
    for record in records:
        last = runs[-1] if runs else None
        if last is not None and (last.node, last.epoch, last.last + 1) == (record.node, record.epoch, record.seq):
            runs[-1] = msgspec.structs.replace(last, last=record.seq)
        else:
            runs.append(Range(record.node, record.epoch, record.seq, record.seq))
    return tuple(runs)


def relocate(records: Iterable[Record], as_of_ns: int) -> tuple[Incident, ...]:
    """The incidents that the localiser makes of the records that were there at a moment."""
    inputs: list[Input] = []
    known = [r for r in records if r.time_ns <= as_of_ns and r.kind in KINDS and KINDS[r.kind].makes_incidents]
    intake = Intake(NodesBoard("", None, "", 0.0), inputs.extend)
    newest_ns = max((r.time_ns for r in known), default=0)
    intake.read(sorted(known, key=lambda r: (r.time_ns, r.node, r.epoch, r.seq)), newest_ns)
    fusion = Fusion()
    for item in inputs:
        take_in(fusion, item)
    return fusion.update(UtcNs(newest_ns))


def _needed(log: LogReader, members: Sequence[str], times_ns: tuple[int, int, int]) -> list[Record]:
    """The records that made an incident, those said of it, and what took nodes out of the site."""
    first_ns, last_ns, as_of_ns = times_ns
    needed: list[Record] = []
    for kind, row in KINDS.items():
        if kind == "pick":
            needed += log.records_between(kind, first_ns - MARGIN_NS, last_ns + 2 * MARGIN_NS)
        elif row.makes_incidents:
            newest: dict[str, Record] = {}
            for record in sorted(log.records_between(kind, 0, as_of_ns), key=lambda r: (r.time_ns, r.epoch, r.seq)):
                newest[record.node] = record
            needed += newest.values()
        elif row.is_event:
            said = log.records_between(kind, first_ns, last_ns + SAID_WITHIN_NS)
            needed += [r for r in said if (remark := remark_of(r)) is not None and remark.incident in members]
    return [*needed, *log.records_between(REVOCATION_KIND, 0, 2**62)]


def _with_fillers(log: LogReader, needed: Sequence[Record]) -> list[Record]:
    """The records in their order, and between near ones the headers of those that join them."""
    places: dict[StreamId, set[int]] = {}
    for record in needed:
        places.setdefault(record.stream, set()).add(record.seq)
    records: list[Record] = []
    for stream, seqs in sorted(places.items()):
        for first, last in _runs(sorted(seqs)):
            held = log.records_in(Range(*stream, first, last))
            records += [r if r.seq in seqs else msgspec.structs.replace(r, body=None) for r in held]
    return records


def _runs(seqs: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of the runs of numbers that lie no further apart than `MAX_FILLED`."""
    runs: list[tuple[int, int]] = []
    for seq in seqs:
        if runs and seq - runs[-1][1] <= MAX_FILLED:
            runs[-1] = (runs[-1][0], seq)
        else:
            runs.append((seq, seq))
    return runs
