"""`earshot latency` on a real ALSA device that plays a click at each second of the system clock, and a delay more."""

import re
import time
from pathlib import Path

import numpy as np
import pytest

from appliance.cli import main
from tests.devices.paced import build_plugin

RATE_HZ = 16_000
DELAY_S = 0.004
SETTINGS = """
[ears]
array = "generic"
device = "array"
[place]
source = "disabled"
[clock]
sigma_us = 10.0
"""


@pytest.mark.slow
def test_the_delay_of_an_array_is_measured_by_clicks_of_the_pulse(tmp_path: Path, monkeypatch, capsys) -> None:
    second = np.random.default_rng(3).normal(0.0, 30.0, RATE_HZ)
    first = round(DELAY_S * RATE_HZ)
    second[first : first + 64] += 15_000.0 * np.exp(-np.arange(64) / 12.0)
    (tmp_path / "sound.raw").write_bytes(second.astype("<i2").tobytes())
    # Frame 0 is made at a whole second.
    epoch_ns = time.monotonic_ns() - time.time_ns() % 1_000_000_000
    (tmp_path / "asound.conf").write_text(
        f'<confdir:alsa.conf>\npcm_type.paced {{ lib "{build_plugin(tmp_path)}" }}\n'
        f"pcm.array {{ type paced channels 1 rate {RATE_HZ} epoch_ns {epoch_ns}"
        f' file "{tmp_path}/sound.raw" fault "{tmp_path}/fault" }}\n'
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    (tmp_path / "earshot.toml").write_text(SETTINGS)
    assert main(["latency", "--state", str(tmp_path), "--seconds", "15"]) == 0
    found_us = float(re.search(r"latency_us = (-?[\d.]+)", capsys.readouterr().out)[1])
    assert found_us == pytest.approx(DELAY_S * 1e6, abs=100.0)
