import asyncio
import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import time

import msgspec
import pytest

from appliance.daemon.mesh import MeshSetup, matters, serve_mesh
from appliance.errors import InputError, StoreError
from appliance.ledger.records import RecordWriter
from appliance.ledger.roster import Roster
from appliance.ledger.verify import verify_records
from appliance.mesh.discovery import Discovery
from appliance.mesh.trust import create_site, load_credentials
from appliance.model.air import Air
from appliance.model.space import Geodetic, NodePose
from appliance.storage.node_store import NodeStore
from appliance.timing.utc import UtcMapping
from appliance.wire.framing import FrameDecoder, encode_frame
from appliance.wire.messages import (
    ChangedMessage,
    PeerHelloMessage,
    RecordsMessage,
    local_decoder,
    pick_message,
)
from appliance.wire.records import EpochBody, decode_body, encode_body, pick_to_body
from tests.daemon.meshes import MeshNode, Survey, fire, mesh_of, run
from tests.mesh.sites import until


def records_of(node):
    store = NodeStore(node.folder.database)
    try:
        return store.all_records()
    finally:
        store.close()


def keys_of(records):
    return {(r.node, r.epoch, r.seq) for r in records}


def test_a_shot_that_all_hear_is_one_incident_with_one_id_on_every_node(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2", "n3", "n4") as nodes:
            first = await fire(nodes)
            heard_by = ["n1", "n2", "n3", "n4"]
            await until(
                lambda: all(n.reader.incidents() and n.reader.incidents()[0]["heard_by"] == heard_by for n in nodes)
            )
            for node in nodes:
                (incident,) = node.reader.incidents()
                assert incident["id"] == first
                assert incident["category"] == "gunfire"
                assert incident["lat"] == pytest.approx(35.0 + 80.0 / 111_000, abs=5e-5)
                assert node.ears.n_unacknowledged == 0
            places = {(i["lat"], i["lon"]) for node in nodes for i in node.reader.incidents()}
            assert len(places) == 1, "the same picks give the same place"

    run(scenario)


def test_what_nodes_know_of_each_other_is_there_to_be_shown(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2") as (a, b):
            b.ears.send_levels(time.time_ns(), 1_000, [(-60.0, -50.0, 0)])
            await until(lambda: b.health()["ears"]["state"] == "ok")
            await until(lambda: a.reader.nodes()[1]["health"])
            own, peer = a.reader.nodes()
            assert (own["id"], own["self"], peer["id"], peer["self"]) == ("n1", True, "n2", False)
            assert peer["url"] == "http://n2:1"
            assert peer["lat"] == b.pose.position.lat_deg
            assert {c["name"] for c in peer["health"]} >= {"ears", "clock", "place", "peers", "storage"}
            assert own["levels"] == peer["levels"] == []
            assert b.reader.nodes()[0]["levels"][0]["rms_dbfs"] == -60.0
            await until(lambda: any(e.kind == "nodes" for e in a.reader.events_after(None)))

    run(scenario)


def test_peers_report_a_node_that_has_no_clock_or_no_ears_any_more(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2") as (a, b):
            b.ears.send_levels(time.time_ns(), 1_000, [(-60.0, -50.0, 0)])
            await until(lambda: b.health()["clock"]["state"] == "ok")
            b.ears.send_levels(time.time_ns(), 6_000_000, [(-60.0, -50.0, 0)])
            await until(lambda: "n2 hears with trouble (clock: too uncertain for fixes" in a.health()["peers"]["words"])
            await until(lambda: "ears: no sound arrives" in a.health()["peers"]["words"])  # nothing more was said
            assert a.health()["peers"]["state"] == "degraded"

    run(scenario)


def test_a_node_that_is_moved_is_shown_and_used_at_its_new_place(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2") as (a, b):
            place = b.pose.position
            await until(lambda: a.reader.nodes()[1]["lat"] == place.lat_deg)
            wander = dataclasses.replace(place, lat_deg=place.lat_deg + 5e-6)
            b.survey.pose = dataclasses.replace(b.pose, position=wander)
            moved = dataclasses.replace(place, lat_deg=place.lat_deg + 0.001)
            await until(lambda: b.health()["place"]["state"] == "ok")
            b.survey.pose = dataclasses.replace(b.pose, position=moved)
            await until(lambda: a.reader.nodes()[1]["lat"] == moved.lat_deg)
            b.survey.pose = None
            await until(lambda: b.alive() == {"n1", "n2"})
        assert sum(r.kind == "pose" for r in records_of(a) if r.node == "n2") == 2, "wandering is not announced"

    run(scenario)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, False),
        ({"heading_deg": 1.0}, False),
        ({"heading_deg": 3.0}, True),
        ({"heading_deg": -359.0}, False),
        ({"sigma_m": 0.8}, False),
        ({"sigma_m": 0.1}, True),
        ({"sigma_m": 5.0}, True),
        ({"position": Geodetic(35.00001, -106.0, 1500.0)}, False),
        ({"position": Geodetic(35.00003, -106.0, 1500.0)}, True),
        ({"position": Geodetic(35.0, -106.00004, 1500.0)}, True),
        ({"position": Geodetic(35.0, -106.0, 1506.0)}, True),
    ],
    ids=str,
)
def test_only_what_matters_to_a_fix_is_announced_of_a_place(change, told):
    before = NodePose("n1", Geodetic(35.0, -106.0, 1500.0), 0.5)
    assert matters(before, dataclasses.replace(before, **change)) is told
    assert matters(None, before)


def test_the_ears_are_told_the_time_and_everybody_the_air(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", start=False) as (node,):
            await node.start(clock=lambda: UtcMapping(12, 345), air=Air(temperature_c=31.0))
            await until(lambda: node.ears.clock is not None and node.ears.clock.offset_ns == 12)
            assert node.ears.clock.sigma_ns >= 345
        bodies = [decode_body(r) for r in records_of(node) if r.kind == "air"]
        assert [b.temperature_c for b in bodies] == [31.0]

    run(scenario)


def test_a_pick_that_comes_far_too_late_is_acknowledged_and_counted_but_not_signed(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1") as (node,):
            node.ears.send_pick(node.pick_of_shot(time.time_ns() - 3_600 * 10**9))
            await until(lambda: node.ears.n_unacknowledged == 0)
            await until(lambda: "too old" in node.health().get("records", {}).get("words", ""))
        assert all(r.kind != "pick" for r in records_of(node))

    run(scenario)


def test_a_node_that_stops_is_dead_to_the_others_and_back_when_it_starts_again(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2") as (a, b):
            await b.stop()
            await until(lambda: a.alive() == {"n1"})
            await b.start()
            await until(lambda: a.alive() == b.alive() == {"n1", "n2"})
        records = records_of(a)
        epochs = sorted({r.epoch for r in records if r.node == "n2"})
        assert len(epochs) == 2
        assert keys_of(records) == keys_of(records_of(b))
        roster = Roster(load_credentials(a.folder.keys).site.key)
        for node in (a, b):
            roster.add(node.name, load_credentials(node.folder.keys).private_key.public_key())
        assert verify_records(records, roster) == ()

    run(scenario)


def test_who_was_away_gets_everything_and_locates_it_itself(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2", "n3", "n4", start=False) as (a, b, c, d):
            for node in (a, b, c):
                await node.start()
            await until(lambda: a.alive() == b.alive() == c.alive() == {"n1", "n2", "n3"})
            first = await fire([a, b, c])
            await until(lambda: first in a.incident_ids())
            await c.stop()  # what it said must reach the latecomer through the others
            await d.start()
            await until(lambda: d.incident_ids() == [first] and len(d.reader.incidents()[0]["heard_by"]) == 3)

    run(scenario)


def test_both_halves_of_a_partition_end_with_the_same_incident(tmp_path):
    """Two nodes that never met each hear a shot; once they meet it is one, with the smaller id and both aliases."""

    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2", "n3", start=False) as (a, b, c):
            shot_ns = time.time_ns()
            ids = {}
            for node in (a, b, c):
                await node.start()
                ids[node] = await fire([node], time_ns=shot_ns)
                await until(lambda node=node: node.ears.n_unacknowledged == 0)
                if node is not c:
                    await node.stop()
            await a.start()
            await b.start()
            first = min(ids.values())
            await until(lambda: all(n.incident_ids() == [first] for n in (a, b, c)))
            await until(lambda: all(len(n.reader.incidents()[0]["heard_by"]) == 3 for n in (a, b, c)))
            assert all(n.reader.incident(alias)["id"] == first for n in (a, b, c) for alias in ids.values())

    run(scenario)


def test_peers_find_each_other_again_without_mdns_where_they_met_before(tmp_path, monkeypatch):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2") as (a, b):
            await until(lambda: known_to(a) == {"n2": ("127.0.0.1", b.port)})
            ports = a.port, b.port
            await a.stop()
            await b.stop()
            monkeypatch.setattr(Discovery, "run", silence)
            await a.start(port=ports[0])
            await b.start(port=ports[1])
            await until(lambda: a.alive() == b.alive() == {"n1", "n2"})

    run(scenario)


async def silence(_discovery):
    """An mDNS that nobody hears."""
    await asyncio.Event().wait()


def known_to(node):
    connection = sqlite3.connect(f"file:{node.folder.database}?mode=ro", uri=True)
    try:
        return {
            n: (address, port) for n, address, port in connection.execute("SELECT node, address, port FROM addresses")
        }
    finally:
        connection.close()


def test_picks_from_before_the_localisers_memory_still_become_an_incident(tmp_path):
    """Half an hour of partition: the picks are too old to be held, and are located in a stretch of their own."""

    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2", "n3", "n4", start=False) as nodes:
            old_ns = time.time_ns() - 1_800 * 10**9
            pretend_to_have_heard(nodes, old_ns)
            for node in nodes:
                await node.start()
            first = min(node.pick_of_shot(old_ns).id for node in nodes)
            await until(lambda: all(first in node.incident_ids() for node in nodes))
            await until(lambda: all(len(n.reader.incident(first)["heard_by"]) == 4 for n in nodes))

    run(scenario)


def pretend_to_have_heard(nodes, shot_ns):
    """Give each node the log it would have if it had heard a shot while it was alone."""
    for node in nodes:
        credentials = load_credentials(node.folder.keys)
        writer = RecordWriter(credentials.private_key, credentials.site.key, node.name, 7, bytes(32))
        pick = node.pick_of_shot(shot_ns)
        records = [
            writer.write(*encode_body(EpochBody(0, 0, "test")), shot_ns),
            writer.write(*encode_body(pick_to_body(pick)), pick.time_ns),
        ]
        store = NodeStore(node.folder.database)
        with store.transaction():
            store.add_records(records)
        store.close()


def test_the_same_pick_sent_twice_is_signed_once_also_across_a_restart(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1") as (node,):
            pick = node.pick_of_shot(time.time_ns())
            for _ in range(2):
                node.ears.send_pick(pick)
                await until(lambda: node.ears.n_unacknowledged == 0)
            await node.stop()
            await node.start()
            node.ears.send_pick(pick)
            await until(lambda: node.ears.n_unacknowledged == 0)
        assert sum(r.kind == "pick" for r in records_of(node)) == 1

    run(scenario)


def test_the_pages_are_told_of_every_event_after_it_is_in_the_database(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1") as (node,):
            reader, writer = await asyncio.open_unix_connection(node.folder.control_socket)
            decoder = FrameDecoder(local_decoder(), "mesh")
            await fire([node])
            incident_row = None
            while incident_row is None:
                for message in decoder.feed(await reader.read(65_536)):
                    assert isinstance(message, ChangedMessage)
                    events = node.reader.events_after(None)
                    assert len(events) >= message.row
                    if events[message.row - 1].kind == "incident":
                        incident_row = message.row
            writer.close()

    run(scenario)


def test_ears_of_another_node_are_refused(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1") as (node,):
            reader, writer = await asyncio.open_unix_connection(node.folder.listen_socket)
            pick = msgspec.structs.replace(pick_message(node.pick_of_shot(time.time_ns())), node="n2")
            writer.write(encode_frame(pick))
            assert await reader.read() == b""
            writer.close()
        assert all(r.kind != "pick" for r in records_of(node))

    run(scenario)


def member_says(node, credentials, *messages):
    """Somebody with a member's keys connects to `node` and says things."""

    async def say():
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", node.port, ssl=credentials.client_context(), server_hostname=""
        )
        for message in (PeerHelloMessage(credentials.node, "test"), *messages):
            writer.write(encode_frame(message))
        try:
            while await reader.read(65_536):
                pass
        except OSError:
            pass
        writer.transport.abort()

    return say()


def test_a_stolen_node_can_not_speak_for_another_and_is_shown(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2") as (a, b):
            thief = load_credentials(b.folder.keys)
            await b.stop()
            writer = RecordWriter(thief.private_key, thief.site.key, "n1", 2**50, bytes(32))
            now_ns = time.time_ns()
            forged = [
                writer.write(*encode_body(EpochBody(0, 0, "x")), now_ns),
                writer.write(*encode_body(pick_to_body(a.pick_of_shot(now_ns))), now_ns),
            ]
            await member_says(a, thief, RecordsMessage(tuple(forged), asked=False))
            await until(lambda: "signature does not fit" in a.health()["peers"]["words"])
            assert a.incident_ids() == []
        assert all(r.epoch < 2**50 for r in records_of(a))

    run(scenario)


def test_picks_of_an_impossible_time_are_kept_but_not_used(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2", start=False) as (a, b):
            await a.start()
            liar = load_credentials(b.folder.keys)
            writer = RecordWriter(liar.private_key, liar.site.key, "n2", 5, bytes(32))
            now_ns = time.time_ns()
            tomorrow_ns = now_ns + 86_400 * 10**9
            records = (
                writer.write(*encode_body(EpochBody(0, 0, "x")), now_ns),
                writer.write(*encode_body(pick_to_body(b.pick_of_shot(tomorrow_ns))), tomorrow_ns),
                writer.write(*encode_body(pick_to_body(b.pick_of_shot(now_ns - 3_600 * 10**9))), now_ns),
                writer.write("prophecy", b"\x81\xa1v\x01", now_ns),
            )
            speech = asyncio.ensure_future(member_says(a, liar, RecordsMessage(records, asked=False)))
            await until(lambda: "records" in a.health())
            words = a.health()["records"]["words"]
            assert "2 times pick of a time that can't be" in words
            assert "kind prophecy is newer than this software" in words
            assert a.incident_ids() == []
            await until(lambda: keys_of(records) <= keys_in_running(a))
            speech.cancel()

    run(scenario)


def keys_in_running(node):
    """The records of a running node, read beside it."""
    connection = sqlite3.connect(f"file:{node.folder.database}?mode=ro", uri=True)
    try:
        return set(connection.execute("SELECT node, epoch, seq FROM records"))
    finally:
        connection.close()


def test_a_node_of_another_site_never_becomes_a_peer(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1") as (a,):
            stranger = MeshNode(tmp_path / "other", "n2", create_site("test"))
            try:
                await stranger.start(peers=(f"127.0.0.1:{a.port}",))
                await until(lambda: "could not prove that it is of this site" in a.health()["peers"]["words"])
                assert [n["id"] for n in a.reader.nodes()] == ["n1"]
                assert [n["id"] for n in stranger.reader.nodes()] == ["n2"]
            finally:
                await stranger.stop()

    run(scenario)


def test_two_processes_can_not_run_on_one_state_folder(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1") as (node,):
            before = keys_in_running(node)
            twin = serve_mesh(MeshSetup(node.folder, Survey(None)), ready=pytest.fail, stop=asyncio.Event())
            with pytest.raises(StoreError, match="stop the other earshot mesh"):
                await asyncio.to_thread(asyncio.run, twin)
            assert {key for key in keys_in_running(node) if key[2] == 1} <= before, "it began no epoch"
            await fire([node])
            await until(lambda: node.incident_ids())

    run(scenario)


def test_a_node_without_keys_and_a_bad_peer_address_are_refused_with_the_remedy(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", start=False) as (node,):
            with pytest.raises(InputError, match="write host:port"):
                await node.start(peers=("nonsense",))
            (node.folder.keys / "node.key").unlink()
            with pytest.raises(InputError, match="enrol the node into its site"):
                await node.start()
            node.task = None

    run(scenario)


RUN_A_NODE = """
import sys
from pathlib import Path
from appliance.config.folder import NodeFolder
from appliance.daemon.mesh import MeshSetup, run_mesh
from tests.daemon.meshes import MeshNode, Survey
from appliance.mesh.trust import create_site

folder = Path(sys.argv[1])
if not (folder / "n1" / "keys").exists():
    node = MeshNode(folder, "n1", create_site("test"))
setup = MeshSetup(NodeFolder(folder / "n1"), Survey(None), interfaces=("127.0.0.1",))
run_mesh(setup, lambda port: print("ready", port, flush=True))
print("stopped", flush=True)
"""


def start_process(tmp_path, repository):
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", RUN_A_NODE, tmp_path],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().startswith("ready ")
    return process


def test_the_process_stops_cleanly_on_sigterm_and_starts_after_a_kill_with_a_new_epoch(tmp_path, repository):
    with start_process(tmp_path, repository) as process:
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / "n1" / "run" / "listen.sock").exists(), "the dead process could not tidy up"
    with start_process(tmp_path, repository) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "stopped\n"
    assert process.returncode == 0
    assert not (tmp_path / "n1" / "run" / "listen.sock").exists()
    store = NodeStore(tmp_path / "n1" / "node.db")
    starts = [r for r in store.all_records() if r.kind == "epoch"]
    store.close()
    assert len(starts) == 2
    assert starts[0].epoch < starts[1].epoch
