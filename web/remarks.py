"""What people say about incidents: how far a unit is with one, and whether it was gunfire. Mesh makes records of it."""

import time
from typing import TypeVar

import msgspec
from flask import Blueprint, Response, request

from appliance.wire.messages import AnswerMessage
from appliance.wire.records import AcknowledgementBody, ExerciseBody, ReviewBody
from web.access import current_person, note
from web.api import json_response
from web.problems import Refusal
from web.shapes import Acknowledgement, Exercise, Review
from web.site import current_site

MAX_AGE_NS = 24 * 3_600 * 1_000_000_000
"""How old a press of a button may be when it arrives: a car may have been without a link for a shift."""
MAX_AHEAD_NS = 60 * 1_000_000_000

Shape = TypeVar("Shape", bound=msgspec.Struct)

blueprint = Blueprint("remarks", __name__)


@blueprint.post("/api/incidents/<incident_id>/acknowledgements")
def acknowledge(incident_id: str) -> Response:
    """Say how far a unit is with an incident. The same press sent again is answered and not written again."""
    site, given = current_site(), _read(Acknowledgement)
    incident = _incident_id(incident_id)
    now_ns = time.time_ns()
    if not now_ns - MAX_AGE_NS < given.time_ns < now_ns + MAX_AHEAD_NS:
        raise Refusal(400, site.texts["error.time"], site.texts["error.time.remedy"])
    for said in site.reader.remarks("acknowledgement", incident):
        if (said["unit"], said["state"], said["time_ns"]) == (given.unit, given.state, given.time_ns):
            return json_response({"record": said["record"], "repeated": True})
    by = current_person().name
    body = AcknowledgementBody(incident=incident, unit=given.unit, state=given.state, time_ns=given.time_ns, by=by)
    return _answer(site.mesh.command("acknowledgement", body, by))


@blueprint.post("/api/incidents/<incident_id>/reviews")
def review(incident_id: str) -> Response:
    """Put a person's verdict beside the machine's, which stays as it is."""
    given, by = _read(Review), current_person().name
    incident = _incident_id(incident_id)
    body = ReviewBody(incident=incident, verdict=given.verdict, time_ns=time.time_ns(), note=given.note, by=by)
    answer = _answer(current_site().mesh.command("review", body, by))
    note("review", f"{incident} {given.verdict}")
    return answer


@blueprint.get("/api/incidents/<incident_id>/remarks")
def said(incident_id: str) -> Response:
    """All that people ever said of an incident, oldest first."""
    reader, incident = current_site().reader, _incident_id(incident_id)
    kinds = {"acknowledgements": "acknowledgement", "reviews": "review"}
    return json_response({name: list(reader.remarks(kind, incident)) for name, kind in kinds.items()})


@blueprint.post("/api/exercises")
def exercise() -> Response:
    """Send a test alert to every page of the mesh."""
    given, by = _read(Exercise), current_person().name
    body = ExerciseBody(words=given.words, time_ns=time.time_ns(), lat_deg=given.lat_deg, lon_deg=given.lon_deg, by=by)
    answer = _answer(current_site().mesh.command("exercise", body, by))
    note("test alert", given.words)
    return answer


def _incident_id(incident_id: str) -> str:
    """The id under which the incident stands now. Raises Refusal where there is none."""
    site = current_site()
    body = site.reader.incident(incident_id)
    if body is None:
        raise Refusal(404, site.texts.say("error.incident", id=incident_id), site.texts["error.incident.remedy"])
    return str(body["id"])


def _read(shape: type[Shape]) -> Shape:
    """The request's JSON body as `shape`. Raises Refusal that names the field."""
    texts = current_site().texts
    if request.mimetype != "application/json":
        # Also a wall against forms of other sites, which can't send this type unasked.
        raise Refusal(415, texts["error.415"], texts["error.415.remedy"])
    try:
        return msgspec.json.decode(request.get_data(), type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refusal(400, str(error), texts["error.body.remedy"]) from error


def _answer(answer: AnswerMessage) -> Response:
    if not answer.ok:
        raise Refusal(409, answer.reason, current_site().texts["error.refused.remedy"])
    return json_response({"record": answer.record, "repeated": False})
