"""From records to messages: pure, so the same records and stamps give the same bytes."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypedDict, TypeVar

import numpy as np
from pydantic import ValidationError

from edgemon.errors import DeliveryError
from edgemon.messages import payloads as p
from edgemon.messages import topics as t
from edgemon.records import (
    DEVICE_BED,
    AlarmEvent,
    BehaviourEvent,
    BehaviourSummary,
    HeartRate,
    Message,
    MovementSummary,
    Observation,
    PatientState,
    Presence,
    Reading,
    Sleep,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stamp:
    """One moment on both clocks: monotonic seconds, and wall time as `2026-01-05T03:12:09.120Z` with its source."""

    at_s: float
    ts: str
    ts_src: p.TsSource

    def __post_init__(self) -> None:
        if not (self.ts.endswith("Z") and len(self.ts) == 24):
            raise ValueError(f"ts must be UTC to the millisecond such as 2026-01-05T03:12:09.120Z, got {self.ts!r}")

    def wall(self, moment_s: float) -> str:
        """The wall time of a monotonic moment."""
        shift = np.timedelta64(round(1000 * (moment_s - self.at_s)), "ms")
        return f"{np.datetime64(self.ts[:-1], 'ms') + shift}Z"


class _HeaderFields(TypedDict):
    id: str
    device: str
    bed: str
    boot: str
    session: int
    seq: int
    ts: str
    ts_src: p.TsSource
    mono_ms: int


class Composer:
    """Numbers and addresses the messages of one device.

    `numbers` yields `seq`: rising, never repeated within `boot` (see `Counters.numbers`).
    """

    def __init__(
        self, site: str, unit: str, device: str, boot: str, session: int, *, numbers: Iterator[int] | None = None
    ) -> None:
        self.device, self.boot, self.session = device, boot, session
        self.base = f"{t.ROOT}/{site}/{unit}/{device}"
        self._numbers = itertools.count(1) if numbers is None else numbers

    def topic(self, row: t.Topic, bed: str, free: str = "") -> str:
        """The full topic of one row of the table."""
        return f"{self.base}/{bed}/{row.name.replace('{}', free)}"

    def avail(
        self,
        status: Literal["online", "stopping", "offline"],
        stamp: Stamp,
        *,
        connection: int = 0,
        will_seq: int | None = None,
    ) -> Message:
        """Whether the device is reachable."""
        head = self._header(DEVICE_BED, stamp)
        return self._message(t.AVAIL, p.Avail(**head, status=status, connection=connection, will_seq=will_seq))

    def birth(
        self,
        stamp: Stamp,
        *,
        software: str,
        beds: Sequence[str],
        models: Sequence[p.ModelInfo],
        capabilities: Sequence[str],
        alarms: Sequence[p.AlarmLimit],
        delivery: Literal["receipt", "puback"],
    ) -> Message:
        """What the device is and can do."""
        payload = p.Birth(
            **self._header(DEVICE_BED, stamp),
            software=software,
            beds=tuple(beds),
            models=tuple(models),
            capabilities=tuple(capabilities),
            alarms=tuple(alarms),
            delivery=delivery,
            schemas=tuple(schema_id(row.model) for row in t.TOPICS),
        )
        return self._message(t.BIRTH, payload)

    def health(
        self,
        stamp: Stamp,
        *,
        uptime_s: float,
        cameras: Sequence[p.CameraHealth],
        stages: Sequence[p.StageLatency],
        outbox: p.OutboxHealth,
        temperature_c: float | None = None,
        throttled: int | None = None,
        storage_free_bytes: int | None = None,
        failed_models: Sequence[str] = (),
        active_alarms: Sequence[AlarmEvent] = (),
    ) -> Message:
        """Technical facts of the device, and the alarms that concern it as a whole."""
        payload = p.HealthReport(
            **self._header(DEVICE_BED, stamp),
            uptime_s=round(uptime_s, 1),
            cameras=tuple(cameras),
            stages=tuple(stages),
            outbox=outbox,
            temperature_c=temperature_c,
            throttled=throttled,
            storage_free_bytes=storage_free_bytes,
            failed_models=tuple(failed_models),
            clock_source=stamp.ts_src,
            active_alarms=_active(active_alarms, stamp),
        )
        return self._message(t.HEALTH, payload)

    def state(self, state: PatientState, active_alarms: Sequence[AlarmEvent], stamp: Stamp) -> Message:
        """What is believed about one bed, with the alarms that stand there."""
        sleep = state.sleep.value
        payload = p.State(
            **self._header(state.bed, stamp),
            face=p.FaceReading(value=state.face.value, **_measure(state.face, stamp)),
            eyes=p.EyesReading(value=state.eyes.value, **_measure(state.eyes, stamp)),
            sleep=p.SleepReading(value=sleep, **_measure(state.sleep, stamp), code=_sleep_code(sleep)),
            cry=p.CryReading(value=state.cry.value, **_measure(state.cry, stamp)),
            heart_rate=_heart_rate(state.heart_rate, stamp),
            pain_cue=_pain_cue(state, stamp),
            movement=p.MovementReading(value=_rounded(state.movement.value), **_measure(state.movement, stamp)),
            posture=p.PostureReading(value=state.posture.value, **_measure(state.posture, stamp)),
            head_side=p.HeadSideReading(value=state.head_side.value, **_measure(state.head_side, stamp)),
            coverage=round(state.coverage, 3),
            active_alarms=_active(active_alarms, stamp),
        )
        return self._message(t.STATE, payload)

    def heart_rate(self, bed: str, reading: Reading[HeartRate] | Observation, stamp: Stamp) -> Message:
        """The newest heart rate of one bed."""
        payload = p.HeartRateVital(**self._header(bed, stamp), heart_rate=_heart_rate(reading, stamp))
        return self._message(t.HEART_RATE, payload)

    def heart_rate_minute(
        self, bed: str, stamp: Stamp, *, start_s: float, bpms: Sequence[float], estimates: int, method: str
    ) -> Message:
        """The valid heart rates `bpms` (in beats per minute) among `estimates` since `start_s`, summarised."""
        payload = p.HeartRateMinute(
            **self._header(bed, stamp),
            start=stamp.wall(start_s),
            end=stamp.ts,
            min=round(min(bpms), 1) if bpms else None,
            median=round(statistics.median(bpms), 1) if bpms else None,
            max=round(max(bpms), 1) if bpms else None,
            valid_share=round(len(bpms) / estimates, 3) if estimates else 0.0,
            estimates=estimates,
            method=method,
        )
        return self._message(t.HEART_RATE_MINUTE, payload)

    def movement(self, minute: MovementSummary, stamp: Stamp) -> Message:
        """How the infant moved in a minute."""
        told = {name: _all_rounded(value) for name, value in asdict(minute).items()}
        span = {"start": stamp.wall(told.pop("start_s")), "end": stamp.wall(told.pop("end_s"))}
        payload = p.Movement.model_validate({**told, **self._header(minute.bed, stamp), **span})
        return self._message(t.MOVEMENT, payload)

    def behaviour(self, event: BehaviourEvent, stamp: Stamp) -> Message:
        """A bout that began, goes on or ended."""
        until_s = event.at_s if event.end_s is None else event.end_s
        payload = p.Behaviour.model_validate(
            {
                **self._header(event.bed, stamp),
                "type": event.type,
                "phase": event.phase,
                "event_id": event.event_id,
                "start": stamp.wall(event.start_s),
                "end": None if event.end_s is None else stamp.wall(event.end_s),
                "duration_s": round(max(0.0, until_s - event.start_s), 3),
                "peak": _rounded(event.peak),
                "code": {"sleep": p.SLEEP_CODES[Sleep.ASLEEP], "pain_cue": p.PAIN_CUE}.get(event.type),
            }
        )
        return self._message(t.EVENT, payload, event.type)

    def summary(self, held: BehaviourSummary, stamp: Stamp) -> Message:
        """What an hour or a day held."""
        cry_known_s = held.crying_s + held.quiet_s
        payload = p.Summary(
            **self._header(held.bed, stamp),
            period=held.period,
            start=stamp.wall(held.start_s),
            end=stamp.wall(held.end_s),
            asleep_min=_minutes(held.asleep_s),
            awake_min=_minutes(held.awake_s),
            sleep_coverage=round(held.sleep_coverage, 3),
            awakenings=held.awakenings,
            sleep_bouts=held.sleep_bouts,
            longest_sleep_min=_minutes(held.longest_sleep_s),
            crying_min=_minutes(held.crying_s),
            crying_min_per_h=round(60 * held.crying_s / cry_known_s, 2) if cry_known_s > 0 else None,
            cry_coverage=round(held.cry_coverage, 3),
            cry_bouts=held.cry_bouts,
            longest_cry_min=_minutes(held.longest_cry_s),
        )
        return self._message(t.SUMMARY, payload, held.period)

    def alarm(self, event: AlarmEvent, stamp: Stamp, *, ack: p.Acknowledgement | None = None) -> Message:
        """One move of an alarm."""
        payload = p.Alarm(
            **self._header(event.bed, stamp),
            condition=event.condition,
            kind=event.kind,
            priority=event.priority,
            phase=event.phase,
            presence=event.presence,
            activation=event.activation,
            latching=event.latching,
            alarm_id=event.alarm_id,
            revision=event.revision,
            onset=stamp.wall(event.onset_s),
            at=stamp.wall(event.at_s),
            value=_rounded(event.value),
            limit=event.limit,
            unit=event.unit,
            signal_delay_ms=event.signal_delay_ms,
            text_key=f"alarm.{event.condition}",
            ack=ack,
        )
        return self._message(t.ALARM, payload, event.condition)

    def alarm_cleared(self, bed: str, condition: str) -> Message:
        """The empty retained message that takes an ended alarm off the broker (the outbox sends it by itself)."""
        row = t.ALARM
        return Message(self.topic(row, bed, condition), None, row.qos, row.retain, row.expiry_s, row.durability)

    def command_response(
        self,
        request: p.CommandRequest,
        status: Literal["done", "refused"],
        stamp: Stamp,
        *,
        reason: str | None = None,
        revision: int | None = None,
    ) -> Message:
        """What became of a command."""
        payload = p.CommandResponse(
            **self._header(request.bed, stamp),
            cmd_id=request.cmd_id,
            name=request.name,
            status=status,
            reason=reason,
            revision=revision,
        )
        return self._message(t.RESPONSE, payload, request.name)

    def _header(self, bed: str, stamp: Stamp) -> _HeaderFields:
        seq = next(self._numbers)
        return {
            "id": f"{self.device}/{self.boot}/{seq}",
            "device": self.device,
            "bed": bed,
            "boot": self.boot,
            "session": self.session,
            "seq": seq,
            "ts": stamp.ts,
            "ts_src": stamp.ts_src,
            "mono_ms": max(0, round(1000 * stamp.at_s)),
        }

    def _message(self, row: t.Topic, payload: p.Header, free: str = "") -> Message:
        topic = self.topic(row, payload.bed, free)
        return Message(topic, payload, row.qos, row.retain, row.expiry_s, row.durability)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)


def _all_rounded(value: Any) -> Any:
    """Every real number within, rounded as all are."""
    if isinstance(value, dict):
        return {name: _all_rounded(part) for name, part in value.items()}
    return _rounded(value) if isinstance(value, float) else value


def _minutes(seconds: float) -> float:
    return round(seconds / 60, 2)


def _sleep_code(sleep: Sleep | None) -> p.Coding | None:
    return None if sleep is None else p.SLEEP_CODES[sleep]


def _measure(reading: Reading[T], stamp: Stamp) -> dict[str, object]:
    return {
        "reason": reading.reason,
        "quality": round(reading.quality, 3),
        "since": stamp.wall(reading.since_s),
        "age_s": round(reading.age_s(stamp.at_s), 3),
    }


def _heart_rate(reading: Reading[HeartRate] | Observation, stamp: Stamp) -> p.HeartRateReading:
    if isinstance(reading, Observation):
        value = reading.value if isinstance(reading.value, HeartRate) else None
        at_s, method = reading.captured_s, reading.model
        reading = Reading(value, reading.reason, reading.quality, at_s, at_s)
    else:
        method = "rPPG"
    rate = reading.value
    return p.HeartRateReading(
        value=None if rate is None else round(rate.bpm, 1),
        **_measure(reading, stamp),
        window_s=None if rate is None else round(rate.window_s, 2),
        method=method if rate is None else rate.method,
    )


def _pain_cue(state: PatientState, stamp: Stamp) -> p.PainCueReading:
    shares = asdict(state.pain_actions) if state.pain_actions else {}
    return p.PainCueReading(
        value=_rounded(state.pain_cue.value),
        **_measure(state.pain_cue, stamp),
        **{name: _rounded(share) for name, share in shares.items()},
    )


def _active(alarms: Sequence[AlarmEvent], stamp: Stamp) -> tuple[p.ActiveAlarm, ...]:
    return tuple(
        p.ActiveAlarm(
            condition=alarm.condition,
            kind=alarm.kind,
            priority=alarm.priority,
            presence=alarm.presence,
            activation=alarm.activation,
            alarm_id=alarm.alarm_id,
            revision=alarm.revision,
            onset=stamp.wall(alarm.onset_s),
        )
        for alarm in alarms
        if alarm.presence is not Presence.OFF
    )


def schema_id(model: type[p.Payload]) -> str:
    """The name under which a payload's JSON Schema is published."""
    return f"urn:edgemon:schema:{model.__name__}:{p.VERSION}"


def encode(message: Message) -> bytes:
    """Compact JSON with keys in declared order; nothing for the message that clears a topic.

    Raises:
        DeliveryError: larger than 64 kB.
    """
    data = b"" if message.payload is None else message.payload.model_dump_json().encode()
    if len(data) > t.MAX_PAYLOAD_BYTES:
        raise DeliveryError(f"{message.topic}: payload of {len(data)} bytes; at most {t.MAX_PAYLOAD_BYTES} are sent")
    return data


def decode(topic: str, payload: bytes) -> p.Payload:
    """The payload of a received message.

    Raises:
        DeliveryError: unknown topic, more than 64 kB, not JSON, or not what the topic's schema asks for.
    """
    row = t.address(topic).topic
    if len(payload) > t.MAX_PAYLOAD_BYTES:
        raise DeliveryError(f"{topic}: payload of {len(payload)} bytes refused; at most {t.MAX_PAYLOAD_BYTES} are read")
    try:
        return row.model.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "payload"
        raise DeliveryError(f"{topic}: {where}: {first['msg']}"[:400]) from error
