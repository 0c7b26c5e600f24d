"""Sound blocks over a local stream, as the demo's world sends them to a node in place of a converter."""

from typing import Annotated, Literal

import msgspec
import numpy as np

from appliance.errors import PeerError
from appliance.model.audio import MAX_CHANNELS, MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ, ArrayGeometry, AudioBlock
from appliance.model.instants import NS_PER_S, UtcNs
from appliance.wire.documents import SigmaNs, TimeNs
from appliance.wire.framing import FrameDecoder, encode_frame
from appliance.wire.scenes import Microphones

MAX_VALUES = 100_000
"""Sample values in one message, all channels together: 200 kB, below the largest frame; longer blocks go in pieces."""

_FULL_SCALE = np.float32(32_768.0)
RateHz = Annotated[float, msgspec.Meta(ge=0.9 * MIN_SAMPLE_RATE_HZ, le=1.1 * MAX_SAMPLE_RATE_HZ)]
"""A true rate may differ from the nominal one by what a converter's error can be."""


class StreamHeader(msgspec.Struct, frozen=True, tag="header"):
    """What kind of sound follows: the first message of a stream."""

    version: Literal[1]
    sample_rate_hz: RateHz
    microphones_m: Microphones


class StreamBlock(msgspec.Struct, frozen=True, tag="block"):
    """Consecutive samples: int16, little end first, one channel after the other."""

    first_sample: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    start_ns: TimeNs
    sigma_ns: SigmaNs
    sample_rate_hz: RateHz
    samples: Annotated[bytes, msgspec.Meta(min_length=2, max_length=2 * MAX_VALUES)]


def encode_header(geometry: ArrayGeometry, sample_rate_hz: float) -> bytes:
    """The frame that opens a stream."""
    return encode_frame(StreamHeader(1, sample_rate_hz, list(geometry.microphones_m)))


def encode_block(block: AudioBlock) -> bytes:
    """A block as frames, several where it is long. Samples beyond full scale are clipped."""
    n_channels, n = block.samples.shape
    piece = max(1, MAX_VALUES // n_channels)
    return b"".join(_encode_piece(block, begin, min(begin + piece, n)) for begin in range(0, n, piece))


def stream_decoder(source: str) -> FrameDecoder[StreamHeader | StreamBlock]:
    """Turns the bytes of a stream into its messages; `source` is named in errors."""
    return FrameDecoder(msgspec.msgpack.Decoder(StreamHeader | StreamBlock), source)


def decode_geometry(header: StreamHeader) -> ArrayGeometry:
    """The array that a stream is of."""
    return ArrayGeometry(tuple(header.microphones_m))


def decode_block(message: StreamBlock, n_channels: int, source: str) -> AudioBlock:
    """A block of `n_channels`. Raises PeerError where the samples don't come out even."""
    if not 1 <= n_channels <= MAX_CHANNELS or len(message.samples) % (2 * n_channels):
        problem = f"sent {len(message.samples)} bytes of samples for {n_channels} channels"
        raise PeerError(source, problem, "the connection was closed; check that both ends run the same version")
    values = np.frombuffer(message.samples, dtype="<i2").reshape(n_channels, -1)
    return AudioBlock(
        samples=values.astype(np.float32) / _FULL_SCALE,
        first_sample=message.first_sample,
        sample_rate_hz=message.sample_rate_hz,
        start_ns=UtcNs(message.start_ns),
        sigma_ns=message.sigma_ns,
    )


def _encode_piece(block: AudioBlock, begin: int, end: int) -> bytes:
    scaled = np.clip(np.rint(block.samples[:, begin:end] * _FULL_SCALE), -32_768.0, 32_767.0)
    late_ns = round(begin / block.sample_rate_hz * NS_PER_S)
    return encode_frame(
        StreamBlock(
            first_sample=block.first_sample + begin,
            start_ns=block.start_ns + late_ns,
            sigma_ns=block.sigma_ns,
            sample_rate_hz=block.sample_rate_hz,
            samples=scaled.astype("<i2").tobytes(),
        )
    )
