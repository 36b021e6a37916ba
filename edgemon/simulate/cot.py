"""A simulated bed: what a camera would see of an infant, through the daemon's own estimator, alarms and messages.

So states, bouts, summaries and alarms follow from what is seen by the same code as on a device, with its delays,
abstentions, repeats and escalations.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np

from edgemon.config import Cadence
from edgemon.events.conditions import Condition
from edgemon.messages import Composer, Stamp
from edgemon.pipeline import Mind, Seen
from edgemon.records import (
    KEYPOINTS,
    Expression,
    Face,
    HeadSide,
    Health,
    HeartRate,
    LimbMovement,
    Message,
    MotionSummary,
    MovementSummary,
    Observation,
    Pose,
    Reason,
)
from edgemon.simulate.infant import Infant, Spells
from edgemon.states import StateSettings

POSE_EVERY_S: Final = 5.0
MINUTE_S: Final = 60.0
STATES: Final = StateSettings(pose_window_s=5 * POSE_EVERY_S)
FPS: Final = 30.0
_LANDMARKS = np.array([[200, 200], [260, 200], [230, 235], [208, 262], [252, 262]], np.float32)
_JOINTS = np.column_stack([np.linspace(100, 500, len(KEYPOINTS)), np.full(len(KEYPOINTS), 240), np.full(14, 0.9)])


@dataclass(frozen=True, slots=True)
class Trouble:
    """What can be wrong with a camera: how long it lasts in the mean, and its part of all that is wrong."""

    name: str
    lasts_s: float
    part: float


TROUBLES: Final = (
    Trouble("dark", 120.0, 0.25),
    Trouble("obstructed", 90.0, 0.35),
    Trouble("lost", 40.0, 0.25),
    Trouble("frozen", 30.0, 0.15),
)
_HIDES = {"dark": Reason.DARK, "obstructed": Reason.OBSTRUCTED}


def spells_of(rng: Random, now_s: float, trouble: Trouble, faults: float) -> Spells:
    """Spells that are on for the share `faults * part` of the time."""
    share = faults * trouble.part
    return Spells(rng, now_s, *((0.0, 1.0) if share <= 0 else (trouble.lasts_s, trouble.lasts_s * (1 / share - 1))))


class Cot:
    """One bed of a simulated device; `now_s` is the device's monotonic clock and must rise."""

    def __init__(
        self,
        bed: str,
        rng: Random,
        now_s: float,
        *,
        composer: Composer,
        conditions: tuple[Condition, ...],
        id_prefix: str,
        faults: float,
    ) -> None:
        self.bed, self._rng = bed, rng
        self.mind = Mind(bed, Cadence(), conditions, composer, id_prefix, states=STATES)
        self._infant = Infant(rng, now_s)
        self._troubles = {row.name: spells_of(rng, now_s, row, faults) for row in TROUBLES}
        self._posed_s = now_s - rng.random() * POSE_EVERY_S
        self._minute_s = now_s - rng.random() * MINUTE_S
        self.health = Health(at_s=now_s)

    def begin(self, stamp: Stamp, minute_s: float) -> None:
        """Take part in the hour since `stamp` and the minute since `minute_s`: not all beds' hours end at once.

        What that would have told is lost, as the messages of a device before anybody listened.
        """
        self.mind.tick(Health(at_s=stamp.at_s), stamp)
        self.mind.take(Seen(minute_s, None, Reason.WARMING_UP, (self._rate(minute_s, Reason.WARMING_UP),), ()))

    def step(self, stamp: Stamp, device: Health) -> tuple[Message, ...]:
        """Live on to the stamp's time, and tell of it; `device` is how the device itself is."""
        now_s = stamp.at_s
        self._infant.live(now_s)
        wrong = {name for name, spells in self._troubles.items() if spells.at(now_s)}
        self.health = self._health(device, wrong, now_s)
        if "lost" not in wrong:
            self.mind.take(self._see(wrong, now_s))
        return self.mind.tick(self.health, stamp)

    def _health(self, device: Health, wrong: set[str], now_s: float) -> Health:
        lost_s = now_s - self._troubles["lost"].since_s if "lost" in wrong else 0.0
        return Health(
            at_s=now_s,
            frame_age_s=round(lost_s + self._rng.uniform(0.0, 1 / FPS), 3),
            frozen_s=now_s - self._troubles["frozen"].since_s if "frozen" in wrong else 0.0,
            luma=self._rng.gauss(6.0, 0.5) if "dark" in wrong else self._rng.gauss(105.0, 3.0),
            temperature_c=device.temperature_c,
            throttled=device.throttled,
            storage_free_bytes=device.storage_free_bytes,
            connected=device.connected,
            clock_source=device.clock_source,
        )

    def _see(self, wrong: set[str], now_s: float) -> Seen:
        hidden = next((_HIDES[name] for name in _HIDES if name in wrong), None)
        hidden = hidden or (Reason.TURNED_AWAY if self._infant.turned else None)
        quiet = "frozen" not in wrong
        observations = [self._expression(now_s, hidden), self._rate(now_s, hidden or (None if quiet else Reason.GAP))]
        if now_s - self._posed_s >= POSE_EVERY_S:
            self._posed_s = now_s
            observations.append(self._pose(now_s, hidden))
        face = None if hidden else Face(1, (180.0, 160.0, 280.0, 290.0), _LANDMARKS, 0.9, now_s, now_s)
        return Seen(now_s, face, hidden, tuple(observations), (), self._moved(now_s, hidden))

    def _observation(
        self, observer: str, now_s: float, value: Expression | HeartRate | Pose | Reason, quality: float, model: str
    ) -> Observation:
        if isinstance(value, Reason):
            return Observation(self.bed, observer, now_s, None, value, 0.0, model)
        return Observation(self.bed, observer, now_s, value, None, quality, model)

    def _expression(self, now_s: float, hidden: Reason | None) -> Observation:
        infant, rng = self._infant, self._rng
        closed = 0.95 if infant.asleep or infant.crying else 0.06
        seen = Expression(closed + rng.uniform(-0.04, 0.04), 0.93 if infant.crying else 0.05, 0.05)
        return self._observation("expression", now_s, hidden or seen, rng.uniform(0.75, 0.98), "expression@sim")

    def _rate(self, now_s: float, hidden: Reason | None) -> Observation:
        rng, chance = self._rng, self._rng.random()
        if hidden is None and (self._infant.stirring or chance < 0.03):
            hidden = Reason.MOTION if self._infant.stirring else Reason.LOW_SNR
        value = hidden or self._infant.heart_rate()
        return self._observation("heart_rate", now_s, value, min(1.0, max(0.3, rng.gauss(0.8, 0.08))), "pulse@sim")

    def _pose(self, now_s: float, hidden: Reason | None) -> Observation:
        blind = hidden if hidden in _HIDES.values() else None
        pose = Pose(_JOINTS.astype(np.float32), 0.9, self._infant.posture, HeadSide.MIDLINE)
        return self._observation("pose", now_s, blind or pose, 0.9, "pose@sim")

    def _moved(self, now_s: float, hidden: Reason | None) -> MovementSummary | None:
        if now_s - self._minute_s < MINUTE_S:
            return None
        start_s, self._minute_s = self._minute_s, now_s
        rng = self._rng
        busy = rng.betavariate(1.2, 12.0 if self._infant.asleep else 4.0)
        blind = hidden in _HIDES.values()

        def limb() -> LimbMovement:
            return LimbMovement(0.1, None, None) if blind else LimbMovement(0.9, 0.1 + busy, busy)

        motion = MotionSummary(0.02 * busy, 0.01, busy, 0.5, 0.5, 0.1, 0.2, 2.0, 1.2, 0.7)
        return MovementSummary(
            bed=self.bed, start_s=start_s, end_s=now_s, coverage=0.1 if blind else 0.9,
            pose_hz=1 / POSE_EVERY_S, frames_hz=FPS,
            left_arm=limb(), right_arm=limb(), left_leg=limb(), right_leg=limb(),
            index=None if blind else busy, still=None if blind else 1 - busy, position_entropy_bits=None,
            dominant_hz=None, spectral_entropy=None, arms_correlation=None, legs_correlation=None, onsets=None,
            synchrony=None, motion=motion,
        )  # fmt: skip
