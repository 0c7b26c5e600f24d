"""A bundle of evidence as one file: a ZIP that is written in exactly one way, so that every byte of it can be checked.

Nothing is compressed (sound is FLAC already), names are sorted after the manifest, and times and attributes are fixed:
what does not come out byte for byte when its contents are packed again was changed.
"""

import io
import re
import struct
import zipfile
from collections.abc import Mapping

from appliance.errors import InputError
from appliance.wire.framing import one_line

MAX_BUNDLE_BYTES = 512 * 2**20
"""An hour's allowance of sound of one node is a tenth of it."""
MAX_FILES = 10_000
MANIFEST = "manifest.json"
REMEDY = "get the bundle again from where it came"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,127})?")
_DAMAGES = (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, OSError, struct.error)
"""What reading a damaged ZIP raises."""
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that ZIP knows
_UNIX = 3


def pack(files: Mapping[str, bytes]) -> bytes:
    """The bundle of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files, key=lambda name: (name != MANIFEST, name)):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system, entry.external_attr = _UNIX, 0o100644 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def unpack(data: bytes, source: str) -> dict[str, bytes]:
    """The files in a bundle. Raises InputError for what is no ZIP of plain files, or too large."""
    if len(data) > MAX_BUNDLE_BYTES:
        raise InputError(source, f"is larger than {MAX_BUNDLE_BYTES} bytes", "name a bundle that earshot export wrote")
    name = "its list of files"
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist()[:MAX_FILES]:
                name = entry.filename
                # Stored files are as long as they are in the ZIP, so that none unpacks to more than was read.
                if entry.compress_type != zipfile.ZIP_STORED or not _NAME.fullmatch(name) or name in files:
                    raise InputError(source, f"holds {one_line(name)[:64]!a}, which no export writes so", REMEDY)
                files[name] = archive.read(entry)
    except _DAMAGES as error:
        raise InputError(source, f"is damaged: {one_line(name)[:64]!a} can't be read", REMEDY) from error
    return files
