"""From recordings to a committed model: `scripts/train` runs this in its own environment."""

import argparse
import hashlib
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.dsp.features import FEATURES_VERSION
from appliance.model.classes import CLASSES
from training import card, evaluate, network
from training.corpus import Recording, read_corpus
from training.examples import N_FOLDS, Examples, training_examples

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "appliance" / "classify" / "models"
EVALUATION_SEED = 7
"""Fixed, so that models of different seeds are judged by the same sounds."""
DISTANCES_M = (None, 200.0, 400.0)
RATES_HZ = (8_000, 12_000, 16_000, 48_000)
_EPOCHS = 10
_N_REPRESENTATIVE = 500


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says."""

    data: Path
    seed: int
    out: Path
    share: float
    folds: bool


def main() -> int:
    """Train, evaluate, write; 2 where there is nothing to train on."""
    settings = _settings()
    if not (settings.data / "manifest.csv").is_file():
        print(
            f"train: {settings.data / 'manifest.csv'}: no such file; name the recordings with --data", file=sys.stderr
        )
        return 2
    network.make_repeatable(settings.seed)
    _say("reading the recordings")
    recordings = read_corpus(settings.data)
    examples = _make_examples(recordings, settings)
    sets = {d: evaluate.evaluation_set(recordings, EVALUATION_SEED, d) for d in DISTANCES_M}
    logits = _cross_validate(examples, sets, settings) if settings.folds else None
    calibration = evaluate.Calibration()
    figures: card.Figures = {"seed": settings.seed, "n_examples": len(examples.classes)}
    if logits is not None:
        calibration = evaluate.calibrate(logits[None], evaluate.are_gunshots(sets[None], recordings))
        figures["folds"] = _fold_figures(sets, logits, recordings)
    model = _final_model(examples, calibration, settings)
    figures |= {"temperature": calibration.temperature, "bias": calibration.bias, "model_bytes": len(model)}
    _say("testing the int8 model on what it never saw")
    figures["held_out"] = {_name(d): _held_out_figures(model, sets[d], recordings) for d in sets}
    figures["by_rate"] = _rate_figures(model, recordings)
    _write(settings.out, model, figures)
    return 0


def _settings() -> Settings:
    shared = Path(os.environ.get("EARSHOT_SHARED", ROOT.parent / "shared"))
    parser = argparse.ArgumentParser(prog="scripts/train")
    parser.add_argument("--data", type=Path, default=shared / "data")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=MODELS)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--no-folds", dest="folds", action="store_false")
    arguments = parser.parse_args()
    return Settings(arguments.data, arguments.seed, arguments.out, arguments.share, arguments.folds)


def _make_examples(recordings: list[Recording], settings: Settings) -> Examples:
    parts = []
    for name, part in training_examples(recordings, settings.seed, share=settings.share):
        _say(f"made {len(part.classes)} examples of {name}")
        parts.append(part)
    return Examples(
        np.concatenate([p.patches for p in parts]),
        np.concatenate([p.classes for p in parts]),
        np.concatenate([p.folds for p in parts]),
        np.concatenate([p.held_out for p in parts]),
    )


def _cross_validate(
    examples: Examples, sets: dict[float | None, evaluate.EvaluationSet], settings: Settings
) -> dict[float | None, NDArray[np.float64]]:
    """Logits for every evaluated sound, from the one of five networks that never heard its group."""
    logits = {d: np.zeros((len(s.fold), len(CLASSES))) for d, s in sets.items()}
    for fold in range(N_FOLDS):
        _say(f"fold {fold + 1} of {N_FOLDS}")
        others = examples.folds != fold
        model = network.train(
            examples.patches[others], examples.classes[others], settings.seed, epochs=_EPOCHS, verbose=2
        )
        for distance_m, chosen in sets.items():
            own = chosen.fold == fold
            logits[distance_m][own] = network.logits_of(model, chosen.patches[own])
    return logits


def _fold_figures(
    sets: dict[float | None, evaluate.EvaluationSet],
    logits: dict[float | None, NDArray[np.float64]],
    recordings: list[Recording],
) -> dict[str, object]:
    """Figures of each set, every fold calibrated on the sounds as recorded of the other four."""
    calibrations = {}
    for fold in range(N_FOLDS):
        others = sets[None].fold != fold
        is_gunshot = evaluate.are_gunshots(sets[None], recordings)
        calibrations[fold] = evaluate.calibrate(logits[None][others], is_gunshot[others])
    results: dict[str, object] = {}
    for distance_m, chosen in sets.items():
        probabilities = np.zeros_like(logits[distance_m])
        for fold, calibration in calibrations.items():
            own = chosen.fold == fold
            probabilities[own] = evaluate.softmax(calibration.apply(logits[distance_m][own]))
        results[_name(distance_m)] = evaluate.figures(chosen, recordings, probabilities)
    return results


def _final_model(examples: Examples, calibration: evaluate.Calibration, settings: Settings) -> bytes:
    _say("training the model to be committed")
    kept = np.flatnonzero(~examples.held_out)
    model = network.train(examples.patches[kept], examples.classes[kept], settings.seed, epochs=_EPOCHS, verbose=2)
    network.set_calibration(model, calibration)
    chosen = np.random.default_rng(settings.seed).choice(kept, min(_N_REPRESENTATIVE, len(kept)), replace=False)
    return network.to_int8(model, examples.patches[chosen])


def _held_out_figures(model: bytes, chosen: evaluate.EvaluationSet, recordings: list[Recording]) -> dict[str, object]:
    held_out = evaluate.rows_of(chosen, np.array([recordings[k].held_out for k in chosen.recording]))
    probabilities = evaluate.softmax(network.logits_of_int8(model, held_out.patches))
    return evaluate.figures(held_out, recordings, probabilities)


def _rate_figures(model: bytes, recordings: list[Recording]) -> dict[str, list[float]]:
    """The held-out sounds as recorded, at other sample rates: AUC, shares passing, and calibration error."""
    kept = [r for r in recordings if r.held_out]
    heard = list(evaluate.evaluated_sounds(kept, EVALUATION_SEED, None))
    rates = {}
    for rate_hz in RATES_HZ:
        chosen = evaluate.patches_of(heard, kept, rate_hz)
        logits = network.logits_of_int8(model, chosen.patches)
        o = evaluate.outcome(chosen, kept, evaluate.softmax(logits))
        summary = evaluate.auc, evaluate.impulses_passing, evaluate.fireworks_passing, evaluate.calibration_error
        rates[str(rate_hz)] = [round(figure(o), 4) for figure in summary]
    return rates


def _write(out: Path, model: bytes, figures: card.Figures) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "earshot.tflite").write_bytes(model)
    statement = {
        "features_version": FEATURES_VERSION,
        "classes": [c.value for c in CLASSES],
        "sha256": hashlib.sha256(model).hexdigest(),
    }
    (out / "earshot.json").write_text(json.dumps(statement, indent=2) + "\n", encoding="utf-8")
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (out / "MODEL_CARD.md").write_text(card.render(figures), encoding="utf-8")
    _say(f"wrote {out / 'earshot.tflite'} ({len(model)} bytes), its statement, figures and card")


def _name(distance_m: float | None) -> str:
    return "as recorded" if distance_m is None else f"{distance_m:.0f} m"


def _say(words: str) -> None:
    print(f"train: {time.strftime('%H:%M:%S')} {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
