import asyncio
import contextlib
import dataclasses
import hashlib
import io
import time

import numpy as np
import pytest
import soundfile

import appliance.daemon.keeping
from appliance.daemon.keeping import ClipKeeper
from appliance.errors import StoreError
from appliance.model.incidents import Category
from appliance.pipeline.clips import Clip, Refusal
from appliance.storage.clips import ClipFolder
from appliance.wire.clips import clip_messages
from appliance.wire.framing import encode_frame
from tests.daemon.meshes import fire, mesh_of, run
from tests.mesh.sites import until
from tests.storage.incidents import START_NS, incident

RATE_HZ = 16_000.25


@pytest.fixture(autouse=True)
def _ask_soon(monkeypatch):
    monkeypatch.setattr(appliance.daemon.keeping, "ASK_AFTER_S", 0.3)


def sound(n=32_000, channels=4):
    return np.random.default_rng(1).integers(-20_000, 20_000, (n, channels), dtype=np.int16)


async def asked(node):
    (request,) = await until(node.ears.take_clip_requests)
    return request


def test_the_sound_of_gunfire_is_kept_and_bound_to_a_record_that_all_nodes_have(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2", "n3") as nodes:
            a, b, _ = nodes
            first = await fire(nodes)
            request = await asked(a)
            assert [p[17:] for p in request.picks] == ["n1"], "the ears are asked for their own picks alone"
            samples = sound(100_000)
            clip = Clip(request.request, request.picks[0], time.time_ns(), 1_500, RATE_HZ, samples)
            a.ears.send_clips([clip])
            await until(lambda: b.reader.clips([first])[first])
            (kept,) = b.reader.clips([first])[first]
            assert (kept["node"], kept["pick"], kept["clock_sigma_ns"]) == ("n1", request.picks[0], 1_500)
            assert (kept["rate_hz"], kept["n_channels"], kept["n_samples"]) == (RATE_HZ, 4, 100_000)
            assert kept["pose"]["lat_deg"] == a.pose.position.lat_deg
            data = (a.folder.root / "clips" / f"{kept['pick']}.flac").read_bytes()
            assert hashlib.sha256(data).hexdigest() == kept["sha256"]
            again, rate_hz = soundfile.read(io.BytesIO(data), dtype="int16")
            assert rate_hz == 16_000
            assert np.array_equal(again, samples)
            assert not (b.folder.root / "clips").exists(), "sound stays on the node that heard it"
            (event,) = [e for e in b.reader.events_after(None) if e.kind == "clip"]
            assert event.body == kept
            assert a.ears.take_clip_requests() == [], "nothing is asked for twice"

    run(scenario)


@pytest.mark.parametrize(
    ("category", "age_s", "asks"),
    [("gunfire", 3, True), ("possible-gunfire", 3, False), ("firework", 3, False), ("gunfire", 61, False)],
)
def test_only_gunfire_that_the_ears_may_still_have_is_asked_for(tmp_path, category, age_s, asks, monkeypatch):
    monkeypatch.setattr(appliance.daemon.keeping, "ASK_AFTER_S", 0.0)
    found = dataclasses.replace(incident(nodes=("n1", "n2")), category=Category(category))
    said = []

    async def scenario():
        keeper = ClipKeeper("n2", ClipFolder(tmp_path), pytest.fail, said.append)
        keeper.located([found, found], START_NS + age_s * 10**9)
        keeper.located([found], START_NS + age_s * 10**9)
        await asyncio.sleep(0.01)
        await keeper.close()

    asyncio.run(scenario())
    assert [message.picks for message in said] == ([(found.aliases[0],)] if asks else [])


def test_a_refusal_of_the_ears_is_no_fault(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2", "n3") as nodes:
            a, b, c = nodes
            first = await fire(nodes)
            requests = [await asked(node) for node in nodes]
            b.ears.send_clips([Refusal(requests[1].request, requests[1].picks[0], "the hour's allowance is used up")])
            for node, request in ((a, requests[0]), (c, requests[2])):
                node.ears.send_clips([Clip(request.request, request.picks[0], time.time_ns(), 0, RATE_HZ, sound(100))])
            await until(lambda: [k["node"] for k in b.reader.clips([first])[first]] in (["n1", "n3"], ["n3", "n1"]))
            assert b.ears.wait_connected(0.0)

    run(scenario)


def test_clips_that_nobody_asked_for_or_that_do_not_fit_end_the_connection_and_leave_nothing(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2", "n3") as nodes:
            a = nodes[0]
            await fire(nodes)
            request = await asked(a)
            parts = clip_messages(
                [Clip(request.request, request.picks[0], time.time_ns(), 0, RATE_HZ, sound(60_000))], 2**25
            )
            assert len(parts) > 1
            for bad in (
                parts[1:],
                [parts[0], parts[0]],
                clip_messages([Clip(99, request.picks[0], 1, 0, 1.0, sound(9))], 2**20),
            ):
                reader, writer = await asyncio.open_unix_connection(a.folder.listen_socket)
                for message in bad:
                    writer.write(encode_frame(message))
                with contextlib.suppress(ConnectionResetError):
                    while await reader.read(65_536):
                        pass
                writer.close()
            assert not (a.folder.root / "clips").exists()

    run(scenario)


def test_old_clips_go_first_by_age_and_then_by_size(tmp_path):
    folder = ClipFolder(tmp_path / "clips")
    assert folder.prune(0) == 0
    picks = [f"{second * 1_000_000:016d}-n1" for second in range(1, 7)]
    for pick in picks:
        folder.save(pick, sound(2_000, 1).tobytes(), 8_000.0, 1)
    assert folder.prune(3 * 10**9) == 2
    assert folder.read(picks[1]) is None
    size = len(folder.read(picks[2]))
    assert folder.prune(0, max_bytes=2 * size + 10) == 2
    assert [folder.read(p) is not None for p in picks] == [False] * 4 + [True] * 2


def test_a_folder_that_can_not_be_written_is_named_with_the_remedy(tmp_path):
    (tmp_path / "clips").write_text("in the way")
    with pytest.raises(StoreError, match="make room on its disk"):
        ClipFolder(tmp_path / "clips").save("0000000000000001-n1", sound(10, 1).tobytes(), 8_000.0, 1)
