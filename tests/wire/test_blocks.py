"""Sound blocks as bytes: back as they were, and refused when they are not what they say."""

import msgspec
import numpy as np
import pytest

from appliance.errors import PeerError
from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.instants import UtcNs
from appliance.wire.blocks import (
    StreamBlock,
    StreamHeader,
    decode_block,
    decode_geometry,
    encode_block,
    encode_header,
    stream_decoder,
)
from appliance.wire.framing import encode_frame

PAIR = ArrayGeometry(((0.0, 0.0, 0.0), (0.1, 0.0, 0.0)))


def test_a_header_and_a_block_come_back_as_they_were() -> None:
    samples = np.array([[0.5, -1.0, 1.0 / 32_768.0], [0.0, 0.25, -0.25]], dtype=np.float32)
    block = AudioBlock(samples, 7, 48_000.25, UtcNs(10**18 + 1), 250)
    header, message = stream_decoder("s").feed(encode_header(PAIR, 48_000.0) + encode_block(block))
    assert isinstance(header, StreamHeader)
    assert (decode_geometry(header), header.sample_rate_hz) == (PAIR, 48_000.0)
    assert isinstance(message, StreamBlock)
    again = decode_block(message, 2, "s")
    np.testing.assert_array_equal(again.samples, samples)
    assert (again.first_sample, again.sample_rate_hz, again.start_ns, again.sigma_ns) == (7, 48_000.25, 10**18 + 1, 250)


def test_what_is_louder_than_full_scale_is_clipped() -> None:
    block = AudioBlock(np.array([[3.0, -3.0]], dtype=np.float32), 0, 16_000.0, UtcNs(0), 0)
    (message,) = stream_decoder("s").feed(encode_block(block))
    assert isinstance(message, StreamBlock)
    np.testing.assert_array_equal(decode_block(message, 1, "s").samples, [[32_767.0 / 32_768.0, -1.0]])


@pytest.mark.parametrize(
    "message",
    [
        {"type": "header", "version": 2, "sample_rate_hz": 16_000.0, "microphones_m": [[0, 0, 0]]},
        {"type": "header", "version": 1, "sample_rate_hz": 1.0, "microphones_m": [[0, 0, 0]]},
        {"type": "header", "version": 1, "sample_rate_hz": float("nan"), "microphones_m": [[0, 0, 0]]},
        {"type": "header", "version": 1, "sample_rate_hz": 16_000.0, "microphones_m": []},
        {"type": "block", "first_sample": -1, "start_ns": 0, "sigma_ns": 0, "sample_rate_hz": 16e3, "samples": b"ab"},
        {"type": "block", "first_sample": 0, "start_ns": 0, "sigma_ns": 0, "sample_rate_hz": 16e3, "samples": b""},
        {"type": "song"},
    ],
)
def test_a_message_out_of_bounds_is_refused(message: object) -> None:
    payload = msgspec.msgpack.encode(message)
    with pytest.raises(PeerError, match="does not fit the protocol"):
        stream_decoder("s").feed(len(payload).to_bytes(4, "big") + payload)


def test_samples_that_do_not_come_out_even_are_refused() -> None:
    frame = encode_frame(StreamBlock(0, 0, 0, 16_000.0, b"abcdef"))
    (message,) = stream_decoder("s").feed(frame)
    assert isinstance(message, StreamBlock)
    with pytest.raises(PeerError, match="6 bytes of samples for 2 channels"):
        decode_block(message, 2, "s")
