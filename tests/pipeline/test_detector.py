"""What the detector makes of simulated sound."""

import csv
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from appliance.dsp.arrival import blast_pulse
from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.classes import CLASSES, ClassProbabilities
from appliance.model.instants import UtcNs
from appliance.model.picks import Phase, Pick, Rejection
from appliance.pipeline.detector import Detector, DetectorSettings

START_NS = 1_783_134_720_000_000_000
MONO = ArrayGeometry(((0.0, 0.0, 0.0),))
SQUARE = ArrayGeometry(((0.1, 0.0, 0.0), (0.0, 0.1, 0.0), (-0.1, 0.0, 0.0), (0.0, -0.1, 0.0)))
RATE_HZ = 48_000.0


def blast(times_s: np.ndarray, onset_s: float, amplitude: float) -> np.ndarray:
    """A Friedlander pulse of 1.5 ms positive phase and this peak, without what the sample rate can't carry."""
    pulse = blast_pulse(times_s - onset_s, 0.0015, max(5e-5, 0.6 * (times_s[1] - times_s[0])))
    return amplitude * pulse / pulse.max()


def street(
    onsets_s: list[float],
    *,
    duration_s: float = 3.0,
    rate_hz: float = RATE_HZ,
    amplitude: float = 0.3,
    noise: float = 0.003,
    geometry: ArrayGeometry = MONO,
    azimuth_deg: float = 0.0,
) -> NDArray[np.float32]:
    """Noise with blasts that come from one direction: (channels, n)."""
    rng = np.random.default_rng(11)
    times_s = np.arange(round(rate_hz * duration_s)) / rate_hz
    azimuth = math.radians(azimuth_deg)
    towards = np.array([math.sin(azimuth), math.cos(azimuth), 0.0])
    sound = noise * rng.standard_normal((geometry.n_channels, times_s.size))
    for row, place_m in zip(sound, np.array(geometry.microphones_m), strict=True):
        for onset_s in onsets_s:
            row += blast(times_s, onset_s - place_m @ towards / 343.0, amplitude)
    return sound.astype(np.float32)


def blocks(
    sound: NDArray[np.float32], length: int, *, rate_hz: float = RATE_HZ, first_sample: int = 0
) -> list[AudioBlock]:
    """The sound in blocks, whose times follow from the sample index."""
    return [
        AudioBlock(
            sound[:, first : first + length],
            first_sample + first,
            rate_hz,
            UtcNs(START_NS + round((first_sample + first) * 1e9 / rate_hz)),
            1_000,
        )
        for first in range(0, sound.shape[1], length)
    ]


def hear(detector: Detector, heard: list[AudioBlock]) -> tuple[list[Pick], list[Rejection]]:
    """All picks and rejections, the last ones included."""
    outputs = [*map(detector.feed, heard), detector.flush()]
    return [p for o in outputs for p in o.picks], [r for o in outputs for r in o.rejections]


def picks_of(sound: NDArray[np.float32], detector: Detector | None = None, *, rate_hz: float = RATE_HZ) -> list[Pick]:
    return hear(detector or Detector("n1", MONO), blocks(sound, round(rate_hz / 10), rate_hz=rate_hz))[0]


def times_s(picks: list[Pick]) -> list[float]:
    return [(pick.time_ns - START_NS) / 1e9 for pick in picks]


@pytest.mark.parametrize("rate_hz", [8_000.0, 12_000.0, 16_000.0, 22_050.0, 44_100.0, 48_000.0, 96_000.0])
def test_blasts_are_heard_at_their_time_at_any_rate(rate_hz):
    picks = picks_of(street([1.2, 2.05], rate_hz=rate_hz), rate_hz=rate_hz)

    assert times_s(picks) == pytest.approx([1.2, 2.05], abs=1.0 / rate_hz)


def assert_same_picks(picks: list[Pick], expected: list[Pick]) -> None:
    """Equal, but for the nanosecond to which the start of a block is rounded."""
    assert len(picks) == len(expected)
    for pick, other in zip(picks, expected, strict=True):
        assert abs(pick.time_ns - other.time_ns) <= 2
        assert dataclasses.replace(pick, id=other.id, time_ns=other.time_ns) == other


@pytest.mark.parametrize("length", [480, 3_331, 4_800])
def test_picks_do_not_depend_on_the_length_of_blocks(length):
    sound = street([0.7, 1.2, 1.25, 2.05], amplitude=0.05, geometry=SQUARE)
    whole = hear(Detector("n1", SQUARE), blocks(sound, sound.shape[1]))[0]

    assert len(whole) == 4
    assert_same_picks(hear(Detector("n1", SQUARE), blocks(sound, length))[0], whole)


def test_rounds_fifty_milliseconds_apart_are_separate_picks():
    rounds_s = [1.0 + 0.05 * k for k in range(20)]

    picks = picks_of(street(rounds_s))

    assert times_s(picks) == pytest.approx(rounds_s, abs=1e-4)
    assert min(pick.snr_db for pick in picks) > 10.0


def reverberant(rounds_s: list[float], *, rate_hz: float, seed: int = 3) -> NDArray[np.float32]:
    """Rounds in a street whose tail, a tenth of a second long, holds twice the energy of the front; and noise."""
    rng = np.random.default_rng(seed)
    n = round(0.4 * rate_hz)
    time_s = np.arange(n) / rate_hz
    tail = rng.standard_normal(n) * np.exp(-6.9 * time_s / 0.2) * (time_s > 0.002)
    front = blast(time_s, 0.0, 1.0)
    heard = front + tail * math.sqrt(2.0 * float(front @ front) / float(tail @ tail))
    sound = 0.001 * rng.standard_normal(round(4.0 * rate_hz))
    for at_s in rounds_s:
        first = round(at_s * rate_hz)
        sound[first : first + n] += 0.1 * heard
    return sound.astype(np.float32)[np.newaxis]


@pytest.mark.parametrize("rate_hz", [12_000.0, 48_000.0])
def test_rounds_that_hardly_rise_from_the_tail_of_the_round_before_are_picks_and_echoes_are_not(rate_hz):
    rounds_s = [1.5 + 0.075 * k for k in range(12)]

    found_s = times_s(picks_of(reverberant(rounds_s, rate_hz=rate_hz), rate_hz=rate_hz))

    assert len(found_s) == pytest.approx(len(rounds_s), abs=1)
    assert sum(min(abs(at_s - found) for found in found_s) < 0.0005 for at_s in rounds_s) >= len(rounds_s) - 1


def test_prominence_is_given_as_signal_to_noise():
    weak, strong = picks_of(street([1.0], amplitude=0.03)), picks_of(street([1.0], amplitude=0.3))

    assert strong[0].snr_db - weak[0].snr_db == pytest.approx(20.0, abs=0.7)


def test_a_clipped_blast_counts_and_says_so():
    sound = np.clip(street([1.0], amplitude=2.5) + street([2.0], noise=0.0), -0.9803, 0.9803)

    clipped, whole = picks_of(sound)

    assert (clipped.clipped, whole.clipped) == (True, False)
    assert clipped.peak_dbfs == pytest.approx(20 * math.log10(0.9803), abs=0.01)
    assert times_s([clipped]) == pytest.approx([1.0], abs=1e-4)


def test_the_sound_pressure_level_follows_from_the_sensitivity():
    sound = street([1.0], amplitude=0.1)

    known = picks_of(sound, Detector("n1", MONO, sensitivity_dbspl=120.0))[0]
    unknown = picks_of(sound)[0]

    assert known.level_db_spl == pytest.approx(100.0, abs=0.5)
    assert known.peak_dbfs == pytest.approx(-20.0, abs=0.5)
    assert unknown.level_db_spl is None


@pytest.mark.parametrize(
    "disturbance",
    [
        lambda t: np.full_like(t, 0.3),
        lambda t: 0.1 * np.sin(2 * np.pi * 50 * t) + 0.05 * np.sin(2 * np.pi * 60 * t),
        lambda t: 0.3 * np.sin(2 * np.pi * 7 * t) + 0.2 * np.sin(2 * np.pi * 23 * t),
    ],
    ids=["offset", "hum", "wind"],
)
def test_what_lies_below_the_band_does_not_matter(disturbance):
    sound = street([1.2, 2.0], amplitude=0.1)
    disturbed = (sound + disturbance(np.arange(sound.shape[1]) / RATE_HZ)).astype(np.float32)

    picks = picks_of(disturbed)

    assert times_s(picks) == pytest.approx([1.2, 2.0], abs=1e-4)
    assert [pick.snr_db for pick in picks] == pytest.approx([pick.snr_db for pick in picks_of(sound)], abs=1.5)


def test_a_gap_begins_a_new_stream_without_a_false_onset():
    detector = Detector("n1", MONO)
    before = blocks(street([0.8], duration_s=1.5), 4_800)
    after = blocks(street([1.0], duration_s=2.0), 4_800, first_sample=200_000)

    picks, _ = hear(detector, before + after)

    assert times_s(picks) == pytest.approx([0.8, 200_000 / RATE_HZ + 1.0], abs=1e-4)


def test_another_sample_rate_begins_a_new_stream():
    detector = Detector("n1", MONO)
    slow = street([1.0], duration_s=2.0, rate_hz=16_000.0)

    picks, _ = hear(
        detector, blocks(street([1.0]), 4_800) + blocks(slow, 1_600, rate_hz=16_000.0, first_sample=144_000)
    )

    assert times_s(picks) == pytest.approx([1.0, 144_000 / 16_000.0 + 1.0], abs=1e-4)


def test_after_a_change_of_rate_the_classifier_is_shown_as_much_sound_as_before():
    classifier = LoudestInWindow()
    slow = street([1.0], duration_s=2.0, rate_hz=16_000.0)
    heard = blocks(street([1.0]), 4_800) + blocks(slow, 1_600, rate_hz=16_000.0, first_sample=144_000)

    hear(Detector("n1", MONO, classifier=classifier), heard)

    assert [n for n, _ in classifier.lengths] == pytest.approx([0.8 * RATE_HZ, 0.8 * 16_000.0], abs=2)


def test_a_dropout_with_its_clicks_is_rejected_with_the_reason():
    sound = street([2.4], noise=0.001) + np.float32(0.2)
    sound[:, round(1.0 * RATE_HZ) : round(1.3 * RATE_HZ)] = 0.0
    detector = Detector("n1", MONO)

    picks, rejections = hear(detector, blocks(sound, 4_800))

    assert times_s(picks) == pytest.approx([2.4], abs=1e-4)
    assert {rejection.stage for rejection in rejections} == {"dropout"}


@pytest.mark.parametrize("sound", [np.zeros((1, 48_000), np.float32), np.full((1, 48_000), 0.4, np.float32)])
def test_a_dead_microphone_hears_nothing(sound):
    assert picks_of(sound) == []


def test_an_array_gives_bearings_from_true_north():
    sound = street([1.0], geometry=SQUARE, azimuth_deg=70.0)
    detector = Detector("n1", SQUARE, heading_deg=310.0, heading_sigma_deg=2.0)

    (pick,) = picks_of(sound, detector)

    assert pick.bearing_deg == pytest.approx((310.0 + 70.0) % 360.0, abs=1.0)
    assert 2.0 < pick.bearing_sigma_deg < 2.3
    assert pick.elevation_deg == pytest.approx(0.0, abs=2.0 * pick.elevation_sigma_deg)
    assert 3.0 < pick.elevation_sigma_deg < 20.0


def test_one_microphone_gives_no_bearing():
    (pick,) = picks_of(street([1.0]))

    assert pick.bearing_deg is None
    assert pick.bearing_sigma_deg is None
    assert pick.elevation_deg is None
    assert pick.elevation_sigma_deg is None


def test_why_there_is_no_bearing_is_counted():
    line = ArrayGeometry(tuple((0.1 * k, 0.0, 0.0) for k in range(4)))
    detector = Detector("n1", line)

    (pick,) = picks_of(street([1.0], geometry=line), detector)

    assert pick.bearing_deg is None
    assert sum(count for what, count in detector.counts.items() if what.startswith("bearing/")) == 1


def test_a_blast_and_a_shock_wave_are_told_apart():
    sound = street([2.0])
    t = np.arange(sound.shape[1]) / RATE_HZ - 1.0
    sound += (0.3 * (1.0 - 2.0 * t / 0.0003) * ((t >= 0) & (t < 0.0003))).astype(np.float32)

    picks = picks_of(sound)

    assert [pick.phase for pick in picks] == [Phase.SHOCK_WAVE, Phase.MUZZLE_BLAST]
    assert all(pick.phase_probability >= 0.99 for pick in picks)


@dataclasses.dataclass
class LoudestInWindow:
    """A classifier that is sure of a gunshot when the loudest sample of its window is the onset's."""

    window_before_s: float = 0.2
    window_after_s: float = 0.6
    lengths: list[tuple[int, int]] = dataclasses.field(default_factory=list)

    def classify(self, samples: NDArray[np.float32], sample_rate_hz: float, onset_sample: int) -> ClassProbabilities:
        self.lengths.append((samples.size, onset_sample))
        is_onset = abs(int(np.argmax(np.abs(samples))) - onset_sample) <= 12
        return ClassProbabilities(tuple(float(k == (0 if is_onset else 3)) for k in range(len(CLASSES))))


def test_the_classifier_is_shown_the_sound_around_the_onset():
    classifier = LoudestInWindow()

    (pick,) = picks_of(street([1.0]), Detector("n1", MONO, classifier=classifier))

    assert classifier.lengths == [(pytest.approx(0.8 * RATE_HZ, abs=2), pytest.approx(0.2 * RATE_HZ, abs=2))]
    assert pick.gunshot_probability == 1.0
    assert pick.classes is not None


def test_a_pick_comes_out_once_its_window_is_complete():
    detector = Detector("n1", MONO, classifier=LoudestInWindow())
    out_s = [
        (block.first_sample + block.n_samples) / RATE_HZ
        for block in blocks(street([1.0]), 480)
        if detector.feed(block).picks
    ]

    assert len(out_s) == 1
    assert 1.6 <= out_s[0] <= 1.7


def test_every_second_keeps_its_most_prominent_onsets():
    rounds_s = [1.0 + 0.05 * k for k in range(18)]
    sound = street(rounds_s, amplitude=0.02)
    loud = street([1.31, 1.62], amplitude=0.3, noise=0.0)
    detector = Detector("n1", MONO, settings=DetectorSettings(max_picks_per_s=5))

    picks, rejections = hear(detector, blocks(sound + loud, 4_800))

    assert {1.31, 1.62} <= {round(time_s, 3) for time_s in times_s(picks)}
    assert len(picks) < 12
    assert {rejection.stage for rejection in rejections} >= {"rate"}
    assert "5 onsets within a second" in next(r.reason for r in rejections if r.stage == "rate")


def test_weak_rounds_fifty_milliseconds_apart_are_separate_picks():
    rounds_s = [1.5 + 0.05 * k for k in range(20)]

    picks = picks_of(street(rounds_s, amplitude=0.03, noise=0.005, rate_hz=16_000.0), rate_hz=16_000.0)

    assert times_s(picks) == pytest.approx(rounds_s, abs=3e-4)


def test_onsets_that_do_not_stand_out_are_counted_and_listed():
    sound = street([1.0], amplitude=0.5, noise=0.001)
    t = np.arange(sound.shape[1]) / RATE_HZ
    tail = np.where(t < 1.1, 0.1, 0.01) * np.random.default_rng(3).standard_normal(t.size) * ((t > 1.004) & (t < 1.3))
    echoes = 0.04 * np.random.default_rng(4).standard_normal(t.size) * ((t > 1.15) & (t < 1.16))
    detector = Detector("n1", MONO)

    picks, rejections = hear(detector, blocks((sound + tail + echoes).astype(np.float32), 4_800))

    assert times_s(picks)[0] == pytest.approx(1.0, abs=1e-4)
    listed = [r for r in rejections if r.stage == "repeat" and abs(r.time_ns - START_NS - 1.15e9) < 3e6]
    assert [r.reason for r in listed] == ["in the tail of an earlier onset, and like none"]
    assert detector.counts["repeat/in the tail of an earlier onset, and like none"] == sum(
        r.stage == "repeat" for r in rejections
    )


def test_no_more_rejections_are_listed_in_any_second_than_is_said_but_all_are_counted():
    rounds_s = [1.0 + 0.05 * k for k in range(40)]
    detector = Detector("n1", MONO, settings=DetectorSettings(max_picks_per_s=2, max_rejections_per_s=3))

    _, rejections = hear(detector, blocks(street(rounds_s, duration_s=4.0), 4_800))

    at_s = np.array([(rejection.time_ns - START_NS) / 1e9 for rejection in rejections])
    assert max(np.count_nonzero((at_s >= start_s) & (at_s < start_s + 0.999)) for start_s in at_s) == 3
    assert at_s[-1] - at_s[0] > 1.0
    assert sum(detector.counts.values()) > 30


def test_the_levels_of_every_block_and_channel_come_out():
    sound = np.stack([np.full(4_800, 0.5, np.float32), np.zeros(4_800, np.float32)])
    pair = ArrayGeometry(((0.0, 0.0, 0.0), (0.1, 0.0, 0.0)))

    levels = Detector("n1", pair).feed(blocks(sound, 4_800)[0]).levels

    assert [level.peak_dbfs for level in levels] == pytest.approx([-6.02, -150.0], abs=0.01)


def test_a_block_that_does_not_fit_the_array_is_refused():
    with pytest.raises(ValueError, match="4 channels"):
        Detector("n1", SQUARE).feed(blocks(np.zeros((2, 100), np.float32), 100)[0])
    with pytest.raises(ValueError, match="4000"):
        Detector("n1", MONO).feed(blocks(np.zeros((1, 100), np.float32), 100, rate_hz=4_000.0)[0])


def test_samples_that_are_no_numbers_are_counted_and_do_no_lasting_harm():
    sound = street([2.0])
    sound[0, 20_000:20_010] = np.nan
    sound[0, 30_000] = np.float32(1e30)
    detector = Detector("n1", MONO)

    picks = picks_of(sound, detector)

    assert times_s(picks)[-1] == pytest.approx(2.0, abs=1e-4)
    assert all(math.isfinite(pick.snr_db) for pick in picks)
    assert detector.counts["block/samples that are no numbers or far beyond full scale"] == 2


def test_an_empty_block_changes_nothing():
    detector = Detector("n1", MONO)
    sound = street([1.0])
    empty = AudioBlock(np.empty((1, 0), np.float32), 4_800, RATE_HZ, UtcNs(START_NS + 100_000_000), 0)
    heard = blocks(sound, 4_800)

    picks, _ = hear(detector, [heard[0], empty, *heard[1:]])

    assert times_s(picks) == pytest.approx([1.0], abs=1e-4)


def absurd_sound(rng: np.random.Generator, n_channels: int, n: int) -> NDArray[np.float32]:
    """Noise of any level, and what broken hardware makes of it."""
    sound = 10 ** rng.uniform(-6, 0) * rng.standard_normal((n_channels, n))
    kind = int(rng.integers(0, 8))
    if kind == 0:
        sound[:] = rng.choice([0.0, 0.7])
    elif kind == 1:
        sound[:, n // 2 :] *= 1_000.0
    elif kind == 2:
        sound = np.clip(1_000.0 * sound, -0.98, 0.98)
    elif kind == 3:
        sound[:, n // 3 : n // 3 + 1] = rng.choice([1.0, 1e9, np.inf, np.nan])
    elif kind == 4:
        sound[rng.integers(0, n_channels)] = 0.0
    elif kind == 5:
        sound = np.sign(sound)
    return sound.astype(np.float32)


@pytest.mark.parametrize("seed", range(150))
def test_whatever_comes_the_figures_of_picks_are_sane(seed):
    rng = np.random.default_rng(seed)
    rate_hz = float(rng.choice([8_000, 11_025, 16_000, 44_100, 96_000]))
    places_m = rng.uniform(-0.3, 0.3, (int(rng.integers(1, 7)), 3))
    detector = Detector("n1", ArrayGeometry(tuple(map(tuple, places_m.tolist()))), sensitivity_dbspl=120.0)
    first_sample = 0
    picks: list[Pick] = []
    for _ in range(12):
        length = int(rng.choice([0, 1, 100, rate_hz // 100, rate_hz // 10, rate_hz // 3]))
        sound = absurd_sound(rng, len(places_m), length)
        block = AudioBlock(sound, first_sample, rate_hz, UtcNs(START_NS + round(first_sample / rate_hz * 1e9)), 100)
        picks += detector.feed(block).picks
        first_sample += length + (1_000 if rng.random() < 0.05 else 0)
    picks += detector.flush().picks

    for pick in picks:
        assert math.isfinite(pick.snr_db)
        assert math.isfinite(pick.level_db_spl)
        assert pick.sigma_ns > 0
        assert START_NS - 1e7 < pick.time_ns < START_NS + first_sample / rate_hz * 1e9


def test_most_tagged_arrivals_of_live_fire_have_a_pick(shared_data: Path):
    with (shared_data / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["file"].startswith("pittsburgh/FP4-0") and row["onsets_s"]]
    n_tagged = n_found = 0
    for row in rows[:20]:
        samples, rate_hz = soundfile.read(shared_data / row["file"], dtype="float32")
        found_s = times_s(picks_of(samples[np.newaxis], rate_hz=float(rate_hz)))
        tagged_s = [float(text) for text in row["onsets_s"].split(";")]
        n_tagged += len(tagged_s)
        n_found += sum(min(abs(tag - other) for other in [*found_s, 99.0]) < 0.01 for tag in tagged_s)

    assert n_tagged > 30
    assert n_found >= 0.95 * n_tagged
