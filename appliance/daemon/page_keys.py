"""What the pages of a node prove themselves with, made anew by mesh at each start: web may see no lasting key."""

import contextlib
import datetime
import logging
import os
import socket
from pathlib import Path

import ifaddr

from appliance.config import Settings
from appliance.config.folder import NodeFolder
from appliance.errors import InputError, StoreError
from appliance.mesh.pages import ISSUER_FILE, make_server_certificate
from appliance.mesh.trust import SITE_KEY_FILE, load_site

log = logging.getLogger(__name__)

KEY_FILE = "server.key"
CHAIN_FILE = "server.pem"
AUTHORITY_FILE = "authority.pem"
LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")


def write_page_keys(settings: Settings, folder: NodeFolder, now: datetime.datetime) -> None:
    """Write key and certificate of the pages into the run folder, readable for web by its group.

    A node that was enrolled before there was an authority for pages gets on without; web says so where it matters.
    Raises StoreError.
    """
    if not (folder.keys / ISSUER_FILE).exists():
        if not (folder.keys / SITE_KEY_FILE).exists():
            log.warning("no issuer for the pages in %s: enrol the node again to serve the LAN", folder.keys)
            return
        load_site(folder.keys).enrol_pages(settings.node.id, folder.keys)
    host = socket.gethostname().split(".")[0]
    names = [f"{host}.local", f"{settings.node.id}.local", settings.web.host]
    addresses = local_addresses()
    try:
        made = make_server_certificate(folder.keys, settings.node.id, names, addresses, now)
    except InputError as error:
        log.warning("%s", error)
        return
    try:
        folder.page_keys.mkdir(exist_ok=True)
        folder.page_keys.chmod(0o750)
        _write(folder.page_keys / KEY_FILE, made.key, mode=0o640)
        _write(folder.page_keys / CHAIN_FILE, made.chain, mode=0o640)
        _write(folder.page_keys / AUTHORITY_FILE, made.authority, mode=0o640)
    except OSError as error:
        problem = error.strerror or "can't be written"
        raise StoreError(str(folder.page_keys), problem, "make it writable for earshot mesh") from error


def page_url(settings: Settings) -> str:
    """Where the node's pages are, for its peers' pages: HTTPS on the LAN, plain HTTP on this machine alone."""
    host, port = settings.web.host, settings.web.port
    if host in LOOPBACK_HOSTS:
        return f"http://{host}:{port}"
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared with, not bound to
        host = next(iter(local_addresses()), f"{settings.node.id}.local")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def local_addresses() -> list[str]:
    """This machine's IPv4 addresses but loopback, sorted."""
    addresses = (ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4)
    return sorted(str(ip) for ip in addresses if not str(ip).startswith("127."))


def _write(path: Path, data: bytes, *, mode: int) -> None:
    """Replace a file in one step, never readable for others meanwhile."""
    fresh = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    fresh.chmod(mode)
    fresh.replace(path)
