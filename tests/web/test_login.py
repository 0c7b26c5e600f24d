"""Logging in as a browser does: the owner's first login, cookies, forged requests, and where the login leads."""

import pytest
from argon2 import PasswordHasher

from web.people import People
from web.roles import Role

PASSWORD = "correct horse battery"
PAGE = {"Accept": "text/html"}


@pytest.fixture
def people(tmp_path):
    people = People(tmp_path / "people.db", hasher=PasswordHasher(1, 8, 1))
    yield people
    people.close()


@pytest.fixture
def client(make_client, people):
    client = make_client(people=people, open_loopback=False)
    client.application.config["PREFERRED_URL_SCHEME"] = "https"
    client.environ_base |= {"REMOTE_ADDR": "10.0.0.7"}
    return client


def csrf_of(client):
    return client.get("/").text.split('"csrf": "')[1].split('"')[0]


def test_the_first_browser_is_led_to_make_the_owner(client, people):
    assert client.get("/patrol", headers=PAGE).headers["Location"] == "/login?next=/patrol"
    assert client.get("/login").headers["Location"] == "/setup"
    form = {"code": "WRONG", "name": "ann", "password": PASSWORD}
    assert client.post("/setup", data=form).status_code == 403
    short = client.post("/setup", data={**form, "code": people.setup_code(), "password": "short"})
    assert (short.status_code, "has 5 characters" in short.text) == (400, True)
    done = client.post("/setup", data={**form, "code": people.setup_code()})
    assert done.headers["Location"] == "/"
    assert client.get("/people").status_code == 200
    assert client.get("/setup").headers["Location"] == "/login"


def test_guessing_the_setup_code_slows_down(client, people):
    form = {"code": "WRONG", "name": "ann", "password": PASSWORD}
    assert [client.post("/setup", data=form).status_code for _ in range(6)] == [403] * 5 + [429]
    assert client.post("/setup", data={**form, "code": people.setup_code()}).status_code == 429
    assert not people.has_owner()


def test_the_cookie_is_out_of_reach_of_scripts_other_hosts_and_plain_http(client, people):
    people.add("ann", Role.PATROL, PASSWORD, 1)
    answer = client.post("/login", data={"name": "ann", "password": PASSWORD})
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-earshot=")
    for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert flag in cookie
    assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"]


@pytest.mark.parametrize(
    "wanted", ["//evil.example/", "https://evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_a_login_leads_to_no_other_site(client, people, wanted):
    people.add("ann", Role.PATROL, PASSWORD, 1)
    answer = client.post("/login", data={"name": "ann", "password": PASSWORD, "next": wanted})
    assert answer.headers["Location"] == "/"


def test_a_login_leads_back_to_where_it_was_asked_for(client, people):
    people.add("ann", Role.PATROL, PASSWORD, 1)
    answer = client.post("/login", data={"name": "ann", "password": PASSWORD, "next": "/patrol"})
    assert answer.headers["Location"] == "/patrol"


def test_a_change_without_the_sessions_token_is_refused(client, people):
    people.add("ann", Role.INSTALLER, PASSWORD, 1)
    client.post("/login", data={"name": "ann", "password": PASSWORD})
    form = {"name": "eve", "role": "installer", "password": PASSWORD}
    assert client.post("/people", data=form).status_code == 403
    assert client.post("/people", data={**form, "csrf": "x" * 43}).status_code == 403
    elsewhere = {"Origin": "https://evil.example"}
    token = csrf_of(client)
    assert client.post("/people", data={**form, "csrf": token}, headers=elsewhere).status_code == 403
    assert [user.name for user in people.users()] == ["ann"]
    own = {"Origin": "https://localhost"}
    assert client.post("/people", data={**form, "csrf": token}, headers=own).status_code == 302
    assert [user.name for user in people.users()] == ["ann", "eve"]


def test_a_login_from_a_form_of_another_site_is_refused(client, people):
    people.add("ann", Role.PATROL, PASSWORD, 1)
    form = {"name": "ann", "password": PASSWORD}
    assert client.post("/login", data=form, headers={"Origin": "https://evil.example"}).status_code == 403


def test_logging_out_ends_the_session_itself(client, people):
    people.add("ann", Role.PATROL, PASSWORD, 1)
    client.post("/login", data={"name": "ann", "password": PASSWORD})
    cookie = client.get_cookie("__Host-earshot", domain="localhost").value
    client.post("/logout", data={"csrf": csrf_of(client)})
    client.set_cookie("__Host-earshot", cookie, domain="localhost", secure=True)
    assert client.get("/api/incidents").status_code == 401


def test_this_machine_needs_a_login_too_unless_it_is_open(make_client, people):
    assert make_client(people=people, open_loopback=False).get("/api/incidents").status_code == 401
    assert make_client(people=people).get("/api/incidents").status_code == 200


def test_an_open_machine_takes_no_change_from_a_page_elsewhere(make_client):
    client = make_client()
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = client.post("/api/exercises", json={"words": "test"}, headers=headers)
        assert answer.status_code == 403
