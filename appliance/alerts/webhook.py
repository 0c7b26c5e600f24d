"""Alerts as HTTP POSTs to one address that the owner set: JSON, with an id that tells a repeat, and a signature."""

import hashlib
import hmac
import http.client
import ssl
import time
import urllib.parse
from dataclasses import dataclass

from appliance.errors import InputError, PeerError

NAME = "webhook"
TIMEOUT_S = 5.0
"""Who has not answered by then has not got it; it is sent again."""
MAX_ANSWER_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where alerts go. `secret`, where there is one, signs them: HMAC-SHA256 over time, a dot, and the body."""

    url: str
    secret: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no address of HTTP. Raises InputError."""
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise InputError("alerts.webhook", f"{self.url[:60]!a} is no address", "write https://host/path")

    def send(self, body: bytes, key: str) -> None:
        """Send one document; `key` is the same for a repeat. Blocks; raises PeerError where it did not arrive."""
        parts = urllib.parse.urlsplit(self.url)
        is_tls, port = parts.scheme == "https", parts.port
        host = parts.hostname or ""
        connection: http.client.HTTPConnection = (
            http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
            if is_tls
            else http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        )
        path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        try:
            connection.request("POST", path, body, self._headers(body, key))
            answer = connection.getresponse()
            answer.read(MAX_ANSWER_BYTES)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise PeerError("webhook", f"can't be reached ({error})", "check its address and the network") from error
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            raise PeerError("webhook", f"refused an alert with status {answer.status}", "look at the receiver's log")

    def _headers(self, body: bytes, key: str) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "Earshot"}
        if self.secret is not None:
            now = str(int(time.time()))
            digest = hmac.new(self.secret.encode(), now.encode() + b"." + body, hashlib.sha256).hexdigest()
            headers |= {"X-Earshot-Time": now, "X-Earshot-Signature": f"sha256={digest}"}
        return headers
