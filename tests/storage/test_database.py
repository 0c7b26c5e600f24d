import sqlite3
from importlib import resources

import pytest

from appliance.errors import StoreError
from appliance.storage.database import APPLICATION_ID, SCHEMA_VERSION, open_for_reading, open_for_writing


@pytest.fixture
def path(tmp_path):
    return tmp_path / "node.db"


def edited(path, statement):
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute(statement)
    connection.close()


def test_what_is_acknowledged_is_synced_to_the_disk(path):
    connection = open_for_writing(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
    connection.close()
    assert path.stat().st_mode & 0o007 == 0, "the log is nobody else's business"


def test_a_database_is_opened_again_as_it_was(path):
    connection = open_for_writing(path)
    store = connection.execute("SELECT value FROM meta WHERE name = 'store'").fetchone()
    connection.close()
    connection = open_for_writing(path)
    assert connection.execute("SELECT value FROM meta WHERE name = 'store'").fetchone() == store
    connection.close()


def test_a_reader_can_not_write(path):
    open_for_writing(path).close()
    connection = open_for_reading(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM meta")
    connection.close()


def broken(path, how):
    if how == "missing":
        return
    if how == "folder":
        path.mkdir()
        return
    open_for_writing(path).close()
    if how == "newer":
        edited(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    elif how == "older":
        edited(path, "PRAGMA user_version = 0")
    elif how == "foreign":
        edited(path, "PRAGMA application_id = 7")
    elif how == "garbage":
        path.write_bytes(b"no database at all " * 500)
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:5_000])
    elif how == "empty":
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("how", "words", "remedy"),
    [
        ("missing", "is not there", "start earshot mesh"),
        ("newer", "newer Earshot", "install that Earshot"),
        ("older", "which no Earshot wrote", "move the file away"),
        ("foreign", "not Earshot's", "another state folder"),
        ("garbage", "not a database", "move the file away"),
        ("truncated", "malformed", "move the file away"),
        ("folder", "is a folder", "move it away"),
        ("empty", "not Earshot's", "move the file away"),
    ],
)
def test_a_database_that_can_not_be_read_is_refused_with_its_name_and_what_to_do(path, how, words, remedy):
    broken(path, how)
    with pytest.raises(StoreError) as caught:
        open_for_reading(path)
    assert str(caught.value).startswith(str(path))
    assert words in caught.value.problem
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("how", ["newer", "older", "foreign", "garbage", "truncated", "folder"])
def test_mesh_refuses_the_same_and_changes_nothing(path, how):
    broken(path, how)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError):
        open_for_writing(path)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_somebody_elses_database_is_not_made_ours(path):
    edited(path, "CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match="not Earshot's"):
        open_for_writing(path)


def test_a_folder_that_is_not_there_is_named_with_the_remedy(tmp_path):
    with pytest.raises(StoreError, match="make its folder"):
        open_for_writing(tmp_path / "none" / "node.db")


def test_a_database_of_the_first_version_is_brought_up_to_date_and_keeps_what_it_holds(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(resources.files("appliance.storage").joinpath("schema.sql").read_text(encoding="utf-8"))
    connection.execute("INSERT INTO meta VALUES ('store', '0123abcd')")
    connection.executescript(f"PRAGMA user_version = 1; PRAGMA application_id = {APPLICATION_ID}")
    connection.close()
    with pytest.raises(StoreError, match="start earshot mesh, which brings it up to date"):
        open_for_reading(path)
    open_for_writing(path).close()
    connection = open_for_reading(path)
    assert connection.execute("SELECT value FROM meta WHERE name = 'store'").fetchone() == ("0123abcd",)
    assert connection.execute("SELECT count(*) FROM remarks").fetchone() == (0,)
    connection.close()
