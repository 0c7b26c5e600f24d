"""Picks as they come in, incidents as they change: the localiser as a state machine.

What it says is `locate.locate_incidents` of the picks it holds; it only remembers the findings of episodes that nothing
new came into, so that a pick costs one episode and not the whole night.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.locate.episodes import split_episodes
from appliance.locate.incidents import form_incidents
from appliance.locate.settings import DEFAULT_SETTINGS, LocateSettings
from appliance.locate.sources import EpisodeFindings, find_sources
from appliance.model.air import UNKNOWN_AIR, Air
from appliance.model.incidents import Incident
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.model.picks import Pick, PickId
from appliance.model.space import NodePose


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """What Fusion holds, and for how long."""

    keep_s: float = 900.0
    """Picks older than this leave: a partition of a quarter of an hour still heals into one incident."""
    max_picks: int = 20_000
    """25 nodes in a noisy quarter of an hour; the oldest leave first. Bounds memory (about 10 MB)."""
    max_incidents: int = 1_000
    """The newest that `incidents` remembers; older ones are in the store."""
    locate: LocateSettings = DEFAULT_SETTINGS


class Fusion:
    """Holds picks, poses and air of one site; not safe for use from several threads."""

    def __init__(self, settings: FusionSettings | None = None) -> None:
        """Start empty."""
        self._settings = FusionSettings() if settings is None else settings
        self._picks: dict[PickId, Pick] = {}
        self._poses: dict[str, NodePose] = {}
        self._air: Air = UNKNOWN_AIR
        self._findings: dict[tuple[PickId, ...], EpisodeFindings] = {}
        self._incidents: dict[PickId, Incident] = {}
        self._dirty = False

    def add_pick(self, pick: Pick) -> None:
        """Take in one pick; the same id again changes nothing."""
        if pick.id not in self._picks:
            self._picks[pick.id] = pick
            self._dirty = True

    def set_pose(self, pose: NodePose) -> None:
        """Say where a node is; incidents whose picks are still held are located anew."""
        if self._poses.get(pose.node) != pose:
            self._poses[pose.node] = pose
            self._forget_findings()

    def set_air(self, air: Air) -> None:
        """Say what the air is like."""
        if air != self._air:
            self._air = air
            self._forget_findings()

    def update(self, now_ns: UtcNs) -> tuple[Incident, ...]:
        """Incidents that are new or have changed since the last call, by time and id."""
        if not self._dirty:
            return ()
        self._dirty = False
        episodes = self._hold(split_episodes(tuple(self._picks.values()), self._settings.locate), now_ns)
        self._findings = {key: self._findings.get(key) or self._find(picks) for key, picks in episodes.items()}
        current = form_incidents(tuple(self._findings.values()), self._settings.locate)
        changed = tuple(i for i in current if self._incidents.get(i.id) != i)
        self._remember(current)
        return changed

    def incidents(self) -> tuple[Incident, ...]:
        """All incidents that are current, by time and id."""
        return tuple(sorted(self._incidents.values(), key=lambda i: (i.time_ns, i.id)))

    @property
    def n_picks(self) -> int:
        """How many picks are held."""
        return len(self._picks)

    def _find(self, picks: tuple[Pick, ...]) -> EpisodeFindings:
        return find_sources(picks, self._poses, self._air, self._settings.locate)

    def _hold(self, episodes: Sequence[tuple[Pick, ...]], now_ns: UtcNs) -> dict[tuple[PickId, ...], tuple[Pick, ...]]:
        """The episodes to keep, and no pick from before them: whole episodes leave, for half of one would look new."""
        limit_ns = now_ns - int(self._settings.keep_s * NS_PER_S)
        kept: list[tuple[Pick, ...]] = []
        room = self._settings.max_picks
        for episode in reversed(episodes):
            room -= len(episode)
            if episode[-1].time_ns < limit_ns or room < 0:
                break
            kept.append(episode)
        dropped = episodes[: len(episodes) - len(kept)]
        start_ns = min([limit_ns, *(episode[0].time_ns for episode in kept[-1:])])
        start_ns = max([start_ns, *(episode[-1].time_ns + 1 for episode in dropped[-1:])])
        self._picks = {key: pick for key, pick in self._picks.items() if pick.time_ns >= start_ns}
        self._shed({pick.id for episode in kept for pick in episode})
        return {tuple(pick.id for pick in episode): episode for episode in reversed(kept)}

    def _shed(self, needed: set[PickId]) -> None:
        """Keep to `max_picks`: the oldest that are in no episode leave, which are noise."""
        excess = len(self._picks) - self._settings.max_picks
        if excess > 0:
            for key in [key for key in sorted(self._picks) if key not in needed][:excess]:
                del self._picks[key]

    def _remember(self, current: Sequence[Incident]) -> None:
        """Replace what is held; incidents whose picks have left stay as they were, ones that merged go."""
        merged = {alias for incident in current for alias in (incident.id, *incident.aliases)}
        kept = {k: v for k, v in self._incidents.items() if k not in merged and k not in self._picks}
        kept.update((incident.id, incident) for incident in current)
        newest = sorted(kept.values(), key=lambda i: (i.time_ns, i.id))[-self._settings.max_incidents :]
        self._incidents = {incident.id: incident for incident in newest}

    def _forget_findings(self) -> None:
        self._findings = {}
        self._dirty = True
