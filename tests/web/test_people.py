"""Who may log in: the owner's code, passwords, sessions that end, and guesses that slow down."""

import stat

import pytest
from argon2 import PasswordHasher

from appliance.errors import InputError, StoreError
from appliance.model.instants import NS_PER_S
from web.people import FREE_FAILURES, IDLE_NS, LIFETIME_NS, People, Refused
from web.roles import Role

NOW_NS = 1_783_134_720_000_000_000
PASSWORD = "correct horse battery"


@pytest.fixture
def people(tmp_path):
    people = People(tmp_path / "web" / "people.db", hasher=PasswordHasher(1, 8, 1))
    yield people
    people.close()


def log_in(people, name="ann", password=PASSWORD, now_ns=NOW_NS, address="10.0.0.7"):
    return people.log_in(name, password, address, now_ns)


def test_the_first_person_is_the_owner_and_needs_the_code(people, tmp_path):
    code = people.setup_code()
    assert people.setup_code() == code
    assert not people.set_owner("0000-0000-0000", "ann", PASSWORD, NOW_NS)
    assert people.set_owner(code.lower().replace("-", " "), "ann", PASSWORD, NOW_NS)
    assert [(user.name, user.role) for user in people.users()] == [("ann", Role.INSTALLER)]
    assert not (tmp_path / "web" / "setup-code").exists()
    assert not people.set_owner(people.setup_code(), "eve", PASSWORD, NOW_NS)


def test_code_and_database_are_the_owners_of_the_process_alone(people, tmp_path):
    people.setup_code()
    for name in ("people.db", "setup-code"):
        assert stat.S_IMODE((tmp_path / "web" / name).stat().st_mode) == 0o600


def test_a_session_holds_until_it_is_idle_too_long_too_old_or_ended(people):
    people.add("ann", Role.PATROL, PASSWORD, NOW_NS)
    login = log_in(people)
    assert people.session(login.cookie, NOW_NS + IDLE_NS) == login.session
    assert people.session(login.cookie, NOW_NS + 2 * IDLE_NS) == login.session
    assert people.session(login.cookie, NOW_NS + 4 * IDLE_NS) is None
    login, now_ns = log_in(people), NOW_NS
    while now_ns <= NOW_NS + LIFETIME_NS:
        assert people.session(login.cookie, now_ns) is not None
        now_ns += IDLE_NS // 2
    assert people.session(login.cookie, now_ns) is None
    login = log_in(people)
    people.log_out(login.cookie)
    assert people.session(login.cookie, NOW_NS) is None
    assert people.session("made-up", NOW_NS) is None


def test_neither_passwords_nor_cookies_are_kept(people, tmp_path):
    people.add("ann", Role.PATROL, PASSWORD, NOW_NS)
    login = log_in(people)
    people.close()
    kept = b"".join(file.read_bytes() for file in (tmp_path / "web").iterdir())
    assert PASSWORD.encode() not in kept
    assert login.cookie.encode() not in kept
    assert b"$argon2id$" in kept


def test_guessing_slows_down_by_name_and_by_address_and_a_restart_forgets_nothing(people, tmp_path):
    people.add("ann", Role.PATROL, PASSWORD, NOW_NS)
    people.add("bob", Role.PATROL, PASSWORD, NOW_NS)
    for _ in range(FREE_FAILURES):
        assert log_in(people, password="guess") == Refused()
    waits = []
    for _ in range(6):
        refused = log_in(people, now_ns=NOW_NS + sum(waits) * NS_PER_S)
        assert isinstance(refused, Refused)
        waits.append(refused.wait_s)
        assert log_in(people, password="guess", now_ns=NOW_NS + sum(waits) * NS_PER_S) == Refused()
    assert waits == [2, 4, 8, 16, 32, 64]
    now_ns = NOW_NS + sum(waits) * NS_PER_S
    again = People(tmp_path / "web" / "people.db", hasher=PasswordHasher(1, 8, 1))
    try:
        assert log_in(again, address="10.0.0.8", now_ns=now_ns).wait_s > 0
        assert log_in(again, name="bob", now_ns=now_ns).wait_s > 0
        assert not isinstance(log_in(again, name="bob", address="10.0.0.8", now_ns=now_ns), Refused)
    finally:
        again.close()


def test_removing_a_person_ends_their_sessions_and_one_installer_stays(people):
    people.add("ann", Role.INSTALLER, PASSWORD, NOW_NS)
    people.add("bob", Role.PATROL, PASSWORD, NOW_NS)
    login = log_in(people, "bob")
    people.remove("BOB")
    assert people.session(login.cookie, NOW_NS) is None
    with pytest.raises(InputError, match="ann is the only installer"):
        people.remove("ann")
    with pytest.raises(InputError, match="'bob' is nobody here"):
        people.remove("bob")


@pytest.mark.parametrize(
    ("name", "password", "words"),
    [
        ("", PASSWORD, "name"),
        ("a" * 65, PASSWORD, "name"),
        ("ann\u202e", PASSWORD, "name"),
        ("ann", "short", "has 5 characters"),
        ("ann", "x" * 257, "has 257 characters"),
    ],
)
def test_unfit_names_and_passwords_are_refused(people, name, password, words):
    with pytest.raises(InputError, match=words):
        people.add(name, Role.VIEWER, password, NOW_NS)


def test_a_name_is_one_person_whatever_its_case(people):
    people.add("ann", Role.VIEWER, PASSWORD, NOW_NS)
    with pytest.raises(InputError, match="Ann is taken"):
        people.add("Ann", Role.VIEWER, PASSWORD, NOW_NS)
    assert log_in(people, "ANN").session.name == "ann"


def test_logins_and_refusals_are_in_the_audit(people):
    people.add("ann", Role.VIEWER, PASSWORD, NOW_NS)
    log_in(people, password="guess")
    log_in(people)
    assert [(e.person, e.address, e.action) for e in people.audit()] == [
        ("ann", "10.0.0.7", "login"),
        ("ann", "10.0.0.7", "login refused"),
    ]


def test_a_file_that_is_no_database_is_told_with_its_name(tmp_path):
    (tmp_path / "people.db").write_text("no database at all, but long enough to be looked at as one" * 20)
    with pytest.raises(StoreError, match=r"people\.db"):
        People(tmp_path / "people.db")
