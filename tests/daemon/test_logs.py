"""Where log records end up, in a process of its own: logging is set up once per process."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging
from appliance.daemon.logs import set_up_logging
logging.basicConfig(format="of a library that was first: %(message)s")
set_up_logging()
logging.getLogger("appliance.mesh").warning("peer %s is late", "n2\\nERROR forged: \\x1b[31mline")
logging.getLogger("appliance.mesh").debug("not shown")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("appliance.mesh").exception("failed")
print([type(handler).__name__ for handler in logging.getLogger().handlers])
"""


def run(repository: Path, log: Path, *, journal: bool) -> str:
    with log.open("wb") as stderr:
        status = os.fstat(stderr.fileno())
        inode = status.st_ino if journal else status.st_ino + 1
        environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{inode}"}
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(command, cwd=repository, stdout=-1, stderr=stderr, env=environment, check=True)
    return done.stdout.decode()


def test_records_go_to_standard_error_each_on_one_line(repository: Path, tmp_path: Path) -> None:
    handlers = run(repository, tmp_path / "log", journal=False)
    lines = (tmp_path / "log").read_text("utf-8").splitlines()
    assert handlers == "['StreamHandler']\n"
    assert lines[0] == "WARNING appliance.mesh: peer n2\\nERROR forged: \\x1b[31mline is late"
    assert lines[1] == "ERROR appliance.mesh: failed"
    assert lines[2].startswith("Traceback")
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_under_systemd_records_go_to_the_journal_alone(repository: Path, tmp_path: Path) -> None:
    handlers = run(repository, tmp_path / "log", journal=True)
    assert handlers == "['JournalHandler']\n"
    assert (tmp_path / "log").read_text("utf-8") == ""
