"""The model card, from the figures."""

from pathlib import Path
from typing import Any

from appliance.dsp import features
from appliance.model.classes import CLASSES

Figures = dict[str, Any]

_TEMPLATE = Path(__file__).with_name("card.md")

_SUMMARY = {
    "auc": "AUC, gunshot against all",
    "impulses_passing": "hits, claps, pops and thunder passing",
    "fireworks_passing": "fireworks passing",
    "others_passing": "everything else that tripped the detector passing",
    "calibration_error": "expected calibration error of the gunshot probability",
}


def render(figures: Figures) -> str:
    """MODEL_CARD.md."""
    tables = []
    if "folds" in figures:
        tables.append(_section("Five folds, over everything", figures["folds"]))
    title = "The committed int8 model on FP7 and the val split, which it never heard"
    tables.append(_section(title, figures["held_out"]))
    return _TEMPLATE.read_text(encoding="utf-8").format(
        classes=", ".join(CLASSES),
        frames=features.N_FRAMES,
        bands=features.N_BANDS,
        before=features.WINDOW_BEFORE_S,
        after=features.WINDOW_AFTER_S,
        version=features.FEATURES_VERSION,
        low=features.LOWEST_HZ,
        high=features.HIGHEST_HZ,
        tables="\n\n".join(tables),
        note=figures["note"] + "\n\n" if "note" in figures else "",
        rates=rates(figures["by_rate"]),
        **{key: figures[key] for key in ("seed", "temperature", "bias", "model_bytes", "n_examples")},
    )


def _section(title: str, sets: dict[str, Figures]) -> str:
    """One table of all sets, then by class and place, with how honest the probability is."""
    names = list(sets)
    lines = [f"### {title}", "", *_head("", *names)]
    for key, words in _SUMMARY.items():
        cells = [f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in (sets[n][key] for n in names)]
        lines.append(_row(words, *cells))
    lines.append(_row("gunshots of onsets", *(f"{sets[n]['n_gunshots']} of {sets[n]['n_onsets']}" for n in names)))
    recorded = sets[names[0]]
    tables = [_by_label(sets), _trade(recorded), _fireworks(recorded), _recall(recorded), _reliability(sets)]
    tables.append(_confusion(recorded))
    return "\n".join([*lines, *(line for table in tables for line in ("", *table))])


def _head(*cells: str) -> list[str]:
    return ["| " + " | ".join(cells) + " |", "|---" * len(cells) + "|"]


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |"


def _by_label(sets: dict[str, Figures]) -> list[str]:
    names = list(sets)
    passing = [f"passing {name}" for name in names]
    lines = _head("label", "onsets", "sources", *passing, "mean gunshot probability", "right class")
    for label, of in sets[names[0]]["by_label"].items():
        shares = [f"{sets[n]['by_label'][label]['passing']:.3f}" for n in names]
        chance, right = f"{of['mean_gunshot_probability']:.3f}", f"{of['right_class']:.3f}"
        lines.append(_row(label, of["n_onsets"], of["n_sources"], *shares, chance, right))
    return lines


def _trade(figures: Figures) -> list[str]:
    lines = _head("share of gunshots found", "threshold", "impulses passing", "fireworks passing", "all else passing")
    for recall, (level, *shares) in figures["passing_at_recall"].items():
        lines.append(_row(recall, f"{level:.2f}", *(f"{s:.3f}" for s in shares)))
    return lines


def _fireworks(figures: Figures) -> list[str]:
    lines = _head("recording of fireworks", "passing", "onsets")
    lines.extend(_row(source, f"{share:.3f}", n) for source, (share, n) in figures["fireworks"].items())
    return lines


def _reliability(sets: dict[str, Figures]) -> list[str]:
    lines = _head("heard", "onsets in this tenth", "mean gunshot probability", "of them gunshots")
    for name, figures in sets.items():
        lines.extend(_row(name, n, f"{mean:.3f}", f"{share:.3f}") for n, mean, share in figures["reliability"])
    return lines


def rates(by_rate: dict[str, list[float]]) -> str:
    """The table of sample rates."""
    lines = _head("sample rate, Hz", "AUC", "impulses passing", "fireworks passing", "calibration error")
    lines.extend(_row(f"{int(rate_hz):,}", *(f"{v:.3f}" for v in values)) for rate_hz, values in by_rate.items())
    return "\n".join(lines)


def _recall(figures: Figures) -> list[str]:
    lines = _head(f"gunshots reaching {figures['threshold']:.2f}", "share", "onsets")
    lines.extend(_row(place, f"{share:.3f}", n) for place, (share, n) in figures["recall"].items())
    return lines


def _confusion(figures: Figures) -> list[str]:
    lines = _head("truth \\ most probable", *CLASSES)
    lines.extend(_row(name, *row) for name, row in zip(CLASSES, figures["confusion"], strict=True))
    return lines
