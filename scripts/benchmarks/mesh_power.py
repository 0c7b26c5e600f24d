"""What a power cut costs a node's store: every moment of a recorded run, several times, diced what was not synced.

    scripts/benchmarks/mesh_power.py [--groups N] [--tries N]

The same cuts with SQLite's synchronous=NORMAL and OFF must lose or break something: who finds nothing there finds
nothing at all. Besides, a writing process is killed (SIGKILL) at random points.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from meshbench import ROOT, keep  # isort: skip  # first: it shows the way to the tests

from appliance.storage.node_store import NodeStore
from tests.storage import power
from tests.storage.test_writer import WRITE_UNTIL_KILLED


def main() -> int:
    """Run and keep the result; status 1 where something acknowledged was lost, or the harness found nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=20, help="transactions of the recorded run")
    parser.add_argument("--tries", type=int, default=3, help="times that each moment is diced")
    parser.add_argument("--kills", type=int, default=200, help="kills of a writing process")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = power.build_recorder(folder)
        for synchronous in ("as it is", "NORMAL", "OFF"):
            steps = power.record(library, folder, ROOT, n_groups=arguments.groups, synchronous=synchronous)
            tally = power.cut_power(steps, folder / "after", seed=1, tries=arguments.tries)
            results[synchronous] = {"steps": len(steps), **asdict(tally)}
        results["kills"] = kills(folder, arguments.kills)
    keep("mesh_power", results)
    good = results["as it is"]["lost"] == results["as it is"]["broken"] == results["kills"]["lost"] == 0
    return int(not good or not results["NORMAL"]["lost"] or not results["OFF"]["broken"])


def kills(folder: Path, count: int) -> dict[str, int]:
    """How often a store that was killed while writing lost what it had acknowledged, or could not be read."""
    rng, lost = random.Random(1), 0  # noqa: S311  # to be repeated, not kept secret
    for number in range(count):
        path = folder / f"killed-{number}.db"
        wanted = rng.randint(1, 400)
        command = [sys.executable, "-c", WRITE_UNTIL_KILLED, path, "1"]
        with subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True) as p:
            acknowledged = 0
            while acknowledged < wanted and p.stdout is not None:
                acknowledged = int(p.stdout.readline())
            p.send_signal(signal.SIGKILL)
            rest = p.stdout.read().split() if p.stdout is not None else []
        acknowledged = max([acknowledged, *map(int, rest)])
        store = NodeStore(path)
        held = [record.seq for record in store.all_records()]
        store.close()
        lost += held[:acknowledged] != list(range(1, acknowledged + 1))
        for file in folder.glob(f"{path.name}*"):
            file.unlink()
    shutil.rmtree(folder / "after", ignore_errors=True)
    return {"kills": count, "lost": lost}


if __name__ == "__main__":
    raise SystemExit(main())
