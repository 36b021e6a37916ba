"""The words that nouns and messages are told in: states, reasons, and those of alarms."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Literal

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
