"""The table of topics: what each carries, how it is sent and how hard it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from edgemon.errors import DeliveryError
from edgemon.messages import payloads as p
from edgemon.records import DEVICE_BED, Durability

ROOT = "edgemon/v1"
MAX_PAYLOAD_BYTES = 64 * 1024
DAY_S = 86_400


class Rank(IntEnum):
    """What goes out first; when the outbox is full, what stays longest."""

    ALARM = 0
    RESPONSE = 1
    EVENT = 2
    MINUTE = 3


@dataclass(frozen=True, slots=True)
class Topic:
    """One row of the table; `name` is what follows the bed, with `{}` for one free level."""

    name: str
    model: type[p.Payload]
    qos: int
    retain: bool
    expiry_s: int | None
    durability: Durability
    sender: Literal["device", "station"]
    device_wide: bool
    when: str
    rank: Rank = Rank.EVENT


NONE, NEWEST, OUTBOX, FIRST = Durability.NONE, Durability.NEWEST, Durability.OUTBOX, Durability.OUTBOX_FIRST

AVAIL = Topic(
    "avail", p.Avail, 1, True, None, NONE, "device", True,
    "`online` at every connect, `stopping` on SIGTERM, last will `offline`; carries the session number",
)  # fmt: skip
BIRTH = Topic(
    "birth", p.Birth, 1, True, None, NONE, "device", True,
    "at every connect and on request: versions, model digests, beds, capabilities, alarm limits, schema ids",
)  # fmt: skip
HEALTH = Topic(
    "health", p.HealthReport, 0, True, 60, NONE, "device", True,
    "every 10 s: fps, frame age, latency per stage, temperature, throttled bits, outbox depth, clock source",
)  # fmt: skip
STATE = Topic("state", p.State, 1, True, 90, NEWEST, "device", False, "on change and every 30 s")
HEART_RATE = Topic("vitals/hr", p.HeartRateVital, 0, False, 10, NONE, "device", False, "every second")
HEART_RATE_MINUTE = Topic(
    "vitals/hr/min", p.HeartRateMinute, 1, False, 7 * DAY_S, OUTBOX, "device", False,
    "every minute: min, median, max, share of valid estimates", Rank.MINUTE,
)  # fmt: skip
MOVEMENT = Topic(
    "movement", p.Movement, 1, False, 7 * DAY_S, OUTBOX, "device", False,
    "every minute, where there is a pose network: activity of each limb, motion of the picture", Rank.MINUTE,
)  # fmt: skip
EVENT = Topic(
    "event/{}", p.Behaviour, 1, False, 7 * DAY_S, OUTBOX, "device", False,
    "sleep, cry, pain_cue, presence, movement: start, update, end",
)  # fmt: skip
SUMMARY = Topic(
    "summary/{}", p.Summary, 1, False, 7 * DAY_S, OUTBOX, "device", False,
    "every hour, of the last hour and the last day: minutes asleep and crying, awakenings, bouts, coverage",
)  # fmt: skip
ALARM = Topic(
    "alarm/{}", p.Alarm, 1, True, None, FIRST, "device", False,
    "every phase change and every 30 s while active; cleared by an empty retained message", Rank.ALARM,
)  # fmt: skip
RECEIPT = Topic(
    "receipt", p.Receipt, 1, False, 60, NONE, "station", False, "ids that a station has committed"
)  # fmt: skip
COMMAND = Topic(
    "cmd/{}/req", p.CommandRequest, 1, False, 30, NONE, "station", False,
    "acknowledge, pause, self-test, rebirth; never retained; MQTT 5 response topic and correlation data",
)  # fmt: skip
RESPONSE = Topic(
    "cmd/{}/res", p.CommandResponse, 1, False, 3600, OUTBOX, "device", False,
    "what became of a command", Rank.RESPONSE,
)  # fmt: skip

TOPICS = (
    AVAIL, BIRTH, HEALTH, STATE, HEART_RATE, HEART_RATE_MINUTE, MOVEMENT, EVENT, SUMMARY, ALARM, RECEIPT, COMMAND,
    RESPONSE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """A topic taken apart."""

    site: str
    unit: str
    device: str
    bed: str
    topic: Topic
    free: str | None  # what stands for `{}`: the condition, the type of event, the command

    @property
    def base(self) -> str:
        """The levels up to and with the device."""
        return f"{ROOT}/{self.site}/{self.unit}/{self.device}"


def _free(pattern: list[str], levels: list[str]) -> tuple[bool, str | None]:
    if len(pattern) != len(levels):
        return False, None
    free = [level for want, level in zip(pattern, levels, strict=True) if want == "{}"]
    same = all(want in ("{}", level) for want, level in zip(pattern, levels, strict=True))
    return same and "" not in levels, free[0] if free else None


def address(topic: str) -> Address:
    """Take a topic apart.

    Raises:
        DeliveryError: it is not a topic of the table.
    """
    levels = topic.split("/")
    if topic.startswith(ROOT + "/") and len(levels) >= 7:
        site, unit, device, bed = levels[2:6]
        for row in TOPICS:
            same, free = _free(row.name.split("/"), levels[6:])
            if same and (not row.device_wide or bed == DEVICE_BED):
                return Address(site, unit, device, bed, row, free)
    known = ", ".join(row.name for row in TOPICS)
    raise DeliveryError(f"{topic[:120]!r} is no topic of {ROOT}/SITE/UNIT/DEVICE/BED/...; known there: {known}")
