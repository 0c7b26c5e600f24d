"""`earshot verify LOG|BUNDLE`: whether a log or a bundle of evidence is whole, and where it is not."""

import argparse
from pathlib import Path

from appliance.cli.main import STATUS_OK
from appliance.daemon.verifying import MAX_FINDINGS, Report, verify_bundle, verify_log
from appliance.errors import InputError
from appliance.mesh.trust import SITE_CERTIFICATE_FILE, load_site_certificate
from appliance.storage.bundle import MAX_BUNDLE_BYTES

STATUS_NOT_WHOLE = 1
SQLITE_MAGIC = b"SQLite format 3\0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, metavar="LOG|BUNDLE", help="a node's node.db, or a bundle of evidence")
    parser.add_argument("--site", metavar="FINGERPRINT", help="the fingerprint that the site must have")
    parser.add_argument(
        "--certificate", type=Path, metavar="FILE",
        help="site.pem of the log's site (default: in the folder keys beside the log)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Check it; status 1 where anything in it was changed, is missing, was put in or stands out of order."""
    path: Path = arguments.file
    start = _read(path, len(SQLITE_MAGIC))
    if start == SQLITE_MAGIC:
        site = load_site_certificate(arguments.certificate or path.parent / "keys" / SITE_CERTIFICATE_FILE)
        report = verify_log(path, site)
    else:
        report = verify_bundle(_read(path, MAX_BUNDLE_BYTES + 1), str(path))
    return _tell(path, report, arguments.site)


def _tell(path: Path, report: Report, site: str | None) -> int:
    findings = list(report.findings)
    if site is not None and not any(fact.endswith(f"fingerprint {site.lower()}") for fact in report.facts):
        findings.append(f"it is not of the site {site}")
    for fact in report.facts:
        print(fact)
    for finding in findings[:MAX_FINDINGS]:
        print(f"NOT WHOLE: {finding}")
    if len(findings) > MAX_FINDINGS:
        print(f"and {len(findings) - MAX_FINDINGS} more")
    if not findings:
        print(f"{path}: whole")
    return STATUS_NOT_WHOLE if findings else STATUS_OK


def _read(path: Path, n_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(n_bytes)
    except OSError as error:
        raise InputError(str(path), error.strerror or "can't be read", "name a log or a bundle") from error
