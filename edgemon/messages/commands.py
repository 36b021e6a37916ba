"""Commands from stations: each is checked, executed once and answered."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from edgemon.errors import CommandRefused, IllegalTransition
from edgemon.messages import payloads as p
from edgemon.messages.compose import Composer, Stamp
from edgemon.messages.topics import address
from edgemon.records import Message

log = logging.getLogger(__name__)

MAX_REMEMBERED = 256
T = TypeVar("T")

OnCommand = Callable[[p.CommandRequest], int | None]


@dataclass(frozen=True, slots=True)
class Reply:
    """Where a request wants its response, and what is to come back with it (MQTT 5)."""

    topic: str | None
    correlation: bytes | None


class Commands:
    """What has been asked of one device, and how to answer it."""

    def __init__(self, composer: Composer, on_command: OnCommand, clock: Callable[[], Stamp]) -> None:
        self._composer, self._on_command, self._clock = composer, on_command, clock
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._replies: OrderedDict[str, Reply] = OrderedDict()  # by the id of the response

    def obey(self, request: p.CommandRequest, topic: str, reply: Reply) -> Message | None:
        """Execute a command that came by `topic`; returns the response, or nothing for a repeat."""
        if request.cmd_id in self._seen:
            return None
        _remember(self._seen, request.cmd_id, None)
        revision, reason = None, None
        try:
            self._check(request, topic)
            revision = self._on_command(request)
        except (CommandRefused, IllegalTransition) as error:
            reason = str(error)
            log.warning("command %s %s by %s refused: %s", request.name, request.cmd_id, request.by, reason)
        status: Literal["done", "refused"] = "refused" if reason else "done"
        response = self._composer.command_response(request, status, self._clock(), reason=reason, revision=revision)
        if isinstance(response.payload, p.CommandResponse):
            _remember(self._replies, response.payload.id, reply)
        return response

    def reply(self, row_id: str) -> Reply | None:
        """How to send the response with this id; none after a restart."""
        return self._replies.get(row_id)

    def topic(self, row_id: str, default: str) -> str:
        """Where to send a message: for a response where it was wanted, if that lies below this device."""
        reply = self._replies.get(row_id)
        wanted = reply.topic if reply else None
        return wanted if wanted and wanted.startswith(f"{self._composer.base}/") else default

    def _check(self, request: p.CommandRequest, topic: str) -> None:
        where = address(topic)
        if (request.device, request.bed, request.name) != (self._composer.device, where.bed, where.free):
            raise CommandRefused(
                f"names device {request.device}, bed {request.bed}, command {request.name}, but came by {topic}"
            )
        now = self._clock()
        # an unsynced clock cannot tell; a command cannot be old then either, for the broker keeps none for us
        if now.ts_src != "unsynced" and request.expires <= now.ts:
            raise CommandRefused(f"expired at {request.expires}; it is {now.ts} here")


def _remember(memory: OrderedDict[str, T], key: str, value: T) -> None:
    memory[key] = value
    if len(memory) > MAX_REMEMBERED:
        memory.popitem(last=False)
