"""Places, and the frames they are stated in (once, here).

* Geodetic: WGS-84 latitude and longitude in degrees, height above the ellipsoid in metres.
* ENU: a local tangent plane in metres, x east, y north, z up.
* Array frame: metres, x right, y forward, z up. With heading 0 it coincides with ENU.
* Bearing and heading: degrees clockwise from true north. A bearing points from the node to the source.
* Wind: the vector blows *to* where it points (east, north).
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Geodetic:
    """A point on or above the WGS-84 ellipsoid."""

    lat_deg: float
    lon_deg: float
    alt_m: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no place on Earth."""
        if not (-90.0 <= self.lat_deg <= 90.0):
            raise ValueError(f"latitude {self.lat_deg} is outside -90..90 degrees")
        if not (-180.0 <= self.lon_deg <= 180.0):
            raise ValueError(f"longitude {self.lon_deg} is outside -180..180 degrees")
        if not (-1_000.0 <= self.alt_m <= 10_000.0):
            raise ValueError(f"altitude {self.alt_m} is outside -1000..10000 m")


@dataclass(frozen=True, slots=True)
class Ellipse:
    """The 95 % confidence region of a horizontal position: semi-axes in metres, bearing of the major one."""

    major_m: float
    minor_m: float
    bearing_deg: float

    def __post_init__(self) -> None:
        """Refuse axes that are negative, swapped or not numbers."""
        if not (0.0 <= self.minor_m <= self.major_m < math.inf):
            raise ValueError(f"ellipse axes {self.major_m} and {self.minor_m} m are not 0 <= minor <= major")


@dataclass(frozen=True, slots=True)
class NodePose:
    """Where a node's array stands and where it points.

    `sigma_m` is the 1-sigma error of the position per axis; `heading_deg` is the bearing of the array's +y axis.
    """

    node: str
    position: Geodetic
    sigma_m: float
    heading_deg: float = 0.0
    heading_sigma_deg: float = 0.0
