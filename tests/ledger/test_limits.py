from appliance.ledger.limits import TokenBucket


def test_a_burst_passes_and_then_only_the_rate():
    bucket = TokenBucket(10.0, 20.0)
    assert all(bucket.take(1.0, 100.0) for _ in range(20))
    assert not bucket.take(1.0, 100.0)
    assert not bucket.take(1.0, 100.05)
    assert bucket.take(1.0, 100.2)


def test_what_is_refused_costs_nothing_and_a_pause_does_not_save_up_more_than_a_burst():
    bucket = TokenBucket(1.0, 5.0)
    assert not bucket.take(6.0, 0.0)
    assert bucket.take(5.0, 0.0)
    assert not bucket.take(6.0, 1_000.0)
    assert bucket.take(5.0, 1_000.0)


def test_a_clock_that_steps_back_gives_nothing_away():
    bucket = TokenBucket(1.0, 2.0)
    assert bucket.take(2.0, 50.0)
    assert not bucket.take(1.0, 10.0)
    assert bucket.take(1.0, 11.5)
