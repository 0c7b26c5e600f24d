import random
import struct

import pytest

from appliance.errors import PeerError
from appliance.wire.framing import MAX_FRAME_BYTES, FrameDecoder, encode_frame
from appliance.wire.messages import (
    ChangedMessage,
    ClockMessage,
    HeartbeatMessage,
    RejectionMessage,
    local_decoder,
    peer_decoder,
)


def decoder():
    return FrameDecoder(local_decoder(), "listen.sock")


MESSAGES = [RejectionMessage(i, "onset", "x" * i) for i in range(0, 200, 7)]


@pytest.mark.parametrize("seed", range(20))
def test_messages_come_out_whole_and_in_order_however_the_bytes_are_cut(seed):
    rng = random.Random(seed)
    data = b"".join(map(encode_frame, MESSAGES))
    cuts = sorted(rng.sample(range(len(data)), 40))
    frames = decoder()
    heard = [m for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) for m in frames.feed(data[a:b])]
    assert heard == MESSAGES


def test_a_frame_is_four_bytes_of_length_and_msgpack():
    assert encode_frame(ChangedMessage(5)) == b"\0\0\0\x10" + b"\x82\xa1t\xa7changed\xa3row\x05"


def test_an_announced_length_beyond_the_bound_is_refused_before_any_of_it_came():
    with pytest.raises(PeerError, match="too long a message"):
        decoder().feed(struct.pack(">I", MAX_FRAME_BYTES + 1))


def test_our_own_message_beyond_the_bound_is_not_sent():
    with pytest.raises(ValueError, match="longer than a frame"):
        encode_frame(RejectionMessage(0, "", "x" * MAX_FRAME_BYTES))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x80",
        b"\x81\xa1t\xa5other",
        b"\x81\xa1t\xa1\xff",
        b"\x82\xa1t\xa7changed\xa3row\xd3" + b"\xff" * 8,
        b"\x82\xa1t\xa7changed\xa3row\xcb\x7f\xf8" + bytes(6),
        pytest.param(b"\x82\xa1t\xa7changed\xa1z" + b"\x91" * 100_000 + b"\xc0", id="deep"),
        encode_frame(ChangedMessage(1))[4:-1],
        encode_frame(ChangedMessage(1))[4:] + b"\0",
    ],
    ids=repr,
)
def test_a_malformed_message_is_an_error_of_one_line_that_names_the_sender(payload):
    with pytest.raises(PeerError) as caught:
        decoder().feed(struct.pack(">I", len(payload)) + payload)
    line = str(caught.value)
    assert line.startswith("listen.sock: ")
    assert line.isprintable()
    assert len(line) < 400


def test_random_and_damaged_bytes_never_cause_another_error_than_the_one_for_peers():
    good = encode_frame(ClockMessage(-5, 7)) + encode_frame(HeartbeatMessage(3))
    n_refused = 0
    for seed in range(2_000):
        rng = random.Random(seed)
        data = bytearray(good if seed % 2 else rng.randbytes(rng.randint(1, 60)))
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        for messages in (local_decoder(), peer_decoder()):
            frames = FrameDecoder(messages, "x")
            try:
                frames.feed(bytes(data))
            except PeerError:
                n_refused += 1
    assert n_refused > 1_000
