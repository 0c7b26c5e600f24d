import numpy as np
import pytest

from appliance.model.audio import AudioBlock
from appliance.model.picks import Pick, pick_id
from appliance.pipeline.clips import ALLOWANCE_S, MAX_WAITING, Clip, ClipKeeper, Refusal

RATE_HZ = 8_000
BLOCK = 800
START_NS = 1_790_000_000_000_000_000
N_CHANNELS = 2


def value_of(sample):
    """What channel 0 has at a sample; channel 1 has the negative."""
    return sample % 30_000 + 1


def block_at(first, *, n=BLOCK, shift_ns=0):
    values = np.array([value_of(s) for s in range(first, first + n)], np.float32) / 32_768
    start_ns = START_NS + shift_ns + round(first * 1e9 / RATE_HZ)
    return AudioBlock(np.stack([values, -values]), first, float(RATE_HZ), start_ns, 1_000)


def pick_at(second):
    time_ns = START_NS + round(second * 1e9)
    return Pick(pick_id(time_ns, "n1"), "n1", time_ns, 1_000)


def hear(keeper, from_s, to_s, picks=()):
    """Feed seconds from_s..to_s; each pick comes with the first block that ends 0.6 s after it, as a detector does."""
    waiting = sorted(picks, key=lambda p: p.time_ns)
    for first in range(round(from_s * RATE_HZ), round(to_s * RATE_HZ), BLOCK):
        block = block_at(first)
        due = [p for p in waiting if p.time_ns + 600_000_000 <= block.start_ns]
        waiting = waiting[len(due) :]
        keeper.hear(block, due)


def first_sample(clip):
    return round((clip.first_ns - START_NS) * RATE_HZ / 1e9)


def test_a_clip_is_the_second_on_either_side_of_a_pick_sample_by_sample():
    keeper, pick = ClipKeeper(), pick_at(5.0)
    hear(keeper, 0, 8, [pick])
    keeper.ask(3, [pick.id])
    (clip,) = keeper.answers(0.0)
    assert (clip.request, clip.pick, clip.rate_hz, clip.clock_sigma_ns) == (3, pick.id, RATE_HZ, 1_000)
    assert first_sample(clip) == 4 * RATE_HZ
    assert clip.samples.shape == (2 * RATE_HZ, N_CHANNELS)
    wanted = [value_of(s) for s in range(4 * RATE_HZ, 6 * RATE_HZ)]
    assert clip.samples[:, 0].tolist() == wanted
    assert clip.samples[:, 1].tolist() == [-v for v in wanted]


def test_picks_close_together_are_one_clip_and_the_sound_between_distant_ones_stays():
    keeper = ClipKeeper()
    picks = [pick_at(s) for s in (3.0, 4.5, 9.0)]
    hear(keeper, 0, 12, picks)
    keeper.ask(1, [p.id for p in picks])
    clips = keeper.answers(0.0)
    assert [(c.pick, first_sample(c) / RATE_HZ, len(c.samples) / RATE_HZ) for c in clips] == [
        (picks[0].id, 2.0, 3.5),
        (picks[2].id, 8.0, 2.0),
    ]


def test_a_request_waits_for_the_second_after_the_pick():
    keeper, pick = ClipKeeper(), pick_at(5.0)
    hear(keeper, 0, 5.7, [pick])
    keeper.ask(1, [pick.id])
    assert keeper.answers(0.0) == []
    hear(keeper, 5.7, 6.0)
    (clip,) = keeper.answers(0.0)
    assert len(clip.samples) == 2 * RATE_HZ


def test_no_more_sound_is_held_than_said_and_old_picks_are_refused():
    keeper, pick = ClipKeeper(kept_s=20.0), pick_at(5.0)
    hear(keeper, 0, 60, [pick])
    assert 19.8 <= keeper.held_s <= 20.0
    keeper.ask(1, [pick.id])
    (refusal,) = keeper.answers(0.0)
    assert refusal == Refusal(1, pick.id, "not a pick of these ears within the sound that they still have")


def test_a_pick_that_the_ears_did_not_make_gets_no_sound():
    keeper = ClipKeeper()
    hear(keeper, 0, 10, [pick_at(5.0)])
    keeper.ask(1, [pick_at(4.0).id, pick_at(5.0).id])
    refusal, clip = keeper.answers(0.0)
    assert isinstance(refusal, Refusal)
    assert refusal.pick == pick_at(4.0).id
    assert isinstance(clip, Clip)


def test_a_minute_of_clips_an_hour_and_no_more_whoever_asks_how_often():
    keeper, pick = ClipKeeper(), pick_at(5.0)
    hear(keeper, 0, 8, [pick])
    given_s = 0.0
    for n in range(50):
        keeper.ask(n, [pick.id])
        (answer,) = keeper.answers(float(n))
        if isinstance(answer, Clip):
            given_s += len(answer.samples) / answer.rate_hz
    assert given_s == ALLOWANCE_S
    assert isinstance(answer, Refusal)
    assert "used up" in answer.reason
    keeper.ask(51, [pick.id])
    assert isinstance(keeper.answers(3_599.0)[0], Refusal)
    keeper.ask(52, [pick.id])
    (again,) = keeper.answers(3_600.5)
    assert isinstance(again, Clip)


def test_a_clip_ends_at_a_gap():
    keeper, pick = ClipKeeper(), pick_at(5.5)
    hear(keeper, 0, 5)
    lost = 3 * RATE_HZ // 10
    hear(keeper, 5 + lost / RATE_HZ, 8, [pick])
    keeper.ask(1, [pick.id])
    (clip,) = keeper.answers(0.0)
    assert first_sample(clip) == 5 * RATE_HZ + lost
    assert clip.samples[0, 0] == value_of(5 * RATE_HZ + lost)
    assert len(clip.samples) == round(1.2 * RATE_HZ)


def test_a_stream_that_begins_anew_leaves_nothing_of_the_one_before():
    keeper, pick = ClipKeeper(), pick_at(5.0)
    hear(keeper, 0, 8, [pick])
    keeper.hear(block_at(0, shift_ns=10**10), [])
    assert keeper.held_s == pytest.approx(BLOCK / RATE_HZ)
    keeper.ask(1, [pick.id])
    assert isinstance(keeper.answers(0.0)[0], Refusal)


def test_sound_beyond_full_scale_and_no_numbers_are_held_as_they_can_be():
    keeper, pick = ClipKeeper(), pick_at(5.0)
    hear(keeper, 0, 5, [])
    block = block_at(5 * RATE_HZ)
    block.samples[0, :3] = [np.nan, 4.0, -4.0]
    keeper.hear(block, [])
    hear(keeper, 5 + BLOCK / RATE_HZ, 8, [pick])
    keeper.ask(1, [pick.id])
    (clip,) = keeper.answers(0.0)
    assert clip.samples[RATE_HZ : RATE_HZ + 3, 0].tolist() == [0, 32_767, -32_768]


def test_the_latest_sound_is_there_to_be_measured():
    keeper = ClipKeeper()
    assert keeper.latest(0.5).shape == (0, 0)
    hear(keeper, 0, 3)
    latest = keeper.latest(0.5)
    assert latest.shape == (2, RATE_HZ // 2)
    assert (latest[0] * 32_768).round().astype(int).tolist() == [value_of(s) for s in range(20_000, 24_000)]


def test_requests_that_wait_are_bounded_and_one_more_is_told_so():
    keeper, pick = ClipKeeper(), pick_at(5.0)
    hear(keeper, 0, 5.7, [pick])
    for n in range(MAX_WAITING + 1):
        keeper.ask(n, [pick.id])
    (refusal,) = keeper.answers(0.0)
    assert isinstance(refusal, Refusal)
    assert refusal.request == MAX_WAITING
    hear(keeper, 5.7, 6.0)
    answers = keeper.answers(0.0)
    assert [a.request for a in answers] == list(range(MAX_WAITING))
    assert all(isinstance(a, Clip) for a in answers)


def test_more_than_a_minute_of_sound_can_not_be_asked_to_be_held():
    ClipKeeper(60.0)
    with pytest.raises(ValueError, match="60 s can be held"):
        ClipKeeper(60.5)
