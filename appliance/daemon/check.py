"""Tries every part of a node once, without running it: what `earshot check` says."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.classify import load_classifier
from appliance.config import Settings
from appliance.config.folder import NodeFolder
from appliance.daemon.ears import choose_ears
from appliance.daemon.listen import make_source
from appliance.daemon.witnesses import Witnesses, open_witnesses
from appliance.devices.clock import utc_now_ns
from appliance.errors import DeviceError, EarshotError
from appliance.ledger.health import clock_check
from appliance.mesh.trust import load_credentials
from appliance.model.health import HealthCheck, HealthState
from appliance.storage import StoreReader

HEAR_S = 3.0
"""A sound card gives its first block within this, or not at all."""
FIX_S = 5.0
"""gpsd answers once a second."""
PULSE_S = 4.0
"""Two pulses tell that pulses come."""


def check_node(settings: Settings, folder: NodeFolder) -> Iterator[HealthCheck]:
    """Checks of settings, keys, classifier, microphones, place, clock, database and board, as each is done."""
    yield _ok("settings", f"{folder.settings_file}" if folder.settings_file.exists() else "defaults: no file")
    yield _tried("keys", lambda: _keys(settings, folder))
    yield _tried("classifier", lambda: _classifier(settings))
    with contextlib.closing(open_witnesses(settings, folder)) as witnesses:
        yield _tried("microphones", lambda: _microphones(settings, folder, witnesses))
        yield _place(settings, witnesses)
        yield _clock(witnesses)
        yield from witnesses.board.checks(utc_now_ns(), time.monotonic_ns())
    yield _tried("database", lambda: _database(folder))


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
    if not any(folder.keys.glob("*")):
        return f"none yet; earshot mesh makes the site {settings.node.site}, of which this node is the first"
    credentials = load_credentials(folder.keys)
    name = settings.node.id
    return f"node {credentials.node} of site {credentials.site.name}" + (
        "" if credentials.node == name else f"; the settings call it {name}, the certificate counts"
    )


def _classifier(settings: Settings) -> str:
    path = settings.ears.classifier
    load_classifier(None if path is None else Path(path))
    return "loaded" if path is None else f"loaded {path}"


def _microphones(settings: Settings, folder: NodeFolder, witnesses: Witnesses) -> str:
    ears = choose_ears(settings.ears) if settings.ears.source == "alsa" else None
    source = make_source(settings, folder, ears, witnesses.mapping)
    try:
        deadline_s = time.monotonic() + HEAR_S
        while source.read(0.5) is None:
            if time.monotonic() > deadline_s:
                raise DeviceError(
                    settings.ears.source, f"is open, but gave no sound for {HEAR_S:g} s", "plug it in anew"
                )
        name = settings.ears.source if ears is None else ears.name
        return f"{name}: {source.geometry.n_channels} microphones at {source.sample_rate_hz / 1_000:g} kHz"
    finally:
        source.close()


def _place(settings: Settings, witnesses: Witnesses) -> HealthCheck:
    deadline_s = time.monotonic() + (FIX_S if settings.place.source == "gpsd" else 0.0)
    while (pose := witnesses.place.read()) is None and time.monotonic() < deadline_s:
        time.sleep(0.1)
    words = witnesses.place.describe()
    if pose is None:
        remedy = "enter the position in [place], or check the receiver and its sky"
        return HealthCheck("place", HealthState.FAILED, words, None, "", utc_now_ns(), remedy)
    return HealthCheck("place", HealthState.OK, words, pose.sigma_m, "m", utc_now_ns(), "")


def _clock(witnesses: Witnesses) -> HealthCheck:
    if witnesses.keeper is None:
        sigma_ns = witnesses.entered_sigma_ns
        return clock_check(sigma_ns, utc_now_ns())
    deadline_s = time.monotonic() + PULSE_S
    while (check := witnesses.keeper.check(utc_now_ns())).state != HealthState.OK and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return check


def _database(folder: NodeFolder) -> str:
    if not folder.database.exists():
        return "none yet; earshot mesh makes it"
    reader = StoreReader(folder.database)
    try:
        return f"{len(reader.incidents(limit=1_000))} newest incidents readable"
    finally:
        reader.close()
