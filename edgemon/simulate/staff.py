"""Simulated staff: they acknowledge alarms and now and then pause them, by real commands over the broker."""

from __future__ import annotations

from random import Random
from typing import Final, Literal

from edgemon.messages import Stamp
from edgemon.messages import payloads as p
from edgemon.messages import topics as t
from edgemon.records import DEVICE_BED, Durability, Message, Presence

EXPIRES_S: Final = 30.0
PAUSES: Final = 0.15  # share of the acknowledgements that are followed by a pause
NURSES: Final = 12


class Staff:
    """Those who answer the alarms of one device after `mean_s` seconds in the mean; never where that is 0."""

    def __init__(self, rng: Random, base: str, mean_s: float, id_prefix: str) -> None:
        self._rng, self._base, self._mean_s = rng, base, mean_s
        self._id_prefix, self._count = id_prefix, 0
        self._waiting: dict[str, tuple[float, p.Alarm]] = {}  # by alarm: when it will be answered, and its newest word

    def hear(self, alarm: p.Alarm, now_s: float) -> None:
        """Take in one move of an alarm."""
        if alarm.presence not in (Presence.ON, Presence.LATCHED):
            self._waiting.pop(alarm.alarm_id, None)
        elif alarm.alarm_id in self._waiting:
            self._waiting[alarm.alarm_id] = (self._waiting[alarm.alarm_id][0], alarm)
        elif self._mean_s > 0:
            self._waiting[alarm.alarm_id] = (now_s + self._rng.expovariate(1 / self._mean_s), alarm)

    def requests(self, now_s: float, clock: Stamp) -> list[Message]:
        """What is asked for now, by the hospital's clock."""
        due = [alarm for at_s, alarm in self._waiting.values() if at_s <= now_s]
        asked = []
        for alarm in due:
            del self._waiting[alarm.alarm_id]
            by = f"nurse-{self._rng.randrange(NURSES) + 1}"
            asked.append(self._ask("acknowledge", alarm, by, clock, alarm_id=alarm.alarm_id, revision=alarm.revision))
            if alarm.bed != DEVICE_BED and self._rng.random() < PAUSES:
                pause = self._rng.choice(("audio", "procedure"))
                asked.append(self._ask("pause", alarm, by, clock, pause=pause, duration_s=60.0))
        return asked

    def _ask(
        self, name: Literal["acknowledge", "pause"], alarm: p.Alarm, by: str, clock: Stamp, **more: object
    ) -> Message:
        self._count += 1
        request = p.CommandRequest.model_validate(
            {
                "cmd_id": f"{self._id_prefix}/cmd/{self._count}", "name": name, "by": by,
                "device": alarm.device, "bed": alarm.bed,
                "expires": clock.wall(clock.at_s + EXPIRES_S), **more,
            }
        )  # fmt: skip
        topic = f"{self._base}/{alarm.bed}/{t.COMMAND.name.replace('{}', name)}"
        return Message(topic, request, t.COMMAND.qos, t.COMMAND.retain, t.COMMAND.expiry_s, Durability.NONE)
