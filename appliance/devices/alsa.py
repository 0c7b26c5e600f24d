"""One ALSA capture device; the only file that touches pyalsaaudio."""

import select

from appliance.devices.clock import monotonic_now_ns
from appliance.model.instants import NS_PER_MS, NS_PER_S

OVERRUN = -32
"""What `read` gives instead of a length after the driver had to drop sound (EPIPE)."""
_STRANGE_STAMP_NS = NS_PER_S
"""Some plugins stamp with another clock, and a failed query leaves anything: such a stamp lies far from now."""


class CapturePcm:
    """A capture device that never waits: 16 bit, interleaved. Used from one thread. Errors of ALSA come as OSError."""

    def __init__(self, device: str, *, rate_hz: int, n_channels: int, period_samples: int, n_periods: int) -> None:
        """Open the device with exactly this rate and these channels. Raises OSError, its text fit for people."""
        try:
            # Here, because a node without a microphone need not have ALSA.
            import alsaaudio
        except ImportError as error:
            raise OSError(f"pyalsaaudio can't be loaded ({error})") from error
        self._alsa_error = alsaaudio.ALSAAudioError
        self._running = alsaaudio.PCM_STATE_RUNNING
        try:
            self._pcm = alsaaudio.PCM(
                type=alsaaudio.PCM_CAPTURE,
                mode=alsaaudio.PCM_NONBLOCK,
                device=device,
                rate=rate_hz,
                channels=n_channels,
                format=alsaaudio.PCM_FORMAT_S16_LE,
                periodsize=period_samples,
                periods=n_periods,
            )
            self._require(rate_hz, n_channels)
            self._pcm.set_tstamp_mode(alsaaudio.PCM_TSTAMP_ENABLE)
            self._pcm.set_tstamp_type(alsaaudio.PCM_TSTAMP_TYPE_MONOTONIC)
        except alsaaudio.ALSAAudioError as error:
            raise OSError(f"can't be opened ({error})") from error

    def _require(self, rate_hz: int, n_channels: int) -> None:
        given = self._pcm.info()
        self._buffer_samples = int(given["buffer_size"])
        if (given["rate"], given["channels"], given["format_name"]) != (rate_hz, n_channels, "S16_LE"):
            self._pcm.close()
            raise OSError(
                f"gives {given['rate']} Hz, {given['channels']} channels, {given['format_name']}"
                f" where {rate_hz} Hz, {n_channels} channels, S16_LE were asked for"
            )

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
