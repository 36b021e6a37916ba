"""What waits for delivery at one simulated device; pure: the same rules as the daemon's outbox, kept in memory.

With receipts one message per bed and rank (a lane) is under way at a time, and the next follows its receipt, so that
order is kept; without, PUBACK takes a message off. What is not delivered is sent again on a timer.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import Final

from edgemon.messages import address, encode
from edgemon.messages import payloads as p
from edgemon.messages import topics as t
from edgemon.messages.mqtt import PUBACK_WINDOW
from edgemon.messages.outbox import LIVE_S
from edgemon.messages.rows import CLEARS, Row, clearing, patience_s
from edgemon.messages.topics import Rank
from edgemon.records import Durability, Message, Presence

DISORDER: Final = 0.1  # this part of `faults` of the messages comes twice, and as many come late
LATE_S: Final = 4.0
_LATE_KINDS = (t.HEART_RATE, t.HEART_RATE_MINUTE, t.MOVEMENT, t.EVENT, t.SUMMARY)  # never what a broker retains

Lane = tuple[Rank, str]
where = lru_cache(16_384)(address)  # the same few topics come over and over


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish; `row_id` names what it delivers, and is empty where nothing waits for that."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    expiry_s: int | None
    row_id: str = ""


class Post:
    """The messages of one device on their way; `now_s` is monotonic.

    `faults` lets some messages come late, behind newer ones, and some twice. What is older than `live_s` is history.
    """

    def __init__(
        self, rng: Random, *, receipts: bool, resend_after_s: float, faults: float, live_s: float = LIVE_S
    ) -> None:
        self._rng, self._receipts, self._resend_after_s, self._live_s = rng, receipts, resend_after_s, live_s
        self._odds = DISORDER * faults
        self.online = False
        self.made: dict[str, str] = {}  # every durable id that was ever put -> name of its topic
        self.sent: set[str] = set()  # of these, those that were handed to the broker
        self.late = self.repeated = self.resent = 0
        self._again = False  # a broker may have forgotten what it retained
        self._once: list[Message] = []
        self._newest: dict[str, Message] = {}
        self._held: list[tuple[float, Message]] = []  # comes late
        self._rows: dict[str, Row] = {}
        self._lanes: dict[Lane, dict[str, Row]] = {}
        self._under_way: dict[str, tuple[float, int]] = {}  # id -> when it was last sent, and how often
        self._active: dict[str, Row] = {}  # topic of an alarm that stands -> its newest message

    @property
    def waiting(self) -> tuple[str, ...]:
        """The ids that have not been delivered; what clears a topic is among them."""
        return (*self._rows, *(self._id(message) for _, message in self._held if message.durability >= 2))

    def outbox(self, now_s: float) -> p.OutboxHealth:
        """What a health report tells of it."""
        oldest_s = min((row.put_s for row in self._rows.values()), default=now_s)
        size = sum(len(row.payload) for row in self._rows.values())
        return p.OutboxHealth(waiting=len(self._rows), bytes=size, oldest_s=round(now_s - oldest_s, 1), dropped=0)

    def put(self, message: Message, now_s: float) -> None:
        """Take a message."""
        row = where(message.topic).topic
        if message.durability >= Durability.OUTBOX:
            self.made[self._id(message)] = row.name
        if self._odds and row in _LATE_KINDS and self._rng.random() < self._odds:
            self.late += 1
            self._held.append((now_s + self._rng.uniform(0.0, LATE_S), message))
        else:
            self._accept(message, now_s)

    def connected(self, greeting: list[Message]) -> None:
        """A new connection: the greeting goes first, then states and alarms that stand, then what waits."""
        self.online = True
        self._once = list(greeting)
        self._again = True
        self._under_way.clear()

    def disconnected(self) -> None:
        """Nothing more can be sent; what waits stays."""
        self.online = False
        self._once.clear()

    def unsent(self) -> None:
        """Somebody listens now: what is under way is sent again at once."""
        self._under_way.clear()

    def delivered(self, ids: Collection[str], now_s: float) -> int:
        """Give up what has arrived; returns how many of the ids waited. An alarm's end is followed by its clearing."""
        known = 0
        for row_id in ids:
            row = self._rows.pop(row_id, None)
            if row is None:
                continue
            known += 1
            lane = self._lanes[row.lane]
            del lane[row_id]
            self._under_way.pop(row_id, None)
            if row.ends and not any(other.topic == row.topic for other in lane.values()):
                self._add(replace(clearing(row), put_s=now_s))
        return known

    def take(self, now_s: float) -> list[Outgoing]:
        """What to publish now, in this order."""
        self._release(now_s)
        if not self.online:
            return []
        found = [self.plain(message) for message in (*self._once, *self._newest.values())]
        self._once.clear()
        self._newest.clear()
        if self._again:
            stand = [row for row in self._active.values() if row.id not in self._rows]
            found += [Outgoing(row.topic, row.payload, row.qos, row.retain, None) for row in stand]
            self._again = False
        for lane in sorted(self._lanes) if self._rows else ():
            found += self._due(lane, now_s)
        return self._twice(found) if self._odds else found

    def flush(self, now_s: float) -> None:
        """Let nothing be held back any longer."""
        held, self._held = self._held, []
        for _, message in held:
            self._accept(message, now_s)

    @staticmethod
    def _id(message: Message) -> str:
        return message.payload.id if isinstance(message.payload, p.Header) else ""

    @staticmethod
    def plain(message: Message) -> Outgoing:
        """A message that nobody waits for."""
        return Outgoing(message.topic, encode(message), message.qos, message.retain, message.expiry_s)

    def _release(self, now_s: float) -> None:
        if self._held:
            late = [message for at_s, message in self._held if at_s <= now_s]
            self._held = [one for one in self._held if one[0] > now_s]
            for message in late:
                self._accept(message, now_s)

    def _accept(self, message: Message, now_s: float) -> None:
        if message.durability >= Durability.OUTBOX:
            self._add(self._row(message, now_s))
        elif message.durability is Durability.NEWEST:
            self._newest[message.topic] = message
        elif self.online:
            self._once.append(message)

    def _row(self, message: Message, now_s: float) -> Row:
        place, payload = where(message.topic), message.payload
        ends = isinstance(payload, p.Alarm) and payload.presence is Presence.OFF
        return Row(
            0, self._id(message), place.topic.rank, place.bed, message.topic, encode(message), message.qos,
            message.retain, message.expiry_s, now_s, ends,
        )  # fmt: skip

    def _add(self, row: Row) -> None:
        lane = self._lanes.setdefault(row.lane, {})
        if row.rank is Rank.ALARM and row.payload:
            clear = f"{CLEARS}{row.topic}"  # news on a topic makes it needless to clear it
            self._rows.pop(clear, None)
            lane.pop(clear, None)
            self._active.pop(row.topic, None)
            if not row.ends:
                self._active[row.topic] = row
        lane[row.id] = self._rows[row.id] = row

    def _due(self, lane: Lane, now_s: float) -> list[Outgoing]:
        window = 1 if self._receipts else PUBACK_WINDOW
        rows = list(itertools.islice(self._lanes[lane].values(), window))
        if not rows:
            return []
        head = self._under_way.get(rows[0].id)
        again = head is not None and now_s - head[0] >= patience_s(rows[0].id, head[1], self._resend_after_s)
        chosen = [row for row in rows if again or row.id not in self._under_way]
        for row in chosen:
            times = self._under_way.get(row.id, (0.0, 0))[1]
            self._under_way[row.id] = (now_s, times + 1)
            self.resent += row.id in self.sent
            if row.payload:
                self.sent.add(row.id)
        return [self._outgoing(row, now_s) for row in chosen]

    def _outgoing(self, row: Row, now_s: float) -> Outgoing:
        age_s, payload = now_s - row.put_s, row.payload
        if age_s > self._live_s and self._active.get(row.topic) is not row:
            payload = payload.replace(b'"replay":false', b'"replay":true', 1)
        expiry_s = None if row.expiry_s is None else max(1, row.expiry_s - int(age_s))
        return Outgoing(row.topic, payload, row.qos, row.retain, expiry_s, row.id)

    def _twice(self, found: list[Outgoing]) -> list[Outgoing]:
        told = []
        for out in found:
            told.append(out)
            if self._rng.random() < self._odds and out.payload:
                self.repeated += 1
                told.append(replace(out, row_id=""))
        return told
