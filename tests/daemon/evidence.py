"""A log and a bundle of evidence of a small mesh, and all that a forger can do to either, for tests and benchmarks."""

import asyncio
import hashlib
import shutil
import sqlite3
import time

import numpy as np

import appliance.daemon.keeping
import appliance.daemon.mesh
from appliance.daemon.evidence import export_incident
from appliance.daemon.verifying import _witnessed
from appliance.ledger.records import Record
from appliance.mesh.trust import load_credentials
from appliance.pipeline.clips import Clip
from appliance.storage.bundle import pack, unpack
from appliance.storage.clips import ClipFolder
from appliance.storage.log_reader import LogReader
from tests.daemon.meshes import fire, mesh_of
from tests.daemon.test_commands import Page, acknowledgement, review
from tests.mesh.sites import until


def make(folder, monkeypatch):
    """Let three nodes hear gunfire, keep its sound and be told about it; returns a log's path and a bundle's bytes."""
    monkeypatch.setattr(appliance.daemon.keeping, "ASK_AFTER_S", 0.2)
    monkeypatch.setattr(appliance.daemon.mesh, "WITNESS_EVERY_S", 0.5)

    async def scenario():
        async with mesh_of(folder, "n1", "n2", "n3") as nodes:
            a = nodes[0]
            first = await fire(nodes)
            (request,) = await until(a.ears.take_clip_requests)
            samples = np.random.default_rng(3).integers(-9_000, 9_000, (4_000, 2), dtype=np.int16)
            a.ears.send_clips([Clip(request.request, request.picks[0], time.time_ns(), 1_000, 16_000.0, samples)])
            async with Page(a) as page:
                await page.ask(1, "acknowledgement", acknowledgement(first))
                await page.ask(2, "review", review(first, "gunfire", "casings found"))
            await until(lambda: all(n.reader.clips([first])[first] for n in nodes))
            await a.stop()
            await a.start()  # a second epoch
            said = asyncio.get_running_loop().time()
            await until(lambda: asyncio.get_running_loop().time() > said + 2.0 and a.alive() == {"n1", "n2", "n3"})
        return a, first

    node, first = asyncio.run(asyncio.wait_for(scenario(), 60.0))
    log = LogReader(node.folder.database)
    bundle = export_incident(log, ClipFolder(node.folder.clips), load_credentials(node.folder.keys), first)
    log.close()
    return node.folder.database, bundle


def change_log(rng, path, copy):
    """Copy a log to `copy` with one thing changed by a forger; returns what.

    None where nothing changed, or just the last record of a stream went that no other vouches for.
    """
    shutil.copy(path, copy)
    connection = sqlite3.connect(copy, isolation_level=None)
    try:
        return _change_rows(rng, connection, unwitnessed(path))
    finally:
        connection.close()


FIELDS = ("node", "epoch", "seq", "time_ns", "kind", "body_hash", "previous", "signature", "body")


def _change_rows(rng, db, unseen):
    rows = db.execute(f"SELECT {', '.join(FIELDS)} FROM records ORDER BY node, epoch, seq").fetchall()
    row = list(rng.choice(rows))
    where = "node = ? AND epoch = ? AND seq = ?"
    action = rng.choice(["change"] * 6 + ["remove", "insert", "swap", "body away", "certificate", "no certificate"])
    if action == "change":
        index = rng.randrange(len(FIELDS))
        value = _other(rng, row[index])
        db.execute(f"UPDATE OR REPLACE records SET {FIELDS[index]} = ? WHERE {where}", (value, *row[:3]))
        return f"{FIELDS[index]} of {row[:3]}"
    if action == "remove":
        if tuple(row[:3]) in unseen:
            return None
        db.execute(f"DELETE FROM records WHERE {where}", row[:3])
    elif action == "insert":
        last = max(r[2] for r in rows if r[:2] == tuple(row[:2]))
        row[2] = last + rng.choice([1, 2, 50])
        db.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    elif action == "swap":
        other = rng.choice(rows)
        if other == tuple(row):
            return None
        db.execute("DELETE FROM records")
        swapped = [(*r[:3], *_content(r, row, other)) for r in rows]
        db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", swapped)
    elif action == "body away":
        db.execute(f"UPDATE records SET body = NULL WHERE {where}", row[:3])
    elif action == "certificate":
        name, der = rng.choice(db.execute("SELECT fingerprint, der FROM certificates").fetchall())
        db.execute("UPDATE certificates SET der = ? WHERE fingerprint = ?", (_other(rng, der), name))
    else:
        name = rng.choice([r[0] for r in db.execute("SELECT fingerprint FROM certificates")])
        db.execute("DELETE FROM certificates WHERE fingerprint = ?", (name,))
    return f"{action} {row[:3]}"


def _content(row, one, other):
    return {tuple(one): other, tuple(other): tuple(one)}.get(row, row)[3:]


def _other(rng, value):
    """A value that differs in one bit, byte or character."""
    if isinstance(value, int):
        return value ^ (1 << rng.randrange(40))
    if isinstance(value, str):
        index = rng.randrange(len(value))
        return value[:index] + ("y" if value[index] == "x" else "x") + value[index + 1 :]
    data = bytearray(value)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def change_bundle(rng, bundle):
    """A bundle with one thing changed by a forger, and what; bytes anywhere, or files and records in it."""
    action = rng.choice(["byte"] * 6 + ["cut", "more", "file away", "file more", "file", "records"])
    if action == "byte":
        return _other(rng, bundle), action
    if action == "cut":
        return bundle[: rng.randrange(len(bundle))], action
    if action == "more":
        where = rng.randrange(len(bundle) + 1)
        return bundle[:where] + rng.randbytes(rng.randint(1, 50)) + bundle[where:], action
    files = unpack(bundle, "bundle")
    name = rng.choice(sorted(files))
    if action == "file away":
        del files[name]
    elif action == "file more":
        files[f"clips/{rng.randrange(10**15, 10**16)}-n9.flac"] = rng.randbytes(30)
    elif action == "file":
        files[name] = _other(rng, files[name])
    else:
        frames = _frames(files["records.bin"])
        i, j = rng.randrange(len(frames)), rng.randrange(len(frames))
        how = rng.choice(["remove", "double", "swap"])
        if how == "remove":
            del frames[i]
        elif how == "double":
            frames.insert(j, frames[i])
        else:
            frames[i], frames[j] = frames[j], frames[i]
        files["records.bin"] = b"".join(frames)
    return pack(files), f"{action} {name}"


def _frames(data):
    frames = []
    while data:
        length = 4 + int.from_bytes(data[:4], "big")
        frames.append(data[:length])
        data = data[length:]
    return frames


def digest(data):
    return hashlib.sha256(data).hexdigest()


def unwitnessed(path):
    """The places of records that no other record vouches for: who cuts off just these leaves no trace in the log."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    tails, seen = {}, {}
    for row in db.execute(f"SELECT {', '.join(FIELDS)} FROM records ORDER BY node, epoch, seq").fetchall():
        record = Record(*row)
        tails[record.stream] = record.seq
        for witness in _witnessed(record):
            stream = (witness.node, witness.epoch)
            seen[stream] = max(witness.seq, seen.get(stream, 0))
    db.close()
    return {(*stream, seq) for stream, seq in tails.items() if seen.get(stream, 0) < seq}
