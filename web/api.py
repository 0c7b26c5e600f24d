"""The API that others build on: incidents, nodes, rejections, the map, and whether this process is well."""

from typing import Any

import msgspec
from flask import Blueprint, Response, request

from web import present
from web.problems import Refusal
from web.site import current_site
from web.texts import Texts

DEFAULT_INCIDENTS = 200
MAX_INCIDENTS = 1_000
DEFAULT_REJECTIONS = 100
MAX_REJECTIONS = 1_000
MAX_CURSOR_CHARS = 4_096
"""A cursor names every node of a mesh (at most 25) in about 60 characters each."""

CURSOR_HEADER = "Earshot-Cursor"
"""On the list of incidents: where to read on from, so that nothing falls between list and stream."""

blueprint = Blueprint("api", __name__)


@blueprint.get("/api/incidents")
def incidents() -> Response:
    """Incidents, newest first; `since` a cursor: only those that changed after it; at most `limit`."""
    site = current_site()
    limit = limit_of(DEFAULT_INCIDENTS, MAX_INCIDENTS, site.texts)
    since = checked_cursor(request.args.get("since"), site.texts)
    cursor = site.reader.latest_cursor()
    bodies = site.reader.incidents(limit=limit, since=since)
    response = json_response([present.incident(body, site.texts) for body in bodies])
    response.headers[CURSOR_HEADER] = cursor
    return response


@blueprint.get("/api/incidents/<incident_id>")
def incident(incident_id: str) -> Response:
    """One incident, by its id or by the id of any of its picks."""
    site = current_site()
    body = site.reader.incident(incident_id)
    if body is None:
        raise Refusal(404, site.texts.say("error.incident", id=incident_id), site.texts["error.incident.remedy"])
    return json_response(present.incident(body, site.texts))


@blueprint.get("/api/nodes")
def nodes() -> Response:
    """Every node that this one knows, itself first, with its health; levels of itself alone."""
    site = current_site()
    return json_response(present.nodes(site.reader.nodes(), site.texts))


@blueprint.get("/api/rejections")
def rejections() -> Response:
    """What this node heard and set aside, newest first, with stage and reason."""
    site = current_site()
    limit = limit_of(DEFAULT_REJECTIONS, MAX_REJECTIONS, site.texts)
    return json_response(list(site.reader.rejections(limit)))


@blueprint.get("/api/map")
def street_map() -> Response:
    """Streets and blocks as GeoJSON; an empty collection where the node has none."""
    data = current_site().map.read()
    response = Response(data.geojson, mimetype="application/geo+json")
    response.set_etag(data.etag)
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


@blueprint.get("/healthz")
def healthz() -> Response:
    """Whether this process can read the node's database; open to all, because it tells nothing of the site."""
    site = current_site()
    site.reader.latest_cursor()
    return json_response({"status": "ok", "mesh": site.watch.mesh, "event_clients": site.hub.n_clients})


def json_response(value: Any) -> Response:  # noqa: ANN401  # any JSON value
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), mimetype="application/json")


def limit_of(default: int, maximum: int, texts: Texts) -> int:
    """The query's `limit`. Raises Refusal for what is no number from 1 to `maximum`."""
    text = request.args.get("limit")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= maximum):
        raise Refusal(400, texts.say("error.limit", value=text[:40]), texts.say("error.limit.remedy", maximum=maximum))
    return int(text)


def checked_cursor(text: str | None, texts: Texts) -> str | None:
    """A client's cursor, for the store to understand. Raises Refusal for what can't be one."""
    if not text:
        return None
    if len(text) > MAX_CURSOR_CHARS or not text.isascii() or not text.isprintable():
        raise Refusal(400, texts.say("error.cursor", value=ascii(text[:40])), texts["error.cursor.remedy"])
    return text
