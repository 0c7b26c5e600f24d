"""Measures the fixed delay of this node's array: hears clicks of the pulse for a while."""

import time
from collections.abc import Callable

from appliance.config import Settings
from appliance.config.folder import NodeFolder
from appliance.daemon.ears import choose_ears
from appliance.daemon.listen import make_source
from appliance.errors import DeviceError
from appliance.pipeline.detector import Detector
from appliance.timing.latency import Latency, estimate_latency
from appliance.timing.utc import UtcMapping

READ_S = 0.5
SETTLE_S = 10.0
"""The sample clock knows the converter's rate by then."""


def measure_latency(
    settings: Settings, folder: NodeFolder, seconds: int, utc_mapping: Callable[[], UtcMapping]
) -> Latency:
    """The whole delay of the array that the settings name. Raises DeviceError where it can't be heard or measured."""
    ears = choose_ears(settings.ears)
    source = make_source(settings, folder, ears, utc_mapping)
    detector = Detector("latency", source.geometry)
    onsets_ns = []
    begin_s = time.monotonic() + SETTLE_S
    try:
        while time.monotonic() < begin_s + seconds:
            block = source.read(READ_S)
            picks = () if block is None else detector.feed(block).picks
            if time.monotonic() > begin_s:
                onsets_ns += [pick.time_ns for pick in picks]
    finally:
        source.close()
    found = estimate_latency(onsets_ns, seconds)
    if not isinstance(found, Latency):
        remedy = "let the receiver's pulse drive a click close to the microphones, in a quiet place"
        raise DeviceError(ears.name, found.reason, remedy)
    return Latency(found.latency_ns + ears.array.latency_ns, found.sigma_ns, found.n_clicks)
