import time

from appliance.devices.clock import monotonic_now_ns, read_utc_mapping, utc_now_ns


def test_mapping_turns_monotonic_time_into_the_system_clocks_utc() -> None:
    mapping = read_utc_mapping(sigma_ns=2_000)
    before_ns = time.time_ns()
    utc_ns = mapping.to_utc(monotonic_now_ns())
    # The bracket's width is the mapping's own error; a second is beyond any pause of this process.
    assert before_ns - mapping.sigma_ns <= utc_ns <= utc_now_ns() + mapping.sigma_ns
    assert 2_000 <= mapping.sigma_ns < 1_000_000_000
