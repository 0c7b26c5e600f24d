"""Runs at each start, before the network and the node's processes: takes over the card's earshot.toml.

Kept on the data partition is what was taken over, so that a card whose file is gone or broken changes nothing. Problems
go to earshot-problems.txt beside the file, to problems.json for the page, and to the journal.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from earshot_card.card import Card, Wifi, read_card, without_secrets

CODE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without what is mistaken for something else on paper."""
N_CODE_CHARS = 16


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie; in tests below another folder than /."""

    root: Path

    @property
    def firmware(self) -> Path:
        """The firmware partition."""
        return self.root / "boot/firmware"

    @property
    def kept(self) -> Path:
        """What was taken over from the card."""
        return self.root / "data/image/card.json"

    @property
    def problems(self) -> Path:
        """What the page shows of the card's problems."""
        return self.root / "data/image/problems.json"

    @property
    def settings(self) -> Path:
        """The node's settings."""
        return self.root / "var/lib/earshot/earshot.toml"

    @property
    def setup_code(self) -> Path:
        """The code that makes the first person the owner; the pages remove it once there is one."""
        return self.root / "var/lib/earshot-web/setup-code"

    @property
    def people(self) -> Path:
        """The pages' own database of people."""
        return self.root / "var/lib/earshot-web/people.db"


@dataclass(frozen=True, slots=True)
class Kept:
    """What earlier starts took over."""

    name: str
    site: str
    wifi: Wifi | None
    """With the network's key in place of the password."""


def main() -> int:
    """Take over the card's file. Status 0 even with problems: a node comes up whatever the file says."""
    places = Places(Path("/"))
    problems = take_over(places)
    for problem in problems:
        sys.stderr.write(f"earshot.toml: {problem}\n")
    socket.sethostname(places.root.joinpath("etc/hostname").read_text("ascii").strip())
    _show_on_screen(places)
    return 0


def take_over(places: Places) -> tuple[str, ...]:
    """Apply the card's file to the tree below `places.root`; returns what could not be used, a line each."""
    file = places.firmware / "earshot.toml"
    try:
        data = file.read_bytes()
        reading = read_card(data)
        card, problems = reading.card, reading.problems
    except OSError as error:
        data = b""
        card, problems = Card(), (f"earshot.toml can't be read ({error.strerror}); the node keeps what it knows",)
    before = _load(places.kept)
    kept, more = _merged(card, before, places.root, is_whole=not problems)
    problems += more
    _write(places.kept, json.dumps(asdict(kept), indent=1) + "\n", 0o600)
    _apply_name(places, kept.name)
    _apply_wifi(places, kept.wifi)
    if not places.settings.exists():
        _write(places.settings, _settings(kept), 0o640, owner="earshot-mesh", group="earshot")
    _apply_code(places, card.setup_code)
    _write(places.problems, json.dumps({"earshot.toml": problems}) + "\n", 0o644)
    _update_card(places, data, problems)
    return problems


def _merged(card: Card, before: Kept | None, root: Path, *, is_whole: bool) -> tuple[Kept, tuple[str, ...]]:
    """What holds from now on. A file with problems takes nothing away that an earlier one gave."""
    problems: list[str] = []
    known = None if before is None else before.wifi
    wifi = known if card.wifi is None and not is_whole else card.wifi
    if wifi is not None and wifi is not known:
        wifi = _with_key(wifi, known, problems)
    if before is None:
        return Kept(card.name or f"earshot-{_own_digits(root)}", card.site or "site", wifi), tuple(problems)
    if card.site and card.site != before.site:
        problems.append(f"site = {card.site!a} comes too late: the first start made this node one of {before.site!a}")
    return replace(before, name=card.name or before.name, wifi=wifi), tuple(problems)


def _with_key(wifi: Wifi, known: Wifi | None, problems: list[str]) -> Wifi | None:
    """The network with the key that its password stands for; an empty password is one that is known already."""
    if wifi.password:
        return replace(wifi, password=psk_of(wifi))
    if known is not None and known.ssid == wifi.ssid:
        return replace(wifi, password=known.password)
    problems.append("wifi.password is missing; networks without a password are not joined")
    return known


def psk_of(wifi: Wifi) -> str:
    """The 256-bit key of a WPA2 network as 64 hexadecimal digits (IEEE 802.11-2020, J.4.1)."""
    if re.fullmatch(r"[0-9A-Fa-f]{64}", wifi.password):
        return wifi.password.lower()
    return hashlib.pbkdf2_hmac("sha1", wifi.password.encode(), wifi.ssid.encode(), 4096, 32).hex()


def _own_digits(root: Path) -> str:
    """Four hexadecimal digits that tell this board from its neighbours: of its serial number, else random."""
    try:
        serial = root.joinpath("proc/device-tree/serial-number").read_text("ascii").strip("\0\n ").lower()
    except (OSError, UnicodeDecodeError):
        serial = ""
    return serial[-4:] if re.fullmatch(r"[0-9a-f]{8,32}", serial) else secrets.token_hex(2)


def _settings(kept: Kept) -> str:
    return (
        "# Settings of this node; `earshot check --settings` prints all that there are.\n"
        f'[node]\nid = "{kept.name}"\nsite = "{kept.site}"\n\n[web]\nhost = "0.0.0.0"\n'
    )


def _apply_name(places: Places, name: str) -> None:
    _write(places.root / "etc/hostname", f"{name}\n", 0o644)
    _write(places.root / "etc/hosts", f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}\n", 0o644)


def _apply_wifi(places: Places, wifi: Wifi | None) -> None:
    file = places.root / "etc/wpa_supplicant/wpa_supplicant-wlan0.conf"
    if wifi is None:
        file.unlink(missing_ok=True)
        return
    text = (
        f"ctrl_interface=/run/wpa_supplicant\ncountry={wifi.country}\n"
        f"network={{\n  ssid={wifi.ssid.encode().hex()}\n  psk={wifi.password}\n  scan_ssid=1\n}}\n"
    )
    _write(file, text, 0o600)


def _apply_code(places: Places, code: str) -> None:
    """Put a setup code where the pages look for it, until somebody is the owner; without one given, a random one."""
    if places.setup_code.exists():
        if code:
            _write(places.setup_code, f"{code}\n", 0o600, owner="earshot-web", group="earshot")
    elif not places.people.exists():
        random = "".join(secrets.choice(CODE_ALPHABET) for _ in range(N_CODE_CHARS))
        dashed = "-".join(random[i : i + 4] for i in range(0, N_CODE_CHARS, 4))
        _write(places.setup_code, f"{code or dashed}\n", 0o600, owner="earshot-web", group="earshot")


def _update_card(places: Places, data: bytes, problems: tuple[str, ...]) -> None:
    """Bring the firmware partition up to date, and touch it only where something changes: it is read-only otherwise."""
    wanted: dict[str, bytes | None] = {
        "earshot-problems.txt": "\r\n".join((*problems, "")).encode() if problems else None,
        "earshot-setup-code.txt": _read(places.setup_code),
    }
    if data:
        wanted["earshot.toml"] = without_secrets(data)
    changes = {name: text for name, text in wanted.items() if _read(places.firmware / name) != text}
    if not changes:
        return
    _remount(places, "rw")
    try:
        for name, text in changes.items():
            if text is None:
                (places.firmware / name).unlink(missing_ok=True)
            else:
                _write_bytes(places.firmware / name, text)
    finally:
        _remount(places, "ro")


def _remount(places: Places, mode: str) -> None:
    if os.path.ismount(places.firmware):
        subprocess.run(["mount", "-o", f"remount,{mode}", places.firmware], check=True)


def _show_on_screen(places: Places) -> None:
    """Name the node's page, and the code while there is no owner, on a screen where one hangs on the board."""
    name = places.root.joinpath("etc/hostname").read_text("ascii").strip()
    lines = ["", "", f"Earshot: https://{name}.local"]
    code = _read(places.setup_code)
    if code is not None:
        lines.append(f"Setup code: {code.decode('ascii').strip()}")
    try:
        places.root.joinpath("dev/tty1").write_text("\r\n".join((*lines, "")), "ascii")
    except OSError:
        sys.stderr.write("there is no screen\n")


def _load(file: Path) -> Kept | None:
    """What was kept; None at the first start and where the file was damaged, which then counts as a first start."""
    try:
        kept = json.loads(file.read_text("utf-8"))
        wifi = Wifi(**kept["wifi"]) if kept["wifi"] else None
        return Kept(str(kept["name"]), str(kept["site"]), wifi)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        sys.stderr.write(f"{file} is damaged ({error}); starting as if for the first time\n")
        return None


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _write(file: Path, text: str, mode: int, *, owner: str | None = None, group: str | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    _write_bytes(file, text.encode(), mode)
    if os.geteuid() == 0 and owner is not None and file.is_relative_to("/var/lib"):
        shutil.chown(file, owner, group)


def _write_bytes(file: Path, data: bytes, mode: int = 0o644) -> None:
    """Write so that a power cut leaves the old file or the new one."""
    new = file.with_name(f"{file.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)
    new.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


if __name__ == "__main__":
    sys.exit(main())
