"""The mesh process and what it needs of a node's settings."""

import logging
from collections.abc import Callable

from appliance.config import Settings
from appliance.config.folder import NodeFolder
from appliance.daemon.mesh import MeshSetup
from appliance.devices.clock import read_utc_mapping
from appliance.devices.disabled import DisabledPlace, FixedPlace
from appliance.devices.gps import GpsdPlace, GpsdSettings
from appliance.mesh.trust import create_site
from appliance.model.air import Air
from appliance.model.instants import NS_PER_US
from appliance.model.space import Geodetic, NodePose
from appliance.ports import PlaceSource

log = logging.getLogger(__name__)


def ensure_keys(settings: Settings, folder: NodeFolder) -> None:
    """Make a site of which this node is the first, where the node has no keys yet. Raises InputError."""
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


def mesh_setup(settings: Settings, folder: NodeFolder, alive: Callable[[], None]) -> MeshSetup:
    """What the mesh process needs, from the node's settings; `alive` is called once a second while it runs."""
    sigma_ns = round(settings.clock.sigma_us * NS_PER_US)
    return MeshSetup(
        folder=folder,
        place=make_place(settings),
        interfaces=tuple(settings.mesh.interfaces),
        port=settings.mesh.port,
        peers=tuple(settings.mesh.peers),
        url=f"http://{settings.web.host}:{settings.web.port}",
        clock=lambda: read_utc_mapping(sigma_ns),
        air=_air(settings),
        alive=alive,
    )


def make_place(settings: Settings) -> PlaceSource:
    """The source of the node's place that the settings name."""
    place = settings.place
    if place.source == "disabled":
        return DisabledPlace()
    if place.source == "gpsd":
        return GpsdPlace(
            GpsdSettings(
                node=settings.node.id,
                port=place.gpsd_port,
                heading_deg=place.heading_deg,
                heading_sigma_deg=place.heading_sigma_deg,
            )
        )
    position = Geodetic(place.lat_deg, place.lon_deg, place.alt_m)
    return FixedPlace(NodePose(settings.node.id, position, place.sigma_m, place.heading_deg, place.heading_sigma_deg))


def _air(settings: Settings) -> Air | None:
    air = settings.air
    if air.temperature_c is None:
        return None
    return Air(air.temperature_c, air.wind_east_mps, air.wind_north_mps, air.temperature_sigma_c, air.wind_sigma_mps)
