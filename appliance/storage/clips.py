"""Sound that a node keeps of incidents: one FLAC file per clip in its state folder, bounded in age and size."""

import contextlib
import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from appliance.errors import StoreError

MAX_CLIPS_BYTES = 4 * 2**30
"""Some ten thousand clips of four channels; the oldest go first, so that a noisy year can't fill the card."""
SUFFIX = ".flac"


@dataclass(frozen=True, slots=True)
class SavedClip:
    """A clip on disk: its file, and what binds it to a record."""

    path: Path
    sha256: bytes
    n_bytes: int
    n_samples: int


class ClipFolder:
    """The clips of one node."""

    def __init__(self, path: Path) -> None:
        """Keep clips in `path`, which is made with the first one."""
        self._path = path

    def save(self, pick: str, pcm: bytes, rate_hz: float, n_channels: int) -> SavedClip:
        """Write interleaved 16 bit samples (little end first) as FLAC; on disk when this returns. StoreError."""
        samples = np.frombuffer(pcm, dtype="<i2").reshape(-1, n_channels)
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, round(rate_hz), format="FLAC", subtype="PCM_16")
        data = buffer.getvalue()
        path = self._path / f"{pick}{SUFFIX}"
        try:
            self._path.mkdir(mode=0o750, exist_ok=True)
            _write_whole(path, data)
        except OSError as error:
            raise StoreError(str(path), error.strerror or "can't be written", "make room on its disk") from error
        return SavedClip(path, hashlib.sha256(data).digest(), len(data), samples.shape[0])

    def read(self, pick: str) -> bytes | None:
        """A clip's file; None: it is not here (any more)."""
        try:
            return (self._path / f"{pick}{SUFFIX}").read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(str(self._path), error.strerror or "can't be read", "make it readable") from error

    def prune(self, before_ns: int, max_bytes: int = MAX_CLIPS_BYTES) -> int:
        """Delete clips of picks before `before_ns` (UTC), and the oldest beyond `max_bytes`; returns how many."""
        if not self._path.is_dir():
            return 0
        files = sorted((f for f in self._path.glob(f"*{SUFFIX}") if f.stem[:16].isdecimal()), key=lambda f: f.stem)
        sizes = [file.stat().st_size for file in files]
        excess, n_gone = sum(sizes) - max_bytes, 0
        for file, size in zip(files, sizes, strict=True):
            if int(file.stem[:16]) * 1_000 >= before_ns and excess <= 0:
                break
            with contextlib.suppress(FileNotFoundError):
                file.unlink()
            excess -= size
            n_gone += 1
        return n_gone


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, and on disk when this returns."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.chmod(0o640)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
