"""Where could the sources be: a vote of all picks over a grid of places.

Each prominent pick (anchor), taken as a direct sound, gives a source time at every place, and with it the times at
which every other node should have heard the shot; a table per node says how well its picks meet a time. Rounds from one
place add up, so that strings of shots that repeat a pattern support each other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.locate.ground import source_height_m
from appliance.locate.hearing import Hearing
from appliance.locate.settings import LocateSettings
from appliance.physics.propagation import travel_time_s

_MISS = -1.5
"""Log of what is lost where a node has nothing near the time."""
_HIT_MAX = 7.0
"""No single node decides the vote."""
_BLOCK = 4_096
"""Places worked on at once: keeps the arrays of a block in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """Per node, how well its picks meet an arrival time; flattened, `length` entries per node."""

    values: NDArray[np.float32]
    length: int
    offset: int


def candidate_places(hearing: Hearing, active: NDArray[np.bool_], settings: LocateSettings) -> NDArray[np.float64]:
    """Places (east, north, up) that explain the picks marked in `active` best, best first, shape (m, 3)."""
    strong = active & (hearing.raw_direct > 0.0)
    anchors = _anchors(hearing, strong, settings)
    if len(set(hearing.node_of[anchors])) < 2:
        return np.empty((0, 3))
    places_m, step_m = search_grid(hearing, strong, settings)
    tables = _tables(hearing, active, step_m, settings)
    votes = np.concatenate(
        [_votes(places_m[i : i + _BLOCK], hearing, anchors, tables, settings) for i in range(0, len(places_m), _BLOCK)]
    )
    return places_m[_modes(places_m, votes, 3.0 * step_m, settings.max_candidates)]


def _anchors(hearing: Hearing, strong: NDArray[np.bool_], settings: LocateSettings) -> NDArray[np.int64]:
    """Indices of anchor picks: the strong ones of the nodes that have most to say."""
    chosen: list[int] = []
    worth = np.bincount(hearing.node_of[strong], weights=hearing.direct[strong], minlength=len(hearing.nodes))
    for node in sorted(range(len(hearing.nodes)), key=lambda n: (-round(float(worth[n]), 6), n)):
        of_node = np.flatnonzero(strong & (hearing.node_of == node))
        best = of_node[np.lexsort((of_node, -hearing.direct[of_node]))]
        chosen.extend(int(i) for i in best[: settings.max_anchors - len(chosen)])
    return np.array(sorted(chosen), dtype=np.int64)


def search_grid(
    hearing: Hearing, strong: NDArray[np.bool_], settings: LocateSettings
) -> tuple[NDArray[np.float64], float]:
    """Places (east, north, up) around the nodes with picks in `strong`, shape (m, 3), and the step between them."""
    nodes_m = hearing.enu_m[np.unique(hearing.node_of[strong])]
    low_m = nodes_m[:, :2].min(axis=0) - settings.grid_margin_m
    high_m = nodes_m[:, :2].max(axis=0) + settings.grid_margin_m
    area_m2 = float(np.prod(high_m - low_m))
    step_m = max(settings.grid_step_m, (area_m2 / settings.max_grid_points) ** 0.5)
    east_m, north_m = (np.arange(low_m[i], high_m[i] + step_m, step_m) for i in (0, 1))
    flat = np.stack([a.ravel() for a in np.meshgrid(east_m, north_m, indexing="ij")], axis=1)
    return np.column_stack([flat, source_height_m(flat, nodes_m)]), step_m


def _tables(hearing: Hearing, active: NDArray[np.bool_], step_m: float, settings: LocateSettings) -> _Tables:
    step_s = settings.table_step_s
    margin_s = 2.0 * settings.path_window_s[1]
    offset = int(margin_s / step_s)
    length = int(hearing.span_s / step_s) + 2 * offset + 2
    # The anchor's own path delay and half a grid cell blur the prediction on both sides.
    cell_s = 0.4 * step_m / hearing.sound_speed_mps
    early_s = float(np.hypot(np.hypot(settings.path_sigma_s, settings.path_late_sigma_s), cell_s))
    late_s = float(np.hypot(2.0 * settings.path_late_sigma_s, cell_s))
    reach = int(3.0 * late_s / step_s)
    lags_s = np.arange(-reach, reach + 1) * step_s
    shape = -0.5 * np.where(lags_s > 0, lags_s / early_s, lags_s / late_s) ** 2
    values = np.full((len(hearing.nodes), length), _MISS, dtype=np.float32)
    gain = hearing.direct - np.log(hearing.noise_rate_hz[hearing.node_of] * 2.5 * 0.5 * (early_s + late_s))
    for i in np.flatnonzero(active):
        centre = offset + round(hearing.time_s[i] / step_s)
        low, high = max(centre - reach, 0), min(centre + reach + 1, length)
        row = values[hearing.node_of[i], low:high]
        hit = min(float(gain[i]), _HIT_MAX) + shape[low - centre + reach : high - centre + reach]
        np.maximum(row, hit, out=row)
    values[:, 0] = values[:, -1] = _MISS
    return _Tables(values.ravel(), length, offset)


def _votes(
    places_m: NDArray[np.float64],
    hearing: Hearing,
    anchors: NDArray[np.int64],
    tables: _Tables,
    settings: LocateSettings,
) -> NDArray[np.float64]:
    """The best sum of rounds at each place, over the nodes that may have heard them all, shape (m,)."""
    step_s = settings.table_step_s
    travel = travel_time_s(places_m[:, None, :], hearing.enu_m[None], hearing.sound_speed_mps) / step_s
    rows = np.arange(len(hearing.nodes)) * tables.length
    totals = np.zeros((len(hearing.nodes), len(places_m)))
    for a in anchors:
        node = hearing.node_of[a]
        arrival = hearing.time_s[a] / step_s + tables.offset + 0.5
        bins = (travel - travel[:, node : node + 1] + arrival).astype(np.int32)
        np.clip(bins, 0, tables.length - 1, out=bins)
        score = tables.values[bins + rows].sum(axis=1) - settings.round_cost
        totals[node] += np.maximum(score, 0.0)
    best: NDArray[np.float64] = totals.max(axis=0)
    return best


def _modes(places_m: NDArray[np.float64], votes: NDArray[np.float64], apart_m: float, limit: int) -> NDArray[np.int64]:
    """Indices of the best places that lie `apart_m` from each better one."""
    left = np.round(votes * 1e3).astype(np.int64)
    chosen: list[int] = []
    for _ in range(limit):
        best = int(np.argmax(left))
        if left[best] <= 0:
            break
        chosen.append(best)
        near = np.hypot(places_m[:, 0] - places_m[best, 0], places_m[:, 1] - places_m[best, 1]) < apart_m
        left[near] = 0
    return np.array(chosen, dtype=np.int64)
