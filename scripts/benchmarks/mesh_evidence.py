"""Whether `earshot verify` finds what a forger does to a log or a bundle: random single changes of both.

    scripts/benchmarks/mesh_evidence.py [--changes N]

A change is one bit of one field of a record or certificate, or of the bundle's bytes; a record or file removed, put in,
doubled or moved; a body deleted; bytes cut off or put in. The last record of a stream, which no other record vouches
for yet, may be cut off without a trace; such changes are left out and counted.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

import pytest

from meshbench import keep  # isort: skip  # first: it shows the way to the tests

from appliance.daemon.verifying import verify_bundle, verify_log
from appliance.mesh.trust import load_site_certificate
from tests.daemon import evidence


def main() -> int:
    """Run and keep the result; status 1 where a change was not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=10_000, help="of the log, and as many of the bundle")
    n_changes = parser.parse_args().changes
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        log, bundle = evidence.make(Path(folder), monkeypatch)
        site = load_site_certificate(log.parent / "keys" / "site.pem")
        whole = not verify_log(log, site).findings and not verify_bundle(bundle, "bundle").findings
        results = {"log": changes_of_log(log, site, n_changes), "bundle": changes_of_bundle(bundle, n_changes)}
    keep("mesh_evidence", {"whole_is_whole": whole, **results})
    return int(not whole or any(result["missed"] for result in results.values()))


def changes_of_log(log: Path, site: object, n_changes: int) -> dict[str, object]:
    """How many changes of a log were found."""
    copy, missed, left_out = log.with_name("changed.db"), [], 0
    began_s = time.monotonic()
    for seed in range(n_changes):
        what = evidence.change_log(random.Random(seed), log, copy)  # noqa: S311  # to be repeated, not kept secret
        if what is None:
            left_out += 1
        elif not verify_log(copy, site).findings:
            missed.append(f"seed {seed}: {what}")
    return _summary(n_changes, left_out, missed, began_s)


def changes_of_bundle(bundle: bytes, n_changes: int) -> dict[str, object]:
    """How many changes of a bundle were found."""
    missed, left_out = [], 0
    began_s = time.monotonic()
    for seed in range(n_changes):
        changed, what = evidence.change_bundle(random.Random(seed), bundle)  # noqa: S311  # likewise
        if changed == bundle:
            left_out += 1
        elif not verify_bundle(changed, "bundle").findings:
            missed.append(f"seed {seed}: {what}")
    return _summary(n_changes, left_out, missed, began_s)


def _summary(n_changes: int, left_out: int, missed: list[str], began_s: float) -> dict[str, object]:
    return {
        "changes": n_changes,
        "left_out_as_traceless_or_no_change": left_out,
        "found": n_changes - left_out - len(missed),
        "missed": missed,
        "duration_s": round(time.monotonic() - began_s),
    }


if __name__ == "__main__":
    raise SystemExit(main())
