import asyncio
import ssl
import time

import msgspec
import pytest

import appliance.mesh.joining
from appliance.config import Settings
from appliance.config.settings import NodeSettings
from appliance.daemon.membership import JoinBody, OpenedBody, RevokeBody
from appliance.daemon.mesh_setup import ensure_keys
from appliance.errors import InputError, PeerError
from appliance.ledger.records import RecordWriter, record_hash
from appliance.mesh.joining import join
from appliance.mesh.trust import create_site, load_credentials
from appliance.wire.framing import encode_frame
from appliance.wire.joining import WelcomeMessage
from appliance.wire.messages import RecordsMessage
from appliance.wire.records import encode_body, pick_to_body
from tests.daemon.meshes import MeshNode, fire, mesh_of, run
from tests.daemon.test_commands import Page
from tests.daemon.test_exchange import member_says
from tests.daemon.test_mesh import keys_in_running, records_of
from tests.mesh.sites import until


async def opened(page, request=1):
    answer = await page.ask(request, "open-joining", b"")
    assert answer.ok, answer.reason
    return msgspec.msgpack.decode(answer.body, type=OpenedBody)


def test_a_new_node_is_let_in_by_a_code_and_hears_the_next_shot_with_the_others(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2", "n3", site_on="n1") as nodes:
            new = MeshNode(tmp_path, "n4", create_site("alone"))
            await new.start()
            try:
                await fire([new])
                await until(new.incident_ids)
                async with Page(nodes[0]) as here, Page(new) as there:
                    door = await opened(here)
                    assert abs(door.until_ns - time.time_ns() - 600 * 10**9) < 5 * 10**9
                    joined = await there.ask(
                        2, "join", msgspec.msgpack.encode(JoinBody(door.code, "127.0.0.1", door.port))
                    )
                    assert joined.ok, joined.reason
                await new.task  # it ends by itself, and whoever keeps it running starts it again
                ensure_keys(Settings(node=NodeSettings(id="n4")), new.folder)
                await asyncio.to_thread(new.ears.close)
                new.reader.close()
                await new.start()
                names = {"n1", "n2", "n3", "n4"}
                await until(lambda: all(n.alive() == names for n in (*nodes, new)))
                assert new.incident_ids() == [], "the log of its own site is put aside"
                first = await fire([*nodes, new])
                await until(lambda: len((new.reader.incident(first) or {"heard_by": ()})["heard_by"]) == 4)
                assert load_credentials(new.folder.keys).site.key == load_credentials(nodes[0].folder.keys).site.key
            finally:
                await new.stop()

    run(scenario)


def test_a_code_lets_in_one_node_once_and_a_wrong_one_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(appliance.mesh.joining, "MAX_TRIES", 3)

    async def scenario():
        async with mesh_of(tmp_path, "n1", site_on="n1") as (node,), Page(node) as page:
            door = await opened(page)
            with pytest.raises(InputError, match="the code is wrong"):
                await join("n2", "0000-0000-0000-0000", "127.0.0.1", door.port)
            with pytest.raises(InputError, match="a node named n1 is there already"):
                await join("n1", door.code, "127.0.0.1", door.port)
            typed = door.code.lower().replace("-", " ")
            assert (await join("n2", typed, "127.0.0.1", door.port)).certificate
            with pytest.raises(InputError, match=r"check the address|the code has ended"):
                await join("n3", door.code, "127.0.0.1", door.port)
            door = await opened(page, 2)
            for _ in range(3):
                with pytest.raises(InputError, match="the code is wrong"):
                    await join("n2", "0000-0000-0000-0000", "127.0.0.1", door.port)
            with pytest.raises(InputError):
                await join("n2", door.code, "127.0.0.1", door.port)
            door = await opened(page, 3)
            monkeypatch.setattr(appliance.mesh.joining, "time", _Later())
            with pytest.raises(InputError, match=r"check the address|the code has ended"):
                await join("n2", door.code, "127.0.0.1", door.port)

    run(scenario)


class _Later:
    """A clock that is past any code's end."""

    @staticmethod
    def monotonic():
        return time.monotonic() + 601.0


def test_who_stands_between_the_two_ends_learns_nothing_and_lets_nobody_in(tmp_path):
    """It speaks TLS with a certificate of its own on both sides, and passes every message on."""

    async def scenario():
        async with mesh_of(tmp_path, "n1", site_on="n1") as (node,), Page(node) as page:
            door = await opened(page)
            create_site("thief").enrol("n1", tmp_path / "thief")
            thief = load_credentials(tmp_path / "thief")
            server = await asyncio.start_server(
                lambda r, w: _pass_on(r, w, door.port),
                "127.0.0.1",
                0,
                ssl=_any_guest(thief),
            )
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(InputError, match="the code is wrong"):
                await join("n2", door.code, "127.0.0.1", port)
            server.close()
            liar = await asyncio.start_server(
                lambda r, w: _welcome(r, w, tmp_path), "127.0.0.1", 0, ssl=_any_guest(thief)
            )
            port = liar.sockets[0].getsockname()[1]
            with pytest.raises(PeerError, match="does not know the code"):
                await join("n2", door.code, "127.0.0.1", port)
            liar.close()

    run(scenario)


def _any_guest(credentials):
    context = credentials.server_context()
    context.verify_mode = ssl.CERT_NONE
    return context


async def _pass_on(reader, writer, port):
    context = appliance.mesh.joining._client_context()
    there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="")
    there_writer.write(await reader.read(65_536))
    writer.write(await there_reader.read(65_536))
    await writer.drain()
    there_writer.transport.abort()
    writer.close()


async def _welcome(reader, writer, folder):
    """Somebody who welcomes everybody into a site of his own."""
    await reader.read(65_536)
    thief = load_credentials(folder / "thief")
    site = thief.site.certificate.public_bytes(appliance.mesh.joining.serialization.Encoding.DER)
    writer.write(encode_frame(WelcomeMessage(thief.enrolled.der, site, (b"", b"", b""), bytes(32))))
    await writer.drain()
    writer.close()


def test_only_who_holds_the_sites_key_can_let_in_and_take_out(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2") as (a, _), Page(a) as page:
            for i, (kind, body) in enumerate(
                (("open-joining", b""), ("revoke", msgspec.msgpack.encode(RevokeBody("n2"))))
            ):
                answer = await page.ask(i, kind, body)
                assert not answer.ok
                assert "is not on this node" in answer.reason
            answer = await page.ask(9, "join", b"\xc1")
            assert "makes no sense" in answer.reason

    run(scenario)


def test_a_stolen_node_is_cut_off_and_what_it_says_afterwards_is_refused_everywhere(tmp_path):
    async def scenario():
        async with mesh_of(tmp_path, "n1", "n2", "n3", site_on="n1") as (a, b, c):
            first = await fire([a, b, c])
            await until(
                lambda: all(len((n.reader.incident(first) or {"heard_by": ()})["heard_by"]) == 3 for n in (a, b, c))
            )
            await until(lambda: keys_in_running(a) == keys_in_running(b) == keys_in_running(c))
            stolen = load_credentials(c.folder.keys)
            async with Page(a) as page:
                answer = await page.ask(1, "revoke", msgspec.msgpack.encode(RevokeBody("n3", "stolen from its pole")))
                assert answer.ok, answer.reason
                assert not (await page.ask(2, "revoke", msgspec.msgpack.encode(RevokeBody("n3")))).ok
                assert not (await page.ask(3, "revoke", msgspec.msgpack.encode(RevokeBody("n1")))).ok
            for node in (a, b):
                await until(lambda node=node: [n["id"] for n in node.reader.nodes()] in (["n1", "n2"], ["n2", "n1"]))
                assert node.reader.incident(first)["heard_by"] == ["n1", "n2", "n3"], "what it heard before stays"
            await c.stop()
            own = [r for r in records_of(c) if r.node == "n3"]
            epoch = max(r.epoch for r in own)
            last = max((r for r in own if r.epoch == epoch), key=lambda r: r.seq)
            writer = RecordWriter(stolen.private_key, stolen.site.key, "n3", epoch, b"")
            writer._tip = type(writer._tip)(last.seq, record_hash(last, stolen.site.key))
            forged = writer.write(*encode_body(pick_to_body(c.pick_of_shot(time.time_ns()))), time.time_ns())
            await member_says(b, stolen, RecordsMessage((forged,), asked=False))
            await until(lambda: "refused: was taken out of the site" in b.health()["peers"]["words"])
            assert ("n3", forged.epoch, forged.seq) not in keys_in_running(b)
            await b.stop()
            await b.start()
            await until(lambda: b.alive() == {"n1", "n2"})
            assert [n["id"] for n in b.reader.nodes()] == ["n2", "n1"], "also after a restart"

    run(scenario)
