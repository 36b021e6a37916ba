"""What a station hears of a device, without a broker."""

from __future__ import annotations

from collections.abc import Iterable

from wire import START, composer, stamp

from edgemon.messages import Composer, encode
from edgemon.messages import payloads as p
from edgemon.records import Message
from edgemon.station.inbox import read
from edgemon.station.nouns import Heard, to_ms

BASE, PLACE, WIDE = "site/nicu/cot-pi-1", "site/nicu/cot-pi-1/cot-1", "site/nicu/cot-pi-1/_device"
NOW_MS = to_ms(START)
OUTBOX = p.OutboxHealth(waiting=0, bytes=0, oldest_s=0, dropped=0)


def heard(message: Message, *, retained: bool = False, now_ms: int = NOW_MS) -> Heard:
    """A message as the station reads it."""
    said = read(message.topic, encode(message), retained=retained, now_ms=now_ms)
    assert isinstance(said, Heard), said
    return said


def all_heard(messages: Iterable[Message], *, now_ms: int = NOW_MS) -> list[Heard]:
    """Several."""
    return [heard(message, now_ms=now_ms) for message in messages]


def birth(device: Composer, beds: tuple[str, ...] = ("cot-1",), software: str = "edgemon 1") -> Message:
    """What a device is."""
    return device.birth(
        stamp(), software=software, beds=beds, models=[], capabilities=["sleep"], alarms=[], delivery="receipt"
    )


def online(device: Composer, connection: int = 1) -> Message:
    """That a device has connected."""
    return device.avail("online", stamp(), connection=connection)


def rebooted(session: int, boot: str = "b00t2", first: int = 1) -> Composer:
    """The device after another start."""
    return Composer("site", "nicu", "cot-pi-1", boot, session, numbers=iter(range(first, 10_000)))


__all__ = ["BASE", "NOW_MS", "OUTBOX", "PLACE", "WIDE", "all_heard", "birth", "composer", "heard", "online", "rebooted"]
