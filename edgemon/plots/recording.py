"""What one bed's recording said over time: what a picture of it is drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from edgemon.messages import payloads as p
from edgemon.movement import MotionMeter
from edgemon.movement.body import VISIBLE
from edgemon.records import Frame, Message, Motion, Observation, Pose

LANES: Final = ("sleep", "cry", "eyes", "posture")


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when one thing was believed."""

    start_s: float
    end_s: float
    value: str


@dataclass(frozen=True, slots=True)
class Rate:
    """A heart rate, or none, and how far it can be trusted."""

    at_s: float
    bpm: float | None
    quality: float


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One bed from 0 to `seconds`; times increase in each series, and spans do not overlap in each lane."""

    title: str
    seconds: float
    poses: tuple[tuple[float, Pose], ...]
    lanes: dict[str, tuple[Span, ...]]  # by the names of LANES
    rates: tuple[Rate, ...]
    motion: tuple[Motion, ...]
    visible: float = VISIBLE  # score from which a joint is seen


@dataclass(slots=True)
class Recorder:
    """Listens to a replay of one bed."""

    bed: str
    title: str
    meter: MotionMeter = field(default_factory=MotionMeter)
    visible: float = VISIBLE
    _seconds: float = 0.0
    _poses: list[tuple[float, Pose]] = field(default_factory=list)
    _told: dict[str, list[tuple[float, str | None]]] = field(default_factory=lambda: {name: [] for name in LANES})
    _rates: list[Rate] = field(default_factory=list)
    _motion: list[Motion] = field(default_factory=list)

    def see(self, frame: Frame, observations: Sequence[Observation]) -> None:
        """Take in the next frame and what was seen of it."""
        self._seconds = max(self._seconds, frame.captured_s)
        motion = self.meter.add(frame.image, frame.captured_s)
        self._poses += [(one.captured_s, one.value) for one in observations if isinstance(one.value, Pose)]
        if motion is not None:
            self._motion.append(motion)

    def hear(self, message: Message) -> None:
        """Take in one message of this bed; others' are left out."""
        payload = message.payload
        if isinstance(payload, p.State) and payload.bed == self.bed:
            for name, told in self._told.items():
                value = getattr(payload, name).value
                told.append((payload.mono_ms / 1000, None if value is None else str(value)))
        if isinstance(payload, p.HeartRateVital) and payload.bed == self.bed:
            rate = payload.heart_rate
            self._rates.append(Rate(payload.mono_ms / 1000, rate.value, rate.quality))

    def recording(self) -> Recording:
        """All of it so far."""
        lanes = {name: spans(told, self._seconds) for name, told in self._told.items()}
        poses, rates, motion = tuple(self._poses), tuple(self._rates), tuple(self._motion)
        return Recording(self.title, self._seconds, poses, lanes, rates, motion, self.visible)


def spans(told: list[tuple[float, str | None]], end_s: float) -> tuple[Span, ...]:
    """Values told at increasing times, each until the next, as spans; None, which is unknown, makes none."""
    until = [start_s for start_s, _ in told[1:]] + [end_s] * bool(told)
    return joined(Span(a, b, value) for (a, value), b in zip(told, until, strict=True) if value is not None)


def joined(parts: Iterable[Span]) -> tuple[Span, ...]:
    """The same, with those that touch and say the same as one; none is empty."""
    found: list[Span] = []
    for part in parts:
        before = found[-1] if found else None
        if before is not None and before.value == part.value and before.end_s == part.start_s:
            found[-1] = Span(before.start_s, part.end_s, part.value)
        elif part.end_s > part.start_s:
            found.append(part)
    return tuple(found)
