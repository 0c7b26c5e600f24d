"""`earshot classify AUDIO…`: one JSON line per file with the time and the class probabilities of each onset."""

import argparse
import json
import sys
from pathlib import Path

from appliance.classify import load_classifier
from appliance.cli.batch import each, progress
from appliance.model.audio import ArrayGeometry
from appliance.model.classes import Classifier
from appliance.model.instants import NS_PER_S
from appliance.model.picks import Pick
from appliance.pipeline.detector import Detector
from appliance.scene.sound import read_sound, sound_blocks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", type=Path, metavar="AUDIO", help="sound file; its first channel is heard")
    parser.add_argument("--model", type=Path, metavar="FILE", help="another TFLite classifier than the one that came")


def run(arguments: argparse.Namespace) -> int:
    """Classify every file; one that can't be read is reported and the others still run."""
    classifier = load_classifier(arguments.model)
    # On a terminal the lines themselves show how far it is.
    with progress("file", total=len(arguments.files), shown=not sys.stdout.isatty()) as bar:

        def classify(path: Path) -> None:
            onsets = [_onset(pick) for pick in _hear(path, classifier)]
            print(json.dumps({"file": str(path), "onsets": onsets}), flush=True)
            bar.update()

        return each(arguments.files, classify)


def _onset(pick: Pick) -> dict[str, object]:
    classes = pick.classes.as_dict() if pick.classes is not None else {}
    return {
        "time_s": round(pick.time_ns / NS_PER_S, 6),
        "classes": {name: round(probability, 4) for name, probability in classes.items()},
    }


def _hear(path: Path, classifier: Classifier) -> list[Pick]:
    """The picks of one file, in order of time since its first sample."""
    samples, rate_hz = read_sound(path)
    detector = Detector("file", ArrayGeometry(((0.0, 0.0, 0.0),)), classifier=classifier)
    picks: list[Pick] = []
    for block in sound_blocks(samples, rate_hz):
        picks.extend(detector.feed(block).picks)
    picks.extend(detector.flush().picks)
    return sorted(picks, key=lambda pick: pick.time_ns)
