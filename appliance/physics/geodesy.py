"""WGS-84 places to and from a local tangent plane (ENU)."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from appliance.model.space import Geodetic
from appliance.physics.constants import WGS84_FLATTENING, WGS84_SEMI_MAJOR_M

_ECCENTRICITY_SQUARED = WGS84_FLATTENING * (2.0 - WGS84_FLATTENING)


class LocalFrame:
    """An ENU frame: metres east, north and up of `origin`. Exact conversions, not a flat-earth approximation."""

    def __init__(self, origin: Geodetic) -> None:
        """Lay the tangent plane at `origin`."""
        self.origin = origin
        self._origin_ecef_m = _ecef_m(origin)
        lat_rad, lon_rad = math.radians(origin.lat_deg), math.radians(origin.lon_deg)
        sin_lat, cos_lat = math.sin(lat_rad), math.cos(lat_rad)
        sin_lon, cos_lon = math.sin(lon_rad), math.cos(lon_rad)
        self._ecef_to_enu = np.array(
            [
                [-sin_lon, cos_lon, 0.0],
                [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
                [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
            ]
        )

    def to_enu(self, place: Geodetic) -> NDArray[np.float64]:
        """East, north, up of `place`, metres, shape (3,)."""
        offset_m: NDArray[np.float64] = self._ecef_to_enu @ (_ecef_m(place) - self._origin_ecef_m)
        return offset_m

    def many_to_enu(self, places: Sequence[Geodetic]) -> NDArray[np.float64]:
        """East, north, up of each place, metres, shape (n, 3)."""
        return np.array([self.to_enu(place) for place in places], dtype=np.float64).reshape(-1, 3)

    def to_geodetic(self, east_m: float, north_m: float, up_m: float) -> Geodetic:
        """The place at this offset from the origin. Raises ValueError where that is no place on Earth."""
        ecef_m = self._origin_ecef_m + self._ecef_to_enu.T @ np.array([east_m, north_m, up_m])
        return _geodetic(ecef_m)


def _ecef_m(place: Geodetic) -> NDArray[np.float64]:
    lat_rad, lon_rad = math.radians(place.lat_deg), math.radians(place.lon_deg)
    normal_m = WGS84_SEMI_MAJOR_M / math.sqrt(1.0 - _ECCENTRICITY_SQUARED * math.sin(lat_rad) ** 2)
    across_m = (normal_m + place.alt_m) * math.cos(lat_rad)
    along_m = (normal_m * (1.0 - _ECCENTRICITY_SQUARED) + place.alt_m) * math.sin(lat_rad)
    return np.array([across_m * math.cos(lon_rad), across_m * math.sin(lon_rad), along_m])


def _geodetic(ecef_m: NDArray[np.float64]) -> Geodetic:
    """Latitude by fixed-point iteration; near the surface each step shrinks the error 150-fold."""
    x_m, y_m, z_m = (float(v) for v in ecef_m)
    across_m = math.hypot(x_m, y_m)
    lat_rad = math.atan2(z_m, across_m * (1.0 - _ECCENTRICITY_SQUARED))
    for _ in range(5):
        sin_lat = math.sin(lat_rad)
        normal_m = WGS84_SEMI_MAJOR_M / math.sqrt(1.0 - _ECCENTRICITY_SQUARED * sin_lat**2)
        lat_rad = math.atan2(z_m + _ECCENTRICITY_SQUARED * normal_m * sin_lat, across_m)
    sin_lat, cos_lat = math.sin(lat_rad), math.cos(lat_rad)
    normal_m = WGS84_SEMI_MAJOR_M / math.sqrt(1.0 - _ECCENTRICITY_SQUARED * sin_lat**2)
    # This form of the height is sound at the poles too, where across / cos(lat) is not.
    height_m = across_m * cos_lat + z_m * sin_lat - normal_m * (1.0 - _ECCENTRICITY_SQUARED * sin_lat**2)
    return Geodetic(math.degrees(lat_rad), math.degrees(math.atan2(y_m, x_m)), height_m)
