"""The mesh process and what it needs of a node's settings."""

import logging
from collections.abc import Callable

from appliance.alerts.webhook import Webhook
from appliance.config import Settings
from appliance.config.folder import NodeFolder
from appliance.daemon.mesh import MeshSetup
from appliance.daemon.page_keys import page_url
from appliance.daemon.witnesses import open_witnesses
from appliance.mesh.pages import AUTHORITY_FILE
from appliance.mesh.trust import create_site, load_credentials
from appliance.model.air import Air

log = logging.getLogger(__name__)


def ensure_keys(settings: Settings, folder: NodeFolder) -> None:
    """Make a site of which this node is the first, where the node has no keys yet. Raises InputError.

    Where another site has let the node in, it leaves its own: keys and log of that are put aside.
    """
    if (folder.joined_keys / AUTHORITY_FILE).exists():
        _move_into_site(folder)
    if any(folder.keys.glob("*")):
        return
    authority = create_site(settings.node.site)
    authority.save(folder.keys)
    authority.enrol(settings.node.id, folder.keys)
    log.info(
        "made the site %s with %s as its first node; its key lies in %s",
        settings.node.site,
        settings.node.id,
        folder.keys,
    )


def _move_into_site(folder: NodeFolder) -> None:
    """Take the keys of the site that let this node in; a power cut at any step is made up for at the next start."""
    credentials = load_credentials(folder.joined_keys)  # refuses what is not whole before anything is put aside
    aside = f".before-{credentials.enrolled.fingerprint[:8]}"
    for path in (*folder.root.glob(f"{folder.database.name}*"), folder.keys):
        if path.exists() and ".before-" not in path.name:
            path.rename(path.with_name(path.name + aside))
    folder.joined_keys.rename(folder.keys)
    log.warning("this node is of the site %s now; what it was before lies in *%s", credentials.site.name, aside)


def mesh_setup(settings: Settings, folder: NodeFolder, alive: Callable[[], None]) -> MeshSetup:
    """What the mesh process needs, from the node's settings; `alive` is called once a second while it runs."""
    witnesses = open_witnesses(settings, folder)
    return MeshSetup(
        folder=folder,
        place=witnesses.place,
        interfaces=tuple(settings.mesh.interfaces),
        port=settings.mesh.port,
        peers=tuple(settings.mesh.peers),
        url=page_url(settings),
        clock=witnesses.mapping,
        air=_air(settings),
        webhook=None if settings.alerts.webhook is None else Webhook(settings.alerts.webhook, settings.alerts.secret),
        alive=alive,
        checks=witnesses.checks,
    )


def _air(settings: Settings) -> Air | None:
    air = settings.air
    if air.temperature_c is None:
        return None
    return Air(air.temperature_c, air.wind_east_mps, air.wind_north_mps, air.temperature_sigma_c, air.wind_sigma_mps)
