"""The process that hears: sound in, picks, levels and rejections out to mesh. It opens no network socket."""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance import __version__
from appliance.classify import load_classifier
from appliance.config import Settings
from appliance.config.folder import NodeFolder
from appliance.daemon.ears import Ears, choose_ears
from appliance.devices.clock import read_utc_mapping, utc_now_ns
from appliance.devices.disabled import DisabledMicrophones
from appliance.devices.microphones import AlsaMicrophones
from appliance.dsp.spectrum import third_octaves_dbfs
from appliance.errors import DeviceError, ModelError
from appliance.mesh.listener import ListenClient
from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.classes import Classifier
from appliance.model.health import HealthCheck, HealthState
from appliance.model.instants import NS_PER_US, UtcNs
from appliance.model.picks import PickId
from appliance.pipeline.channels import ChannelFault, ChannelFaultKind, ChannelWatch
from appliance.pipeline.clips import ClipKeeper
from appliance.pipeline.detector import Detector, DetectorOutput
from appliance.ports import AudioSource
from appliance.scene.stream import StreamSource
from appliance.timing.utc import UNKNOWN_SIGMA_NS, UtcMapping

log = logging.getLogger(__name__)

READ_TIMEOUT_S = 0.5
"""How long one read may wait: the process answers a stop, and the watchdog hears of silence, within this."""
SILENT_AFTER_S = 2.0
"""A device that gives nothing for so long has stopped; shorter gaps are a busy machine."""
LEVELS_INTERVAL_S = 0.2
"""Five times a second is lively enough for a meter."""
BANDS_INTERVAL_S = 1.0
BANDS_OVER_S = 0.5
"""Half of the sound goes into the bands, in 30 numbers a second: nobody can make words of that."""
HEALTH_INTERVAL_S = 5.0
RETRY_PAUSE_S = 0.5
GAP_SHOWN_S = 60.0
"""Lost samples count as a fault for so long: they may have held a shot, and show that the machine is too busy."""


@dataclass(slots=True)
class _Meter:
    """Levels of several blocks as one: the loudest rms and peak, and all clipped samples."""

    channels: list[tuple[float, float, int]] = field(default_factory=list)

    def add(self, levels: Sequence[tuple[float, float, int]]) -> None:
        if len(self.channels) != len(levels):
            self.channels = list(levels)
            return
        pairs = zip(self.channels, levels, strict=True)
        self.channels = [(max(a[0], b[0]), max(a[1], b[1]), a[2] + b[2]) for a, b in pairs]

    def take(self) -> list[tuple[float, float, int]]:
        taken, self.channels = self.channels, []
        return taken


@dataclass(slots=True)
class _Gaps:
    """How often samples were lost, and when last (monotonic)."""

    n: int = 0
    last_s: float = -math.inf
    end_sample: int | None = None

    def add(self, block: AudioBlock, now_s: float) -> None:
        if self.end_sample is not None and block.first_sample > self.end_sample:
            self.n += 1
            self.last_s = now_s
        self.end_sample = block.first_sample + block.n_samples


CHANNEL_FAULTS = {
    ChannelFaultKind.DEAD: ("hears nothing", "check the microphone and its plug"),
    ChannelFaultKind.INVERTED: ("is inverted", "exchange the two wires of that microphone"),
    ChannelFaultKind.SWAPPED: ("stand in each other's place", "exchange their plugs, or their lines in microphones_m"),
}
"""What is said of a faulty channel, and what to do."""


class Listener:
    """Reads one array and tells mesh what it heard, in the thread that calls `run`."""

    def __init__(self, settings: Settings, folder: NodeFolder, alive: Callable[[], None]) -> None:
        """Put the process together; `alive` is called whenever sound or a known fault shows that the loop runs."""
        self._settings = settings
        self._alive = alive
        self._client = ListenClient(folder.listen_socket, f"earshot {__version__}")
        self._classifier, self._classifier_check = _load_classifier(settings)
        self._folder = folder
        self._ears: Ears | None = None
        self._source: AudioSource | None = None
        self._detector: Detector | None = None
        self._watch: ChannelWatch | None = None
        self._clips = ClipKeeper(settings.ears.kept_s)
        self._meter = _Meter()
        self._gaps = _Gaps()
        self._fault: str | None = None
        self._fault_since_ns = utc_now_ns()
        self._channel_faults: tuple[ChannelFault, ...] = ()
        self._channel_faults_since_ns = utc_now_ns()
        self._heard_s = time.monotonic()
        self._levels_due_s = 0.0
        self._bands_due_s = 0.0
        self._bands_dbfs: list[list[float]] = []
        self._health_due_s = 0.0

    def run(self, stopped: threading.Event) -> None:
        """Hear until `stopped` is set."""
        try:
            while not stopped.is_set():
                self._step(stopped)
        finally:
            if self._source is not None:
                self._source.close()
            self._client.close()

    def _step(self, stopped: threading.Event) -> None:
        try:
            if self._source is None:
                self._ears = _choose(self._settings)
                self._source = make_source(self._settings, self._folder, self._ears, self._utc_mapping)
                self._detector = self._new_detector(self._source.geometry)
                self._watch = ChannelWatch(self._source.geometry)
            block = self._source.read(READ_TIMEOUT_S)
            if block is not None:
                self._heard_s = time.monotonic()
                self._set_fault(None)
                self._hear(block)
            elif time.monotonic() - self._heard_s > SILENT_AFTER_S:
                self._set_fault(f"no sound for {SILENT_AFTER_S:g} s")
        except DeviceError as error:
            self._set_fault(str(error))
            self._look_for_another_array()
            stopped.wait(RETRY_PAUSE_S)
        self._alive()
        self._answer_clip_requests(time.monotonic())
        self._tell_health(time.monotonic())

    def _look_for_another_array(self) -> None:
        """Let go of an array that is gone where another one is to be heard now, such as one just plugged in."""
        if self._source is None:
            return
        try:
            ears = _choose(self._settings)
        except DeviceError:
            return
        if ears is not None and ears.is_found and ears != self._ears:
            self._source.close()
            self._source = None

    def _hear(self, block: AudioBlock) -> None:
        assert self._detector is not None  # noqa: S101 - it was made together with the source of the block
        assert self._watch is not None  # noqa: S101 - so was the watch
        self._watch.feed(block)
        self._gaps.add(block, time.monotonic())
        output = self._detector.feed(block)
        self._hand_over(output)
        self._clips.hear(block, output.picks)
        self._meter.add([(level.rms_dbfs, level.peak_dbfs, level.n_clipped_samples) for level in output.levels])
        now_s = time.monotonic()
        if now_s >= self._levels_due_s:
            self._levels_due_s = now_s + LEVELS_INTERVAL_S
            end_ns = block.start_ns + round(block.n_samples / block.sample_rate_hz * 1e9)
            self._client.send_levels(end_ns, block.sigma_ns, self._meter.take(), self._bands(block, now_s))

    def _bands(self, block: AudioBlock, now_s: float) -> list[list[float]]:
        """Each channel's levels in third octaves: all of the sound that calibration sees."""
        if now_s >= self._bands_due_s:
            self._bands_due_s = now_s + BANDS_INTERVAL_S
            self._bands_dbfs = third_octaves_dbfs(self._clips.latest(BANDS_OVER_S), block.sample_rate_hz)
        return self._bands_dbfs

    def _hand_over(self, output: DetectorOutput) -> None:
        for pick in output.picks:
            self._client.send_pick(pick)
        for rejection in output.rejections:
            self._client.send_rejection(rejection)

    def _answer_clip_requests(self, now_s: float) -> None:
        for request in self._client.take_clip_requests():
            self._clips.ask(request.request, [PickId(pick) for pick in request.picks])
        answers = self._clips.answers(now_s)
        if answers:
            self._client.send_clips(answers)

    def _new_detector(self, geometry: ArrayGeometry) -> Detector:
        place = self._settings.place
        return Detector(
            self._settings.node.id,
            geometry,
            heading_deg=place.heading_deg,
            heading_sigma_deg=place.heading_sigma_deg,
            sensitivity_dbspl=self._settings.ears.sensitivity_dbspl
            if self._ears is None
            else self._ears.sensitivity_dbspl,
            classifier=self._classifier,
        )

    def _utc_mapping(self) -> UtcMapping:
        """What mesh says of UTC; before it did, the system clock, with an error that keeps picks out of fixes."""
        told = self._client.clock
        if told is not None:
            return told
        sigma_us = self._settings.clock.sigma_us
        return read_utc_mapping(UNKNOWN_SIGMA_NS if sigma_us is None else round(sigma_us * NS_PER_US))

    def _set_fault(self, fault: str | None) -> None:
        """Remember and log a fault once when it begins and once when it ends."""
        if (fault is None) == (self._fault is None):
            return
        if fault is None:
            log.info("the microphones are back")
        else:
            log.error("%s", fault)
        self._fault = fault
        self._fault_since_ns = utc_now_ns()
        self._health_due_s = 0.0

    def _tell_health(self, now_s: float) -> None:
        if now_s < self._health_due_s:
            return
        self._health_due_s = now_s + HEALTH_INTERVAL_S
        self._client.send_health([self._microphones_check(), *self._channels_checks(), self._classifier_check])

    def _channels_checks(self) -> list[HealthCheck]:
        """What is known of the channels: nothing in the first minute, which is no fault of theirs."""
        if self._watch is None or self._fault is not None or not self._watch.has_opinion:
            return []
        if self._watch.faults != self._channel_faults:
            self._channel_faults, self._channel_faults_since_ns = self._watch.faults, utc_now_ns()
        return [channels_check(self._channel_faults, self._channel_faults_since_ns)]

    def _microphones_check(self) -> HealthCheck:
        source = self._source
        if self._fault is not None or source is None:
            return HealthCheck(
                "microphones", HealthState.FAILED, self._fault or "not open yet", None, "", self._fault_since_ns,
                "check that the array is plugged in and that its ALSA name is the one in earshot.toml",
            )  # fmt: skip
        name = self._settings.ears.source if self._ears is None else self._ears.name
        words = f"{name}: {source.geometry.n_channels} microphones at {source.sample_rate_hz / 1_000:g} kHz"
        if self._gaps.n:
            words += f", samples lost {self._gaps.n} times since the start"
        is_losing = time.monotonic() - self._gaps.last_s < GAP_SHOWN_S
        return HealthCheck(
            "microphones",
            HealthState.DEGRADED if is_losing else HealthState.OK,
            words,
            float(self._gaps.n),
            "gaps",
            self._fault_since_ns,
            "check the array's cable and hub, and what else runs on the node" if is_losing else "",
        )


def _choose(settings: Settings) -> Ears | None:
    """The array to open, where sound comes from one. Raises DeviceError and InputError."""
    return choose_ears(settings.ears) if settings.ears.source == "alsa" else None


def make_source(
    settings: Settings, folder: NodeFolder, ears: Ears | None, utc_mapping: Callable[[], UtcMapping]
) -> AudioSource:
    """The source of sound that the settings name; `ears` is the array where it is one."""
    if settings.ears.source == "stream":
        return StreamSource(folder.ears_socket)
    if ears is None:
        return DisabledMicrophones(ArrayGeometry(settings.ears.microphones_m), float(settings.ears.sample_rate_hz))
    return AlsaMicrophones(ears.array, utc_mapping)


def _load_classifier(settings: Settings) -> tuple[Classifier | None, HealthCheck]:
    """The classifier, or none with a check that says so: a node without one still hears and locates."""
    now_ns = utc_now_ns()
    path = settings.ears.classifier
    try:
        classifier = load_classifier(None if path is None else Path(path))
    except ModelError as error:
        log.error("%s", error)  # noqa: TRY400 - the one line says it all
        return None, HealthCheck("classifier", HealthState.FAILED, error.problem, None, "", now_ns, error.remedy)
    return classifier, HealthCheck("classifier", HealthState.OK, "loaded", None, "", now_ns, "")


def channels_check(faults: Sequence[ChannelFault], since_ns: UtcNs) -> HealthCheck:
    """Which channels are faulty and what to do, in words."""
    words = "; ".join(f"{_channel_words(fault.channels)} {CHANNEL_FAULTS[fault.kind][0]}" for fault in faults)
    remedy = "; ".join(dict.fromkeys(CHANNEL_FAULTS[fault.kind][1] for fault in faults))
    n_faulty = len({channel for fault in faults for channel in fault.channels})
    state = HealthState.DEGRADED if faults else HealthState.OK
    return HealthCheck("channels", state, words or "all channels agree", float(n_faulty), "faulty", since_ns, remedy)


def _channel_words(channels: Sequence[int]) -> str:
    """Channels as people count them, from 1."""
    numbers = " and ".join(str(channel + 1) for channel in channels)
    return f"channel {numbers}" if len(channels) == 1 else f"channels {numbers}"
