"""The whole store by one name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from sqlalchemy import Connection, Delete, Table, and_, bindparam, delete, exists, func, select, tuple_, update
from sqlalchemy.engine import URL

from edgemon.messages import payloads as p
from edgemon.records import Phase
from edgemon.station.nouns import base_of
from edgemon.station.store import schema as t
from edgemon.station.store.engine import connect
from edgemon.station.store.history import Histories
from edgemon.station.store.people import People
from edgemon.station.store.reading import Reading
from edgemon.station.store.records import Records
from edgemon.station.store.retired import Retired
from edgemon.station.store.upgrade import upgrade
from edgemon.station.store.ward import OFF, parsed
from edgemon.station.store.writing import ORDER, Writing

ENDED_KEPT_MS = 3_600_000  # rows of what ended, so that readers see that it did
ORPHANED_MS = 120_000  # an alarm that its device does not know any more, unconfirmed for as long
REPEATS_KEPT_MS = 86_400_000
SEEK_MS = 3_600_000  # to look for repeats reads the whole log
PRUNE_S = 2.0
PIECE_ROWS = 5_000  # deleted at a time: so long the ward waits
REPORTS: dict[str, type[p.State] | type[p.HealthReport]] = {"state": p.State, "health": p.HealthReport}
AGES = (
    (t.alarm_log, "at_ms"), (t.hr_minute, "start_ms"), (t.movement_minute, "start_ms"), (t.summary, "end_ms"),
    (t.event, "end_ms"), (t.belief, "at_ms"), (t.notice_log, "at_ms"), (t.command, "asked_ms"),
    (t.refusal, "last_ms"),
)  # fmt: skip


class Store(Writing, Reading, Retired, People, Histories, Records):
    """The store of a station; every method may raise `StoreUnavailable`.

    Safe for many threads, and one store serves many processes. Readers never wait for writers. Read `newest_change`
    before `beds`, then nothing is missed between two readings.
    """

    _sought_ms = 0  # when there were no more repeats in the log of alarms

    @classmethod
    def open(cls, url: str | URL) -> Store:
        """Connect, and bring the tables up to date; one process at a time does that.

        Raises:
            StoreUnavailable: it cannot be reached or written, or a later edgemon has made it.
        """
        engine = connect(url)
        try:
            upgrade(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def ready(self) -> None:
        """Return if the store can be read and written now, else raise `StoreUnavailable`; nothing is changed."""
        with self._writing() as (connection, _):
            connection.rollback()

    def retire(self, base: str, by: str, now_ms: int) -> bool:
        """As `Retired.retire`, and this process forgets it at once."""
        done = super().retire(base, by, now_ms)
        self.forget()
        return done

    def prune(self, now_ms: int, raw_ms: int, history_ms: int, clock: Callable[[], float] = time.monotonic) -> bool:
        """Forget heart rates by the second and history that are older than told; False where there was no time for all.

        Alarms that a device left standing when its counters of sessions went on, or that its newest report does not
        name, end. Repeats of alarms are forgotten after a day. Others may write between any two pieces.
        """
        end_s = clock() + PRUNE_S
        with self._writing() as (connection, change):
            _end_orphans(connection, now_ms, change)
            gone = _delete_gone(connection, now_ms, history_ms)
        if gone:
            self.forget()
        return all(clock() < end_s for _ in self._pieces(now_ms, raw_ms, history_ms))

    def _pieces(self, now_ms: int, raw_ms: int, history_ms: int) -> Iterator[None]:
        yield from self._delete(partial(_oldest, t.hr, "slot", (now_ms - raw_ms) // t.SLOT_MS))
        yield from self._delete(partial(_oldest, t.login, "expires_ms", now_ms))
        for table, column in AGES:
            yield from self._delete(partial(_oldest, table, column, now_ms - history_ms))
        if abs(now_ms - self._sought_ms) >= SEEK_MS:
            yield from self._delete(partial(_repeats, now_ms - REPEATS_KEPT_MS))
            self._sought_ms = now_ms

    def _delete(self, find: Callable[[Connection], Delete | None]) -> Iterator[None]:
        """Delete what is found until nothing is; nobody waits while it is looked for."""
        while True:
            with self._reading() as connection:
                doomed = find(connection)
            if doomed is None:
                return
            with self._writing() as (connection, _):
                connection.execute(doomed)
            yield


def _oldest(table: Table, column: str, before: int, connection: Connection) -> Delete | None:
    at = table.c[column]
    some = select(at).where(at < before).order_by(at).limit(PIECE_ROWS).subquery()
    edge = connection.execute(select(func.max(some.c[column]))).scalar_one()
    return delete(table).where(at <= edge) if edge is not None else None


def _repeats(before_ms: int, connection: Connection) -> Delete | None:
    """Rows of alarms of which an earlier one tells the same; the earliest stays, whether it was the move or not."""
    log, first = t.alarm_log.c, t.alarm_log.alias("first").c
    same = (first.place == log.place, first.alarm_id == log.alarm_id, first.revision == log.revision)
    earlier = tuple_(first.at_ms, first.id) < tuple_(log.at_ms, log.id)
    since = first.at_ms.between(log.onset_ms, log.at_ms)  # so that the search begins where the first is
    old = (log.phase == Phase.CONTINUE.value, log.at_ms < before_ms, log.received_ms < before_ms)
    found = select(log.id).where(*old, exists().where(*same, since, earlier)).limit(PIECE_ROWS)
    ids = connection.execute(found).scalars().all()
    return delete(t.alarm_log).where(log.id.in_(ids)) if ids else None


def _end_orphans(connection: Connection, now_ms: int, change: int) -> None:
    """End the alarms of sessions that are over, and those that a newer report of their place does not name."""
    newest = {row.base: (row.life, row.session) for row in connection.execute(select(t.device))}
    orders = [tuple_(*(table.c[name] for name in ORDER)) for table in (t.now, t.alarm)]
    reported = and_(
        t.now.c.place == t.alarm.c.place,
        t.now.c.kind.in_(REPORTS),
        t.now.c.received_ms >= now_ms - ORPHANED_MS,
        orders[0] > orders[1],
    )
    known = t.alarm.c.place, t.alarm.c.condition, t.alarm.c.alarm_id, t.alarm.c.life, t.alarm.c.session
    stand = connection.execute(
        select(*known, t.now.c.kind, t.now.c.body)
        .outerjoin(t.now, reported)
        .where(t.alarm.c.presence != OFF, t.alarm.c.received_ms < now_ms - ORPHANED_MS)
    )
    over = [
        {"at_place": row.place, "of_condition": row.condition}
        for row in stand
        if newest.get(base_of(row.place), (0, 0)) > (row.life, row.session)
        or _unnamed(row.alarm_id, row.kind, row.body)
    ]
    if over:
        at = t.alarm.c.place == bindparam("at_place"), t.alarm.c.condition == bindparam("of_condition")
        connection.execute(update(t.alarm).where(*at).values(presence=OFF, received_ms=now_ms, change=change), over)


def _unnamed(alarm_id: str, kind: str | None, body: str) -> bool:
    """Whether a report, if there is one, does not name an alarm."""
    report = parsed(REPORTS[kind], body) if kind is not None else None
    return report is not None and all(active.alarm_id != alarm_id for active in report.active_alarms)


def _delete_gone(connection: Connection, now_ms: int, history_ms: int) -> int:
    """Delete what is known of nobody any more; how many. These tables are as large as the ward is."""
    old_ms, ended_ms = now_ms - history_ms, now_ms - ENDED_KEPT_MS
    heard = t.now.c.kind.in_(("state", "hr", "belief"))  # births stand for as long as a device runs
    doomed = (
        delete(t.alarm).where(t.alarm.c.presence == OFF, t.alarm.c.received_ms < ended_ms),
        delete(t.notice).where(t.notice.c.closed_ms < ended_ms),
        delete(t.device).where(t.device.c.last_ms < old_ms),
        delete(t.now).where(heard, t.now.c.received_ms < old_ms),
    )
    count = sum(connection.execute(statement).rowcount for statement in doomed)
    return count + sum(_delete_strangers(connection, table) for table in (t.now, t.alarm))


def _delete_strangers(connection: Connection, table: Table) -> int:
    """Delete what is of devices that are not known any more."""
    known = set(connection.execute(select(t.device.c.base)).scalars())
    places = connection.execute(select(table.c.place).distinct()).scalars()
    strangers = [{"at_place": place} for place in places if base_of(place) not in known]
    if strangers:
        connection.execute(delete(table).where(table.c.place == bindparam("at_place")), strangers)
    return len(strangers)
