"""Microphone arrays that are known: what their channels are and where, how loud full scale is, and how to find them.

Geometries are seen from above with the microphones up, in the array frame (x right, y forward, z up). That of a mounted
array may be turned (its heading says so) or mirrored (then bearings turn the wrong way round): the clap test of the
calibration shows both. Sensitivities are the microphones' data-sheet values; measured ones count more.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from appliance.model.audio import ArrayGeometry

_PEAK_OVER_RMS_DB = 20.0 * math.log10(math.sqrt(2.0))
_CALIBRATOR_DBSPL = 94.0


@dataclass(frozen=True, slots=True)
class ArrayProfile:
    """One kind of array.

    usb_ids:           vendor:product, as in /proc/asound/card*/usbid
    card_names:        parts of ALSA's name of the card, for products whose id differs between versions
    channels:          the device's channel of each microphone, counted from 0; the others are no raw microphones
    sensitivity_dbspl: peak sound pressure level at full scale
    latency_us:        how much later than the pressure at the microphone a sample is stamped; None: nobody measured it
    """

    name: str
    usb_ids: frozenset[str]
    card_names: tuple[str, ...]
    sample_rate_hz: int
    n_device_channels: int
    channels: tuple[int, ...]
    geometry: ArrayGeometry
    sensitivity_dbspl: float
    latency_us: float | None = None


def _full_scale_dbspl(sensitivity_dbfs: float) -> float:
    """Peak level at full scale of a microphone that gives `sensitivity_dbfs` (of a full-scale sine) at 94 dB SPL."""
    return _CALIBRATOR_DBSPL - sensitivity_dbfs + _PEAK_OVER_RMS_DB


def _ring(n: int, radius_m: float) -> tuple[tuple[float, float, float], ...]:
    """Microphones on a circle, the first forward, then clockwise."""
    angles = [2.0 * math.pi * i / n for i in range(n)]
    return tuple((radius_m * math.sin(a), radius_m * math.cos(a), 0.0) for a in angles)


RESPEAKER = ArrayProfile(
    name="ReSpeaker USB 4 Mic Array",
    usb_ids=frozenset({"2886:0018"}),
    card_names=(),
    sample_rate_hz=16_000,
    # With the firmware of 6 channels: 0 is processed for speech, 1 to 4 are raw, 5 is what is played.
    n_device_channels=6,
    channels=(1, 2, 3, 4),
    geometry=ArrayGeometry(((-0.032, 0.0, 0.0), (0.0, -0.032, 0.0), (0.032, 0.0, 0.0), (0.0, 0.032, 0.0))),
    # ST MP34DT01TR-M: -26 dBFS.
    sensitivity_dbspl=_full_scale_dbspl(-26.0),
)

UMA_8 = ArrayProfile(
    name="miniDSP UMA-8",
    usb_ids=frozenset({"2752:001c"}),
    card_names=(),
    sample_rate_hz=48_000,
    # With the raw firmware: 0 is the microphone in the middle, 1 to 6 the ring, 7 is silent.
    n_device_channels=8,
    channels=(0, 1, 2, 3, 4, 5, 6),
    geometry=ArrayGeometry(((0.0, 0.0, 0.0), *_ring(6, 0.043))),
    # Knowles SPH1668LM4H: -29 dBFS.
    sensitivity_dbspl=_full_scale_dbspl(-29.0),
)

_UMA_16_X_M = (0.021, 0.063) * 4 + (-0.063, -0.021) * 4
_UMA_16_Y_M = (-0.063, -0.063, -0.021, -0.021, 0.021, 0.021, 0.063, 0.063)

UMA_16 = ArrayProfile(
    name="miniDSP UMA-16",
    usb_ids=frozenset(),
    card_names=("UMA16", "micArray16"),
    sample_rate_hz=48_000,
    n_device_channels=16,
    channels=tuple(range(16)),
    # Four rows of four, 42 mm apart; the first half of the channels runs up the right side, the second down the left.
    geometry=ArrayGeometry(
        tuple((x, y, 0.0) for x, y in zip(_UMA_16_X_M, _UMA_16_Y_M + _UMA_16_Y_M[::-1], strict=True))
    ),
    sensitivity_dbspl=_full_scale_dbspl(-29.0),
)

PROFILES: Mapping[str, ArrayProfile] = MappingProxyType({"respeaker": RESPEAKER, "uma-8": UMA_8, "uma-16": UMA_16})
"""By the name that the settings use."""
