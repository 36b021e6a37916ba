"""From messages to rows; pure. One `Rows` is one batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from edgemon.messages import payloads as p
from edgemon.records import Presence
from edgemon.station.nouns import Heard, ours, to_ms
from edgemon.station.store.schema import SLOT_MS
from edgemon.station.store.track import Order, Track

Row = dict[str, Any]
BELIEF_EVERY_MS = 10_000
WORDS = ("eyes", "sleep", "cry", "posture")


class Rows:
    """The rows of one batch by table; of `now` only the newest of each kind and place.

    `believed` is what is known of the newest belief of each place: (order, at_ms, words).
    """

    def __init__(self, change: int, believed: Mapping[str, tuple[Order, int, str]]) -> None:
        self.change = change
        self.of: defaultdict[str, list[Row]] = defaultdict(list)
        self.now: dict[tuple[str, str], Row] = {}
        self._believed = dict(believed)

    def add(self, heard: Heard, track: Track | None) -> None:
        """Take one message in; `track` is its device's."""
        payload = heard.payload
        if payload is None or track is None:
            row = {"on_place": heard.place, "on_condition": heard.topic.free, "came_ms": heard.received_ms}
            self.of["cleared"].append(row)
            for known in self.of["alarm"]:
                if (known["place"], known["condition"]) == (heard.place, heard.topic.free):
                    known["presence"] = Presence.OFF.value
            return
        order = track.take(payload, retained=heard.retained)
        if isinstance(payload, p.HeartRateVital | p.HealthReport) and not heard.retained:
            track.heard_at(heard.received_ms, to_ms(payload.ts))
        track.last_ms = max(track.last_ms, heard.received_ms)
        offset_ms = track.offset_ms if payload.boot == track.boot else None
        _MAKERS[type(payload)](self, heard, payload, order, offset_ms)

    def avail(self, heard: Heard, avail: p.Avail, order: Order, _offset_ms: int | None) -> None:
        self.of["avail"].append(self._now("avail", heard, (order[0], order[1], avail.connection), heard.body))

    def birth(self, heard: Heard, _birth: p.Birth, order: Order, _offset_ms: int | None) -> None:
        self._newest(self._now("birth", heard, order, heard.body))

    def health(self, heard: Heard, _health: p.HealthReport, order: Order, _offset_ms: int | None) -> None:
        self._newest(self._now("health", heard, order, heard.body))

    def heart_rate(self, heard: Heard, vital: p.HeartRateVital, order: Order, _offset_ms: int | None) -> None:
        reading, at_ms = vital.heart_rate, heard.received_ms
        self._newest(self._now("hr", heard, order, reading.model_dump_json()))
        self.of["hr"].append(
            {"slot": at_ms // SLOT_MS, "place": heard.place, "at_ms": at_ms, "bpm": reading.value,
             "quality": reading.quality, "reason": reading.reason}
        )  # fmt: skip

    def state(self, heard: Heard, state: p.State, order: Order, _offset_ms: int | None) -> None:
        self._newest(self._now("state", heard, order, heard.body))
        told: dict[str, str | None] = {}
        for name in WORDS:
            reading: p.Measured[Any] = getattr(state, name)
            told |= {name: reading.value, f"{name}_reason": reading.reason}
        words = "|".join(f"{word}" for word in told.values())
        known_order, known_ms, known_words = self._believed.get(heard.place, ((0, 0, 0), 0, ""))
        again = heard.retained and order <= known_order
        if again or (words == known_words and 0 <= heard.received_ms - known_ms < BELIEF_EVERY_MS):
            return
        self.of["belief"].append(
            {"place": heard.place, "at_ms": heard.received_ms, "coverage": state.coverage} | told
        )  # fmt: skip
        if order > known_order:
            self._believed[heard.place] = (order, heard.received_ms, words)
            self._newest(self._now("belief", heard, order, words))

    def alarm(self, heard: Heard, alarm: p.Alarm, order: Order, offset_ms: int | None) -> None:
        ack = alarm.ack
        common = {
            "place": heard.place, "condition": alarm.condition, "alarm_id": alarm.alarm_id,
            "presence": alarm.presence, "received_ms": heard.received_ms, "ack_by": ack.by if ack else None,
        }  # fmt: skip
        self.of["alarm_log"].append(
            common
            | {"id": alarm.id, "revision": alarm.revision, "phase": alarm.phase, "priority": alarm.priority,
               "kind": alarm.kind, "onset_ms": ours(to_ms(alarm.onset), offset_ms),
               "at_ms": ours(to_ms(alarm.at), offset_ms), "value": alarm.value, "limit_": alarm.limit,
               "unit": alarm.unit, "ack_ms": ours(to_ms(ack.at), offset_ms) if ack else None,
               "replay": int(alarm.replay)}
        )  # fmt: skip
        if not alarm.replay or alarm.presence is Presence.OFF:
            life, session, seq = order
            self.of["ended" if alarm.replay else "alarm"].append(
                common
                | {"life": life, "session": session, "seq": seq, "ack_at": ack.at if ack else None,
                   "body": heard.body, "change": self.change}
            )  # fmt: skip

    def heart_rate_minute(self, heard: Heard, minute: p.HeartRateMinute, _order: Order, offset_ms: int | None) -> None:
        self.of["hr_minute"].append(
            self._durable(heard, minute) | self._span(minute, offset_ms)
            | {"min": minute.min, "median": minute.median, "max": minute.max, "valid_share": minute.valid_share,
               "estimates": minute.estimates}
        )  # fmt: skip

    def movement(self, heard: Heard, minute: p.Movement, _order: Order, offset_ms: int | None) -> None:
        self.of["movement_minute"].append(
            self._durable(heard, minute) | self._span(minute, offset_ms)
            | {"index_": minute.index, "coverage": minute.coverage, "body": heard.body}
        )  # fmt: skip

    def summary(self, heard: Heard, summary: p.Summary, _order: Order, offset_ms: int | None) -> None:
        self.of["summary"].append(
            self._durable(heard, summary)
            | self._span(summary, offset_ms)
            | {"period": summary.period, "body": heard.body}
        )

    def event(self, heard: Heard, event: p.Behaviour, _order: Order, offset_ms: int | None) -> None:
        start_ms = ours(to_ms(event.start), offset_ms)
        end_ms = ours(to_ms(event.end), offset_ms) if event.end else start_ms + round(1000 * event.duration_s)
        self.of["event"].append(
            self._durable(heard, event)
            | {"type": event.type, "phase": event.phase, "event_id": event.event_id, "start_ms": start_ms,
               "end_ms": end_ms, "peak": event.peak, "replay": int(event.replay)}
        )  # fmt: skip

    def response(self, heard: Heard, response: p.CommandResponse, _order: Order, _offset_ms: int | None) -> None:
        self.of["answer"].append(
            {"of_cmd": response.cmd_id, "of_place": heard.place, "status": response.status,
             "reason": (response.reason or "")[:200] or None, "revision": response.revision, "change": self.change}
        )  # fmt: skip

    def _now(self, kind: str, heard: Heard, order: Order, body: str) -> Row:
        life, session, seq = order
        return {"kind": kind, "place": heard.place, "life": life, "session": session, "seq": seq,
                "received_ms": heard.received_ms, "body": body, "change": self.change}  # fmt: skip

    def _newest(self, row: Row) -> None:
        key = row["kind"], row["place"]
        known = self.now.get(key)
        if known is None or _order(row) > _order(known):
            self.now[key] = row

    @staticmethod
    def _durable(heard: Heard, payload: p.Durable) -> Row:
        return {"id": payload.id, "place": heard.place, "received_ms": heard.received_ms}

    @staticmethod
    def _span(payload: p.HeartRateMinute | p.Movement | p.Summary, offset_ms: int | None) -> Row:
        return {"start_ms": ours(to_ms(payload.start), offset_ms), "end_ms": ours(to_ms(payload.end), offset_ms)}


def _order(row: Row) -> Order:
    return row["life"], row["session"], row["seq"]


_MAKERS: dict[type[p.Header], Any] = {
    p.Avail: Rows.avail,
    p.Birth: Rows.birth,
    p.HealthReport: Rows.health,
    p.State: Rows.state,
    p.HeartRateVital: Rows.heart_rate,
    p.HeartRateMinute: Rows.heart_rate_minute,
    p.Movement: Rows.movement,
    p.Summary: Rows.summary,
    p.Behaviour: Rows.event,
    p.Alarm: Rows.alarm,
    p.CommandResponse: Rows.response,
}
