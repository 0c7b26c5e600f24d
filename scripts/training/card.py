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
        **{key: figures[key] for key in ("seed", "temperature", "bias", "model_bytes", "n_examples")},
    )


def _section(title: str, sets: dict[str, Figures]) -> str:
    """One table of all sets, then by class and place for the sounds as recorded."""
    names = list(sets)
    lines = [f"### {title}", "", "| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for key, words in _SUMMARY.items():
        cells = [f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in (sets[n][key] for n in names)]
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    counts = [f"{sets[n]['n_gunshots']} of {sets[n]['n_onsets']}" for n in names]
    lines.append("| gunshots of onsets | " + " | ".join(counts) + " |")
    return "\n".join(
        [*lines, "", *_by_label(sets[names[0]]), "", *_recall(sets[names[0]]), "", *_confusion(sets[names[0]])]
    )


def _by_label(figures: Figures) -> list[str]:
    lines = [
        "| label (as recorded) | onsets | sources | passing | mean gunshot probability | right class |",
        "|---|---|---|---|---|---|",
    ]
    for label, of in figures["by_label"].items():
        lines.append(
            f"| {label} | {of['n_onsets']} | {of['n_sources']} | {of['passing']:.3f} |"
            f" {of['mean_gunshot_probability']:.3f} | {of['right_class']:.3f} |"
        )
    return lines


def _recall(figures: Figures) -> list[str]:
    lines = [f"| gunshots reaching {figures['threshold']:.2f} | share | onsets |", "|---|---|---|"]
    lines.extend(f"| {place} | {share:.3f} | {n} |" for place, (share, n) in figures["recall"].items())
    return lines


def _confusion(figures: Figures) -> list[str]:
    lines = ["| truth \\ most probable | " + " | ".join(CLASSES) + " |", "|---" * (len(CLASSES) + 1) + "|"]
    for name, row in zip(CLASSES, figures["confusion"], strict=True):
        lines.append(f"| {name} | " + " | ".join(str(n) for n in row) + " |")
    return lines
