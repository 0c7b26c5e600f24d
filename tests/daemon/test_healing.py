import random

from appliance.daemon.healing import STRETCH_NS, stretches


def test_every_late_time_lies_in_exactly_one_stretch_and_none_is_too_long():
    rng = random.Random(1)
    for _ in range(50):
        times_ns = [rng.randrange(20 * STRETCH_NS) for _ in range(rng.randint(1, 60))]
        found = list(stretches(times_ns))
        assert all(0 <= end - start <= STRETCH_NS for start, end in found)
        assert all(sum(start <= t <= end for start, end in found) == 1 for t in times_ns)


def test_times_close_together_are_located_together():
    assert list(stretches([5, 3, 9])) == [(3, 9)]
    assert list(stretches([])) == []
