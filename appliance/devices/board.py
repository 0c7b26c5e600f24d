"""What the kernel says of the board: voltage, temperature, throttling, and the wear of its card; all by plain files."""

import re
from dataclasses import dataclass
from pathlib import Path

from appliance.timing.discipline import Unknown

_LIFE = re.compile(r"^0x([0-9a-fA-F]{2}) 0x([0-9a-fA-F]{2})\s*$")
"""/sys/block/mmcblk*/device/life_time: eMMC and some SD cards, in steps of 10 % (JEDEC eMMC 5.1, EXT_CSD 268, 269)."""
MAX_BYTES = 200


@dataclass(frozen=True, slots=True)
class Board:
    """What is known now.

    is_undervolted: whether the supply is too low (rpi_volt); Unknown where nobody measures it
    temperature_c:  of the processor
    throttled_to:   share of the processor's full clock that it is held to; 1: not throttled
    card_used:      share of the card's rated life that is used up, rounded up to 10 %
    """

    is_undervolted: bool | Unknown
    temperature_c: float | Unknown
    throttled_to: float | Unknown
    card_used: float | Unknown


class BoardReader:
    """Reads the files under `root`, which is / on a node."""

    def __init__(self, root: Path = Path("/")) -> None:
        """Read nothing yet."""
        self._sys = root / "sys"

    def read(self) -> Board:
        """What they say now."""
        return Board(self._undervolted(), self._temperature(), self._throttled(), self._card())

    def _undervolted(self) -> bool | Unknown:
        for folder in sorted(self._sys.glob("class/hwmon/hwmon*")):
            if _text(folder / "name") == "rpi_volt":
                alarm = _number(folder / "in0_lcrit_alarm")
                return Unknown("the voltage monitor can't be read") if alarm is None else alarm != 0
        return Unknown("this board has no voltage monitor")

    def _temperature(self) -> float | Unknown:
        zones = [_number(path) for path in sorted(self._sys.glob("class/thermal/thermal_zone*/temp"))]
        known_c = [zone / 1_000.0 for zone in zones if zone is not None]
        return max(known_c) if known_c else Unknown("this board has no thermometer")

    def _throttled(self) -> float | Unknown:
        """By cpufreq's ceiling: the firmware and the kernel lower it when the processor is too hot or starved."""
        policy = self._sys / "devices/system/cpu/cpufreq/policy0"
        ceiling, full = _number(policy / "scaling_max_freq"), _number(policy / "cpuinfo_max_freq")
        if ceiling is None or not full:
            return Unknown("this board does not say how fast it may run")
        return min(1.0, ceiling / full)

    def _card(self) -> float | Unknown:
        for path in sorted(self._sys.glob("block/mmcblk*/device/life_time")):
            found = _LIFE.match(_text(path))
            if found is not None and (worst := max(int(found[1], 16), int(found[2], 16))) > 0:
                return min(worst, 11) / 10.0
        return Unknown("the card does not tell of its wear")


def _text(path: Path) -> str:
    """The text of a file of the kernel's; empty where there is none."""
    try:
        with path.open("r", encoding="ascii", errors="replace") as file:
            return file.read(MAX_BYTES).strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    """The number in a file of the kernel's; None where there is none."""
    text = _text(path)
    return int(text) if re.fullmatch(r"-?\d{1,12}", text) else None
