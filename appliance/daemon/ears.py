"""Which array a node hears with: a known one that is plugged in, or what the settings describe."""

from dataclasses import dataclass
from pathlib import Path

from appliance.config.settings import EarsSettings
from appliance.devices.cards import find_array
from appliance.devices.microphones import ArraySettings
from appliance.devices.profiles import PROFILES, ArrayProfile
from appliance.errors import DeviceError, InputError
from appliance.model.audio import ArrayGeometry
from appliance.model.instants import NS_PER_US


@dataclass(frozen=True, slots=True)
class Ears:
    """An array to open: its name, the level of its full scale where that is known, and whether nobody named it."""

    name: str
    array: ArraySettings
    sensitivity_dbspl: float | None
    is_found: bool


def choose_ears(ears: EarsSettings, root: Path = Path("/")) -> Ears:
    """The array to open now.

    Raises DeviceError where the settings name a known array and none is plugged in, and InputError where they
    describe one that can't be.
    """
    if ears.array == "generic":
        return _generic(ears)
    wanted = tuple(PROFILES.values()) if ears.array == "auto" else (PROFILES[ears.array],)
    found = find_array(wanted, root)
    if found is not None:
        card, profile = found
        return _known(ears, card.device, profile)
    if ears.array == "auto":
        return _generic(ears)
    raise DeviceError(wanted[0].name, "is not plugged in", "plug it in, or name another array in [ears] (arecord -l)")


def _known(ears: EarsSettings, device: str, profile: ArrayProfile) -> Ears:
    latency_us = profile.latency_us if ears.latency_us is None else ears.latency_us
    array = ArraySettings(
        device,
        profile.geometry,
        profile.sample_rate_hz,
        profile.channels,
        profile.n_device_channels,
        round((latency_us or 0.0) * NS_PER_US),
    )
    sensitivity_dbspl = profile.sensitivity_dbspl if ears.sensitivity_dbspl is None else ears.sensitivity_dbspl
    return Ears(profile.name, array, sensitivity_dbspl, is_found=True)


def _generic(ears: EarsSettings) -> Ears:
    latency_ns = round((ears.latency_us or 0.0) * NS_PER_US)
    try:
        array = ArraySettings(
            ears.device,
            ArrayGeometry(ears.microphones_m),
            ears.sample_rate_hz,
            ears.channels,
            ears.n_device_channels,
            latency_ns,
        )
    except ValueError as error:
        remedy = "give each of microphones_m one of channels, all below n_device_channels"
        raise InputError("earshot.toml [ears]", str(error), remedy) from error
    return Ears(ears.device, array, ears.sensitivity_dbspl, is_found=False)
