"""Power cuts: a real store writes to a real disk, what it asked of the disk is recorded, and any moment is replayed.

After a cut the disk holds what was synced; of what was written since, each piece is there, torn or lost, as dice say.
A file or a change of its name counts as there for good once its folder was synced.
"""

import os
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from appliance.errors import EarshotError
from appliance.ledger.verify import verify_records
from appliance.storage.node_store import NodeStore
from tests.ledger.authors import Author, roster_of

SECTOR_BYTES = 512
"""What a disk writes in one piece."""

WORKLOAD = """
import os, sys
from pathlib import Path
from appliance.storage.node_store import NodeStore
from appliance.storage.writer import GroupWriter
from tests.ledger.authors import Author
from tests.storage.incidents import START_NS, incident

folder, n_groups, synchronous = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
store = NodeStore(folder / "node.db")
store._db.execute("PRAGMA wal_autocheckpoint = 12")
if synchronous != "as it is":
    store._db.execute(f"PRAGMA synchronous = {synchronous}")
acknowledged = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
writer, author = GroupWriter(store), Author("n1")
author.begin()
writer.submit(lambda store, r=author.stream(1): store.add_records(r)).result()
for group in range(n_groups):
    records = [author.pick() for _ in range(1 + group % 3)]
    writer.submit(lambda store: store.put_incidents([incident(group)], (), f"n1:2:{records[-1].seq}", START_NS),
                  is_urgent=False)
    writer.submit(lambda store: store.add_records(records)).result()
    os.write(acknowledged, b"%d\\n" % records[-1].seq)
os._exit(0)
"""


@dataclass(frozen=True)
class Step:
    """One thing asked of the disk."""

    operation: str
    path: str
    offset: int
    data: bytes


@dataclass
class _File:
    """A file after a cut: the bytes for good, and the steps since that may have come to nothing."""

    content: bytearray = field(default_factory=bytearray)
    unsynced: list = field(default_factory=list)
    is_lasting: bool = False


def build_recorder(folder):
    """Compile the recorder; its path."""
    library = folder / "libdisk_recorder.so"
    source = Path(__file__).with_name("disk_recorder.c")
    subprocess.run(["gcc", "-O1", "-Wall", "-shared", "-fPIC", "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library


def record(library, folder, repository, *, n_groups, synchronous="as it is", workload=WORKLOAD):
    """Let a real process write, and return what it asked of the disk."""
    state = folder / f"disk-{synchronous.replace(' ', '-')}"
    state.mkdir()
    log = folder / f"{state.name}.log"
    environment = {
        **os.environ,
        "PYTHONPATH": str(repository),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LD_PRELOAD": str(library),
        "RECORD_FOLDER": str(state),
        "RECORD_LOG": str(log),
    }
    command = [sys.executable, "-c", workload, state, str(n_groups), synchronous]
    subprocess.run(command, check=True, env=environment, cwd=repository, timeout=100)
    return parse(log.read_bytes())


def parse(log):
    """The steps in a recorder's log."""
    steps, position = [], 0
    while position < len(log):
        end = log.index(b"\n", position)
        operation, path, offset, length = log[position:end].decode().split(" ")
        data = log[end + 1 : end + 1 + int(length)] if operation in "WAR" else b""
        position = end + 1 + len(data)
        steps.append(Step(operation, path, int(offset), data))
    return steps


def acknowledged_at(steps, moment):
    """The last record that was acknowledged in the first `moment` steps."""
    said = [int(step.data) for step in steps[:moment] if step.operation == "A"]
    return said[-1] if said else 0


def disk_after(steps, moment, rng):
    """The files that a disk may hold after a power cut that follows the first `moment` steps: name to content."""
    files = {}
    for step in steps[:moment]:
        APPLY[step.operation](step, files)
    return {path: bytes(_settle(f, rng)) for path, f in files.items() if f.is_lasting or rng.random() < 0.5}


def _create(step, files):
    files[step.path] = _File()


def _change(step, files):
    files.setdefault(step.path, _File()).unsynced.append(step)


def _sync(step, files):
    """A file's content is there for good, or the names in a folder are."""
    file = files.get(step.path)
    if file is None:
        for path, inside in files.items():
            inside.is_lasting |= str(Path(path).parent) == step.path.rstrip("/")
        return
    for pending in file.unsynced:
        _write(file.content, pending, pending.data)
    file.unsynced = []


def _rename(step, files):
    file = files.pop(step.path)
    file.is_lasting = False
    files[step.data.decode()] = file


APPLY = {
    "C": _create,
    "W": _change,
    "T": _change,
    "S": _sync,
    "R": _rename,
    "U": lambda step, files: files.pop(step.path, None),
    "A": lambda step, files: None,
}


def _settle(file, rng):
    """What is left of a file: of each piece that was not synced all, a part or nothing, in any order."""
    content = bytearray(file.content)
    for step in rng.sample(file.unsynced, len(file.unsynced)):
        fate = rng.random()
        if fate < 0.4:
            _write(content, step, step.data)
        elif fate < 0.6 and len(step.data) > SECTOR_BYTES:
            _write(content, step, step.data[: SECTOR_BYTES * rng.randrange(1, 1 + len(step.data) // SECTOR_BYTES)])
    return content


def _write(content, step, data):
    if step.operation == "T":
        del content[step.offset :]
        content.extend(bytes(step.offset - len(content)))
        return
    content.extend(bytes(max(0, step.offset - len(content))))
    content[step.offset : step.offset + len(data)] = data


@dataclass
class Tally:
    """What became of the disks that were looked at."""

    cuts: int = 0
    lost: int = 0
    broken: int = 0


def cut_power(steps, folder, *, seed, every=1, tries=1):
    """Cut the power after every so many steps, several times each, and look at what is left."""
    rng, tally = random.Random(seed), Tally()
    for moment in range(0, len(steps) + 1, every):
        for _ in range(tries):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for path, content in disk_after(steps, moment, rng).items():
                (folder / Path(path).name).write_bytes(content)
            tally.cuts += 1
            _look(folder, acknowledged_at(steps, moment), tally)
    return tally


def _look(folder, acknowledged, tally):
    """Start a store on what is left, as a node does after a cut."""
    try:
        store = NodeStore(folder / "node.db")
    except EarshotError:
        tally.broken += 1
        return
    try:
        if store._rows("PRAGMA quick_check")[0][0] != "ok":
            tally.broken += 1
            return
        records = store.all_records()
    except EarshotError:
        tally.broken += 1
        return
    finally:
        store.close()
    own = [record for record in records if record.epoch == 2]
    tally.broken += bool(verify_records(own, roster_of(Author("n1"))))
    tally.lost += max((record.seq for record in own), default=0) < acknowledged
