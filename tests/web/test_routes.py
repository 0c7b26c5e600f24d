"""Every route with every role: what the table says is what happens, and what the table does not name is refused."""

import pytest
from argon2 import PasswordHasher

from web.people import People
from web.roles import Role
from web.routes import PUBLIC, ROUTES

METHODS = ("GET", "POST")
PASSWORD = "correct horse battery"
FILLERS = {"<path:filename>": "css/tokens.css", "<incident_id>": "1", "<pick>": "1"}
NAMES = {None: None} | {role: f"the-{role}" for role in Role}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    people = People(tmp_path_factory.mktemp("web") / "people.db", hasher=PasswordHasher(1, 8, 1))
    for role in Role:
        people.add(f"the-{role}", role, PASSWORD, 1)
    yield people
    people.close()


@pytest.fixture
def client_of(make_client, people):
    """A client that is logged in as a role, or as nobody; it asks over HTTPS from the LAN."""

    def begin(role):
        client = make_client(people=people, open_loopback=False)
        client.application.config["PREFERRED_URL_SCHEME"] = "https"
        client.environ_base |= {"REMOTE_ADDR": "10.0.0.7"}
        if role is not None:
            answer = client.post("/login", data={"name": f"the-{role}", "password": PASSWORD})
            assert answer.status_code == 302, answer.text
        return client

    return begin


def calls(app):
    """Every method of every route, with an address that fits it."""
    for rule in app.url_map.iter_rules():
        path = rule.rule
        for name, value in FILLERS.items():
            path = path.replace(name, value)
        assert "<" not in path, f"say in FILLERS what {rule.rule} may hold"
        for method in METHODS:
            if method in rule.methods:
                yield rule.endpoint, method, path


def test_the_table_names_every_route_and_no_other(make_client):
    assert {(endpoint, method) for endpoint, method, _ in calls(make_client().application)} == set(ROUTES)


@pytest.mark.parametrize("role", [None, *Role])
def test_every_route_answers_only_the_roles_of_the_table(client_of, role):
    client = client_of(role)
    csrf = "" if role is None else client.get("/").text.split('"csrf": "')[1].split('"')[0]
    for endpoint, method, path in calls(client.application):
        if endpoint in ("login.log_out", "live.events"):
            continue  # they end the session, or never end; tested below
        with client.open(path, method=method, headers={"X-Earshot-Csrf": csrf}) as response:
            status = response.status_code
        allowed = ROUTES[(endpoint, method)]
        if allowed is PUBLIC or role in allowed:
            is_login = path in ("/login", "/setup") and method == "POST"
            assert status not in (401, 403) or is_login, (method, path)
        else:
            assert status == (401 if role is None else 403), (method, path)


@pytest.mark.parametrize("role", [None, *Role])
def test_the_stream_of_events_is_for_those_who_are_logged_in(client_of, role):
    with client_of(role).get("/api/events") as response:
        assert response.status_code == (401 if role is None else 200)


def test_a_route_that_is_not_in_the_table_is_refused_to_everybody(client_of):
    client = client_of(Role.INSTALLER)
    client.application._got_first_request = False
    client.application.add_url_rule("/new", "new", lambda: "secret")
    assert client.get("/new").status_code == 403


def test_only_an_installer_learns_where_exactly_nodes_stand(client_of, store):
    exact = {node["id"]: (node["lat"], node["lon"]) for node in store.nodes()}
    for role in Role:
        client = client_of(role)
        shown = {node["id"]: (node["lat"], node["lon"]) for node in client.get("/api/nodes").json}
        assert (shown == exact) is (role is Role.INSTALLER)
        with client.get("/api/events?since=fake:1:0") as response:
            sent = next(iter(response.response)) + next(iter(response.response))
        assert (str(exact["n2"][0]).encode() in sent) is (role is Role.INSTALLER), role
        if role is not Role.INSTALLER:
            assert shown["n2"] == (round(exact["n2"][0], 3), round(exact["n2"][1], 3))
            assert b'"alt_m":1510' not in sent
