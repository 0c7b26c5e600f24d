"""Worlds of sound that nodes listen to block by block, simulated or recorded: what both have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.model.air import Air
from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.space import NodePose

INT16_FULL_SCALE = 32_768.0
"""Sample value of full scale: 16-bit samples are multiples of its inverse."""


@dataclass(frozen=True, slots=True)
class WorldNode:
    """A node of a world as its neighbours would know it: the pose that it believes, its array, its rate."""

    id: str
    pose: NodePose
    geometry: ArrayGeometry
    sample_rate_hz: float


class World(Protocol):
    """Sound for several nodes, all in step."""

    @property
    def nodes(self) -> tuple[WorldNode, ...]:
        """Who listens."""

    @property
    def air(self) -> Air | None:
        """The air as a node would have measured it, or None."""

    @property
    def block_s(self) -> float:
        """Seconds of world time that `advance` takes."""

    def advance(self) -> Mapping[str, AudioBlock]:
        """The next block of every node that has one. Raises InputError where a recording turns out to be damaged."""


def faint_noise(n_channels: int, n_samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """What a converter gives of nothing: the last bit or two."""
    steps = rng.normal(0.0, 0.7, (n_channels, n_samples)).round()
    noise: NDArray[np.float32] = (steps / INT16_FULL_SCALE).astype(np.float32)
    return noise
