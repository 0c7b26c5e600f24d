"""The API that others build on: incidents, nodes, rejections, the map, and whether this process is well."""

from collections.abc import Sequence
from typing import Any

import msgspec
from flask import Blueprint, Response, current_app, request
from prometheus_client import CONTENT_TYPE_LATEST

from appliance.model.health import HealthState
from web import present, views
from web.access import current_person
from web.metrics import exposition
from web.openapi import document
from web.problems import Refusal
from web.reader import Body
from web.roles import Role
from web.site import current_site
from web.texts import Texts
from web.watch import MeshLink

DEFAULT_INCIDENTS = 200
MAX_INCIDENTS = 1_000
DEFAULT_REJECTIONS = 100
MAX_REJECTIONS = 1_000
MAX_CURSOR_CHARS = 4_096
"""A cursor names every node of a mesh (at most 25) in about 60 characters each."""

CURSOR_HEADER = "Earshot-Cursor"
"""On the list of incidents: where to read on from, so that nothing falls between list and stream."""

NEEDED = ("ears", "clock", "place")
"""Of these a node must know that they are well; of the rest (a board without sensors) only that nothing failed."""

blueprint = Blueprint("api", __name__)


@blueprint.get("/api/incidents")
def incidents() -> Response:
    """Incidents, newest first; `since` a cursor: only those that changed after it; at most `limit`."""
    site = current_site()
    limit = limit_of(DEFAULT_INCIDENTS, MAX_INCIDENTS, site.texts)
    since = checked_cursor(request.args.get("since"), site.texts)
    cursor = site.reader.latest_cursor()
    bodies = site.reader.incidents(limit=limit, since=since)
    response = json_response(views.incidents(bodies, site.reader, site.texts, site.geography))
    response.headers[CURSOR_HEADER] = cursor
    return response


@blueprint.get("/api/incidents/<incident_id>")
def incident(incident_id: str) -> Response:
    """One incident, by its id or by the id of any of its picks."""
    site = current_site()
    body = site.reader.incident(incident_id)
    if body is None:
        raise Refusal(404, site.texts.say("error.incident", id=incident_id), site.texts["error.incident.remedy"])
    return json_response(views.incidents([body], site.reader, site.texts, site.geography)[0])


@blueprint.get("/api/nodes")
def nodes() -> Response:
    """Every node that this one knows, itself first, with its health; levels of itself alone."""
    site = current_site()
    shown = present.nodes(site.reader.nodes(), site.texts)
    is_exact = current_person().role is Role.INSTALLER
    return json_response(shown if is_exact else [present.coarse(node) for node in shown])


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


@blueprint.get("/readyz")
def readyz() -> Response:
    """Whether this node hears, knows its time and place, and is served; 503 with the checks that say no."""
    site = current_site()
    own = own_node(site.reader.nodes())
    checks = own["health"] if own and own["alive"] else []
    failing = [check["name"] for check in checks if _stands_in_the_way(check)]
    if not checks or site.watch.mesh is MeshLink.AWAY:
        failing.append("mesh")
    response = json_response({"ready": not failing, "failing": failing})
    response.status_code = 503 if failing else 200
    return response


@blueprint.get("/metrics")
def metrics() -> Response:
    """Figures of this node in the text format of Prometheus."""
    site = current_site()
    figures = exposition(site.reader.nodes(), event_clients=site.hub.n_clients)
    return Response(figures, content_type=CONTENT_TYPE_LATEST)


@blueprint.get("/api/openapi.json")
def openapi() -> Response:
    """This interface as an OpenAPI 3.1 document."""
    return json_response(document(current_app))


def _stands_in_the_way(check: Body) -> bool:
    is_unknown = check["state"] == HealthState.UNKNOWN and check["name"] in NEEDED
    return is_unknown or bool(check["state"] == HealthState.FAILED)


def own_node(nodes: Sequence[Body]) -> Body | None:
    """The node whose pages these are."""
    return next((node for node in nodes if node.get("self")), None)


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
