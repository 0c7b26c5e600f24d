from dataclasses import replace

import pytest

from appliance.model.instants import NS_PER_S
from appliance.timing.discipline import (
    ClockReading,
    Discipline,
    FixState,
    Pulse,
    Sentence,
    Tracking,
    Unknown,
)
from appliance.timing.utc import UNKNOWN_SIGMA_NS

OFFSET_NS = 1_790_000_000_000_000_000
USABLE_NS = 5_000_000
"""Picks of a clock with a larger error stay out of fixes."""


class Node:
    """A node whose parts can fail one by one; time goes on in seconds, chrony takes a reading every fourth."""

    def __init__(self):
        self.discipline = Discipline()
        self.now_s = 1_000
        self.offset_ns = OFFSET_NS
        self.update_utc_s = 0.0
        self.chrony_lives = True
        self.chrony_hears = True
        self.bound_s = 12e-6
        self.chrony_offset_s = 3e-6
        self.pulse_at_s = 0.0
        self.pulses_come = True
        self.fix = FixState(3, 9, 0.5)
        self.late_s = 0.15

    def reading(self):
        if self.chrony_hears and self.now_s % 4 == 0:
            self.update_utc_s = float(self.now_s)
        if self.pulses_come:
            self.pulse_at_s = self.now_s - 0.4
        tracking = Tracking(self.chrony_offset_s, self.bound_s, "PPS", self.update_utc_s, 4.0)
        return ClockReading(
            monotonic_ns=self.now_s * NS_PER_S,
            offset_ns=self.offset_ns,
            width_ns=200,
            tracking=tracking if self.chrony_lives else Unknown("chrony does not answer"),
            pulse=Pulse(self.now_s - self.pulse_at_s, -self.chrony_offset_s),
            fix=self.fix,
            sentence=Sentence(self.late_s),
        )

    def run(self, seconds):
        for _ in range(seconds):
            self.now_s += 1
            verdict = self.discipline.update(self.reading())
        return verdict


@pytest.fixture
def node():
    node = Node()
    assert node.run(20).is_ready
    return node


def test_a_clock_in_order_is_ready_with_chronys_bound_as_its_error(node):
    verdict = node.run(1)
    assert verdict.is_ready
    assert verdict.mapping.sigma_ns == 12_000 + 3_000 + 200
    assert verdict.mapping.offset_ns == OFFSET_NS + 3_000, "what chrony still has to correct is corrected"
    assert verdict.words == "READY: ± 15 µs, chrony follows PPS, pulse, 9 satellites"


def break_pulse(node):
    node.pulses_come = False


def break_chrony(node):
    node.chrony_lives = False


def break_chronys_source(node):
    node.chrony_hears = False


def break_fix(node):
    node.fix = FixState(1, 2, 0.5)


def break_receiver(node):
    node.fix = FixState(3, 9, 7.0)


def break_gpsd(node):
    node.fix = Unknown("no gpsd at 127.0.0.1:2947")


def break_second(node):
    node.late_s = 1.2


BREAKS = {
    break_pulse: "no pulse for",
    break_chrony: "chrony does not answer",
    break_fix: "no fix (2 satellites)",
    break_receiver: "fix is 7 s old",
    break_gpsd: "no gpsd",
    break_second: "second is +1.2 s from the clock's",
}


@pytest.mark.parametrize(("break_it", "words"), BREAKS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_each_loss_is_named_within_ten_seconds_and_mends_by_itself(node, break_it, words):
    break_it(node)
    verdict = node.run(10)
    assert not verdict.is_ready
    assert words in verdict.words
    assert verdict.words.startswith("NOT READY because ")
    assert all(doubt.remedy for doubt in verdict.doubts)
    healthy = Node()
    node.chrony_lives, node.chrony_hears, node.pulses_come = True, True, True
    node.fix, node.late_s = healthy.fix, healthy.late_s
    assert node.run(10).is_ready


def test_a_source_that_chrony_hears_no_more_is_named_and_one_reading_left_out_is_not(node):
    break_chronys_source(node)
    assert node.run(9).is_ready
    verdict = node.run(10)
    assert "chrony heard nothing of PPS for" in verdict.words
    node.chrony_hears = True
    assert node.run(5).is_ready


@pytest.mark.parametrize("step_s", [-2.0, -0.1, 0.1, 2.0])
def test_a_clock_that_was_set_has_no_part_in_fixes_until_chrony_has_confirmed_it(node, step_s):
    node.offset_ns += round(step_s * NS_PER_S)
    verdict = node.run(1)
    assert not verdict.is_ready
    assert verdict.mapping.sigma_ns > max(USABLE_NS, abs(step_s) * NS_PER_S)
    assert f"set by {abs(step_s):.3f} s" in verdict.words
    # chrony finds out with its next readings, and slews or steps back.
    node.chrony_offset_s = -step_s
    assert not node.run(8).is_ready
    node.offset_ns -= round(step_s * NS_PER_S)
    node.chrony_offset_s = 2e-6
    assert not node.run(1).is_ready
    assert node.run(12).is_ready


def test_a_step_while_chrony_is_away_is_not_forgotten(node):
    break_chrony(node)
    node.offset_ns += 2 * NS_PER_S
    assert node.run(60).mapping.sigma_ns > 2 * NS_PER_S
    node.chrony_lives = True
    assert not node.run(1).is_ready
    assert node.run(12).is_ready


def test_in_holdover_the_error_grows(node):
    before = node.run(1).mapping.sigma_ns
    break_chrony(node)
    soon, later = node.run(10).mapping.sigma_ns, node.run(600).mapping.sigma_ns
    assert before < soon < before + 100_000
    assert later - soon == pytest.approx(600 * 5_000, rel=0.01), "5 ppm"


def test_a_clock_that_never_was_right_is_not_known():
    node = Node()
    break_chrony(node)
    verdict = node.run(30)
    assert verdict.mapping.sigma_ns == UNKNOWN_SIGMA_NS
    assert "time not known" in verdict.words


def test_an_error_that_is_too_large_is_reason_enough(node):
    node.bound_s = 3e-3
    verdict = node.run(1)
    assert verdict.words == "NOT READY because its error is too large; ± 3.0 ms"


def test_a_pulse_that_contradicts_chrony_is_believed_in_its_error(node):
    reading = replace(node.reading(), monotonic_ns=(node.now_s + 1) * NS_PER_S, pulse=Pulse(0.4, 0.004))
    verdict = node.discipline.update(reading)
    assert "pulse and clock are 4.0 ms apart" in verdict.words
    assert verdict.mapping.sigma_ns > 4_000_000


def test_a_wrong_second_counts_with_its_full_error(node):
    break_second(node)
    assert node.run(1).mapping.sigma_ns > 1_000_000_000


def test_a_node_without_a_receiver_goes_by_chrony_alone():
    discipline = Discipline()
    for second in range(5):
        tracking = Tracking(1e-4, 2e-4, "10.0.0.1", float(second), 1.0)
        verdict = discipline.update(ClockReading(second * NS_PER_S, OFFSET_NS, 0, tracking))
    assert verdict.is_ready
    assert verdict.mapping.sigma_ns == 300_000
