"""Whose request it is, whether that person may make it, and the headers that keep a browser honest."""

import hmac
import ipaddress
import time
from types import MappingProxyType
from urllib.parse import quote, urlsplit

from flask import Flask, Response, g, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from web.geography import MAX_BYTES
from web.problems import Refusal
from web.roles import Person, Proof, Role
from web.routes import PUBLIC, roles_of
from web.site import Site, current_site, site_of

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "X-Earshot-Csrf"
CSRF_FIELD = "csrf"
LARGE = MappingProxyType({"geography.give": MAX_BYTES + 64 * 1024})
"""What may be larger than an ordinary request, from who may send it at all."""
PASS_SCHEME = "pass"  # noqa: S105  # the name of a scheme, no secret
ORIGINS_FOR_S = 2.0
"""How long the addresses of the site's nodes are believed before they are read anew."""

POLICY = (
    # No inline script or style anywhere: what the page draws, its own files draw.
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'{nodes}; font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none at all, forms would name no origin either
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(self), screen-wake-lock=(self)",
    "Cross-Origin-Opener-Policy": "same-origin",
}
SHARED_HEADERS = "Authorization, Content-Type, Last-Event-ID"
READABLE_HEADERS = "Earshot-Cursor, Retry-After"


class Origins:
    """The origins of the pages of this site's nodes, as their signed records name them."""

    def __init__(self, site: Site) -> None:
        """Read them from the site's node list."""
        self._site = site
        self._known: frozenset[str] = frozenset()
        self._due_s = 0.0

    def read(self) -> frozenset[str]:
        """The origins now, or a moment ago."""
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._known = frozenset(filter(None, (origin_of(node.get("url")) for node in self._site.reader.nodes())))
            self._due_s = now_s + ORIGINS_FOR_S
        return self._known


def install(app: Flask) -> None:
    """Check every request of `app` and put the security headers on every answer."""
    site = site_of(app)
    origins = Origins(site)

    def check() -> AnyResponse | None:
        g.person = None
        if request.method == "OPTIONS" and request.headers.get("Origin") in origins.read():
            return Response(status=204)
        if request.endpoint is None:
            return None  # nothing is there, or not with this method: Flask says so
        g.person = _person(site)
        return _admit(site, origins)

    def harden(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        is_page = response.mimetype == "text/html"
        nodes = "".join(f" {origin}" for origin in sorted(origins.read())) if is_page and not _failed(response) else ""
        response.headers.setdefault("Content-Security-Policy", POLICY.format(nodes=nodes))
        _share(response, origins)
        if request.is_secure:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    app.before_request(check)
    app.after_request(harden)


def current_person() -> Person:
    """Who makes the request that is being answered; the table of routes let no stranger through to here."""
    person: Person = g.person
    return person


def origin_of(url: object) -> str | None:
    """Scheme, host and port of a node's address; None for what is no web address."""
    try:
        parts = urlsplit(str(url))
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.hostname.isascii():
        return None
    if any(character in parts.netloc for character in " ;,'\"@"):
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def cookie_name() -> str:
    """The session's cookie: bound to this host by its prefix over HTTPS, told apart by port without."""
    if request.is_secure:
        return "__Host-earshot"
    return f"earshot-{urlsplit(f'//{request.host}').port or 80}"


def _failed(response: Response) -> bool:
    return response.status_code >= 500


def _share(response: Response, origins: Origins) -> None:
    """Let the pages of the site's other nodes read this answer: that is where a page is when its own node died."""
    origin = request.headers.get("Origin")
    if not request.path.startswith("/api"):
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return
    response.headers.add("Vary", "Origin")
    if origin is None or _is_own(origin) or origin not in origins.read():
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Allow-Headers"] = SHARED_HEADERS
    response.headers["Access-Control-Allow-Methods"] = "GET, POST"
    response.headers["Access-Control-Expose-Headers"] = READABLE_HEADERS
    response.headers["Access-Control-Max-Age"] = "600"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"


def _admit(site: Site, origins: Origins) -> AnyResponse | None:
    """None where the person may go on. Raises Refusal, or sends a browser to the page to log in."""
    refusal = _check_role(site)
    if refusal is None and request.method not in SAFE_METHODS:
        request.max_content_length = LARGE.get(str(request.endpoint), request.max_content_length)
        _check_forgery(site, origins)
    return refusal


def _check_role(site: Site) -> AnyResponse | None:
    roles = roles_of(str(request.endpoint), request.method)
    is_metrics = request.endpoint == "api.metrics" and site.settings.open_metrics
    if roles is PUBLIC or is_metrics:
        return None
    person: Person | None = g.person
    if person is None:
        if request.method == "GET" and _wants_page():
            return redirect(f"/login?next={quote(request.path)}")
        key = "error.token" if request.authorization is not None else "error.401"
        raise Refusal(401, site.texts[key], site.texts["error.401.remedy"])
    if person.role not in roles:
        words = site.texts[f"role.{person.role}"]
        raise Refusal(403, site.texts.say("error.role", role=words), site.texts["error.role.remedy"])
    return None


def _wants_page() -> bool:
    return not request.path.startswith(("/api", "/metrics")) and request.accept_mimetypes.accept_html


def _person(site: Site) -> Person | None:
    """Whose request it is; None: nobody's that is known. What was offered and is wrong is nobody's."""
    given = request.authorization
    now_ns = time.time_ns()
    if given is not None:
        token = (given.token or "") if given.type in ("bearer", PASS_SCHEME) else ""
        if given.type == PASS_SCHEME:
            return site.passes.check(token, now_ns)
        known = site.settings.token
        is_right = known is not None and hmac.compare_digest(token.encode(), known.encode())
        return Person("token", Role.INSTALLER, Proof.TOKEN) if is_right else None
    cookie = request.cookies.get(cookie_name())
    if cookie and site.people is not None:
        session = site.people.session(cookie, now_ns)
        if session is not None:
            return Person(session.name, session.role, Proof.SESSION, session.csrf)
    if site.settings.open_loopback and _is_loopback(request.remote_addr):
        # A page elsewhere may point its own name at 127.0.0.1 (DNS rebinding) and read through the browser's eyes.
        if _host_name(request.host) not in LOOPBACK_NAMES:
            raise Refusal(403, site.texts.say("error.host", host=request.host), site.texts["error.host.remedy"])
        return Person("this-machine", Role.INSTALLER, Proof.LOOPBACK)
    return None


def _check_forgery(site: Site, origins: Origins) -> None:
    """Refuse a change that a page elsewhere made a browser ask for. Raises Refusal.

    Tokens and passes are not sent by a browser of its own accord; cookies are, and so is the nearness of loopback.
    """
    person: Person | None = g.person
    if person is not None and person.proof in (Proof.TOKEN, Proof.PASS):
        return
    origin = request.headers.get("Origin")
    is_known = origin is None or _is_own(origin)
    if not is_known and person is not None and person.proof is Proof.LOOPBACK:
        is_known = origin in origins.read()
    if not is_known or request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise Refusal(403, site.texts["error.forged"], site.texts["error.forged.remedy"])
    if person is not None and person.csrf is not None:
        given = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
        if not hmac.compare_digest(given.encode(), person.csrf.encode()):
            raise Refusal(403, site.texts["error.forged"], site.texts["error.forged.remedy"])


def _is_own(origin: str) -> bool:
    return origin == f"{request.scheme}://{request.host}"


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


def note(action: str, detail: str = "") -> None:
    """Write into the audit what the person of this request did."""
    people = current_site().people
    if people is not None:
        name = current_person().name
        people.note(name, request.remote_addr or "", action, detail, time.time_ns())


SESSION_COOKIE_S = 14 * 86_400


def set_cookie(response: AnyResponse, cookie: str) -> None:
    """Give the browser its session: out of reach of scripts and of other sites' requests."""
    response.set_cookie(
        cookie_name(),
        cookie,
        max_age=SESSION_COOKIE_S,
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
        path="/",
    )


def drop_cookie(response: AnyResponse) -> None:
    """Let the browser forget its session."""
    response.delete_cookie(cookie_name(), secure=request.is_secure, httponly=True, samesite="Lax", path="/")
