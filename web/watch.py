"""The one thread that notices change: woken by mesh, and without it looking at the store once a second."""

import enum
import logging
import selectors
import socket
import threading
import time
from pathlib import Path

from web.hub import Hub

log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 1.0
"""Without a word from mesh the store is looked at so often; a lost connection is tried again as often."""
READ_BYTES = 65_536


class MeshLink(enum.StrEnum):
    """Whether the node's mesh process answers on its control socket."""

    CONNECTED = "connected"
    AWAY = "away"
    UNUSED = "unused"


class Watch:
    """Looks at the store whenever mesh says that it changed. What mesh says is not read: the store is what counts."""

    def __init__(self, hub: Hub, control_socket: Path | None, *, look_interval_s: float = LOOK_INTERVAL_S) -> None:
        """Wake `hub`; with `control_socket` None the store alone is watched, once in `look_interval_s`."""
        self._hub = hub
        self._look_interval_s = look_interval_s
        self._path = control_socket
        self._socket: socket.socket | None = None
        self._was_connected = False
        self._store_failed = False
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._wake: socket.socket | None = None

    @property
    def mesh(self) -> MeshLink:
        """Whether mesh answers now."""
        if self._path is None:
            return MeshLink.UNUSED
        return MeshLink.CONNECTED if self._socket is not None else MeshLink.AWAY

    def start(self) -> None:
        """Start watching; harmless when repeated. It waits for the process that serves, because threads don't fork."""
        with self._start:
            if self._thread is None and not self._stopping.is_set():
                self._wake, wake_in = socket.socketpair()
                self._thread = threading.Thread(target=self._run, args=(wake_in,), name="watch", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread and close what it used."""
        with self._start:
            self._stopping.set()
            if self._wake is None or self._thread is None:
                return
            self._wake.close()
            self._thread.join()

    def _run(self, wake: socket.socket) -> None:
        with wake, selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            while not self._stopping.is_set():
                self._connect(selector)
                self._look()
                for key, _ in selector.select(self._look_interval_s):
                    if key.fileobj is self._socket:
                        self._drain(selector)
            self._disconnect(selector)

    def _look(self) -> None:
        try:
            self._hub.look(time.monotonic())
        except Exception:  # one bad row must not end the live path; it is logged and tried again
            if not self._store_failed:
                log.exception("the node's database can't be read; trying again each second")
            self._store_failed = True
            return
        if self._store_failed:
            log.warning("the node's database can be read again")
        self._store_failed = False

    def _connect(self, selector: selectors.BaseSelector) -> None:
        """Connect to mesh if that is due. A Unix socket answers at once, so this never waits."""
        if self._path is None or self._socket is not None:
            return
        candidate = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        candidate.settimeout(0)
        try:
            candidate.connect(str(self._path))
        except OSError:
            candidate.close()
            return
        self._socket = candidate
        selector.register(candidate, selectors.EVENT_READ)
        if self._was_connected:
            log.warning("mesh answers again on %s", self._path)
        self._was_connected = True

    def _drain(self, selector: selectors.BaseSelector) -> None:
        """Swallow all that mesh has said: however much it is, one look answers it."""
        if self._socket is None:
            return
        try:
            while data := self._socket.recv(READ_BYTES):
                if len(data) < READ_BYTES:
                    return
        except BlockingIOError:
            return
        except OSError:
            pass
        log.warning("mesh has closed %s; looking at the database each second until it is back", self._path)
        self._disconnect(selector)

    def _disconnect(self, selector: selectors.BaseSelector) -> None:
        if self._socket is not None:
            selector.unregister(self._socket)
            self._socket.close()
            self._socket = None
