"""The always-on part."""

import numpy as np
import pytest

from appliance.dsp.onsets import Onset
from appliance.pipeline.gate import Gate, GateSettings, combine_channels

RATE_HZ = 16_000.0


def noise(duration_s: float, *, n_channels: int = 1, level: float = 0.003, seed: int = 1) -> np.ndarray:
    shape = (n_channels, round(duration_s * RATE_HZ))
    return (level * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def add_blast(sound: np.ndarray, at_s: float, amplitude: float, channels: slice = slice(None)) -> None:
    first = round(at_s * RATE_HZ)
    t = np.arange(round(0.02 * RATE_HZ)) / RATE_HZ
    sound[channels, first : first + t.size] += (amplitude * (1 - t / 0.002) * np.exp(-t / 0.002)).astype(np.float32)


def onsets_of(sound: np.ndarray, length: int = 1_600) -> list[Onset]:
    """All onsets of sound that comes in pieces."""
    gate = Gate(sound.shape[0], RATE_HZ, GateSettings())
    onsets = [onset for k in range(0, sound.shape[1], length) for onset in gate.feed(sound[:, k : k + length])]
    return onsets + gate.finish()


def onset_times_s(sound: np.ndarray) -> list[float]:
    """Times of the accepted onsets."""
    return [onset.cell * 0.001 for onset in onsets_of(sound) if onset.is_accepted]


def test_ten_minutes_of_steady_noise_bring_nothing():
    assert onset_times_s(noise(600.0)) == []


def test_a_blast_is_found_within_its_cell():
    sound = noise(3.0)
    add_blast(sound, 2.0, 0.05)

    assert onset_times_s(sound) == pytest.approx([2.0], abs=0.0025)


def test_a_burst_does_not_raise_its_own_threshold():
    sound = noise(8.0)
    times_s = [3.0 + 0.05 * k for k in range(60)]
    for time_s in times_s:
        add_blast(sound, time_s, 0.02)

    found = [onset.cell * 0.001 for onset in onsets_of(sound) if not onset.refusal]

    assert all(min(abs(time_s - other) for other in found) < 0.004 for time_s in times_s)


def test_noise_that_grew_for_good_is_learnt_even_while_it_trips():
    sound = np.concatenate([noise(5.0), noise(60.0, level=0.1, seed=2)], axis=1)

    assert [time_s for time_s in onset_times_s(sound) if time_s > 40.0] == []


def test_a_blast_is_found_again_after_noise_that_grew():
    sound = np.concatenate([noise(5.0), noise(60.0, level=0.1, seed=2)], axis=1)
    add_blast(sound, 60.0, 0.9)

    assert onset_times_s(sound)[-1] == pytest.approx(60.0, abs=0.0025)


@pytest.mark.parametrize("fault", ["dead", "buzzes", "is knocked"])
def test_one_broken_channel_of_several_neither_deafens_nor_trips(fault):
    sound = noise(8.0, n_channels=4)
    add_blast(sound, 5.0, 0.05)
    if fault == "dead":
        sound[0] = 0.0
    if fault == "buzzes":
        sound[0] += 0.3 * np.sign(np.sin(2 * np.pi * 50 * np.arange(sound.shape[1]) / RATE_HZ)).astype(np.float32)
    if fault == "is knocked":
        add_blast(sound, 3.0, 0.9, slice(0, 1))

    assert onset_times_s(sound) == pytest.approx([5.0], abs=0.003)


def test_dead_channels_are_given_up_for_others():
    sound = noise(8.0, n_channels=8)
    add_blast(sound, 6.0, 0.05)
    sound[[0, 2, 5]] = 0.0  # those that are listened to at first

    assert onset_times_s(sound) == pytest.approx([6.0], abs=0.003)


def test_a_channel_that_dies_in_service_is_given_up_for_another():
    sound = noise(12.0, n_channels=8)
    add_blast(sound, 10.0, 0.05)
    sound[[0, 2, 5], round(6.0 * RATE_HZ) :] = 0.0

    assert onset_times_s(sound)[-1] == pytest.approx(10.0, abs=0.003)


def test_sound_after_digital_silence_is_heard_but_lost_sound_that_comes_back_is_not():
    lost = noise(6.0)
    lost[:, round(3.0 * RATE_HZ) : round(3.5 * RATE_HZ)] = 0.0
    silence = np.zeros((1, round(3.0 * RATE_HZ)), np.float32)
    add_blast(silence, 2.0, 0.05)

    assert onset_times_s(lost) == []
    assert onset_times_s(silence) == pytest.approx([2.0], abs=0.0025)


def test_an_onset_after_lost_sound_is_measured_against_the_noise_before():
    sound = noise(4.0)
    add_blast(sound, 3.1, 0.05)
    lost = sound.copy()
    lost[:, round(2.5 * RATE_HZ) : round(3.05 * RATE_HZ)] = 0.0

    assert onsets_of(lost)[0].prominence_db == pytest.approx(onsets_of(sound)[0].prominence_db, abs=3.0)


def test_an_onset_in_the_first_sound_after_a_loss_stands_out_no_more_than_without_it():
    sound = noise(4.0)
    add_blast(sound, 3.1, 0.05)
    lost = sound.copy()
    lost[:, round(2.5 * RATE_HZ) : round(3.09 * RATE_HZ)] = 0.0

    assert onsets_of(lost)[0].prominence_db == pytest.approx(onsets_of(sound)[0].prominence_db, abs=3.0)


def test_pieces_of_any_length_bring_the_same_onsets():
    sound = noise(6.0, n_channels=3)
    for time_s in (1.0, 2.5, 2.56, 4.1):
        add_blast(sound, time_s, 0.03)
    whole = onsets_of(sound, sound.shape[1])

    assert len(whole) >= 4
    for length in (160, 1_601, 7_000):
        assert onsets_of(sound, length) == whole


def test_channels_are_combined_by_the_mean_of_the_middle():
    energies = np.array([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0], [900.0, 0.0]])

    np.testing.assert_allclose(combine_channels(energies), [2.5, 5.0])


def test_crickets_that_begin_to_chirp_are_learnt_and_a_blast_still_comes_through():
    sound = noise(60.0)
    for k in range(58 * 8):
        add_blast(sound, 1.0 + k / 8.0, 0.012)
    add_blast(sound, 50.06, 0.3)

    late_s = [time_s for time_s in onset_times_s(sound) if time_s > 30.0]

    assert any(abs(time_s - 50.06) < 0.003 for time_s in late_s)
    assert len(late_s) < 5
