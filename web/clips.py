"""The sound that nodes kept of gunfire: which clips there are, and those of this node. Each hearing is written down."""

import re

from flask import Blueprint, Response, send_file

from web.access import note
from web.api import json_response
from web.problems import Refusal
from web.site import current_site

PICK = re.compile(r"\d{16}-[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

blueprint = Blueprint("clips", __name__)


@blueprint.get("/api/incidents/<incident_id>/clips")
def clips(incident_id: str) -> Response:
    """The clips of an incident on all nodes: pick, node, time of the first sample, length, and hash."""
    site = current_site()
    body = site.reader.incident(incident_id)
    if body is None:
        raise Refusal(404, site.texts.say("error.incident", id=incident_id), site.texts["error.incident.remedy"])
    incident = str(body["id"])
    return json_response(list(site.reader.clips([incident]).get(incident, ())))


@blueprint.get("/api/clips/<pick>")
def clip(pick: str) -> Response:
    """The sound around one of this node's picks, FLAC. Who asked and when stays in the audit."""
    site = current_site()
    folder = site.settings.clips
    file = None if folder is None or not PICK.fullmatch(pick) else folder / f"{pick}.flac"
    if file is None or not file.is_file():
        raise Refusal(404, site.texts.say("error.clip", pick=pick[:80]), site.texts["error.clip.remedy"])
    note("clip heard", pick)
    return send_file(file, mimetype="audio/flac", max_age=0)
