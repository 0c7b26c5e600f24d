"""What the mesh says it found: shots, and incidents made of them."""

import enum
from dataclasses import dataclass, field

from appliance.model.instants import UtcNs
from appliance.model.picks import PickId
from appliance.model.space import Ellipse, Geodetic


class Category(enum.StrEnum):
    """The published verdict on an incident."""

    GUNFIRE = "gunfire"
    POSSIBLE_GUNFIRE = "possible-gunfire"
    FIREWORK = "firework"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A pick once associated with a shot; `residual_s` is observed minus predicted, `weight` 0..1 its part in it."""

    pick: PickId
    node: str
    time_ns: UtcNs
    residual_s: float
    weight: float


@dataclass(frozen=True, slots=True)
class Shot:
    """One discharge: when and where at its source, and who heard it. Position and ellipse are None without a fix."""

    time_ns: UtcNs
    time_sigma_ns: int
    position: Geodetic | None
    ellipse: Ellipse | None
    shooter: int
    arrivals: tuple[Arrival, ...]

    @property
    def heard_by(self) -> tuple[str, ...]:
        """Ids of the nodes with an arrival of this shot, sorted, each once."""
        return tuple(sorted({a.node for a in self.arrivals}))


@dataclass(frozen=True, slots=True)
class BearingLine:
    """The direction in which one node heard an incident that has no position."""

    node: str
    bearing_deg: float
    sigma_deg: float


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another place that explains the arrivals nearly as well, with its share of the probability."""

    position: Geodetic
    ellipse: Ellipse
    probability: float


@dataclass(frozen=True, slots=True)
class FirstShooter:
    """Who fired first, by number, and how probable that is."""

    shooter: int
    probability: float


@dataclass(frozen=True, slots=True)
class Movement:
    """How the shooter moved: speed with its 1-sigma and the bearing moved to, or the reason why none is told."""

    speed_mps: float | None = None
    bearing_deg: float | None = None
    sigma_mps: float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        """Refuse a movement that is neither told in full nor excused."""
        told = [value is not None for value in (self.speed_mps, self.bearing_deg, self.sigma_mps)]
        if any(told) != all(told) or all(told) == (self.reason is not None):
            raise ValueError("a movement has speed, bearing and sigma, or a reason why not")


@dataclass(frozen=True, slots=True)
class Incident:
    """Shots that belong together. A pure function of the picks: the same picks give the same incident on every node.

    id:         the smallest id of its member picks; any member pick's id leads to it (`aliases`)
    revision:   grows as more picks come in
    time_ns:    UTC of the first round at its source
    confidence: probability that `category` is right, 0..1
    reason:     why there is no position, where there is none
    shooter_probabilities: of each number of shooters
    first_shooter: None where there is one shooter, or none was told apart
    movement:   None where nothing was located
    """

    id: PickId
    revision: int
    time_ns: UtcNs
    position: Geodetic | None
    ellipse: Ellipse | None
    category: Category
    confidence: float
    shots: tuple[Shot, ...]
    shooters: int
    rounds_range: tuple[int, int]
    bearing: BearingLine | None = None
    reason: str | None = None
    alternatives: tuple[Alternative, ...] = ()
    aliases: tuple[PickId, ...] = ()
    shooter_probabilities: dict[int, float] = field(default_factory=dict)
    first_shooter: FirstShooter | None = None
    movement: Movement | None = None

    @property
    def rounds(self) -> int:
        """How many shots were counted."""
        return len(self.shots)

    @property
    def heard_by(self) -> tuple[str, ...]:
        """Ids of all nodes with an arrival, sorted, each once."""
        return tuple(sorted({a.node for s in self.shots for a in s.arrivals}))
