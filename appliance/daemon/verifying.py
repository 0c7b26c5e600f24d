"""`earshot verify`: whether a log or a bundle of evidence is whole, and where it is not."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from appliance.daemon.evidence import (
    CERTIFICATES,
    CLIPS,
    INCIDENT,
    RECORDS,
    SIGNATURE,
    SITE,
    Manifest,
    is_signed,
    relocate,
)
from appliance.daemon.exchange import statement_of
from appliance.daemon.mesh import BODIES_KEPT_NS
from appliance.errors import EarshotError, InputError, PeerError
from appliance.ledger.records import Record
from appliance.ledger.roster import Roster
from appliance.ledger.verify import Expected, Finding, Witnessed, verify_records, verify_segments
from appliance.mesh.trust import Enrolled, Site, read_site
from appliance.storage.bundle import MANIFEST, pack, unpack
from appliance.storage.clips import SUFFIX
from appliance.storage.log_reader import BadRow, LogReader
from appliance.storage.node_store import epoch_end
from appliance.wire.framing import FrameDecoder, one_line
from appliance.wire.records import ClipBody, WitnessBody, decode_body

MAX_FINDINGS = 1_000
"""More are not told one by one."""
MAX_OFF_M = 0.1
"""How far a fix that is computed again may lie from the one in the bundle."""
METRES_PER_DEGREE = 111_320.0
"""Of latitude, on the mean sphere; good to 0.6 %, which is nothing at 0.1 m."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found wrong (empty: nothing), and facts for people."""

    findings: tuple[str, ...]
    facts: tuple[str, ...]


def verify_log(path: Path, site: Site) -> Report:
    """Check a node's database against the site that it belongs to. Raises StoreError where it can't be read."""
    log = LogReader(path)
    try:
        roster, findings = _roster_of(site, log.certificates())
        witnessed: list[Witnessed] = []
        n_records = 0
        for row in log.rows():  # first what records say of each other and of the roster, then the chain
            if isinstance(row, BadRow):
                findings.append(f"record {row.place} is malformed: {row.problem}")
                continue
            n_records += 1
            witnessed += _witnessed(row)
            statement = statement_of(row, site.key)
            if statement is not None:
                roster.revoke(statement)
        expected = Expected(tuple(witnessed), log.newest_time_ns() - BODIES_KEPT_NS)
        good = (row for row in log.rows() if isinstance(row, Record))
        findings += map(_words, verify_records(good, roster, expected))
    finally:
        log.close()
    return Report(tuple(findings), (f"{n_records} records of {len(roster.nodes())} nodes", _site_fact(site)))


def verify_bundle(data: bytes, source: str) -> Report:
    """Check a bundle of evidence and compute its fix again."""
    try:
        files = unpack(data, source)
        manifest = _manifest(files)
        site = read_site(files.get(SITE, b""))
    except EarshotError as error:
        return Report((f"{error.thing}: {error.problem}",), ())
    findings = list(_file_findings(files, manifest))
    if pack(files) != data:
        findings.append("the file holds bytes that no export writes")
    certificates = [
        (name.removeprefix(CERTIFICATES).removesuffix(".der"), der)
        for name, der in sorted(files.items())
        if name.startswith(CERTIFICATES)
    ]
    roster, bad_certificates = _roster_of(site, certificates)
    findings += bad_certificates
    findings += _signature_findings(files, manifest, site)
    records, problem = _records(files.get(RECORDS, b""))
    findings += [problem] if problem else []
    for record in records:
        statement = statement_of(record, site.key)
        if statement is not None:
            roster.revoke(statement)
    findings += map(_words, verify_segments(records, roster, manifest.segments))
    findings += _clip_findings(files, manifest, records)
    fix_findings, fix_facts = _fix(files, manifest, records)
    facts = (
        f"incident {manifest.incident}, exported by {one_line(manifest.node)} (Earshot {one_line(manifest.software)})",
        f"{len(records)} records, {sum(name.startswith(CLIPS) for name in files)} clips,"
        f" {len(manifest.absent_clips)} more on other nodes",
        _site_fact(site),
        *fix_facts,
    )
    return Report((*findings, *fix_findings), facts)


def _manifest(files: Mapping[str, bytes]) -> Manifest:
    try:
        return msgspec.json.decode(files.get(MANIFEST, b""), type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(MANIFEST, f"makes no sense ({one_line(error)})", "get the bundle again") from error


def _file_findings(files: Mapping[str, bytes], manifest: Manifest) -> Iterator[str]:
    named = manifest.files.keys() | {MANIFEST, SIGNATURE}
    yield from (f"{one_line(name)} is missing" for name in sorted(named - files.keys()))
    yield from (f"{one_line(name)} is not named in the manifest" for name in sorted(files.keys() - named))
    for name, digest in sorted(manifest.files.items()):
        if name in files and hashlib.sha256(files[name]).hexdigest() != digest:
            yield f"{one_line(name)} was changed"


def _roster_of(site: Site, certificates: Sequence[tuple[str, bytes]]) -> tuple[Roster, list[str]]:
    """Those that the certificates let in, and what is wrong with the others."""
    roster, findings = Roster(site.key), []
    for name, der in certificates:
        enrolled = _enrolled(site, der)
        if enrolled is None or enrolled.fingerprint != name:
            findings.append(f"certificate {one_line(name)[:64]} was changed or is not of the site")
        else:
            roster.add(enrolled.node, enrolled.key)
    return roster, findings


def _enrolled(site: Site, der: bytes) -> Enrolled | None:
    try:
        return site.check(der)
    except PeerError:
        return None


def _signature_findings(files: Mapping[str, bytes], manifest: Manifest, site: Site) -> Iterator[str]:
    if manifest.site != site.fingerprint:
        yield "the manifest is of another site than the certificates"
    enrolled = _enrolled(site, files.get(f"{CERTIFICATES}{manifest.certificate}.der", b""))
    if enrolled is None or enrolled.node != manifest.node:
        yield "the certificate of the node that exported it is missing"
    elif not is_signed(files[MANIFEST], files.get(SIGNATURE, b""), enrolled.key):
        yield f"{MANIFEST} was changed: its signature does not fit"


def _records(data: bytes) -> tuple[list[Record], str | None]:
    """The records in a file, as far as they can be read, and what is wrong where that ends."""
    decoder = FrameDecoder(msgspec.msgpack.Decoder(Record), RECORDS)
    records: list[Record] = []
    try:
        for start in range(0, len(data), 2**16):
            records += decoder.feed(data[start : start + 2**16])
    except PeerError as error:
        return records, f"{RECORDS} {error.problem}"
    return records, None


def _clip_findings(files: Mapping[str, bytes], manifest: Manifest, records: Sequence[Record]) -> Iterator[str]:
    named = {body.pick: body.sha256 for r in records if isinstance(body := decode_body(r), ClipBody)}
    for pick, digest in sorted(named.items()):
        data = files.get(f"{CLIPS}{pick}{SUFFIX}")
        if data is None and pick not in manifest.absent_clips:
            yield f"the sound of {pick} is missing"
        elif data is not None and hashlib.sha256(data).digest() != digest:
            yield f"the sound of {pick} is not what its node signed"
    for name in sorted(files):
        if name.startswith(CLIPS) and name.removeprefix(CLIPS).removesuffix(SUFFIX) not in named:
            yield f"{one_line(name)} is bound by no record"


def _fix(files: Mapping[str, bytes], manifest: Manifest, records: Sequence[Record]) -> tuple[list[str], list[str]]:
    """What is wrong with the incident, compared with what its records give now; and the fix for people."""
    try:
        stated: dict[str, Any] = json.loads(files.get(INCIDENT, b""))
        lat, lon, stated_id = stated["lat"], stated["lon"], stated["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return [f"{INCIDENT} makes no sense"], []
    found = [i for i in relocate(records, manifest.as_of_ns) if stated_id in (i.id, *i.aliases)]
    if not found:
        return ["the records do not give this incident"], []
    (incident,) = found[:1]
    place = incident.position
    findings = []
    if stated.get("category") != incident.category.value or stated.get("rounds") != incident.rounds:
        findings.append(f"the records give {incident.rounds} rounds of {incident.category.value}, not what it states")
    if place is None or lat is None or lon is None:
        findings += (
            ["the records and the incident do not both give a place"] if place is not None or lat is not None else []
        )
        return findings, [f"no place: {incident.reason or 'not known'}"]
    off_m = METRES_PER_DEGREE * math.hypot(
        place.lat_deg - lat, (place.lon_deg - lon) * math.cos(math.radians(place.lat_deg))
    )
    if not off_m <= MAX_OFF_M:
        findings.append(f"the records give a place {off_m:.1f} m from the one that it states")
    return findings, [
        f"fix computed again: {place.lat_deg:.6f}, {place.lon_deg:.6f}, {off_m:.3f} m from the one stated"
    ]


def _witnessed(record: Record) -> Iterator[Witnessed]:
    """What a record says of other streams."""
    end = epoch_end(record)
    if end is not None:
        yield Witnessed(record.node, *end, None)
    body = decode_body(record)
    if isinstance(body, WitnessBody):
        yield from (Witnessed(*head) for head in body.heads)


def _words(finding: Finding) -> str:
    return f"record {finding.node}:{finding.epoch}:{finding.seq} {finding.problem}"


def _site_fact(site: Site) -> str:
    return f"site {one_line(site.name)}, fingerprint {site.fingerprint}"
