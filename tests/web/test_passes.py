"""A pass of one node of the site opens the others, for a while and for what its holder may; nothing else does."""

import datetime
import time

import msgspec
import pytest

from appliance.mesh.pages import make_server_certificate
from appliance.mesh.trust import create_site
from web import passes
from web.passes import LIFETIME_NS, Passes
from web.roles import Person, Proof, Role

NOW = datetime.datetime(2026, 7, 4, tzinfo=datetime.UTC)
NOW_NS = int(NOW.timestamp()) * 10**9
ANN = Person("ann", Role.PATROL, Proof.SESSION, "token")


def page_keys(site, node, folder):
    """What mesh puts into a node's run folder."""
    site.enrol(node, folder / "keys")
    made = make_server_certificate(folder / "keys", node, [f"{node}.local"], [], NOW)
    (folder / passes.KEY_FILE).write_bytes(made.key)
    (folder / passes.CHAIN_FILE).write_bytes(made.chain)
    (folder / passes.AUTHORITY_FILE).write_bytes(made.authority)
    return folder


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    city, elsewhere = create_site("city"), create_site("city")
    folders = {name: tmp_path_factory.mktemp(name) for name in ("n1", "n2", "foreign")}
    keys = {name: page_keys(elsewhere if name == "foreign" else city, name, folder) for name, folder in folders.items()}
    return {name: Passes(folder) for name, folder in keys.items()}


def test_a_pass_of_one_node_is_good_at_another(nodes):
    text = nodes["n1"].issue(ANN, NOW_NS)
    assert nodes["n2"].check(text, NOW_NS + 60 * 10**9) == Person("ann", Role.PATROL, Proof.PASS)


def test_a_pass_ends_and_can_not_be_made_to_last(nodes):
    text = nodes["n1"].issue(ANN, NOW_NS)
    assert nodes["n2"].check(text, NOW_NS + LIFETIME_NS) is not None
    assert nodes["n2"].check(text, NOW_NS + LIFETIME_NS + 1) is None
    assert nodes["n2"].check(text, NOW_NS - 3_600 * 10**9) is None
    assert nodes["n2"].issue(nodes["n2"].check(text, NOW_NS), NOW_NS) is None


def test_nobody_is_an_installer_at_another_node(nodes):
    text = nodes["n1"].issue(Person("ann", Role.INSTALLER, Proof.SESSION), NOW_NS)
    assert nodes["n2"].check(text, NOW_NS).role is Role.ANALYST
    # Not even where the node that signs is in the hands of somebody else.
    claim = msgspec.msgpack.encode(passes.Claim("eve", Role.INSTALLER, NOW_NS, NOW_NS + 1))
    assert nodes["n2"].check(forge(nodes["n1"], claim), NOW_NS).role is Role.ANALYST


def forge(node, claim):
    signature = node._key.sign(passes.PURPOSE + claim, passes.ec.ECDSA(passes.hashes.SHA256()))
    packed = msgspec.msgpack.encode(passes._Pass(claim, signature, *node._chain))
    return passes.base64.urlsafe_b64encode(packed).decode().rstrip("=")


def test_a_pass_that_asks_for_too_long_is_refused(nodes):
    claim = msgspec.msgpack.encode(passes.Claim("eve", Role.PATROL, NOW_NS, NOW_NS + LIFETIME_NS + 1))
    assert nodes["n2"].check(forge(nodes["n1"], claim), NOW_NS) is None


def test_another_sites_pass_is_refused_though_it_bears_the_same_name(nodes):
    assert nodes["n1"].check(nodes["foreign"].issue(ANN, NOW_NS), NOW_NS) is None


def test_a_changed_pass_is_refused_whichever_character_it_is(nodes):
    text = nodes["n1"].issue(ANN, NOW_NS)
    for i in range(0, len(text), 37):
        changed = text[:i] + ("A" if text[i] != "A" else "B") + text[i + 1 :]
        assert nodes["n2"].check(changed, NOW_NS) is None, i
    for nonsense in ("", "=", "A" * 5_000, "é", text[:-9]):
        assert nodes["n2"].check(nonsense, NOW_NS) is None


def test_a_node_without_keys_makes_and_takes_none(nodes, tmp_path):
    bare = Passes(tmp_path)
    assert bare.issue(ANN, NOW_NS) is None
    assert bare.check(nodes["n1"].issue(ANN, NOW_NS), NOW_NS) is None


def test_a_page_of_one_node_reads_another_with_its_pass_and_no_other_page_does(make_client, store, fakes, tmp_path):
    site = create_site("city")
    keys = {}
    for name in ("n1", "n2"):
        (tmp_path / name).mkdir()
        keys[name] = page_keys(site, name, tmp_path / name)
    text = Passes(keys["n1"]).issue(ANN, time.time_ns())
    client = make_client(open_loopback=False, page_keys=keys["n2"])
    at_n1 = "http://127.0.0.1:8101"
    headers = {"Authorization": f"Pass {text}", "Origin": at_n1}
    answer = client.get("/api/incidents", headers=headers)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, at_n1)
    assert "Earshot-Cursor" in answer.headers["Access-Control-Expose-Headers"]
    asked = client.options("/api/incidents/1/acknowledgements", headers={"Origin": at_n1})
    assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (204, at_n1)
    elsewhere = client.get("/api/incidents", headers={**headers, "Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in elsewhere.headers
    assert at_n1 in make_client().get("/").headers["Content-Security-Policy"]
