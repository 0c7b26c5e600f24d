"""Single sound files, as `earshot classify` hears them."""

import numpy as np
import pytest
import soundfile

from appliance.errors import InputError
from appliance.scene.sound import read_sound, sound_blocks

RATE_HZ = 16_000


def background(seed: int, seconds: float, rms: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, rms, round(seconds * RATE_HZ)).astype(np.float32)


def test_the_first_channel_of_a_file_is_read_whole(tmp_path):
    stereo = np.stack([background(1, 0.5, 0.1), background(2, 0.5, 0.2)], axis=1)
    soundfile.write(tmp_path / "two.wav", stereo, RATE_HZ, subtype="PCM_24")
    samples, rate_hz = read_sound(tmp_path / "two.wav")
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(samples, stereo[:, 0], atol=2**-22)


def test_time_zero_is_the_first_sample_of_the_file():
    samples = background(1, 0.35, 0.1)
    samples[0] = 0.999
    blocks = list(sound_blocks(samples, RATE_HZ))
    whole = np.concatenate([block.samples[0] for block in blocks])
    marked = int(np.argmax(whole))
    assert blocks[0].start_ns + round(marked / RATE_HZ * 1e9) == 0
    assert np.array_equal(whole[marked:], samples)


def test_the_lead_in_is_as_loud_as_the_quiet_of_the_file_so_that_the_start_is_no_onset():
    rain = background(3, 2.0, 0.05)
    whole = np.concatenate([block.samples[0] for block in sound_blocks(rain, RATE_HZ)])
    lead_in = whole[: whole.size - rain.size]
    assert 0.8 < float(np.std(lead_in)) / 0.05 < 1.2


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, "is no file"),
        (lambda path: path.write_bytes(b"not sound"), "can't be read"),
        (lambda path: soundfile.write(path, np.zeros(0), RATE_HZ), "is empty"),
        (lambda path: soundfile.write(path, np.zeros(10), 4_000), "4000 samples a second"),
        (lambda path: soundfile.write(path, np.full(10, np.nan), RATE_HZ, subtype="FLOAT"), "no numbers"),
    ],
)
def test_what_is_no_sound_is_refused_by_name(tmp_path, write, words):
    path = tmp_path / "clip.wav"
    write(path)
    with pytest.raises(InputError, match=words) as caught:
        read_sound(path)
    assert str(path) in str(caught.value)
