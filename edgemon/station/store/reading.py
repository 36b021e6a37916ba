"""What is known now: beds, devices, commands, the station's own alarms. Readers wait for nobody."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Engine, bindparam, insert, select, update

from edgemon.messages import payloads as p
from edgemon.records import Priority
from edgemon.station.nouns import BedNow, CommandRow, DeviceNow, Notice, Pulse, Refusal, base_of, ours, to_ms
from edgemon.station.store import schema as t
from edgemon.station.store.engine import INSERTS, Base
from edgemon.station.store.people import Act, write_down
from edgemon.station.store.track import Track
from edgemon.station.store.ward import OFF, Ward, around, is_on, notice_of, parsed, since
from edgemon.station.store.writing import NOBODY

P = TypeVar("P", bound=p.Payload)
WHOLE_EVERY_S = 60.0  # what another process deleted is gone here so much later at the most


class Reading(Base):
    """The part of `Store` that tells what is known now."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._ward_lock = threading.Lock()
        self._known, self._read_whole_s = Ward(), time.monotonic()

    def newest_change(self) -> int:
        """The highest `change` of all."""
        with self._reading() as connection:
            return int(connection.execute(select(t.turn.c.change)).scalar_one())

    @contextmanager
    def _ward(self) -> Iterator[Ward]:
        """All that is known now; nobody else uses it meanwhile."""
        with self._ward_lock:
            with self._reading() as connection:
                newest = int(connection.execute(select(t.turn.c.change)).scalar_one())
                old = time.monotonic() - self._read_whole_s >= WHOLE_EVERY_S
                if old or newest < self._known.seen:
                    self._known, self._read_whole_s = Ward(), time.monotonic()
                if newest > self._known.seen:
                    self._known.take(connection, since(self._known.seen))
                    self._known.seen = newest
            yield self._known

    def forget(self) -> None:
        """Read everything again the next time: rows were deleted."""
        with self._ward_lock:
            self._known = Ward()

    def beds(self, after_change: int = 0) -> list[BedNow]:
        """Every bed of which something has changed since, by place."""
        with self._ward() as ward:
            return [ward.bed(place) for place, change in sorted(ward.changed.items()) if change > after_change]

    def bed(self, place: str) -> BedNow | None:
        """One bed, or of `_device` its device's own alarms; None where nothing was ever heard."""
        ward = Ward()
        with self._reading() as connection:
            ward.take(connection, around(place))
        return ward.bed(place) if ward.known(place) else None

    def places(self) -> frozenset[str]:
        """Every bed that is known."""
        with self._ward() as ward:
            return frozenset(ward.changed)

    def pulses(self) -> list[Pulse]:
        """When each bed was last heard of."""
        with self._ward() as ward:
            return ward.pulses()

    def devices(self) -> list[DeviceNow]:
        """Every device that was ever heard, by name; refusals that no known device is to blame for stand under `-`."""
        with self._reading() as connection:
            kinds = t.now.c.kind.in_(("avail", "birth", "health"))
            now = {(row.kind, base_of(row.place)): row for row in connection.execute(select(t.now).where(kinds))}
            refused: defaultdict[str, list[Refusal]] = defaultdict(list)
            for row in connection.execute(select(t.refusal).order_by(t.refusal.c.reason)).mappings():
                refused[row["base"]].append(Refusal(row["reason"], row["count"], row["last_ms"], row["text"]))
            tracks = [(Track.of(row._asdict()), row.change) for row in connection.execute(select(t.device))]
        if NOBODY in refused:
            tracks.append((Track(NOBODY), 0))

        def read(kind: str, base: str, model: type[P]) -> P | None:
            row = now.get((kind, base))
            return parsed(model, row.body) if row is not None else None

        return [
            DeviceNow(
                base=track.base, avail=read("avail", track.base, p.Avail), birth=read("birth", track.base, p.Birth),
                health=read("health", track.base, p.HealthReport), last_heard_ms=track.last_ms or None,
                clock_offset_ms=track.offset_ms, received=track.fresh, repeats=track.repeats, missing=track.missing,
                refused=tuple(refused[track.base]), change=change,
            )
            for track, change in sorted(tracks, key=lambda one: one[0].base)
        ]  # fmt: skip

    def asked(self, request: p.CommandRequest, place: str, by: str, now_ms: int) -> None:
        """Write down a command that is about to be sent; `by` is the person, `request.by` the station."""
        with self._writing() as (connection, change):
            device = connection.execute(select(t.device).where(t.device.c.base == base_of(place))).one_or_none()
            offset_ms = Track.of(device._asdict()).offset_ms if device is not None else None
            connection.execute(
                insert(t.command).values(
                    cmd_id=request.cmd_id, place=place, name=request.name, by=by, asked_ms=now_ms,
                    expires_ms=ours(to_ms(request.expires), offset_ms), body=request.model_dump_json(), change=change,
                )
            )  # fmt: skip

    def command(self, cmd_id: str) -> CommandRow | None:
        """A command and its answer."""
        with self._reading() as connection:
            row = connection.execute(select(t.command).where(t.command.c.cmd_id == cmd_id)).one_or_none()
        if row is None:
            return None
        return CommandRow(
            row.cmd_id, row.place, row.name, row.by, row.asked_ms, row.expires_ms, row.status, row.reason, row.revision
        )

    def notices(self) -> list[Notice]:
        """The station's own alarms that stand."""
        with self._reading() as connection:
            return [notice_of(row) for row in connection.execute(select(t.notice)) if is_on(row)]

    def change_notices(self, opened: Iterable[Notice], closed: Iterable[Notice], now_ms: int) -> None:
        """Open and close alarms of the station; again is no harm."""
        starts, ends = list(opened), list(closed)
        if not starts and not ends:
            return
        with self._writing() as (connection, change):
            stand = {
                (row.place, row.condition): notice_of(row) for row in connection.execute(select(t.notice)) if is_on(row)
            }
            upsert = INSERTS[connection.dialect.name](t.notice)
            keys = ("place", "condition")
            others = {column.name: upsert.excluded[column.name] for column in t.notice.c if column.name not in keys}
            fresh = {(one.place, one.condition): one for one in starts if (one.place, one.condition) not in stand}
            gone = {key: stand[key] for one in ends if (key := (one.place, one.condition)) in stand}
            if fresh:
                rows = [_notice_row(one, change) for one in fresh.values()]
                connection.execute(upsert.on_conflict_do_update(index_elements=keys, set_=others), rows)
            if gone:
                over = update(t.notice).where(*_is(bindparam("at_place"), bindparam("of_condition")))
                rows = [{"at_place": place, "of_condition": condition} for place, condition in gone]
                connection.execute(over.values(presence=OFF, closed_ms=now_ms, change=change), rows)
            logged = [_log_row(one, "start", "on", now_ms) for one in fresh.values()]
            logged += [_log_row(one, "end", OFF, now_ms) for one in gone.values()]
            if logged:
                connection.execute(insert(t.notice_log), logged)

    def acknowledge_notice(self, place: str, condition: str, by: str, now_ms: int) -> bool:
        """End the signal of one; False where it does not stand or was acknowledged before.

        Who did it stands in the audit log.
        """
        with self._writing() as (connection, change):
            row = connection.execute(select(t.notice).where(*_is(place, condition))).one_or_none()
            if row is None or not is_on(row) or row.ack_by is not None:
                return False
            acked = {"ack_by": by, "ack_ms": now_ms, "change": change}
            connection.execute(update(t.notice).where(*_is(place, condition)).values(acked))
            told = Notice(place, row.condition, Priority(row.priority), row.since_ms, by, now_ms)
            connection.execute(insert(t.notice_log), _log_row(told, "update", "ack", now_ms))
            write_down(connection, Act(now_ms, by, "acknowledge", place, condition))
            return True


def _notice_row(notice: Notice, change: int) -> dict[str, object]:
    return {
        "place": notice.place, "condition": notice.condition, "priority": notice.priority.value, "presence": "on",
        "since_ms": notice.since_ms, "closed_ms": None, "ack_by": None, "ack_ms": None, "change": change,
    }  # fmt: skip


def _is(place: Any, condition: Any) -> tuple[Any, Any]:
    return t.notice.c.place == place, t.notice.c.condition == condition


def _log_row(notice: Notice, phase: str, presence: str, now_ms: int) -> dict[str, object]:
    return {
        "place": notice.place, "condition": notice.condition, "phase": phase, "presence": presence,
        "priority": notice.priority.value, "since_ms": notice.since_ms, "at_ms": now_ms,
        "ack_by": notice.ack_by, "ack_ms": notice.ack_ms,
    }  # fmt: skip
