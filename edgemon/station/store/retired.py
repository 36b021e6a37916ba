"""Devices that were taken out of service: nothing of them is known now, and what a broker still keeps is not news."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update

from edgemon.messages import payloads as p
from edgemon.station.nouns import Heard, base_of, device_place
from edgemon.station.store import schema as t
from edgemon.station.store.engine import INSERTS, Base
from edgemon.station.store.ward import parsed


class Retired(Base):
    """The part of `Store` that forgets a device."""

    def retire(self, base: str, by: str, now_ms: int) -> bool:
        """Forget what is known of a device and free the labels of its beds; False where it is not known.

        Its history stays. It is known again from its next word on. Who did it stands in the audit log.

        Raises:
            ValueError: it is online, and would come back at once.
        """
        with self._writing() as (connection, change):
            if connection.execute(select(t.device.c.base).where(t.device.c.base == base)).one_or_none() is None:
                return False
            avail = select(t.now.c.body).where(t.now.c.kind == "avail", t.now.c.place == device_place(base))
            body = connection.execute(avail).scalar_one_or_none()
            avail_now = parsed(p.Avail, body) if body is not None else None
            if avail_now is not None and avail_now.status == "online":
                raise ValueError("the device is online: take it off the network first")
            for table in (t.now, t.alarm, t.notice):
                heard = set(connection.execute(select(table.c.place).distinct()).scalars())
                places = [place for place in heard if base_of(place) == base]
                connection.execute(delete(table).where(table.c.place.in_(places)))
            for table in (t.device, t.refusal):
                connection.execute(delete(table).where(table.c.base == base))
            labels = t.assignment.c.place.startswith(f"{base}/", autoescape=True), t.assignment.c.to_ms.is_(None)
            connection.execute(update(t.assignment).where(*labels).values(to_ms=now_ms, change=change))
            made = INSERTS[connection.dialect.name](t.retired).values(base=base, at_ms=now_ms)
            connection.execute(made.on_conflict_do_update(index_elements=["base"], set_={"at_ms": now_ms}))
            row = {"at_ms": now_ms, "who": by, "what": "retire", "place": base, "detail": ""}
            connection.execute(insert(t.audit), row)
        return True


def in_service(connection: Connection, batch: Sequence[Heard]) -> Sequence[Heard]:
    """A batch without what the broker kept of retired devices; one that speaks is retired no more."""
    found = connection.execute(select(t.retired))
    retired = {row.base: row.at_ms for row in found}
    if not retired:
        return batch
    speaks = {one.base for one in batch if one.base in retired and not one.retained and one.payload is not None}
    if speaks:
        connection.execute(delete(t.retired).where(t.retired.c.base.in_(speaks)))
    silent = retired.keys() - speaks
    return [one for one in batch if not (one.retained and one.base in silent and one.received_ms <= retired[one.base])]
