"""A bed's day as files: CSV, which no spreadsheet takes for formulas, or Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.engine import make_url

from edgemon.errors import ConfigError
from edgemon.messages import payloads as p
from edgemon.station.nouns import AlarmLine, base_of, calendar_ts, device_place, to_ts, wall_ms
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store

What = Literal["heart_rate", "sleep", "events", "alarms", "movement", "summaries"]
Format = Literal["csv", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "parquet")
HOUR_MS = 3_600_000
LONGEST_MS = 25 * HOUR_MS  # a day on which a clock is put back
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # with what a spreadsheet lets a formula begin, or a cell end
WHO = "command line"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns by name, each a `time`, `text`, `number`, `whole` number or `flag`; and the rows of some time."""

    columns: dict[str, str]
    rows: Callable[[Store, str, int, int], list[Row]]
    step_ms: int  # so much is read at once


def days(day: date) -> tuple[int, int]:
    """From when to before when a day lasts, in UTC."""
    begin_ms = round(datetime.combine(day, time(), UTC).timestamp() * 1000)
    return begin_ms, begin_ms + 24 * HOUR_MS


def check(from_ms: int, to_ms: int, form: Format) -> None:
    """Say before anything is written that it cannot be.

    Raises:
        ConfigError: more than 25 h, the wrong order, or Parquet without pyarrow.
    """
    if not 0 < to_ms - from_ms <= LONGEST_MS:
        raise ConfigError(f"to_ms must lie after from_ms, by at most {LONGEST_MS} ms")
    if form == "parquet":
        _pyarrow()


def written(store: Store, what: What, place: str, from_ms: int, to_ms: int, *, form: Format) -> Iterator[bytes]:
    """A file piece by piece; between two pieces the store is not held."""
    table = TABLES[what]
    steps = range(from_ms, to_ms, table.step_ms)
    pieces = (table.rows(store, place, begin_ms, min(begin_ms + table.step_ms, to_ms)) for begin_ms in steps)
    return (_csv if form == "csv" else _parquet)(table, pieces)


def file_name(what: What, place: str, from_ms: int, form: Format) -> str:
    """A name that every file system takes: the bed, since when, what."""
    since = to_ts(from_ms)[:16].replace(":", "")
    return f"{place.replace('/', '-').replace(':', '-')}_{since}_{what}.{form}"


def export(settings: StationConfig, place: str, day: date, folder: Path, form: Format) -> list[Path]:
    """Write all tables of a bed's day (UTC) into a folder, and a row of the audit log.

    Raises:
        ConfigError: there is no such store, bed or folder, or no pyarrow.
        StoreUnavailable: the store cannot be used.
    """
    from_ms, to_ms = days(day)
    check(from_ms, to_ms, form)
    url = make_url(settings.store_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise ConfigError(f"{url.database}: there is no such store; name it by --store or --config")
    store = Store.open(settings.store)
    try:
        known = sorted(pulse.place for pulse in store.pulses())
        if place not in known:
            more = "" if len(known) <= 10 else f" and {len(known) - 10} more"
            raise ConfigError(f"the store knows no bed {place}; it knows {', '.join(known[:10]) or 'none'}{more}")
        store.audit(WHO, "export", place, f"{day} {form}", wall_ms())
        made = []
        for what in TABLES:
            path = folder / file_name(what, place, from_ms, form)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    file.writelines(written(store, what, place, from_ms, to_ms, form=form))
            except OSError as error:
                raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error
            made.append(path)
        return made
    finally:
        store.close()


def _heart_rate(store: Store, place: str, from_ms: int, to_ms: int) -> list[Row]:
    return [
        {"start": one.start_ms, "end": one.end_ms, "min_bpm": one.min, "median_bpm": one.median, "max_bpm": one.max,
         "valid_share": one.valid_share, "estimates": one.estimates}
        for one in store.minutes([place], from_ms, to_ms)
    ]  # fmt: skip


def _sleep(store: Store, place: str, from_ms: int, to_ms: int) -> list[Row]:
    return [
        {"start": span.from_ms, "end": span.to_ms, "value": span.value, "reason": span.reason}
        for span in store.history(place, from_ms, to_ms).sleep
    ]


def _told(table: str) -> Callable[[Store, str, int, int], list[Row]]:
    def rows(store: Store, place: str, from_ms: int, to_ms: int) -> list[Row]:
        found = (_flat(row) for row in store.told(table, place, from_ms, to_ms))
        return [row | {"start": row["start_ms"], "end": row["end_ms"]} for row in found]

    return rows


def _alarms(store: Store, place: str, from_ms: int, to_ms: int) -> list[Row]:
    """Of the bed, of its device and of the station about it."""
    lines = store.alarm_lines([place, device_place(base_of(place))], from_ms, to_ms)
    return [{name.removesuffix("_ms"): getattr(line, name) for name in ALARM_FIELDS} for line in lines]


def _flat(row: Row, before: str = "") -> Row:
    flat: Row = {}
    for name, value in row.items():
        flat |= _flat(value, f"{before}{name}_") if isinstance(value, dict) else {before + name: value}
    return flat


def _columns(model: type[p.Payload], before: str = "") -> dict[str, str]:
    """The measured fields of a payload, those of its parts behind the part's name."""
    columns: dict[str, str] = {}
    for name, field in model.model_fields.items():
        part = next((one for one in _models(field.annotation)), None)
        if part is not None:
            columns |= _columns(part, f"{before}{name}_")
        elif name not in p.Durable.model_fields and name not in ("start", "end"):
            columns[before + name] = "text" if name == "period" else "number"
    return columns


def _models(annotation: Any) -> list[type[p.Payload]]:
    options = (annotation, *getattr(annotation, "__args__", ()))
    return [one for one in options if isinstance(one, type) and issubclass(one, p.Payload)]


def _csv(table: Table, pieces: Iterator[list[Row]]) -> Iterator[bytes]:
    yield _lines([list(table.columns)])
    for rows in pieces:
        yield _lines([[_cell(row.get(name), kind) for name, kind in table.columns.items()] for row in rows])


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any, kind: str) -> object:
    """A value as CSV has it; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if value is None:
        return ""
    if kind == "time":
        return calendar_ts(value)
    if kind == "flag":
        return int(value)
    return f"'{value}" if kind == "text" and str(value).startswith(FORMULA) else value


def _parquet(table: Table, pieces: Iterator[list[Row]]) -> Iterator[bytes]:
    """One row group; Parquet tells at its end where all is, so a day of it is put together first."""
    pa, parquet = _pyarrow()
    kinds = {
        "time": pa.timestamp("ms", tz="UTC"), "text": pa.string(), "number": pa.float64(), "whole": pa.int64(),
        "flag": pa.bool_(),
    }  # fmt: skip
    rows = [row for piece in pieces for row in piece]
    columns = {name: [_typed(row.get(name), kind) for row in rows] for name, kind in table.columns.items()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in table.columns.items()])
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table(columns, schema=schema), sink)
    yield sink.getvalue().to_pybytes()


def _typed(value: Any, kind: str) -> Any:
    if value is None:
        return None
    return float(value) if kind == "number" else bool(value) if kind == "flag" else value


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415  (an extra, and slow to import)
        from pyarrow import parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError("Parquet needs pyarrow: install edgemon[parquet], or ask for csv") from error
    return pa, parquet


ALARM_FIELDS = tuple(field.name for field in fields(AlarmLine))
ALARM_KINDS = {"value": "number", "limit": "number", "revision": "whole", "replay": "flag"}
SPAN = {"start": "time", "end": "time"}
TABLES: dict[What, Table] = {
    "heart_rate": Table(
        SPAN
        | {"min_bpm": "number", "median_bpm": "number", "max_bpm": "number", "valid_share": "number",
           "estimates": "whole"},
        _heart_rate, HOUR_MS,
    ),
    "sleep": Table(SPAN | {"value": "text", "reason": "text"}, _sleep, LONGEST_MS),
    "events": Table(
        {"type": "text", "phase": "text", "event_id": "text"} | SPAN | {"peak": "number", "replay": "flag"},
        _told("event"), HOUR_MS,
    ),
    "alarms": Table(
        {name.removesuffix("_ms"): "time" if name.endswith("_ms") else ALARM_KINDS.get(name, "text")
         for name in ALARM_FIELDS},
        _alarms, HOUR_MS,
    ),
    "movement": Table(SPAN | _columns(p.Movement), _told("movement_minute"), HOUR_MS),
    "summaries": Table(SPAN | _columns(p.Summary), _told("summary"), HOUR_MS),
}  # fmt: skip
