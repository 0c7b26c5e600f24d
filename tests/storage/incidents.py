"""Incidents as the localiser would find them, for tests of what stores them."""

from appliance.model.incidents import Arrival, Category, Incident, Shot
from appliance.model.picks import pick_id
from appliance.model.space import Ellipse, Geodetic

START_NS = 1_790_000_000_000_000_000


def incident(n=0, *, revision=1, nodes=("n1", "n2", "n3"), confidence=0.9, first=0):
    """Incident number `n`, heard by `nodes`; `first` leaves out so many of its earliest picks."""
    time_ns = START_NS + n * 10_000_000_000
    picks = tuple(pick_id(time_ns + i * 1_000_000, node) for i, node in enumerate(nodes))[first:]
    place = Geodetic(35.0 + n / 1_000, -106.0)
    ellipse = Ellipse(5.0, 3.0, 40.0)
    arrivals = tuple(Arrival(pick, pick.partition("-")[2], time_ns, 0.001, 1.0) for pick in picks)
    return Incident(
        id=picks[0],
        revision=revision,
        time_ns=time_ns,
        position=place,
        ellipse=ellipse,
        category=Category.GUNFIRE,
        confidence=confidence,
        shots=(Shot(time_ns, 1_000_000, place, ellipse, 1, arrivals),),
        shooters=1,
        rounds_range=(1, 1),
        aliases=picks[1:],
    )
