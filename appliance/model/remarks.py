"""What people say about incidents: how far a patrol unit is with one, and whether it was gunfire."""

import enum


class UnitState(enum.StrEnum):
    """How far a patrol unit is with an incident."""

    ACKNOWLEDGED = "acknowledged"
    EN_ROUTE = "en-route"
    ON_SCENE = "on-scene"
    CLEAR = "clear"
    DECLINED = "declined"


class ReviewVerdict(enum.StrEnum):
    """A person's verdict on an incident; it stands beside the machine's category and never replaces it."""

    GUNFIRE = "gunfire"
    NOT_GUNFIRE = "not-gunfire"
    UNSURE = "unsure"
