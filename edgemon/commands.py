"""What a station may ask of a device's alarms: one row a command; stale, unknown or out of bounds is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgemon.errors import CommandRefused
from edgemon.events.engine import AlarmEngine
from edgemon.messages import payloads as p
from edgemon.records import AlarmEvent


def _acknowledge(engine: AlarmEngine, request: p.CommandRequest, now_s: float) -> tuple[AlarmEvent, ...]:
    for event in engine.active():
        if event.alarm_id == request.alarm_id:
            return (engine.acknowledge(event.condition, request.revision or 0, now_s, request.by),)
    raise CommandRefused(f"no alarm {request.alarm_id!r} stands in {engine.bed}")


def _pause(engine: AlarmEngine, request: p.CommandRequest, now_s: float) -> tuple[AlarmEvent, ...]:
    pause = {"audio": engine.pause_audio, "procedure": engine.pause}[request.pause or "audio"]
    return pause(request.duration_s or 0.0, now_s, request.by)


_COMMANDS: Mapping[str, Callable[[AlarmEngine, p.CommandRequest, float], tuple[AlarmEvent, ...]]] = {
    "acknowledge": _acknowledge,
    "pause": _pause,
}


def execute(engines: Mapping[str, AlarmEngine], request: p.CommandRequest, now_s: float) -> tuple[AlarmEvent, ...]:
    """The moves that an alarm command caused.

    Raises:
        CommandRefused: with the reason; nothing was changed.
    """
    engine, command = engines.get(request.bed), _COMMANDS.get(request.name)
    if engine is None:
        raise CommandRefused(f"no bed {request.bed!r} here; known: {', '.join(engines)}")
    if command is None:
        raise CommandRefused(f"{request.name!r} is no command to an alarm; known: {', '.join(_COMMANDS)}")
    return command(engine, request, now_s)
