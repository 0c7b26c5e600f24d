"""Tries every part of a node once, without running it: what `earshot check` says."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.classify import load_classifier
from appliance.config import Settings
from appliance.config.folder import NodeFolder
from appliance.daemon.listen import make_source
from appliance.daemon.mesh_setup import make_place
from appliance.devices.clock import read_utc_mapping, utc_now_ns
from appliance.errors import DeviceError, EarshotError
from appliance.mesh.trust import load_credentials
from appliance.model.health import HealthCheck, HealthState
from appliance.model.instants import NS_PER_MS, NS_PER_US
from appliance.storage import StoreReader

HEAR_S = 3.0
"""A sound card gives its first block within this, or not at all."""
FIX_S = 5.0
"""gpsd answers once a second."""
MIN_FREE_BYTES = 500_000_000
"""Below this a node soon can't keep its log."""
MAX_CLOCK_SIGMA_NS = 5 * NS_PER_MS
"""Above this the node's picks stay out of fixes."""


def check_node(settings: Settings, folder: NodeFolder) -> Iterator[HealthCheck]:
    """Checks of settings, keys, classifier, microphones, place, clock, database and disk, as each is done."""
    yield _ok("settings", f"{folder.settings_file}" if folder.settings_file.exists() else "defaults: no file")
    yield _tried("keys", lambda: _keys(settings, folder))
    yield _tried("classifier", lambda: _classifier(settings))
    yield _tried("microphones", lambda: _microphones(settings, folder))
    yield _place(settings)
    yield _clock(settings)
    yield _tried("database", lambda: _database(folder))
    yield _disk(folder)


def _ok(name: str, words: str) -> HealthCheck:
    return HealthCheck(name, HealthState.OK, words, None, "", utc_now_ns(), "")


def _tried(name: str, attempt: Callable[[], str]) -> HealthCheck:
    """The words of an attempt that worked, or the problem and the remedy of the error that ended it."""
    try:
        return _ok(name, attempt())
    except EarshotError as error:
        words = f"{error.thing} {error.problem}"
        return HealthCheck(name, HealthState.FAILED, words, None, "", utc_now_ns(), error.remedy)


def _keys(settings: Settings, folder: NodeFolder) -> str:
    credentials = load_credentials(folder.keys)
    name = settings.node.id
    return f"node {credentials.node} of site {credentials.site.name}" + (
        "" if credentials.node == name else f"; the settings call it {name}, the certificate counts"
    )


def _classifier(settings: Settings) -> str:
    path = settings.ears.classifier
    load_classifier(None if path is None else Path(path))
    return "loaded" if path is None else f"loaded {path}"


def _microphones(settings: Settings, folder: NodeFolder) -> str:
    sigma_ns = round(settings.clock.sigma_us * NS_PER_US)
    source = make_source(settings, folder, lambda: read_utc_mapping(sigma_ns))
    try:
        deadline_s = time.monotonic() + HEAR_S
        while source.read(0.5) is None:
            if time.monotonic() > deadline_s:
                raise DeviceError(
                    settings.ears.source, f"is open, but gave no sound for {HEAR_S:g} s", "plug it in anew"
                )
        return f"{source.geometry.n_channels} channels at {source.sample_rate_hz / 1_000:g} kHz"
    finally:
        source.close()


def _place(settings: Settings) -> HealthCheck:
    source = make_place(settings)
    try:
        deadline_s = time.monotonic() + (FIX_S if settings.place.source == "gpsd" else 0.0)
        while (pose := source.read()) is None and time.monotonic() < deadline_s:
            time.sleep(0.1)
        words = source.describe()
    finally:
        source.close()
    if pose is None:
        remedy = "enter the position in [place], or check the receiver and its sky"
        return HealthCheck("place", HealthState.FAILED, words, None, "", utc_now_ns(), remedy)
    return HealthCheck("place", HealthState.OK, words, pose.sigma_m, "m", utc_now_ns(), "")


def _clock(settings: Settings) -> HealthCheck:
    sigma_ns = round(settings.clock.sigma_us * NS_PER_US)
    words = f"1-sigma error {sigma_ns / NS_PER_MS:g} ms"
    if sigma_ns <= MAX_CLOCK_SIGMA_NS:
        return HealthCheck("clock", HealthState.OK, words, sigma_ns / NS_PER_MS, "ms", utc_now_ns(), "")
    limit = f"{words}; above {MAX_CLOCK_SIGMA_NS // NS_PER_MS} ms picks stay out of fixes"
    remedy = "discipline the clock by GPS with PPS and state its error in [clock]"
    return HealthCheck("clock", HealthState.DEGRADED, limit, sigma_ns / NS_PER_MS, "ms", utc_now_ns(), remedy)


def _database(folder: NodeFolder) -> str:
    if not folder.database.exists():
        return "none yet; earshot mesh makes it"
    reader = StoreReader(folder.database)
    try:
        return f"{len(reader.incidents(limit=1_000))} newest incidents readable"
    finally:
        reader.close()


def _disk(folder: NodeFolder) -> HealthCheck:
    free_bytes = shutil.disk_usage(folder.root).free
    words = f"{free_bytes / 1e9:.1f} GB free at {folder.root}"
    enough = free_bytes >= MIN_FREE_BYTES
    state = HealthState.OK if enough else HealthState.DEGRADED
    remedy = "" if enough else "delete files or use a larger card"
    return HealthCheck("disk", state, words, free_bytes / 1e9, "GB", utc_now_ns(), remedy)
