"""The node's street map: a GeoJSON file that the owner or the demo put into the state folder."""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from appliance.errors import StoreError

MAX_BYTES = 32 * 1024 * 1024
"""A town's streets and buildings are a few megabytes; more would choke a browser."""

EMPTY = b'{"type":"FeatureCollection","features":[]}'


class _Collection(msgspec.Struct):
    """As much of a GeoJSON feature collection as is checked; the page draws what it knows and skips the rest."""

    type: Literal["FeatureCollection"]
    features: list[msgspec.Raw]


@dataclass(frozen=True, slots=True)
class MapData:
    """A checked GeoJSON text and its hash."""

    geojson: bytes
    etag: str


class MapFile:
    """Reads the map when it changed. Safe to use from several threads."""

    def __init__(self, path: Path | None) -> None:
        """Read from `path`; None or a missing file is an empty map."""
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._data = _map_data(EMPTY)

    def read(self) -> MapData:
        """The map as it is now. Raises StoreError when the file can't be read or is no GeoJSON."""
        with self._lock:
            try:
                status = None if self._path is None else self._path.stat()
            except FileNotFoundError:
                status = None
            if self._path is None or status is None:
                self._stamp, self._data = None, _map_data(EMPTY)
                return self._data
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._data = _map_data(_read(self._path, status.st_size))
                self._stamp = stamp
            return self._data


def _read(path: Path, size: int) -> bytes:
    if size > MAX_BYTES:
        raise StoreError(str(path), f"is {size} bytes", f"give a map of at most {MAX_BYTES} bytes")
    try:
        data = path.read_bytes()
        msgspec.json.decode(data, type=_Collection)
    except OSError as error:
        raise StoreError(str(path), error.strerror or "can't be read", "let the web process read it") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(str(path), f"is no GeoJSON feature collection: {error}", "replace the file") from error
    return data


def _map_data(data: bytes) -> MapData:
    return MapData(data, hashlib.sha256(data).hexdigest()[:32])
