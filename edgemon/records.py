"""The nouns that cross every border: Frame -> Face -> Observation -> PatientState -> AlarmEvent -> Message.

All are frozen and checked when built, so an invalid one cannot exist. Every time in them is monotonic seconds
(`_s`); wall time is stamped only where a message leaves the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from enum import IntEnum, StrEnum
from typing import Final, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

ClockSource = Literal["ntp", "rtc", "unsynced"]
DEVICE_BED = "_device"  # the bed name of messages and alarms that concern the whole device


class Reason(StrEnum):
    """Why there is no value."""

    WARMING_UP = "warming_up"
    NO_FRAME = "no_frame"
    NO_FACE = "no_face"
    NO_INFANT = "no_infant"  # a clear picture of the cot, and nobody in it
    TURNED_AWAY = "turned_away"
    OCCLUDED = "occluded"  # the face is there, and covered
    OBSTRUCTED = "obstructed"  # something covers the lens or the infant's place
    DARK = "dark"
    MOTION = "motion"
    GAP = "gap"
    LOW_SNR = "low_snr"
    STALE = "stale"
    MODEL_FAILED = "model_failed"
    OVERLOADED = "overloaded"  # the board is too hot or too busy, and does what matters most
    DISABLED = "disabled"


class Eyes(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class Sleep(StrEnum):
    ASLEEP = "asleep"
    AWAKE = "awake"


class Cry(StrEnum):
    CRYING = "crying"
    QUIET = "quiet"


class Posture(StrEnum):
    SUPINE = "supine"
    SIDE = "side"
    PRONE = "prone"


class HeadSide(StrEnum):
    """The infant's own side to which the nose points."""

    LEFT = "left"
    RIGHT = "right"
    MIDLINE = "midline"


class Kind(StrEnum):
    PHYSIOLOGICAL = "physiological"
    TECHNICAL = "technical"


class Priority(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Presence(StrEnum):
    """FHIR R6 DeviceAlert presence."""

    ON = "on"
    LATCHED = "latched"
    OFF = "off"
    ACK = "ack"


class Activation(StrEnum):
    """Which signals of an alarm are given: all, all but sound, or none (IEC 60601-1-8 inactivation states)."""

    ON = "on"
    AUDIO_PAUSED = "audio_paused"
    ALARM_PAUSED = "alarm_paused"


class Phase(StrEnum):
    """IHE ACM event phase."""

    START = "start"
    CONTINUE = "continue"
    END = "end"
    UPDATE = "update"
    ESCALATE = "escalate"
    DEESCALATE = "deescalate"


class Durability(IntEnum):
    """How hard a message is kept: not at all, as its topic's newest, in the outbox, in the outbox before others."""

    NONE = 0
    NEWEST = 1
    OUTBOX = 2
    OUTBOX_FIRST = 3


def _require(ok: bool, what: str) -> None:
    if not ok:
        raise ValueError(what)


def _share(name: str, value: float) -> None:
    _require(0.0 <= value <= 1.0, f"{name} must be within 0..1, got {value}")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image of one bed: RGB uint8 (H, W, 3), or depth uint16 (H, W) in millimetres."""

    bed: str
    seq: int
    captured_s: float  # from the sensor's clock where it has one
    image: NDArray[np.uint8] | NDArray[np.uint16]
    source: str

    def __post_init__(self) -> None:
        rgb = self.image.ndim == 3 and self.image.shape[2] == 3 and self.image.dtype == np.uint8
        depth = self.image.ndim == 2 and self.image.dtype == np.uint16
        _require(
            rgb or depth,
            f"image must be RGB uint8 (H, W, 3) or depth uint16 (H, W), got {self.image.dtype} {self.image.shape}",
        )
        _require(self.seq >= 0, f"seq must be >= 0, got {self.seq}")
        _require(math.isfinite(self.captured_s), "captured_s must be finite")

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """The RGB image (H, W, 3).

        Raises:
            ValueError: this is a depth frame.
        """
        _require(self.image.ndim == 3, "a depth frame has no RGB")
        return self.image.astype(np.uint8, copy=False)


Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """The infant's face in one frame.

    `landmarks` is float32 (5, 2) in px, named by the subject's side: right eye, left eye, nose tip, right and left
    mouth corner (the right eye is on the image's left when the face is upright). `score` joins class score and
    predicted DIoU.
    """

    track_id: int
    box: Box  # xyxy px
    landmarks: NDArray[np.float32]
    score: float
    captured_s: float
    detected_s: float  # last real detection; between detections the tracker predicts

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.box
        finite = all(math.isfinite(v) for v in self.box)
        _require(finite and x1 > x0 and y1 > y0, f"box must be xyxy px, got {self.box}")
        _require(self.landmarks.shape == (5, 2), f"landmarks must be (5, 2), got {self.landmarks.shape}")
        _require(bool(np.isfinite(self.landmarks).all()), "landmarks must be finite")
        _share("score", self.score)
        _require(self.detected_s <= self.captured_s, "detected_s lies after captured_s")

    @property
    def roll_deg(self) -> float:
        """In-plane roll in degrees: 0 upright, positive clockwise in the image, -180..180.

        The line of the eyes and that from eyes to mouth vote together, so that a turned head keeps a steady angle.
        """
        right, left, _, *corners = self.landmarks.astype(float)
        across, down = left - right, (sum(corners) - right - left) / 2
        return math.degrees(math.atan2(across[1] - down[0], across[0] + down[1]))

    @property
    def age_s(self) -> float:
        """Seconds since the last real detection."""
        return self.captured_s - self.detected_s


@dataclass(frozen=True, slots=True, eq=False)
class SkinSample:
    """Mean colour of each skin region in one frame: float32 (R, 3) RGB in 0..255, NaN where a region is out of view.

    `patch` is the upright face as means, float32 RGB (16, 16, 3) in 0..255, where a pulse network reads it.
    """

    captured_s: float
    seq: int
    track_id: int
    rgb: NDArray[np.float32]
    patch: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        _require(self.rgb.ndim == 2 and self.rgb.shape[1] == 3, f"rgb must be (R, 3), got {self.rgb.shape}")


@dataclass(frozen=True, slots=True)
class Expression:
    """Probabilities 0..1 read from one face crop; None where the region that tells it cannot be seen.

    The last three are the facial actions of pain; a network that was not taught them leaves them None.
    """

    eyes_closed: float | None
    crying: float | None
    yawning: float | None
    brow_bulge: float | None = None
    eye_squeeze: float | None = None
    nasolabial_furrow: float | None = None

    def __post_init__(self) -> None:
        told = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in told.items():
            if value is not None:
                _share(name, value)
        _require(any(value is not None for value in told.values()), "an expression of which nothing is known")


@dataclass(frozen=True, slots=True)
class PainLook:
    """How much one face resembles faces with all three facial actions of pain, and whether that is enough to count."""

    probability: float
    present: bool

    def __post_init__(self) -> None:
        _share("probability", self.probability)


@dataclass(frozen=True, slots=True)
class HeartRate:
    """A pulse rate in beats per minute over the last `window_s` seconds."""

    bpm: float
    window_s: float
    method: str  # "rPPG-POS", "rPPG-CHROM", ...

    def __post_init__(self) -> None:
        _require(20.0 <= self.bpm <= 300.0, f"bpm must be within 20..300, got {self.bpm}")
        _require(self.window_s > 0, f"window_s must be > 0, got {self.window_s}")


KEYPOINTS: Final = (
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "head",
    "neck",
)  # CrowdPose order; head is the crown


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """The joints of one infant in one frame: float32 (14, 3) of x px, y px and score 0..1, in the order of KEYPOINTS.

    A score says how far the joint can be seen; a joint under a blanket has a place and a low score.
    """

    keypoints: NDArray[np.float32]
    score: float  # that an infant lies here
    posture: Posture | None
    head_side: HeadSide | None

    def __post_init__(self) -> None:
        shape = (len(KEYPOINTS), 3)
        _require(self.keypoints.shape == shape, f"keypoints must be {shape}, got {self.keypoints.shape}")
        _require(bool(np.isfinite(self.keypoints).all()), "keypoints must be finite")
        scores = self.keypoints[:, 2]
        _require(bool(((scores >= 0) & (scores <= 1)).all()), "scores of keypoints must be within 0..1")
        _share("score", self.score)

    @property
    def trunk_px(self) -> float:
        """Length from the middle of the shoulders to the middle of the hips."""
        places = self.keypoints[:, :2].astype(float)
        return float(np.linalg.norm(places[0:2].mean(axis=0) - places[6:8].mean(axis=0)))


@dataclass(frozen=True, slots=True)
class Observation:
    """What one observer saw: a value, or the reason why there is none."""

    bed: str
    observer: str
    captured_s: float
    value: Expression | PainLook | HeartRate | Pose | None
    reason: Reason | None
    quality: float
    model: str  # "id@version" of the model or method

    def __post_init__(self) -> None:
        _require((self.value is None) != (self.reason is None), "an observation has either a value or a reason")
        _share("quality", self.quality)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """One thing believed now, or the reason why it is unknown."""

    value: T | None
    reason: Reason | None
    quality: float
    since_s: float  # since when this value (or this reason) stands
    updated_s: float  # the newest observation behind it

    def __post_init__(self) -> None:
        _require((self.value is None) != (self.reason is None), "a reading has either a value or a reason")
        _require(math.isfinite(self.since_s) and math.isfinite(self.updated_s), "times must be finite")
        _share("quality", self.quality)

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    def age_s(self, now_s: float) -> float:
        """Seconds since the newest observation behind it."""
        return max(0.0, now_s - self.updated_s)


@dataclass(frozen=True, slots=True)
class PainActions:
    """Shares 0..1 of the seconds of a window with each facial action of pain; None where it was seen too little.

    Information, and no item of any clinical scale.
    """

    window_s: float
    coverage: float  # share of the window's seconds in which all three were seen
    brow_bulge: float | None
    eye_squeeze: float | None
    nasolabial_furrow: float | None

    def __post_init__(self) -> None:
        _require(self.window_s > 0, f"window_s must be > 0, got {self.window_s}")
        for name in ("coverage", "brow_bulge", "eye_squeeze", "nasolabial_furrow"):
            value = getattr(self, name)
            if value is not None:
                _share(name, value)


@dataclass(frozen=True, slots=True)
class PatientState:
    """What is believed now about the infant in one bed; each reading says its quality and, when unknown, why."""

    bed: str
    at_s: float
    face: Reading[bool]
    eyes: Reading[Eyes]
    sleep: Reading[Sleep]
    cry: Reading[Cry]
    heart_rate: Reading[HeartRate]
    pain_cue: Reading[float]  # share of seconds with all three facial actions of pain at once
    movement: Reading[float]  # index 0..1
    coverage: float  # share of the last minute in which the eyes were known
    pain_actions: PainActions | None = None  # None: the cue is off
    posture: Reading[Posture] = field(kw_only=True)
    head_side: Reading[HeadSide] = field(kw_only=True)  # to which side the nose points, the infant's own

    def __post_init__(self) -> None:
        _share("coverage", self.coverage)


@dataclass(frozen=True, slots=True)
class Health:
    """Technical facts at one moment, of one bed's camera and its device; None where the board does not tell."""

    at_s: float
    frame_age_s: float | None = None  # None before the first frame
    frozen_s: float = 0.0  # how long the picture has not changed by one bit
    luma: float | None = None  # mean brightness of the newest frame, 0..255
    temperature_c: float | None = None
    throttled: int | None = None  # the firmware's bits: 0x1 undervoltage, 0x4 throttled, ...
    storage_free_bytes: int | None = None
    messages_dropped: int = 0  # since start
    failed_models: tuple[str, ...] = ()
    connected: bool = True
    clock_source: ClockSource = "ntp"


@dataclass(frozen=True, slots=True)
class BehaviourEvent:
    """A bout that began, goes on or ended: asleep, crying, presence of the face."""

    bed: str
    type: str  # sleep | cry | presence | movement | pain_cue
    phase: Phase  # start | update | end
    event_id: str
    start_s: float
    at_s: float
    end_s: float | None
    peak: float | None

    def __post_init__(self) -> None:
        _require(self.phase in (Phase.START, Phase.UPDATE, Phase.END), f"a bout cannot be in phase {self.phase}")
        _require((self.end_s is not None) == (self.phase is Phase.END), "end_s belongs to phase end")


@dataclass(frozen=True, slots=True)
class BehaviourSummary:
    """What an hour or a day held, as far as it was seen; what was not seen is neither sleep nor quiet.

    Bouts are those of which some lies within; the longest counts from the start of the period at the earliest.
    """

    bed: str
    period: Literal["hour", "day"]
    start_s: float
    end_s: float
    asleep_s: float
    awake_s: float
    crying_s: float
    quiet_s: float
    awakenings: int
    sleep_bouts: int
    longest_sleep_s: float
    cry_bouts: int
    longest_cry_s: float

    def __post_init__(self) -> None:
        _require(self.end_s >= self.start_s, f"end_s lies before start_s, got {self.end_s} and {self.start_s}")
        for known_s in (self.asleep_s + self.awake_s, self.crying_s + self.quiet_s):
            _require(known_s <= self.end_s - self.start_s + 1e-6, f"{known_s} s known of {self.end_s - self.start_s} s")

    @property
    def sleep_coverage(self) -> float:
        """Share of the period in which it was known whether the infant slept."""
        return self._share(self.asleep_s + self.awake_s)

    @property
    def cry_coverage(self) -> float:
        """Share of the period in which it was known whether the infant cried."""
        return self._share(self.crying_s + self.quiet_s)

    def _share(self, known_s: float) -> float:
        return min(1.0, known_s / (self.end_s - self.start_s)) if self.end_s > self.start_s else 0.0


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """One move of the alarm state machine (IEC 60601-1-8 words; presence of FHIR R6, phase of IHE ACM)."""

    bed: str
    condition: str
    kind: Kind
    priority: Priority
    phase: Phase
    presence: Presence
    latching: bool
    alarm_id: str
    revision: int
    onset_s: float
    at_s: float
    value: float | None
    limit: float | None
    unit: str | None
    signal_delay_ms: int  # condition delay: from the predicate's first truth to this signal
    activation: Activation = Activation.ON

    def __post_init__(self) -> None:
        _require(self.revision >= 1, f"revision must be >= 1, got {self.revision}")
        _require(self.onset_s <= self.at_s, "onset_s lies after at_s")


@dataclass(frozen=True, slots=True)
class Message:
    """What goes on the wire. `payload` None is the empty retained message that clears a topic."""

    topic: str
    payload: BaseModel | None
    qos: int
    retain: bool
    expiry_s: int | None
    durability: Durability

    def __post_init__(self) -> None:
        _require(self.qos in (0, 1), f"qos must be 0 or 1, got {self.qos}")
        _require(not set("+#\0") & set(self.topic) and self.topic != "", f"not a topic to publish to: {self.topic!r}")


@dataclass(frozen=True, slots=True)
class Motion:
    """What changed in the picture from one frame to the next.

    The centroid of the pixels that changed lies at shares 0..1 of the picture's width and height.
    """

    at_s: float
    quantity: float  # share 0..1 of the pixels that changed
    x: float | None  # None: nothing changed
    y: float | None

    def __post_init__(self) -> None:
        _share("quantity", self.quantity)
        _require((self.x is None) == (self.y is None), "a centroid has both x and y, or there is none")


@dataclass(frozen=True, slots=True)
class MotionSummary:
    """A minute's quantity and centroid of motion at full frame rate, after Adde 2009; no infant need be seen for it.

    Lengths are shares of the picture (x of its width, y of its height); None where too little changed to tell.
    """

    quantity: float  # mean share 0..1 of pixels that changed between two frames
    quantity_sd: float
    moving: float  # share 0..1 of the frames in which something changed
    x: float | None  # mean of the centroid
    y: float | None
    centroid_sd: float | None
    centroid_speed: float | None  # mean, a second
    centroid_acceleration: float | None  # mean, a second squared
    dominant_hz: float | None  # of the quantity within 0.3..5 Hz: a limb that swings at f makes it beat at 2 f
    spectral_entropy: float | None  # 0 one rate only, 1 all alike

    def __post_init__(self) -> None:
        for name in ("quantity", "moving"):
            _share(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class LimbMovement:
    """How the end of one limb, wrist or ankle, moved against the trunk; None where it was seen too little."""

    seen: float  # share 0..1 of the minute
    speed_trunks_s: float | None  # mean, in trunk lengths a second
    active: float | None  # share 0..1 of the time seen in which it moved faster than the threshold

    def __post_init__(self) -> None:
        _share("seen", self.seen)
        _require((self.speed_trunks_s is None) == (self.active is None), "speed and active are known together")
        _require(self.speed_trunks_s is None or self.speed_trunks_s >= 0, "speed_trunks_s must be >= 0")
        if self.active is not None:
            _share("active", self.active)


@dataclass(frozen=True, slots=True)
class MovementSummary:
    """How the infant in one bed moved in a minute, as far as it was seen.

    Information for people who study movement: no general-movement assessment, and no part of one.
    None: seen too little, or not seen often enough for it (rhythm, correlation and synchrony need 10 poses a second).
    """

    bed: str
    start_s: float
    end_s: float
    coverage: float  # share 0..1 of the four limbs' time in which they were seen
    pose_hz: float
    frames_hz: float
    left_arm: LimbMovement
    right_arm: LimbMovement
    left_leg: LimbMovement
    right_leg: LimbMovement
    index: float | None  # 0 no limb moved .. 1 all four moved all the time: mean of the limbs' `active`
    still: float | None  # share 0..1 of the time in which no limb that was seen moved
    position_entropy_bits: float | None  # of the limbs' ends on a grid of a tenth of the trunk, one place a second
    dominant_hz: float | None  # of the limbs' velocity within 0.3..5 Hz
    spectral_entropy: float | None  # 0 one rate only, 1 all alike
    arms_correlation: float | None  # of the left and the right wrist's speed, -1..1
    legs_correlation: float | None
    onsets: int | None  # how often a limb began to move
    synchrony: float | None  # share 0..1 of the onsets in which three limbs or more began within 0.3 s
    motion: MotionSummary | None

    def __post_init__(self) -> None:
        _require(self.end_s > self.start_s, f"end_s must lie after start_s, got {self.end_s} and {self.start_s}")
        for name in ("coverage", "index", "still", "spectral_entropy", "synchrony"):
            value = getattr(self, name)
            if value is not None:
                _share(name, value)
        for name in ("arms_correlation", "legs_correlation"):
            value = getattr(self, name)
            _require(value is None or -1.0 <= value <= 1.0, f"{name} must be within -1..1, got {value}")

    @property
    def limbs(self) -> tuple[LimbMovement, LimbMovement, LimbMovement, LimbMovement]:
        """Left arm, right arm, left leg, right leg."""
        return self.left_arm, self.right_arm, self.left_leg, self.right_leg
