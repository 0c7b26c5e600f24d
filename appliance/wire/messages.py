"""The messages between the processes of one node, and those between nodes. All are bounded, and a hello comes first."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from appliance.ledger.records import Head, KindName, NodeName, Range, Record
from appliance.model.audio import MAX_CHANNELS
from appliance.model.instants import UtcNs
from appliance.model.picks import Pick, Rejection
from appliance.wire.documents import SigmaNs, TimeNs
from appliance.wire.records import MAX_CHECKS, CheckBody, Label, PickBody, PickName, pick_from_body, pick_to_body

LOCAL_VERSION: Final = 1
"""Version of the messages between the processes of one node, which always run the same software."""
PEER_VERSION: Final = 1
"""Version of the messages between nodes. Unknown fields are ignored; anything else raises it."""

MAX_RECORDS = 128
"""Records in one message; with `MAX_RECORDS_BYTES` a message stays within a frame."""
MAX_RECORDS_BYTES = 192 * 1024
MAX_HEADS = 1_000
"""Heads in one message; more streams than that come in several."""
MAX_CERTIFICATES = 64
MAX_CERTIFICATE_BYTES = 2_048
"""Ours take 500 bytes."""
MAX_BANDS = 32
"""Third octaves from 25 Hz to 20 kHz are 30."""
MAX_CLIP_PICKS = 64
"""Picks in one request; thirty rounds and their echoes are one clip."""
MAX_CLIP_PART_BYTES = 192 * 1024
"""Sound in one message, so that it stays within a frame."""
MAX_CLIP_BYTES = 60 * 96_000 * MAX_CHANNELS * 2
"""An hour's allowance of sound at the highest rate from the largest array; ordinary clips have a hundredth."""
MAX_COMMAND_BYTES = 8 * 1024
"""A review with the longest note takes 4 KiB."""
Dbfs = Annotated[float, Meta(ge=-400.0, le=100.0)]
Reason = Annotated[str, Meta(max_length=200)]


class HelloMessage(msgspec.Struct, frozen=True, tag_field="t", tag="hello"):
    """First message of every process that connects to mesh: who it is."""

    role: Literal["listen", "web"]
    software: Annotated[str, Meta(max_length=64)]
    version: Annotated[int, Meta(ge=1, le=1_000)] = LOCAL_VERSION


class PickMessage(msgspec.Struct, frozen=True, tag_field="t", tag="pick"):
    """Listen read a wavefront. It sends the pick again until it is acknowledged."""

    node: NodeName
    pick: PickBody


class RejectionMessage(msgspec.Struct, frozen=True, tag_field="t", tag="rejection"):
    """An onset that became no pick; for the technician's list."""

    time_ns: TimeNs
    stage: Annotated[str, Meta(max_length=64)]
    reason: Reason


class ChannelLevel(msgspec.Struct, frozen=True, array_like=True):
    """Levels of one channel since the last message; silence is -400 dBFS.

    bands_dbfs: root mean square in third octaves from 25 Hz up, over half a second, new once a second; empty: not known
    """

    rms_dbfs: Dbfs
    peak_dbfs: Dbfs
    n_clipped_samples: Annotated[int, Meta(ge=0, lt=2**53)]
    bands_dbfs: Annotated[tuple[Dbfs, ...], Meta(max_length=MAX_BANDS)] = ()


class LevelsMessage(msgspec.Struct, frozen=True, tag_field="t", tag="levels"):
    """What listen hears, a few times a second: the end of the newest block, its clock's sigma, and the levels."""

    time_ns: TimeNs
    clock_sigma_ns: SigmaNs
    channels: Annotated[tuple[ChannelLevel, ...], Meta(max_length=MAX_CHANNELS)]


class HealthMessage(msgspec.Struct, frozen=True, tag_field="t", tag="health"):
    """Checks that listen makes itself (the device, the classifier); each replaces the one of its name."""

    checks: Annotated[tuple[CheckBody, ...], Meta(max_length=MAX_CHECKS)]


class AckMessage(msgspec.Struct, frozen=True, tag_field="t", tag="ack"):
    """Mesh has these picks safely on disk, or will never take them."""

    picks: Annotated[tuple[PickName, ...], Meta(max_length=1_000)]


class ClockMessage(msgspec.Struct, frozen=True, tag_field="t", tag="clock"):
    """Mesh tells listen, once a second, how far UTC is from CLOCK_MONOTONIC, with the 1-sigma error of that."""

    offset_ns: Annotated[int, Meta(gt=-(2**62), lt=2**62)]
    sigma_ns: SigmaNs


class ClipRequestMessage(msgspec.Struct, frozen=True, tag_field="t", tag="clip?"):
    """Mesh asks listen for the sound around some of listen's own picks, while listen still has it in memory.

    Listen answers with one clip for each stretch that their surroundings make together, and with one refusal for each
    pick that it has no sound of, or is not to give any; the last message of the answer says that it is the last.
    """

    request: Annotated[int, Meta(ge=0, lt=2**53)]
    picks: Annotated[tuple[PickName, ...], Meta(min_length=1, max_length=MAX_CLIP_PICKS)]


class ClipMessage(msgspec.Struct, frozen=True, tag_field="t", tag="clip"):
    """A part of a clip, or why there is none.

    request:        as asked
    pick:           the first pick in the clip, of those asked for; or the one refused
    first_ns:       UTC of the clip's first sample, with `clock_sigma_ns`; 0 where refused
    rate_hz:        the converter's true rate; 0 where refused
    total_bytes:    length of the whole clip; 0 where refused
    offset, data:   this part of it: 16 bit, little end first, channels interleaved
    last:           nothing more comes in answer to this request
    refused:        why there is no sound of this pick; None: there is
    """

    request: Annotated[int, Meta(ge=0, lt=2**53)]
    pick: PickName
    first_ns: TimeNs
    clock_sigma_ns: SigmaNs
    rate_hz: Annotated[float, Meta(ge=0.0, le=100_000.0)]
    n_channels: Annotated[int, Meta(ge=0, le=MAX_CHANNELS)]
    total_bytes: Annotated[int, Meta(ge=0, le=MAX_CLIP_BYTES)]
    offset: Annotated[int, Meta(ge=0, le=MAX_CLIP_BYTES)]
    data: Annotated[bytes, Meta(max_length=MAX_CLIP_PART_BYTES)]
    last: bool
    refused: Reason | None = None


class ChangedMessage(msgspec.Struct, frozen=True, tag_field="t", tag="changed"):
    """Mesh tells web that events up to `row` are in the database."""

    row: Annotated[int, Meta(ge=0, lt=2**62)]


class CommandMessage(msgspec.Struct, frozen=True, tag_field="t", tag="command"):
    """Web asks mesh to write a record of `kind`, or to do something; `by` is the person who is logged in.

    `body` is msgpack of the kind's struct in `wire.records`; mesh puts `by` into it, whatever it says there.
    """

    request: Annotated[int, Meta(ge=0, lt=2**53)]
    kind: KindName
    body: Annotated[bytes, Meta(max_length=MAX_COMMAND_BYTES)]
    by: Label


class AnswerMessage(msgspec.Struct, frozen=True, tag_field="t", tag="answer"):
    """What came of a command, to the connection that it came from.

    ok:     whether it was done; a record is on disk and on its way to the peers then
    reason: why it was not done, for people; empty where it was
    record: "node:epoch:seq" of the record that was written, or empty
    body:   what the command gives back (msgpack), or empty
    """

    request: Annotated[int, Meta(ge=0, lt=2**53)]
    ok: bool
    reason: Reason = ""
    record: Annotated[str, Meta(max_length=100)] = ""
    body: Annotated[bytes, Meta(max_length=MAX_COMMAND_BYTES)] = b""


LocalMessage = (
    HelloMessage
    | PickMessage
    | RejectionMessage
    | LevelsMessage
    | HealthMessage
    | AckMessage
    | ClockMessage
    | ChangedMessage
    | ClipRequestMessage
    | ClipMessage
    | CommandMessage
    | AnswerMessage
)


class PeerHelloMessage(msgspec.Struct, frozen=True, tag_field="t", tag="hello"):
    """First message in both directions between nodes; the node must be the one in the certificate."""

    node: NodeName
    software: Annotated[str, Meta(max_length=64)]
    version: Annotated[int, Meta(ge=1, le=1_000)] = PEER_VERSION


class RosterMessage(msgspec.Struct, frozen=True, tag_field="t", tag="roster"):
    """Certificates (DER) of nodes of the site, so that records of nodes that are away can be checked."""

    certificates: Annotated[
        tuple[Annotated[bytes, Meta(max_length=MAX_CERTIFICATE_BYTES)], ...], Meta(max_length=MAX_CERTIFICATES)
    ]


class HeadsMessage(msgspec.Struct, frozen=True, tag_field="t", tag="heads"):
    """Streams of which the sender has more on disk than it said before."""

    heads: Annotated[tuple[Head, ...], Meta(max_length=MAX_HEADS)]


class WantMessage(msgspec.Struct, frozen=True, tag_field="t", tag="want"):
    """A request for records; the answer is one `RecordsMessage`, cut short where a frame is full."""

    ranges: Annotated[tuple[Range, ...], Meta(min_length=1, max_length=64)]


class RecordsMessage(msgspec.Struct, frozen=True, tag_field="t", tag="records"):
    """Records, pushed as they are written or `asked` for; each stream's in order."""

    records: Annotated[tuple[Record, ...], Meta(max_length=MAX_RECORDS)]
    asked: bool


class HeartbeatMessage(msgspec.Struct, frozen=True, tag_field="t", tag="heartbeat"):
    """Once a second: the sender is alive, and what time it has."""

    time_ns: TimeNs


PeerMessage = PeerHelloMessage | RosterMessage | HeadsMessage | WantMessage | RecordsMessage | HeartbeatMessage


def local_decoder() -> msgspec.msgpack.Decoder[LocalMessage]:
    """Decodes what the processes of one node say to each other."""
    return msgspec.msgpack.Decoder(LocalMessage)


def peer_decoder() -> msgspec.msgpack.Decoder[PeerMessage]:
    """Decodes what peers say."""
    return msgspec.msgpack.Decoder(PeerMessage)


def pick_message(pick: Pick) -> PickMessage:
    """A pick on its way to mesh."""
    return PickMessage(pick.node, pick_to_body(pick))


def pick_of(message: PickMessage) -> Pick:
    """The pick in a message."""
    return pick_from_body(message.pick, message.node)


def rejection_message(rejection: Rejection) -> RejectionMessage:
    """A rejection on its way to mesh; long words are cut."""
    return RejectionMessage(rejection.time_ns, rejection.stage[:64], rejection.reason[:200])


def rejection_of(message: RejectionMessage, node: str) -> Rejection:
    """The rejection in a message of `node`'s own listen."""
    return Rejection(node, UtcNs(message.time_ns), message.stage, message.reason)


def pack_records(records: tuple[Record, ...], *, asked: bool) -> tuple[RecordsMessage, ...]:
    """As many messages as it takes to send `records` within the bounds of a message."""
    messages: list[RecordsMessage] = []
    batch: list[Record] = []
    size = 0
    for record in records:
        record_bytes = len(record.body or b"") + 400  # the fields beside the body take at most 350 bytes
        if batch and (len(batch) == MAX_RECORDS or size + record_bytes > MAX_RECORDS_BYTES):
            messages.append(RecordsMessage(tuple(batch), asked=asked))
            batch, size = [], 0
        batch.append(record)
        size += record_bytes
    if batch:
        messages.append(RecordsMessage(tuple(batch), asked=asked))
    return tuple(messages)
