import asyncio
import contextlib
import gc

import pytest
from zeroconf import IPVersion, ServiceStateChange
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from appliance.mesh.discovery import MAX_SERVICES, SERVICE_TYPE, Announcement, Discovery, Found
from tests.mesh.sites import until


def announcement(node, port, *, site="5173aaaa5173aaaa"):
    return Announcement(node, "harbour", site, f"{port:064x}"[::-1], port)


@contextlib.asynccontextmanager
async def running(*announcements):
    """Discoveries on the loopback interface, each with the list of what it found."""
    found = [[] for _ in announcements]
    discoveries = [Discovery(a, ("127.0.0.1",), heard.append) for a, heard in zip(announcements, found, strict=True)]
    tasks = [asyncio.ensure_future(d.run()) for d in discoveries]
    try:
        yield found, tasks, discoveries
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def announce_strangely(mdns, label, properties, port=9):
    name = f"{label}.{SERVICE_TYPE}"
    info = AsyncServiceInfo(
        SERVICE_TYPE, name, port=port, properties=properties, parsed_addresses=["127.0.0.1"], server=f"{label}.local."
    )
    await (await mdns.async_register_service(info, cooperating_responders=True))


def test_nodes_of_one_site_find_each_other_by_mdns_and_nothing_else():
    """Real mDNS on the loopback interface, with other sites, other versions and nonsense around."""
    site = "5173aaaa5173aaaa"
    good = {"site": site, "v": "1", "key": "x", "name": "n"}

    async def scenario():
        mdns = AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
        try:
            for i, properties in enumerate(
                (
                    {**good, "node": "stranger", "site": "other"},
                    {**good, "node": "newer", "v": "2"},
                    {**good, "node": "<script>alert(1)</script>"},
                    {**good, "node": "n1"},
                    {"node": b"\xff\xfe"},
                    {},
                )
            ):
                await announce_strangely(mdns, f"odd{i}", properties)
            nodes = [announcement("n1", 1001), announcement("node.2_of-site", 1002), announcement("n3", 1003)]
            async with running(*nodes) as (found, _, _):
                await until(lambda: all(len({f.node for f in heard}) == 2 for heard in found))
                assert Found("n1", ("127.0.0.1",), 1001) in found[1]
                assert Found("node.2_of-site", ("127.0.0.1",), 1002) in found[0]
                assert {f.node for f in found[0]} == {"node.2_of-site", "n3"}
        finally:
            await mdns.async_close()

    asyncio.run(scenario())


def test_a_node_that_moved_is_found_at_its_new_address():
    async def scenario():
        async with running(announcement("n1", 1001)) as (found, _, _):
            async with running(announcement("n2", 1002)):
                await until(lambda: found[0] and found[0][-1].port == 1002)
            moved = Announcement("n2", "harbour", "5173aaaa5173aaaa", f"{1002:064x}"[::-1], 1009)
            async with running(moved):
                await until(lambda: found[0][-1].port == 1009)

    asyncio.run(scenario())


def test_ten_thousand_made_up_services_fill_no_memory():
    async def scenario():
        discovery = Discovery(announcement("n1", 1), ("127.0.0.1",), pytest.fail)
        for i in range(10_000):
            name = f"fake{i}.{SERVICE_TYPE}"
            discovery._changed(None, SERVICE_TYPE, name, ServiceStateChange.Added)
        assert discovery.n_ignored == 10_000 - MAX_SERVICES

    asyncio.run(scenario())


# zeroconf itself leaves a socket to the garbage collector when it can't be started.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning")
def test_without_a_network_it_says_so_and_goes_on_trying(monkeypatch):
    monkeypatch.setattr("appliance.mesh.discovery.RESTART_AFTER_S", 0.05)

    async def scenario():
        found = []
        discovery = Discovery(announcement("n1", 1), ("192.0.2.77",), found.append)
        task = asyncio.ensure_future(discovery.run())
        await until(lambda: discovery.problem)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    gc.collect()
