"""Recorded scenes: `scene.json` and its sound files, checked before anything is used, streamed in blocks."""

import re
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from appliance.errors import InputError
from appliance.model.audio import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ, ArrayGeometry, AudioBlock
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.wire.picks import MAX_FILE_BYTES, PicksFile, decode_picks
from appliance.wire.scenes import MAX_SCENE_BYTES, Scene, SceneNode, decode_scene
from appliance.wire.truth import MAX_TRUTH_BYTES, Truth, decode_truth

MAX_DURATION_S = 3_600.0
"""An hour a file; longer recordings are several scenes."""
MAX_BLOCK_S = 1.0
"""Blocks stay small whatever is asked for, so that memory does not depend on the length of a file."""

_CONTAINERS = ("FLAC", "WAV", "WAVEX")
_ENCODINGS = ("PCM_16", "PCM_24")
_CUT_WAV = re.compile(r"data : \d+ \(should be \d+\)")
"""What libsndfile notes about a WAV file with less in it than its header says; it reads the rest without complaint."""


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """What a node's sound file holds."""

    path: Path
    sample_rate_hz: int
    n_samples: int

    @property
    def duration_s(self) -> float:
        """Length of the sound."""
        return self.n_samples / self.sample_rate_hz


@dataclass(frozen=True, slots=True)
class RecordedScene:
    """A scene whose sound files are all there and whole, as far as their headers and last samples tell."""

    folder: Path
    scene: Scene
    sounds: dict[str, SoundFacts]

    def source(self, node_id: str, *, block_s: float = 0.1) -> "FileSource":
        """The sound of one node in blocks of `block_s`. Raises KeyError for a node that the scene does not have."""
        node = next((n for n in self.scene.nodes if n.id == node_id), None)
        if node is None:
            raise KeyError(node_id)
        return FileSource(node, self.sounds[node_id], block_s=block_s)

    @property
    def duration_s(self) -> float:
        """From the first sample of any node to the last of any."""
        starts_s = [n.start_ns / NS_PER_S for n in self.scene.nodes]
        ends_s = [s + self.sounds[n.id].duration_s for s, n in zip(starts_s, self.scene.nodes, strict=True)]
        return max(ends_s) - min(starts_s)


class FileSource:
    """An AudioSource that reads one node's sound file as fast as it is asked, and ends."""

    def __init__(self, node: SceneNode, sound: SoundFacts, *, block_s: float) -> None:
        """Open the file. Raises InputError where it can't be read (any more)."""
        self._node = node
        self._sound = sound
        self._block_samples = max(1, round(min(block_s, MAX_BLOCK_S) * sound.sample_rate_hz))
        self._true_rate_hz = sound.sample_rate_hz * (1.0 + node.sample_rate_error_ppm * 1e-6)
        self._first_sample = 0
        try:
            self._file = soundfile.SoundFile(str(sound.path))
        except (OSError, soundfile.SoundFileError) as error:
            raise _damaged(sound.path, node.id, str(error)) from error

    @property
    def geometry(self) -> ArrayGeometry:
        """Microphone positions of the node's array."""
        return self._node.geometry

    @property
    def sample_rate_hz(self) -> float:
        """The rate that the file states; blocks carry the true one, corrected by `sample_rate_error_ppm`."""
        return float(self._sound.sample_rate_hz)

    def read(self, timeout_s: float) -> AudioBlock | None:  # noqa: ARG002 - a file never makes one wait
        """The next block; the last may be shorter. Raises EOFError at the end, InputError where the file is damaged."""
        first = self._first_sample
        n_wanted = min(self._block_samples, self._sound.n_samples - first)
        if n_wanted <= 0:
            raise EOFError
        try:
            frames = self._file.read(n_wanted, dtype="float32", always_2d=True)
        except (RuntimeError, OSError) as error:
            raise self._broken_at(first, str(error)) from error
        if len(frames) < n_wanted:
            raise self._broken_at(first + len(frames), "it ends there")
        self._first_sample += n_wanted
        return AudioBlock(
            samples=np.ascontiguousarray(frames.T),
            first_sample=first,
            sample_rate_hz=self._true_rate_hz,
            start_ns=UtcNs(self._node.start_ns + round(first / self._true_rate_hz * NS_PER_S)),
            sigma_ns=self._node.clock_sigma_ns,
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _broken_at(self, sample: int, words: str) -> InputError:
        at_s = sample / self._sound.sample_rate_hz
        return _damaged(self._sound.path, self._node.id, f"damaged {at_s:.3f} s into it ({words})")


def read_scene(folder: Path) -> RecordedScene:
    """The scene in `folder`. Raises InputError naming file, node, field, value and remedy."""
    path = folder / "scene.json"
    scene = decode_scene(read_bounded(path, MAX_SCENE_BYTES), str(path))
    return RecordedScene(folder, scene, {node.id: _sound_facts(folder, path, node) for node in scene.nodes})


def read_picks(path: Path) -> PicksFile:
    """The picks file at `path`. Raises InputError."""
    return decode_picks(read_bounded(path, MAX_FILE_BYTES), str(path))


def read_truth(folder: Path) -> Truth | None:
    """The truth beside a scene, or None where there is no such file: not every scene has one. Raises InputError."""
    path = folder / "truth.json"
    return decode_truth(read_bounded(path, MAX_TRUTH_BYTES), str(path)) if path.exists() else None


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """At most `max_bytes` + 1 bytes of a regular file; decoders refuse the one too many. Raises InputError."""
    problem = _not_a_file(path)
    if problem:
        raise InputError(str(path), problem, "put the file there or name another")
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise InputError(str(path), f"can't be read ({error.strerror})", "check its permissions") from error


def _not_a_file(path: Path) -> str:
    """Why `path` can't be opened as a regular file (a pipe would wait for ever); empty if it can."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"can't be read ({error.strerror})"
    return "" if stat.S_ISREG(mode) else "is no regular file"


def _sound_facts(folder: Path, scene_path: Path, node: SceneNode) -> SoundFacts:
    path = folder / node.audio
    thing = f"{scene_path}, node {node.id}, audio"
    problem = _not_a_file(path)
    if problem:
        raise InputError(thing, f"{node.audio} {problem}", f"put the sound file into {folder}")
    try:
        with soundfile.SoundFile(str(path)) as file:
            _require_fit(file, path, node, scene_path)
            _require_whole(file, path, node)
            return SoundFacts(path, int(file.samplerate), int(file.frames))
    except soundfile.SoundFileError as error:
        # str(error) repeats the path; its own words are behind it.
        words = getattr(error, "error_string", str(error)).strip().rstrip(".")
        raise InputError(f"{path}, node {node.id}", f"can't be read ({words})", _REWRITE) from error


_REWRITE = "write it again as FLAC or WAV, PCM 16 or 24 bit"


def _require_fit(file: soundfile.SoundFile, path: Path, node: SceneNode, scene_path: Path) -> None:
    """Refuse a file of another format, rate, length or number of channels than a scene may have."""
    thing = f"{path}, node {node.id}"
    if file.format not in _CONTAINERS or file.subtype not in _ENCODINGS:
        raise InputError(thing, f"is {file.format} {file.subtype}", _REWRITE)
    if not MIN_SAMPLE_RATE_HZ <= file.samplerate <= MAX_SAMPLE_RATE_HZ:
        remedy = f"resample it to {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz"
        raise InputError(thing, f"has {file.samplerate} samples a second", remedy)
    if file.channels != node.geometry.n_channels:
        problem = f"has {node.geometry.n_channels} entries, but {path.name} has {file.channels} channels"
        remedy = "write one [x, y, z] per channel of the file"
        raise InputError(f"{scene_path}, node {node.id}, microphones_m", problem, remedy)
    if file.frames == 0:
        raise InputError(thing, "is empty: 0 samples", "record it again, or take the node out of the scene")
    if file.frames > MAX_DURATION_S * file.samplerate:
        hours = file.frames / file.samplerate / MAX_DURATION_S
        length = "does not state its length" if hours > 1e6 else f"lasts {hours:.2f} hours"
        raise InputError(thing, length, "write files of at most one hour, with their length in the header")


def _require_whole(file: soundfile.SoundFile, path: Path, node: SceneNode) -> None:
    """Refuse a file that was cut off, without reading all of it: the last sample must be there."""
    if _CUT_WAV.search(file.extra_info):
        raise _damaged(path, node.id, "cut off: its header promises more samples than it holds")
    try:
        file.seek(file.frames - 1)
        n_read = len(file.read(1, dtype="int32"))
    except (soundfile.SoundFileError, RuntimeError):
        n_read = 0
    if n_read == 0:
        raise _damaged(path, node.id, f"cut off: the last of its {file.frames} samples can't be read")


def _damaged(path: Path, node_id: str, problem: str) -> InputError:
    return InputError(f"{path}, node {node_id}", problem, "copy or record the file again")
