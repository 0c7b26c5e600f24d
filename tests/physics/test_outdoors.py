"""What reaches an array: when, from where, and how loud."""

import numpy as np
import pytest

from appliance.dsp.arrival import first_arrival
from appliance.model.air import Air
from appliance.physics.blasts import ONSET_SAMPLES, friedlander
from appliance.physics.outdoors import (
    LEAD_SAMPLES,
    DiffuseTail,
    Listener,
    SoundPath,
    apply_distance,
    convolve,
    impulse_response,
    turbulence_delay_s,
)

RATE_HZ = 48_000.0
AIR = Air(15.0)  # sound goes 340.3 m/s
ONE_EAR = Listener(np.zeros((1, 3)), RATE_HZ)
EAST = (1.0, 0.0, 0.0)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def delay_samples(a: np.ndarray, b: np.ndarray) -> float:
    """By how many samples `b` is later than `a`, from the phase of their spectra below a quarter of the rate."""
    n = 2 * len(a)
    cross = np.fft.rfft(b, n) * np.conj(np.fft.rfft(a, n))
    bins = np.arange(4, n // 8)
    phase = np.unwrap(np.angle(cross[bins]))
    return float(-np.polyfit(2.0 * np.pi * bins / n, phase, 1, w=np.abs(cross[bins]))[0])


def test_a_path_delays_by_a_fraction_of_a_sample() -> None:
    on_time, late = (
        impulse_response([SoundPath(50.0, delay_s, EAST)], (), ONE_EAR, AIR, rng()).samples[0, :1_000]
        for delay_s in (0.0, 7.3 / RATE_HZ)
    )
    assert delay_samples(on_time, late) == pytest.approx(7.3, abs=0.01)


def test_the_microphone_nearer_to_the_source_hears_first() -> None:
    listener = Listener(np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]]), RATE_HZ)
    centre, east = impulse_response([SoundPath(50.0, 0.0, EAST)], (), listener, AIR, rng()).samples
    # 0.1 m at 340.3 m/s is 14.1 samples of 48 kHz.
    assert delay_samples(centre, east) == pytest.approx(-0.1 / 340.27 * RATE_HZ, abs=0.02)


def test_twice_the_distance_is_6_db_less_before_the_air_takes_its_share() -> None:
    near, far = (
        np.abs(np.fft.rfft(impulse_response([SoundPath(d, 0.0, EAST)], (), ONE_EAR, AIR, rng()).samples[0], 4_800))[
            :1_000
        ]
        for d in (100.0, 200.0)
    )
    loss_db = 20.0 * np.log10(near / far)
    assert loss_db[10] == pytest.approx(6.02, abs=0.1)  # 100 Hz
    # At 4 kHz, 15 degrees and 60 % another 100 m of air take 3.1 dB (ISO 9613-1).
    assert loss_db[400] == pytest.approx(6.02 + 3.1, abs=0.2)


def test_an_echo_comes_when_and_as_weak_as_its_path_says() -> None:
    echo = SoundPath(134.0, 0.1, (-1.0, 0.0, 0.0), gain=0.5)
    heard = impulse_response([SoundPath(100.0, 0.0, EAST), echo], (), ONE_EAR, AIR, rng()).samples[0]
    first, second = heard[:2_000], heard[4_800:6_800]
    assert abs(int(np.argmax(second)) - int(np.argmax(first))) <= 2
    # Summed over time: 0 Hz, where the air takes nothing.
    assert np.sum(second) / np.sum(first) == pytest.approx(0.5 * 100.0 / 134.0, rel=0.01)


def test_ground_adds_a_second_ray_with_the_delay_of_the_geometry() -> None:
    # Heights 2 and 10 m, 100 m apart: the reflected ray is 0.398 m longer, 1.17 ms: first cancelling at 427 Hz.
    path = SoundPath(float(np.hypot(100.0, 8.0)), 0.0, EAST, heights_m=(2.0, 10.0))
    spectrum = np.abs(np.fft.rfft(impulse_response([path], (), ONE_EAR, AIR, rng()).samples[0], 48_000))
    notch_hz = 100 + int(np.argmin(spectrum[100:700]))
    assert notch_hz == pytest.approx(427, abs=15)


def test_the_tail_falls_by_60_db_in_its_decay_time() -> None:
    tail = DiffuseTail(1.0, 1.2)
    heard = impulse_response([SoundPath(100.0, 0.0, EAST)], [tail], ONE_EAR, AIR, rng()).samples[0]
    early, late = (np.sum(heard[int(t * RATE_HZ) : int((t + 0.1) * RATE_HZ)] ** 2) for t in (0.1, 0.7))
    assert 10.0 * np.log10(early / late) == pytest.approx(30.0, abs=1.5)


def test_a_blast_through_a_street_keeps_its_onset_and_its_level() -> None:
    blast = friedlander(2_000.0, 0.4e-3, 16_000.0).pressure_pa
    heard = [apply_distance(blast, 16_000.0, 100.0, AIR, rng(seed)) for seed in range(20)]
    onsets = [int(np.argmax(np.abs(h) > 0.3 * np.abs(h[:32]).max())) for h in heard]
    assert all(ONSET_SAMPLES - 1 <= onset <= ONSET_SAMPLES + 12 for onset in onsets)
    # 160 dB at 1 m are 120 dB at 100 m in free field; edges and air take from that, ground and turbulence may add.
    levels = [20.0 * np.log10(np.abs(h).max() / 20e-6) for h in heard]
    assert 85.0 < min(levels) < max(levels) < 127.0


def test_turbulence_scatters_arrivals_with_the_root_of_the_range() -> None:
    generator = rng()
    scatter_s = np.std([turbulence_delay_s(400.0, generator) for _ in range(2_000)])
    assert scatter_s == pytest.approx(0.232e-3, rel=0.05)


def test_sound_through_a_response_starts_at_its_lead() -> None:
    response = impulse_response([SoundPath(1.0, 0.0, EAST)], (), ONE_EAR, Air(), rng())
    heard = convolve(np.array([1.0, 0.0, 0.0]), response)[0]
    assert int(np.argmax(np.abs(heard))) == LEAD_SAMPLES


@pytest.mark.parametrize("distance_m", [50.0, 400.0])
def test_the_air_delays_no_front(distance_m: float) -> None:
    rate_hz = 48_000.0
    listener = Listener(np.zeros((1, 3)), rate_hz)
    path = SoundPath(distance_m, 0.0, (0.0, 1.0, 0.0))
    response = impulse_response([path], (), listener, Air(18.0), np.random.default_rng(0))
    blast = convolve(friedlander(1.0, 0.5e-3, rate_hz).pressure_pa, response)[0]
    sound = np.concatenate([np.zeros(2_400), blast / np.abs(blast).max(), np.zeros(200)])
    expected = 2_400 + LEAD_SAMPLES + ONSET_SAMPLES

    front = first_arrival(sound + 1e-3 * np.random.default_rng(1).standard_normal(sound.size), rate_hz, expected)

    assert (front.sample - expected) / rate_hz == pytest.approx(0.0, abs=8e-6)
