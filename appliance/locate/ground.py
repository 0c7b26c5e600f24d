"""How high a source stands when nobody says: the ground as the nodes around it know it."""

import numpy as np
from numpy.typing import NDArray

NODE_HEIGHT_M = 6.0
"""Street nodes hang on poles and roofs, a shooter stands below them."""
SOURCE_HEIGHT_SIGMA_M = 12.0
"""Hills between nodes and roofs of several storeys: what the interpolation below is worth."""


def source_height_m(places_m: NDArray[np.float64], nodes_enu_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected height of a source at each (east, north), shape (m, 2), in the nodes' frame, shape (m,).

    Node heights weighted by inverse squared distance, softened by 50 m, less the height at which nodes hang.
    """
    offsets_m = places_m[:, None, :] - nodes_enu_m[None, :, :2]
    weights = 1.0 / (np.sum(offsets_m * offsets_m, axis=2) + 2_500.0)
    height_m: NDArray[np.float64] = (weights @ nodes_enu_m[:, 2]) / np.sum(weights, axis=1) - NODE_HEIGHT_M
    return height_m
