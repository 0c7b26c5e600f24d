"""Recognising the rounds of a shooter."""

import numpy as np
import pytest

from appliance.pipeline.rounds import MAX_AGE_S, RoundMemory

RATE_HZ = 16_000.0
FRONT = 0.4
"""How much later than its trigger each front is said to be, samples."""


def street(at_s: list[float], *, seed: int = 1, duration_s: float = 3.0) -> np.ndarray:
    """A pattern that is heard again and again."""
    rng = np.random.default_rng(seed)
    pattern = rng.standard_normal(640) * np.exp(-np.arange(640) / 160.0)
    sound = 0.02 * rng.standard_normal(round(duration_s * RATE_HZ))
    for time_s in at_s:
        first = round(time_s * RATE_HZ)
        sound[first : first + 640] += pattern
    return sound.astype(np.float32)


def cut(memory: RoundMemory, sound: np.ndarray, trigger: int) -> np.ndarray:
    return sound[trigger - memory.samples_before : trigger + memory.samples_after]


def memory_of(sound: np.ndarray, at_s: list[float]) -> RoundMemory:
    memory = RoundMemory(RATE_HZ)
    for time_s in at_s:
        trigger = round(time_s * RATE_HZ)
        memory.remember(cut(memory, sound, trigger), trigger, trigger + FRONT, 0.1)
    return memory


def test_a_round_is_recognised_and_its_front_placed_though_it_was_noticed_late():
    sound = street([0.5, 0.6])
    memory = memory_of(sound, [0.5])
    noticed = round(0.605 * RATE_HZ)

    found = memory.recognise(cut(memory, sound, noticed), noticed)

    assert found is not None
    assert found.trigger == pytest.approx(0.6 * RATE_HZ, abs=1)
    assert found.front == pytest.approx(0.6 * RATE_HZ + FRONT, abs=0.3)


def test_a_sound_like_none_before_is_not_recognised():
    memory = memory_of(street([0.5]), [0.5])

    assert memory.recognise(cut(memory, street([0.6], seed=2), 9_600), 9_600) is None


@pytest.mark.parametrize("later_s", [0.02, MAX_AGE_S + 0.1])
def test_what_repeats_sooner_than_rounds_can_or_much_later_is_not_recognised(later_s):
    sound = street([0.5, 0.5 + later_s])
    memory = memory_of(sound, [0.5])
    trigger = round((0.5 + later_s) * RATE_HZ)

    assert memory.recognise(cut(memory, sound, trigger), trigger) is None


def test_an_early_echo_is_not_remembered_as_a_front_of_its_own():
    sound = street([0.5, 0.6])
    memory = memory_of(sound, [0.5, 0.505])

    found = memory.recognise(cut(memory, sound, round(0.605 * RATE_HZ)), round(0.605 * RATE_HZ))

    assert found is not None
    assert found.trigger == pytest.approx(0.6 * RATE_HZ, abs=1)


def test_nothing_is_recognised_where_there_is_too_little_sound():
    memory = memory_of(street([0.5]), [0.5])

    assert memory.recognise(np.zeros(10, np.float32), 9_600) is None


def test_a_voice_is_not_recognised_though_it_repeats():
    times_s = np.arange(32_000) / RATE_HZ
    voice = np.asarray(sum(np.sin(2 * np.pi * 150.0 * k * times_s + k) / k for k in range(2, 12)), np.float32)
    memory = memory_of(voice, [0.5])

    assert memory.recognise(cut(memory, voice, 9_600), 9_600) is None
