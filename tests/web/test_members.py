"""Which nodes there are: a code for a new one, a way into another site, and a way out for good."""

import pytest


@pytest.fixture
def control(store, fakes, tmp_path):
    server = fakes.ControlServer(tmp_path / "control.sock", store)
    yield server
    server.close()


@pytest.fixture
def client(make_client, control):
    return make_client(control_socket=control.path)


def test_the_code_for_a_new_node_is_shown_with_where_and_until_when(client, control):
    page = client.post("/nodes/open").text
    assert "ABCD-EFGH-JKMN-PQRS" in page
    assert "localhost:7117" in page
    assert "until 03:12 UTC" in page
    assert control.commands == [("open-joining", {}, "this-machine")]


def test_a_node_enters_the_site_of_the_code(client, control):
    form = {"code": "ABCD-EFGH-JKMN-PQRS", "address": "10.0.0.7:7117"}
    assert client.post("/nodes/join", data=form).status_code == 302
    asked = {"code": "ABCD-EFGH-JKMN-PQRS", "address": "10.0.0.7", "port": 7117}
    assert control.commands == [("join", asked, "this-machine")]


@pytest.mark.parametrize("address", ["", "10.0.0.7", "10.0.0.7:", "10.0.0.7:0", "10.0.0.7:70000", ":7117", "a:٣"])
def test_what_is_no_address_is_told_and_not_dialled(client, control, address):
    answer = client.post("/nodes/join", data={"code": "x", "address": address})
    assert (answer.status_code, "That is no address" in answer.text) == (400, True)
    assert control.commands == []


def test_a_node_is_taken_out_only_by_who_is_sure(client, control):
    form = {"node": "n3", "reason": "stolen"}
    assert client.post("/nodes/revoke", data=form).status_code == 400
    assert control.commands == []
    assert client.post("/nodes/revoke", data={**form, "sure": "yes"}).status_code == 302
    assert control.commands == [("revoke", {"node": "n3", "reason": "stolen"}, "this-machine")]


def test_what_mesh_refuses_is_told_in_its_words(client, control):
    control.refusal = "the site's key: is not on this node; do this on the node that does"
    answer = client.post("/nodes/open")
    assert answer.status_code == 409
    assert "is not on this node" in answer.text
