"""Rounds of steady and unsteady fire, and what a cadence is worth."""

import numpy as np

from appliance.locate import locate_incidents
from appliance.locate.rounds import cadence_gain
from appliance.locate.settings import DEFAULT_SETTINGS
from tests.locate.picked import AIR, NET, heard, poses

PLACE = (60.0, -40.0)
RNG_SEED = 4


def string(times_s, snr_db):
    """Picks of rounds at these times, all nodes, with the scatter of a street."""
    rng = np.random.default_rng(RNG_SEED)
    return [heard(n, PLACE, float(t), rng.normal(0.0, 0.0012), snr_db) for t in times_s for n in NET]


def test_every_round_of_automatic_fire_counts():
    times_s = 2.0 + np.arange(14) * 0.07
    (incident,) = locate_incidents(string(times_s, snr_db=13.0), poses(), AIR)
    assert (incident.rounds, incident.shooters) == (14, 1)


def test_a_steady_interval_is_evidence_and_any_other_is_none():
    steady_s = 2.0 + np.arange(8) * 0.1
    assert cadence_gain(steady_s, DEFAULT_SETTINGS) > 10.0
    rng = np.random.default_rng(1)
    assert cadence_gain(np.sort(rng.uniform(0.0, 5.0, 8)), DEFAULT_SETTINGS) == 0.0
    assert cadence_gain(steady_s[:3], DEFAULT_SETTINGS) == 0.0
