"""Every alarm condition is one row of one table: what it measures, its limit, its delays, and where these come from.

Rules of this file: a measure is a pure function of the facts of one moment; None means that it cannot be told. Defaults
are starting points for term newborns and must be set by the unit. This is not a certified alarm system.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from edgemon.config import AlarmSetting
from edgemon.errors import ConfigError
from edgemon.records import Cry, Health, Kind, PatientState, Priority, Reason

FRESH_S = 2.0  # a picture or state older than this says nothing about now
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a condition may look at: the infant (None for the device), the machine, and the machine one step ago."""

    now_s: float
    state: PatientState | None
    health: Health
    before: Health | None

    @property
    def frame_age_s(self) -> float | None:
        """Age of the newest frame now; None before the first."""
        age_s = self.health.frame_age_s
        return None if age_s is None else age_s + max(0.0, self.now_s - self.health.at_s)

    @property
    def in_view(self) -> bool:
        """Whether there are frames to judge."""
        age_s = self.frame_age_s
        return age_s is not None and age_s <= FRESH_S


class Scope(StrEnum):
    """Whether a condition belongs to a bed or to the device."""

    BED = "bed"
    DEVICE = "device"


class Sense(StrEnum):
    """On which side of its limit a measure is wrong; a flag has no limit and is wrong when it is not 0."""

    ABOVE = "above"
    BELOW = "below"
    FLAG = "flag"


Measure = Callable[[Facts], float | None]


@dataclass(frozen=True, slots=True)
class Condition:
    """One alarm condition.

    `clear_s` is how long the predicate must be false before the condition counts as gone (the delay's timer runs
    through shorter breaks). `unknown_limit_s` makes lasting ignorance itself the condition, for technical ones only.
    `escalate_s` None never escalates. `source` names where the default comes from.
    """

    name: str
    kind: Kind
    scope: Scope
    priority: Priority
    measure: Measure
    what: str  # that is measured, in the words of the operator
    source: str
    sense: Sense = Sense.FLAG
    limit: float | None = None
    unit: str | None = None
    allowed: tuple[float, float] = (-math.inf, math.inf)  # of the limit, both ends included
    hysteresis: float = 0.0
    delay_s: float = 0.0
    clear_s: float = 0.0
    unknown_limit_s: float | None = None
    escalate_s: float | None = None
    latching: bool = False
    enabled: bool = True

    def __post_init__(self) -> None:
        if (self.limit is None) != (self.sense is Sense.FLAG):
            raise ConfigError(f"alarms.{self.name}: {self._takes()}, got limit {self.limit}")
        if self.limit is not None and not self.allowed[0] <= self.limit <= self.allowed[1]:
            raise ConfigError(f"alarms.{self.name}: {self._takes()}, got limit {self.limit}")
        if self.kind is Kind.PHYSIOLOGICAL and self.unknown_limit_s is not None:
            raise ValueError(f"{self.name}: the unknown never raises a physiological alarm")

    def _takes(self) -> str:
        if self.sense is Sense.FLAG:
            return "takes no limit"
        return f"takes a limit within {self.allowed[0]:g}..{self.allowed[1]:g} {self.unit}"

    def holds(self, value: float | None, standing: bool) -> bool | None:
        """Whether the measured value is wrong, None where there is none; a standing one clears past the hysteresis."""
        if value is None or not math.isfinite(value):
            return None
        if self.limit is None:
            return value != 0.0
        margin = self.hysteresis if standing else 0.0
        return value > self.limit - margin if self.sense is Sense.ABOVE else value < self.limit + margin


def _heart_rate(facts: Facts) -> float | None:
    reading = facts.state.heart_rate.value if facts.state else None
    return None if reading is None else reading.bpm


def _crying(facts: Facts) -> float | None:
    cry = facts.state.cry.value if facts.state else None
    return None if cry is None else float(cry is Cry.CRYING)


def _face_missing(facts: Facts) -> float | None:
    """What has its own condition (no frames, dark, covered, a failed model) is no missing face, nor is depth."""
    if not facts.in_view:
        return None
    if facts.state is None:
        return 1.0
    face = facts.state.face
    own = (Reason.NO_FRAME, Reason.DARK, Reason.OCCLUDED, Reason.OBSTRUCTED, Reason.MODEL_FAILED)
    explained = (*own, Reason.DISABLED)
    return None if face.reason in explained else float(face.value is not True)


def _covered(facts: Facts) -> float | None:
    """A clear view without a face is not covered, and has its own condition; a mouth under cloth is, eyes or not.

    Of depth, where faces are disabled, the face is obstructed while the lens is.
    """
    if facts.state is None or not facts.in_view:
        return None
    face, eyes, cry = facts.state.face, facts.state.eyes, facts.state.cry
    if any(r.reason in (Reason.OCCLUDED, Reason.OBSTRUCTED) for r in (face, eyes, cry)):
        return 1.0
    return 0.0 if eyes.known or face.value is False or face.reason is Reason.DISABLED else None


def _heart_rate_missing(facts: Facts) -> float | None:
    """Only of a face that is seen: what hides the face has its own condition."""
    if facts.state is None:
        return None
    if facts.state.heart_rate.known:
        return 0.0
    return 1.0 if facts.state.face.value is True and facts.in_view else None


def _frozen(facts: Facts) -> float | None:
    return facts.health.frozen_s if facts.in_view else None


def _luma(facts: Facts) -> float | None:
    return facts.health.luma if facts.in_view else None


def _undervoltage(facts: Facts) -> float | None:
    bits = facts.health.throttled
    return None if bits is None else float(bits & 0x1)


def _free_mb(facts: Facts) -> float | None:
    free = facts.health.storage_free_bytes
    return None if free is None else free / _MB


def _newly_dropped(facts: Facts) -> float:
    before = facts.before.messages_dropped if facts.before else 0
    return float(max(0, facts.health.messages_dropped - before))


_P, _T = Kind.PHYSIOLOGICAL, Kind.TECHNICAL
_BED, _DEVICE = Scope.BED, Scope.DEVICE
_HIGH, _MEDIUM, _LOW = Priority.HIGH, Priority.MEDIUM, Priority.LOW
_HR = "a starting point for term newborns, to be set by the unit"
_OWN = "edgemon's choice"

CONDITIONS: tuple[Condition, ...] = (
    Condition("hr_low", _P, _BED, _HIGH, _heart_rate, "heart rate", _HR,
              Sense.BELOW, 100.0, "/min", (30.0, 200.0), 5.0, delay_s=10.0, clear_s=3.0, escalate_s=120.0,
              latching=True),
    Condition("hr_high", _P, _BED, _MEDIUM, _heart_rate, "heart rate", _HR,
              Sense.ABOVE, 200.0, "/min", (100.0, 300.0), 5.0, delay_s=10.0, clear_s=3.0, escalate_s=120.0),
    Condition("cry_sustained", _P, _BED, _LOW, _crying, "crying", f"{_OWN}: a notice; breaks below 10 s are none",
              delay_s=60.0, clear_s=10.0),
    Condition("camera_lost", _T, _BED, _MEDIUM, lambda f: f.frame_age_s, "age of the newest frame",
              f"{_OWN}: told within 2 s", Sense.ABOVE, 1.5, "s", (0.5, 60.0), 0.5, clear_s=2.0,
              unknown_limit_s=10.0, escalate_s=120.0),
    Condition("camera_frozen", _T, _BED, _MEDIUM, _frozen, "time without one changed bit",
              f"{_OWN}: a sensor's noise changes every frame", Sense.ABOVE, 5.0, "s", (1.0, 600.0), escalate_s=120.0),
    Condition("view_dark", _T, _BED, _LOW, _luma, "mean brightness (0..255)", _OWN,
              Sense.BELOW, 12.0, "1", (0.0, 255.0), 4.0, delay_s=10.0, clear_s=2.0),
    Condition("view_obstructed", _T, _BED, _LOW, _covered, "view or face covered", _OWN, delay_s=30.0, clear_s=2.0),
    Condition("face_not_found", _T, _BED, _LOW, _face_missing, "no face in a clear view", _OWN,
              delay_s=30.0, clear_s=2.0),
    Condition("hr_unavailable", _T, _BED, _LOW, _heart_rate_missing, "no heart rate of a visible face", _OWN,
              delay_s=60.0, clear_s=5.0),
    Condition("model_failed", _T, _DEVICE, _MEDIUM, lambda f: float(bool(f.health.failed_models)), "a model failed",
              _OWN, clear_s=5.0, escalate_s=300.0),
    Condition("overheated", _T, _DEVICE, _LOW, lambda f: f.health.temperature_c, "temperature of the processor",
              "Raspberry Pi: it throttles from 80 C", Sense.ABOVE, 80.0, "Cel", (40.0, 110.0), 5.0, delay_s=10.0),
    Condition("undervoltage", _T, _DEVICE, _LOW, _undervoltage, "supply voltage too low",
              "Raspberry Pi: get_throttled, bit 0", clear_s=10.0),
    Condition("storage_full", _T, _DEVICE, _MEDIUM, _free_mb, "free storage", _OWN,
              Sense.BELOW, 50.0, "MB", (1.0, 1e6), 10.0, clear_s=10.0, escalate_s=300.0),
    Condition("messages_dropped", _T, _DEVICE, _MEDIUM, _newly_dropped, "messages newly dropped",
              f"{_OWN}: no drop goes unnoticed", clear_s=60.0, latching=True),
    Condition("clock_unsynced", _T, _DEVICE, _LOW, lambda f: float(f.health.clock_source == "unsynced"),
              "wall clock not set", _OWN, delay_s=60.0),
    Condition("broker_unreachable", _T, _DEVICE, _MEDIUM, lambda f: float(not f.health.connected),
              "no connection to the broker", f"{_OWN}: a signal on the device itself", delay_s=10.0, clear_s=10.0),
)  # fmt: skip


def settings_for(alarms: Mapping[str, AlarmSetting]) -> tuple[Condition, ...]:
    """The table with a unit's settings in place of the defaults.

    Raises:
        ConfigError: a condition that does not exist, a limit where none or another is right, or heart rate limits that
            leave no normal between them; all that is wrong, one line each.
    """
    known = {row.name for row in CONDITIONS}
    wrong = [f"alarms.{name}: no such condition; known: {', '.join(sorted(known))}" for name in alarms.keys() - known]
    rows: list[Condition] = []
    for row in CONDITIONS:
        given = alarms.get(row.name, AlarmSetting()).model_dump(exclude_none=True)
        try:
            rows.append(replace(row, **given))
        except ConfigError as error:
            wrong.append(str(error))
    limits = {row.name: row.limit or 0.0 for row in rows}
    if not wrong and limits["hr_low"] + 20.0 > limits["hr_high"]:
        wrong.append(
            f"alarms.hr_low: limit {limits['hr_low']:g} must lie at least 20 /min below that of hr_high,"
            f" {limits['hr_high']:g}"
        )
    if wrong:
        raise ConfigError("\n".join(sorted(wrong)))
    return tuple(rows)
