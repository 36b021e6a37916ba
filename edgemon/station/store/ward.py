"""What is known of every bed now, kept in memory beside the store: only rows that changed since are read again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from pydantic import ValidationError
from sqlalchemy import Connection, Row, Select, Table, func, select

from edgemon.messages import payloads as p
from edgemon.records import DEVICE_BED, Presence, Priority
from edgemon.station.nouns import BedNow, Notice, Pause, Pulse, base_of, bed_of, device_place
from edgemon.station.store import schema as t
from edgemon.station.store.track import offset_ms

P = TypeVar("P", bound=p.Payload)
Found = Row[Any]
Wanted = Callable[[Table], Select[Any]]
OFF = Presence.OFF.value
ASKED = t.command.c.asked_ms
LONGEST_MS = 600_000  # no pause is longer, with the time that its command may take
PAUSES = (
    t.command.c.name == "pause",
    t.command.c.status == "done",
    select(func.max(ASKED)).scalar_subquery() - LONGEST_MS < ASKED,
)


def parsed(model: type[P], body: str) -> P | None:
    """A body as its payload; None where another version wrote it and this one cannot read it."""
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return None


def is_on(row: Found) -> bool:
    """Whether an alarm or a notice stands."""
    return bool(row.presence != OFF)


def notice_of(row: Found) -> Notice:
    """A row of the table `notice`."""
    return Notice(row.place, row.condition, Priority(row.priority), row.since_ms, row.ack_by, row.ack_ms)


def since(change: int) -> Wanted:
    """The rows that changed after."""
    return lambda table: select(table).where(table.c.change > change)


def around(place: str) -> Wanted:
    """The rows of one bed and of its device."""
    base = base_of(place)

    def wanted(table: Table) -> Select[Any]:
        if "place" not in table.c:
            return select(table).where(table.c.base == base)
        return select(table).where(table.c.place.in_({place, device_place(base)}))

    return wanted


class Ward:
    """Rows by place; to take a row in again is no harm."""

    def __init__(self) -> None:
        self.seen = 0  # every change up to this one is known
        self.now: dict[tuple[str, str], Found] = {}
        self.changed: dict[str, int] = {}  # by bed, what was told of its device counted in
        self._offsets: dict[str, str] = {}  # by device
        self._of: dict[str, defaultdict[str, dict[Any, Found]]] = {
            table.name: defaultdict(dict) for table in (t.alarm, t.notice, t.assignment, t.command)
        }
        self._beds: dict[str, tuple[str, ...]] = {}  # of each device
        self._payloads: dict[tuple[str, ...], tuple[str, p.Payload | None]] = {}  # by what names a row: body, payload

    def take(self, connection: Connection, wanted: Wanted) -> None:
        """Read rows and take them in."""
        rows = connection.execute(wanted(t.now).where(t.now.c.kind != "belief")).all()
        strange = any(row.kind == "birth" or (row.kind, row.place) not in self.now for row in rows)
        self.now.update(((row.kind, row.place), row) for row in rows)
        clocks = wanted(t.device).with_only_columns(t.device.c.base, t.device.c.offsets)
        self._offsets.update((row.base, row.offsets) for row in connection.execute(clocks))
        told = [(row.place, row.change) for row in rows]
        for table, key in ((t.alarm, "condition"), (t.notice, "condition"), (t.assignment, "n")):
            told += self._take(table.name, key, connection.execute(wanted(table)))
        told += self._take(t.command.name, "name", connection.execute(wanted(t.command).where(*PAUSES).order_by(ASKED)))
        if strange:
            self._beds = _beds(self.now, {key: row.body for key, row in self.now.items() if key[0] == "birth"})
            self.changed = {bed: self.changed.get(bed, 0) for beds in self._beds.values() for bed in beds}
        for place, change in told:
            for bed in self._beds.get(base_of(place), ()) if bed_of(place) == DEVICE_BED else (place,):
                if bed in self.changed:
                    self.changed[bed] = max(self.changed[bed], change)

    def _take(self, name: str, key: str, rows: Iterable[Found]) -> list[tuple[str, int]]:
        told, of = [], self._of[name]
        for row in rows:
            of[row.place][getattr(row, key)] = row
            told.append((row.place, row.change))
        return told

    def known(self, place: str) -> bool:
        """Whether anything was heard of a place."""
        return place in self.changed or any(at == place for _, at in self.now) or bool(self._of["alarm"].get(place))

    def bed(self, place: str) -> BedNow:
        """All of one bed."""
        base, wide = base_of(place), device_place(base_of(place))
        rate = self.now.get(("hr", place))
        heard = [ms for kind in ("state", "hr") if (ms := self._received_ms(kind, place)) is not None]
        label = [row.label for row in self._rows("assignment", place) if row.to_ms is None]
        return BedNow(
            place=place,
            label=label[0] if label else self._name(place),
            avail=self._read("avail", wide, p.Avail),
            state=self._current(self.now.get(("state", place)), p.State, place),
            state_received_ms=self._received_ms("state", place),
            heart_rate=self._payload(("hr", place), p.HeartRateReading, rate.body) if rate is not None else None,
            heart_rate_received_ms=self._received_ms("hr", place),
            health=self._current(self.now.get(("health", wide)), p.HealthReport, wide),
            health_received_ms=self._received_ms("health", wide),
            alarms=tuple(
                alarm
                for at in dict.fromkeys((place, wide))
                for row in self._rows("alarm", at)
                if is_on(row) and (alarm := self._alarm(row)) is not None
            ),
            notices=tuple(notice_of(row) for row in self._rows("notice", place) if is_on(row)),
            pause=next((pause for row in self._rows("command", place) if (pause := _pause(row))), None),
            last_heard_ms=max(heard, default=None),
            clock_offset_ms=offset_ms(self._offsets[base]) if base in self._offsets else None,
            change=self.changed.get(place, 0),
        )

    def _name(self, place: str) -> str:
        """A bed without a label under its device's name: a whole ward of devices may call their only bed the same."""
        device = base_of(place).rpartition("/")[2]
        alone = self._beds.get(base_of(place)) == (place,) or bed_of(place) == DEVICE_BED
        return device if alone else f"{device}/{bed_of(place)}"

    def pulses(self) -> list[Pulse]:
        """When each bed was last heard of."""
        return [self._pulse(place, device_place(base_of(place))) for place in sorted(self.changed)]

    def _pulse(self, place: str, wide: str) -> Pulse:
        avail = self._read("avail", wide, p.Avail)
        online = avail.status if avail is not None else "unknown"
        kinds = [("state", place), ("hr", place), ("birth", wide)] + [("avail", wide)] * (online == "online")
        return Pulse(place, max(self._received_ms(*key) or 0 for key in kinds), online)

    def _rows(self, name: str, place: str) -> list[Found]:
        return list(self._of[name].get(place, {}).values())

    def _read(self, kind: str, place: str, model: type[P]) -> P | None:
        row = self.now.get((kind, place))
        return self._payload((kind, place), model, row.body) if row is not None else None

    def _payload(self, key: tuple[str, ...], model: type[P], body: str) -> P | None:
        """A body as its payload; most are asked for many times before they change."""
        known = self._payloads.get(key)
        if known is None or known[0] != body:
            known = self._payloads[key] = (body, parsed(model, body))
        return cast("P | None", known[1])

    def _alarm(self, row: Found) -> p.Alarm | None:
        alarm = self._payload(("alarm", row.place, row.condition), p.Alarm, row.body)
        if alarm is not None and alarm.ack is None and row.ack_by is not None:
            return alarm.model_copy(update={"ack": p.Acknowledgement(by=row.ack_by, at=row.ack_at)})
        return alarm

    def _received_ms(self, kind: str, place: str) -> int | None:
        row = self.now.get((kind, place))
        return row.received_ms if row is not None else None

    def _current(self, row: Found | None, model: type[P], place: str) -> P | None:
        """A report without alarms of which the alarm's own topic has told more since."""
        report = self._payload((row.kind, place), model, row.body) if row is not None else None
        if row is None or report is None:
            return None
        active = getattr(report, "active_alarms", ())
        if not active:
            return report
        told = {one.condition: (one.life, one.session, one.seq) for one in self._rows("alarm", place)}
        news = tuple(a for a in active if told.get(a.condition, (0, 0, 0)) < (row.life, row.session, row.seq))
        return report if len(news) == len(active) else report.model_copy(update={"active_alarms": news})


def _beds(heard: Iterable[tuple[str, str]], births: Mapping[tuple[str, str], str]) -> dict[str, tuple[str, ...]]:
    """The beds of each device: what its birth tells, or where there is none what was heard."""
    beds: defaultdict[str, set[str]] = defaultdict(set)
    born: dict[str, set[str]] = {}
    for kind, place in heard:
        base = base_of(place)
        if kind == "birth" and (birth := parsed(p.Birth, births[kind, place])) is not None:
            born[base] = {f"{base}/{bed}" for bed in birth.beds}
        elif kind in ("state", "hr"):
            beds[base].add(place)
    return {base: tuple(sorted(places)) for base, places in (beds | born).items()}


def _pause(row: Found) -> Pause | None:
    asked = parsed(p.CommandRequest, row.body)
    if asked is None or asked.pause is None or asked.duration_s is None:
        return None
    return Pause(asked.pause, row.by, row.asked_ms, row.asked_ms + round(1000 * asked.duration_s))
