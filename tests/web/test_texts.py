"""The catalogue holds every text that the pages use and no other, and the colours can be read, day and night."""

import re
from pathlib import Path

import pytest

import web
from appliance.errors import InputError
from web.texts import load_texts

WEB = Path(web.__file__).parent
TEXTS = load_texts("en")


def sources():
    files = [*WEB.glob("*.py"), *WEB.glob("templates/*.html"), *WEB.glob("static/js/**/*.js")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def test_every_text_that_is_asked_for_by_name_exists():
    asked = set(
        re.findall(r"""(?:\bt\(|\bt\[|texts\[|texts\.say\(\s*|\btexts\.get\()["']([a-z][\w.-]+)["']""", sources())
    )
    assert len(asked) > 60
    # In a template a name may be put together: t["role." ~ role].
    assert not {key for key in asked if key not in TEXTS and not key.endswith(".")}


def test_every_counted_text_has_both_forms():
    asked = set(re.findall(r"""\bcount\(\s*["']([a-z][\w.-]+)["']""", sources()))
    assert asked
    assert not {f"{key}.{form}" for key in asked for form in ("one", "other")} - set(TEXTS)


def test_no_text_is_left_over():
    text = sources()
    literals = set(re.findall(r"""["'`]([a-z][\w.-]+)["'`]""", text))
    prefixes = tuple(re.findall(r"""["'`]([a-z][\w.-]*\.)(?:[\{$]|["'] ~)""", text))
    stems = {key: re.sub(r"\.(one|other|why|remedy)$", "", key) for key in TEXTS}
    left = {k for k, stem in stems.items() if not ({k, stem} & literals or k.startswith(prefixes))}
    assert not left


def test_an_unknown_language_is_refused_with_those_that_there_are():
    with pytest.raises(InputError, match="'xx' has no catalogue; choose one of en"):
        load_texts("xx")


def tokens(theme):
    css = (WEB / "static/css/tokens.css").read_text(encoding="utf-8")
    pairs = re.findall(r"--([\w-]+): light-dark\(#([0-9a-f]{6})\w*, #([0-9a-f]{6})\w*\);", css)
    return {name: (night if theme == "night" else day) for name, day, night in pairs}


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["day", "night"])
def test_text_is_readable_on_every_surface(theme):
    colours = tokens(theme)
    words = [
        "text",
        "text-soft",
        "text-faint",
        "accent",
        "gunfire",
        "possible-gunfire",
        "ok",
        "degraded",
        "failed",
        "silent",
    ]
    too_weak = {
        (word, surface): round(contrast(colours[word], colours[surface]), 2)
        for word in words
        for surface in ("surface", "raised", "selected")
        if contrast(colours[word], colours[surface]) < 4.5
    }
    assert not too_weak
    assert contrast(colours["on-gunfire"], colours["gunfire"]) >= 4.5
    assert contrast(colours["on-warn"], colours["warn"]) >= 4.5
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    assert contrast("ffffff", colours["alarm"]) >= 4.5


@pytest.mark.parametrize("theme", ["day", "night"])
def test_marks_stand_out_from_the_map(theme):
    colours = tokens(theme)
    for mark in ("gunfire", "possible-gunfire", "firework", "other", "ok", "degraded", "failed", "silent", "map-text"):
        for ground in ("land", "block", "park", "water"):
            assert contrast(colours[mark], colours[ground]) >= 3.0, (mark, ground)
