"""Where the node is, from its receiver's fixes over hours or entered by hand, and whether it still stands there."""

import logging
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from appliance.devices.gps import GpsdPlace
from appliance.model.health import HealthCheck, HealthState
from appliance.model.instants import UtcNs
from appliance.model.space import Geodetic, NodePose
from appliance.physics.geodesy import LocalFrame
from appliance.pipeline.survey import DONE_MINUTES, MOVED_M, MOVED_SIGMAS, Survey, Surveyed, SurveySums

log = logging.getLogger(__name__)

SAVE_EVERY_MINUTES = 10
"""A power cut costs no more of the survey than this, and the card is written six times an hour at most."""
MAX_FILE_BYTES = 4_096
_Offset = Annotated[float, Meta(ge=-1e5, le=1e5)]
_Square = Annotated[float, Meta(ge=0, le=1e12)]


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The survey's file."""

    lat_deg: Annotated[float, Meta(ge=-90, le=90)]
    lon_deg: Annotated[float, Meta(ge=-180, le=180)]
    alt_m: Annotated[float, Meta(ge=-1_000, le=10_000)]
    minutes: Annotated[int, Meta(ge=1, le=DONE_MINUTES)]
    mean_m: tuple[_Offset, _Offset, _Offset]
    squares_m2: tuple[_Square, _Square]


class KeptPlace:
    """A PlaceSource of a node that stands still: call `read` about once a second, from one thread."""

    def __init__(self, receiver: GpsdPlace, file: Path, entered: NodePose | None = None) -> None:
        """Survey with `receiver`, remembering in `file`; `entered` is the place that a person gave: then it counts."""
        self._receiver = receiver
        self._file = file
        self._entered = entered
        self._survey = Survey(_load(file))
        self._saved_minutes = 0
        self._live: NodePose | None = None

    def read(self) -> NodePose | None:
        """The entered place, else the surveyed one, else a fix that is not old; None where there is none of them.

        The error of an entered place from which the receiver is far away is as large as that distance.
        """
        live = self._receiver.read()
        if live is not None and live != self._live:
            self._live = live
            self._survey.feed(time.monotonic(), live.position)
            self._remember()
        known = self._survey.surveyed()
        if self._entered is not None:
            away_m = _away_m(self._entered, known)
            return replace(self._entered, sigma_m=max(away_m, self._entered.sigma_m)) if away_m else self._entered
        if known is not None and known.is_usable:
            return self._receiver.heading_at(known.position, known.sigma_m)
        return live

    def describe(self) -> str:
        """The place in words, and what the receiver says."""
        return self.check(0).words

    def check(self, now_ns: int) -> HealthCheck:
        """Whether the node knows where it stands, and stands where it stood."""
        since, known = UtcNs(now_ns), self._survey.surveyed()
        away_m = 0.0 if self._entered is None else _away_m(self._entered, known)
        if away_m:
            words = f"the receiver is {away_m:.0f} m from the place that was entered"
            remedy = "enter the node's place anew ([place]), or put the node back"
            return HealthCheck("place", HealthState.FAILED, words, away_m, "m", since, remedy)
        if known is not None and known.moved_m and not known.is_done:
            words = f"moved by {known.moved_m:.0f} m; surveying anew, {_in_words(known)}"
            remedy = "if nobody moved it on purpose, look after the node; check its heading"
            return HealthCheck("place", HealthState.DEGRADED, words, known.moved_m, "m", since, remedy)
        if self._entered is not None:
            return HealthCheck("place", HealthState.OK, "entered by hand", self._entered.sigma_m, "m", since, "")
        if known is not None and known.is_usable:
            return HealthCheck("place", HealthState.OK, _in_words(known), known.sigma_m, "m", since, "")
        return self._by_fix(since)

    def _by_fix(self, since: UtcNs) -> HealthCheck:
        live, words = self._receiver.read(), self._receiver.describe()
        remedy = "wait for the survey; it takes a quarter of an hour of sky, and is best after a day"
        if live is None:
            remedy = "give the GPS receiver a view of the sky, or enter the surveyed position in the settings"
            return HealthCheck("place", HealthState.UNKNOWN, words, None, "m", since, remedy)
        return HealthCheck("place", HealthState.OK, f"not surveyed yet: {words}", live.sigma_m, "m", since, "")

    def close(self) -> None:
        """Let go of the receiver."""
        self._receiver.close()

    def _remember(self) -> None:
        sums = self._survey.sums
        minutes = 0 if sums is None else sums.minutes
        if sums is None or minutes == 0 or abs(minutes - self._saved_minutes) < SAVE_EVERY_MINUTES:
            return
        self._saved_minutes = minutes
        origin = sums.origin
        saved = _Saved(origin.lat_deg, origin.lon_deg, origin.alt_m, minutes, sums.mean_m, sums.squares_m2)
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_bytes(msgspec.json.encode(saved))
            fresh.replace(self._file)
        except OSError as error:
            log.warning("the survey can't be kept in %s: %s", self._file, error.strerror)


def _away_m(entered: NodePose, known: Surveyed | None) -> float:
    """How far the receiver's place is from the entered one, where that is too far to be its error; else 0."""
    if known is None or not known.is_usable:
        return 0.0
    east_m, north_m, _ = LocalFrame(entered.position).to_enu(known.position)
    away_m = math.hypot(east_m, north_m)
    return away_m if away_m > max(MOVED_M, MOVED_SIGMAS * math.hypot(entered.sigma_m, known.sigma_m)) else 0.0


def _in_words(known: Surveyed) -> str:
    return f"surveyed over {known.minutes / 60:.1f} h, CEP {known.cep_m:.1f} m, ± {known.sigma_m:.1f} m"


def _load(file: Path) -> SurveySums | None:
    """What was remembered; None where there is nothing, or nothing that makes sense: the survey begins anew then."""
    try:
        with file.open("rb") as source:
            saved = msgspec.json.decode(source.read(MAX_FILE_BYTES), type=_Saved)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("the survey in %s can't be used and begins anew: %s", file, error)
        return None
    origin = Geodetic(saved.lat_deg, saved.lon_deg, saved.alt_m)
    return SurveySums(origin, saved.minutes, saved.mean_m, saved.squares_m2)
