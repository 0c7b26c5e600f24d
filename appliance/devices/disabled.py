"""What a node has instead of a device that is not fitted: the same interface, nothing behind it."""

import threading

from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.space import NodePose


class DisabledMicrophones:
    """An AudioSource that never hears anything."""

    def __init__(self, geometry: ArrayGeometry, sample_rate_hz: float) -> None:
        """Take what an array would have, so that meters and pages have the channels that they expect."""
        self._geometry = geometry
        self._sample_rate_hz = sample_rate_hz
        self._closed = threading.Event()

    @property
    def geometry(self) -> ArrayGeometry:
        """As given."""
        return self._geometry

    @property
    def sample_rate_hz(self) -> float:
        """As given."""
        return self._sample_rate_hz

    def read(self, timeout_s: float) -> AudioBlock | None:
        """None, after `timeout_s` or when closed."""
        self._closed.wait(timeout_s)
        return None

    def close(self) -> None:
        """End a `read` that waits."""
        self._closed.set()


class FixedPlace:
    """A PlaceSource for a node whose place was entered or surveyed."""

    def __init__(self, pose: NodePose) -> None:
        """Take the pose."""
        self._pose = pose

    def read(self) -> NodePose | None:
        """The pose, always."""
        return self._pose

    def describe(self) -> str:
        """The place and its error."""
        place = self._pose.position
        return f"entered: {place.lat_deg:.6f}, {place.lon_deg:.6f}, {place.alt_m:.1f} m ± {self._pose.sigma_m:.1f} m"

    def close(self) -> None:
        """Nothing to let go of."""


class DisabledPlace:
    """A PlaceSource for a node that does not know where it is: it hears, but can't help to locate."""

    def read(self) -> NodePose | None:
        """None, always."""
        return None

    def describe(self) -> str:
        """That there is none."""
        return "no receiver and no place entered"

    def close(self) -> None:
        """Nothing to let go of."""
