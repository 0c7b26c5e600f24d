"""What the pages say about incidents and nodes: dicts of the store in, the same with words out. No I/O.

The words are for people. Programs use the fields beside them.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from appliance.model.health import HealthState
from web.gazetteer import Address
from web.texts import Texts

CONFIDENCE_WORDS = ((0.9, "very-likely"), (0.7, "likely"), (0.5, "uncertain"), (0.0, "doubtful"))
"""Lower bound of the probability that the category is right, and the word for it."""

COMPASS = ("n", "ne", "e", "se", "s", "sw", "w", "nw")

SEVERITY = (HealthState.FAILED, HealthState.DEGRADED, HealthState.UNKNOWN, HealthState.OK)
"""Worst first; a node is as well as its worst check."""

DOING = ("ears", "clock", "peers")
"""The checks that tell what a node that is well does."""

SILENT = "silent"
"""State of a node that its peers have stopped hearing, beside those of `HealthState`."""

COARSE_M = 60.0
"""About the error that three decimals of a degree make."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso_time(time_ns: int) -> str:
    """UTC in ISO 8601 with microseconds; what lies below is cut, never rounded into the next second."""
    return (_EPOCH + timedelta(microseconds=time_ns // 1_000)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def incident(body: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    """The incident with ISO times beside its nanoseconds, and `words`: what the page says about it."""
    return {
        **body,
        "time": iso_time(body["time_ns"]),
        "shots": [{**shot, "time": iso_time(shot["time_ns"])} for shot in body.get("shots", ())],
        "words": incident_words(body, texts),
    }


def incident_words(body: Mapping[str, Any], texts: Texts) -> dict[str, str]:
    """Category, rounds, shooters, confidence, place and hearers of an incident in words, and all of it in a line."""
    heard_by = list(body.get("heard_by", ()))
    words = {
        "category": _category(body, texts),
        "rounds": _rounds(body, texts),
        "shooters": texts.count("shooters", body["shooters"]),
        "confidence": _confidence(float(body["confidence"]), texts),
        "place": _place(body, texts),
        "heard_by": texts.count("heard-by", len(heard_by), names=", ".join(heard_by)),
    }
    words["line"] = texts.say("incident.line", **words)
    return words


def _category(body: Mapping[str, Any], texts: Texts) -> str:
    key = f"category.{body['category']}"
    word = texts.get(key, str(body["category"]))
    status = f"status.{body.get('status', 'live')}"
    return texts.say(status, category=word) if status in texts else word


def _rounds(body: Mapping[str, Any], texts: Texts) -> str:
    rounds = texts.count("rounds", body["rounds"])
    low, high = body.get("rounds_range") or (body["rounds"], body["rounds"])
    return rounds if low == high else texts.say("rounds.range", rounds=rounds, low=low, high=high)


def _confidence(probability: float, texts: Texts) -> str:
    word = next(name for bound, name in CONFIDENCE_WORDS if probability >= bound or bound == 0.0)
    # 0.996 is not certainty: 100 % is never shown.
    percent = min(99, math.floor(probability * 100 + 0.5))
    return texts.say("confidence", word=texts[f"confidence.{word}"], percent=percent)


def _place(body: Mapping[str, Any], texts: Texts) -> str:
    ellipse, bearing = body.get("ellipse"), body.get("bearing")
    if ellipse:
        return texts.say("place.within", radius=distance(ellipse["major_m"], texts))
    if bearing:
        degrees = float(bearing["deg"])
        spread = max(1, round(2 * float(bearing["sigma_deg"])))
        compass = texts[f"compass.{COMPASS[round(degrees / 45.0) % 8]}"]
        return texts.say(
            "place.bearing", degrees=f"{degrees % 360:.0f}", spread=spread, compass=compass, node=bearing["from"]
        )
    return str(body["reason"]) if body.get("reason") else texts["place.none"]


def distance(metres: float, texts: Texts) -> str:
    """A distance rounded up (a bound must not shrink): whole metres below 1 km, tenths of kilometres above."""
    if metres <= 1_000:
        return texts.say("unit.m", value=math.ceil(metres))
    return texts.say("unit.km", value=f"{math.ceil(metres / 100) / 10:.1f}")


def address_line(address: Address, texts: Texts) -> str:
    """Street and cross street, else distance from a named place; then beats and zones. Empty: nothing is known."""
    parts = []
    if address.street:
        at = texts.say("address.cross", street=address.street, cross=address.cross) if address.cross else address.street
        parts.append(at)
    elif address.near:
        compass = texts[f"compass.{COMPASS[round(address.near_bearing_deg / 45.0) % 8]}"]
        far = distance(address.near_m, texts)
        parts.append(texts.say("address.near", distance=far, compass=compass, place=address.near))
    parts += [texts.say("address.zone", kind=kind.capitalize(), name=name) for kind, name in address.zones.items()]
    return ", ".join(parts)


def nodes(bodies: Sequence[Mapping[str, Any]], texts: Texts) -> list[dict[str, Any]]:
    """The nodes by id, this one first, each with its `state` and `words`."""
    views = [node(body, texts) for body in bodies]
    return sorted(views, key=lambda view: (not view.get("self", False), str(view["id"])))


def node(body: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    """The node with `state` (its worst check, or `silent`) and `words`: the state, and why it is so."""
    checks = list(body.get("health", ()))
    state = node_state(alive=bool(body["alive"]), states=[check["state"] for check in checks])
    return {**body, "state": state, "words": {"state": texts[f"state.{state}"], "why": _why(state, checks, texts)}}


def coarse(view: Mapping[str, Any]) -> dict[str, Any]:
    """The node for who may not know exactly where it stands: to about 100 m, without height and heading."""
    hidden = {"alt_m": None, "heading_deg": None, "position_sigma_m": COARSE_M, "position_is_coarse": True}
    place = {name: _coarse_deg(view.get(name)) for name in ("lat", "lon")}
    return dict(view) if view.get("removed") else {**view, **hidden, **place}


def _coarse_deg(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _why(state: str, checks: Sequence[Mapping[str, Any]], texts: Texts) -> str:
    """What a node that is well does; else what is wrong with it."""
    if state == HealthState.OK:
        return " · ".join(check["words"] for check in checks if check["name"] in DOING)
    if state == SILENT:
        failed = (check["words"] for check in checks if check["state"] == HealthState.FAILED)
        return next(failed, texts["node.silent.why"])
    return next((check["words"] for check in checks if check["state"] == state), texts["node.unknown.why"])


def node_state(*, alive: bool, states: Sequence[str]) -> str:
    """The worst of a node's checks; `unknown` without any; `silent` for a node that is not heard."""
    if not alive:
        return SILENT
    return next((state.value for state in SEVERITY if state in states), HealthState.UNKNOWN.value)
