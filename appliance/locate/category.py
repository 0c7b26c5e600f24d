"""The published verdict on an incident: all nodes' classifiers together with how many nodes agree on a place."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.model.classes import SoundClass
from appliance.model.incidents import Category
from appliance.model.picks import Pick

GUNFIRE_FROM = 0.5
POSSIBLE_FROM = 0.2
ALONE_FROM = 0.6
"""One or two nodes without a place: a door nearby is as loud as a shot far away, so the classifier has to be sure."""
_UNCLASSIFIED_GUNFIRE = 0.9
"""Where no classifier spoke: an impulse that three nodes place is gunfire more often than not."""
_MAX_CONFIDENCE = 0.99


@dataclass(frozen=True, slots=True)
class Verdict:
    """A category and the probability that it is right."""

    category: Category
    confidence: float


def judge_located(picks: Sequence[Pick], evidence: float) -> Verdict:
    """Verdict on a source that at least three nodes place; `evidence` is its log odds over chance."""
    agreed = 1.0 / (1.0 + math.exp(-min(evidence, 30.0)))
    gunshot = pooled_gunshot_probability(picks)
    if gunshot is None:
        return Verdict(Category.GUNFIRE, round(min(_UNCLASSIFIED_GUNFIRE * agreed, _MAX_CONFIDENCE), 3))
    if gunshot >= GUNFIRE_FROM:
        return Verdict(Category.GUNFIRE, round(min(gunshot * agreed, _MAX_CONFIDENCE), 3))
    firework = _mean_class(picks, SoundClass.FIREWORK)
    if firework > gunshot:
        return Verdict(Category.FIREWORK, round(min(max(firework, 1.0 - gunshot) * agreed, _MAX_CONFIDENCE), 3))
    if gunshot >= POSSIBLE_FROM:
        return Verdict(Category.POSSIBLE_GUNFIRE, round(gunshot, 3))
    return Verdict(Category.OTHER, round(min((1.0 - gunshot) * agreed, _MAX_CONFIDENCE), 3))


def judge_unlocated(picks: Sequence[Pick]) -> Verdict | None:
    """Verdict on what too few nodes heard for a place: possible gunfire, or nothing worth an incident."""
    gunshot = pooled_gunshot_probability(picks)
    if gunshot is None or gunshot < ALONE_FROM:
        return None
    return Verdict(Category.POSSIBLE_GUNFIRE, round(min(gunshot, 0.9), 3))


def pooled_gunshot_probability(picks: Sequence[Pick]) -> float | None:
    """Mean of the nodes' mean probabilities, so that one talkative node has one vote; None where none was given."""
    by_node: dict[str, list[float]] = {}
    for pick in picks:
        if pick.gunshot_probability is not None:
            by_node.setdefault(pick.node, []).append(pick.gunshot_probability)
    if not by_node:
        return None
    return math.fsum(math.fsum(p) / len(p) for _, p in sorted(by_node.items())) / len(by_node)


def _mean_class(picks: Sequence[Pick], sound_class: SoundClass) -> float:
    given = [pick.classes.of(sound_class) for pick in picks if pick.classes is not None]
    return math.fsum(given) / len(given) if given else 0.0
