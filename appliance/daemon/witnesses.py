"""What mesh knows of this node's own devices: its place, its clock, and their health."""

from dataclasses import dataclass
from typing import Protocol

from appliance.config import Settings
from appliance.config.folder import NodeFolder
from appliance.daemon.board_keeper import BoardKeeper
from appliance.daemon.clock_keeper import ClockKeeper, ClockWitnesses
from appliance.devices.clock import monotonic_now_ns, read_utc_mapping
from appliance.devices.disabled import DisabledPlace, FixedPlace
from appliance.devices.gps import GpsdPlace, GpsdSettings
from appliance.devices.gps_time import GpsdTiming
from appliance.devices.place import KeptPlace
from appliance.devices.pulse import PulseReader
from appliance.model.health import HealthCheck
from appliance.model.instants import NS_PER_US
from appliance.model.space import Geodetic, NodePose
from appliance.ports import PlaceSource
from appliance.timing.utc import UtcMapping


class Closable(Protocol):
    """Something with a thread of its own."""

    def close(self) -> None:
        """End the thread."""


@dataclass(frozen=True, slots=True)
class Witnesses:
    """The devices of one node, open.

    place:  where the node is
    keeper: judges the clock; None where its error was entered by hand
    board:  power, temperature and disk
    threads: what asks in threads of its own
    """

    place: PlaceSource
    keeper: ClockKeeper | None
    board: BoardKeeper
    threads: tuple[Closable, ...] = ()
    entered_sigma_ns: int = 0

    def mapping(self) -> UtcMapping:
        """How far UTC is from CLOCK_MONOTONIC."""
        return read_utc_mapping(self.entered_sigma_ns) if self.keeper is None else self.keeper.mapping()

    def checks(self, now_ns: int) -> list[HealthCheck]:
        """What is known of the devices, without waiting."""
        clock = [] if self.keeper is None else [self.keeper.check(now_ns)]
        place = [self.place.check(now_ns)] if isinstance(self.place, KeptPlace) else []
        return [*clock, *place, *self.board.checks(now_ns, monotonic_now_ns())]

    def close(self) -> None:
        """End all threads."""
        for thread in self.threads:
            thread.close()


def open_witnesses(settings: Settings, folder: NodeFolder) -> Witnesses:
    """The devices that the settings name; `close` them, or let their threads end with the process."""
    board = BoardKeeper(folder.root)
    receiver = _receiver(settings) if _needs_receiver(settings) else None
    place = make_place(settings, receiver, folder)
    threads: tuple[Closable, ...] = () if receiver is None else (receiver,)
    sigma_us = settings.clock.sigma_us
    if sigma_us is not None:
        return Witnesses(place, None, board, threads, round(sigma_us * NS_PER_US))
    if receiver is None or not settings.clock.receiver:
        keeper = ClockKeeper(ClockWitnesses())
        return Witnesses(place, keeper, board, (keeper, *threads))
    timing = GpsdTiming(settings.place.gpsd_port)
    keeper = ClockKeeper(ClockWitnesses(pulse=PulseReader().read, fix=receiver.fix, sentence=timing.read))
    return Witnesses(place, keeper, board, (keeper, timing, *threads))


def _needs_receiver(settings: Settings) -> bool:
    return settings.place.source == "gpsd" or (settings.clock.receiver and settings.clock.sigma_us is None)


def _receiver(settings: Settings) -> GpsdPlace:
    place = settings.place
    return GpsdPlace(
        GpsdSettings(
            node=settings.node.id,
            port=place.gpsd_port,
            heading_deg=place.heading_deg,
            heading_sigma_deg=place.heading_sigma_deg,
        )
    )


def make_place(settings: Settings, receiver: GpsdPlace | None, folder: NodeFolder) -> PlaceSource:
    """The source of the node's place that the settings name."""
    place = settings.place
    if place.source == "disabled":
        return DisabledPlace()
    if place.source == "gpsd" and receiver is not None:
        return KeptPlace(receiver, folder.survey_file)
    position = Geodetic(place.lat_deg, place.lon_deg, place.alt_m)
    entered = NodePose(settings.node.id, position, place.sigma_m, place.heading_deg, place.heading_sigma_deg)
    return FixedPlace(entered) if receiver is None else KeptPlace(receiver, folder.survey_file, entered)
