"""A row of the outbox, and how it lies in SQLite."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any

from edgemon.messages.topics import Rank

BACK_OFF = 8.0  # the pause between repeats grows up to this many times
TABLES = """
CREATE TABLE IF NOT EXISTS rows(
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, rank INTEGER NOT NULL, bed TEXT NOT NULL,
    topic TEXT NOT NULL, payload BLOB NOT NULL, qos INTEGER NOT NULL, retain INTEGER NOT NULL, expiry_s INTEGER,
    put_s REAL NOT NULL, ends INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS lanes ON rows(rank, bed, n);
CREATE INDEX IF NOT EXISTS ranks ON rows(rank, n);
CREATE INDEX IF NOT EXISTS topics ON rows(topic, n);
CREATE TABLE IF NOT EXISTS active(topic TEXT PRIMARY KEY, id TEXT NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS clock(only INTEGER PRIMARY KEY CHECK (only = 0), at_s REAL NOT NULL);
"""
COLUMNS = "n, id, rank, bed, topic, payload, qos, retain, expiry_s, put_s, ends"
INSERT = f"INSERT OR IGNORE INTO rows({COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants only
SELECT = f"SELECT {COLUMNS} FROM rows"  # noqa: S608 - constants only
DROPPABLE = "payload != x'' AND id NOT IN (SELECT id FROM active)"  # never an active alarm, nor what clears a topic
UNSTORED_N = 2**62  # after all that are on the disk
CLEARS = "clear "  # ids of the messages that clear a topic; the broker's PUBACK delivers them
ROW_COST = 200  # bytes that a row takes besides its payload


@dataclass(frozen=True, slots=True)
class Row:
    """One message that waits; an empty payload takes an ended alarm off the broker."""

    n: int
    id: str
    rank: Rank
    bed: str
    topic: str
    payload: bytes
    qos: int
    retain: bool
    expiry_s: int | None
    put_s: float  # on the outbox's own clock
    ends: bool  # an alarm that ended

    @property
    def lane(self) -> tuple[Rank, str]:
        """Rank and bed."""
        return self.rank, self.bed

    @property
    def cost(self) -> int:
        """Bytes that it takes."""
        return len(self.payload) + ROW_COST


def from_db(found: tuple[Any, ...]) -> Row:
    """The row that `SELECT` found."""
    n, row_id, rank, bed, topic, payload, qos, retain, expiry_s, put_s, ends = found
    return Row(n, row_id, Rank(rank), bed, topic, payload, qos, bool(retain), expiry_s, put_s, bool(ends))


def values(row: Row) -> tuple[object, ...]:
    """What `INSERT` takes."""
    return (
        row.id, row.rank, row.bed, row.topic, row.payload, row.qos, row.retain, row.expiry_s, row.put_s, row.ends,
    )  # fmt: skip


def clearing(row: Row) -> Row:
    """The empty message that clears the topic of an alarm that ended."""
    return replace(row, n=UNSTORED_N, id=f"{CLEARS}{row.topic}", payload=b"", ends=False)


def patience_s(row_id: str, times: int, resend_after_s: float) -> float:
    """How long to wait for the delivery of what has been sent so many times."""
    jitter = 1.0 + 0.25 * (zlib.crc32(f"{row_id} {times}".encode()) / 2**32)
    return resend_after_s * min(2.0 ** (times - 1), BACK_OFF) * jitter
