"""From the bytes of a topic to what was heard, or why it is refused; pure. Nobody that is refused changes anything."""

from __future__ import annotations

import json
import re
from functools import lru_cache

from pydantic import ValidationError

from edgemon.errors import DeliveryError
from edgemon.messages import MAX_PAYLOAD_BYTES, Address, address
from edgemon.messages import payloads as p
from edgemon.messages import topics as t
from edgemon.station.nouns import Heard, Refused, to_ms

LEVEL = re.compile(r"[A-Za-z0-9_.:@-]{1,128}")
MARKUP = re.compile(r"[<>\x00-\x1f\x7f]")
UNFIT = re.compile(r"[^A-Za-z0-9 _.,:;'()\[\]/=+-]")
MAX_TEXT = 200
MAX_BEDS = 16
MAX_NUMBER = 2**53
NUMBERS = ("session", "seq", "mono_ms", "connection", "will_seq", "revision", "estimates", "signal_delay_ms")
TIMES = ("ts", "start", "end", "onset", "at")
DAY_MS = 86_400_000
FREE = {t.ALARM: "condition", t.EVENT: "type", t.SUMMARY: "period", t.RESPONSE: "name"}  # what a topic's `{}` repeats


class _No(Exception):
    """Not what its topic asks for."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason, self.text = reason, text


def read(topic: str, data: bytes, *, retained: bool, now_ms: int) -> Heard | Refused | None:
    """What one message says; None for what is no device's word, such as our own receipts.

    `data` may be cut one byte above the limit. A retained message is taken as old as it says it is.
    """
    base: str | None = None
    try:
        where, base, place = _address(topic)
        if where.topic.sender == "station":
            return None
        payload = _payload(where, data)
        if payload is None:
            return Heard(where, place, base, None, "", now_ms, retained)
        _fits(where, payload, now_ms)
        received_ms = min(now_ms, to_ms(payload.ts)) if retained else now_ms
        return Heard(where, place, base, payload, data.decode(), received_ms, retained)
    except _No as no:
        return Refused(base, no.reason, plain(no.text), now_ms)  # type: ignore[arg-type]


def plain(text: str) -> str:
    """A text without anything that could be taken for markup or control, at most 200 characters long."""
    return UNFIT.sub("?", text)[:MAX_TEXT]


@lru_cache(maxsize=32_768)
def _known(topic: str) -> tuple[Address, str, str]:
    where = address(topic)
    base = f"{where.site}/{where.unit}/{where.device}"
    return where, base, f"{base}/{where.bed}"


def _address(topic: str) -> tuple[Address, str, str]:
    try:
        where, base, place = _known(topic)
    except DeliveryError as error:
        raise _No("topic", str(error)) from error
    for level in (where.site, where.unit, where.device, where.bed, where.free or "x"):
        if LEVEL.fullmatch(level) is None:
            raise _No("topic", f"{topic}: a level is more than 128 plain characters")
    return where, base, place


def _payload(where: Address, data: bytes) -> p.Header | None:
    if len(data) > MAX_PAYLOAD_BYTES:
        raise _No("size", f"{where.topic.name}: more than {MAX_PAYLOAD_BYTES} bytes")
    if not data and where.topic is t.ALARM:
        return None
    try:
        payload = where.topic.model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = {"json_invalid": "json"}.get(first["type"], "version" if place == "v" else "schema")
        raise _No(reason, f"{where.topic.name}: {place or 'payload'}: {first['msg']}") from error
    if not isinstance(payload, p.Header):
        raise _No("schema", f"{where.topic.name}: not a message of a device")
    if any(mark in data for mark in (b"<", b">", b"\\")) and _has_markup(json.loads(data)):
        raise _No("schema", f"{where.topic.name}: a text in it has markup or control characters")
    return payload


def _has_markup(value: object) -> bool:
    """Whether a text in it is more than plain text; a device has no cause to say such."""
    if isinstance(value, str):
        return MARKUP.search(value) is not None
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_has_markup(one) for one in inner)


def _fits(where: Address, payload: p.Header, now_ms: int) -> None:
    """Whether it speaks of whom its topic names, and of times and numbers that there are."""
    said = (payload.device, payload.bed, getattr(payload, FREE[where.topic]) if where.topic in FREE else None)
    if said != (where.device, where.bed, where.free):
        raise _No("identity", f"{where.topic.name}: it names {said[0]}, {said[1]}, which its topic does not")
    if isinstance(payload, p.Birth) and not _are_beds(payload.beds):
        raise _No("range", f"birth: at most {MAX_BEDS} beds of different plain names")
    for name in _named(type(payload), NUMBERS):
        number = getattr(payload, name)
        if number is not None and number > MAX_NUMBER:
            raise _No("range", f"{where.topic.name}: {name} is above 2**53")
    for name in _named(type(payload), TIMES):
        ts = getattr(payload, name)
        if ts is not None and to_ms(ts) > now_ms + 365 * DAY_MS:
            raise _No("range", f"{where.topic.name}: {name} lies more than a year ahead")


@lru_cache(maxsize=64)
def _named(model: type[p.Header], names: tuple[str, ...]) -> tuple[str, ...]:
    """Which of the names are fields of a model; to ask a model for what it has not is slow."""
    return tuple(name for name in names if name in model.model_fields)


def _are_beds(beds: tuple[str, ...]) -> bool:
    return len(set(beds)) == len(beds) <= MAX_BEDS and all(LEVEL.fullmatch(bed) for bed in beds)
