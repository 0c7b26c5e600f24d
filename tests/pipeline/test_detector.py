"""What the detector makes of simulated sound."""

import dataclasses

import numpy as np
import pytest

from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.instants import UtcNs
from appliance.model.picks import Pick
from appliance.pipeline.detector import Detector

START_NS = 1_783_134_720_000_000_000
MONO = ArrayGeometry(((0.0, 0.0, 0.0),))


def blast(times_s: np.ndarray, onset_s: float, amplitude: float) -> np.ndarray:
    """A Friedlander pulse of 2 ms positive phase."""
    t = np.maximum(times_s - onset_s, 0.0)
    return amplitude * (1.0 - t / 0.002) * np.exp(-t / 0.002) * (times_s >= onset_s)


def street(rate_hz: float, duration_s: float, onsets_s: list[float], *, amplitude: float = 0.3, noise: float = 0.003):
    """Noise with blasts: float32, shape (1, n)."""
    rng = np.random.default_rng(11)
    times_s = np.arange(round(rate_hz * duration_s)) / rate_hz
    sound = noise * rng.standard_normal(times_s.size)
    for onset_s in onsets_s:
        sound += blast(times_s, onset_s, amplitude)
    return sound.astype(np.float32)[np.newaxis]


def hear(samples: np.ndarray, rate_hz: float, block_samples: int, detector: Detector | None = None) -> list[Pick]:
    """All picks of a recording that comes in blocks."""
    detector = detector or Detector("n1", ArrayGeometry(((0.0, 0.0, 0.0),) * samples.shape[0]))
    picks: list[Pick] = []
    for first in range(0, samples.shape[1], block_samples):
        start_ns = UtcNs(START_NS + round(first * 1e9 / rate_hz))
        block = AudioBlock(samples[:, first : first + block_samples], first, rate_hz, start_ns, 1_000)
        picks += detector.feed(block).picks
    picks += detector.flush().picks
    return picks


def onset_times_s(picks: list[Pick]) -> list[float]:
    return [(pick.time_ns - START_NS) / 1e9 for pick in picks]


def assert_same_picks(picks: list[Pick], expected: list[Pick]) -> None:
    """Equal, but for the nanosecond to which the start of a block is rounded."""
    assert len(picks) == len(expected)
    for pick, other in zip(picks, expected, strict=True):
        assert abs(pick.time_ns - other.time_ns) <= 2
        assert dataclasses.replace(pick, id=other.id, time_ns=other.time_ns) == other


@pytest.mark.parametrize("rate_hz", [8_000.0, 12_000.0, 16_000.0, 22_050.0, 44_100.0, 48_000.0, 96_000.0])
def test_blasts_are_heard_at_their_time_at_any_rate(rate_hz):
    picks = hear(street(rate_hz, 3.0, [1.2, 2.05]), rate_hz, round(rate_hz / 10))

    assert onset_times_s(picks) == pytest.approx([1.2, 2.05], abs=0.5e-3)


def test_picks_do_not_depend_on_the_length_of_blocks():
    sound = street(48_000.0, 3.0, [0.7, 1.2, 1.25, 2.05], amplitude=0.05)

    whole = hear(sound, 48_000.0, sound.shape[1])

    assert len(whole) >= 4
    assert_same_picks(hear(sound, 48_000.0, 480), whole)
    assert_same_picks(hear(sound, 48_000.0, 3_331), whole)
