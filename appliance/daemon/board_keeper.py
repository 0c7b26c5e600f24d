"""Power, temperature and disk of this node as health checks, looked at every few seconds."""

import shutil
from pathlib import Path

from appliance.devices.board import Board, BoardReader
from appliance.ledger.health import disk_check, power_check, temperature_check
from appliance.model.health import HealthCheck, HealthState
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.timing.discipline import Unknown

LOOK_NS = 10 * NS_PER_S
NS_PER_H = 3_600 * NS_PER_S


class BoardKeeper:
    """Remembers when the supply last was too low. Used from one thread."""

    def __init__(self, folder: Path, root: Path = Path("/")) -> None:
        """Watch the disk that holds `folder`, and the board by the kernel's files under `root`."""
        self._folder = folder
        self._reader = BoardReader(root)
        self._board: Board | None = None
        self._looked_ns = 0
        self._low_ns: int | None = None

    def checks(self, now_ns: int, monotonic_ns: int) -> list[HealthCheck]:
        """The checks at a UTC; the kernel's files are read again where the last time was `LOOK_NS` ago."""
        if self._board is None or monotonic_ns - self._looked_ns >= LOOK_NS:
            self._board, self._looked_ns = self._reader.read(), monotonic_ns
            if self._board.is_undervolted is True:
                self._low_ns = monotonic_ns
        since, board = UtcNs(now_ns), self._board
        return [
            self._disk(board, since),
            power_check(self._hours_since_low(board, monotonic_ns), since),
            temperature_check(board.temperature_c, board.throttled_to, since),
        ]

    def _hours_since_low(self, board: Board, monotonic_ns: int) -> float | Unknown | None:
        if isinstance(board.is_undervolted, Unknown):
            return board.is_undervolted
        if board.is_undervolted:
            return 0.0
        return None if self._low_ns is None else (monotonic_ns - self._low_ns) / NS_PER_H

    def _disk(self, board: Board, since: UtcNs) -> HealthCheck:
        try:
            disk = shutil.disk_usage(self._folder)
        except OSError as error:
            words = f"{self._folder} can't be read ({error.strerror})"
            return HealthCheck("disk", HealthState.FAILED, words, None, "GB", since, "check the card")
        return disk_check(disk.free, disk.total, board.card_used, since)
