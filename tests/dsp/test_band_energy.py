"""The stream of band energies that the gate works on."""

import numpy as np
import pytest

from appliance.dsp.band_energy import BandEnergyMeter, cell_grid

RATES_HZ = [8_000.0, 11_025.0, 12_000.0, 16_000.0, 22_050.0, 32_000.0, 44_100.0, 48_000.0, 96_000.0]


def tone(frequency_hz: float, rate_hz: float, amplitude: float = 0.1, offset: float = 0.0) -> np.ndarray:
    times_s = np.arange(round(rate_hz)) / rate_hz
    return (offset + amplitude * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.float32)[np.newaxis]


def level_db(sound: np.ndarray, rate_hz: float) -> float:
    """Mean energy of the second half second, dB over full scale squared."""
    energies = BandEnergyMeter(1, rate_hz).feed(sound)[0]
    return 10 * np.log10(energies[energies.size // 2 :].mean() + 1e-20)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_cell_is_about_a_millisecond_at_any_rate(rate_hz):
    assert cell_grid(rate_hz).cell_s == pytest.approx(0.001, rel=0.08)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_sound_in_the_band_keeps_its_level(rate_hz):
    assert level_db(tone(1_000.0, rate_hz), rate_hz) == pytest.approx(10 * np.log10(0.1**2 / 2), abs=1.0)


@pytest.mark.parametrize("frequency_hz", [50.0, 60.0])
def test_hum_is_forty_decibel_down(frequency_hz):
    assert level_db(tone(frequency_hz, 48_000.0), 48_000.0) < 10 * np.log10(0.1**2 / 2) - 40


def test_an_offset_leaves_nothing_not_even_at_the_start():
    energies = BandEnergyMeter(1, 48_000.0).feed(tone(1_000.0, 48_000.0, amplitude=0.0, offset=0.5))

    assert energies.max() < 1e-12


def test_pieces_of_any_length_give_the_same_cells():
    sound = np.random.default_rng(1).standard_normal((3, 30_000)).astype(np.float32)
    whole = BandEnergyMeter(3, 44_100.0).feed(sound)

    meter = BandEnergyMeter(3, 44_100.0)
    pieces = [meter.feed(sound[:, start : start + 317]) for start in range(0, sound.shape[1], 317)]

    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
