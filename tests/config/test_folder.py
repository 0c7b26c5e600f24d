"""The state folder of a node."""

import stat

import pytest

from appliance.config.folder import NodeFolder
from appliance.errors import InputError


def test_a_new_folder_is_closed_to_others(tmp_path):
    folder = NodeFolder(tmp_path / "node")
    folder.make()
    assert stat.S_IMODE(folder.root.stat().st_mode) & stat.S_IRWXO == 0
    assert folder.control_socket.parent.is_dir()


def test_the_mode_of_a_folder_that_is_there_is_left_alone(tmp_path):
    root = tmp_path / "node"
    root.mkdir(mode=0o755)
    root.chmod(0o755)
    NodeFolder(root).make()
    assert stat.S_IMODE(root.stat().st_mode) == 0o755


def test_a_folder_too_deep_for_a_socket_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(InputError, match="shorter"):
        NodeFolder(tmp_path / ("x" * 100)).make()
