"""Which of several processes applies the rules: the one that holds an advisory lock of PostgreSQL."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Connection, exc, text

from edgemon.station.store.engine import Base, told
from edgemon.station.store.upgrade import LOCK

LEADER_LOCK = LOCK + 1


class Leadership:
    """The lock, held for as long as its connection lives; with SQLite each process leads, which is harmless."""

    def __init__(self, store: Base) -> None:
        self._engine = store.engine
        self._connection: Connection | None = None

    def held(self) -> bool:
        """Whether this process leads now; it tries to where it does not.

        Raises:
            StoreUnavailable: the database cannot be reached; this process leads no more.
        """
        if self._engine.dialect.name != "postgresql":
            return True
        try:
            with told():
                if self._connection is not None:
                    self._connection.execute(text("SELECT 1"))
                    return True
                return self._try()
        except BaseException:
            self._drop()
            raise

    def give_up(self) -> None:
        """Let another lead, from now on and not from when the database notices."""
        if self._connection is not None:
            with suppress(exc.SQLAlchemyError):
                self._connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LEADER_LOCK})
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()  # closing it for good frees the lock, in whatever state it is
            connection.close()

    def _try(self) -> bool:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        won = bool(connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LEADER_LOCK}).scalar_one())
        if won:
            self._connection = connection
        else:
            connection.close()
        return won
