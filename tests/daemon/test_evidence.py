import base64
import json
import random
import shutil
import sqlite3

import msgspec
import pytest

from appliance.cli import main
from appliance.daemon.evidence import Manifest
from appliance.daemon.verifying import verify_bundle, verify_log
from appliance.mesh.trust import load_credentials, load_site_certificate
from appliance.storage.bundle import MANIFEST, pack, unpack
from tests.daemon import evidence


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        return evidence.make(tmp_path_factory.mktemp("mesh"), monkeypatch)


@pytest.fixture
def site(made):
    return load_site_certificate(made[0].parent / "keys" / "site.pem")


@pytest.fixture
def bundle(made):
    return made[1]


def test_a_whole_bundle_is_said_to_be_whole_and_gives_its_fix_again(made, tmp_path, site, capsys):
    log, bundle = made
    out = tmp_path / "incident.zip"
    incident = json.loads(unpack(bundle, "b")["incident.json"])["id"]
    assert main(["export", incident, str(out), "--state", str(log.parent)]) == 0
    assert main(["verify", str(out), "--site", site.fingerprint.upper()]) == 0
    said = capsys.readouterr().out
    assert "whole" in said
    assert "fix computed again" in said
    assert "1 clips" in said
    assert main(["verify", str(out), "--site", "0123456789abcdef"]) == 1
    assert "not of the site" in capsys.readouterr().out
    assert main(["export", incident, str(out), "--state", str(log.parent)]) == 2, "nothing is overwritten"
    assert main(["export", "no-such", str(tmp_path / "x.zip"), "--state", str(log.parent)]) == 2


def test_a_whole_log_is_said_to_be_whole_also_while_its_node_has_it_open(made, site, capsys):
    assert verify_log(made[0], site).findings == ()
    assert main(["verify", str(made[0])]) == 0
    assert "records of 3 nodes" in capsys.readouterr().out


def test_a_bundle_holds_what_was_said_and_the_sound_bound_to_it(bundle):
    files = unpack(bundle, "bundle")
    manifest = msgspec.json.decode(files[MANIFEST], type=Manifest)
    assert [name for name in files if name.startswith("clips/")]
    assert len([name for name in files if name.startswith("certificates/")]) == 3
    assert len(manifest.segments) >= 3
    assert b"casings found" in files["records.bin"]
    assert b"private" not in bundle.lower(), "no key leaves its node"


@pytest.mark.parametrize("seed", range(60))
def test_any_change_of_a_bundle_is_found(bundle, seed):
    changed, what = evidence.change_bundle(random.Random(seed), bundle)
    if changed != bundle:
        assert verify_bundle(changed, "bundle").findings, what


@pytest.mark.parametrize("seed", range(60))
def test_any_change_of_a_log_is_found(made, site, tmp_path, seed):
    what = evidence.change_log(random.Random(seed), made[0], tmp_path / "node.db")
    if what is not None:
        assert verify_log(tmp_path / "node.db", site).findings, what


def test_bytes_that_mean_nothing_to_a_zip_are_not_overlooked(bundle):
    at = bundle.rindex(b"PK\x01\x02") + 12  # the time of the last file in the list of files
    for changed in (bundle[:at] + b"\x21" + bundle[at + 1 :], bundle + b"\0", b"\0" + bundle):
        assert verify_bundle(changed, "bundle").findings


def test_an_end_that_was_cut_off_is_found_where_others_saw_it(made, site, tmp_path):
    log = tmp_path / "node.db"
    shutil.copy(made[0], log)
    streams = {(node, epoch): seq for node, epoch, seq in sorted(evidence.unwitnessed(made[0]))}
    db = sqlite3.connect(log, isolation_level=None)
    witnesses = {r[0] for r in db.execute("SELECT node FROM records WHERE kind = 'witness'")}
    assert len(witnesses) == 3
    node, epoch = next(stream for stream, last in streams.items() if last > 4)
    db.execute("DELETE FROM records WHERE node = ? AND epoch = ? AND seq > 2", (node, epoch))
    db.close()
    findings = verify_log(log, site).findings
    assert any(f"record {node}:{epoch}:3 records 3 to" in f and "at its end are missing" in f for f in findings), (
        findings
    )


@pytest.mark.parametrize("column", ["node", "epoch", "seq", "time_ns", "kind", "body_hash", "signature", "body"])
@pytest.mark.parametrize("value", ["words", b"\x00\xff", 1.5, -1], ids=repr)
def test_a_row_that_is_no_record_is_named_and_does_not_end_the_check(made, site, tmp_path, column, value):
    log = tmp_path / "node.db"
    shutil.copy(made[0], log)
    db = sqlite3.connect(log, isolation_level=None)
    db.execute(f"UPDATE records SET {column} = ? WHERE node = 'n2' AND seq = 2", (value,))
    db.close()
    assert verify_log(log, site).findings


def rewritten(made, change):
    """A bundle that a node of the site changed and signed again."""
    log, bundle = made
    credentials = load_credentials(log.parent / "keys")
    files = unpack(bundle, "bundle")
    change(files)
    manifest = msgspec.json.decode(files[MANIFEST], type=Manifest)
    digests = {n: evidence.digest(files[n]) for n in files if n not in (MANIFEST, "manifest.sig")}
    text = msgspec.json.encode(msgspec.structs.replace(manifest, files=digests))
    signature = credentials.private_key.sign(b"earshot bundle 1\0" + text)
    return pack({**files, MANIFEST: text, "manifest.sig": base64.b64encode(signature)})


def test_who_exports_can_not_move_the_place_change_the_sound_or_leave_records_out(made):
    def move(files):
        incident = json.loads(files["incident.json"])
        files["incident.json"] = json.dumps({**incident, "lat": incident["lat"] + 3e-6}).encode()

    def exchange_sound(files):
        (name,) = [n for n in files if n.startswith("clips/")]
        files[name] = files[name][:-1] + b"\0"

    def leave_out(files):
        frames = evidence._frames(files["records.bin"])
        files["records.bin"] = b"".join(frames[1:])

    for change, words in (
        (lambda _: None, None),
        (move, "0.3 m from the one that it states"),
        (exchange_sound, "is not what its node signed"),
        (leave_out, "is missing"),
    ):
        findings = verify_bundle(rewritten(made, change), "bundle").findings
        assert (words is None and not findings) or any(words in finding for finding in findings), findings


def test_what_is_no_log_and_no_bundle_is_told_in_one_line(tmp_path, capsys, made):
    (tmp_path / "x.zip").write_bytes(b"PK nonsense")
    assert main(["verify", str(tmp_path / "x.zip")]) == 1
    assert "is damaged" in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "none")]) == 2
    shutil.copy(made[0], tmp_path / "node.db")
    assert main(["verify", str(tmp_path / "node.db")]) == 2
    assert "site.pem" in capsys.readouterr().err
