"""Sound cards as the kernel lists them, so that an array is found by what it is and not by its number."""

import re
from dataclasses import dataclass
from pathlib import Path

from appliance.devices.profiles import PROFILES, ArrayProfile

MAX_CARDS = 32
"""ALSA's own limit."""
_CARD = re.compile(r"^\s*\d+ \[([A-Za-z0-9_-]{1,16})\s*\]: (.{0,200})$")
"""/proc/asound/cards: number, id, driver and name."""


@dataclass(frozen=True, slots=True)
class Card:
    """One sound card: ALSA's id of it, its name, and vendor:product where it is a USB device."""

    id: str
    name: str
    usb_id: str

    @property
    def device(self) -> str:
        """ALSA's name of its first device, untouched by software that mixes or resamples."""
        return f"hw:CARD={self.id}"


def list_cards(root: Path = Path("/")) -> list[Card]:
    """The cards that are plugged in now, in the kernel's order; `root` is / on a node."""
    folder = root / "proc" / "asound"
    cards = []
    for line in _read(folder / "cards").splitlines()[: 2 * MAX_CARDS]:
        found = _CARD.match(line)
        if found is not None:
            card_id = found[1]
            cards.append(Card(card_id, found[2], _read(folder / card_id / "usbid").strip().lower()))
    return cards


def find_array(
    profiles: tuple[ArrayProfile, ...] = tuple(PROFILES.values()), root: Path = Path("/")
) -> tuple[Card, ArrayProfile] | None:
    """The first card that is one of the known arrays, and which; None where none is plugged in."""
    for card in list_cards(root):
        for profile in profiles:
            if card.usb_id in profile.usb_ids or any(name in card.name for name in profile.card_names):
                return card, profile
    return None


def _read(path: Path) -> str:
    """The text of a file of the kernel's; empty where there is none."""
    try:
        with path.open("r", encoding="utf-8", errors="replace") as file:
            return file.read(16_384)
    except OSError:
        return ""
