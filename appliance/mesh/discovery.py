"""Finding peers by mDNS (zeroconf). It supplies addresses and nothing else: who answers there must prove itself.

Discovery is not liveness: mDNS keeps a service for minutes after its node died.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import ifaddr
from zeroconf import Error, InterfaceChoice, IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

log = logging.getLogger(__name__)

SERVICE_TYPE = "_earshot._tcp.local."
PROTOCOL_VERSION = 1
MAX_SERVICES = 256
"""One LAN mesh is up to 25 nodes and a city block may hold several sites; more names than this are an attack."""
N_LOOKUPS = 8
"""Lookups at one time; each waits up to `LOOKUP_TIMEOUT_MS` for an answer."""
MAX_ATTEMPTS = 5
"""Lookups of a service that does not answer; it is announced again some time."""
LOOKUP_TIMEOUT_MS = 3_000
MAX_ADDRESSES = 8
RESTART_AFTER_S = 5.0
"""How soon mDNS is tried again where there was no network to begin with."""
LOOK_AT_ADDRESSES_S = 10.0
"""How often this machine's own addresses are looked at: a new one must be announced within a minute."""

_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a node says of itself on the LAN. Nothing here is secret, and nothing is believed without proof.

    pages: address of the node's pages, for terminals and cars that look for one
    """

    node: str
    site: str
    site_fingerprint: str
    key_fingerprint: str
    port: int
    pages: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a node of this site says that it can be reached."""

    node: str
    addresses: tuple[str, ...]
    port: int


class Discovery:
    """Announces this node and reports others of its site."""

    def __init__(self, own: Announcement, interfaces: Sequence[str], on_found: Callable[[Found], None]) -> None:
        """Announce `own` on the given addresses (none: all of this machine); `on_found` is called in the loop."""
        self._own = own
        self._interfaces = tuple(interfaces)
        self._on_found = on_found
        self._attempts: dict[str, int] = {}
        self._names: asyncio.Queue[str] = asyncio.Queue(MAX_SERVICES)
        self.n_ignored = 0
        self.problem: str | None = None

    async def run(self) -> None:
        """Announce and look until cancelled; starts over where the machine's addresses change or mDNS fails."""
        while True:
            addresses = self._addresses()
            try:
                async with self._running(addresses):
                    self.problem = None
                    while self._addresses() == addresses:
                        await asyncio.sleep(LOOK_AT_ADDRESSES_S)
                log.info("this machine's addresses changed; announcing anew")
            except (OSError, Error) as error:
                if self.problem != str(error):
                    log.warning("mDNS is not available (%s); trying again every %.0f s", error, RESTART_AFTER_S)
                self.problem = str(error)
                await asyncio.sleep(RESTART_AFTER_S)

    @contextlib.asynccontextmanager
    async def _running(self, addresses: tuple[str, ...]) -> AsyncIterator[None]:
        mdns = AsyncZeroconf(interfaces=list(self._interfaces) or InterfaceChoice.All, ip_version=IPVersion.V4Only)
        lookups = [asyncio.ensure_future(self._look_up(mdns.zeroconf)) for _ in range(N_LOOKUPS)]
        browser: AsyncServiceBrowser | None = None
        try:
            # The name holds the key's fingerprint, so nobody else has it and nothing needs to be probed for.
            info = _service_info(self._own, addresses)
            await (await mdns.async_register_service(info, cooperating_responders=True))
            browser = AsyncServiceBrowser(mdns.zeroconf, SERVICE_TYPE, handlers=[self._changed])
            yield
        finally:
            for lookup in lookups:
                lookup.cancel()
            await asyncio.gather(*lookups, return_exceptions=True)
            if browser is not None:
                await browser.async_cancel()
            await mdns.async_close()
            self._attempts.clear()

    def _changed(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        """Note a service that appeared or changed; called by zeroconf in the event loop, with these names."""
        del zeroconf, service_type
        if state_change is ServiceStateChange.Removed:
            self._attempts.pop(name, None)
        elif self._names.full() or (name not in self._attempts and len(self._attempts) >= MAX_SERVICES):
            self.n_ignored += 1
        else:
            self._attempts[name] = 0
            self._names.put_nowait(name)

    async def _look_up(self, zeroconf: Zeroconf) -> None:
        """Ask for the addresses of noted services, one by one; who does not answer goes to the end of the queue."""
        while True:
            name = await self._names.get()
            info = AsyncServiceInfo(SERVICE_TYPE, name)
            if await info.async_request(zeroconf, LOOKUP_TIMEOUT_MS):
                found = self._found(info)
                if found is not None:
                    self._on_found(found)
                continue
            attempts = self._attempts.pop(name, MAX_ATTEMPTS) + 1
            if attempts < MAX_ATTEMPTS and not self._names.full():
                self._attempts[name] = attempts
                self._names.put_nowait(name)

    def _found(self, info: AsyncServiceInfo) -> Found | None:
        """The peer that a service describes; None for other sites, other versions, this node and nonsense."""
        text = {key: value for key, value in info.decoded_properties.items() if value is not None}
        node = text.get("node", "")
        ours = text.get("site") == self._own.site_fingerprint and text.get("v") == str(PROTOCOL_VERSION)
        addresses = tuple(info.parsed_addresses(IPVersion.V4Only)[:MAX_ADDRESSES])
        if not ours or not _NODE.fullmatch(node) or node == self._own.node or not info.port or not addresses:
            return None
        return Found(node, addresses, info.port)

    def _addresses(self) -> tuple[str, ...]:
        """The addresses to announce: those given, or all of this machine but loopback."""
        if self._interfaces:
            return self._interfaces
        addresses = (ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4)
        return tuple(sorted(str(ip) for ip in addresses if not str(ip).startswith("127.")))


def _service_info(own: Announcement, addresses: Sequence[str]) -> AsyncServiceInfo:
    # A DNS label has at most 63 bytes and host names know no dots or underscores.
    label = f"{re.sub('[^A-Za-z0-9-]', '-', own.node)[:40]}-{own.key_fingerprint[:8]}"
    return AsyncServiceInfo(
        SERVICE_TYPE,
        f"{label}.{SERVICE_TYPE}",
        port=own.port,
        properties={
            "node": own.node,
            "name": own.site,
            "site": own.site_fingerprint,
            "v": str(PROTOCOL_VERSION),
            "key": own.key_fingerprint[:32],
            "pages": own.pages[:200],
        },
        parsed_addresses=list(addresses),
        server=f"{label}.local.",
    )
