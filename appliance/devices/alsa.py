"""One ALSA capture device; the only file that touches pyalsaaudio."""

import select
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.devices.clock import monotonic_now_ns
from appliance.model.instants import NS_PER_MS, NS_PER_S

OVERRUN = -32
"""What `read` gives instead of a length after the driver had to drop sound (EPIPE)."""
_STRANGE_STAMP_NS = NS_PER_S
"""Some plugins stamp with another clock, and a failed query leaves anything: such a stamp lies far from now."""


FORMATS = ("S16_LE", "S32_LE", "S24_3LE")
"""What arrays give without software between that mixes or resamples; the first one that a device has is taken."""


class CapturePcm:
    """A capture device that never waits, interleaved. Used from one thread. Errors of ALSA come as OSError."""

    def __init__(self, device: str, *, rate_hz: int, n_channels: int, period_samples: int, n_periods: int) -> None:
        """Open the device with exactly this rate and these channels, in one of `FORMATS`.

        Raises OSError, its text fit for people.
        """
        try:
            # Here, because a node without a microphone need not have ALSA.
            import alsaaudio
        except ImportError as error:
            raise OSError(f"pyalsaaudio can't be loaded ({error})") from error
        self._alsa_error = alsaaudio.ALSAAudioError
        self._running = alsaaudio.PCM_STATE_RUNNING
        self._n_channels = n_channels
        wanted = {"rate": rate_hz, "channels": n_channels, "periodsize": period_samples, "periods": n_periods}
        try:
            self._pcm, self._format = _open(device, wanted)
            self._buffer_samples = int(self._pcm.info()["buffer_size"])
            self._pcm.set_tstamp_mode(alsaaudio.PCM_TSTAMP_ENABLE)
            self._pcm.set_tstamp_type(alsaaudio.PCM_TSTAMP_TYPE_MONOTONIC)
        except alsaaudio.ALSAAudioError as error:
            raise OSError(f"can't be opened ({error})") from error

    def is_worth_reading(self, n_samples: int) -> bool:
        """Whether so many samples wait, or `read` is needed to start the device or to say what is wrong with it."""
        if self._pcm.state() != self._running:
            return True
        n_waiting = int(self._pcm.avail())
        return n_waiting < 0 or n_waiting >= n_samples

    def read(self) -> tuple[int, bytes]:
        """Samples per channel (0: none now; `OVERRUN`) and their bytes. Raises OSError when the device is gone."""
        try:
            n, data = self._pcm.read()
        except self._alsa_error as error:
            raise OSError(f"stopped ({error})") from error
        return int(n), bytes(data)

    def samples(self, data: bytes) -> NDArray[np.float32]:
        """The samples in bytes that `read` gave, full scale +-1, shape (n, channels)."""
        return decode(data, self._format).reshape(-1, self._n_channels)

    def stamp(self) -> tuple[int, int]:
        """When the driver last looked (CLOCK_MONOTONIC, ns), and how many samples waited to be read then."""
        now_ns = monotonic_now_ns()
        seconds, nanoseconds, n_waiting = self._pcm.htimestamp()
        stamp_ns = seconds * NS_PER_S + nanoseconds
        if abs(now_ns - stamp_ns) > _STRANGE_STAMP_NS or not 0 <= n_waiting <= self._buffer_samples:
            return now_ns, 0
        return stamp_ns, n_waiting

    def wait(self, timeout_ns: int, wake_fd: int) -> None:
        """Return when there may be samples, when `wake_fd` can be read, or after `timeout_ns`."""
        poll = select.poll()
        poll.register(wake_fd, select.POLLIN)
        own_fds = set()
        for fd, events in self._pcm.polldescriptors():
            poll.register(fd, events)
            own_fds.add(fd)
        ready = poll.poll(timeout_ns / NS_PER_MS)
        # Some devices clear their wake-up only when they are told of it.
        self._pcm.polldescriptors_revents([(fd, events) for fd, events in ready if fd in own_fds])

    def close(self) -> None:
        """Let go of the device."""
        self._pcm.close()


def _open(device: str, wanted: dict[str, int]) -> tuple[Any, str]:
    """The device in the first format that it has, and which. Raises OSError, and ALSA's own error."""
    import alsaaudio

    given: dict[str, Any] = {}
    for name in FORMATS:
        pcm = alsaaudio.PCM(
            type=alsaaudio.PCM_CAPTURE,
            mode=alsaaudio.PCM_NONBLOCK,
            device=device,
            format=getattr(alsaaudio, f"PCM_FORMAT_{name}"),
            **wanted,
        )
        given = pcm.info()
        if (given["rate"], given["channels"], given["format_name"]) == (wanted["rate"], wanted["channels"], name):
            return pcm, name
        pcm.close()
    raise OSError(
        f"gives {given['rate']} Hz, {given['channels']} channels, {given['format_name']}"
        f" where {wanted['rate']} Hz, {wanted['channels']} channels, {' or '.join(FORMATS)} were asked for"
    )


def decode(data: bytes, format_name: str) -> NDArray[np.float32]:
    """Samples of one of `FORMATS`, full scale +-1, shape (n,)."""
    if format_name == "S16_LE":
        return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(2**15)
    if format_name == "S32_LE":
        return np.frombuffer(data, "<i4").astype(np.float32) / np.float32(2**31)
    # Three bytes each: they become the upper ones of four.
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
