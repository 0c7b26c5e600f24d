"""Seeded meshes of four nodes on a virtual clock, through broken links, partitions, crashes and full disks.

    scripts/benchmarks/mesh_simulation.py [--seeds N] [--first N]

After healing all nodes must hold the same records, and nothing acknowledged may be lost. Some seeds are located on
every node as well, in the order in which its records came, and must give the same incidents everywhere. A failing seed
is named and replays exactly.
"""

import argparse
import time

from meshbench import keep  # isort: skip  # first: it shows the way to the tests

from tests.ledger.virtual_mesh import trouble


def main() -> int:
    """Run and keep the result; status 1 where a seed failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--locate-every", type=int, default=50, help="seeds of which one is located on every node")
    arguments = parser.parse_args()
    began_s, faults = time.monotonic(), []
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        for fault in trouble(seed, locating=seed % arguments.locate_every == 0):
            print(fault, flush=True)
            faults.append(fault)
    n_located = len(range(0, arguments.seeds, arguments.locate_every))
    figures = {"seeds": arguments.seeds, "of_these_located": n_located, "failed": len(faults), "faults": faults[:20]}
    keep("mesh_simulation", {**figures, "duration_s": round(time.monotonic() - began_s)})
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
