"""Filters in the frequency domain."""

import numpy as np
from scipy.signal import butter, sosfilt

from appliance.dsp.filters import delay_table, high_pass


def test_a_stretch_is_filtered_as_by_the_causal_butterworth_high_pass():
    samples = np.random.default_rng(1).standard_normal(2_000)

    for corner_hz in (150.0, 400.0):
        sections = butter(2, corner_hz, "highpass", fs=16_000.0, output="sos")
        np.testing.assert_allclose(high_pass(samples, 16_000.0, corner_hz, 2), sosfilt(sections, samples), atol=1e-4)


def test_a_table_of_delays_turns_every_bin_as_far_as_the_delay_says():
    delays_s = np.array([-2e-3, 0.0, 1.7e-4])

    for n_bins in (1, 32, 33, 1_201):
        table = delay_table(delays_s, n_bins, 120.0)

        np.testing.assert_allclose(table, np.exp(1j * np.outer(delays_s, 120.0 * np.arange(n_bins))), atol=1e-12)
