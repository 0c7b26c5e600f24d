"""What the ears reach: onsets, false trips, first arrivals, bearings and cost, on simulated and recorded sound.

Prints one line a figure and keeps all of them, with their conditions, in tests/benchmarks/results/hearing.json.

    scripts/benchmarks/hearing.py [--full] [PART…]

--full: 20 hours of noise and ten times the trials; else a tenth of each. Only the parts named are measured, all without
a name; the figures of the others stay as they are. Each part says at what scale and when it was measured.

Definitions: peak SNR is the peak of the blast over the root mean square of the noise, at the full band of the sample
rate. Blasts are Friedlander pulses (positive phase 0.5 to 3 ms) behind a Gaussian low-pass of 0.8 to 4 kHz; a first
arrival is right when it is that of the pulse's front. Normalised errors are root mean squares of error over sigma.
The bound of a bearing is sigma_t c / sqrt(sum of the squared offsets of the microphones across the wave), with sigma_t
the bound of one microphone's arrival time. Bursts are twelve rounds 50 to 120 ms apart in simulated towns, at nodes
where each round is 12 dB and more: a round counts as heard where a pick lies within 4 ms of the first pick of the same
round fired alone; other picks, per round, are echoes. Cost is CPU time over that of 2^20 points of np.fft.fft in pieces
of 32,768, measured in turns: each block of 0.1 s and each piece counts with the least of its repetitions, so that what
else the machine does tells little.
"""

import argparse
import csv
import functools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import lfilter

from appliance.classify import load_classifier
from appliance.dsp.arrival import blast_pulse, first_arrival
from appliance.dsp.bearing import Bearing, BearingScan
from appliance.model.air import Air
from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.classes import Classifier
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.model.picks import Pick
from appliance.physics.ambience import background, digitise
from appliance.physics.blasts import WEAPONS
from appliance.pipeline.detector import Detector
from appliance.scene.emissions import Volley, shots, street_place
from appliance.scene.neighbourhood import SINGLE_MICROPHONE, NetSettings, make_net, reach_of
from appliance.scene.rendering import Renderer

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "tests" / "benchmarks" / "results" / "hearing.json"
SOUND_SPEED_MPS = 343.0
MONO = np.zeros((1, 3))
HIT_S = 0.004
TAG_S = (0.003, 0.010)
CORNERS_HZ = (800.0, 4_000.0)
DURATIONS_S = (0.0005, 0.003)
COST_REPETITIONS = 15

Floats = NDArray[np.float64]


def main() -> int:
    """Measure everything and keep the figures."""
    parser = argparse.ArgumentParser(description="Measure what the ears reach.")
    parser.add_argument("--full", action="store_true", help="20 hours of noise and ten times the trials")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}; all without a name")
    options = parser.parse_args()
    unknown = sorted(set(options.parts) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    result = json.loads(RESULT.read_text(encoding="utf-8")) if options.parts and RESULT.exists() else {}
    for name in options.parts or PARTS:
        print(f"{name}", flush=True)
        scale = 10 if options.full else 1
        result[name] = {"measured": _conditions(scale), **PARTS[name](scale)}
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _conditions(scale: int) -> dict[str, Any]:
    return {
        "scale": scale,
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "noise": "white Gaussian unless said otherwise, independent in every channel",
    }


def _show(name: str, value: object) -> None:
    print(f"  {name}: {value}", flush=True)


def ring(n: int, radius_m: float) -> Floats:
    """Microphones on a circle, (n, 3)."""
    angles = 2.0 * np.pi * np.arange(n) / n
    return np.stack([radius_m * np.cos(angles), radius_m * np.sin(angles), np.zeros(n)], axis=1)


def pulse(times_s: Floats, duration_s: float, corner_hz: float) -> Floats:
    """A blast of peak 1 behind a Gaussian low-pass that is 3 dB down at `corner_hz`."""
    smoothing_s = math.sqrt(math.log(2.0)) / (2.0 * math.pi * corner_hz)
    fine = blast_pulse(np.arange(-0.0005, 0.002, 2e-6), duration_s, smoothing_s)
    return blast_pulse(times_s, duration_s, smoothing_s) / float(fine.max())


def hear(positions_m: Floats, sound: NDArray[np.float32], rate_hz: int) -> list[Pick]:
    """All picks of a recording, in blocks of 0.1 s; times count from its first sample."""
    detector = Detector("bench", ArrayGeometry(tuple(map(tuple, positions_m.tolist()))))
    picks: list[Pick] = []
    for block in _blocks(sound, rate_hz):
        picks += detector.feed(block).picks
    return picks + list(detector.flush().picks)


def _blocks(sound: NDArray[np.float32], rate_hz: int, first: int = 0) -> Iterator[AudioBlock]:
    length = rate_hz // 10
    for start in range(0, sound.shape[1], length):
        at = first + start
        yield AudioBlock(sound[:, start : start + length], at, float(rate_hz), UtcNs(at * NS_PER_S // rate_hz), 0)


class PinkNoise:
    """A stream with 3 dB less power in every octave, the sum of one-pole filtered white noises; rms 1."""

    def __init__(self, rate_hz: int, rng: np.random.Generator) -> None:
        """Begin at rest."""
        self._rng = rng
        corners_hz = np.geomspace(15.0, rate_hz / 2.2, 12)
        self._poles = np.exp(-2.0 * np.pi * corners_hz / rate_hz)
        self._gains = np.sqrt(1.0 - self._poles**2) / math.sqrt(12.0)
        self._states = [np.zeros(1) for _ in corners_hz]

    def __call__(self, n: int) -> Floats:
        """The next `n` samples."""
        total = np.zeros(n)
        for k, (pole, gain) in enumerate(zip(self._poles, self._gains, strict=True)):
            part, self._states[k] = lfilter([gain], [1.0, -pole], self._rng.standard_normal(n), zi=self._states[k])
            total += part
        return total


def _detection(scale: int) -> dict[str, Any]:
    """Share of blasts found, one every 5.5 s or so in a stream of noise."""
    result = {}
    for rate_hz, n_channels, snr_db in ((48_000, 1, 12.0), (48_000, 8, 12.0), (16_000, 1, 15.0), (12_000, 1, 17.0)):
        rng = np.random.default_rng([1, rate_hz, n_channels])
        n_shots = 60 * scale if n_channels == 1 else 15 * scale
        positions_m = MONO if n_channels == 1 else ring(n_channels, 0.15)
        found = sum(_found(positions_m, rate_hz, snr_db, rng) for _ in range(n_shots))
        name = f"{n_channels} channels at {rate_hz} Hz, {snr_db:g} dB"
        result[name] = {"blasts": n_shots, "found": found, "share": round(found / n_shots, 4)}
        _show(name, result[name])
    return result


def _found(positions_m: Floats, rate_hz: int, snr_db: float, rng: np.random.Generator) -> bool:
    sound = 10.0 ** (-snr_db / 20.0) * rng.standard_normal((len(positions_m), 6 * rate_hz))
    onset_s = 5.0 + rng.uniform(0.0, 0.2)
    times_s = np.arange(sound.shape[1]) / rate_hz
    sound += pulse(times_s - onset_s, rng.uniform(*DURATIONS_S), rng.uniform(*CORNERS_HZ))
    picks = hear(positions_m, (0.1 * sound).astype(np.float32), rate_hz)
    return any(abs(pick.time_ns / NS_PER_S - onset_s) < HIT_S for pick in picks)


def _bursts(scale: int) -> dict[str, Any]:
    """Rounds of automatic fire that have a pick, by weapon, and how far the pick lies from that of the round alone."""
    rate_hz, n_towns = 16_000, 4 * scale
    result: dict[str, Any] = {}
    for weapon in ("9mm pistol", "5.56 mm rifle"):
        errors_s: list[float] = []
        n_rounds = n_echoes = n_echoes_alone = 0
        for seed in range(n_towns):
            for rounds in _burst_at_nodes(seed, weapon, rate_hz):
                picked_s = _picked_s(np.sum([sound for _, sound in rounds], axis=0) + rounds[0][0], rate_hz)
                firsts_s = [_picked_s(noise + sound, rate_hz) for noise, sound in rounds]
                errors_s += [float(min(picked_s - first[0], key=abs, default=math.inf)) for first in firsts_s]
                n_rounds += len(rounds)
                n_echoes += picked_s.size - sum(abs(error_s) <= HIT_S for error_s in errors_s[-len(rounds) :])
                n_echoes_alone += sum(first.size - 1 for first in firsts_s)
        found_s = [error_s for error_s in errors_s if abs(error_s) <= HIT_S]
        result[weapon] = {
            "rounds": n_rounds,
            "share": round(len(found_s) / n_rounds, 4),
            "error_us_5_50_95": [round(1e6 * float(q)) for q in np.quantile(found_s, [0.05, 0.5, 0.95])],
            "echoes_per_round": round(n_echoes / n_rounds, 2),
            "echoes_per_round_alone": round(n_echoes_alone / n_rounds, 2),
        }
        _show(weapon, result[weapon])
    return result


def _burst_at_nodes(seed: int, weapon: str, rate_hz: int) -> Iterator[list[tuple[Floats, Floats]]]:
    """At each node of a town: the noise and the sound of each of twelve rounds, pascal, (n,), if all are clear."""
    rng = np.random.default_rng([8, seed])
    town, sites = make_net(NetSettings(5, 250.0, SINGLE_MICROPHONE), rng)
    renderer = Renderer(town, Air(22.0, 1.2, -0.6), float(rate_hz), seed)
    volley = Volley(WEAPONS[weapon], 12, float(rng.uniform(0.05, 0.12)), gap_jitter=0.08)
    emissions = shots(volley, street_place(town, reach_of(sites), rng), float(rng.uniform(0.0, 6.28)), 2.5, rng)
    n = 8 * rate_hz
    for site, _ in sites:
        noise = background(n, site.microphones_enu_m(), float(rate_hz), rng, level_dba=48.0, wind_mps=1.3)[0]
        sounds = [np.zeros(n) for _ in emissions]
        for k, emission in enumerate(emissions):
            for heard in renderer.render(emission, k, site):
                end = min(n, heard.first_sample + heard.pressure_pa.shape[1])
                sounds[k][heard.first_sample : end] += heard.pressure_pa[0, : end - heard.first_sample]
        if min(float(np.abs(sound).max()) for sound in sounds) > 10.0 ** (12.0 / 20.0) * float(noise.std()):
            yield [(noise, sound) for sound in sounds]


def _picked_s(pressure_pa: Floats, rate_hz: int) -> Floats:
    """Times of the picks of one microphone whose full scale is 120 dB SPL."""
    samples = digitise(pressure_pa, 120.0, np.random.default_rng(0)).astype(np.float32) / np.float32(32_767.0)
    return np.array([pick.time_ns / NS_PER_S for pick in hear(MONO, samples[np.newaxis], rate_hz)])


def _false_trips(scale: int) -> dict[str, Any]:
    """Picks in hours of stationary noise."""
    result = {}
    hours = scale
    for colour in ("white", "pink"):
        rate_hz = 16_000
        rng = np.random.default_rng([2, len(colour)])
        pink = PinkNoise(rate_hz, rng)
        detector = Detector("bench", ArrayGeometry(((0.0, 0.0, 0.0),)))
        n_picks = 0
        for minute in range(60 * hours):
            noise = pink(60 * rate_hz) if colour == "pink" else rng.standard_normal(60 * rate_hz)
            for block in _blocks((0.01 * noise).astype(np.float32)[np.newaxis], rate_hz, minute * 60 * rate_hz):
                n_picks += len(detector.feed(block).picks)
            print(f"\r  {colour}: {minute + 1} of {60 * hours} minutes", end="", file=sys.stderr, flush=True)
        print("\r", end="", file=sys.stderr)
        result[colour] = {"hours": hours, "picks": n_picks, "per_hour": round(n_picks / hours, 2)}
        _show(f"{colour} noise at {rate_hz} Hz", result[colour])
    return result


def _first_arrival(scale: int) -> dict[str, Any]:
    """Bias, sigma and normalised error of one microphone's first arrivals."""
    cases: dict[str, list[tuple[float, float]]] = {
        "alone": [],
        "reflections after 2 and 3.1 ms": [(0.002, 0.8), (0.0031, -0.6)],
        "reflection after 0.7 ms": [(0.0007, 0.6)],
    }
    result = {}
    for rate_hz in (12_000, 16_000, 48_000, 96_000):
        for snr_db in (20.0, 30.0):
            for case, reflections in cases.items():
                name = f"{rate_hz} Hz, {snr_db:g} dB, {case}"
                result[name] = _arrival_errors(rate_hz, snr_db, reflections, 100 * scale)
                _show(name, result[name])
    return result


def _arrival_errors(rate_hz: int, snr_db: float, reflections: list[tuple[float, float]], n: int) -> dict[str, float]:
    rng = np.random.default_rng([3, rate_hz, int(snr_db)])
    errors_s, scores = [], []
    times_s = np.arange(round(0.1 * rate_hz)) / rate_hz
    for _ in range(n):
        onset_s = 0.06 + rng.uniform(0.0, 0.001)
        duration_s = rng.uniform(*DURATIONS_S)
        corner_hz = min(rng.uniform(*CORNERS_HZ), 0.3 * rate_hz)
        sound = pulse(times_s - onset_s, duration_s, corner_hz)
        for delay_s, gain in reflections:
            sound += gain * pulse(times_s - onset_s - delay_s, duration_s, corner_hz)
        sound += 10.0 ** (-snr_db / 20.0) * rng.standard_normal(times_s.size)
        arrival = first_arrival(0.3 * sound, float(rate_hz), round((onset_s + rng.uniform(-0.001, 0.001)) * rate_hz))
        errors_s.append(arrival.sample / rate_hz - onset_s)
        scores.append(errors_s[-1] * rate_hz / arrival.sigma_samples)
    return {
        "bias_us": round(1e6 * float(np.mean(errors_s)), 1),
        "sigma_us": round(1e6 * float(np.std(errors_s)), 1),
        "normalised_error": round(float(np.sqrt(np.mean(np.square(scores)))), 2),
    }


def _bearing(scale: int) -> dict[str, Any]:
    """Root mean square error of bearings against the bound, and beside NormMUSIC where pyroomacoustics is installed."""
    result = {}
    music = _norm_music()
    for name, positions_m, rate_hz in (
        ("4 microphones r 32 mm, 16 kHz", ring(4, 0.032), 16_000),
        ("4 microphones r 32 mm, 48 kHz", ring(4, 0.032), 48_000),
        ("7 microphones r 43 mm, 48 kHz", np.vstack([ring(6, 0.043), np.zeros(3)]), 48_000),
        ("8 microphones r 150 mm, 48 kHz", ring(8, 0.15), 48_000),
    ):
        for snr_db in (30.0, 20.0, 10.0):
            figures = _bearing_errors(positions_m, rate_hz, snr_db, 100 * scale, music)
            result[f"{name}, {snr_db:g} dB"] = figures
            _show(f"{name}, {snr_db:g} dB", figures)
    if music is None:
        _show("NormMUSIC", "not compared: pyroomacoustics is not installed")
    return result


Rival = Callable[[Floats, int, Floats], float]


def _bearing_errors(
    positions_m: Floats, rate_hz: int, snr_db: float, n: int, music: Rival | None
) -> dict[str, float | int]:
    rng = np.random.default_rng([4, len(positions_m), rate_hz, int(snr_db)])
    scan = BearingScan(positions_m, float(rate_hz))
    errors, bounds, scores, rivals, n_none = [], [], [], [], 0
    for _ in range(n):
        azimuth = rng.uniform(0.0, 2.0 * np.pi)
        sound, front, bound = _wave(positions_m, rate_hz, azimuth, snr_db, rng)
        if music is not None:
            rivals.append(_turn(music(sound[:, front - rate_hz // 100 :], rate_hz, positions_m) - azimuth))
        found = scan.find(sound, front, 0, np.arange(len(positions_m)))
        if not isinstance(found, Bearing):
            n_none += 1
            continue
        errors.append(_turn(found.azimuth_rad - azimuth))
        bounds.append(bound)
        scores.append(errors[-1] / found.sigma_rad)
    rms, bound = (float(np.sqrt(np.mean(np.square(values)))) for values in (errors, bounds))
    figures: dict[str, float | int] = {
        "rms_deg": round(math.degrees(rms), 3),
        "bound_deg": round(math.degrees(bound), 3),
        "ratio": round(rms / bound, 3),
        "normalised_error": round(float(np.sqrt(np.mean(np.square(scores)))), 2),
        "none": n_none,
    }
    if rivals:
        figures["norm_music_rms_deg"] = round(math.degrees(float(np.sqrt(np.mean(np.square(rivals))))), 3)
    return figures


def _wave(
    positions_m: Floats, rate_hz: int, azimuth: float, snr_db: float, rng: np.random.Generator
) -> tuple[Floats, int, float]:
    """A blast (0.5 ms, 4 kHz) from an azimuth, the sample at which channel 0 hears it, and the bound, radians."""
    onset_s = 0.06 + rng.uniform(0.0, 1.0 / rate_hz)
    corner_hz = min(4_000.0, 0.3 * rate_hz)
    towards = np.array([math.sin(azimuth), math.cos(azimuth), 0.0])
    delays_s = -(positions_m @ towards) / SOUND_SPEED_MPS
    times_s = np.arange(round(0.1 * rate_hz)) / rate_hz
    clean = np.stack([pulse(times_s - onset_s - delay_s, 0.0005, corner_hz) for delay_s in delays_s])
    noise_rms = 10.0 ** (-snr_db / 20.0)
    step_s = 1e-6
    ahead, behind = (pulse(times_s - onset_s + s, 0.0005, corner_hz) for s in (step_s, -step_s))
    sigma_s = noise_rms / float(np.linalg.norm((ahead - behind) / (2.0 * step_s)))
    across = (positions_m - positions_m.mean(axis=0)) @ np.array([math.cos(azimuth), -math.sin(azimuth), 0.0])
    bound = sigma_s * SOUND_SPEED_MPS / float(np.linalg.norm(across))
    return clean + noise_rms * rng.standard_normal(clean.shape), round((onset_s + delays_s[0]) * rate_hz), bound


def _turn(angle_rad: float) -> float:
    return math.remainder(angle_rad, 2.0 * math.pi)


def _norm_music() -> Rival | None:
    """Azimuth by pyroomacoustics' NormMUSIC over 360 directions, as acoustics papers compare with, or None."""
    try:
        from pyroomacoustics.doa import normmusic
    except ImportError:
        return None

    def azimuth_of(sound: Floats, rate_hz: int, positions_m: Floats) -> float:
        n_fft = 128 if rate_hz < 32_000 else 256
        event = sound[:, : round(0.032 * rate_hz)]
        starts = range(0, event.shape[1] - n_fft + 1, n_fft // 2)
        frames = np.stack([event[:, k : k + n_fft] * np.hanning(n_fft) for k in starts], axis=2)
        doa = normmusic.NormMUSIC(positions_m[:, :2].T, rate_hz, n_fft, c=SOUND_SPEED_MPS, num_src=1, n_grid=360)
        doa.locate_sources(np.fft.rfft(frames, axis=1), freq_range=[200.0, min(4_000.0, 0.45 * rate_hz)])
        return math.pi / 2.0 - float(doa.azimuth_recon[0])

    return azimuth_of


def _recordings(_scale: int) -> dict[str, Any]:
    """Tagged live-fire arrivals that have a pick, and what recordings of other sounds trip."""
    data = Path(os.environ.get("EARSHOT_SHARED", ROOT.parent / "shared")) / "data"
    if not (data / "manifest.csv").exists():
        _show("not measured", f"no recordings at {data} (EARSHOT_SHARED names another place)")
        return {}
    with (data / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    live_fire = _tagged(data, [row for row in rows if row["file"].startswith("pittsburgh/")])
    _show("live fire", live_fire)
    trips: dict[str, dict[str, float]] = {}
    for label in ("ambient/wind/rain", "engine", "construction", "speech", "dog", "thunder"):
        clips = [row for row in rows if row["label"] == label]
        seconds = sum(float(row["duration_s"]) for row in clips)
        counts = {row["file"]: len(_picks_of(data / row["file"])) for row in clips}
        worst = max(counts, key=lambda name: counts[name])
        trips[label] = {
            "clips": len(clips),
            "seconds": round(seconds),
            "picks": sum(counts.values()),
            "clips_without": sum(count == 0 for count in counts.values()),
            "median_per_minute": round(
                statistics.median(60.0 * counts[row["file"]] / float(row["duration_s"]) for row in clips), 1
            ),
        }
        _show(f"trips in {label}", f"{trips[label]}, most in {worst} ({counts[worst]})")
    return {"live_fire": live_fire, "trips": trips}


def _picks_of(path: Path) -> list[Pick]:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return hear(MONO, np.ascontiguousarray(samples.T[:1]), rate_hz)


def _tagged(data: Path, rows: list[dict[str, str]]) -> dict[str, float]:
    """Tags within 3 and 10 ms of a pick, picks per recording, and how far the median pick lies from its tag."""
    n_tags = n_picks = 0
    errors_s: list[float] = []
    for k, row in enumerate(rows, start=1):
        print(f"\r  live fire: {k} of {len(rows)}", end="", file=sys.stderr, flush=True)
        picked_s = np.array([pick.time_ns / NS_PER_S for pick in _picks_of(data / row["file"])])
        tags_s = [float(text) for text in row["onsets_s"].split(";") if text]
        n_picks += picked_s.size
        n_tags += len(tags_s)
        errors_s += [float(min(picked_s - tag_s, key=abs, default=math.inf)) for tag_s in tags_s]
    print("\r", end="", file=sys.stderr)
    shares = {f"within_{limit_s * 1e3:g}_ms": float(np.mean(np.abs(errors_s) <= limit_s)) for limit_s in TAG_S}
    return {
        "tags": n_tags,
        **{name: round(share, 4) for name, share in shares.items()},
        "median_error_ms": round(1e3 * statistics.median(errors_s), 2),
        "picks_per_recording": round(n_picks / len(rows), 2),
    }


def _cost(_scale: int) -> dict[str, Any]:
    """CPU time as a ratio to a Fourier transform that is timed beside it."""
    rate_hz, seconds, n_shots = 48_000, 20, 20
    noise, one, many = _cost_sounds(rate_hz, seconds, n_shots)
    geometry = ArrayGeometry(tuple(map(tuple, ring(8, 0.15).tolist())))
    classifier = load_classifier()
    pieces = np.random.default_rng(6).standard_normal((32, 32_768)) + 0j

    def hearing(sound: NDArray[np.float32], classifier: Classifier | None) -> Steps:
        def steps() -> Iterator[Callable[[], object]]:
            detector = Detector("bench", geometry, classifier=classifier)
            for block in _blocks(sound, rate_hz):
                yield functools.partial(detector.feed, block)
            yield detector.flush

        return steps

    least_s = _least_s(
        {
            "reference": lambda: (functools.partial(np.fft.fft, piece) for piece in pieces),
            "noise": hearing(noise, None),
            "one": hearing(one, None),
            "many": hearing(many, None),
            "one, class": hearing(one, classifier),
            "many, class": hearing(many, classifier),
        }
    )
    cost = {name: least / least_s["reference"] for name, least in least_s.items()}
    result = {
        "always_on_per_second": round(cost["noise"] / seconds, 3),
        "one_pick": round((cost["many, class"] - cost["one, class"]) / (n_shots - 1), 3),
        "one_pick_without_class": round((cost["many"] - cost["one"]) / (n_shots - 1), 3),
        "resident_mib": _resident_mib(),
    }
    _show("8 channels at 48 kHz, blocks of 0.1 s", result)
    return result


def _cost_sounds(
    rate_hz: int, seconds: int, n_shots: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Noise at eight microphones, the same with one blast, and with `n_shots` blasts, 0.7 s apart."""
    rng = np.random.default_rng(5)
    positions_m = ring(8, 0.15)
    noise = (0.003 * rng.standard_normal((8, seconds * rate_hz))).astype(np.float32)
    times_s = np.arange(noise.shape[1]) / rate_hz
    one, many = noise.copy(), noise.copy()
    for k in range(n_shots):
        towards = np.array([math.sin(0.3 * k), math.cos(0.3 * k), 0.0])
        for row, sound in enumerate(many):
            delay_s = 3.0 + 0.7 * k - float(positions_m[row] @ towards) / SOUND_SPEED_MPS
            sound += (0.2 * pulse(times_s - delay_s, 0.001, 3_000.0)).astype(np.float32)
    one[:, : 3 * rate_hz + rate_hz // 2] = many[:, : 3 * rate_hz + rate_hz // 2]
    return noise, one, many


Steps = Callable[[], Iterator[Callable[[], object]]]


def _least_s(works: Mapping[str, Steps]) -> dict[str, float]:
    """CPU time of each work, whose steps count each with the least of its repetitions."""
    least: dict[str, Floats] = {}
    for _ in range(COST_REPETITIONS):
        for name, steps in works.items():
            taken_s = np.array([_cpu_s(step) for step in steps()])
            least[name] = np.minimum(least.get(name, math.inf), taken_s)
    return {name: float(taken_s.sum()) for name, taken_s in least.items()}


def _cpu_s(work: Callable[[], object]) -> float:
    begin_s = time.thread_time()
    work()
    return time.thread_time() - begin_s


_RESIDENT = """
import numpy as np
from collections import deque
from appliance.classify import load_classifier
from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.instants import UtcNs
from appliance.pipeline.detector import Detector
places = tuple((0.15 * np.cos(a), 0.15 * np.sin(a), 0.0) for a in np.arange(8) * np.pi / 4)
detector = Detector("bench", ArrayGeometry(places), classifier=load_classifier())
rng, kept = np.random.default_rng(7), deque(maxlen=200)
for k in range(300):
    sound = 0.003 * rng.standard_normal((8, 4800), np.float32)
    sound[:, 2000:2040] += 0.3 * (k % 20 == 9)
    kept.append(AudioBlock(sound, k * 4800, 48000.0, UtcNs(k * 100_000_000), 0))
    detector.feed(kept[-1])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""


def _resident_mib() -> float:
    """Resident memory of a process that only hears: detector, classifier, 20 s of sound of 8 channels at 48 kHz."""
    done = subprocess.run([sys.executable, "-c", _RESIDENT], capture_output=True, text=True, check=True, cwd=ROOT)
    return round(int(done.stdout) / 1024.0, 1)


PARTS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "detection": _detection,
    "bursts": _bursts,
    "false_trips": _false_trips,
    "first_arrival": _first_arrival,
    "bearing": _bearing,
    "recordings": _recordings,
    "cost": _cost,
}


if __name__ == "__main__":
    sys.exit(main())
