"""What is known now: beds, devices, commands, the station's own alarms. Readers wait for nobody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Row, Select, Table, bindparam, insert, select, union_all, update
from sqlalchemy.dialects import postgresql, sqlite

from edgemon.messages import payloads as p
from edgemon.records import DEVICE_BED, Presence, Priority
from edgemon.station.nouns import (
    BedNow,
    CommandRow,
    DeviceNow,
    Notice,
    Pulse,
    Refusal,
    base_of,
    bed_of,
    device_place,
    ours,
    to_ms,
)
from edgemon.station.store import schema as t
from edgemon.station.store.engine import Base
from edgemon.station.store.track import Track
from edgemon.station.store.writing import NOBODY

P = TypeVar("P", bound=p.Payload)
Found = Row[Any]
FEW = 400  # more places than these are not asked for by name: all are read
INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
OFF = Presence.OFF.value


@lru_cache(maxsize=16_384)
def _remembered(model: type[p.Payload], body: str) -> p.Payload:
    return model.model_validate_json(body)


def _parsed(model: type[P], body: str) -> P:
    """A body as its payload; most are read many times before they change."""
    return cast(P, _remembered(model, body))


class Ward:
    """Rows that were read, by place."""

    def __init__(self, connection: Connection, places: Iterable[str] | None) -> None:
        """Read what is known of these places and of their devices; None: of all."""
        wanted = None if places is None else set(places)
        named = wanted if wanted is not None and len(wanted) <= FEW else None
        bases = None if named is None else {base_of(place) for place in named}
        around = None if named is None or bases is None else named | {device_place(base) for base in bases}
        self.now: dict[tuple[str, str], Found] = {
            (row.kind, row.place): row for row in connection.execute(_of(t.now, "place", around))
        }
        self.devices = {row.base: row for row in connection.execute(_of(t.device, "base", bases))}
        self.alarms = _by_place(connection.execute(_of(t.alarm, "place", around)))
        self.notices = _by_place(connection.execute(_of(t.notice, "place", around)))
        self.labels = _by_place(connection.execute(_of(t.assignment, "place", around)))
        bodies = {key: row.body for key, row in self.now.items() if key[0] == "birth"}
        self.places = _beds(self.now, bodies) if wanted is None else sorted(wanted)

    def read(self, kind: str, place: str, model: type[P]) -> P | None:
        """The newest of a kind."""
        row = self.now.get((kind, place))
        return _parsed(model, row.body) if row is not None else None

    def received_ms(self, kind: str, place: str) -> int | None:
        """When that came."""
        row = self.now.get((kind, place))
        return row.received_ms if row is not None else None

    def bed(self, place: str) -> BedNow:
        """All of one bed."""
        base, wide = base_of(place), device_place(base_of(place))
        device, rate = self.devices.get(base), self.now.get(("hr", place))
        heard = [ms for kind in ("state", "hr") if (ms := self.received_ms(kind, place)) is not None]
        label = [row.label for row in self.labels[place] if row.to_ms is None]
        return BedNow(
            place=place,
            label=label[0] if label else bed_of(place),
            avail=self.read("avail", wide, p.Avail),
            state=self._current(self.now.get(("state", place)), p.State, place),
            state_received_ms=self.received_ms("state", place),
            heart_rate=p.HeartRateReading.model_validate_json(rate.body) if rate is not None else None,
            heart_rate_received_ms=self.received_ms("hr", place),
            health=self._current(self.now.get(("health", wide)), p.HealthReport, wide),
            alarms=tuple(_alarm(row) for at in dict.fromkeys((place, wide)) for row in self.alarms[at] if _on(row)),
            notices=tuple(_notice(row) for row in self.notices[place] if _on(row)),
            last_heard_ms=max(heard, default=None),
            clock_offset_ms=Track.of(device._asdict()).offset_ms if device is not None else None,
            change=self._change(place, wide),
        )

    def _current(self, row: Found | None, model: type[P], place: str) -> P | None:
        """A report without alarms of which the alarm's own topic has told more since."""
        if row is None:
            return None
        report = _parsed(model, row.body)
        told = {one.condition: (one.life, one.session, one.seq) for one in self.alarms[place]}
        active = getattr(report, "active_alarms", ())
        news = tuple(a for a in active if told.get(a.condition, (0, 0, 0)) < (row.life, row.session, row.seq))
        return report if len(news) == len(active) else report.model_copy(update={"active_alarms": news})

    def _change(self, place: str, wide: str) -> int:
        rows = [
            self.now.get((kind, at)) for kind in ("state", "hr", "avail", "birth", "health") for at in (place, wide)
        ]
        more = (*self.alarms[place], *self.alarms[wide], *self.notices[place], *self.labels[place])
        return max((row.change for row in (*rows, *more) if row is not None), default=0)


class Reading(Base):
    """The part of `Store` that tells what is known now."""

    def newest_change(self) -> int:
        """The highest `change` of all."""
        with self._reading() as connection:
            return int(connection.execute(select(t.turn.c.change)).scalar_one())

    def beds(self, after_change: int = 0) -> list[BedNow]:
        """Every bed of which something has changed since."""
        with self._reading() as connection:
            ward = Ward(connection, None) if after_change <= 0 else _changed(connection, after_change)
        beds = [ward.bed(place) for place in ward.places]
        return [bed for bed in beds if bed.change > after_change]

    def bed(self, place: str) -> BedNow | None:
        """One bed, or of `_device` its device's own alarms; None where nothing was ever heard."""
        with self._reading() as connection:
            ward = Ward(connection, [place])
        known = any(at == place for _, at in ward.now) or bool(ward.alarms[place])
        birth = ward.read("birth", device_place(base_of(place)), p.Birth)
        return ward.bed(place) if known or (birth is not None and bed_of(place) in birth.beds) else None

    def pulses(self) -> list[Pulse]:
        """When each bed was last heard of."""
        came = select(t.now.c.kind, t.now.c.place, t.now.c.received_ms)
        with self._reading() as connection:
            heard = {(row.kind, row.place): row.received_ms for row in connection.execute(came)}
            told = connection.execute(select(t.now).where(t.now.c.kind.in_(("avail", "birth")))).all()
        bodies = {(row.kind, row.place): row.body for row in told}
        return [_pulse(place, heard, bodies) for place in _beds(heard, bodies)]

    def devices(self) -> list[DeviceNow]:
        """Every device that was ever heard, by name; refusals that no known device is to blame for stand under `-`."""
        with self._reading() as connection:
            kinds = t.now.c.kind.in_(("avail", "birth", "health"))
            now = {(row.kind, base_of(row.place)): row for row in connection.execute(select(t.now).where(kinds))}
            refused: defaultdict[str, list[Refusal]] = defaultdict(list)
            for row in connection.execute(select(t.refusal).order_by(t.refusal.c.reason)).mappings():
                refused[row["base"]].append(Refusal(row["reason"], row["count"], row["last_ms"], row["text"]))
            tracks = [(Track.of(row._asdict()), row.change) for row in connection.execute(select(t.device))]
        if NOBODY in refused:
            tracks.append((Track(NOBODY), 0))

        def read(kind: str, base: str, model: type[P]) -> P | None:
            row = now.get((kind, base))
            return _parsed(model, row.body) if row is not None else None

        return [
            DeviceNow(
                base=track.base, avail=read("avail", track.base, p.Avail), birth=read("birth", track.base, p.Birth),
                health=read("health", track.base, p.HealthReport), last_heard_ms=track.last_ms or None,
                clock_offset_ms=track.offset_ms, received=track.fresh, repeats=track.repeats, missing=track.missing,
                refused=tuple(refused[track.base]), change=change,
            )
            for track, change in sorted(tracks, key=lambda one: one[0].base)
        ]  # fmt: skip

    def asked(self, request: p.CommandRequest, place: str, by: str, now_ms: int) -> None:
        """Write down a command that is about to be sent; `by` is the person, `request.by` the station."""
        with self._writing() as (connection, change):
            device = connection.execute(select(t.device).where(t.device.c.base == base_of(place))).one_or_none()
            offset_ms = Track.of(device._asdict()).offset_ms if device is not None else None
            connection.execute(
                insert(t.command).values(
                    cmd_id=request.cmd_id, place=place, name=request.name, by=by, asked_ms=now_ms,
                    expires_ms=ours(to_ms(request.expires), offset_ms), body=request.model_dump_json(), change=change,
                )
            )  # fmt: skip

    def command(self, cmd_id: str) -> CommandRow | None:
        """A command and its answer."""
        with self._reading() as connection:
            row = connection.execute(select(t.command).where(t.command.c.cmd_id == cmd_id)).one_or_none()
        if row is None:
            return None
        return CommandRow(
            row.cmd_id, row.place, row.name, row.by, row.asked_ms, row.expires_ms, row.status, row.reason, row.revision
        )

    def notices(self) -> list[Notice]:
        """The station's own alarms that stand."""
        with self._reading() as connection:
            return [_notice(row) for row in connection.execute(select(t.notice)) if _on(row)]

    def change_notices(self, opened: Iterable[Notice], closed: Iterable[Notice], now_ms: int) -> None:
        """Open and close alarms of the station; again is no harm."""
        starts, ends = list(opened), list(closed)
        if not starts and not ends:
            return
        with self._writing() as (connection, change):
            stand = {
                (row.place, row.condition): _notice(row) for row in connection.execute(select(t.notice)) if _on(row)
            }
            upsert = INSERTS[connection.dialect.name](t.notice)
            keys = ("place", "condition")
            others = {column.name: upsert.excluded[column.name] for column in t.notice.c if column.name not in keys}
            fresh = {(one.place, one.condition): one for one in starts if (one.place, one.condition) not in stand}
            gone = {key: stand[key] for one in ends if (key := (one.place, one.condition)) in stand}
            if fresh:
                rows = [_notice_row(one, change) for one in fresh.values()]
                connection.execute(upsert.on_conflict_do_update(index_elements=keys, set_=others), rows)
            if gone:
                over = update(t.notice).where(*_is(bindparam("at_place"), bindparam("of_condition")))
                rows = [{"at_place": place, "of_condition": condition} for place, condition in gone]
                connection.execute(over.values(presence=OFF, closed_ms=now_ms, change=change), rows)
            logged = [_log_row(one, "start", "on", now_ms) for one in fresh.values()]
            logged += [_log_row(one, "end", OFF, now_ms) for one in gone.values()]
            if logged:
                connection.execute(insert(t.notice_log), logged)

    def acknowledge_notice(self, place: str, condition: str, by: str, now_ms: int) -> bool:
        """End the signal of one; False where it does not stand or was acknowledged before."""
        with self._writing() as (connection, change):
            row = connection.execute(select(t.notice).where(*_is(place, condition))).one_or_none()
            if row is None or not _on(row) or row.ack_by is not None:
                return False
            acked = {"ack_by": by, "ack_ms": now_ms, "change": change}
            connection.execute(update(t.notice).where(*_is(place, condition)).values(acked))
            told = Notice(place, row.condition, Priority(row.priority), row.since_ms, by, now_ms)
            connection.execute(insert(t.notice_log), _log_row(told, "update", "ack", now_ms))
            return True


def _beds(heard: Iterable[tuple[str, str]], bodies: Mapping[tuple[str, str], str]) -> list[str]:
    """The beds of all devices, from kinds and places: what each birth tells, or where there is none what was heard."""
    beds: defaultdict[str, set[str]] = defaultdict(set)
    born: dict[str, set[str]] = {}
    for kind, place in heard:
        base = base_of(place)
        if kind == "birth":
            born[base] = {f"{base}/{bed}" for bed in _parsed(p.Birth, bodies[kind, place]).beds}
        elif kind in ("state", "hr"):
            beds[base].add(place)
    return sorted(place for places in (beds | born).values() for place in places)


def _pulse(place: str, heard: Mapping[tuple[str, str], int], bodies: Mapping[tuple[str, str], str]) -> Pulse:
    wide = device_place(base_of(place))
    body = bodies.get(("avail", wide))
    online = _parsed(p.Avail, body).status if body is not None else "unknown"
    kinds = [("state", place), ("hr", place), ("birth", wide)] + [("avail", wide)] * (online == "online")
    return Pulse(place, max(heard.get(key, 0) for key in kinds), online)


def _of(table: Table, column: str, names: set[str] | None) -> Select[Any]:
    return select(table) if names is None else select(table).where(table.c[column].in_(names))


def _by_place(rows: Iterable[Found]) -> defaultdict[str, list[Found]]:
    found: defaultdict[str, list[Found]] = defaultdict(list)
    for row in rows:
        found[row.place].append(row)
    return found


def _changed(connection: Connection, after: int) -> Ward:
    """The beds of which something has changed; a word of the device concerns all of its beds."""
    tables = (t.now, t.alarm, t.notice, t.assignment)
    places = union_all(*(select(table.c.place).where(table.c.change > after) for table in tables))
    found = {str(place) for place in connection.execute(places).scalars()}
    wide = {base_of(place) for place in found if bed_of(place) == DEVICE_BED}
    if len(found) > FEW or len(wide) > FEW:
        return Ward(connection, None)
    found |= _beds_of(connection, wide)
    return Ward(connection, {place for place in found if bed_of(place) != DEVICE_BED})


def _beds_of(connection: Connection, bases: set[str]) -> set[str]:
    """All beds of devices: what their births tell, else what was heard."""
    births = _of(t.now, "place", {device_place(base) for base in bases}).where(t.now.c.kind == "birth")
    born = {base_of(row.place): _parsed(p.Birth, row.body).beds for row in connection.execute(births)}
    beds = {f"{base}/{bed}" for base, names in born.items() for bed in names}
    if strangers := bases - set(born):
        heard = select(t.now.c.place).where(t.now.c.kind.in_(("state", "hr")))
        beds |= {place for place in connection.execute(heard).scalars() if base_of(place) in strangers}
    return beds


def _on(row: Found) -> bool:
    return bool(row.presence != OFF)


def _alarm(row: Found) -> p.Alarm:
    alarm = _parsed(p.Alarm, row.body)
    if alarm.ack is None and row.ack_by is not None:
        return alarm.model_copy(update={"ack": p.Acknowledgement(by=row.ack_by, at=row.ack_at)})
    return alarm


def _notice(row: Found) -> Notice:
    return Notice(row.place, row.condition, Priority(row.priority), row.since_ms, row.ack_by, row.ack_ms)


def _notice_row(notice: Notice, change: int) -> dict[str, object]:
    return {
        "place": notice.place, "condition": notice.condition, "priority": notice.priority.value, "presence": "on",
        "since_ms": notice.since_ms, "closed_ms": None, "ack_by": None, "ack_ms": None, "change": change,
    }  # fmt: skip


def _is(place: Any, condition: Any) -> tuple[Any, Any]:
    return t.notice.c.place == place, t.notice.c.condition == condition


def _log_row(notice: Notice, phase: str, presence: str, now_ms: int) -> dict[str, object]:
    return {
        "place": notice.place, "condition": notice.condition, "phase": phase, "presence": presence,
        "priority": notice.priority.value, "since_ms": notice.since_ms, "at_ms": now_ms,
        "ack_by": notice.ack_by, "ack_ms": notice.ack_ms,
    }  # fmt: skip
