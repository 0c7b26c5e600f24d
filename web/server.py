"""Serves the application with gunicorn, in this process and one worker, a thread for each open stream."""

import json
import logging
import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # gunicorn ships no types
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]  # gunicorn ships no types

from appliance.errors import InputError
from web.site import site_of

log = logging.getLogger(__name__)

SPARE_THREADS = 20
"""Beside one thread for each stream: pages and the API stay quick while every stream is open."""
GRACEFUL_TIMEOUT_S = 2
KEEPALIVE_S = 5
READ_TIMEOUT_S = 10
"""How long a request or a handshake may stand still."""
BACKLOG = 256
MAX_REQUEST_LINE = 8_190
"""gunicorn's upper limit: `?since=` may carry a cursor of 25 nodes."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises InputError when the address can't be had."""
    try:
        # Here and not in gunicorn, which would try for five seconds and then end without a word of remedy.
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)
        raise InputError(f"{host}:{port}", problem, "choose another --host or --port") from error


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of the key and of the certificate with its issuer."""

    key: Path
    chain: Path


class StreamWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """A gthread worker that ends its streams when it is told to stop, so that stopping takes no grace period."""

    def run(self) -> None:
        """Serve until told to stop or until the parent is gone; either way no open stream keeps the process alive."""
        try:
            super().run()
        finally:
            site_of(self.wsgi).hub.close()

    def handle_exit(self, sig: int, frame: object) -> None:
        """Stop taking requests and end the open streams."""
        super().handle_exit(sig, frame)
        self.method_queue.defer(site_of(self.wsgi).hub.close)

    def handle(self, conn: Any) -> object:  # noqa: ANN401  # gunicorn ships no types
        """Serve a connection; one that stops in the middle of a handshake or a request gives its thread back."""
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", READ_TIMEOUT_S, 0))
        return super().handle(conn)

    def handle_request(self, req: object, conn: object) -> bool:
        """Answer one request; a client that stalled until the kernel cut it is no fault worth a traceback."""
        try:
            return bool(super().handle_request(req, conn))
        except TimeoutError:
            log.info("a client took nothing for too long and was cut")
            return False


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    def __init__(self, make_app: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._make_app = make_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Runs in the worker, after the fork: neither connections to the database nor threads survive one."""
        return self._make_app()


def serve(
    make_app: Callable[[], Flask], listener: socket.socket, *, max_event_clients: int, tls: Tls | None = None
) -> None:
    """Serve on `listener` (with `tls` over HTTPS) until SIGTERM or SIGINT.

    Prints `{"ready": true, "url": …}` once requests are answered. Raises SystemExit when it ends.
    """
    threads = max_event_clients + SPARE_THREADS
    options = {
        "bind": f"fd://{listener.detach()}",  # gunicorn closes it
        "workers": 1,
        "threads": threads,
        "worker_class": StreamWorker,
        "worker_connections": 2 * threads,
        "graceful_timeout": GRACEFUL_TIMEOUT_S,
        "keepalive": KEEPALIVE_S,
        "limit_request_line": MAX_REQUEST_LINE,
        "control_socket_disable": True,
        "proc_name": "earshot-web",
        "loglevel": "warning",
        **_tls_options(tls),
        "post_worker_init": _announce,
    }
    _Server(make_app, options).run()


def _tls_options(tls: Tls | None) -> dict[str, Any]:
    if tls is None:
        return {}

    def context(_config: object, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        made = default()
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        return made

    return {"keyfile": str(tls.key), "certfile": str(tls.chain), "ssl_context": context}


def _announce(worker: StreamWorker) -> None:
    """Start watching, and say where the pages are: to the first worker's reader only, the address never changes."""
    site_of(worker.wsgi).watch.start()
    if worker.age != 1:
        return
    host, port = worker.sockets[0].getsockname()[:2]
    scheme = "https" if worker.cfg.is_ssl else "http"
    name = f"[{host}]" if ":" in host else host
    sys.stdout.write(json.dumps({"ready": True, "url": f"{scheme}://{name}:{port}"}) + "\n")
    sys.stdout.flush()
