import numpy as np
import pytest

from appliance.timing.discipline import Unknown
from appliance.timing.latency import Latency, estimate_latency

START_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000


def clicks(n, latency_ns, *, jitter_ns=20_000, seed=1):
    rng = np.random.default_rng(seed)
    return [START_NS + i * SECOND_NS + latency_ns + round(rng.normal(0.0, jitter_ns)) for i in range(n)]


@pytest.mark.parametrize("latency_ns", [-3_000_000, 0, 812_000, 42_000_000])
def test_the_delay_comes_out_with_its_error(latency_ns):
    found = estimate_latency(clicks(60, latency_ns), 60)
    assert isinstance(found, Latency)
    assert found.n_clicks == 60
    assert abs(found.latency_ns - latency_ns) < 4 * found.sigma_ns < 30_000


def test_other_sounds_do_not_count():
    rng = np.random.default_rng(2)
    noise = [START_NS + int(t) for t in rng.integers(0, 60 * SECOND_NS, 100)]
    found = estimate_latency(sorted(noise + clicks(50, 812_000)), 60)
    assert isinstance(found, Latency)
    assert found.latency_ns == pytest.approx(812_000, abs=20_000)
    assert 50 <= found.n_clicks <= 53, "of a hundred sounds about one lies within a millisecond of the clicks"


@pytest.mark.parametrize("onsets", [[], clicks(5, 812_000), clicks(20, 812_000), clicks(60, 300_000_000)])
def test_too_few_clicks_are_no_measurement(onsets):
    answer = estimate_latency(onsets, 60)
    assert isinstance(answer, Unknown)
    assert "clicks" in answer.reason
