"""The whole localiser as one function."""

from collections.abc import Mapping, Sequence

from appliance.locate.episodes import split_episodes
from appliance.locate.incidents import form_incidents
from appliance.locate.settings import DEFAULT_SETTINGS, LocateSettings
from appliance.locate.sources import find_sources
from appliance.model.air import UNKNOWN_AIR, Air
from appliance.model.incidents import Incident
from appliance.model.picks import Pick
from appliance.model.space import NodePose


def locate_incidents(
    picks: Sequence[Pick],
    poses: Mapping[str, NodePose],
    air: Air = UNKNOWN_AIR,
    settings: LocateSettings = DEFAULT_SETTINGS,
) -> tuple[Incident, ...]:
    """Incidents that explain these picks, by time and id.

    A pure function of the set of picks: their order and repeated ids change nothing. Picks of nodes without a
    pose or with a clock worse than `max_clock_sigma_s` stay out of fixes.
    """
    findings = [find_sources(episode, poses, air, settings) for episode in split_episodes(picks, settings)]
    return form_incidents(findings, settings)
