"""Where the TimescaleDB extension is present, what comes most often lies in hypertables."""

from __future__ import annotations

from sqlalchemy import Connection, text

HOUR_MS = 3_600_000
HYPERTABLES = (("hr", "slot", HOUR_MS // 10_000), ("belief", "at_ms", 24 * HOUR_MS))  # table, time column, chunk
NOW_FUNCTIONS = """
CREATE OR REPLACE FUNCTION edgemon_now_ms() RETURNS BIGINT LANGUAGE SQL STABLE AS
  $$ SELECT (extract(epoch FROM now()) * 1000)::BIGINT $$;
CREATE OR REPLACE FUNCTION edgemon_now_slot() RETURNS BIGINT LANGUAGE SQL STABLE AS
  $$ SELECT (extract(epoch FROM now()) * 1000)::BIGINT / 10000 $$;
"""
HOURLY = """
CREATE MATERIALIZED VIEW IF NOT EXISTS hr_hour WITH (timescaledb.continuous) AS
  SELECT time_bucket(BIGINT '360', slot) AS hour_slot, place, min(bpm) AS min, avg(bpm) AS mean, max(bpm) AS max,
    count(bpm) AS valid, count(*) AS told
  FROM hr GROUP BY hour_slot, place WITH NO DATA
"""


def prepare(connection: Connection) -> bool:
    """Turn the tables into hypertables; again is no harm. False where the extension is not there."""
    if connection.dialect.name != "postgresql":
        return False
    found = connection.execute(text("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'")).scalar()
    if found is None:
        return False
    connection.execute(text(NOW_FUNCTIONS))
    for table, column, chunk in HYPERTABLES:
        connection.execute(
            text(
                "SELECT create_hypertable(CAST(:table AS regclass), CAST(:column AS name),"
                " chunk_time_interval => CAST(:chunk AS BIGINT), if_not_exists => TRUE, migrate_data => TRUE)"
            ),
            {"table": table, "column": column, "chunk": chunk},
        )
        function = "edgemon_now_slot" if column == "slot" else "edgemon_now_ms"
        connection.execute(
            text(
                "SELECT set_integer_now_func(CAST(:table AS regclass), CAST(:f AS regproc), replace_if_exists => TRUE)"
            ),
            {"table": table, "f": function},
        )
    return True
