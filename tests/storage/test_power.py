import shutil

import pytest

from tests.storage import power

RENAMES = """
import os, sys
from pathlib import Path
from appliance.storage.clips import ClipFolder

folder = Path(sys.argv[1])
acknowledged = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
clips = ClipFolder(folder)
for n in range(1, 6):
    clips.save(f"{n:016d}-n1", bytes(range(200)) * 20 * n, 8_000.0, 1)
    os.write(acknowledged, b"%d\\n" % n)
os._exit(0)
"""


@pytest.fixture(scope="module")
def recorder(tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is needed to build the recorder")
    return power.build_recorder(tmp_path_factory.mktemp("recorder"))


def test_a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged(recorder, tmp_path, repository):
    steps = power.record(recorder, tmp_path, repository, n_groups=8)
    assert sum(step.operation == "A" for step in steps) == 8
    assert sum(step.path.endswith("node.db") for step in steps) > 10, "there were checkpoints"
    tally = power.cut_power(steps, tmp_path / "after", seed=1)
    assert tally.cuts > 100
    assert (tally.lost, tally.broken) == (0, 0)


def test_the_same_cuts_tell_a_store_that_syncs_too_little(recorder, tmp_path, repository):
    steps = power.record(recorder, tmp_path, repository, n_groups=8, synchronous="NORMAL")
    tally = power.cut_power(steps, tmp_path / "after", seed=1, every=2)
    assert tally.lost > 10


def test_a_clip_that_was_kept_is_whole_after_a_power_cut(recorder, tmp_path, repository):
    steps = power.record(recorder, tmp_path, repository, n_groups=0, workload=RENAMES)
    rng = power.random.Random(2)
    final = power.disk_after(steps, len(steps), rng)
    whole = {path: content for path, content in final.items() if path.endswith(".flac")}
    assert len(whole) == 5
    for moment in range(len(steps) + 1):
        left = power.disk_after(steps, moment, rng)
        n_acknowledged = power.acknowledged_at(steps, moment)
        kept = {path: content for path, content in left.items() if path.endswith(".flac")}
        assert all(content == whole[path] for path, content in kept.items()), "half a clip has no name"
        assert len(kept) >= n_acknowledged
