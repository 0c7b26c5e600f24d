"""Writes the image's bill of materials: CycloneDX 1.6 (ECMA-424), each package and wheel with its hash and licence."""

import argparse
import datetime
import email.parser
import hashlib
import json
import os
import re
import sys
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LICENCE = re.compile(r"^License:[ \t]*(\S[^\n]*)$", re.MULTILINE)
_MAX_LICENCE_CHARS = 120
"""Some packages put whole texts where a licence's name belongs."""


def main() -> int:
    """Write the bill of materials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the image")
    parser.add_argument("--lock", required=True, type=Path, help="packages.lock")
    parser.add_argument("--wheels", required=True, type=Path, help="folder of the wheels that the image holds")
    parser.add_argument("--root", required=True, type=Path, help="the image's root, for the packages' licences")
    parser.add_argument("--out", required=True, type=Path, help="the JSON file to write")
    arguments = parser.parse_args()
    components = [*debian(arguments.lock.read_text("ascii"), arguments.root), *wheels(arguments.wheels)]
    document = bill(arguments.name, components, int(os.environ["SOURCE_DATE_EPOCH"]))
    arguments.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


def bill(name: str, components: list[dict[str, Any]], time_s: int) -> dict[str, Any]:
    """The whole document; the same content has the same serial number."""
    listed = json.dumps(components, sort_keys=True)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=hashlib.sha256(listed.encode()).digest()[:16], version=4)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(time_s, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "operating-system", "bom-ref": name, "name": "earshot-image", "version": name},
        },
        "components": components,
    }


def debian(lock: str, root: Path) -> Iterator[dict[str, Any]]:
    """The Debian packages in the image: those of packages.lock but for the compiler's."""
    for line in lock.splitlines():
        if line.startswith("#"):
            continue
        part, name, version, architecture, digest = line.split()
        if part == "compiler":
            continue
        purl = f"pkg:deb/debian/{_quoted(name)}@{_quoted(version)}?arch={architecture}&distro=debian-13"
        yield _component(name, version, purl, digest, _debian_licences(root / "usr/share/doc" / name / "copyright"))


def wheels(folder: Path) -> Iterator[dict[str, Any]]:
    """The Python packages in the image."""
    for file in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(file) as archive:
            name = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
            metadata = email.parser.BytesParser().parsebytes(archive.read(name))
        project = re.sub(r"[-_.]+", "-", metadata["Name"]).lower()
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        purl = f"pkg:pypi/{project}@{metadata['Version']}"
        licence = metadata["License-Expression"] or metadata["License"] or ""
        classifiers = [
            c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier", []) if c.startswith("License ::")
        ]
        yield _component(project, metadata["Version"], purl, digest, [licence] if licence else classifiers)


def _component(name: str, version: str, purl: str, digest: str, licences: list[str]) -> dict[str, Any]:
    short = [text.strip().partition("\n")[0][:_MAX_LICENCE_CHARS] for text in licences]
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "purl": purl,
    }
    if short:
        component["licenses"] = [{"license": {"name": text}} for text in sorted(set(short))]
    return component


def _debian_licences(file: Path) -> list[str]:
    """The short names in a machine-readable copyright file; for other files, where the text is."""
    if not file.exists():
        return []
    names = _LICENCE.findall(file.read_text("utf-8", "replace"))
    return names or [f"see /{'/'.join(file.parts[-5:])}"]


def _quoted(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.~_-]", lambda match: f"%{ord(match[0]):02X}", text)


if __name__ == "__main__":
    sys.exit(main())
