"""What the processes need of the outside world, as Protocols; `devices` and the other adapters implement them."""

from typing import Protocol

from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.space import NodePose


class AudioSource(Protocol):
    """Sound from one array. One thread reads it; `close` may come from another."""

    @property
    def geometry(self) -> ArrayGeometry:
        """Microphone positions; the number of channels of every block."""

    @property
    def sample_rate_hz(self) -> float:
        """Nominal rate of the converter."""

    def read(self, timeout_s: float) -> AudioBlock | None:
        """The next block, or None when none came within `timeout_s`.

        A gap shows as a jump of `first_sample`. Raises DeviceError when the device is gone (reading again may
        find it back) and EOFError when a source that has an end reached it.
        """

    def close(self) -> None:
        """Let go of the device; a `read` in another thread ends soon after."""


class PlaceSource(Protocol):
    """Where the node is."""

    def read(self) -> NodePose | None:
        """The node's pose now, or None while it is not known; never a stale one."""

    def describe(self) -> str:
        """One line for the health page: what this source knows at the moment."""

    def close(self) -> None:
        """Let go of the receiver."""
