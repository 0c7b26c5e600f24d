import time

import pytest

from appliance.errors import StoreError
from appliance.storage import StoreReader
from appliance.storage.node_store import NodeStore
from appliance.storage.status import NodeStatus, Status, read_nodes, read_rejections, status_file, write_status

CHECK = {
    "name": "ears",
    "state": "ok",
    "words": "hearing",
    "number": -50.0,
    "unit": "dBFS",
    "since_ns": 1,
    "remedy": "",
}
PLACE = {"lat": 35.0, "lon": -106.0, "alt_m": 1500.0, "position_sigma_m": 1.0, "heading_deg": 0.0}


def status(written_ns):
    common = {"url": "http://a:1", "software": "1", "alive": True, "last_heard_ns": written_ns, "health": [CHECK]}
    levels = [{"rms_dbfs": -50.0, "peak_dbfs": -40.0, "n_clipped_samples": 0}]
    nodes = [
        NodeStatus(id="n1", is_self=True, levels=levels, **PLACE, **common),
        NodeStatus(id="n2", is_self=False, **PLACE, **common),
    ]
    return Status(written_ns, nodes, [{"time_ns": 5_000 - n, "stage": "s", "reason": str(n)} for n in range(10)])


@pytest.fixture
def path(tmp_path):
    (tmp_path / "run").mkdir()
    return status_file(tmp_path / "node.db")


def test_nodes_and_rejections_are_read_through_the_store_reader(path, tmp_path):
    NodeStore(tmp_path / "node.db").close()
    reader = StoreReader(tmp_path / "node.db")
    assert reader.nodes() == []
    assert reader.rejections() == []
    write_status(path, status(time.time_ns()))
    nodes = reader.nodes()
    assert [(n["id"], n["self"], n["alive"]) for n in nodes] == [("n1", True, True), ("n2", False, True)]
    assert nodes[0]["health"] == [CHECK]
    assert nodes[0]["levels"][0]["rms_dbfs"] == -50.0
    assert nodes[0]["lat"] == 35.0
    rejections = reader.rejections(limit=3)
    assert [r["reason"] for r in rejections] == ["0", "1", "2"]
    assert rejections[0]["time"] == "1970-01-01T00:00:00.000005Z"
    reader.close()


def test_when_mesh_hangs_nobody_is_said_to_be_alive_and_the_node_says_why(path):
    write_status(path, status(time.time_ns() - 6_000_000_000))
    own, peer = read_nodes(path)
    assert not own["alive"]
    assert not peer["alive"]
    assert own["health"][0]["state"] == "failed"
    assert "start earshot mesh" in own["health"][0]["remedy"]
    assert own["levels"] == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"written_ns": 1, "nodes": [{"id": 5}]}'])
def test_a_damaged_file_is_an_error_with_a_remedy(path, content):
    path.write_bytes(content)
    with pytest.raises(StoreError, match="restart earshot mesh"):
        read_nodes(path)
    with pytest.raises(StoreError, match="restart earshot mesh"):
        read_rejections(path, 5)


def test_a_folder_that_can_not_be_written_is_named(tmp_path):
    with pytest.raises(StoreError, match="make its folder writable"):
        write_status(tmp_path / "none" / "status.json", status(1))
