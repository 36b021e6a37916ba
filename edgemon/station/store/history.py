"""What is told of a bed's last day: trends with gaps left as gaps, spans, bouts, the alarm log, coverage."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, func, select

from edgemon.records import DEVICE_BED
from edgemon.station.nouns import (
    AlarmLine,
    Bout,
    Coverage,
    HeartRateRaw,
    HeartRateTrend,
    History,
    MovementTrend,
    Span,
    base_of,
    bed_of,
    device_place,
)
from edgemon.station.store import schema as t
from edgemon.station.store.engine import Base

HOUR_MS = 3_600_000
LONGEST_MS = 25 * HOUR_MS
RAW_MS = HOUR_MS // 2
MINUTE_GAP_MS = 90_000  # minutes further apart than this have a gap between them, and so have beliefs
RAW_GAP_MS = 5_000
BELIEF_MS = 30_000  # a state is repeated at least as often: so long a belief holds that no other follows
MAX_ALARM_LINES = 2_000
LINE = ("place", "alarm_id", "revision", "presence", "phase")  # devices repeat it for as long as an alarm stands
Found = Row[Any]


class Histories(Base):
    """The part of `Store` that reads the past."""

    def history(self, place: str, from_ms: int, to_ms: int) -> History:
        """A bed between two moments, at most 25 h apart. ValueError: they are further apart, or in the wrong order."""
        if not 0 < to_ms - from_ms <= LONGEST_MS:
            raise ValueError(f"from_ms must be before to_ms, and at most {LONGEST_MS // HOUR_MS} h")

        def of(table: Table, start: str, end: str) -> Select[Any]:
            within = (table.c.place == place, table.c[start] < to_ms, table.c[end] >= from_ms)
            return select(table).where(*within).order_by(table.c[start])

        with self._reading() as connection:
            minutes = connection.execute(of(t.hr_minute, "start_ms", "start_ms")).all()
            moves = connection.execute(of(t.movement_minute, "start_ms", "start_ms")).all()
            beliefs = connection.execute(of(t.belief, "at_ms", "at_ms")).all()
            events = connection.execute(of(t.event, "start_ms", "end_ms")).all()
            summaries = connection.execute(of(t.summary, "end_ms", "end_ms")).all()
            raw = _raw(connection, place, from_ms, to_ms) if to_ms - from_ms <= RAW_MS else None
            alarms = _alarms(connection, place, from_ms, to_ms)
        bouts = {kind: _bouts([row for row in events if row.type == kind]) for kind in ("sleep", "cry")}
        sleep = _filled(_spans(beliefs, "sleep", to_ms), bouts["sleep"], from_ms, to_ms)
        return History(
            heart_rate=HeartRateTrend(
                *_trend(minutes, lambda row: (row.min, row.median, row.max, row.valid_share), MINUTE_GAP_MS)
            ),
            raw=raw,
            sleep=sleep,
            eyes=_spans(beliefs, "eyes", to_ms),
            crying=bouts["cry"],
            movement=MovementTrend(*_trend(moves, lambda row: (row.index_, row.coverage), MINUTE_GAP_MS, width=2)),
            alarms=alarms,
            coverage=_coverage(sleep, minutes, from_ms, to_ms),
            summaries=tuple(json.loads(row.body) for row in summaries),
        )


def _trend(
    rows: Sequence[Found], values: Callable[[Found], tuple[float | None, ...]], gap_ms: int, *, width: int = 4
) -> tuple[Any, ...]:
    """The columns of a trend: times, then each value; a gap has an entry of None at both of its ends."""
    lines: list[tuple[float | None, ...]] = []
    for row, after in zip(rows, [*rows[1:], None], strict=False):
        lines.append((row.start_ms, *values(row)))
        if after is not None and after.start_ms - row.start_ms > gap_ms:
            lines += [(ms, *(None,) * width) for ms in (row.start_ms + gap_ms // 2, after.start_ms - gap_ms // 2)]
    return tuple(zip(*lines, strict=True)) if lines else ((),) * (width + 1)


def _raw(connection: Connection, place: str, from_ms: int, to_ms: int) -> HeartRateRaw:
    slots = range(from_ms // t.SLOT_MS, to_ms // t.SLOT_MS + 1)
    wanted = select(t.hr.c.at_ms, t.hr.c.bpm).where(t.hr.c.slot.in_(slots), t.hr.c.place == place)
    rows = connection.execute(wanted.where(t.hr.c.at_ms.between(from_ms, to_ms)).order_by(t.hr.c.at_ms)).all()
    at_ms, bpms = [], []
    for row, after in zip(rows, [*rows[1:], None], strict=False):
        at_ms.append(row.at_ms)
        bpms.append(row.bpm)
        if after is not None and after.at_ms - row.at_ms > RAW_GAP_MS:
            at_ms += [row.at_ms + 1_000, after.at_ms - 1_000]
            bpms += [None, None]
    return HeartRateRaw(tuple(at_ms), tuple(bpms))


def _spans(beliefs: Sequence[Found], name: str, to_ms: int) -> tuple[Span, ...]:
    """Beliefs that follow one another as spans; one that nothing follows holds for as long as it is repeated in."""
    spans: list[Span] = []
    for row, after in zip(beliefs, [*beliefs[1:], None], strict=False):
        follows = after is not None and after.at_ms - row.at_ms <= MINUTE_GAP_MS
        end_ms = after.at_ms if after is not None and follows else min(row.at_ms + BELIEF_MS, max(to_ms, row.at_ms))
        value, reason = row._mapping[name], row._mapping[f"{name}_reason"]
        last = spans[-1] if spans else None
        if last is not None and (last.to_ms, last.value, last.reason) == (row.at_ms, value, reason):
            spans[-1] = Span(last.from_ms, end_ms, value, reason)
        else:
            spans.append(Span(row.at_ms, end_ms, value, reason))
    return tuple(spans)


def _bouts(rows: Iterable[Found]) -> tuple[Bout, ...]:
    """Bouts from what was told of each: its start, its end so far, its highest peak."""
    bouts: dict[str, Bout] = {}
    for row in rows:
        known = bouts.get(row.event_id)
        peaks = [peak for peak in (row.peak, known.peak if known else None) if peak is not None]
        bouts[row.event_id] = Bout(
            min(row.start_ms, known.from_ms) if known else row.start_ms,
            max(row.end_ms, known.to_ms) if known else row.end_ms,
            max(peaks, default=None),
            row.phase == "end" or (known is not None and known.ended),
        )
    return tuple(sorted(bouts.values(), key=lambda bout: bout.from_ms))


def _filled(spans: tuple[Span, ...], asleep: Sequence[Bout], from_ms: int, to_ms: int) -> tuple[Span, ...]:
    """Where no belief came, for the station or the network was away: the bouts of sleep that were told later."""
    edges = [from_ms, *(ms for span in spans for ms in (span.from_ms, span.to_ms)), to_ms]
    more = [
        Span(max(start, bout.from_ms), min(end, bout.to_ms), "asleep", None)
        for start, end in list(pairwise(edges))[::2]
        for bout in asleep
        if min(end, bout.to_ms) > max(start, bout.from_ms)
    ]
    return tuple(sorted((*spans, *more), key=lambda span: span.from_ms))


def _coverage(sleep: Sequence[Span], minutes: Sequence[Found], from_ms: int, to_ms: int) -> Coverage:
    starts = [span.from_ms for span in sleep[:1]] + [row.start_ms for row in minutes[:1]]
    if not starts:
        return Coverage(None, None, None)
    begun_ms = max(from_ms, min(starts))
    whole_ms = max(1, to_ms - begun_ms)
    known_ms = sum(min(to_ms, span.to_ms) - span.from_ms for span in sleep if span.value is not None)
    rated_ms = sum((row.end_ms - row.start_ms) * row.valid_share for row in minutes)
    return Coverage(begun_ms, min(1.0, known_ms / whole_ms), min(1.0, rated_ms / whole_ms))


def _alarms(connection: Connection, place: str, from_ms: int, to_ms: int) -> tuple[AlarmLine, ...]:
    """The log of the bed, of its device, and of the station's own alarms about it, without what only repeats.

    The newest are kept where they are too many.
    """
    wide = device_place(base_of(place))
    places = (place,) if bed_of(place) == DEVICE_BED else (place, wide)

    def within(table: Table) -> tuple[ColumnElement[bool], ...]:
        return table.c.place.in_(places), table.c.at_ms.between(from_ms, to_ms)

    def newest(table: Table, wanted: Select[Any]) -> Sequence[Found]:
        return connection.execute(wanted.order_by(table.c.at_ms.desc()).limit(MAX_ALARM_LINES)).all()

    log, notices = t.alarm_log, t.notice_log
    nth = func.row_number().over(partition_by=[log.c[name] for name in LINE], order_by=(log.c.at_ms, log.c.id))
    numbered = select(log.c.id, nth.label("n")).where(*within(log)).subquery()
    first = select(log).join(numbered, and_(numbered.c.id == log.c.id, numbered.c.n == 1))
    lines = [device_line(row) for row in newest(log, first)]
    lines += [station_line(row) for row in newest(notices, select(notices).where(*within(notices)))]
    return tuple(sorted(lines, key=lambda line: line.at_ms)[-MAX_ALARM_LINES:])


def device_line(row: Found) -> AlarmLine:
    """A row of `alarm_log`."""
    return AlarmLine(
        "device", row.condition, row.phase, row.presence, row.priority, row.kind, row.onset_ms, row.at_ms, row.value,
        row.limit_, row.unit, row.alarm_id, row.revision, row.ack_by, row.ack_ms, bool(row.replay),
    )  # fmt: skip


def station_line(row: Found) -> AlarmLine:
    """A row of `notice_log`."""
    return AlarmLine(
        "station", row.condition, row.phase, row.presence, row.priority, "technical", row.since_ms, row.at_ms,
        None, None, None, None, None, row.ack_by, row.ack_ms, replay=False,
    )  # fmt: skip
