"""The latest sound and its time."""

import numpy as np
import pytest

from appliance.model.audio import AudioBlock
from appliance.model.instants import UtcNs
from appliance.pipeline.history import History

RATE_HZ = 8_000.0


def filled(n_blocks: int, n_kept: int = 1_000, length: int = 300) -> History:
    """Two channels that count samples from 5,000 on; the clock drifts by a microsecond a block."""
    history = History(2, n_kept, 5_000)
    for k in range(n_blocks):
        first = 5_000 + k * length
        samples = np.tile(np.arange(first, first + length, dtype=np.float32), (2, 1))
        history.append(AudioBlock(samples, first, RATE_HZ, UtcNs(first * 125_000 + k * 1_000), 10 * k))
    return history


def test_a_window_across_blocks_holds_the_samples_asked_for():
    np.testing.assert_array_equal(filled(4).window(5_250, 5_700)[1], np.arange(5_250, 5_700))


def test_one_channel_alone_is_the_row_of_the_window():
    history = History(2, 1_000, 0)
    for k in range(3):
        samples = np.array([[1.0], [-1.0]], np.float32) * np.arange(100 * k, 100 * k + 100, dtype=np.float32)
        history.append(AudioBlock(samples, 100 * k, RATE_HZ, UtcNs(0), 0))

    np.testing.assert_array_equal(history.of_channel(1, 50, 250), history.window(50, 250)[1])
    assert history.of_channel(1, 900, 950).shape == (0,)


def test_what_is_asked_for_stays_and_what_is_older_goes():
    history = filled(20)

    assert history.end_sample == 11_000
    assert 9_000 < history.first_sample <= 10_000
    assert history.window(0, 11_000).shape[1] == 11_000 - history.first_sample


def test_a_window_outside_is_empty():
    assert filled(2).window(9_000, 9_100).shape == (2, 0)
    assert History(3, 100, 0).window(0, 10).shape == (3, 0)


def test_the_time_is_that_of_the_block_a_sample_lies_in():
    history = filled(3)

    assert history.utc(5_300.5) == (5_300.5 * 125_000 + 1_000, 10)
    assert history.utc(5_299.5) == (5_299.5 * 125_000, 0)


def test_a_long_stream_stays_small():
    history = History(1, 500, 0)
    for k in range(200):
        history.append(AudioBlock(np.zeros((1, 100), np.float32), k * 100, RATE_HZ, UtcNs(0), 0))

    assert history.end_sample - history.first_sample == pytest.approx(500, abs=100)
