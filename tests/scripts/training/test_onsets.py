"""Where sounds begin in a recording, and whether anything begins there at all."""

import numpy as np
from training.onsets import find_onsets, nearest_onset, rise_db

RATE_HZ = 12_000


def noise_with_clicks(*clicks: int, level: float = 0.5) -> np.ndarray:
    """Two seconds of faint noise, with 10 ms bursts at these samples."""
    rng = np.random.default_rng(5)
    sound = rng.normal(0.0, 0.005, 2 * RATE_HZ)
    for click in clicks:
        sound[click : click + 120] += level * rng.normal(size=120) * np.exp(-np.arange(120) / 40.0)
    return sound.astype(np.float32)


def test_clicks_are_found_where_they_are_and_nothing_else_but_the_beginning_of_the_file():
    onsets = find_onsets(noise_with_clicks(8_000, 16_000), RATE_HZ)
    np.testing.assert_allclose(onsets, [0, 8_000, 16_000], atol=24)


def test_a_tag_moves_to_the_rise_next_to_it():
    assert abs(nearest_onset(noise_with_clicks(8_000), RATE_HZ, 8_300, 480) - 8_000) < 24


def test_a_click_rises_over_what_precedes_it_and_noise_does_not():
    sound = noise_with_clicks(8_000)
    assert rise_db(sound, RATE_HZ, 8_000) > 20.0
    assert abs(rise_db(sound, RATE_HZ, 14_000)) < 3.0


def test_what_begins_with_the_file_counts_as_a_rise():
    assert rise_db(noise_with_clicks(0), RATE_HZ, 0) == float("inf")
