import numpy as np
import pytest

from appliance.physics.propagation import travel_time_s, travel_times

NODES = np.array([[300.0, 0.0, 10.0], [0.0, -200.0, 5.0], [-150.0, 120.0, 0.0]])
SOURCE = np.array([20.0, 30.0, 1.5])


def test_sound_needs_a_second_for_its_speed_in_metres():
    assert travel_time_s(np.zeros(3), np.array([0.0, 340.0, 0.0]), 340.0) == pytest.approx(1.0)


def test_a_tailwind_brings_sound_sooner():
    node = np.array([340.0, 0.0, 0.0])
    with_wind = travel_time_s(np.zeros(3), node, 340.0, (5.0, 0.0))
    assert with_wind == pytest.approx(340.0 / 345.0)
    assert travel_time_s(np.zeros(3), node, 340.0, (-5.0, 0.0)) == pytest.approx(340.0 / 335.0)
    assert travel_time_s(np.zeros(3), node, 340.0, (0.0, 5.0)) == pytest.approx(1.0)


def test_derivatives_agree_with_finite_differences():
    wind = (3.0, -2.0)
    times = travel_times(SOURCE, NODES, 335.0, wind)
    np.testing.assert_allclose(times.time_s, travel_time_s(SOURCE, NODES, 335.0, wind))
    step = 1e-4
    for axis in range(3):
        d = np.eye(3)[axis] * step
        slope = (travel_time_s(SOURCE + d, NODES, 335.0, wind) - travel_time_s(SOURCE - d, NODES, 335.0, wind)) / (
            2 * step
        )
        np.testing.assert_allclose(times.slopes[axis], slope, rtol=1e-5, atol=1e-9)
    slope = (travel_time_s(SOURCE, NODES, 335.0 + step, wind) - travel_time_s(SOURCE, NODES, 335.0 - step, wind)) / (
        2 * step
    )
    np.testing.assert_allclose(times.slopes[3], slope, rtol=1e-5)
    for axis, d in enumerate([(step, 0.0), (0.0, step)]):
        ahead, behind = ((wind[0] + s * d[0], wind[1] + s * d[1]) for s in (1, -1))
        slope = (travel_time_s(SOURCE, NODES, 335.0, ahead) - travel_time_s(SOURCE, NODES, 335.0, behind)) / (2 * step)
        np.testing.assert_allclose(times.slopes[4 + axis], slope, rtol=1e-4, atol=1e-9)


def test_a_source_at_a_node_has_finite_times():
    times = travel_times(NODES[0], NODES, 340.0)
    assert np.all(np.isfinite(times.slopes))
    assert times.time_s[0] < 1e-3
