"""What `replay`, `locate` and `classify` share: many inputs, each on its own, and a status that says if one failed."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from appliance.cli.main import STATUS_BAD_INPUT, STATUS_OK
from appliance.errors import EarshotError, InputError
from appliance.model.incidents import Incident
from appliance.wire.incidents import encode_incident

PROGRESS_AFTER_S = 2.0
"""What takes longer than this shows its progress."""

Item = TypeVar("Item")


def progress(unit: str, total: int, *, shown: bool = True) -> "tqdm[None]":
    """A progress bar on standard error, where that is a terminal, for work that takes longer than a glance."""
    tqdm.monitor_interval = 0  # no thread of its own: the bar moves when an item is done
    wanted = shown and sys.stderr.isatty()
    return tqdm(total=total, unit=unit, delay=PROGRESS_AFTER_S, leave=False, dynamic_ncols=True, disable=not wanted)


def each(items: Iterable[Item], do: Callable[[Item], None]) -> int:
    """Do every item; what fails is one line on standard error and doesn't stop the others. Returns the exit status."""
    status = STATUS_OK
    for item in items:
        try:
            do(item)
        except EarshotError as error:
            tqdm.write(f"earshot: {error}", file=sys.stderr)
            status = STATUS_BAD_INPUT
    return status


def output_folder(path: Path) -> Path:
    """Make the folder for results. Raises InputError where that is impossible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(str(path), error.strerror or "can't be made", "name a folder that can be written") from error
    return path


def refuse_twins(names: Sequence[str]) -> None:
    """Raise InputError when two inputs would write the same result."""
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise InputError(f"{twins[0]}.jsonl", "two inputs would write it", "give them in separate calls")


def write_incidents(path: Path, incidents: Iterable[Incident]) -> None:
    """Write incidents as JSON Lines. Raises InputError where `path` can't be written."""
    try:
        path.write_bytes(b"".join(encode_incident(incident).rstrip(b"\n") + b"\n" for incident in incidents))
    except OSError as error:
        raise InputError(str(path), error.strerror or "can't be written", "make room or name another folder") from error
