"""The owner's streets, zones and named places: files in a folder, read anew when they change."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from appliance.errors import InputError, StoreError
from web.gazetteer import Address, Gazetteer, Streets, read_places, read_streets, read_zones

MAX_BYTES = 32 * 1024 * 1024
"""Of one file; a city's streets take about half."""
READERS: Mapping[str, Callable[[bytes, str], object]] = MappingProxyType(
    {"streets": read_streets, "zones": read_zones, "places": read_places}
)
KINDS = tuple(READERS)

Stamp = tuple[int, int] | None
Known = TypeVar("Known")


class Geography:
    """Reads the files in a folder anew when they changed. Safe to use from several threads."""

    def __init__(self, folder: Path | None, map_file: Path | None) -> None:
        """Take `streets`, `zones` and `places` from `folder`; without streets there, those of the map."""
        self._folder = folder
        self._map_file = map_file
        self._lock = threading.Lock()
        self._stamps: tuple[Stamp, ...] = ()
        self._gazetteer = Gazetteer()
        self.problems: dict[str, str] = {}

    def address(self, lat_deg: float, lon_deg: float) -> Address:
        """The address of a place, by the files as they are now."""
        return self.gazetteer().address(lat_deg, lon_deg)

    def gazetteer(self) -> Gazetteer:
        """All that is known; a file that can't be used counts as missing, and `problems` says why."""
        with self._lock:
            stamps = tuple(_stamp(self._file(kind)) for kind in KINDS)
            if stamps != self._stamps:
                self._stamps = stamps
                self._gazetteer = self._read()
            return self._gazetteer

    def store(self, kind: str, data: bytes) -> None:
        """Check a file and take it into use. Raises InputError, StoreError."""
        if self._folder is None or kind not in KINDS:
            raise InputError(kind, "can't be stored here", f"choose one of {', '.join(KINDS)}")
        READERS[kind](data, kind)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = self._folder / f"{kind}.new"
            fresh.write_bytes(data)
            fresh.replace(self._folder / kind)
        except OSError as error:
            raise StoreError(str(self._folder), error.strerror or "can't be written", "free the disk") from error

    def _read(self) -> Gazetteer:
        self.problems = {}
        streets = self._load("streets", read_streets, Streets())
        return Gazetteer(streets, self._load("zones", read_zones, ()), self._load("places", read_places, ()))

    def _load(self, kind: str, read: Callable[[bytes, str], Known], empty: Known) -> Known:
        file = self._file(kind)
        if file is None or not file.exists():
            return empty
        try:
            return read(file.read_bytes(), file.name)
        except (InputError, OSError) as error:
            # A map without named streets is a map all the same.
            if file != self._map_file:
                self.problems[kind] = str(error)
            return empty

    def _file(self, kind: str) -> Path | None:
        own = None if self._folder is None else self._folder / kind
        if kind == "streets" and (own is None or not own.exists()):
            return self._map_file
        return own


def _stamp(file: Path | None) -> Stamp:
    try:
        status = None if file is None else file.stat()
    except OSError:
        return None
    return None if status is None else (status.st_mtime_ns, status.st_size)
