"""The catalogue of everything that the pages say; another language is one more file in `static/texts`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from appliance.errors import InputError

FOLDER = Path(__file__).parent / "static" / "texts"


class Texts(Mapping[str, str]):
    """The texts of one language by key. A key with a number has two forms, `key.one` and `key.other`."""

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        """Take the texts of `language` (an IETF tag such as `en`)."""
        self.language = language
        self._texts = dict(texts)

    def __getitem__(self, key: str) -> str:
        """The text; raises KeyError for a key that is in no catalogue."""
        return self._texts[key]

    def __iter__(self) -> Iterator[str]:
        """The keys."""
        return iter(self._texts)

    def __len__(self) -> int:
        """How many texts there are."""
        return len(self._texts)

    def say(self, key: str, **values: object) -> str:
        """The text with `{name}` replaced by `values`."""
        return self[key].format_map(values)

    def count(self, key: str, n: int, **values: object) -> str:
        """The form of `key` for `n` things, with `{n}` and `values` filled in."""
        return self.say(f"{key}.one" if n == 1 else f"{key}.other", n=n, **values)


def load_texts(language: str) -> Texts:
    """The catalogue of `language`. Raises InputError when there is none."""
    known = sorted(file.stem for file in FOLDER.glob("*.json"))
    if language not in known:
        raise InputError("language", f"{language!r} has no catalogue", f"choose one of {', '.join(known)}")
    return Texts(language, json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8")))
