"""The committed model is the one that its card and its figures speak of, and it hears what it is for."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from appliance.classify import COMMITTED_MODEL, load_classifier
from appliance.model.air import Air
from appliance.model.classes import CLASSES, SoundClass
from appliance.physics.blasts import ONSET_SAMPLES, WEAPONS, muzzle_blast
from appliance.physics.outdoors import apply_distance

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("EARSHOT_SHARED", ROOT.parent / "shared")) / "data"
RATE_HZ = 16_000.0


def test_the_card_and_the_figures_are_those_of_this_model():
    figures = json.loads(COMMITTED_MODEL.with_name("figures.json").read_text())
    card = COMMITTED_MODEL.with_name("MODEL_CARD.md").read_text()
    assert figures["model_bytes"] == COMMITTED_MODEL.stat().st_size
    assert f"--seed {figures['seed']}" in card
    assert f"{figures['model_bytes']:,} bytes" in card
    auc, low, high = figures["folds"]["as recorded"]["auc"]
    assert f"{auc:.3f} [{low:.3f}, {high:.3f}]" in card


@pytest.mark.parametrize("rate_hz", ["8,000", "16,000", "48,000"])
def test_the_card_gives_figures_at_the_rates_of_converters(rate_hz):
    card = COMMITTED_MODEL.with_name("MODEL_CARD.md").read_text()
    assert f"| {rate_hz} | " in card


def test_the_committed_measurements_are_of_this_model():
    statement = json.loads(COMMITTED_MODEL.with_suffix(".json").read_text())
    measured = json.loads((ROOT / "tests" / "benchmarks" / "results" / "classify.json").read_text())
    assert measured["conditions"]["model_sha256"] == statement["sha256"]
    figures = json.loads(COMMITTED_MODEL.with_name("figures.json").read_text())
    assert measured["cross_validation"]["as recorded"]["auc"] == figures["folds"]["as recorded"]["auc"]


@pytest.mark.parametrize("author", ["ShotSpotter", "Ben Jaszczak", "Piczak", "Warden", "OpenClonk", "InspectorJ"])
def test_the_card_carries_the_attribution_that_licences_ask_for(author):
    assert author in COMMITTED_MODEL.with_name("MODEL_CARD.md").read_text()


def heard(pressure_pa: np.ndarray, lead: int, distance_m: float, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A sound from `distance_m` away in quiet street noise, at half of full scale, and its onset."""
    street = apply_distance(pressure_pa, RATE_HZ, distance_m, Air(15.0), rng)
    street = np.concatenate([np.zeros(8_000), street, np.zeros(16_000)])
    street *= 0.5 / np.abs(street).max()
    return (street + rng.normal(0.0, 2e-3, len(street))).astype(np.float32), 8_000 + lead


def horn(rng: np.random.Generator) -> np.ndarray:
    """Half a second of three tones that swell within 30 ms."""
    time_s = np.arange(8_000) / RATE_HZ
    tones = np.sin(2.0 * np.pi * rng.uniform(300.0, 2_000.0, (3, 1)) * time_s).sum(axis=0)
    return tones * np.minimum(time_s / 0.03, 1.0)


@pytest.mark.parametrize("distance_m", [60.0, 150.0, 300.0])
def test_a_muzzle_blast_in_a_street_is_more_likely_a_gunshot_than_a_horn_is(distance_m):
    classifier, rng = load_classifier(), np.random.default_rng(11)
    shots, others = [], []
    for weapon in WEAPONS.values():
        blast = muzzle_blast(weapon, RATE_HZ, rng, off_axis_rad=0.5, distance_m=distance_m)
        sound, onset = heard(blast.pressure_pa, ONSET_SAMPLES, distance_m, rng)
        shots.append(classifier.classify(sound, RATE_HZ, onset).gunshot)
        sound, onset = heard(horn(rng), 0, distance_m, rng)
        others.append(classifier.classify(sound, RATE_HZ, onset).gunshot)
    assert np.median(shots) > 0.5
    assert np.median(others) < 0.1


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA} (EARSHOT_SHARED names another place)")
def test_recorded_shots_and_barks_that_it_never_heard_are_told_apart():
    classifier = load_classifier()
    with (DATA / "manifest.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "val"]
    shots = [r for r in rows if "FP7" in r["file"] and r["onsets_s"]][:12]
    chances = []
    for row in shots:
        samples, rate_hz = soundfile.read(DATA / row["file"], dtype="float32")
        onset = round(float(row["onsets_s"].split(";")[0]) * rate_hz)
        chances.append(classifier.classify(samples, rate_hz, onset).gunshot)
    assert len(chances) == 12
    assert np.median(chances) > 0.5
    for row in [r for r in rows if r["label"] == "dog"]:
        samples, rate_hz = soundfile.read(DATA / row["file"], dtype="float32")
        loudest = int(np.argmax(np.abs(samples)))
        values = classifier.classify(samples, rate_hz, loudest).values
        assert values[CLASSES.index(SoundClass.GUNSHOT)] < 0.5
