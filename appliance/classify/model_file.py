"""A model on disk: `NAME.tflite` and, beside it, `NAME.json`, which says what it is and seals its bytes.

The interpreter is C++ that trusts its input, so bytes that are not the ones `NAME.json` speaks of never reach it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from appliance.dsp.features import FEATURES_VERSION
from appliance.errors import ModelError
from appliance.model.classes import CLASSES

_MAX_MODEL_BYTES = 8 << 20
"""The committed model has a tenth of a megabyte; far more than this would not run in time on a Pi."""
_MAX_STATEMENT_BYTES = 64 << 10
_REMEDY = "install Earshot again, or make the model anew with scripts/train"


class _Statement(msgspec.Struct, frozen=True):
    """`NAME.json`. Fields that it doesn't know (who made the model, when) are for people."""

    features_version: int
    classes: Annotated[list[str], msgspec.Meta(max_length=64)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model's bytes, checked against their seal, and the file that they came from."""

    path: Path
    content: bytes


def read_model_file(path: Path) -> ModelFile:
    """The model at `path`. Raises ModelError where it is missing, damaged, or made for another version."""
    statement_path = path.with_suffix(".json")
    content = _read(path, _MAX_MODEL_BYTES)
    try:
        statement = msgspec.json.decode(_read(statement_path, _MAX_STATEMENT_BYTES), type=_Statement)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"model {statement_path}", str(error), _REMEDY) from error
    _check_fit(statement_path, statement)
    digest = hashlib.sha256(content).hexdigest()
    if digest != statement.sha256:
        problem = f"{len(content)} bytes with SHA-256 {digest[:12]}…, but {statement_path.name} seals"
        raise ModelError(f"model {path}", f"{problem} {statement.sha256[:12]}…: damaged or exchanged", _REMEDY)
    return ModelFile(path, content)


def _check_fit(path: Path, statement: _Statement) -> None:
    if statement.features_version != FEATURES_VERSION:
        problem = f"made for features version {statement.features_version}; this Earshot has {FEATURES_VERSION}"
        raise ModelError(f"model {path}", problem, _REMEDY)
    if statement.classes != [c.value for c in CLASSES]:
        problem = f"its classes are {', '.join(statement.classes)}; this Earshot's are {', '.join(CLASSES)}"
        raise ModelError(f"model {path}", problem, _REMEDY)


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise ModelError(f"model {path}", "no such file", _REMEDY) from error
    except OSError as error:
        raise ModelError(
            f"model {path}", f"can't be read ({error.strerror})", "check the file's permissions"
        ) from error
    if len(content) > max_bytes:
        raise ModelError(f"model {path}", f"more than {max_bytes} bytes", _REMEDY)
    return content
