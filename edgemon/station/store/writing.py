"""Writing a batch: all or nothing, and only what is newer replaces what is known now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, bindparam, case, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from edgemon.messages import payloads as p
from edgemon.records import Presence
from edgemon.station.nouns import Heard, Refused
from edgemon.station.store import schema as t
from edgemon.station.store.engine import Base
from edgemon.station.store.retired import in_service
from edgemon.station.store.rows import Rows
from edgemon.station.store.track import Order, Track

NOBODY = "-"  # who is blamed for what names no device that is known
ORDER = ("life", "session", "seq")
HISTORY = (t.alarm_log, t.hr, t.hr_minute, t.movement_minute, t.summary, t.event, t.belief)


class Writing(Base):
    """The part of `Store` that takes in what was heard."""

    def commit(self, batch: Sequence[Heard], refused: Sequence[Refused] = ()) -> dict[str, list[str]]:
        """Write a batch, all or nothing; ids to send a receipt for, by base: those committed and repeats alike.

        Raises:
            Unfit: a row in it can never be stored; try them one by one.
            StoreUnavailable: nothing can be stored now.
        """
        if batch or refused:
            with self._writing() as (connection, change):
                tracks = _tracks(connection, {heard.base for heard in batch})
                known = set(tracks)
                rows = Rows(change, _believed(connection, batch))
                for heard in in_service(connection, batch):
                    if heard.payload is not None and heard.base not in tracks:
                        tracks[heard.base] = Track(heard.base)
                    rows.add(heard, tracks.get(heard.base))
                self._write(connection, rows, tracks.values())
                self._refuse(connection, refused, known)
        ids: dict[str, list[str]] = {}
        for heard in batch:
            if isinstance(heard.payload, p.Durable):
                ids.setdefault(heard.base, []).append(heard.payload.id)
        return ids

    def _write(self, connection: Connection, rows: Rows, tracks: Iterable[Track]) -> None:
        statements = STATEMENTS[connection.dialect.name]
        made = {
            "device": [track.row() | {"change": rows.change} for track in tracks],
            "now": list(rows.now.values()),
            "cleared": rows.of["cleared"],  # first: what of the batch it clears, `Rows` has marked
            "alarm": rows.of["alarm"],
            **rows.of,
        }
        for name, values in made.items():
            if values:
                connection.execute(statements[name], values)

    @staticmethod
    def _refuse(connection: Connection, refused: Sequence[Refused], known: set[str]) -> None:
        if not refused:
            return
        strangers = {one.base for one in refused if one.base is not None} - known
        known = known | set(_tracks(connection, strangers))
        newest, counts = {}, Counter[tuple[str, str]]()
        for one in refused:
            key = (one.base if one.base in known else NOBODY, one.reason)
            counts[key] += 1
            newest[key] = one
        rows = [
            {"base": base, "reason": reason, "count": counts[base, reason], "last_ms": one.at_ms, "text": one.text}
            for (base, reason), one in newest.items()
        ]
        connection.execute(STATEMENTS[connection.dialect.name]["refusal"], rows)


def _tracks(connection: Connection, bases: Collection[str]) -> dict[str, Track]:
    rows = connection.execute(select(t.device).where(t.device.c.base.in_(bases))) if bases else ()
    return {row.base: Track.of(row._asdict()) for row in rows}


def _believed(connection: Connection, batch: Sequence[Heard]) -> dict[str, tuple[Order, int, str]]:
    places = {heard.place for heard in batch if isinstance(heard.payload, p.State)}
    if not places:
        return {}
    found = connection.execute(select(t.now).where(t.now.c.kind == "belief", t.now.c.place.in_(places)))
    return {row.place: ((row.life, row.session, row.seq), row.received_ms, row.body) for row in found}


def _statements(insert: Any) -> dict[str, Any]:
    """Every statement of a batch, made once: of names of tables, and of what else is done in them."""

    def upsert(table: Table, keys: Sequence[str], where: Any = None, **special: Any) -> Any:
        made = insert(table)
        names = [column.name for column in table.c if column.name not in keys]
        changed = {name: made.excluded[name] for name in names} | {
            name: what(made.excluded) for name, what in special.items()
        }
        return made.on_conflict_do_update(
            index_elements=keys, set_=changed, where=None if where is None else where(made.excluded)
        )

    def newer(table: Table) -> Any:
        return lambda fresh: tuple_(*(fresh[name] for name in ORDER)) > tuple_(*(table.c[name] for name in ORDER))

    def kept_ack(name: str) -> Any:
        """Who acknowledged an alarm is told once; it holds for as long as the alarm stays acknowledged."""
        return lambda fresh: case(
            (
                (fresh.presence == Presence.ACK.value)
                & fresh.ack_by.is_(None)
                & (fresh.alarm_id == t.alarm.c.alarm_id),
                t.alarm.c[name],
            ),
            else_=fresh[name],
        )

    def not_older(fresh: Any) -> Any:
        orders = tuple_(*(fresh[name] for name in ORDER)) >= tuple_(*(t.now.c[name] for name in ORDER))
        return orders & (fresh.body != t.now.c.body)

    made = {table.name: insert(table).on_conflict_do_nothing() for table in HISTORY}
    return made | {
        "device": upsert(t.device, ["base"]),
        "now": upsert(t.now, ["kind", "place"], newer(t.now)),
        "avail": upsert(t.now, ["kind", "place"], not_older),  # a will is older than the `online` that it follows
        "alarm": upsert(
            t.alarm, ["place", "condition"], newer(t.alarm), ack_by=kept_ack("ack_by"), ack_at=kept_ack("ack_at")
        ),
        # history that comes late: it ends the very alarm that it is of, and raises none
        "ended": upsert(
            t.alarm,
            ["place", "condition"],
            lambda fresh: newer(t.alarm)(fresh) & (fresh.alarm_id == t.alarm.c.alarm_id),
        ),
        # another process may hear of a new alarm before this one clears the topic of the last
        "cleared": update(t.alarm)
        .where(
            t.alarm.c.place == bindparam("on_place"),
            t.alarm.c.condition == bindparam("on_condition"),
            t.alarm.c.presence != Presence.OFF.value,
            t.alarm.c.received_ms <= bindparam("came_ms"),
        )
        .values(presence=Presence.OFF.value, change=select(t.turn.c.change).scalar_subquery()),
        "answer": update(t.command).where(
            t.command.c.cmd_id == bindparam("of_cmd"),
            t.command.c.place == bindparam("of_place"),
            t.command.c.status.is_(None),
        ),
        "refusal": upsert(t.refusal, ["base", "reason"], count=lambda fresh: t.refusal.c.count + fresh["count"]),
    }


STATEMENTS = {"sqlite": _statements(sqlite.insert), "postgresql": _statements(postgresql.insert)}
