"""`earshot locate PICKS… --out DIR`: the localiser alone; results are named like the picks file's folder."""

import argparse
from pathlib import Path

from appliance.cli.batch import each, output_folder, progress, refuse_twins, write_incidents
from appliance.daemon.replay import locate_picks
from appliance.errors import InputError
from appliance.wire.picks import MAX_FILE_BYTES, decode_picks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", type=Path, metavar="PICKS", help="picks file, version 1")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results")


def run(arguments: argparse.Namespace) -> int:
    """Locate every file; a broken one is reported and the others still run."""
    files: list[Path] = [file.resolve() for file in arguments.files]
    refuse_twins([file.parent.name for file in files])
    out = output_folder(arguments.out)
    with progress("file", total=len(files)) as bar:

        def locate(path: Path) -> None:
            bar.set_description(path.parent.name)
            file = decode_picks(_read(path), str(path))
            write_incidents(
                out / f"{path.parent.name}.jsonl", locate_picks(file.picks, [*file.poses.values()], file.air)
            )
            bar.update()

        return each(files, locate)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(str(path), error.strerror or "can't be read", "name a picks file") from error
