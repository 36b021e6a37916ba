"""The JSON payloads on the wire, one model per topic; a number never travels without quality, age and reason."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from edgemon.records import (
    Activation,
    ClockSource,
    Cry,
    Eyes,
    HeadSide,
    Kind,
    Phase,
    Posture,
    Presence,
    Priority,
    Reason,
    Sleep,
)

VERSION = 1
INTENDED_USE = (
    "Research and information only. Not a medical device and not a certified alarm system: "
    "never rely on it to notice that a patient needs help."
)


def _on_the_calendar(ts: str) -> str:
    np.datetime64(ts.removesuffix("Z"))  # ValueError where there is no such day or time
    return ts


Ts = Annotated[
    str,
    StringConstraints(pattern=r"^[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"),
    AfterValidator(_on_the_calendar),
    Field(json_schema_extra={"format": "date-time"}, description="UTC, to the millisecond"),
]
Share = Annotated[float, Field(ge=0, le=1)]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:@+-]{1,128}$")]
Ref = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:@+/-]{1,128}$")]
MessageId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}/[0-9a-zA-Z-]{1,36}/\d{1,16}$")]
Seconds = Annotated[float, Field(ge=0, le=1e9)]  # 31 years: what a receiver can still add to a time
Minutes = Annotated[float, Field(ge=0, le=1e7)]
TsSource = ClockSource
SIGNALS = "signals to give: all, all but sound, or none; a pause never changes presence"


class Payload(BaseModel):
    """Base of all: frozen, unknown keys and NaN refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Header(Payload):
    """Who says it and when; `id` = device/boot/seq is unique, and receivers drop repeats by it."""

    v: Literal[1] = 1
    id: MessageId
    device: Token
    bed: Token
    boot: Token
    session: int = Field(ge=1, description="counts the starts of the daemon")
    seq: int = Field(ge=1, description="counts the messages of a device within one boot")
    ts: Ts
    ts_src: TsSource
    mono_ms: int = Field(ge=0, description="the device's monotonic clock")

    @model_validator(mode="after")
    def _same_id(self) -> Header:
        if self.id != f"{self.device}/{self.boot}/{self.seq}":
            raise ValueError(f"id must be device/boot/seq, got {self.id}")
        return self


class Durable(Header):
    """Kept in the outbox until it has been delivered; `replay` marks history that must not alarm anybody."""

    replay: bool = False


class Coding(Payload):
    """One code of a terminology."""

    system: str
    code: str
    display: str


LOINC, SNOMED, OWN = "http://loinc.org", "http://snomed.info/sct", "urn:edgemon:code"
HEART_RATE = Coding(system=LOINC, code="8867-4", display="Heart rate")
SLEEP_CODES = {
    Sleep.ASLEEP: Coding(system=SNOMED, code="248220008", display="Asleep"),
    Sleep.AWAKE: Coding(system=SNOMED, code="248218005", display="Awake"),
}
PAIN_CUE = Coding(system=OWN, code="pain-cue", display="Share of time with the facial actions of pain")

T = TypeVar("T")


class Measured(Payload, Generic[T]):
    """A value, or null and the reason why it is unknown."""

    value: T | None
    reason: Reason | None
    quality: Share
    since: Ts
    age_s: Seconds = Field(description="since the newest observation behind it")

    @model_validator(mode="after")
    def _value_or_reason(self) -> Measured[T]:
        if (self.value is None) == (self.reason is None):
            raise ValueError("give either a value or a reason")
        return self


class FaceReading(Measured[bool]):
    """Whether the infant's face is in view."""


class EyesReading(Measured[Eyes]):
    """Eyes open or closed."""


class SleepReading(Measured[Sleep]):
    """Asleep or awake, in epochs of 30 s."""

    code: Coding | None


class CryReading(Measured[Cry]):
    """Crying or quiet."""


class PainCueReading(Measured[float]):
    """Share of seconds 0..1 with all three facial actions at once; information, not a score of any clinical pain scale.

    The shares of each action are null where it was seen in too few seconds, and all of it where the cue is off.
    """

    code: Coding = PAIN_CUE
    window_s: Seconds | None = None
    coverage: Share | None = Field(None, description="share of the window's seconds in which all three were seen")
    brow_bulge: Share | None = None
    eye_squeeze: Share | None = None
    nasolabial_furrow: Share | None = None


class MovementReading(Measured[float]):
    """Movement index of the newest minute: 0 no limb moved .. 1 all four moved all the time."""


class PostureReading(Measured[Posture]):
    """How the infant lies: on its back, side or belly."""


class HeadSideReading(Measured[HeadSide]):
    """The infant's own side to which the nose points."""


class HeartRateReading(Measured[float]):
    """Heart rate by remote photoplethysmography."""

    code: Coding = HEART_RATE
    unit: Literal["/min"] = "/min"
    window_s: Seconds | None
    method: Ref


class Avail(Header):
    """Whether the device is reachable; a receiver ignores an `offline` older than (session, connection) it knows."""

    status: Literal["online", "stopping", "offline"]
    connection: int = Field(ge=0, description="counts the connections of this session")
    will_seq: int | None = Field(description="seq that is kept for the last will of this connection")


class ModelInfo(Payload):
    """A model that is loaded."""

    id: Token
    version: Token
    sha256: str
    precision: Token


class AlarmLimit(Payload):
    """How one alarm condition is set on this device."""

    condition: Token
    kind: Kind
    priority: Priority
    enabled: bool
    latching: bool
    limit: float | None
    unit: str | None
    delay_s: Seconds


class Birth(Header):
    """What this device is and can do."""

    software: str
    beds: tuple[Token, ...]
    models: tuple[ModelInfo, ...]
    capabilities: tuple[Token, ...]
    alarms: tuple[AlarmLimit, ...]
    delivery: Literal["receipt", "puback"]
    schemas: tuple[str, ...]
    intended_use: str = INTENDED_USE


class CameraHealth(Payload):
    """The camera of one bed."""

    bed: Token
    fps: float | None
    frame_age_s: Seconds | None
    frozen_s: Seconds
    luma: float | None = Field(description="mean brightness 0..255")
    dropped_frames: int = Field(ge=0)
    restarts: int = Field(ge=0)


class StageLatency(Payload):
    """Time that one stage takes."""

    stage: Token
    p50_ms: Seconds
    p95_ms: Seconds


class OutboxHealth(Payload):
    """Messages that wait for delivery."""

    waiting: int = Field(ge=0)
    bytes: int = Field(ge=0)
    oldest_s: Seconds
    dropped: int = Field(ge=0, description="since start")


class ActiveAlarm(Payload):
    """An alarm condition that stands now."""

    condition: Token
    kind: Kind
    priority: Priority
    presence: Presence
    activation: Activation = Field(description=SIGNALS)
    alarm_id: Ref
    revision: int = Field(ge=1)
    onset: Ts


class HealthReport(Header):
    """Technical facts of the device."""

    uptime_s: Seconds
    cameras: tuple[CameraHealth, ...]
    stages: tuple[StageLatency, ...]
    outbox: OutboxHealth
    temperature_c: float | None
    throttled: int | None = Field(description="the firmware's bits: 0x1 undervoltage, 0x4 throttled, ...")
    storage_free_bytes: int | None
    failed_models: tuple[Token, ...]
    clock_source: TsSource
    active_alarms: tuple[ActiveAlarm, ...] = Field(description="conditions of the whole device")


class State(Header):
    """What is believed now about the infant in one bed."""

    face: FaceReading
    eyes: EyesReading
    sleep: SleepReading
    cry: CryReading
    heart_rate: HeartRateReading
    pain_cue: PainCueReading
    movement: MovementReading
    posture: PostureReading
    head_side: HeadSideReading
    coverage: Share = Field(description="share of the last minute in which the eyes were known")
    active_alarms: tuple[ActiveAlarm, ...]


class HeartRateVital(Header):
    """Heart rate, once a second."""

    heart_rate: HeartRateReading


class HeartRateMinute(Durable):
    """Heart rate over one minute; null where no estimate was valid."""

    start: Ts
    end: Ts
    min: float | None
    median: float | None
    max: float | None
    valid_share: Share
    estimates: int = Field(ge=0, description="valid and abstained")
    code: Coding = HEART_RATE
    unit: Literal["/min"] = "/min"
    method: Ref


class Limb(Payload):
    """How a wrist or ankle moved against the trunk; null where it was seen for too little of the minute."""

    seen: Share = Field(description="share of the minute")
    speed_trunks_s: Seconds | None = Field(description="mean speed, in trunk lengths a second")
    active: Share | None = Field(description="share of the time seen in which it moved faster than the threshold")


class PictureMotion(Payload):
    """Quantity and centroid of motion of the picture, at the camera's frame rate; lengths are shares of the picture."""

    quantity: Share = Field(description="mean share of pixels that changed between two frames")
    quantity_sd: float
    moving: Share = Field(description="share of the frames in which something changed")
    x: float | None
    y: float | None
    centroid_sd: float | None
    centroid_speed: float | None = Field(description="mean, a second")
    centroid_acceleration: float | None = Field(description="mean, a second squared")
    dominant_hz: float | None = Field(description="within 0.3..5 Hz")
    spectral_entropy: float | None = Field(description="0 one rate only, 1 all alike")


class Movement(Durable):
    """How the infant moved in one minute, as far as it was seen; null where that is too little to tell.

    Information for people who study movement; no general-movement assessment, and no part of one. Rhythm, correlation
    and synchrony need 10 poses a second.
    """

    start: Ts
    end: Ts
    coverage: Share = Field(description="share of the four limbs' time in which they were seen")
    pose_hz: Seconds
    frames_hz: Seconds
    left_arm: Limb
    right_arm: Limb
    left_leg: Limb
    right_leg: Limb
    index: Share | None = Field(description="0 no limb moved .. 1 all four moved all the time")
    still: Share | None = Field(description="share of the time in which no limb that was seen moved")
    position_entropy_bits: float | None
    dominant_hz: float | None = Field(description="of the limbs' velocity, within 0.3..5 Hz")
    spectral_entropy: Share | None = Field(description="0 one rate only, 1 all alike")
    arms_correlation: float | None
    legs_correlation: float | None
    onsets: int | None = Field(description="how often a limb began to move")
    synchrony: Share | None = Field(description="share of the onsets in which three limbs or more began within 0.3 s")
    motion: PictureMotion | None


class Behaviour(Durable):
    """A bout that began, goes on or ended."""

    type: Literal["sleep", "cry", "presence", "movement", "pain_cue"]
    phase: Phase
    event_id: Ref
    start: Ts
    end: Ts | None
    duration_s: Seconds
    peak: float | None
    code: Coding | None


class Summary(Durable):
    """Sleep and crying over the last hour or day, as far as they were seen: unseen time counts as neither.

    Bouts are those of which some lies within; the longest counts from `start` at the earliest.
    """

    period: Literal["hour", "day"]
    start: Ts
    end: Ts
    asleep_min: Minutes
    awake_min: Minutes
    sleep_coverage: Share = Field(description="share of the time in which it was known whether the infant slept")
    awakenings: int = Field(ge=0)
    sleep_bouts: int = Field(ge=0)
    longest_sleep_min: Minutes
    crying_min: Minutes
    crying_min_per_h: float | None = Field(ge=0, le=60, description="of seen time; null where none was seen")
    cry_coverage: Share = Field(description="share of the time in which it was known whether the infant cried")
    cry_bouts: int = Field(ge=0)
    longest_cry_min: Minutes


class Acknowledgement(Payload):
    """Who acknowledged, and when."""

    by: Token
    at: Ts


class Alarm(Durable):
    """One move of an alarm; on its end `presence` is `off`, and then the topic is cleared by an empty message."""

    condition: Token
    kind: Kind
    priority: Priority
    phase: Phase
    presence: Presence
    activation: Activation = Field(description=SIGNALS)
    latching: bool
    alarm_id: Ref
    revision: int = Field(ge=1)
    onset: Ts
    at: Ts
    value: float | None
    limit: float | None
    unit: str | None
    signal_delay_ms: int = Field(ge=0)
    text_key: Token
    ack: Acknowledgement | None


class Receipt(Payload):
    """Ids that a station has committed; an empty list only says that a station listens now."""

    v: Literal[1] = 1
    station: Token
    device: Token
    ids: tuple[MessageId, ...] = Field(max_length=500)
    ts: Ts


class CommandRequest(Payload):
    """What a station asks of a device; executed once per `cmd_id`, never after `expires`."""

    v: Literal[1] = 1
    cmd_id: Ref
    name: Literal["acknowledge", "pause", "self-test", "rebirth"]
    device: Token
    bed: Token
    by: Token
    expires: Ts
    alarm_id: Ref | None = None
    revision: int | None = Field(None, ge=1)
    pause: Literal["audio", "procedure"] | None = None
    duration_s: Annotated[float, Field(gt=0, le=300)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> CommandRequest:
        needed = {"acknowledge": ("alarm_id", "revision"), "pause": ("pause", "duration_s")}.get(self.name, ())
        optional = ("alarm_id", "revision", "pause", "duration_s")
        for field in optional:
            if (getattr(self, field) is not None) != (field in needed):
                raise ValueError(f"{self.name} takes {', '.join(needed) or 'no further fields'}; {field} is wrong")
        return self


class CommandResponse(Durable):
    """What became of a command."""

    cmd_id: Ref
    name: Token
    status: Literal["done", "refused"]
    reason: str | None
    revision: int | None = Field(description="of the alarm after the command")
