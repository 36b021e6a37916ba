"""Connections: who may write, in what mode, and what a failure of the database is called."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url

from edgemon.errors import StoreUnavailable
from edgemon.station.store import schema as t

BUSY_S = 5.0  # how long a writer waits for another
GONE_MS = 10_000  # a writer that vanishes in mid-transaction keeps all others, and the leader's lock, for no longer
ALIVE = {"tcp_keepalives_idle": 5, "tcp_keepalives_interval": 2, "tcp_keepalives_count": 3}
CACHE_KIB = 32 * 1024
LARGEST_WAL_BYTES = 64 * 2**20
INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Unfit(ValueError):
    """The database will never take this row; it is unchanged."""


def connect(url: str | URL) -> Engine:
    """An engine whose SQLite is fit for several processes and durable once committed."""
    where = make_url(url)
    if where.get_backend_name() == "sqlite":
        engine = create_engine(where, connect_args={"timeout": BUSY_S}, pool_timeout=BUSY_S)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    limits = {"lock_timeout": int(1000 * BUSY_S), "statement_timeout": 60_000}
    limits |= {"idle_in_transaction_session_timeout": GONE_MS, "tcp_user_timeout": GONE_MS} | ALIVE
    options = " ".join(f"-c {name}={value}" for name, value in limits.items())
    arguments: dict[str, Any] = {name.removeprefix("tcp_"): value for name, value in ALIVE.items()}
    arguments |= {"connect_timeout": int(BUSY_S), "tcp_user_timeout": GONE_MS}
    arguments["options"] = f"{options} -c synchronous_commit=on"
    return create_engine(where, connect_args=arguments, pool_pre_ping=True, pool_timeout=BUSY_S)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is ours
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # committed means on the disk: only then is a receipt sent
        "foreign_keys=ON",
        f"cache_size=-{CACHE_KIB}",
        f"journal_size_limit={LARGEST_WAL_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Base:
    """What the parts of the store share: reading and writing."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writers = engine.execution_options(writes=True)
        self._turn = threading.Lock()  # SQLite itself lets the lucky in first

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with told(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, int]]:
        """A transaction, and the number of its changes; nobody else writes until it ends."""
        if not self._turn.acquire(timeout=BUSY_S):
            raise StoreUnavailable(f"the store cannot be used: this process has been writing for {BUSY_S:g} s")
        try:
            with told(), self._writers.begin() as connection:
                yield connection, take_turn(connection)
        finally:
            self._turn.release()


def take_turn(connection: Connection) -> int:
    """Wait until no other transaction writes, and draw the next `change`."""
    drawn = connection.execute(update(t.turn).values(change=t.turn.c.change + 1).returning(t.turn.c.change))
    return int(drawn.scalar_one())


@contextmanager
def told() -> Iterator[None]:
    """Failures of the database in our own words.

    Raises:
        Unfit: the rows are at fault, and would be again.
        StoreUnavailable: the database is; later it may do.
    """
    try:
        yield
    except (exc.DataError, exc.IntegrityError, OverflowError, UnicodeEncodeError) as error:
        raise Unfit(_line(error)) from error
    except exc.SQLAlchemyError as error:
        raise StoreUnavailable(f"the store cannot be used: {_line(error)}") from error


def _line(error: Exception) -> str:
    """The first line of it; never the statement or its values."""
    cause = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    lines = str(cause).strip().splitlines()
    return lines[0][:200] if lines else type(cause).__name__
