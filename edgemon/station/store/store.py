"""The whole store by one name."""

from __future__ import annotations

from sqlalchemy import Connection, Table, bindparam, delete, select, update
from sqlalchemy.engine import URL

from edgemon.station.nouns import base_of
from edgemon.station.store import schema as t
from edgemon.station.store.engine import connect
from edgemon.station.store.history import Histories
from edgemon.station.store.people import People
from edgemon.station.store.reading import Reading
from edgemon.station.store.records import Records
from edgemon.station.store.retired import Retired
from edgemon.station.store.upgrade import upgrade
from edgemon.station.store.ward import OFF
from edgemon.station.store.writing import Writing

ENDED_KEPT_MS = 3_600_000  # rows of what ended, so that readers see that it did
ORPHANED_MS = 120_000  # an alarm of a session that is over, unconfirmed for as long
AGES = (
    (t.alarm_log, "at_ms"), (t.hr_minute, "start_ms"), (t.movement_minute, "start_ms"), (t.summary, "end_ms"),
    (t.event, "end_ms"), (t.belief, "at_ms"), (t.notice_log, "at_ms"), (t.command, "asked_ms"),
    (t.device, "last_ms"), (t.refusal, "last_ms"),
)  # fmt: skip


class Store(Writing, Reading, Retired, People, Histories, Records):
    """The store of a station; every method may raise `StoreUnavailable`.

    Safe for many threads, and one store serves many processes. Readers never wait for writers. Read `newest_change`
    before `beds`, then nothing is missed between two readings.
    """

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
        """Return if the store can be read and written now, else raise `StoreUnavailable`."""
        with self._writing():
            pass

    def retire(self, base: str, by: str, now_ms: int) -> bool:
        """As `Retired.retire`, and this process forgets it at once."""
        done = super().retire(base, by, now_ms)
        self.forget()
        return done

    def prune(self, now_ms: int, raw_ms: int, history_ms: int) -> int:
        """Forget heart rates by the second and history that are older than told; returns how many.

        Alarms that a device left standing when its counters of sessions went on, and never spoke of again, end.
        """
        with self._writing() as (connection, change):
            _end_orphans(connection, now_ms, change)
            heard = t.now.c.kind.in_(("state", "hr", "belief"))  # births stand for as long as a device runs
            doomed = [
                delete(t.hr).where(t.hr.c.slot < (now_ms - raw_ms) // t.SLOT_MS),
                delete(t.alarm).where(t.alarm.c.presence == OFF, t.alarm.c.received_ms < now_ms - ENDED_KEPT_MS),
                delete(t.notice).where(t.notice.c.closed_ms < now_ms - ENDED_KEPT_MS),
                delete(t.login).where(t.login.c.expires_ms < now_ms),
                *(delete(table).where(table.c[column] < now_ms - history_ms) for table, column in AGES),
                delete(t.now).where(heard, t.now.c.received_ms < now_ms - history_ms),
            ]
            count = sum(connection.execute(statement).rowcount for statement in doomed)
            count += sum(_delete_strangers(connection, table) for table in (t.now, t.alarm))
        self.forget()
        return count


def _end_orphans(connection: Connection, now_ms: int, change: int) -> None:
    """End the alarms of sessions that are over."""
    newest = {row.base: (row.life, row.session) for row in connection.execute(select(t.device))}
    stand = connection.execute(
        select(t.alarm).where(t.alarm.c.presence != OFF, t.alarm.c.received_ms < now_ms - ORPHANED_MS)
    )
    over = [
        {"at_place": row.place, "of_condition": row.condition}
        for row in stand
        if newest.get(base_of(row.place), (0, 0)) > (row.life, row.session)
    ]
    if over:
        at = t.alarm.c.place == bindparam("at_place"), t.alarm.c.condition == bindparam("of_condition")
        connection.execute(update(t.alarm).where(*at).values(presence=OFF, received_ms=now_ms, change=change), over)


def _delete_strangers(connection: Connection, table: Table) -> int:
    """Delete what is of devices that are not known any more."""
    known = set(connection.execute(select(t.device.c.base)).scalars())
    places = connection.execute(select(table.c.place).distinct()).scalars()
    strangers = [{"at_place": place} for place in places if base_of(place) not in known]
    if strangers:
        connection.execute(delete(table).where(table.c.place == bindparam("at_place")), strangers)
    return len(strangers)
