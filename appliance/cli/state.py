"""What the commands of a node's processes share: its state folder and the settings in it."""

import argparse
from pathlib import Path

from appliance.config import Settings, load_settings
from appliance.config.folder import NodeFolder

DEFAULT_STATE = Path("/var/lib/earshot")


def add_state_argument(parser: argparse.ArgumentParser) -> None:
    """Declare `--state`."""
    parser.add_argument(
        "--state", type=Path, default=DEFAULT_STATE, metavar="DIR",
        help=f"the node's state folder, with its earshot.toml (default {DEFAULT_STATE})",
    )  # fmt: skip


def open_folder(arguments: argparse.Namespace) -> tuple[NodeFolder, Settings]:
    """The node's folder, made where it is missing, and its settings, or the defaults. Raises InputError."""
    folder = NodeFolder(arguments.state)
    folder.make()
    settings = load_settings(folder.settings_file) if folder.settings_file.exists() else Settings()
    return folder, settings
