"""Covariances as ellipses that people can read."""

import math

import numpy as np
from numpy.typing import NDArray

from appliance.model.space import Ellipse

CHI2_95_OF_TWO = 5.991464547107979
"""95 % quantile of chi-square with two degrees of freedom: -2 ln 0.05."""


def ellipse_95(covariance_m2: NDArray[np.float64]) -> Ellipse:
    """The 95 % ellipse of a horizontal covariance (east, north), shape (2, 2), square metres; to a centimetre."""
    values, vectors = np.linalg.eigh(0.5 * (covariance_m2 + covariance_m2.T))
    minor_m, major_m = (math.sqrt(max(float(v), 0.0) * CHI2_95_OF_TWO) for v in values)
    east, north = (float(v) for v in vectors[:, 1])
    bearing_deg = math.degrees(math.atan2(east, north)) % 180.0
    return Ellipse(round(max(major_m, minor_m), 2), round(minor_m, 2), round(bearing_deg, 1) % 180.0)
