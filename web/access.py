"""Who may read, and the headers that keep a browser honest."""

import hmac
import ipaddress
from urllib.parse import urlsplit

from flask import Flask, Response, request

from web.problems import Refusal
from web.settings import WebSettings
from web.texts import Texts

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN_ENDPOINTS = frozenset({"static", "api.healthz"})
"""What holds no data of the site: the page's own files, and whether the process is well."""

HEADERS = {
    # No inline script or style anywhere: what the page draws, its own files draw.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(self), screen-wake-lock=(self)",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def install(app: Flask, settings: WebSettings, texts: Texts) -> None:
    """Check every request of `app` and put the security headers on every answer."""

    def check() -> None:
        if request.endpoint not in OPEN_ENDPOINTS:
            _check(settings, texts)

    def harden(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    app.before_request(check)
    app.after_request(harden)


def _check(settings: WebSettings, texts: Texts) -> None:
    """Let in a valid token, and readers on this machine. Raises Refusal for everybody else."""
    if request.authorization is not None:
        if not _has_token(settings):
            raise Refusal(401, texts["error.token"], texts["error.token.remedy"])
        return
    if not _is_loopback(request.remote_addr):
        raise Refusal(401, texts["error.401"], texts["error.token.remedy"])
    # A page elsewhere may point its own name at 127.0.0.1 (DNS rebinding) and read through the browser's eyes.
    if _host_name(request.host) not in LOOPBACK_NAMES:
        raise Refusal(403, texts.say("error.host", host=request.host), texts["error.host.remedy"])


def _has_token(settings: WebSettings) -> bool:
    given = request.authorization
    if settings.token is None or given is None or given.type != "bearer" or given.token is None:
        return False
    return hmac.compare_digest(given.token.encode(), settings.token.encode())


def _host_name(host: str) -> str | None:
    """The name in a Host header, without port and brackets."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False
