"""A microphone array through ALSA, one thread reading it, never waiting longer than asked."""

import math
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.devices.alsa import OVERRUN, CapturePcm
from appliance.devices.clock import monotonic_now_ns
from appliance.errors import DeviceError
from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.instants import NS_PER_MS, NS_PER_S
from appliance.timing.sample_clock import SampleClock
from appliance.timing.utc import UtcMapping

PERIOD_S = 0.02
"""Sound comes in blocks of this length."""
N_PERIODS = 32
"""640 ms of sound wait in the driver before any is lost. With 80 ms, a busy machine of two cores lost some in 20 s."""
RETRY_S = 1.0
"""An array that is gone is looked for this often."""
STALL_S = 3.0
"""An open device that gives nothing for so long is opened anew."""


@dataclass(frozen=True, slots=True)
class ArraySettings:
    """How to open one array.

    device:            ALSA name, e.g. hw:CARD=ReSpeaker
    geometry:          microphones, in the order of a block's channels
    channels:          the device's channel of each microphone, counted from 0; empty: the first ones in order
    n_device_channels: how many channels the device gives; 0: as many as there are microphones
    latency_ns:        how much later than the pressure at the microphone a sample is stamped
    """

    device: str
    geometry: ArrayGeometry
    sample_rate_hz: int
    channels: tuple[int, ...] = ()
    n_device_channels: int = 0
    latency_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse channels that the device does not have."""
        if len(self.opened_channels) != self.geometry.n_channels:
            raise ValueError(f"{len(self.channels)} channels for {self.geometry.n_channels} microphones")
        if any(not 0 <= channel < self.n_opened for channel in self.opened_channels):
            raise ValueError(f"channels {self.opened_channels} are not all below {self.n_opened}")

    @property
    def n_opened(self) -> int:
        """How many channels are read."""
        return self.n_device_channels or max(self.opened_channels) + 1

    @property
    def opened_channels(self) -> tuple[int, ...]:
        """The device's channel of each microphone."""
        return self.channels or tuple(range(self.geometry.n_channels))


class AlsaMicrophones:
    """An AudioSource on an ALSA capture device. The first `read` opens it, and again after it was gone."""

    def __init__(self, settings: ArraySettings, utc_mapping: Callable[[], UtcMapping]) -> None:
        """Take the settings and what tells the present relation of CLOCK_MONOTONIC to UTC."""
        self._settings = settings
        self._utc_mapping = utc_mapping
        self._clock = SampleClock(settings.sample_rate_hz)
        self._pcm: CapturePcm | None = None
        self._period_samples = round(settings.sample_rate_hz * PERIOD_S)
        self._next_sample = 0
        self._is_continuous = True
        self._gone: str | None = None
        self._retry_ns = 0
        self._silent_after_ns = 0
        self._using = threading.Lock()
        self._closed = threading.Event()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.n_overruns = 0

    @property
    def geometry(self) -> ArrayGeometry:
        """Microphone positions; the number of channels of every block."""
        return self._settings.geometry

    @property
    def sample_rate_hz(self) -> float:
        """Nominal rate of the converter."""
        return float(self._settings.sample_rate_hz)

    @property
    def drift_ppm(self) -> float | None:
        """How much the converter runs fast; None until that is known."""
        return self._clock.drift_ppm

    def read(self, timeout_s: float) -> AudioBlock | None:
        """The next block, or None when none came within `timeout_s` or the source was closed.

        Samples missed in an overrun or while the device was gone are counted in `first_sample`, by the clock.
        Raises DeviceError while the device can't be used; a later `read` tries again.
        """
        deadline_ns = monotonic_now_ns() + round(timeout_s * NS_PER_S)
        n_empty = 0
        with self._using:
            while not self._closed.is_set():
                if self._pcm is None:
                    self._reopen(deadline_ns)
                    continue
                block = self._read_block(self._pcm)
                left_ns = deadline_ns - monotonic_now_ns()
                if block is not None or left_ns <= 0:
                    return block
                n_empty += 1
                self._wait(self._pcm, left_ns, n_empty)
        return None

    def close(self) -> None:
        """Let go of the device; a `read` in another thread ends soon after."""
        if self._closed.is_set():
            return
        self._closed.set()
        os.eventfd_write(self._wake_fd, 1)
        with self._using:
            self._release()
            os.close(self._wake_fd)

    def _reopen(self, deadline_ns: int) -> None:
        """Open the device, not more often than every `RETRY_S`. Raises DeviceError where that fails or isn't due."""
        if self._gone is not None:
            self._pause(min(self._retry_ns, deadline_ns) - monotonic_now_ns())
            if self._closed.is_set():
                return
            if monotonic_now_ns() < self._retry_ns:
                raise self._error(self._gone)
        self._retry_ns = monotonic_now_ns() + round(RETRY_S * NS_PER_S)
        try:
            self._pcm = CapturePcm(
                self._settings.device,
                rate_hz=self._settings.sample_rate_hz,
                n_channels=self._settings.n_opened,
                period_samples=self._period_samples,
                n_periods=N_PERIODS,
            )
        except OSError as error:
            raise self._lost(error) from error
        self._gone = None
        self._expect_sound()

    def _expect_sound(self) -> None:
        self._silent_after_ns = monotonic_now_ns() + round(STALL_S * NS_PER_S)

    def _read_block(self, pcm: CapturePcm) -> AudioBlock | None:
        """What the driver has, at most one period; None where it has nothing yet."""
        try:
            # Less than a period is left to grow: blocks of a few samples would only cost time.
            n, data = pcm.read() if pcm.is_worth_reading(self._period_samples) else (0, b"")
            if n == OVERRUN:
                self.n_overruns += 1
                self._is_continuous = False
                n, data = pcm.read()  # starts the device again
            if n <= 0 and monotonic_now_ns() > self._silent_after_ns:
                raise OSError(f"gave no sound for {STALL_S:g} s")  # noqa: TRY301 - it is lost as one unplugged is
        except OSError as error:
            raise self._lost(error) from error
        if n <= 0:
            return None
        self._expect_sound()
        stamp_ns, n_waiting = pcm.stamp()
        if not self._is_continuous and self._next_sample > 0:
            # The clock says how many samples the converter made meanwhile.
            self._next_sample = max(self._next_sample + 1, self._clock.count_at(stamp_ns) - n_waiting - n)
            self._clock.restart()
        self._is_continuous = True
        first_sample = self._next_sample
        self._next_sample += n
        self._clock.feed(self._next_sample + n_waiting, stamp_ns)
        return self._block(pcm.samples(data), first_sample)

    def _block(self, frames: NDArray[np.float32], first_sample: int) -> AudioBlock:
        samples = np.ascontiguousarray(frames[:, self._settings.opened_channels].T)
        start = self._clock.time_of(first_sample)
        mapping = self._utc_mapping()
        return AudioBlock(
            samples=samples,
            first_sample=first_sample,
            sample_rate_hz=self._clock.rate_hz,
            start_ns=mapping.to_utc(start.time_ns - self._settings.latency_ns),
            sigma_ns=round(math.hypot(start.sigma_ns, mapping.sigma_ns)),
        )

    def _wait(self, pcm: CapturePcm, left_ns: int, n_empty: int) -> None:
        """Wait until there may be sound, the time is up or the source is closed."""
        if n_empty > 1:
            # poll() said that there was sound and there was none: a device that stalls does this.
            self._pause(min(left_ns, round(PERIOD_S / 4 * NS_PER_S)))
            return
        until_ns = min(left_ns, max(0, self._silent_after_ns - monotonic_now_ns()) + NS_PER_MS)
        pcm.wait(until_ns, self._wake_fd)

    def _pause(self, pause_ns: int) -> None:
        """Wait so long, or until closed."""
        self._closed.wait(max(0, pause_ns) / NS_PER_S)

    def _release(self) -> None:
        if self._pcm is not None:
            self._pcm.close()
            self._pcm = None

    def _lost(self, error: OSError) -> DeviceError:
        self._release()
        self._is_continuous = False
        self._gone = str(error)
        return self._error(self._gone)

    def _error(self, problem: str) -> DeviceError:
        remedy = "plug the array in, and make [ears] device, sample_rate_hz and microphones_m fit it (arecord -L)"
        return DeviceError(f"microphones {self._settings.device}", problem, remedy)
