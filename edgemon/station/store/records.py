"""The durable record as it was told, row by row: what leaves the station as FHIR or as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, and_, func, select

from edgemon.records import Presence
from edgemon.station.nouns import AlarmLine, Episode, Minute
from edgemon.station.store import schema as t
from edgemon.station.store.engine import Base
from edgemon.station.store.history import device_line, station_line

Found = Row[Any]
OFF = Presence.OFF.value
NEWEST = {  # of each alarm: what names it, and by what its moves follow one another
    "alarm_log": (("place", "alarm_id"), ("revision", "at_ms", "id")),
    "notice_log": (("place", "condition", "since_ms"), ("n",)),
}
MINUTE = [t.hr_minute.c[name] for name in Minute.__dataclass_fields__]


class Records(Base):
    """The part of `Store` that hands out what was written down; times run from `from_ms` to before `to_ms`."""

    def minutes(self, places: Sequence[str], from_ms: int, to_ms: int) -> list[Minute]:
        """Heart rate by minute, of those that begin within, by their beginning."""
        begins = t.hr_minute.c.start_ms
        return self._minutes(t.hr_minute.c.place.in_(places), begins >= from_ms, begins < to_ms)

    def minutes_at(self, start_ms: int) -> list[Minute]:
        """Heart rate by minute of all beds, of those that begin at one moment."""
        return self._minutes(t.hr_minute.c.start_ms == start_ms)

    def episodes(self, from_ms: int, to_ms: int, places: Sequence[str] | None = None) -> list[Episode]:
        """Alarms of devices and of the station by the time of their last move; None: everywhere."""
        told, noticed = (_newest(table, from_ms, places) for table in (t.alarm_log, t.notice_log))
        log = t.alarm_log.c
        same = and_(t.alarm.c.place == log.place, t.alarm.c.alarm_id == log.alarm_id, t.alarm.c.presence != OFF)
        devices = told.add_columns(t.alarm.c.body).outerjoin(t.alarm, same).where(log.at_ms < to_ms)
        station = noticed.where(t.notice_log.c.at_ms < to_ms)
        with self._reading() as connection:
            found = [_of_device(row) for row in connection.execute(devices)]
            found += [_of_station(row) for row in connection.execute(station)]
        return sorted(found, key=lambda episode: episode.line.at_ms)

    def alarm_lines(self, places: Sequence[str], from_ms: int, to_ms: int) -> list[AlarmLine]:
        """Every move of every alarm of these places, the station's own among them, by time."""
        with self._reading() as connection:
            lines = [
                device_line(row) for row in connection.execute(_within(t.alarm_log, "at_ms", places, from_ms, to_ms))
            ]
            lines += [
                station_line(row) for row in connection.execute(_within(t.notice_log, "at_ms", places, from_ms, to_ms))
            ]
        return sorted(lines, key=lambda line: line.at_ms)

    def told(self, what: str, place: str, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
        """Rows of `event`, `summary` or `movement_minute`, each with its payload's fields where it was kept whole.

        The first two belong to the moment at which they end: that is after `from_ms`, and `to_ms` at the latest.
        """
        table = t.metadata.tables[what]
        if what == "movement_minute":
            wanted = _within(table, "start_ms", [place], from_ms, to_ms)
        else:
            wanted = _within(table, "end_ms", [place], from_ms + 1, to_ms + 1)
        with self._reading() as connection:
            rows = [dict(row) for row in connection.execute(wanted).mappings()]
        return [json.loads(row.pop("body", "{}")) | row for row in rows]

    def _minutes(self, *wanted: ColumnElement[bool]) -> list[Minute]:
        ordered = select(*MINUTE).where(*wanted).order_by(t.hr_minute.c.start_ms, t.hr_minute.c.id)
        with self._reading() as connection:
            return [Minute(*row) for row in connection.execute(ordered)]


def _within(table: Table, column: str, places: Sequence[str], from_ms: int, to_ms: int) -> Select[Any]:
    at = table.c[column]
    wanted = select(table).where(table.c.place.in_(places), at >= from_ms, at < to_ms)
    return wanted.order_by(at, *table.primary_key.columns)


def _newest(log: Table, from_ms: int, places: Sequence[str] | None) -> Select[Any]:
    """The last move of each alarm that last moved after `from_ms`; sorted by keys alone, for rows are wide."""
    names, order = NEWEST[log.name]
    [key] = log.primary_key.columns
    last = func.row_number().over(
        partition_by=[log.c[name] for name in names], order_by=[log.c[name].desc() for name in order]
    )
    wanted = select(key.label("key"), last.label("n")).where(log.c.at_ms >= from_ms)
    numbered = (wanted if places is None else wanted.where(log.c.place.in_(places))).subquery()
    return select(log).join(numbered, and_(numbered.c.key == key, numbered.c.n == 1))


def _of_device(row: Found) -> Episode:
    line = device_line(row)
    activation = json.loads(row.body)["activation"] if row.body is not None else None
    fate = "stands" if row.body is not None else "ended" if line.presence == OFF else "unknown"
    return Episode(row.place, row.alarm_id, line, activation, fate)  # type: ignore[arg-type]


def _of_station(row: Found) -> Episode:
    line = station_line(row)
    ended = line.presence == OFF
    key = f"{line.condition}@{line.onset_ms}"
    return Episode(row.place, key, line, None if ended else "on", "ended" if ended else "stands")
