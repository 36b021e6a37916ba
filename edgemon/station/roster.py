"""From what is known of a bed to the card that a nurse reads: pure, so that ages are those of `now_ms`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgemon.messages import payloads as p
from edgemon.records import DEVICE_BED, Activation, Presence, Priority, Reason
from edgemon.station.nouns import BedNow, Notice, Pause, base_of, bed_of, device_place, ours, to_ms

READINGS = ("face", "eyes", "sleep", "cry", "posture", "pain_cue", "movement")
ORDER = tuple(Priority)  # the worst first
CALM_RANK = 7
AHEAD_MS = 5_000
EPOCHS_MS = {"sleep": 30_000, "movement": 60_000}  # told once in so long: until the next it is not old
INFANT = "physiological"  # the kind of alarms that a procedure pauses
PAUSED = {"audio": Activation.AUDIO_PAUSED, "procedure": Activation.ALARM_PAUSED}


@dataclass(frozen=True, slots=True)
class Told:
    """A reading as it is shown; `at_ms` is when the observation behind it was made, on our clock."""

    value: object
    reason: str | None
    at_ms: int
    age_ms: int
    stale: bool
    epoch_ms: int  # how much longer than other readings it stands


@dataclass(frozen=True, slots=True)
class Rate:
    """A heart rate as it is shown."""

    bpm: float | None
    quality: float
    reason: str | None
    at_ms: int
    age_ms: int
    stale: bool


@dataclass(frozen=True, slots=True)
class Camera:
    """The camera of the bed, as its device told when the station received it at `at_ms`: both ages are of then."""

    fps: float | None
    frame_age_s: float | None
    frozen_s: float
    at_ms: int
    stale: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """An alarm that stands; `place` is where a command about it goes to."""

    source: Literal["device", "station"]
    place: str
    condition: str
    priority: str
    kind: str
    presence: str
    activation: str
    alarm_id: str | None
    revision: int | None
    onset_ms: int
    value: float | None
    limit: float | None
    unit: str | None
    ack_by: str | None
    ack_ms: int | None


@dataclass(frozen=True, slots=True)
class Card:
    """One bed of the ward page."""

    place: str
    label: str
    device: str
    bed: str
    change: int
    online: Literal["online", "stopping", "offline", "unknown"]
    last_heard_ms: int | None
    silent: bool
    readings: Mapping[str, Told]
    heart_rate: Rate | None
    camera: Camera | None
    clock_offset_ms: int | None
    alarms: tuple[Standing, ...]
    pauses: tuple[str, ...]
    pause: Pause | None  # who paused, until when
    rank: int  # the lower, the worse

    def json(self) -> dict[str, Any]:
        """As the API tells it."""
        return asdict(self)


def card(bed: BedNow, now_ms: int, silence_s: float) -> Card:
    """What a bed looks like now."""
    silence_ms = round(1000 * silence_s)
    alarms = _alarms(bed)
    silent = bed.last_heard_ms is None or is_old(bed.last_heard_ms, now_ms, silence_ms)
    online = bed.avail.status if bed.avail else "unknown"
    return Card(
        place=bed.place,
        label=bed.label,
        device=base_of(bed.place).rpartition("/")[2],
        bed=bed_of(bed.place),
        change=bed.change,
        online=online,
        last_heard_ms=bed.last_heard_ms,
        silent=silent,
        readings=_readings(bed, now_ms, silence_ms),
        heart_rate=_heart_rate(bed, now_ms, silence_ms),
        camera=_camera(bed, now_ms, silence_ms),
        clock_offset_ms=bed.clock_offset_ms,
        alarms=alarms,
        pauses=tuple(sorted({alarm.activation for alarm in alarms} - {"on"})),
        pause=_pause(bed.pause, alarms, now_ms),
        rank=_rank(alarms, away=silent or online in ("offline", "stopping")),
    )


def is_old(at_ms: int, now_ms: int, silence_ms: int) -> bool:
    """Whether it is too long ago; what lies ahead was heard before our clock was set back, nobody knows when."""
    return now_ms - at_ms > silence_ms or at_ms - now_ms > AHEAD_MS


def order(cards: Iterable[Card]) -> list[Card]:
    """Worst first, and within one rank by label, numbers in it counted as numbers."""
    return sorted(cards, key=lambda one: (one.rank, _natural(one.label), one.place))


def _natural(label: str) -> list[tuple[int, str]]:
    return [(int(digits or 0), word) for digits, word in re.findall(r"(\d{1,15})|(\D+)", label)]


def _rank(alarms: Sequence[Standing], *, away: bool) -> int:
    ranks = [
        ORDER.index(Priority(alarm.priority)) + (len(ORDER) if alarm.presence == Presence.ACK else 0)
        for alarm in alarms
    ]
    return min([*ranks, 2 * len(ORDER) if away else CALM_RANK])


def _pause(asked: Pause | None, alarms: Iterable[Standing], now_ms: int) -> Pause | None:
    """The pause that was asked for, unless it is over or the device says otherwise.

    A device may end a pause early or be restarted, and tells so by its alarms: of those that the pause is about, none
    stands or one is paused. A procedure is about alarms of the infant, an audio pause about all of the device.
    """
    if asked is None or now_ms >= asked.until_ms:
        return None
    about = [a.activation for a in alarms if a.source == "device" and (asked.pause == "audio" or a.kind == INFANT)]
    return asked if not about or PAUSED[asked.pause] in about else None


def _readings(bed: BedNow, now_ms: int, silence_ms: int) -> dict[str, Told]:
    if bed.state is None or bed.state_received_ms is None:
        return {}
    told = {}
    for name in READINGS:
        reading: p.Measured[Any] = getattr(bed.state, name)
        if reading.reason is not Reason.DISABLED:
            at_ms = bed.state_received_ms - round(1000 * reading.age_s)
            age_ms = max(0, now_ms - at_ms)
            epoch_ms = EPOCHS_MS.get(name, 0)
            old = is_old(at_ms, now_ms, silence_ms + epoch_ms)
            told[name] = Told(reading.value, reading.reason, at_ms, age_ms, old, epoch_ms)
    return told


def _heart_rate(bed: BedNow, now_ms: int, silence_ms: int) -> Rate | None:
    """The newer of what `vitals/hr` and `state` said."""
    said = [(bed.heart_rate_received_ms or 0, bed.heart_rate)] if bed.heart_rate else []
    if bed.state is not None:
        said.append((bed.state_received_ms or 0, bed.state.heart_rate))
    if not said:
        return None
    received_ms, reading = max(said, key=lambda one: one[0])
    if reading.reason is Reason.DISABLED:
        return None
    at_ms = received_ms - round(1000 * reading.age_s)
    age_ms = max(0, now_ms - at_ms)
    old = is_old(at_ms, now_ms, silence_ms)
    return Rate(reading.value, reading.quality, reading.reason, at_ms, age_ms, old)


def _camera(bed: BedNow, now_ms: int, silence_ms: int) -> Camera | None:
    name, at_ms = bed_of(bed.place), bed.health_received_ms
    found = next((camera for camera in bed.health.cameras if camera.bed == name), None) if bed.health else None
    if found is None or at_ms is None:
        return None
    return Camera(found.fps, found.frame_age_s, found.frozen_s, at_ms, is_old(at_ms, now_ms, silence_ms))


def _alarms(bed: BedNow) -> tuple[Standing, ...]:
    """The worst first; `state` and `health` tell of alarms too, which may come before the alarm's own message."""
    found: dict[tuple[str, str], Standing] = {}
    for alarm in bed.alarms:
        found[alarm.bed, alarm.condition] = _standing(alarm, bed)
    for name, report in ((bed_of(bed.place), bed.state), (DEVICE_BED, bed.health)):
        for active in report.active_alarms if report else ():
            known = found.get((name, active.condition))
            if known is None or (known.alarm_id == active.alarm_id and (known.revision or 0) < active.revision):
                found[name, active.condition] = _standing_of(active, known, name, bed)
    stand = [*found.values(), *(_notice(notice) for notice in bed.notices)]
    return tuple(sorted(stand, key=lambda one: (_rank([one], away=False), one.onset_ms, one.condition)))


def _standing(alarm: p.Alarm, bed: BedNow) -> Standing:
    return Standing(
        source="device", place=f"{base_of(bed.place)}/{alarm.bed}", condition=alarm.condition, priority=alarm.priority,
        kind=alarm.kind, presence=alarm.presence, activation=alarm.activation, alarm_id=alarm.alarm_id,
        revision=alarm.revision, onset_ms=ours(to_ms(alarm.onset), bed.clock_offset_ms), value=alarm.value,
        limit=alarm.limit, unit=alarm.unit, ack_by=alarm.ack.by if alarm.ack else None,
        ack_ms=ours(to_ms(alarm.ack.at), bed.clock_offset_ms) if alarm.ack else None,
    )  # fmt: skip


def _standing_of(active: p.ActiveAlarm, known: Standing | None, name: str, bed: BedNow) -> Standing:
    place = device_place(base_of(bed.place)) if name == DEVICE_BED else bed.place
    return Standing(
        source="device", place=place, condition=active.condition, priority=active.priority, kind=active.kind,
        presence=active.presence, activation=active.activation, alarm_id=active.alarm_id, revision=active.revision,
        onset_ms=ours(to_ms(active.onset), bed.clock_offset_ms),
        value=known.value if known else None, limit=known.limit if known else None, unit=known.unit if known else None,
        ack_by=known.ack_by if known else None, ack_ms=known.ack_ms if known else None,
    )  # fmt: skip


def _notice(notice: Notice) -> Standing:
    return Standing(
        source="station", place=notice.place, condition=notice.condition, priority=notice.priority, kind="technical",
        presence="ack" if notice.ack_by else "on", activation="on", alarm_id=None, revision=None,
        onset_ms=notice.since_ms, value=None, limit=None, unit=None, ack_by=notice.ack_by, ack_ms=notice.ack_ms,
    )  # fmt: skip
