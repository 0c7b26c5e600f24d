"""Incidents, version 1: one JSON object per incident, one a line. What the appliance says that it found."""

from typing import Annotated, Literal

import msgspec

from appliance.model.incidents import Alternative, BearingLine, Incident, Movement, Shot
from appliance.model.space import Ellipse
from appliance.wire.documents import (
    Degrees,
    Latitude,
    Longitude,
    Probability,
    SigmaDeg,
    Source,
    TimeNs,
    convert,
    parse_json,
)

MAX_INCIDENT_BYTES = 4 * 2**20
"""Ten thousand rounds heard by twenty-five nodes: an hour of rapid fire."""
MAX_SHOTS = 10_000
MAX_NAMES = 1_000

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_NAMES)]
Words = Annotated[str, msgspec.Meta(max_length=500)]
Count = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
LengthM = Annotated[float, msgspec.Meta(ge=0.0, le=10_000_000.0)]
ResidualS = Annotated[float, msgspec.Meta(ge=-100.0, le=100.0)]


class EllipseJson(msgspec.Struct, frozen=True):
    """95 % region: semi-axes in metres, bearing of the major one."""

    major_m: LengthM
    minor_m: LengthM
    bearing_deg: Degrees


class BearingJson(msgspec.Struct, frozen=True, rename={"node": "from"}):
    """The direction in which one node heard an incident that has no position."""

    node: Name
    deg: Degrees
    sigma_deg: SigmaDeg


class ShotJson(msgspec.Struct, frozen=True):
    """One round; `lat`, `lon` and `ellipse` are None together.

    residuals_s: observed minus predicted arrival at each node, where there is a place to predict it from
    """

    time_ns: TimeNs
    lat: Latitude | None
    lon: Longitude | None
    ellipse: EllipseJson | None
    shooter: Count
    heard_by: Names
    residuals_s: dict[Name, ResidualS] | msgspec.UnsetType = msgspec.UNSET


class AlternativeJson(msgspec.Struct, frozen=True):
    """Another place that explains the arrivals as well, with its share of the probability."""

    lat: Latitude
    lon: Longitude
    ellipse: EllipseJson
    probability: Probability


class FirstShooterJson(msgspec.Struct, frozen=True):
    """Who fired first, and how probable that is."""

    shooter: Count
    probability: Probability


class MovementJson(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the shooter moved, or the reason why that is not known."""

    speed_mps: Annotated[float, msgspec.Meta(ge=0.0, le=1_000.0)] | None = None
    bearing_deg: Degrees | None = None
    sigma: Annotated[float, msgspec.Meta(ge=0.0, le=1e9)] | None = None
    reason: Words | None = None


class IncidentJson(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as the format has it; UNSET fields are left out of the text."""

    id: Name
    revision: Count
    time_ns: TimeNs
    lat: Latitude | None
    lon: Longitude | None
    ellipse: EllipseJson | None
    category: Literal["gunfire", "possible-gunfire", "firework", "other"]
    confidence: Probability
    rounds: Count
    shooters: Count
    heard_by: Names
    shots: Annotated[tuple[ShotJson, ...], msgspec.Meta(max_length=MAX_SHOTS)]
    bearing: BearingJson | msgspec.UnsetType | None = msgspec.UNSET
    reason: Words | msgspec.UnsetType | None = msgspec.UNSET
    aliases: Annotated[tuple[Name, ...], msgspec.Meta(max_length=100_000)] | msgspec.UnsetType = msgspec.UNSET
    status: Literal["live", "exercise", "cancelled"] | msgspec.UnsetType = msgspec.UNSET
    rounds_range: tuple[Count, Count] | msgspec.UnsetType = msgspec.UNSET
    shooter_probabilities: dict[Name, Probability] | msgspec.UnsetType = msgspec.UNSET
    first_shooter: FirstShooterJson | msgspec.UnsetType = msgspec.UNSET
    movement: MovementJson | msgspec.UnsetType = msgspec.UNSET
    alternatives: Annotated[tuple[AlternativeJson, ...], msgspec.Meta(max_length=100)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    address: Words | msgspec.UnsetType | None = msgspec.UNSET


def incident_json(incident: Incident) -> IncidentJson:
    """The incident in the format's shape; optional fields only where they are known."""
    place, first = incident.position, incident.first_shooter
    return IncidentJson(
        id=incident.id,
        revision=incident.revision,
        time_ns=incident.time_ns,
        lat=place.lat_deg if place else None,
        lon=place.lon_deg if place else None,
        ellipse=_ellipse(incident.ellipse),
        category=incident.category.value,
        confidence=incident.confidence,
        rounds=incident.rounds,
        shooters=incident.shooters,
        heard_by=incident.heard_by,
        shots=tuple(_shot(s) for s in incident.shots),
        bearing=_bearing(incident.bearing) if incident.bearing else msgspec.UNSET,
        reason=incident.reason if incident.reason else msgspec.UNSET,
        aliases=incident.aliases or msgspec.UNSET,
        rounds_range=incident.rounds_range,
        shooter_probabilities=_text_keys(incident.shooter_probabilities) or msgspec.UNSET,
        first_shooter=FirstShooterJson(first.shooter, first.probability) if first else msgspec.UNSET,
        movement=_movement(incident.movement) if incident.movement else msgspec.UNSET,
        alternatives=tuple(_alternative(a) for a in incident.alternatives) or msgspec.UNSET,
    )


def incident_to_dict(incident: Incident) -> dict[str, object]:
    """The incident as plain objects, exactly as in the format."""
    return msgspec.json.decode(encode_incident(incident), type=dict[str, object])


def encode_incident(incident: Incident | IncidentJson) -> bytes:
    """The incident as one line of JSON with its newline."""
    document = incident if isinstance(incident, IncidentJson) else incident_json(incident)
    return msgspec.json.encode(document) + b"\n"


def decode_incident(data: bytes, source: str = "incident") -> IncidentJson:
    """One line of an incidents file, or one object of the API; fields that are not known are ignored.

    What the format does not carry (arrivals with residuals) is not made up: the result is the format's shape, not
    the model's. Raises InputError.
    """
    return convert(parse_json(data, source, max_bytes=MAX_INCIDENT_BYTES), IncidentJson, Source(source))


def _shot(shot: Shot) -> ShotJson:
    return ShotJson(
        time_ns=shot.time_ns,
        lat=shot.position.lat_deg if shot.position else None,
        lon=shot.position.lon_deg if shot.position else None,
        ellipse=_ellipse(shot.ellipse),
        shooter=shot.shooter,
        heard_by=shot.heard_by,
        residuals_s=_residuals_s(shot) or msgspec.UNSET,
    )


def _residuals_s(shot: Shot) -> dict[str, float]:
    """To a tenth of a millisecond: what lies below says nothing of a street."""
    if shot.position is None:
        return {}
    return {arrival.node: round(arrival.residual_s, 4) for arrival in shot.arrivals}


def _ellipse(ellipse: Ellipse | None) -> EllipseJson | None:
    return None if ellipse is None else EllipseJson(ellipse.major_m, ellipse.minor_m, ellipse.bearing_deg)


def _bearing(line: BearingLine) -> BearingJson:
    return BearingJson(line.node, line.bearing_deg, line.sigma_deg)


def _movement(movement: Movement) -> MovementJson:
    return MovementJson(movement.speed_mps, movement.bearing_deg, movement.sigma_mps, movement.reason)


def _alternative(alternative: Alternative) -> AlternativeJson:
    place = alternative.position
    ellipse = alternative.ellipse
    return AlternativeJson(
        place.lat_deg,
        place.lon_deg,
        EllipseJson(ellipse.major_m, ellipse.minor_m, ellipse.bearing_deg),
        alternative.probability,
    )


def _text_keys(probabilities: dict[int, float]) -> dict[str, float]:
    return {str(n): p for n, p in sorted(probabilities.items())}
