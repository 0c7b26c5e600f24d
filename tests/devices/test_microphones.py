"""AlsaMicrophones on the real ALSA library: a device that plays a file, and one that paces and fails like hardware."""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from appliance.devices.alsa import decode
from appliance.devices.microphones import AlsaMicrophones, ArraySettings
from appliance.errors import DeviceError
from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.timing.utc import UtcMapping

RATE_HZ = 16_000
DRIFT_PPM = 40.0
MONOTONIC = UtcMapping(offset_ns=0, sigma_ns=0)


def array_of(n: int) -> ArrayGeometry:
    return ArrayGeometry(tuple((0.05 * i, 0.0, 0.0) for i in range(n)))


def blocks(microphones: AlsaMicrophones, n: int) -> list[AudioBlock]:
    got = [microphones.read(5.0) for _ in range(n)]
    assert all(got)
    return [block for block in got if block]


class FileArray:
    """Six channels at 16 kHz whose samples are known, as fast as they are read."""

    def __init__(self, folder: Path) -> None:
        self.samples = np.random.default_rng(5).integers(-32_768, 32_768, (RATE_HZ, 6)).astype("<i2")
        self.file = folder / "six.raw"
        self.file.write_bytes(self.samples.tobytes())
        self.config = f'pcm.six {{ type file slave.pcm "null" file "/dev/null" infile "{self.file}" format "raw" }}'


@pytest.fixture
def file_array(tmp_path: Path, alsa: Callable[[str], None]) -> FileArray:
    array = FileArray(tmp_path)
    alsa(array.config)
    return array


@pytest.mark.parametrize("channels", [(), (1, 2, 3, 4), (5, 0)])
def test_samples_are_those_of_the_device_channel_by_channel(file_array: FileArray, channels: tuple[int, ...]) -> None:
    settings = ArraySettings("six", array_of(len(channels) or 6), RATE_HZ, channels, n_device_channels=6)
    microphones = AlsaMicrophones(settings, lambda: MONOTONIC)
    heard = np.concatenate([block.samples for block in blocks(microphones, 20)], axis=1)
    microphones.close()
    wanted = file_array.samples[: heard.shape[1], list(channels or range(6))].T
    assert heard.dtype == np.float32
    assert heard.shape[1] >= 20 * 300
    np.testing.assert_array_equal(heard * 32_768, wanted)


def test_times_of_a_device_without_a_pace_are_not_trusted(file_array: FileArray) -> None:
    microphones = AlsaMicrophones(ArraySettings("six", array_of(6), RATE_HZ), lambda: MONOTONIC)
    sigmas_ns = [block.sigma_ns for block in blocks(microphones, 30)]
    microphones.close()
    assert min(sigmas_ns) > 5_000_000


@pytest.mark.usefixtures("file_array")
def test_a_device_that_is_not_there_is_named_with_what_to_do() -> None:
    microphones = AlsaMicrophones(ArraySettings("nowhere", array_of(1), RATE_HZ), lambda: MONOTONIC)
    with pytest.raises(DeviceError, match=r"^microphones nowhere: can't be opened .*; plug the array in"):
        microphones.read(1.0)
    microphones.close()


def test_channels_that_the_device_can_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="channels"):
        ArraySettings("six", array_of(2), RATE_HZ, (0, 6), n_device_channels=6)
    with pytest.raises(ValueError, match="1 channels for 2 microphones"):
        ArraySettings("six", array_of(2), RATE_HZ, (0,))


class PacedArray:
    """Two channels at 16 kHz, 40 ppm fast; every sample tells its number, counted since `epoch_ns`."""

    def __init__(self, plugin: Path, folder: Path, bits: int = 16) -> None:
        self.fault_file = folder / "fault"
        self.epoch_ns = time.monotonic_ns() - 10_000_000_000
        self.config = (
            f'pcm_type.paced {{ lib "{plugin}" }}\n'
            f"pcm.array {{ type paced channels 2 rate {RATE_HZ} bits {bits} ppm {DRIFT_PPM} epoch_ns {self.epoch_ns}"
            f' fault "{self.fault_file}" }}'
        )

    def fail(self, word: str) -> None:
        draft = self.fault_file.with_suffix(".draft")
        draft.write_text(word, "ascii")
        draft.rename(self.fault_file)

    def mend(self) -> None:
        self.fault_file.unlink()

    @staticmethod
    def number_of(block: AudioBlock) -> int:
        low, high = (round(float(channel[0]) * 32_768) for channel in block.samples)
        return high * 32_768 + low

    def time_of(self, block: AudioBlock) -> int:
        """True CLOCK_MONOTONIC of the block's first sample."""
        return self.epoch_ns + round(self.number_of(block) * 1e9 / (RATE_HZ * (1 + DRIFT_PPM * 1e-6)))


@pytest.fixture
def array(paced_plugin: Path, tmp_path: Path, alsa: Callable[[str], None]) -> PacedArray:
    device = PacedArray(paced_plugin, tmp_path)
    alsa(device.config)
    return device


@pytest.fixture
def microphones(array: PacedArray) -> Iterator[AlsaMicrophones]:
    source = AlsaMicrophones(ArraySettings("array", array_of(2), RATE_HZ), lambda: MONOTONIC)
    yield source
    source.close()


def test_blocks_follow_each_other_and_know_their_time(array: PacedArray, microphones: AlsaMicrophones) -> None:
    heard = blocks(microphones, 60)
    assert all(block.first_sample == end_of(earlier) for earlier, block in pairwise(heard))
    assert len({array.number_of(b) - b.first_sample for b in heard}) == 1
    for block in heard[30:]:
        assert abs(block.start_ns - array.time_of(block)) < min(2_000_000, 3 * block.sigma_ns)


def test_an_array_that_gives_32_bits_is_heard_as_well(
    paced_plugin: Path, tmp_path: Path, alsa: Callable[[str], None]
) -> None:
    device = PacedArray(paced_plugin, tmp_path, bits=32)
    alsa(device.config)
    source = AlsaMicrophones(ArraySettings("array", array_of(2), RATE_HZ), lambda: MONOTONIC)
    heard = blocks(source, 20)
    source.close()
    assert len({device.number_of(b) - b.first_sample for b in heard}) == 1, "every sample is the one it should be"


@pytest.mark.parametrize(("name", "n_bytes"), [("S16_LE", 2), ("S24_3LE", 3), ("S32_LE", 4)])
def test_samples_of_each_format_have_the_same_scale(name: str, n_bytes: int) -> None:
    values = [-1.0, -0.5, 0.0, 0.25, 32_767 / 32_768]
    whole = [round(value * 2 ** (8 * n_bytes - 1)) for value in values]
    data = b"".join(number.to_bytes(n_bytes, "little", signed=True) for number in whole)
    assert decode(data, name).tolist() == values


def test_utc_and_its_error_come_from_the_mapping(array: PacedArray) -> None:
    offset_ns = 1_783_134_720_000_000_000
    mapping = UtcMapping(offset_ns, sigma_ns=1_000_000_000)
    source = AlsaMicrophones(ArraySettings("array", array_of(2), RATE_HZ), lambda: mapping)
    block = blocks(source, 1)[0]
    source.close()
    assert abs(block.start_ns - offset_ns - array.time_of(block)) < 50_000_000
    assert block.sigma_ns >= 1_000_000_000


def test_an_overrun_is_counted_and_the_samples_lost_are_skipped(
    array: PacedArray, microphones: AlsaMicrophones
) -> None:
    before = blocks(microphones, 120)[-1]
    assert before.sigma_ns < 5_000_000
    array.fail("overrun")
    after = blocks(microphones, 60)
    assert microphones.n_overruns >= 1
    lost = array.number_of(after[-1]) - array.number_of(before)
    assert after[-1].first_sample - before.first_sample == pytest.approx(lost, abs=RATE_HZ // 1_000)
    assert abs(after[-1].start_ns - array.time_of(after[-1])) < 2_000_000
    # What is known of the time begins anew, and says so.
    first = next(block for earlier, block in pairwise([before, *after]) if block.first_sample != end_of(earlier))
    assert first.sigma_ns > 5_000_000


def end_of(block: AudioBlock) -> int:
    return block.first_sample + block.n_samples


def test_a_reader_that_was_held_up_gets_the_right_times(array: PacedArray, microphones: AlsaMicrophones) -> None:
    blocks(microphones, 20)
    time.sleep(0.3)
    for block in blocks(microphones, 10):
        assert abs(block.start_ns - array.time_of(block)) < 5_000_000


def test_an_array_unplugged_is_an_error_and_plugged_in_again_is_found(
    array: PacedArray, microphones: AlsaMicrophones
) -> None:
    before = blocks(microphones, 10)[-1]
    array.fail("unplug")
    with pytest.raises(DeviceError, match="No such device"):
        blocks(microphones, 60)
    with pytest.raises(DeviceError, match="No such device"):
        microphones.read(0.1)
    array.mend()
    after = heard_again(microphones)
    missed = array.number_of(after) - array.number_of(before)
    assert after.first_sample - before.first_sample == pytest.approx(missed, abs=RATE_HZ // 100)


def heard_again(microphones: AlsaMicrophones) -> AudioBlock:
    for _ in range(40):
        try:
            block = microphones.read(0.5)
        except DeviceError:
            continue
        if block is not None:
            return block
    pytest.fail("the array was not found again")


def test_a_stalled_array_never_holds_the_reader_and_is_opened_anew(
    array: PacedArray, microphones: AlsaMicrophones
) -> None:
    blocks(microphones, 3)
    array.fail("stall")
    started_s = time.monotonic()
    while microphones.read(0.2) is not None:
        pass
    assert time.monotonic() - started_s < 3.0
    with pytest.raises(DeviceError, match="no sound for 3 s"):
        microphones.read(30.0)
    assert time.monotonic() - started_s < 6.0
    array.mend()
    heard_again(microphones)


def test_a_device_that_wakes_for_nothing_costs_no_time(array: PacedArray, microphones: AlsaMicrophones) -> None:
    blocks(microphones, 3)
    array.fail("babble")
    while microphones.read(0.2) is not None:
        pass
    started_s = time.process_time()
    assert microphones.read(1.0) is None
    assert time.process_time() - started_s < 0.1


def test_close_ends_a_read_that_waits(
    array: PacedArray, microphones: AlsaMicrophones, wait_until: Callable[..., None]
) -> None:
    blocks(microphones, 3)
    array.fail("stall")
    while microphones.read(0.1) is not None:
        pass
    reader = threading.Thread(target=microphones.read, args=(60.0,))
    reader.start()
    wait_until(microphones._using.locked, "the reader to read")
    started_s = time.monotonic()
    microphones.close()
    reader.join()
    assert time.monotonic() - started_s < 1.0


def test_a_device_with_other_channels_is_refused(array: PacedArray) -> None:
    source = AlsaMicrophones(ArraySettings("array", array_of(4), RATE_HZ), lambda: MONOTONIC)
    with pytest.raises(DeviceError, match="microphones array: gives 16000 Hz, 2 channels"):
        source.read(1.0)
    source.close()
