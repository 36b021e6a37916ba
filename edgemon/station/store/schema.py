"""The tables, alike in SQLite and PostgreSQL. All times are UTC milliseconds; bodies are JSON as it came.

`change` is one rising number for all tables: a writer takes the row of `turn` first and keeps it until it commits, so
writers follow one another, and a reader who has seen a number has seen all below it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, PrimaryKeyConstraint, Table, Text

metadata = MetaData()
SLOT_MS = 10_000
BIG = BigInteger().with_variant(Integer, "sqlite")  # what SQLite numbers rows by must be called INTEGER

turn = Table(
    "turn", metadata, Column("single", Integer, primary_key=True), Column("change", BigInteger, nullable=False)
)

now = Table(
    "now",
    metadata,
    Column("kind", Text, nullable=False),  # avail | birth | health | state | hr (the reading only) | belief (its words)
    Column("place", Text, nullable=False),
    Column("life", Integer, nullable=False),  # order of messages: (life, session, seq); see `Orders`
    Column("session", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("change", BigInteger, nullable=False),
    PrimaryKeyConstraint("kind", "place"),  # kind first: what is written every second lies together
    Index("now_change", "change"),
    sqlite_with_rowid=False,
)

alarm = Table(
    "alarm",
    metadata,
    Column("place", Text, nullable=False),
    Column("condition", Text, nullable=False),
    Column("life", Integer, nullable=False),
    Column("session", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("alarm_id", Text, nullable=False),
    Column("presence", Text, nullable=False),  # off: it ended, and the row is kept so that readers see that
    Column("ack_by", Text),
    Column("ack_at", Text),
    Column("received_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("change", BigInteger, nullable=False),
    PrimaryKeyConstraint("place", "condition"),
    Index("alarm_change", "change"),
)

alarm_log = Table(
    "alarm_log",
    metadata,
    Column("id", Text, primary_key=True),
    Column("place", Text, nullable=False),
    Column("condition", Text, nullable=False),
    Column("alarm_id", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("phase", Text, nullable=False),
    Column("presence", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("onset_ms", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("value", Float),
    Column("limit_", Float),
    Column("unit", Text),
    Column("ack_by", Text),
    Column("ack_ms", BigInteger),
    Column("replay", Integer, nullable=False),
    Index("alarm_log_place", "place", "at_ms"),
    Index("alarm_log_at", "at_ms"),
)

hr = Table(
    "hr",
    metadata,
    Column("slot", BigInteger, nullable=False),  # at_ms // SLOT_MS; first, so that what is written now lies together
    Column("place", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),  # when it came
    Column("bpm", Float),
    Column("quality", Float, nullable=False),
    Column("reason", Text),
    PrimaryKeyConstraint("slot", "place", "at_ms"),
    sqlite_with_rowid=False,
)

hr_minute = Table(
    "hr_minute",
    metadata,
    Column("id", Text, primary_key=True),
    Column("place", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("min", Float),
    Column("median", Float),
    Column("max", Float),
    Column("valid_share", Float, nullable=False),
    Column("estimates", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Index("hr_minute_place", "place", "start_ms"),
    Index("hr_minute_at", "start_ms"),
)

movement_minute = Table(
    "movement_minute",
    metadata,
    Column("id", Text, primary_key=True),
    Column("place", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("index_", Float),
    Column("coverage", Float, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("movement_minute_place", "place", "start_ms"),
    Index("movement_minute_at", "start_ms"),
)

summary = Table(
    "summary",
    metadata,
    Column("id", Text, primary_key=True),
    Column("place", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("summary_place", "place", "end_ms"),
    Index("summary_at", "end_ms"),
)

event = Table(
    "event",
    metadata,
    Column("id", Text, primary_key=True),
    Column("place", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),  # so far, until phase end
    Column("peak", Float),
    Column("received_ms", BigInteger, nullable=False),
    Column("replay", Integer, nullable=False),
    Index("event_place", "place", "type", "end_ms"),
    Index("event_at", "end_ms"),
)

belief = Table(
    "belief",
    metadata,
    Column("place", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),  # when it came
    Column("eyes", Text),
    Column("eyes_reason", Text),
    Column("sleep", Text),
    Column("sleep_reason", Text),
    Column("cry", Text),
    Column("cry_reason", Text),
    Column("posture", Text),
    Column("posture_reason", Text),
    Column("coverage", Float, nullable=False),
    PrimaryKeyConstraint("place", "at_ms"),
    Index("belief_at", "at_ms"),
    sqlite_with_rowid=False,
)

command = Table(
    "command",
    metadata,
    Column("cmd_id", Text, primary_key=True),
    Column("place", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("status", Text),
    Column("reason", Text),
    Column("revision", BigInteger),
    Column("change", BigInteger, nullable=False),
    Index("command_asked", "asked_ms"),
)

device = Table(
    "device",
    metadata,
    Column("base", Text, primary_key=True),
    Column("life", Integer, nullable=False),
    Column("boot", Text, nullable=False),
    Column("past", Text, nullable=False),
    Column("session", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("newest_seq", BigInteger, nullable=False),
    Column("gaps", Text, nullable=False),  # JSON: [[first, last], ...] of numbers that have not come
    Column("lost", BigInteger, nullable=False),  # those in gaps that are no longer kept
    Column("fresh", BigInteger, nullable=False),
    Column("repeats", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("offsets", Text, nullable=False),  # JSON: newest differences between our clock and the device's
    Column("change", BigInteger, nullable=False),
)

retired = Table(
    "retired", metadata, Column("base", Text, primary_key=True), Column("at_ms", BigInteger, nullable=False)
)

refusal = Table(
    "refusal",
    metadata,
    Column("base", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    PrimaryKeyConstraint("base", "reason"),
)

notice = Table(
    "notice",
    metadata,
    Column("place", Text, nullable=False),
    Column("condition", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("presence", Text, nullable=False),  # on | off: it was closed, and the row is kept so that readers see that
    Column("since_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger),
    Column("ack_by", Text),
    Column("ack_ms", BigInteger),
    Column("change", BigInteger, nullable=False),
    PrimaryKeyConstraint("place", "condition"),
    Index("notice_change", "change"),
)

notice_log = Table(
    "notice_log",
    metadata,
    Column("n", BIG, primary_key=True, autoincrement=True),
    Column("place", Text, nullable=False),
    Column("condition", Text, nullable=False),
    Column("phase", Text, nullable=False),  # start | update | end
    Column("presence", Text, nullable=False),  # on | ack | off
    Column("priority", Text, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("ack_by", Text),
    Column("ack_ms", BigInteger),
    Index("notice_log_place", "place", "at_ms"),
    Index("notice_log_at", "at_ms"),
)

assignment = Table(
    "assignment",
    metadata,
    Column("n", BIG, primary_key=True, autoincrement=True),
    Column("label", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger),
    Column("by", Text, nullable=False),
    Column("change", BigInteger, nullable=False),
    Index("assignment_change", "change"),
)

account = Table(
    "account",
    metadata,
    Column("name", Text, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("disabled_ms", BigInteger),
)

login = Table(
    "login",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("auth", Text, nullable=False),
    Column("csrf", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("login_name", "name"),
    Index("login_expires", "expires_ms"),
)

audit = Table(
    "audit",
    metadata,
    Column("n", BIG, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("place", Text),
    Column("detail", Text, nullable=False),
)
