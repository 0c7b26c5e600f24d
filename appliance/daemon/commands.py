"""What pages ask of mesh: records that people write, and things that only mesh can do. Every command is answered."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from appliance.daemon.exchange import Written
from appliance.errors import EarshotError
from appliance.ledger.limits import TokenBucket
from appliance.mesh.local import Reply
from appliance.wire.messages import AnswerMessage, CommandMessage
from appliance.wire.records import KINDS, Body, Remark, Unread, read_body
from appliance.wire.remarks import record_name

log = logging.getLogger(__name__)

COMMANDS_PER_S = 20.0
"""A shift of fifty cars that all acknowledge at once is through in three seconds."""
COMMANDS_BURST = 200.0

Action = Callable[[bytes, str], Coroutine[Any, Any, bytes]]
"""Does what a command's body asks for, in the name of a person; gives what the command gives back.

Raises EarshotError where it can't.
"""


class Commands:
    """Carries out commands of the pages. Everything runs in one event loop."""

    def __init__(
        self,
        publish: Callable[[Body], Written],
        now_s: Callable[[], float],
        actions: Mapping[str, Action] | None = None,
    ) -> None:
        """Write records by `publish`; `now_s` is the monotonic time; `actions` are commands that are no records."""
        self._publish = publish
        self._now_s = now_s
        self._actions = dict(actions or {})
        self._bucket = TokenBucket(COMMANDS_PER_S, COMMANDS_BURST)
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, command: CommandMessage, reply: Reply) -> None:
        """Do what a command says and answer it: records once they are on disk, the rest once it is done."""
        if not self._bucket.take(1.0, self._now_s()):
            reply(_refusal(command, "too many commands at once; try again in a few seconds"))
        elif command.kind in self._actions:
            task = asyncio.ensure_future(self._act(command, reply))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif command.kind in KINDS and issubclass(KINDS[command.kind].body, Remark):
            self._write(command, reply)
        else:
            reply(_refusal(command, f"a page can't ask for {command.kind}"))

    async def close(self) -> None:
        """Leave what is not done undone."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _act(self, command: CommandMessage, reply: Reply) -> None:
        try:
            body = await self._actions[command.kind](command.body, command.by)
        except EarshotError as error:
            reply(_refusal(command, f"{error.thing} {error.problem}; {error.remedy}"))
            return
        log.info("%s: done for %s", command.kind, command.by)
        reply(AnswerMessage(command.request, ok=True, body=body))

    def _write(self, command: CommandMessage, reply: Reply) -> None:
        body = read_body(command.kind, command.body)
        if isinstance(body, Unread) or not isinstance(body, Remark):
            reply(_refusal(command, body.reason if isinstance(body, Unread) else "is no remark"))
            return
        try:
            written = self._publish(msgspec.structs.replace(body, by=command.by))
        except EarshotError as error:
            reply(_refusal(command, f"{error.thing} {error.problem}; {error.remedy}"))
            return
        name = record_name(written.record)

        def answer(stored: "asyncio.Future[int | None]") -> None:
            if stored.cancelled() or stored.exception() is not None:
                reply(_refusal(command, "the record could not be stored; look at this node's disk"))
            else:
                reply(AnswerMessage(command.request, ok=True, record=name))

        written.stored.add_done_callback(answer)


def _refusal(command: CommandMessage, reason: str) -> AnswerMessage:
    return AnswerMessage(command.request, ok=False, reason=reason[:200])
