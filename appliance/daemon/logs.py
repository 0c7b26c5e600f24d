"""Where a process logs to: the journal under systemd, standard error elsewhere."""

import logging
import os
import sys
from typing import TextIO

FORMAT = "%(levelname)s %(name)s: %(message)s"

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F) if code != 0x0A}


def set_up_logging(level: int = logging.INFO) -> None:
    """Send all log records of this process to one place, and nothing anywhere else."""
    logging.basicConfig(level=level, handlers=[_handler(sys.stderr)], force=True)


def _handler(stream: TextIO) -> logging.Handler:
    if not _is_journal(stream):
        handler: logging.Handler = logging.StreamHandler(stream)
        handler.setFormatter(PlainFormatter(FORMAT))
        return handler
    # Here, because only a node under systemd needs it.
    from systemd.journal import JournalHandler

    # The journal keeps level, logger and process as fields of their own.
    handler = JournalHandler(SYSLOG_IDENTIFIER="earshot")
    handler.setFormatter(PlainFormatter("%(message)s"))
    return handler


def _is_journal(stream: TextIO) -> bool:
    """Whether `stream` goes to the journal: systemd.exec(5) says to compare $JOURNAL_STREAM with the open file."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class PlainFormatter(logging.Formatter):
    """Keeps control characters that came from outside from forging lines or colours; tracebacks stay as they are."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        """One line, whatever is in it."""
        return super().formatMessage(record).translate(_ESCAPES).replace("\n", "\\n")
