"""What the parts of the station hand each other: what was heard, what a bed looks like, what is told to the page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from edgemon.messages import ROOT, Address
from edgemon.messages import payloads as p
from edgemon.records import DEVICE_BED, Priority

Role = Literal["view", "acknowledge", "administer"]
ROLES: tuple[Role, ...] = ("view", "acknowledge", "administer")  # each may do what those before it may
Auth = Literal["local", "oidc", "open"]
CALENDAR_END_MS = 250_000_000_000_000  # in the year 9892
SKEW_MS = 2_000  # clocks that differ by less are taken as one
Publish = Callable[[str, p.CommandRequest], None]
"""Sends a command to the place `SITE/UNIT/DEVICE/BED`; never waits, from any thread.

Write it to the store first (`Store.asked`), for the answer may come at once. Raises `DeliveryError` with one clear line
where there is no connection to the broker; then nothing was sent.
"""


def wall_ms() -> int:
    """Now, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def to_ms(ts: str) -> int:
    """The `ts` of a payload in milliseconds since 1970, UTC.

    Raises:
        ValueError: not a day or time of the calendar, though of its form.
    """
    return round(datetime.fromisoformat(ts).timestamp() * 1000)


def to_ts(at_ms: int) -> str:
    """Milliseconds since 1970 as the `ts` of a payload."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def calendar_ts(at_ms: int) -> str:
    """As `to_ts`, of whatever a device may claim: what lies before 1970 or beyond the calendar is told as its edge."""
    return to_ts(min(max(at_ms, 0), CALENDAR_END_MS))


def ours(at_ms: int, offset_ms: int | None) -> int:
    """A moment of a device's clock on ours, where `offset_ms` between them is more than the network's."""
    return at_ms + offset_ms if offset_ms is not None and abs(offset_ms) > SKEW_MS else at_ms


def base_of(place: str) -> str:
    """The device of a place: SITE/UNIT/DEVICE."""
    return place.rpartition("/")[0]


def bed_of(place: str) -> str:
    """The bed of a place as the device calls it."""
    return place.rpartition("/")[2]


def device_place(base: str) -> str:
    """The place of what concerns a whole device."""
    return f"{base}/{DEVICE_BED}"


def topic_of(place: str, name: str) -> str:
    """The full topic of what follows the bed, such as `cmd/pause/req`."""
    return f"{ROOT}/{place}/{name}"


@dataclass(frozen=True, slots=True)
class Heard:
    """One message that is what its topic asks for; `payload` None is the empty message that clears an alarm."""

    topic: Address
    place: str
    base: str
    payload: p.Header | None
    body: str  # the JSON as it came
    received_ms: int  # our clock; of a retained message its own time, where that is earlier
    retained: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """One message that is not, and why; `base` is None where the topic does not tell a device."""

    base: str | None
    reason: Literal["topic", "size", "json", "version", "schema", "identity", "range", "store"]
    text: str  # printable, at most 200 characters, without any markup
    at_ms: int


@dataclass(frozen=True, slots=True)
class Notice:
    """An alarm of the station itself: technical, and closed by itself when its cause has gone."""

    place: str
    condition: Literal["no_data", "device_offline"]
    priority: Priority
    since_ms: int
    ack_by: str | None = None
    ack_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """When a bed was last heard of, for the rules: `heard_ms` counts state, heart rate, `online` and birth."""

    place: str
    heard_ms: int
    online: Literal["online", "stopping", "offline", "unknown"]


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that a device has confirmed, and who asked for it."""

    pause: Literal["audio", "procedure"]
    by: str
    at_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class BedNow:
    """What is known of a bed now. `alarms` holds the standing ones of the bed, then those of its whole device.

    An alarm says in `bed` where it stands: a command that acknowledges it goes to `f"{base_of(place)}/{alarm.bed}"`.
    """

    place: str
    label: str
    avail: p.Avail | None
    state: p.State | None
    state_received_ms: int | None
    heart_rate: p.HeartRateReading | None
    heart_rate_received_ms: int | None
    health: p.HealthReport | None
    alarms: tuple[p.Alarm, ...]
    notices: tuple[Notice, ...]
    last_heard_ms: int | None
    clock_offset_ms: int | None  # our clock less the device's
    change: int
    pause: Pause | None = None  # the newest; it may be over
    health_received_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """How often a device was refused for one reason, and the newest case."""

    reason: str
    count: int
    last_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class DeviceNow:
    """What is known of a device: loss statistics of its newest session, clock, refusals."""

    base: str
    avail: p.Avail | None
    birth: p.Birth | None
    health: p.HealthReport | None
    last_heard_ms: int | None
    clock_offset_ms: int | None
    received: int  # without repeats
    repeats: int
    missing: int  # numbers that never came
    refused: tuple[Refusal, ...]
    change: int


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A command and what became of it."""

    cmd_id: str
    place: str
    name: str
    by: str
    asked_ms: int
    expires_ms: int
    answer: Literal["done", "refused"] | None
    reason: str | None
    revision: int | None

    def status(self, now_ms: int) -> Literal["pending", "done", "refused", "expired"]:
        """As it is told: without an answer in its time it has expired."""
        return self.answer or ("expired" if now_ms > self.expires_ms else "pending")


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a bed's label was, and is while `to_ms` is None."""

    n: int
    label: str
    place: str
    from_ms: int
    to_ms: int | None
    by: str


@dataclass(frozen=True, slots=True)
class Account:
    """A local user."""

    name: str
    role: Role
    created_ms: int
    disabled_ms: int | None


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who has logged in."""

    name: str
    role: Role
    csrf: str
    auth: Auth
    expires_ms: int

    def may(self, role: Role) -> bool:
        """Whether this is enough for what asks for `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what, where, when."""

    n: int
    at_ms: int
    who: str
    what: str
    place: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Span:
    """A time of one belief; where `value` is None it was not known, for `reason`. Between spans nothing was heard."""

    from_ms: int
    to_ms: int
    value: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Bout:
    """A time of crying; `peak` is the highest share of it."""

    from_ms: int
    to_ms: int
    peak: float | None
    ended: bool


@dataclass(frozen=True, slots=True)
class HeartRateTrend:
    """One entry a minute, oldest first; at both ends of a gap stand entries of None."""

    at_ms: tuple[int, ...]
    min: tuple[float | None, ...]
    median: tuple[float | None, ...]
    max: tuple[float | None, ...]
    valid: tuple[float | None, ...]  # share of estimates


@dataclass(frozen=True, slots=True)
class HeartRateRaw:
    """One entry a second, oldest first; None where there was no estimate, and at both ends of a gap."""

    at_ms: tuple[int, ...]
    bpm: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class MovementTrend:
    """One entry a minute, oldest first; at both ends of a gap stand entries of None."""

    at_ms: tuple[int, ...]
    index: tuple[float | None, ...]
    coverage: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class AlarmLine:
    """One line of the alarm log; of the station's own notices `alarm_id`, `revision`, `value` and `limit` are None."""

    source: Literal["device", "station"]
    condition: str
    phase: str
    presence: str
    priority: str
    kind: str
    onset_ms: int
    at_ms: int
    value: float | None
    limit: float | None
    unit: str | None
    alarm_id: str | None
    revision: int | None
    ack_by: str | None
    ack_ms: int | None
    replay: bool


@dataclass(frozen=True, slots=True)
class Episode:
    """One alarm from its onset on, by what was told of it last.

    It stands; or its end was told; or neither, for its device was cut off or replaced.
    """

    place: str
    key: str  # names it at its place
    line: AlarmLine
    activation: str | None  # while it stands
    fate: Literal["stands", "ended", "unknown"]


@dataclass(frozen=True, slots=True)
class Minute:
    """Heart rate over one minute as a device told it; None where no estimate was valid."""

    id: str
    place: str
    start_ms: int
    end_ms: int
    min: float | None
    median: float | None
    max: float | None
    valid_share: float
    estimates: int
    received_ms: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Since when anything is known, and the share of the time from then on for which each was known."""

    from_ms: int | None
    sleep: float | None
    heart_rate: float | None


@dataclass(frozen=True, slots=True)
class History:
    """A bed between two moments; `dataclasses.asdict` of it is the JSON of the API."""

    heart_rate: HeartRateTrend
    raw: HeartRateRaw | None  # for at most 30 minutes
    sleep: tuple[Span, ...]
    eyes: tuple[Span, ...]
    crying: tuple[Bout, ...]
    movement: MovementTrend
    alarms: tuple[AlarmLine, ...]
    coverage: Coverage
    summaries: tuple[dict[str, object], ...]  # payloads `summary`, newest last
