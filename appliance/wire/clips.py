"""Clips and refusals as the messages that carry them from listen to mesh."""

from collections.abc import Sequence
from itertools import groupby

import msgspec

from appliance.pipeline.clips import Clip, Refusal
from appliance.wire.messages import MAX_CLIP_PART_BYTES, ClipMessage


def clip_messages(answers: Sequence[Clip | Refusal], room_bytes: int) -> list[ClipMessage]:
    """The messages of whole answers (those to one request stand together); the last of each request says so.

    Clips that `room_bytes` has no room for become refusals.
    """
    messages: list[ClipMessage] = []
    for _, group in groupby(answers, key=lambda answer: answer.request):
        parts: list[ClipMessage] = []
        for answer in group:
            if isinstance(answer, Clip) and answer.samples.nbytes > room_bytes:
                parts.append(_refusal(Refusal(answer.request, answer.pick, "earlier clips were not read yet")))
            elif isinstance(answer, Clip):
                room_bytes -= answer.samples.nbytes
                parts += _parts(answer)
            else:
                parts.append(_refusal(answer))
        messages += [*parts[:-1], _as_last(parts[-1])]
    return messages


def _parts(clip: Clip) -> list[ClipMessage]:
    data = clip.samples.astype("<i2").tobytes()
    return [
        ClipMessage(
            request=clip.request,
            pick=clip.pick,
            first_ns=clip.first_ns,
            clock_sigma_ns=clip.clock_sigma_ns,
            rate_hz=clip.rate_hz,
            n_channels=clip.samples.shape[1],
            total_bytes=len(data),
            offset=offset,
            data=data[offset : offset + MAX_CLIP_PART_BYTES],
            last=False,
        )
        for offset in range(0, len(data), MAX_CLIP_PART_BYTES)
    ]


def _refusal(refusal: Refusal) -> ClipMessage:
    return ClipMessage(refusal.request, refusal.pick, 0, 0, 0.0, 0, 0, 0, b"", last=False, refused=refusal.reason[:200])


def _as_last(message: ClipMessage) -> ClipMessage:
    return msgspec.structs.replace(message, last=True)
