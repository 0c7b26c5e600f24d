"""How well samples get their times, through the real ALSA library from a device that paces like a real one.

All devices run at once on CLOCK_MONOTONIC, which stands for UTC here: the clock's own error is measured elsewhere.
The true time of each sample follows from its number, which the device writes into it.

    scripts/benchmarks/capture.py [--seconds S]
"""

import argparse
import json
import math
import os
import platform
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from appliance.devices.microphones import AlsaMicrophones, ArraySettings
from appliance.errors import DeviceError
from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.picks import Pick
from appliance.physics.blasts import friedlander, peak_pa
from appliance.pipeline.detector import Detector
from appliance.timing.utc import UtcMapping

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "tests" / "benchmarks" / "results" / "capture.json"
PLUGIN_SOURCE = ROOT / "tests" / "devices" / "paced_capture.c"
SETTLED_S = 60.0
"""Errors count from here on; drift is that at the end."""
BLAST_EVERY_S = 2.0
LOOP_S = 20.0


@dataclass
class Device:
    """One device of the configuration, and what was measured on it."""

    name: str
    rate_hz: int
    n_channels: int
    ppm: float
    step_us: float = 0.0
    late_start_s: float = 0.0
    overrun_every_s: float = 0.0
    blasts: bool = False
    epoch_ns: int = 0
    errors_ns: list[tuple[float, float, float]] = field(default_factory=list)
    """Seconds since the start, error and sigma of a block's time, nanoseconds."""
    picks: list[Pick] = field(default_factory=list)
    drift_ppm: float | None = None
    n_overruns: int = 0

    def true_ns(self, frame: float) -> float:
        """CLOCK_MONOTONIC of a frame."""
        return self.epoch_ns + frame * 1e9 / (self.rate_hz * (1 + self.ppm * 1e-6))


def devices() -> list[Device]:
    """The cases that are measured together."""
    return [
        Device("fine pointer", 16_000, 6, 40.0),
        Device("fine pointer, 48 kHz, 8 channels", 48_000, 8, 40.0),
        Device("pointer in steps of 2.5 ms", 16_000, 6, 40.0, step_us=2_500.0),
        Device("overrun every 10 s", 16_000, 2, 40.0, overrun_every_s=10.0),
        Device("node A", 16_000, 2, -35.0, blasts=True),
        Device("node B", 16_000, 2, 62.0, late_start_s=3.7, blasts=True),
    ]


def configure(folder: Path, cases: list[Device]) -> None:
    """Build the plugin and tell ALSA of the devices."""
    library = folder / "libpaced_capture.so"
    flags = ["-O2", "-shared", "-fPIC", "-DPIC"]
    subprocess.run(["gcc", *flags, "-o", library, PLUGIN_SOURCE, "-lasound", "-lm"], check=True)
    lines = ["<confdir:alsa.conf>", f'pcm_type.paced {{ lib "{library}" }}']
    for number, case in enumerate(cases):
        case.epoch_ns = time.monotonic_ns() - 5_000_000_000 - number * 1_234_567
        file = ""
        if case.blasts:
            path = folder / f"{number}.raw"
            path.write_bytes(blasts(case).tobytes())
            file = f'file "{path}"'
        lines.append(
            f"pcm.case{number} {{ type paced channels {case.n_channels} rate {case.rate_hz} ppm {case.ppm}"
            f' step_us {case.step_us} epoch_ns {case.epoch_ns} fault "{folder}/fault{number}" {file} }}'
        )
    (folder / "asound.conf").write_text("\n".join(lines) + "\n", "ascii")
    os.environ["ALSA_CONFIG_PATH"] = str(folder / "asound.conf")


def blasts(case: Device) -> "np.ndarray[Any, np.dtype[np.int16]]":
    """A loop of noise with a muzzle blast every `BLAST_EVERY_S`, its front at a whole number of samples."""
    rng = np.random.default_rng(7)
    n = round(LOOP_S * case.rate_hz)
    sound = rng.normal(0.0, 0.002, n)
    for second in np.arange(0.5, LOOP_S, BLAST_EVERY_S):
        wave = friedlander(peak_pa(150.0), 2e-3, float(case.rate_hz)).pressure_pa
        first = round(second * case.rate_hz)
        sound[first : first + len(wave)] += 0.5 * wave / np.max(np.abs(wave))
    frames = np.repeat(np.clip(sound * 32_768, -32_768, 32_767)[:, None], case.n_channels, axis=1)
    return frames.astype("<i2")


def hear(number: int, case: Device, folder: Path, end_s: float) -> None:
    """Read one device until `end_s` (monotonic), comparing each block's time with the true one."""
    time.sleep(case.late_start_s)
    geometry = ArrayGeometry(tuple((0.0, 0.001 * i, 0.0) for i in range(case.n_channels)))
    source = AlsaMicrophones(
        ArraySettings(f"case{number}", geometry, case.rate_hz), lambda: UtcMapping(offset_ns=0, sigma_ns=0)
    )
    one = ArrayGeometry(((0.0, 0.0, 0.0),))
    detector = Detector(case.name.replace(" ", "-"), one) if case.blasts else None
    started_s, fault_s = time.monotonic(), time.monotonic() + case.overrun_every_s
    while time.monotonic() < end_s:
        block = source.read(1.0)
        if block is None:
            continue
        if detector is not None:
            mono = AudioBlock(
                block.samples[:1].copy(), block.first_sample, block.sample_rate_hz, block.start_ns, block.sigma_ns
            )
            case.picks += detector.feed(mono).picks
            continue
        low, high = (round(float(channel[0]) * 32_768) for channel in block.samples[:2])
        error_ns = block.start_ns - case.true_ns(high * 32_768 + low)
        case.errors_ns.append((time.monotonic() - started_s, error_ns, block.sigma_ns))
        if case.overrun_every_s and time.monotonic() > fault_s:
            fault_s += case.overrun_every_s
            (folder / f"fault{number}").write_text("overrun", "ascii")
    case.drift_ppm, case.n_overruns = source.drift_ppm, source.n_overruns
    source.close()


def figures(case: Device) -> dict[str, object]:
    """What is kept of one device."""
    settled = [(error, sigma) for at_s, error, sigma in case.errors_ns if at_s >= SETTLED_S]
    errors_us = np.array([error for error, _ in settled]) / 1e3
    ratios = np.array([abs(error) / sigma for _, error, sigma in case.errors_ns])
    return {
        "rate_hz": case.rate_hz,
        "channels": case.n_channels,
        "overruns": case.n_overruns,
        "drift_error_ppm": round(abs((case.drift_ppm or math.nan) - case.ppm), 4),
        "utc_error_us_median": round(float(np.median(np.abs(errors_us))), 2),
        "utc_error_us_max": round(float(np.max(np.abs(errors_us))), 2),
        "stated_sigma_us_median": round(float(np.median([sigma for _, sigma in settled])) / 1e3, 2),
        "worst_error_over_sigma_from_the_start": round(float(ratios.max()), 2),
        "blocks_beyond_4_sigma": int(np.count_nonzero(ratios > 4.0)),
        "blocks": len(ratios),
    }


def arrivals_s(case: Device, first_ns: int) -> list[float]:
    """Errors of the picks of blasts from `first_ns` on, seconds."""
    errors = []
    for pick in case.picks:
        if pick.time_ns < first_ns:
            continue
        frame = (pick.time_ns - case.epoch_ns) * case.rate_hz * (1 + case.ppm * 1e-6) / 1e9
        nearest = round((frame / case.rate_hz - 0.5) / BLAST_EVERY_S) * BLAST_EVERY_S + 0.5
        errors.append(pick.time_ns / 1e9 - case.true_ns(nearest * case.rate_hz) / 1e9)
    return errors


def tdoa_figures(a: Device, b: Device, first_ns: int) -> dict[str, object]:
    """How far two nodes' differences of arrival are from the true ones, pick by pick."""
    pairs = list(zip(arrivals_s(a, first_ns), arrivals_s(b, first_ns), strict=False))
    errors_us = np.abs([(x - y) * 1e6 for x, y in pairs])
    return {
        "drifts_ppm": [a.ppm, b.ppm],
        "blasts": len(pairs),
        "tdoa_error_us_median": round(float(np.median(errors_us)), 2),
        "tdoa_error_us_max": round(float(np.max(errors_us)), 2),
    }


def healing(folder: Path, case: Device, number: int) -> dict[str, dict[str, float]]:
    """How long each fault of a device goes unnoticed, and how long after its end there is sound again, seconds."""
    found = {}
    source = AlsaMicrophones(
        ArraySettings(f"case{number}", ArrayGeometry(((0.0, 0.0, 0.0),) * 2), case.rate_hz),
        lambda: UtcMapping(offset_ns=0, sigma_ns=0),
    )
    fault = folder / f"fault{number}"
    for word in ("overrun", "stall", "unplug"):
        next_sample = hear_for(source, 3.0)
        draft = fault.with_suffix(".draft")
        draft.write_text(word, "ascii")
        began_s = time.monotonic()
        draft.rename(fault)
        noticed_s = until(source, next_sample, is_heard=False) - began_s
        fault.unlink(missing_ok=True)
        ended_s = time.monotonic()
        healed_s = until(source, 0, is_heard=True) - ended_s
        found[word] = {"noticed_s": round(noticed_s, 2), "healed_s": round(healed_s, 2)}
    source.close()
    return found


def hear_for(source: AlsaMicrophones, seconds: float) -> int:
    """Read for a while; the number of the sample that comes next."""
    end_s, next_sample = time.monotonic() + seconds, 0
    while time.monotonic() < end_s or next_sample == 0:
        block = source.read(1.0)
        if block is not None:
            next_sample = block.first_sample + block.n_samples
    return next_sample


def until(source: AlsaMicrophones, next_sample: int, *, is_heard: bool) -> float:
    """When there was sound, or else when a fault showed (monotonic): by an error, or by a gap in what is heard."""
    while True:
        try:
            block = source.read(0.1)
        except DeviceError:
            if not is_heard:
                return time.monotonic()
            continue
        if block is None:
            continue
        if is_heard or block.first_sample != next_sample:
            return time.monotonic()
        next_sample += block.n_samples


def main() -> None:
    """Measure, print and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    seconds = parser.parse_args().seconds
    cases = devices()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        configure(folder, cases)
        start_ns = time.monotonic_ns()
        end_s = time.monotonic() + seconds
        threads = [threading.Thread(target=hear, args=(i, case, folder, end_s)) for i, case in enumerate(cases)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        faults = healing(folder, cases[3], 3)
    measured = {case.name: figures(case) for case in cases if not case.blasts}
    node_a, node_b = (case for case in cases if case.blasts)
    result = {
        "what": "times of samples read through ALSA from devices that run 40 ppm fast, against the true ones",
        "how": f"scripts/bench capture ({seconds:g} s; errors from {SETTLED_S:g} s on)",
        "machine": f"{platform.machine()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}",
        "date": datetime.now(UTC).date().isoformat(),
        "devices": measured,
        "faults": faults,
        "two nodes, one blast": tdoa_figures(node_a, node_b, start_ns + round(SETTLED_S * 1e9)),
    }
    print(json.dumps(result, indent=2))
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
