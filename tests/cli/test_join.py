import asyncio

import pytest

from appliance.cli import main
from appliance.mesh.joining import JoinDoor
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
        door = JoinDoor(load_credentials(tmp_path / "n1"), site, lambda _: False)
        code, port = await door.open(("127.0.0.1",))
        status = await asyncio.to_thread(main, ["join", code, f"127.0.0.1:{port}", "--state", str(state)])
        await door.close()
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
