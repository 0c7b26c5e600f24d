"""Picks: one node's reading of one wavefront, before anybody knows what shot it belongs to."""

import enum
from dataclasses import dataclass
from typing import NewType

from appliance.model.classes import ClassProbabilities
from appliance.model.instants import NS_PER_US, UtcNs

PickId = NewType("PickId", str)
"""Identifies a pick in the whole mesh; sorts by time, then node."""


def pick_id(time_ns: int, node: str) -> PickId:
    """The id of the pick that `node` read at `time_ns`: whole microseconds first, so that ids sort by time.

    A node never makes two picks in one microsecond (its onsets lie milliseconds apart).
    """
    return PickId(f"{time_ns // NS_PER_US:016d}-{node}")


class Phase(enum.StrEnum):
    """What wavefront a pick read."""

    MUZZLE_BLAST = "muzzle-blast"
    SHOCK_WAVE = "shock-wave"
    REFLECTION = "reflection"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Pick:
    """One node's reading of one wavefront.

    time_ns:            UTC of the first arrival at the node
    sigma_ns:           1-sigma of the reading alone; it says nothing of echoes, bent paths or the clock
    clock_sigma_ns:     1-sigma of the node's clock at that moment; above 5 ms the pick stays out of fixes
    snr_db:             how far the onset rises over the 95 % quantile of the 300 ms before it, or, where it repeats the
                        waveform of an onset of the second before (a burst), over the mean of the 20 ms before it, if
                        that is more; None: not known
    level_db_spl:       peak sound pressure level; None where the microphone's sensitivity is not known
    peak_dbfs:          peak relative to full scale
    clipped:            whether the converter was at its rail, so that levels are lower bounds
    bearing_deg:        from the node to the source, clockwise from true north, where an array gives one
    elevation_deg:      of the source above the array's plane, with the bearing; a flat array can't tell up from down,
                        and gives the magnitude
    phase_probability:  that `phase` is right; None where it is unknown
    """

    id: PickId
    node: str
    time_ns: UtcNs
    sigma_ns: int
    clock_sigma_ns: int = 0
    snr_db: float | None = None
    level_db_spl: float | None = None
    peak_dbfs: float | None = None
    clipped: bool = False
    bearing_deg: float | None = None
    bearing_sigma_deg: float | None = None
    elevation_deg: float | None = None
    elevation_sigma_deg: float | None = None
    phase: Phase = Phase.UNKNOWN
    phase_probability: float | None = None
    classes: ClassProbabilities | None = None
    gunshot_probability: float | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """An onset that became no pick: when, at which stage, and why, with the number that decided."""

    node: str
    time_ns: UtcNs
    stage: str
    reason: str
