"""The committed classifier on sounds that it never heard: how well it tells, at what rates, and what it costs."""

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from training import evaluate  # noqa: E402  # the path above has to come first
from training.corpus import WORK_RATE_HZ, Recording, read_corpus  # noqa: E402

from appliance.classify import COMMITTED_MODEL, TfliteClassifier, load_classifier  # noqa: E402
from appliance.dsp.features import log_mel_patch  # noqa: E402

RESULT = ROOT / "tests" / "benchmarks" / "results" / "classify.json"
RATES_HZ = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000)
DISTANCES_M = (None, 200.0, 400.0)
SEED = 7
"""That of the training's evaluation, so that the figures compare."""
SUMMARY = ("auc", "impulses_passing", "fireworks_passing", "others_passing", "calibration_error")
TARGETS = {"auc": "at least 0.98", "impulses_passing": "at most 0.03", "calibration_error": "at most 0.03"}


def main() -> int:
    """Print and keep the figures."""
    classifier = load_classifier()
    result: dict[str, Any] = {"conditions": _conditions(), "cost": _cost(classifier)}
    _print_cost(result["cost"])
    data = Path(os.environ.get("EARSHOT_SHARED", ROOT.parent / "shared")) / "data"
    if (data / "manifest.csv").is_file():
        print("reading the recordings …", flush=True)
        recordings = read_corpus(data, held_out_only=True)
        result["held_out"] = _held_out(classifier, recordings)
        result["by_rate"] = _by_rate(classifier, recordings)
    else:
        print(f"no recordings at {data}: accuracy is not measured")
    result["cross_validation"] = _cross_validation()
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _conditions() -> dict[str, str]:
    statement = json.loads(COMMITTED_MODEL.with_suffix(".json").read_text(encoding="utf-8"))
    return {
        "command": "scripts/bench classify",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "model_sha256": statement["sha256"],
        "cross_validation": "that of the committed model's training run; scripts/train --seed 1 makes such"
        " figures again, of what the detector then picks",
    }


def _held_out(classifier: TfliteClassifier, recordings: list[Recording]) -> dict[str, Any]:
    figures = {}
    print("\nFP7 and the val split, never trained on; brackets: 95 %, sources resampled")
    for distance_m in DISTANCES_M:
        name = "as recorded" if distance_m is None else f"{distance_m:.0f} m"
        sounds = list(evaluate.evaluated_sounds(recordings, SEED, distance_m))
        probabilities = np.array([_values(classifier, s, WORK_RATE_HZ) for s in sounds])
        figures[name] = evaluate.figures(_rows(sounds), recordings, probabilities)
        _print_figures(name, figures[name])
    return figures


def _rows(sounds: list[evaluate.Heard]) -> evaluate.EvaluationSet:
    """Which recordings the sounds are of; nothing else of a set is asked here."""
    recording = np.array([s.recording for s in sounds])
    direct = np.array([s.direct for s in sounds])
    return evaluate.EvaluationSet(np.empty((len(sounds), 0), dtype=np.uint8), recording, recording, direct)


def _by_rate(classifier: TfliteClassifier, recordings: list[Recording]) -> dict[str, dict[str, float]]:
    """The same sounds brought to other rates: what changes is only what the front end lets through."""
    sounds = list(evaluate.evaluated_sounds(recordings, SEED, None))
    rows = _rows(sounds)
    reference = np.array([_values(classifier, s, WORK_RATE_HZ)[0] for s in sounds])
    rates = {}
    print("\nthe same sounds at other sample rates (12,000 Hz as recorded)")
    for rate_hz in RATES_HZ:
        values = np.array([_values(classifier, evaluate.at_rate(s, rate_hz), rate_hz) for s in sounds])
        o = evaluate.outcome(rows, recordings, values)
        change = float(np.quantile(np.abs(o.gunshot - reference), 0.95))
        rates[str(rate_hz)] = {
            "auc": round(evaluate.auc(o), 4),
            "impulses_passing": round(evaluate.impulses_passing(o), 4),
            "calibration_error": round(evaluate.calibration_error(o), 4),
            "change_95": round(change, 3),
        }
        figures = rates[str(rate_hz)]
        print(
            f"  {rate_hz:6d} Hz  AUC {figures['auc']:.4f}  impulses passing {figures['impulses_passing']:.3f}"
            f"  95 % of gunshot probabilities change by less than {change:.3f}"
        )
    return rates


def _values(classifier: TfliteClassifier, heard: evaluate.Heard, rate_hz: int) -> tuple[float, ...]:
    return classifier.classify(heard.samples, float(rate_hz), heard.onset).values


def _cost(classifier: TfliteClassifier) -> dict[str, float]:
    """Milliseconds of one classification at 48 kHz, and its ratio to 2^20 points of FFT in pieces of 32,768."""
    rng = np.random.default_rng(0)
    sound = rng.normal(0.0, 0.01, 48_000).astype(np.float32)
    pieces = rng.normal(size=(32, 32_768)) + 0j

    def transform() -> None:
        for piece in pieces:
            np.fft.fft(piece)

    reference_ms, patch_ms, whole_ms = [], [], []
    for _ in range(40):
        reference_ms.append(_milliseconds(transform))
        patch_ms.append(_milliseconds(lambda: log_mel_patch(sound, 48_000.0, 12_000)))
        whole_ms.append(_milliseconds(lambda: classifier.classify(sound, 48_000.0, 12_000)))
    ratio = float(np.median(np.array(whole_ms) / np.array(reference_ms)))
    return {
        "patch_ms": round(float(np.median(patch_ms)), 3),
        "classification_ms": round(float(np.median(whole_ms)), 3),
        "ratio_to_fft": round(ratio, 4),
        "model_bytes": COMMITTED_MODEL.stat().st_size,
    }


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def _cross_validation() -> dict[str, Any]:
    """The summary of the five folds, which need TensorFlow and come from the training run (scripts/train)."""
    figures = json.loads(COMMITTED_MODEL.with_name("figures.json").read_text(encoding="utf-8"))
    folds: dict[str, Any] = figures.get("folds", {})
    if folds:
        print(f"\nfive folds by source over everything, kept from scripts/train --seed {figures['seed']}")
    for name, figure in folds.items():
        _print_figures(name, figure)
    return {name: {key: figure[key] for key in SUMMARY} for name, figure in folds.items()}


def _print_figures(name: str, figures: dict[str, Any]) -> None:
    print(f"  {name}: {figures['n_gunshots']} gunshots of {figures['n_onsets']} onsets")
    for key in SUMMARY:
        value, low, high = figures[key]
        aim = f"   (to be {TARGETS[key]})" if key in TARGETS and name == "as recorded" else ""
        print(f"    {key.replace('_', ' '):20s} {value:.4f} [{low:.4f}, {high:.4f}]{aim}")


def _print_cost(cost: dict[str, float]) -> None:
    print(
        f"one classification at 48 kHz: {cost['classification_ms']:.2f} ms (patch {cost['patch_ms']:.2f} ms),"
        f" {cost['ratio_to_fft']:.3f} of 2^20 points of FFT; model of {cost['model_bytes']} bytes"
    )


if __name__ == "__main__":
    sys.exit(main())
