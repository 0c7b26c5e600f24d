"""`earshot export INCIDENT OUT`: a bundle of evidence that `earshot verify` can check."""

import argparse
from pathlib import Path

from appliance.cli.main import STATUS_OK
from appliance.cli.state import add_state_argument, open_folder
from appliance.daemon.evidence import export_incident
from appliance.errors import InputError
from appliance.mesh.trust import load_credentials
from appliance.storage.clips import ClipFolder
from appliance.storage.log_reader import LogReader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("incident", metavar="INCIDENT", help="the id of an incident, or of any of its picks")
    parser.add_argument("out", type=Path, metavar="OUT", help="file to write, for example incident.zip")
    add_state_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the bundle beside a running node or a stopped one; a file that is there already is left alone."""
    folder, _ = open_folder(arguments)
    credentials = load_credentials(folder.keys)
    log = LogReader(folder.database)
    try:
        data = export_incident(log, ClipFolder(folder.clips), credentials, arguments.incident)
    finally:
        log.close()
    try:
        with arguments.out.open("xb") as file:
            file.write(data)
    except OSError as error:
        problem = error.strerror or "can't be written"
        raise InputError(str(arguments.out), problem, "name a file that is not there yet") from error
    print(f"{arguments.out}: {len(data)} bytes, site fingerprint {credentials.site.fingerprint}")
    return STATUS_OK
