"""The committed classifier on sounds that it never heard: how well it tells, at what rates, and what it costs."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
from numpy.typing import NDArray

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
    result: dict[str, Any] = {"cost": _cost(classifier)}
    _print_cost(result["cost"])
    data = Path(os.environ.get("EARSHOT_SHARED", ROOT.parent / "shared")) / "data"
    if (data / "manifest.csv").is_file():
        print("reading the recordings …", flush=True)
        recordings = [r for r in read_corpus(data) if r.held_out]
        result["held_out"] = _held_out(classifier, recordings)
        result["by_rate"] = _by_rate(classifier, recordings)
    else:
        print(f"no recordings at {data}: accuracy is not measured")
    result["cross_validation"] = _cross_validation()
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _held_out(classifier: TfliteClassifier, recordings: list[Recording]) -> dict[str, Any]:
    figures = {}
    print("\nFP7 and the val split, never trained on; brackets: 95 %, sources resampled")
    for distance_m in DISTANCES_M:
        name = "as recorded" if distance_m is None else f"{distance_m:.0f} m"
        sounds = list(evaluate.evaluated_sounds(recordings, SEED, distance_m))
        chosen = evaluate.evaluation_set(recordings, SEED, distance_m)
        probabilities = np.array([_values(classifier, s.samples, WORK_RATE_HZ, s.onset) for s in sounds])
        figures[name] = evaluate.figures(chosen, recordings, probabilities)
        _print_figures(name, figures[name])
    return figures


def _by_rate(classifier: TfliteClassifier, recordings: list[Recording]) -> dict[str, dict[str, float]]:
    """The same sounds brought to other rates: what changes is only what the front end lets through."""
    sounds = list(evaluate.evaluated_sounds(recordings, SEED, None))
    truth = evaluate.are_gunshots(evaluate.evaluation_set(recordings, SEED, None), recordings)
    reference = np.array([_values(classifier, s.samples, WORK_RATE_HZ, s.onset)[0] for s in sounds])
    rates = {}
    print("\nthe same sounds at other sample rates (12,000 Hz as recorded)")
    for rate_hz in RATES_HZ:
        divisor = int(np.gcd(rate_hz, WORK_RATE_HZ))
        up, down = rate_hz // divisor, WORK_RATE_HZ // divisor
        at_rate = [scipy.signal.resample_poly(s.samples, up, down).astype(np.float32) for s in sounds]
        onsets = [round(s.onset * rate_hz / WORK_RATE_HZ) for s in sounds]
        chances = np.array([_values(classifier, a, rate_hz, o)[0] for a, o in zip(at_rate, onsets, strict=True)])
        auc = float((chances[truth][:, None] > chances[~truth][None, :]).mean())
        change = float(np.quantile(np.abs(chances - reference), 0.95))
        rates[str(rate_hz)] = {"auc": round(auc, 4), "change_95": round(change, 3)}
        print(f"  {rate_hz:6d} Hz  AUC {auc:.4f}   95 % of gunshot probabilities change by less than {change:.3f}")
    return rates


def _values(classifier: TfliteClassifier, samples: NDArray[np.float32], rate_hz: int, onset: int) -> tuple[float, ...]:
    return classifier.classify(samples, float(rate_hz), onset).values


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
    """The summary of the five folds, which need TensorFlow and come from scripts/train."""
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
