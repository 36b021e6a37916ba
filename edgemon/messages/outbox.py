"""The durable outbox: a message is on the disk before it is published, and stays until it has been delivered.

A *lane* is one rank (alarm, response, event, minute) of one bed. Order is kept within a lane.
"""

from __future__ import annotations

import functools
import itertools
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgemon.errors import DeliveryError, StorageFull
from edgemon.messages import payloads as p
from edgemon.messages.compose import encode
from edgemon.messages.rows import (
    CLEARS,
    DROPPABLE,
    INSERT,
    ROW_COST,
    SELECT,
    TABLES,
    UNSTORED_N,
    Row,
    clearing,
    from_db,
    patience_s,
    values,
)
from edgemon.messages.topics import Rank, address
from edgemon.records import Message, Presence

log = logging.getLogger(__name__)

LIVE_S = 15.0  # an older message is history
MAX_UNSTORED = 1000  # held in memory while the disk takes nothing
STORE_AT_ONCE = 50
LOG_PAGES = 100  # the write-ahead log stays below 400 kB, so that a nearly full disk still takes messages
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@dataclass(frozen=True, slots=True)
class _Sent:
    at_s: float
    times: int


class Outbox:
    """Durable messages in SQLite (WAL; alarms are synced to the disk before `put` returns).

    `now_s` is monotonic; ages go on over restarts and reboots by a clock of its own, which stands still while the
    device is off and which no jump of the wall clock moves. One thread at a time uses it.

    Raises:
        DeliveryError: the file cannot be opened, or another process holds it.
        StorageFull: the disk is full.
    """

    def __init__(self, path: Path, *, max_bytes: int, max_age_s: float, now_s: float) -> None:
        self.path, self.max_bytes, self.max_age_s = path, max_bytes, max_age_s
        self.dropped = 0  # messages given up since start: over the bound, too old, or in a damaged file
        self._sent: dict[str, _Sent] = {}
        self._unstored: dict[str, Row] = {}
        self._arrived: set[str] = set()  # delivered, but not yet off the disk
        self._failing = False
        self._lanes: set[tuple[Rank, str]] = set()
        self._rows = self._bytes = 0
        self._db = self._open()
        self._count()
        self._last_old_n: int = self._db.execute("SELECT coalesce(max(n), 0) FROM rows").fetchone()[0]
        found = self._db.execute("SELECT at_s FROM clock").fetchone()
        self._offset_s = (found[0] if found else 0.0) - now_s

    @property
    def storage_full(self) -> bool:
        """Whether the disk takes nothing at present; new messages are then held in memory."""
        return self._failing or bool(self._unstored)

    @property
    def waiting(self) -> int:
        """Messages that wait."""
        return self._rows - len(self._arrived) + len(self._unstored)

    @property
    def bytes(self) -> int:
        """Bytes that wait on the disk."""
        return self._bytes

    def oldest_s(self, now_s: float) -> float:
        """Age of the oldest message that waits, 0 without any."""
        found = self._read("SELECT put_s FROM rows ORDER BY n LIMIT 1")
        return max(0.0, now_s + self._offset_s - found[0][0]) if found else 0.0

    def active(self) -> dict[str, p.Alarm]:
        """The newest message of each alarm that has not ended, by topic; also those of an earlier session."""
        rows = self._read("SELECT topic, payload FROM active ORDER BY topic")
        return {topic: p.Alarm.model_validate_json(payload) for topic, payload in rows}

    def put(self, message: Message, now_s: float) -> str:
        """Store a message before it is published; returns its id.

        While the disk takes nothing it is held in memory, sent all the same, and stored as soon as there is room.

        Raises:
            StorageFull: the memory for that is full too, and this is no alarm: the message was dropped and counted.
        """
        row = self._row(message, now_s)
        self._store_unstored()
        if self._unstored or not self._write(lambda: self._insert(row), sync=row.rank is Rank.ALARM):
            if row.rank is not Rank.ALARM and len(self._unstored) >= MAX_UNSTORED:
                self.dropped += 1
                raise StorageFull(f"{self.path}: the disk is full, so {row.topic} was dropped; free some space")
            self._unstored[row.id] = replace(row, n=UNSTORED_N)
        self._lanes.add(row.lane)
        return row.id

    def due(self, now_s: float, resend_after_s: float, limit: int, window: int = 1) -> list[Row]:
        """What to send now: alarms first, then the oldest; in each lane at most `window` undelivered at a time.

        A lane is sent again from its oldest message when that one has waited `resend_after_s` (with jitter, growing
        with each repeat). With `window` 1 nothing can overtake, whatever broker and receiver lose. What is history by
        now carries `replay`.
        """
        self._store_unstored()
        found: list[Row] = []
        for rank in Rank:
            heads = [rows for lane in self._lanes if lane[0] is rank and (rows := self._head(lane, window))]
            for rows in sorted(heads, key=lambda rows: rows[0].n):
                sent = self._sent.get(rows[0].id)
                again = sent is None or now_s - sent.at_s >= patience_s(rows[0].id, sent.times, resend_after_s)
                found += rows if again else [row for row in rows if row.id not in self._sent]
        return [self._marked(row, now_s) for row in found[:limit]]

    def age_s(self, row: Row, now_s: float) -> float:
        """How long ago it was put."""
        return max(0.0, now_s + self._offset_s - row.put_s)

    def sent(self, row_id: str, now_s: float) -> None:
        """Note that this one has been handed to the broker."""
        before = self._sent.get(row_id)
        self._sent[row_id] = _Sent(now_s, before.times + 1 if before else 1)

    def unsent(self) -> None:
        """Forget what has been sent: the connection is new, or a receiver says that it listens now."""
        self._sent.clear()

    def delivered(self, ids: Collection[str], now_s: float) -> None:
        """Give up what has arrived; an alarm that ended is followed by the empty message that clears its topic."""
        for row_id in ids:
            self._sent.pop(row_id, None)
            held = self._unstored.pop(row_id, None)
            if held is None:
                self._arrived.add(row_id)
            elif held.ends:
                self._unstored.setdefault(f"{CLEARS}{held.topic}", clearing(held))
        self._forget_arrived(now_s)

    def prune(self, now_s: float) -> None:
        """Drop and count what is older than `max_age_s`, and note the time."""
        self._store_unstored()
        self._forget_arrived(now_s)
        self._write(lambda: self._expire(now_s))

    def waits(self, topic: str) -> bool:
        """Whether a message of this topic waits."""
        held = any(row.topic == topic for row in self._unstored.values())
        return held or bool(self._read("SELECT 1 FROM rows WHERE topic = ? LIMIT 1", topic))

    def close(self) -> None:
        """Close the file, after a last attempt to store what is held in memory."""
        self._store_unstored()
        if self._unstored:
            log.error("%s: %d messages could not be stored and end with this process", self.path, len(self._unstored))
        self._db.close()

    def _row(self, message: Message, now_s: float) -> Row:
        where, payload = address(message.topic), message.payload
        ends = isinstance(payload, p.Alarm) and payload.presence is Presence.OFF
        row_id = payload.id if isinstance(payload, p.Header) else f"{CLEARS}{message.topic}"
        return Row(
            0, row_id, where.topic.rank, where.bed, message.topic, encode(message), message.qos, message.retain,
            message.expiry_s, now_s + self._offset_s, ends,
        )  # fmt: skip

    def _marked(self, row: Row, now_s: float) -> Row:
        """The row with `replay` set when it is news no more; the newest word on an active alarm always is."""
        old = row.n <= self._last_old_n
        if not old and self.age_s(row, now_s) > LIVE_S:
            old = row.rank is not Rank.ALARM or not self._read("SELECT 1 FROM active WHERE id = ?", row.id)
        # a quote inside a JSON string is escaped, so these bytes can only be the key itself
        return replace(row, payload=row.payload.replace(b'"replay":false', b'"replay":true', 1)) if old else row

    def _head(self, lane: tuple[Rank, str], window: int) -> list[Row]:
        found = self._read(
            f"{SELECT} WHERE rank = ? AND bed = ? ORDER BY n LIMIT ?", *lane, window + len(self._arrived)
        )
        rows = [row for row in map(from_db, found) if row.id not in self._arrived]
        return (rows + [row for row in self._unstored.values() if row.lane == lane])[:window]

    def _store_unstored(self) -> None:
        while self._unstored:
            some = list(itertools.islice(self._unstored.values(), STORE_AT_ONCE))
            if not self._write(functools.partial(self._insert_all, some), sync=True):
                return
            for row in some:
                del self._unstored[row.id]

    def _insert_all(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._insert(row)

    def _forget_arrived(self, now_s: float) -> None:
        if self._arrived and self._write(lambda: self._remove(now_s)):
            self._arrived.clear()

    def _insert(self, row: Row) -> None:
        if row.rank is Rank.ALARM:  # news on a topic makes it needless to clear it
            self._delete(map(from_db, self._db.execute(f"{SELECT} WHERE topic = ? AND payload = x''", (row.topic,))))
        if not self._make_room(row):
            self.dropped += 1
            return
        added = self._db.execute(INSERT, values(row)).rowcount
        self._rows, self._bytes = self._rows + added, self._bytes + added * row.cost
        if row.rank is Rank.ALARM and row.payload:
            self._db.execute("DELETE FROM active WHERE topic = ?", (row.topic,))
            if not row.ends:
                self._db.execute("INSERT INTO active VALUES (?, ?, ?)", (row.topic, row.id, row.payload))
        self._tick(row.put_s)

    def _make_room(self, row: Row) -> bool:
        """Drop the oldest minutes, then events, then alarms that are superseded or over."""
        while self._bytes + row.cost > self.max_bytes:
            for rank in sorted(Rank, reverse=True):
                found = self._db.execute(f"{SELECT} WHERE rank = ? AND {DROPPABLE} ORDER BY n LIMIT 1", (rank,))
                victims = [from_db(old) for old in found]
                if victims or rank <= row.rank:
                    break
            if not victims:
                return row.rank is Rank.ALARM
            self._drop(victims)
        return True

    def _expire(self, now_s: float) -> None:
        before_s = now_s + self._offset_s - self.max_age_s
        found = self._db.execute(f"{SELECT} WHERE put_s < ? AND {DROPPABLE} ORDER BY n LIMIT 1000", (before_s,))
        self._drop([from_db(old) for old in found])
        self._tick(now_s + self._offset_s)

    def _drop(self, victims: Collection[Row]) -> None:
        self.dropped += len(victims)
        for row in victims:
            self._sent.pop(row.id, None)
        self._retire(victims)

    def _remove(self, now_s: float) -> None:
        found = [self._db.execute(f"{SELECT} WHERE id = ?", (row_id,)).fetchone() for row_id in self._arrived]
        self._retire([from_db(row) for row in found if row])
        self._tick(now_s + self._offset_s)

    def _retire(self, rows: Collection[Row]) -> None:
        """Delete rows; where an alarm ended and nothing newer waits on its topic, put the message that clears it."""
        self._delete(rows)
        for row in rows:
            if row.ends and not self._db.execute("SELECT 1 FROM rows WHERE topic = ?", (row.topic,)).fetchone():
                clear = clearing(row)
                self._db.execute(INSERT, values(clear))
                self._rows, self._bytes = self._rows + 1, self._bytes + clear.cost

    def _delete(self, rows: Iterable[Row]) -> None:
        for row in list(rows):
            self._db.execute("DELETE FROM rows WHERE n = ?", (row.n,))
            self._rows, self._bytes = self._rows - 1, self._bytes - row.cost

    def _tick(self, at_s: float) -> None:
        self._db.execute("INSERT OR REPLACE INTO clock VALUES (0, ?)", (at_s,))

    def _count(self) -> None:
        rows = f"SELECT count(*), coalesce(sum(length(payload) + {ROW_COST}), 0) FROM rows"  # noqa: S608 - a constant
        self._rows, self._bytes = self._db.execute(rows).fetchone()
        self._lanes |= {(Rank(rank), bed) for rank, bed in self._db.execute("SELECT DISTINCT rank, bed FROM rows")}

    def _write(self, work: Callable[[], None], *, sync: bool = False) -> bool:
        """Do the work in one transaction; False, with nothing changed, when the disk takes nothing."""
        dropped = self.dropped
        try:
            with self._db:
                self._db.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
                self._db.execute("BEGIN IMMEDIATE")
                work()
        except sqlite3.DatabaseError as error:
            if _damaged(error):
                self._start_again()
                return self._write(work, sync=sync)
            if not isinstance(error, sqlite3.OperationalError):
                raise
            self.dropped = dropped
            self._count()
            if not self._failing:
                log.error("%s; messages are held in memory until it takes them", _refusal(self.path, error))
            self._failing = True
            return False
        self._failing = False
        return True

    def _read(self, sql: str, *wanted: object) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(sql, wanted).fetchall()
        except sqlite3.DatabaseError as error:
            if not _damaged(error):
                raise _refusal(self.path, error) from error
            self._start_again()
            return []

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(self.path)
        except sqlite3.DatabaseError as error:
            if not _damaged(error):
                raise _refusal(self.path, error) from error
        self._set_aside()
        return _connect(self.path)

    def _start_again(self) -> None:
        self._db.close()
        self._set_aside()
        self._db = _connect(self.path)
        self._arrived.clear()
        self._sent.clear()
        self._last_old_n = 0
        self._count()

    def _set_aside(self) -> None:
        """Move a damaged file out of the way; what it held is lost, so that counts as a drop."""
        self.dropped += 1
        aside = self.path.with_name(self.path.name + ".corrupt")
        self.path.replace(aside)
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        log.error("%s is damaged and was moved to %s; messages in it were not delivered", self.path, aside)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        db.executescript(TABLES)
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise _Damaged(found)
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


class _Damaged(sqlite3.DatabaseError):
    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _damaged(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0)
    return (code & 0xFF) in DAMAGED


def _refusal(path: Path, error: sqlite3.DatabaseError) -> DeliveryError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StorageFull(f"{path}: the disk is full; free some space")
    if code == sqlite3.SQLITE_BUSY:
        return DeliveryError(f"{path}: another edgemon uses this outbox; stop it or give another state_dir")
    return DeliveryError(f"{path}: the outbox cannot be used: {error}; the state directory must be writable")
