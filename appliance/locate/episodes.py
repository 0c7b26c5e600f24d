"""Cuts a set of picks into episodes that have nothing to do with each other: a pure function of the set."""

from collections.abc import Sequence

from appliance.locate.evidence import STRONG_LOG_RATIO, weigh
from appliance.locate.settings import LocateSettings
from appliance.model.instants import NS_PER_S
from appliance.model.picks import Pick


def split_episodes(picks: Sequence[Pick], settings: LocateSettings) -> tuple[tuple[Pick, ...], ...]:
    """Episodes in order of time, each sorted by time and id; picks of the same id count once.

    A core is a run of strong picks without a gap; weak picks join the core within `episode_margin_s`, others are noise
    that no source is looked for in.
    """
    ordered = sorted({pick.id: pick for pick in picks}.values(), key=lambda pick: (pick.time_ns, pick.id))
    strong_ns = [pick.time_ns for pick in ordered if weigh(pick).direct > STRONG_LOG_RATIO]
    margin_ns = int(settings.episode_margin_s * NS_PER_S)
    episodes: list[tuple[Pick, ...]] = []
    start = 0
    cores = _cores(strong_ns, settings)
    for k, (first_ns, last_ns) in enumerate(cores):
        # Cores that were cut for their length lie nearer than two margins: the border is then half way.
        low_ns = first_ns - margin_ns if k == 0 else max(first_ns - margin_ns, (cores[k - 1][1] + first_ns) // 2 + 1)
        high_ns = last_ns + margin_ns
        if k + 1 < len(cores):
            high_ns = min(high_ns, (last_ns + cores[k + 1][0]) // 2)
        while start < len(ordered) and ordered[start].time_ns < low_ns:
            start += 1
        end = start
        while end < len(ordered) and ordered[end].time_ns <= high_ns:
            end += 1
        episodes.append(_cap_per_node(ordered[start:end], settings.max_picks_per_node))
        start = end
    return tuple(episodes)


def _cores(strong_ns: Sequence[int], settings: LocateSettings) -> list[tuple[int, int]]:
    """First and last strong pick of each run."""
    gap_ns = int(settings.episode_gap_s * NS_PER_S)
    pause_ns = int(settings.episode_pause_s * NS_PER_S)
    soft_ns = int(settings.episode_soft_max_s * NS_PER_S)
    hard_ns = int(settings.episode_hard_max_s * NS_PER_S)
    cores: list[tuple[int, int]] = []
    for time_ns in strong_ns:
        if cores:
            first_ns, last_ns = cores[-1]
            limit_ns = pause_ns if last_ns - first_ns > soft_ns else gap_ns
            if time_ns - last_ns <= limit_ns and time_ns - first_ns <= hard_ns:
                cores[-1] = (first_ns, time_ns)
                continue
        cores.append((time_ns, time_ns))
    return cores


def _cap_per_node(picks: Sequence[Pick], limit: int) -> tuple[Pick, ...]:
    """The `limit` weightiest picks of each node, in their order."""
    by_node: dict[str, list[Pick]] = {}
    for pick in picks:
        by_node.setdefault(pick.node, []).append(pick)
    if all(len(of_node) <= limit for of_node in by_node.values()):
        return tuple(picks)
    kept = {
        pick.id
        for of_node in by_node.values()
        for pick in sorted(of_node, key=lambda p: (-weigh(p).direct, p.id))[:limit]
    }
    return tuple(pick for pick in picks if pick.id in kept)
