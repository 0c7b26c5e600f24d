"""Where the node is, from gpsd; the only file that touches gpsd-py3."""

import contextlib
import math
import socket
import threading
import time
from dataclasses import dataclass

from appliance.model.space import Geodetic, NodePose
from appliance.timing.discipline import FixState, Unknown

MAX_AGE_S = 5.0
"""A receiver reports every second. gpsd goes on giving the last fix when the receiver falls silent, so a fix counts
only while its own time moves on."""
POLL_S = 1.0
TIMEOUT_S = 3.0
"""gpsd is on this machine and answers within milliseconds."""
Z_95 = 1.96
"""gpsd's error estimates are 95 % of one axis; 1-sigma is so many times less."""
UNKNOWN_SIGMA_M = 10.0
"""Where gpsd gives no estimate: a receiver with a poor sky."""
MIN_SIGMA_M = 1.0
"""A receiver that claims less is believed only this far: its own estimate knows nothing of reflections."""


@dataclass(frozen=True, slots=True)
class GpsdSettings:
    """Which gpsd, whose node, and where the array points, which no receiver knows."""

    node: str
    host: str = "127.0.0.1"
    port: int = 2947
    heading_deg: float = 0.0
    heading_sigma_deg: float = 0.0
    poll_s: float = POLL_S
    max_age_s: float = MAX_AGE_S


class GpsdPlace:
    """A PlaceSource that asks gpsd in a thread of its own, and connects again when that fails.

    One per process: gpsd-py3 keeps its connection in its module.
    """

    def __init__(self, settings: GpsdSettings) -> None:
        """Start to ask."""
        self._settings = settings
        self._lock = threading.Lock()
        self._pose: NodePose | None = None
        self._seen_s = -math.inf
        self._words = "gpsd was not asked yet"
        self._fix: Fix | None = None
        self._fix_seen_s: float | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="gpsd", daemon=True)
        self._thread.start()

    def read(self) -> NodePose | None:
        """The node's pose, from a three-dimensional fix not older than `max_age_s`; else None."""
        with self._lock:
            return self._pose if time.monotonic() - self._seen_s <= self._settings.max_age_s else None

    def fix(self) -> FixState | Unknown:
        """What the receiver knows, with two dimensions or three, and how long ago its time last moved."""
        with self._lock:
            if self._fix is None or self._fix_seen_s is None:
                return Unknown(self._words)
            return FixState(self._fix.mode, self._fix.n_satellites, time.monotonic() - self._fix_seen_s)

    def heading_at(self, position: Geodetic, sigma_m: float) -> NodePose:
        """The pose of this node at a place that is known from elsewhere."""
        settings = self._settings
        return NodePose(settings.node, position, sigma_m, settings.heading_deg, settings.heading_sigma_deg)

    def describe(self) -> str:
        """What gpsd said last, or why it says nothing."""
        with self._lock:
            return self._words

    def close(self) -> None:
        """Stop asking."""
        self._closed.set()
        _interrupt()
        self._thread.join()

    def _ask(self) -> None:
        while not self._closed.is_set():
            try:
                _connect(self._settings.host, self._settings.port)
                self._ask_while_connected()
            except OSError as error:
                self._forget()
                self._say(f"no gpsd at {self._settings.host}:{self._settings.port} ({error})")
            finally:
                _hang_up()
            self._closed.wait(self._settings.poll_s)

    def _ask_while_connected(self) -> None:
        """Take fixes. Raises OSError when the connection is of no more use."""
        time_before: str | None = None
        while not self._closed.is_set():
            answer = _poll()
            if isinstance(answer, Fix):
                # The first may be an old one that gpsd still has: only a second tells that time moves.
                is_new = time_before not in (None, answer.time)
                time_before = answer.time
                self._note(answer, is_new=is_new)
                self._take(answer, is_new=is_new)
            else:
                self._forget()
                self._say(answer)
            self._closed.wait(self._settings.poll_s)

    def _note(self, fix: "Fix", *, is_new: bool) -> None:
        with self._lock:
            self._fix = fix
            if is_new:
                self._fix_seen_s = time.monotonic()

    def _forget(self) -> None:
        with self._lock:
            self._fix = self._fix_seen_s = None

    def _take(self, fix: "Fix", *, is_new: bool) -> None:
        pose = _pose(fix, self._settings)
        if isinstance(pose, str):
            with self._lock:
                self._pose = None
            self._say(pose)
        elif is_new:
            with self._lock:
                self._pose, self._seen_s = pose, time.monotonic()
            self._say(f"fix with {fix.n_satellites} satellites, ± {pose.sigma_m:.1f} m")
        elif self.read() is None:
            self._say(f"no fix newer than that of {fix.time}")

    def _say(self, words: str) -> None:
        with self._lock:
            self._words = words


@dataclass(frozen=True, slots=True)
class Fix:
    """What gpsd knows: mode 3 is a fix in three dimensions; errors are 95 % of one axis, 0 where unknown."""

    mode: int
    time: str
    lat_deg: float
    lon_deg: float
    alt_m: float
    error_east_m: float
    error_north_m: float
    n_satellites: int


def _pose(fix: Fix, settings: GpsdSettings) -> NodePose | str:
    """The node's pose by `fix`, or why it says nothing of it."""
    if fix.mode < 3:
        return f"the receiver has no three-dimensional fix ({fix.n_satellites} satellites)"
    if fix.lat_deg == 0.0 and fix.lon_deg == 0.0:
        return "the receiver gave a fix without a position"  # gpsd-py3 fills in zeros
    try:
        position = Geodetic(fix.lat_deg, fix.lon_deg, fix.alt_m)
    except ValueError as error:
        return f"the receiver gave no place on Earth: {error}"
    sigma_m = max(fix.error_east_m, fix.error_north_m) / Z_95
    if not 0.0 < sigma_m < math.inf:
        sigma_m = UNKNOWN_SIGMA_M
    sigma_m = max(MIN_SIGMA_M, sigma_m)
    return NodePose(settings.node, position, sigma_m, settings.heading_deg, settings.heading_sigma_deg)


def _connect(host: str, port: int) -> None:
    """Connect within `TIMEOUT_S`. Raises OSError."""
    import gpsd

    # gpsd-py3 waits for the greeting without end; hanging up ends that.
    watchdog = threading.Timer(TIMEOUT_S, _interrupt)
    watchdog.start()
    try:
        gpsd.connect(host=host, port=port)
        gpsd.gpsd_socket.settimeout(TIMEOUT_S)
    except OSError:
        raise
    except Exception as error:  # it raises bare Exception, and whatever a strange greeting leads to
        raise OSError(f"strange greeting: {error}") from error
    finally:
        watchdog.cancel()
        watchdog.join()


def _poll() -> Fix | str:
    """What gpsd knows now, or why it knows nothing. Raises OSError when the connection is of no more use."""
    import gpsd

    try:
        answer = gpsd.get_current()
        return Fix(
            mode=int(answer.mode),
            time=str(answer.time),
            lat_deg=float(answer.lat),
            lon_deg=float(answer.lon),
            alt_m=float(answer.alt),
            error_east_m=float(answer.error.get("x", 0)),
            error_north_m=float(answer.error.get("y", 0)),
            n_satellites=int(answer.sats_valid),
        )
    except UserWarning:
        return "gpsd has no receiver"
    except LookupError:
        return "the receiver has said nothing yet"  # gpsd-py3 takes the last of an empty list
    except OSError:
        raise
    except Exception as error:  # it raises bare Exception, and whatever a broken answer leads to
        raise OSError(f"strange answer: {error}") from error


def _interrupt() -> None:
    """End what waits for gpsd, from another thread."""
    import gpsd

    with contextlib.suppress(OSError, AttributeError):  # not connected (yet)
        gpsd.gpsd_socket.shutdown(socket.SHUT_RDWR)


def _hang_up() -> None:
    """Close what gpsd-py3 leaves open."""
    import gpsd

    for end in (gpsd.gpsd_stream, gpsd.gpsd_socket):
        with contextlib.suppress(OSError):  # what was not sent is of no use any more
            if end is not None:
                end.close()
    gpsd.gpsd_stream = gpsd.gpsd_socket = None
