"""A recorded scene as if it happened now, and the quiet before it."""

from collections.abc import Mapping, Sequence

import numpy as np

from appliance.errors import InputError
from appliance.model.air import Air
from appliance.model.audio import AudioBlock
from appliance.model.instants import NS_PER_MS, NS_PER_S, UtcNs
from appliance.scene.reader import FileSource, RecordedScene
from appliance.scene.world import WorldNode, faint_noise

LATITUDE_NS = NS_PER_MS
"""A block that ends so little later still belongs to the step: rates are never quite round."""

QUIET_SIGMA_NS = 1_000
"""Clock error that nodes are told in quiet, where it matters to nothing."""


class ReplayWorld:
    """A recorded scene as if it happened now: all times moved by one common offset. After its end there is quiet."""

    def __init__(self, recorded: RecordedScene, *, start_ns: int, block_s: float = 0.1, seed: int = 0) -> None:
        """Move the scene's earliest sample to `start_ns`."""
        nodes = recorded.scene.nodes
        self._scene = recorded.scene
        self._block_s = block_s
        self._shift_ns = start_ns - min(node.start_ns for node in nodes)
        self._sources: list[FileSource | None] = [recorded.source(node.id, block_s=block_s) for node in nodes]
        self._waiting: list[AudioBlock | None] = [None] * len(nodes)
        self._last: list[AudioBlock | None] = [None] * len(nodes)
        self._end_ns = start_ns
        self._rng = np.random.default_rng(seed)
        rates = {node.id: float(recorded.sounds[node.id].sample_rate_hz) for node in nodes}
        self._nodes = tuple(WorldNode(n.id, n.pose, n.geometry, rates[n.id]) for n in nodes)

    @property
    def nodes(self) -> tuple[WorldNode, ...]:
        """The scene's nodes."""
        return self._nodes

    @property
    def air(self) -> Air | None:
        """The scene's air."""
        return self._scene.air

    @property
    def block_s(self) -> float:
        """Seconds of sound in a block."""
        return self._block_s

    @property
    def shift_ns(self) -> int:
        """What was added to the scene's times."""
        return self._shift_ns

    @property
    def finished(self) -> bool:
        """Whether all recordings have ended, so that only quiet is left."""
        return all(source is None for source in self._sources) and not any(self._waiting)

    def close(self) -> None:
        """Close the files."""
        for source in self._sources:
            if source is not None:
                source.close()

    def advance(self) -> Mapping[str, AudioBlock]:
        """The blocks that end within the next `block_s`; none of a node whose recording has not begun."""
        self._end_ns += round(self._block_s * NS_PER_S)
        blocks = {}
        for i, node in enumerate(self._nodes):
            block = self._waiting[i] or self._next(i)
            self._last[i] = block
            if _end_ns(block) > self._end_ns + LATITUDE_NS:
                self._waiting[i] = block
                continue
            self._waiting[i] = None
            blocks[node.id] = block
        return blocks

    def _next(self, i: int) -> AudioBlock:
        source = self._sources[i]
        if source is None:
            return self._quiet(i)
        try:
            block = source.read(0.0)
        except EOFError:
            source.close()
            self._sources[i] = None
            return self._quiet(i)
        if block is None:
            raise InputError(self._nodes[i].id, "its recording gave no block", "replay the scene again")
        start_ns = UtcNs(block.start_ns + self._shift_ns)
        return AudioBlock(block.samples, block.first_sample, block.sample_rate_hz, start_ns, block.sigma_ns)

    def _quiet(self, i: int) -> AudioBlock:
        """A block of the faintest noise after the last one."""
        node, last = self._nodes[i], self._last[i]
        if last is None:
            raise InputError(node.id, "its recording is empty", "take the node out of the scene")
        n = max(1, round(self._block_s * node.sample_rate_hz))
        return AudioBlock(
            samples=faint_noise(node.geometry.n_channels, n, self._rng),
            first_sample=last.first_sample + last.n_samples,
            sample_rate_hz=last.sample_rate_hz,
            start_ns=UtcNs(_end_ns(last)),
            sigma_ns=last.sigma_ns,
        )


class QuietWorld:
    """The nodes of another world, hearing nothing but their converters: what plays before that world begins."""

    def __init__(self, nodes: Sequence[WorldNode], *, start_ns: int, block_s: float = 0.1, seed: int = 0) -> None:
        """Begin at `start_ns`."""
        self._nodes = tuple(nodes)
        self._start_ns = start_ns
        self._block_s = block_s
        self._rng = np.random.default_rng(seed)
        self._n_blocks = 0

    @property
    def nodes(self) -> tuple[WorldNode, ...]:
        """The nodes of the other world."""
        return self._nodes

    @property
    def air(self) -> Air | None:
        """None: nobody measures it."""
        return None

    @property
    def block_s(self) -> float:
        """Seconds of quiet in a block."""
        return self._block_s

    def advance(self) -> Mapping[str, AudioBlock]:
        """The next block of every node."""
        start_ns = UtcNs(self._start_ns + round(self._n_blocks * self._block_s * NS_PER_S))
        self._n_blocks += 1
        return {node.id: self._block(node, start_ns) for node in self._nodes}

    def _block(self, node: WorldNode, start_ns: UtcNs) -> AudioBlock:
        n = max(1, round(self._block_s * node.sample_rate_hz))
        samples = faint_noise(node.geometry.n_channels, n, self._rng)
        return AudioBlock(samples, (self._n_blocks - 1) * n, node.sample_rate_hz, start_ns, QUIET_SIGMA_NS)


def _end_ns(block: AudioBlock) -> int:
    """When the sample after the last one would be."""
    return block.start_ns + round(block.n_samples / block.sample_rate_hz * NS_PER_S)
