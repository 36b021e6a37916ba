"""What is believed of an infant now, and what is known of its camera and device."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from edgemon.records.checks import require, share
from edgemon.records.sight import HeartRate
from edgemon.records.words import ClockSource, Cry, Eyes, HeadSide, Posture, Reason, Sleep

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
        require((self.value is None) != (self.reason is None), "a reading has either a value or a reason")
        require(math.isfinite(self.since_s) and math.isfinite(self.updated_s), "times must be finite")
        share("quality", self.quality)

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
        require(self.window_s > 0, f"window_s must be > 0, got {self.window_s}")
        for name in ("coverage", "brow_bulge", "eye_squeeze", "nasolabial_furrow"):
            value = getattr(self, name)
            if value is not None:
                share(name, value)


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
        share("coverage", self.coverage)


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
