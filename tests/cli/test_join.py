import asyncio

import pytest

from appliance.cli import main
from appliance.mesh.hub import PeerHub
from appliance.mesh.joining import JoinDoor
from appliance.mesh.link import make_identity
from appliance.mesh.trust import create_site, load_credentials


@pytest.fixture
def site(tmp_path):
    site = create_site("harbour")
    site.enrol("n1", tmp_path / "n1")
    return site


def test_a_node_is_let_in_from_the_command_line(tmp_path, site, capsys):
    state = tmp_path / "new"
    state.mkdir()
    (state / "earshot.toml").write_text('[node]\nid = "n2"\n', encoding="utf-8")

    async def scenario():
        credentials = load_credentials(tmp_path / "n1")
        hub = PeerHub(make_identity(credentials, "test"), None)
        port = await hub.listen(("127.0.0.1",), 0)
        door = JoinDoor(credentials, site, lambda _: False, lambda: hub.let_guests(None))
        hub.let_guests(door.talk)
        status = await asyncio.to_thread(main, ["join", door.code, f"127.0.0.1:{port}", "--state", str(state)])
        await hub.close()
        return status

    assert asyncio.run(scenario()) == 0
    assert "n2 was let in" in capsys.readouterr().out
    assert load_credentials(state / "keys.joined").site.key == site.site.key


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["0000-0000-0000-000U", "127.0.0.1:1"], "type the 16 characters"),
        (["0000-0000-0000-0000", "127.0.0.1:1"], "check the address"),
        (["0000-0000-0000-0000", "nowhere"], "write it like 10.0.0.7:40123"),
    ],
)
def test_what_can_not_work_is_told_in_one_line(tmp_path, words, told, capsys):
    assert main(["join", *words, "--state", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "keys.joined").exists()
