"""Where the TimescaleDB extension is present, what comes most often lies in hypertables, with an aggregate of it."""

from __future__ import annotations

import logging

from sqlalchemy import Connection, exc, text

log = logging.getLogger(__name__)
FOUND = "SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'"
HOUR_MS = 3_600_000
HYPERTABLES = (("hr", "slot", HOUR_MS // 10_000), ("belief", "at_ms", 24 * HOUR_MS))  # table, time column, chunk
NOW_FUNCTIONS = """
CREATE OR REPLACE FUNCTION edgemon_now_ms() RETURNS BIGINT LANGUAGE SQL STABLE AS
  $$ SELECT (extract(epoch FROM now()) * 1000)::BIGINT $$;
CREATE OR REPLACE FUNCTION edgemon_now_slot() RETURNS BIGINT LANGUAGE SQL STABLE AS
  $$ SELECT (extract(epoch FROM now()) * 1000)::BIGINT / 10000 $$
"""
HYPERTABLE = """
SELECT create_hypertable(CAST(:table AS regclass), CAST(:column AS name), chunk_time_interval => CAST(:chunk AS BIGINT),
  if_not_exists => TRUE, migrate_data => TRUE)
"""
NOW_FUNCTION = "SELECT set_integer_now_func(CAST(:table AS regclass), :function, replace_if_exists => TRUE)"
FIVE_MINUTES = """
CREATE MATERIALIZED VIEW IF NOT EXISTS hr_five_minutes WITH (timescaledb.continuous) AS
  SELECT time_bucket(BIGINT '30', slot) AS from_slot, place, min(bpm) AS min, avg(bpm) AS mean, max(bpm) AS max,
    count(bpm) AS valid, count(*) AS told
  FROM hr GROUP BY from_slot, place WITH NO DATA
"""
# never refreshed from further back than the shortest time that seconds are kept for: what was pruned would leave it too
REFRESHED = """
SELECT add_continuous_aggregate_policy('hr_five_minutes', start_offset => BIGINT '150', end_offset => BIGINT '3',
  schedule_interval => INTERVAL '5 minutes', if_not_exists => TRUE)
"""


def prepare(connection: Connection) -> bool:
    """Turn the tables into hypertables; again is no harm. False where the extension is not there or does not do."""
    if connection.dialect.name != "postgresql":
        return False
    if connection.execute(text(FOUND)).scalar() is None:
        return False
    try:
        with connection.begin_nested():
            _make(connection)
    except exc.DBAPIError as error:
        log.warning("TimescaleDB is there, and its tables stay plain: %s", error.orig)
        return False
    return True


def _make(connection: Connection) -> None:
    connection.execute(text(NOW_FUNCTIONS.replace(":", r"\:")))
    for table, column, chunk in HYPERTABLES:
        function = "edgemon_now_slot" if column == "slot" else "edgemon_now_ms"
        connection.execute(text(HYPERTABLE), {"table": table, "column": column, "chunk": chunk})
        connection.execute(text(NOW_FUNCTION), {"table": table, "function": function})
    connection.execute(text(FIVE_MINUTES))
    connection.execute(text(REFRESHED))
