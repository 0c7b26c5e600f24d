import msgspec
import pytest

from appliance.ledger.records import MAX_BODY_BYTES, Head, Range
from appliance.model.classes import ClassProbabilities
from appliance.model.picks import Phase, Pick, Rejection, pick_id
from appliance.wire.framing import MAX_FRAME_BYTES, FrameDecoder, encode_frame
from appliance.wire.messages import (
    MAX_CLIP_PART_BYTES,
    MAX_HEADS,
    MAX_RECORDS,
    AckMessage,
    ChangedMessage,
    ChannelLevel,
    ClipMessage,
    ClipRequestMessage,
    ClockMessage,
    HeadsMessage,
    HealthMessage,
    HeartbeatMessage,
    HelloMessage,
    LevelsMessage,
    PeerHelloMessage,
    RecordsMessage,
    RosterMessage,
    WantMessage,
    local_decoder,
    pack_records,
    peer_decoder,
    pick_message,
    pick_of,
    rejection_message,
    rejection_of,
)
from tests.ledger.authors import Author

PICK = Pick(
    id=pick_id(1_790_000_000_123_456_789, "n1"),
    node="n1",
    time_ns=1_790_000_000_123_456_789,
    sigma_ns=120_000,
    clock_sigma_ns=1_000,
    snr_db=23.5,
    level_db_spl=131.0,
    peak_dbfs=-0.5,
    clipped=True,
    bearing_deg=211.5,
    bearing_sigma_deg=3.0,
    elevation_deg=-12.5,
    elevation_sigma_deg=4.0,
    phase=Phase.MUZZLE_BLAST,
    phase_probability=0.995,
    classes=ClassProbabilities((0.9, 0.05, 0.0, 0.0, 0.0, 0.0, 0.05)),
    gunshot_probability=0.9,
)


def local(message):
    (decoded,) = FrameDecoder(local_decoder(), "x").feed(encode_frame(message))
    return decoded


def peer(message):
    (decoded,) = FrameDecoder(peer_decoder(), "x").feed(encode_frame(message))
    return decoded


@pytest.mark.parametrize(
    "message",
    [
        HelloMessage("listen", "earshot 1"),
        LevelsMessage(5, 6, (ChannelLevel(-60.5, -40.0, 3),) * 16),
        HealthMessage(()),
        AckMessage((PICK.id,)),
        ClockMessage(-(10**18), 500),
        ChangedMessage(10**9),
        ClipRequestMessage(7, (PICK.id,) * 64),
        ClipMessage(7, PICK.id, 5, 6, 48_001.5, 16, 10**7, 10**6, bytes(MAX_CLIP_PART_BYTES), last=False),
        ClipMessage(7, PICK.id, 0, 0, 0.0, 0, 0, 0, b"", last=True, refused="gone"),
    ],
    ids=lambda m: type(m).__name__,
)
def test_local_messages_arrive_as_they_were_sent(message):
    assert local(message) == message


@pytest.mark.parametrize(
    "message",
    [
        PeerHelloMessage("n1", "earshot 1"),
        RosterMessage((b"certificate",)),
        HeadsMessage((Head("n1", 2, 3),) * MAX_HEADS),
        WantMessage((Range("n1", 2, 3, 4),)),
        RecordsMessage((Author("n1").begin(),), asked=True),
        HeartbeatMessage(7),
    ],
    ids=lambda m: type(m).__name__,
)
def test_peer_messages_arrive_as_they_were_sent(message):
    assert peer(message) == message


def test_a_pick_arrives_with_every_field_it_had():
    assert pick_of(local(pick_message(PICK))) == PICK
    bare = Pick(pick_id(5_000, "n2"), "n2", 5_000, 1)
    assert pick_of(local(pick_message(bare))) == bare


def test_a_rejection_arrives_and_long_words_are_cut():
    rejection = Rejection("n1", 7, "onset", "too short: 0.4 ms")
    assert rejection_of(local(rejection_message(rejection)), "n1") == rejection
    long = rejection_of(local(rejection_message(Rejection("n1", 7, "s" * 99, "r" * 999))), "n1")
    assert (len(long.stage), len(long.reason)) == (64, 200)


@pytest.mark.parametrize(
    "message",
    [
        LevelsMessage(5, 6, (ChannelLevel(-60.5, -40.0, 3),) * 17),
        LevelsMessage(5, 6, (ChannelLevel(float("nan"), -40.0, 3),)),
        LevelsMessage(5, 6, (ChannelLevel(-60.0, float("inf"), 3),)),
        LevelsMessage(-1, 6, ()),
        HelloMessage("root", "x"),
        AckMessage(("../etc/passwd",)),
        HeadsMessage((Head("n1", 2, 3),) * (MAX_HEADS + 1)),
        HeadsMessage((Head("n1", 0, 3),)),
        WantMessage(()),
        WantMessage((Range("n1", 1, 0, 5),)),
        RosterMessage((b"x" * 5_000,)),
        RosterMessage((b"x",) * 65),
        PeerHelloMessage("<b>", "x"),
        HeartbeatMessage(-1),
        ClipRequestMessage(7, ()),
        ClipRequestMessage(7, (PICK.id,) * 65),
        ClipMessage(7, PICK.id, 5, 6, 48_000.0, 16, 10**7, 0, bytes(MAX_CLIP_PART_BYTES + 1), last=False),
        ClipMessage(7, PICK.id, 5, 6, 48_000.0, 17, 10**7, 0, b"", last=False),
    ],
    ids=lambda m: type(m).__name__,
)
def test_what_is_out_of_bounds_is_refused(message):
    data = msgspec.msgpack.encode(message)
    with pytest.raises(msgspec.ValidationError):
        local_decoder().decode(data)
    with pytest.raises(msgspec.ValidationError):
        peer_decoder().decode(data)


def test_fields_that_a_newer_version_added_are_ignored():
    newer = {**msgspec.to_builtins(HeartbeatMessage(7)), "battery": 0.5}
    assert peer_decoder().decode(msgspec.msgpack.encode(newer)) == HeartbeatMessage(7)


def test_records_are_packed_in_order_into_messages_that_fit_a_frame():
    author = Author("n" * 64)
    records = (author.begin(), *(author.write("k" * 32, bytes(MAX_BODY_BYTES if i % 3 else 10)) for i in range(300)))
    messages = pack_records(records, asked=True)
    assert tuple(r for m in messages for r in m.records) == records
    assert all(len(encode_frame(m)) <= MAX_FRAME_BYTES and len(m.records) <= MAX_RECORDS for m in messages)
    assert pack_records((), asked=True) == ()
