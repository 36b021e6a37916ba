"""The plain subscriber: a table that a nurse can read, or one JSON line per message; sends receipts when asked."""

from __future__ import annotations

import json
import logging
import queue
import shutil
import textwrap
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TextIO, TypeVar

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgemon.config import Mqtt
from edgemon.errors import DeliveryError
from edgemon.messages import MAX_PAYLOAD_BYTES, ROOT, Address, address, decode
from edgemon.messages import payloads as p
from edgemon.messages.credentials import password, tls_context
from edgemon.records import DEVICE_BED, Presence, Priority, Reason

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_IDS = 20_000
MAX_AT_ONCE = 200
MAX_BEDS = 1_000
REDRAW_S = 0.5
STALE_S = 45.0
READINGS = ("face", "eyes", "sleep", "cry", "heart rate")
DISCLAIMER = (
    "Not a medical device and not a certified alarm system: never rely on it to notice that a patient needs help."
)


@dataclass
class Delivery:
    """What came of one device: how many messages, repeats, and numbers that never came."""

    boot: str = ""
    session: int = 0
    first: int = 0
    newest: int = 0
    fresh: int = 0
    spared: set[int] = field(default_factory=set)  # numbers kept for last wills

    def count(self, header: p.Header) -> None:
        """Count a message that is no repeat."""
        if (header.boot, header.session) != (self.boot, self.session):
            if header.boot == self.boot and header.session < self.session:
                return  # history of an earlier session
            self.boot, self.session, self.first, self.newest, self.fresh = (
                header.boot, header.session, header.seq, header.seq, 0,
            )  # fmt: skip
            self.spared.clear()
        if isinstance(header, p.Avail) and header.will_seq is not None:
            self.spared.add(header.will_seq)
        self.newest = max(self.newest, header.seq)
        if header.seq >= self.first:
            self.fresh += 1
            self.spared.discard(header.seq)

    @property
    def missing(self) -> int:
        """Numbers between the first and the newest that have not come."""
        spared = sum(self.first <= number < self.newest for number in self.spared)
        return max(0, self.newest - self.first + 1 - self.fresh - spared)


@dataclass
class BedView:
    """What is known of one bed."""

    state: p.State | None = None
    heart_rate: p.HeartRateReading | None = None
    state_s: float = float("-inf")  # our monotonic time of arrival
    heart_rate_s: float = float("-inf")
    alarms: dict[str, p.Alarm] = field(default_factory=dict)
    received: int = 0
    repeats: int = 0


class Ward:
    """All that has been heard, without repeats."""

    def __init__(self) -> None:
        self.beds: OrderedDict[tuple[str, str], BedView] = OrderedDict()
        self.devices: dict[str, Delivery] = {}
        self.avail: dict[str, p.Avail] = {}
        self._ids: OrderedDict[str, None] = OrderedDict()

    def hear(self, where: Address, payload: p.Payload | None, now_s: float) -> bool:
        """Take a message in; False for a repeat."""
        bed = self._bed(where)
        if payload is None:
            bed.alarms.pop(where.free or "", None)
            return True
        if isinstance(payload, p.Avail):
            return self._hear_avail(where, payload)
        if not isinstance(payload, p.Header):
            return True
        if payload.id in self._ids:
            bed.repeats += 1
            return False
        self._ids[payload.id] = None
        if len(self._ids) > MAX_IDS:
            self._ids.popitem(last=False)
        bed.received += 1
        self.devices.setdefault(where.device, Delivery()).count(payload)
        _learn(bed, payload, now_s)
        return True

    def _hear_avail(self, where: Address, avail: p.Avail) -> bool:
        known = self.avail.get(where.device)
        if avail.status != "offline":
            self.devices.setdefault(where.device, Delivery()).count(avail)
        elif known and (avail.session, avail.connection) < (known.session, known.connection):
            return False  # the last will of a connection that has been replaced
        self.avail[where.device] = avail
        return True

    def _bed(self, where: Address) -> BedView:
        if len(self.beds) > MAX_BEDS:
            self.beds.popitem(last=False)
        return self.beds.setdefault((where.device, where.bed), BedView())


def _learn(bed: BedView, payload: p.Header, now_s: float) -> None:
    if isinstance(payload, p.State):
        bed.state, bed.state_s = payload, now_s
    elif isinstance(payload, p.HeartRateVital):
        bed.heart_rate, bed.heart_rate_s = payload.heart_rate, now_s
    elif isinstance(payload, p.Alarm) and not payload.replay:
        known = bed.alarms.get(payload.condition)
        if known is None or (payload.session, payload.seq) > (known.session, known.seq):
            bed.alarms[payload.condition] = payload


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


@dataclass(frozen=True, slots=True)
class Cell:
    """One reading in words: what it is, then how old it is or why it is unknown."""

    value: str
    note: str = ""

    @property
    def line(self) -> str:
        """Without the age, for a log of changes."""
        return self.value if self.value != "unknown" else f"unknown ({self.note})"


def _told(reading: p.Measured[T], since_s: float, words: Callable[[T], str]) -> Cell:
    """A reading that came here `since_s` ago."""
    age_s = reading.age_s + since_s
    if age_s > STALE_S and reading.reason is not Reason.DISABLED:
        return Cell("no data", f"for {_age(age_s)}")
    if reading.value is None:
        return Cell("unknown", (reading.reason or "").replace("_", " "))
    return Cell(words(reading.value), f"{_age(age_s)} ago")


def _rate(reading: p.HeartRateReading) -> Callable[[float], str]:
    return lambda bpm: f"{bpm:.0f}/min quality {100 * reading.quality:.0f}%"


def cells(bed: BedView, now_s: float) -> dict[str, Cell]:
    """What one bed's row shows: READINGS, and the posture where there is a pose network."""
    shown = dict.fromkeys(READINGS, Cell("no data", "yet"))
    rate, since_s = bed.heart_rate, now_s - bed.heart_rate_s
    if bed.state is not None:
        state, state_s = bed.state, now_s - bed.state_s
        shown["face"] = _told(state.face, state_s, lambda seen: "in view" if seen else "not in view")
        shown["eyes"] = _told(state.eyes, state_s, str)
        shown["sleep"] = _told(state.sleep, state_s, str)
        shown["cry"] = _told(state.cry, state_s, str)
        if state.posture.reason is not Reason.DISABLED:
            shown["posture"] = _told(state.posture, state_s, str)
        if rate is None:
            rate, since_s = state.heart_rate, state_s
    if rate is not None:
        shown["heart rate"] = _told(rate, since_s, _rate(rate))
    return shown


def alarms(bed: BedView) -> str:
    """The alarms that stand, in words; those of `state` count too, for they come even while alarm topics wait."""
    stand = [alarm for alarm in bed.alarms.values() if alarm.presence is not Presence.OFF]
    found = {alarm.condition: (alarm.priority, alarm.presence) for alarm in stand}
    if bed.state is not None:
        found |= {alarm.condition: (alarm.priority, alarm.presence) for alarm in bed.state.active_alarms}
    order = list(Priority)
    ranked = sorted(found.items(), key=lambda item: (order.index(item[1][0]), item[0]))
    marks = {Presence.ACK: ", acknowledged", Presence.LATCHED: ", latched"}
    words = [f"{name.replace('_', ' ')} ({level}{marks.get(how, '')})" for name, (level, how) in ranked]
    return "; ".join(words) or "none"


def table(ward: Ward, now_s: float, width: int = 100) -> list[str]:
    """The whole table, one string a line of at most `width` characters: two lines a bed, and one for its alarms."""
    rows: list[tuple[list[Cell], str]] = []
    names = tuple(dict.fromkeys(name for bed in ward.beds.values() for name in (*READINGS, *cells(bed, now_s))))
    for (device, name), bed in sorted(ward.beds.items()):
        gaps = ward.devices[device].missing if device in ward.devices else 0
        delivery = Cell(f"{bed.received} received", f"{bed.repeats} repeats, {gaps} missing")
        if name == DEVICE_BED:
            readings = [Cell(device, _online(ward.avail.get(device))), *[Cell("")] * len(names)]
        else:
            shown = cells(bed, now_s)
            readings = [Cell(f"  {name}"), *(shown.get(reading, Cell("-")) for reading in names)]
        rows.append(([*readings, delivery], alarms(bed)))
    if not rows:
        return [*textwrap.wrap(DISCLAIMER, width), "", "waiting for a first message ..."]
    heads = [Cell(head) for head in ("bed", *names, "delivery")]
    columns = zip(heads, *(row for row, _ in rows), strict=True)
    widths = [max(max(len(cell.value), len(cell.note)) for cell in column) for column in columns]
    lines = [_line([head.value for head in heads], widths)]
    for row, standing in rows:
        lines += [_line([cell.value for cell in row], widths), _line([cell.note for cell in row], widths)]
        lines.append(f"{'':{widths[0]}}  alarms: {standing}")
    return [*textwrap.wrap(DISCLAIMER, width), "", *(line[:width] for line in lines)]


def _line(texts: list[str], widths: list[int]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip()


def _online(avail: p.Avail | None) -> str:
    return "no word of it" if avail is None else avail.status


class _Printer:
    """Writes the table in place on a terminal, else a line for each change, or JSON lines."""

    def __init__(self, ward: Ward, out: TextIO, *, as_json: bool) -> None:
        self.ward, self.out, self.as_json = ward, out, as_json
        self.live = not as_json and out.isatty()
        self._said: dict[tuple[str, str], str] = {}
        self._height = 0
        self._drawn_s = float("-inf")
        if not as_json and not self.live:
            print(DISCLAIMER, file=out)

    def heard(self, where: Address, topic: str, payload: bytes, now_s: float) -> None:
        """Write down one message that is no repeat."""
        if self.as_json:
            print(json.dumps({"topic": topic, "payload": json.loads(payload) if payload else None}), file=self.out)
        elif not self.live:
            self._line(where, now_s)

    def _line(self, where: Address, now_s: float) -> None:
        key = (where.device, where.bed)
        bed = self.ward.beds[key]
        if where.bed == DEVICE_BED:
            text = f"{_online(self.ward.avail.get(where.device))}  alarms: {alarms(bed)}"
        else:
            shown = {name: cell.line for name, cell in cells(bed, now_s).items()} | {"alarms": alarms(bed)}
            text = "  ".join(f"{name}: {cell}" for name, cell in shown.items())
        if text != self._said.get(key):
            self._said[key] = text
            clock = datetime.now(UTC).strftime("%H:%M:%S")
            print(f"{clock}  {where.device}/{where.bed}  {text}", file=self.out)

    def redraw(self, now_s: float, *, last: bool = False) -> None:
        """Draw the table anew where that is due."""
        if self.live and (last or now_s - self._drawn_s >= REDRAW_S):
            self._drawn_s = now_s
            lines = table(self.ward, now_s, shutil.get_terminal_size((100, 24)).columns - 1)
            up = f"\x1b[{self._height}A" if self._height else ""
            self.out.write(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
            self._height = len(lines)
        self.out.flush()


class _Listener:
    """The connection; what arrives is queued for the one thread that prints."""

    def __init__(self, settings: Mqtt, topic: str) -> None:
        self.inbox: queue.Queue[tuple[str, bytes]] = queue.Queue(10_000)
        self._topic, self._settings, self._complaint = topic, settings, ""
        v5 = settings.protocol == "5"
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"edgemon-watch-{uuid.uuid4().hex[:8]}",
            protocol=MQTTv5 if v5 else MQTTv311,
        )
        if settings.tls is not None:
            self.client.tls_set_context(tls_context(settings.tls))
        if settings.username is not None:
            self.client.username_pw_set(settings.username, password(settings))
        self.client.connect_timeout = 5.0
        self.client.reconnect_delay_set(1, 10)
        self.client.on_connect = self._on_connect
        self.client.on_connect_fail = lambda _client, _data: self._complain("cannot be reached; trying again")
        self.client.on_message = self._on_message

    def __enter__(self) -> _Listener:
        self.client.connect_async(self._settings.host, self._settings.port, self._settings.keepalive_s)
        self.client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._complain(f"refused the connection: {reason}")
        else:
            client.subscribe(self._topic, 1)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        try:
            self.inbox.put_nowait((message.topic, bytes(message.payload[: MAX_PAYLOAD_BYTES + 1])))
        except queue.Full:
            self._complain("sends faster than can be shown; messages were dropped")

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            log.warning("broker %s:%d %s", self._settings.host, self._settings.port, text)


def watch(
    settings: Mqtt,
    *,
    site: str,
    unit: str,
    device: str | None,
    as_json: bool,
    receipts: bool,
    duration_s: float | None,
    out: TextIO,
    stop_event: threading.Event,
) -> None:
    """Show what one device, or each of a unit, says, until the time is over or the event is set.

    With `receipts` it takes the part of a station: what has been written to `out` and flushed counts as committed.

    Raises:
        DeliveryError: a certificate, key or password file is missing, wrong or readable by everybody.
    """
    ward = Ward()
    printer = _Printer(ward, out, as_json=as_json)
    station = f"watch-{uuid.uuid4().hex[:8]}"
    end_s = float("inf") if duration_s is None else time.monotonic() + duration_s
    with _Listener(settings, f"{ROOT}/{site}/{unit}/{device or '+'}/#") as listener:
        while not stop_event.is_set() and time.monotonic() < end_s:
            committed = _take(listener.inbox, ward, printer)
            printer.redraw(time.monotonic())
            for base, ids in committed.items() if receipts else ():
                receipt = p.Receipt(station=station, device=base.rsplit("/", 1)[1], ids=tuple(ids), ts=_now())
                listener.client.publish(f"{base}/{DEVICE_BED}/receipt", receipt.model_dump_json(), 1)
        printer.redraw(time.monotonic(), last=True)


def _take(inbox: queue.Queue[tuple[str, bytes]], ward: Ward, printer: _Printer) -> dict[str, list[str]]:
    """Take in what waits, a little at a time; returns the ids to send a receipt for, by device."""
    committed: dict[str, list[str]] = {}
    for turn in range(MAX_AT_ONCE):
        try:
            topic, data = inbox.get(timeout=0.1) if turn == 0 else inbox.get_nowait()
        except queue.Empty:
            break
        try:
            where = address(topic)
            payload = decode(topic, data) if data else None
        except DeliveryError as error:
            log.warning("%s; ignored", error)
            continue
        if where.topic.sender == "station":
            continue
        now_s = time.monotonic()
        if ward.hear(where, payload, now_s):
            printer.heard(where, topic, data, now_s)
        if isinstance(payload, p.Avail) and payload.status == "online":
            committed.setdefault(where.base, [])  # an empty receipt: somebody listens
        elif isinstance(payload, p.Durable):
            committed.setdefault(where.base, []).append(payload.id)
    return committed


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
