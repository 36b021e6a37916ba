"""What is told: bouts and their summaries, alarms, and the message that carries any of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from edgemon.records.checks import require
from edgemon.records.words import Activation, Durability, Kind, Phase, Presence, Priority


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
        require(self.phase in (Phase.START, Phase.UPDATE, Phase.END), f"a bout cannot be in phase {self.phase}")
        require((self.end_s is not None) == (self.phase is Phase.END), "end_s belongs to phase end")


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
        require(self.end_s >= self.start_s, f"end_s lies before start_s, got {self.end_s} and {self.start_s}")
        for known_s in (self.asleep_s + self.awake_s, self.crying_s + self.quiet_s):
            require(known_s <= self.end_s - self.start_s + 1e-6, f"{known_s} s known of {self.end_s - self.start_s} s")

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
        require(self.revision >= 1, f"revision must be >= 1, got {self.revision}")
        require(self.onset_s <= self.at_s, "onset_s lies after at_s")


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
        require(self.qos in (0, 1), f"qos must be 0 or 1, got {self.qos}")
        require(not set("+#\0") & set(self.topic) and self.topic != "", f"not a topic to publish to: {self.topic!r}")
