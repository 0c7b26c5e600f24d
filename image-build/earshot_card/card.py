"""earshot.toml of the firmware partition: what a person may have written into it, checked key by key.

A wrong value costs that value alone, never the rest: a node with a bad name must still come up on its Wi-Fi. Pure.
"""

import difflib
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass

MAX_FILE_BYTES = 64 * 1024
"""A page of text; more is a mistake."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CODE = re.compile(r"[A-Za-z0-9-]{8,40}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_PASSWORD = re.compile(r"[ -~]{8,63}|[0-9A-Fa-f]{64}")
_SECRETS = re.compile(
    r"""^(?P<key>[ \t]*(?:password|setup_code)[ \t]*=[ \t]*)(?:"(?:[^"\\\r\n]|\\.)*"|'[^'\r\n]*')""", re.M
)


@dataclass(frozen=True, slots=True)
class Wifi:
    """A network to join; `password` as the person knows it (8 to 63 printable characters, or 64 hexadecimal digits).

    An empty password stands for the one that the node has already: it is taken out of the file once it is known.
    """

    country: str
    ssid: str
    password: str


@dataclass(frozen=True, slots=True)
class Card:
    """What the file says; an empty text is "nothing said"."""

    name: str = ""
    site: str = ""
    setup_code: str = ""
    wifi: Wifi | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A card and, a line each, what of it could not be used."""

    card: Card
    problems: tuple[str, ...]


def read_card(data: bytes) -> Reading:
    """The card that the bytes of earshot.toml describe; whatever is wrong is left out and told."""
    if len(data) > MAX_FILE_BYTES:
        return Reading(Card(), (f"earshot.toml is larger than {MAX_FILE_BYTES} bytes; write it anew",))
    try:
        # Windows editors add a byte-order mark and CRLF; both are harmless.
        document = tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        return Reading(Card(), (f"earshot.toml is not UTF-8 text (byte {error.start}); save it as plain text",))
    except tomllib.TOMLDecodeError as error:
        return Reading(Card(), (f"earshot.toml can't be read: {error}; values stand between quotation marks",))
    problems: list[str] = []
    top = _texts(document, {"name", "site", "setup_code"}, {"wifi"}, "", problems)
    wifi = document.get("wifi", {})
    if not isinstance(wifi, dict):
        problems.append("wifi must be a section: [wifi] on a line of its own")
        wifi = {}
    network = _texts(wifi, {"country", "ssid", "password"}, set(), "wifi.", problems)

    def take(key: str, text: str, is_good: Callable[[str], object], remedy: str) -> str:
        if not text or is_good(text):
            return text
        problems.append(f"{key} = {_shown(key, text)} can't be used; {remedy}")
        return ""

    name = take(
        "name",
        top.get("name", "").lower(),
        _NAME.fullmatch,
        "use up to 63 letters, digits and hyphens, no hyphen at an end",
    )
    site = take(
        "site", top.get("site", ""), _SITE.fullmatch, "use up to 64 letters, digits, hyphens, dots, underscores"
    )
    code = take("setup_code", top.get("setup_code", ""), _CODE.fullmatch, "use 8 to 40 letters, digits and hyphens")
    return Reading(Card(name, site, code, _wifi(network, take, problems)), tuple(problems))


def without_secrets(data: bytes) -> bytes:
    """The file with the Wi-Fi's password and the setup code emptied, and nothing else changed; b"" stays b""."""
    text = data.decode("utf-8", "surrogateescape")
    return _SECRETS.sub(lambda match: f'{match["key"]}""', text).encode("utf-8", "surrogateescape")


def _texts(
    table: dict[str, object], known: set[str], sections: set[str], prefix: str, problems: list[str]
) -> dict[str, str]:
    """The known keys of a table whose values are texts; all others become problems."""
    good: dict[str, str] = {}
    for key, value in table.items():
        if key in sections:
            continue
        if key not in known:
            near = difflib.get_close_matches(key, known | sections, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"there are {', '.join(sorted(known | sections))}"
            problems.append(f"{prefix}{key[:64]} is no setting of this file; {hint}")
        elif not isinstance(value, str):
            problems.append(f"{prefix}{key} must stand between quotation marks")
        else:
            good[key] = value.strip() if key != "password" else value
    return good


def _wifi(
    network: dict[str, str],
    take: Callable[[str, str, Callable[[str], object], str], str],
    problems: list[str],
) -> Wifi | None:
    if not any(network.values()):
        return None
    country = take(
        "wifi.country", network.get("country", "").upper(), _COUNTRY.fullmatch, "use two letters, such as US"
    )
    ssid = take("wifi.ssid", network.get("ssid", ""), lambda text: len(text.encode()) <= 32, "it has at most 32 bytes")
    password = take(
        "wifi.password", network.get("password", ""), _PASSWORD.fullmatch, "it has 8 to 63 plain characters"
    )
    missing = [key for key, text in (("wifi.country", country), ("wifi.ssid", ssid)) if not text]
    if missing or (network.get("password") and not password):
        problems.append(f"Wi-Fi stays as it was: {' and '.join(missing) or 'its password'} is missing")
        return None
    return Wifi(country, ssid, password)


def _shown(key: str, text: str) -> str:
    """A secret is named by its length alone: problems are shown on a page."""
    return f"({len(text)} characters)" if key in {"wifi.password", "setup_code"} else ascii(text[:64])
