"""`earshot replay SCENE… --out DIR`: scenes in, DIR/<scene folder's name>.jsonl out."""

import argparse
from pathlib import Path

from appliance.classify import load_classifier
from appliance.cli.batch import each, output_folder, progress, refuse_twins, write_incidents
from appliance.daemon.replay import hear_scene, locate_picks
from appliance.scene.reader import read_scene


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("scenes", nargs="+", type=Path, metavar="SCENE", help="folder with a scene.json")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument("--model", type=Path, metavar="FILE", help="another TFLite classifier than the one that came")


def run(arguments: argparse.Namespace) -> int:
    """Replay every scene; a broken one is reported and the others still run."""
    scenes: list[Path] = [scene.resolve() for scene in arguments.scenes]
    refuse_twins([scene.name for scene in scenes])
    out = output_folder(arguments.out)
    classifier = load_classifier(arguments.model)
    with progress("node", total=0) as bar:

        def replay(folder: Path) -> None:
            recorded = read_scene(folder)
            bar.total += len(recorded.scene.nodes)
            bar.set_description(folder.name)
            picks = hear_scene(recorded, classifier, lambda _node: bar.update() and None)
            poses = [node.pose for node in recorded.scene.nodes]
            write_incidents(out / f"{folder.name}.jsonl", locate_picks(picks, poses, recorded.scene.air))

        return each(scenes, replay)
