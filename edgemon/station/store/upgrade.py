"""Brings the tables of a store up to date, one process at a time, all steps or none."""

from __future__ import annotations

import logging

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from edgemon.errors import StoreUnavailable
from edgemon.station.store import timescale
from edgemon.station.store.engine import told

LOCK = 0x6564676D  # of pg_advisory_xact_lock; any number that nobody else uses


def alembic_config(connection: Connection) -> Config:
    """Where alembic finds the steps, and the connection that they are taken on."""
    config = Config()
    config.set_main_option("script_location", "edgemon.station.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine) -> None:
    """Take the steps that this store has not seen.

    Raises:
        StoreUnavailable: it cannot be reached or written, or a later edgemon has made it.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with told(), engine.execution_options(writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        try:
            command.upgrade(alembic_config(connection), "head")
        except CommandError as error:
            raise StoreUnavailable(f"the store was made by a later edgemon: {error}; update this one") from error
        timescale.prepare(connection)
