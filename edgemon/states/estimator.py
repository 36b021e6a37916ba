"""The belief about the infant in one bed, from what the observers say and the face that was found."""

from __future__ import annotations

import math
from typing import Final

from edgemon.records import (
    Cry,
    Expression,
    Eyes,
    HeartRate,
    MovementSummary,
    Observation,
    PainLook,
    PatientState,
    Pose,
    Reason,
)
from edgemon.states.body import Body
from edgemon.states.epochs import Epochs
from edgemon.states.held import Held, named
from edgemon.states.pain import PainCue
from edgemon.states.settings import StateSettings
from edgemon.states.spans import Spans
from edgemon.states.switch import Switch

EXPRESSION: Final = "expression"
HEART_RATE: Final = "heart_rate"
PAIN: Final = "pain_cue"
POSE: Final = "pose"
_VALUE_OF: dict[str, type[Expression] | type[HeartRate] | type[PainLook] | type[Pose]] = {
    EXPRESSION: Expression,
    HEART_RATE: HeartRate,
    PAIN: PainLook,
    POSE: Pose,
}
_FACE, _MOVEMENT = "face", "movement"

_NOT_THERE = (Reason.NO_FACE, Reason.TURNED_AWAY)  # the view was good, and showed no face
_MAX_AHEAD_S = 1.0  # capture runs ahead of the frame that is being looked at


class StateEstimator:
    """The belief about the infant in one bed; not for use by several threads."""

    def __init__(self, bed: str, settings: StateSettings | None = None) -> None:
        s = self.settings = settings or StateSettings()
        self.bed = bed
        self._newest_s = dict.fromkeys((*_VALUE_OF, _FACE, _MOVEMENT), -math.inf)
        self._face: Held[bool] = Held(s.face_hold_s)
        self._face_true_s = -math.inf
        self._expressed_s = -math.inf
        self._closed = Switch(s.eyes, s.expression_hold_s)
        self._crying = Switch(s.cry, s.expression_hold_s)
        self._heart_rate: Held[HeartRate] = Held(s.heart_rate_hold_s)
        self._epochs = Epochs(s)
        self._pain = PainCue(s)
        self._pain_looks = PainCue(s, columns=1)
        self._body = Body(s)
        self._known = Spans(s.expression_hold_s, s.coverage_s)

    def observe(self, obs: Observation) -> None:
        """Take in what one observer saw.

        Raises:
            ValueError: another bed, an unknown observer, a value of the wrong kind, or a time that is not finite or
                lies before the observer's last; nothing is changed. The same time twice is accepted.
        """
        kind = _VALUE_OF.get(obs.observer)
        if kind is None:
            raise ValueError(f"unknown observer {obs.observer!r}; known: {', '.join(_VALUE_OF)}")
        if obs.bed != self.bed or not isinstance(obs.value, kind | None):
            raise ValueError(f"{obs.observer} of bed {self.bed} cannot take {obs.value!r} of bed {obs.bed}")
        self._advance(obs.observer, obs.captured_s)
        good = obs.quality >= self.settings.min_quality
        reason = obs.reason or (None if good else Reason.LOW_SNR)
        if isinstance(obs.value, Expression) and reason is None:
            self._express(obs.value, obs.quality, obs.captured_s)
        elif isinstance(obs.value, HeartRate) and reason is None:
            self._heart_rate.confirm(obs.value, obs.quality, obs.captured_s, None)
        elif isinstance(obs.value, PainLook) and reason is None:
            self._pain_looks.look((float(obs.value.present),), obs.captured_s)
        elif isinstance(obs.value, Pose) and reason is None:
            self._body.see(obs.value, obs.quality, obs.captured_s)
        elif reason is not None:
            for held in self._held_by(obs.observer):
                held.refuse(reason, obs.captured_s)

    def face(self, present: bool, quality: float, reason: Reason | None, at_s: float) -> None:
        """Take in whether the face was found in the frame of `at_s`.

        Not present for no reason, for `no_face` or `turned_away` means that the view was good and showed no face: the
        reading is False. Any other reason (`dark`, `obstructed`, `no_frame`, `model_failed`) makes it unknown.

        Raises:
            ValueError: quality outside 0..1, or a time that is not finite or lies before the last.
        """
        if not 0.0 <= quality <= 1.0:
            raise ValueError(f"quality must be within 0..1, got {quality}")
        self._advance(_FACE, at_s)
        if present:
            self._face_true_s = at_s
            self._face.confirm(True, quality, at_s, None)
        elif at_s - self._face_true_s <= self.settings.face_bridge_s:
            return
        elif reason is None or reason in _NOT_THERE:
            self._face.confirm(False, quality, at_s, None)
        else:
            self._face.refuse(reason, at_s)

    def movement(self, minute: MovementSummary) -> None:
        """Take in how the infant moved in a minute.

        Raises:
            ValueError: another bed, or a minute that ends before the last one did.
        """
        if minute.bed != self.bed:
            raise ValueError(f"bed {self.bed} cannot take the movement of bed {minute.bed}")
        self._advance(_MOVEMENT, minute.end_s)
        self._body.moved(minute)

    def state(self, now_s: float) -> PatientState:
        """What is believed at `now_s`, or at the newest observation where that is a little later; changes nothing.

        Raises:
            ValueError: `now_s` is not finite or lies more than 1 s before the newest observation.
        """
        newest_s = max(self._newest_s.values())
        if not (math.isfinite(now_s) and now_s >= newest_s - _MAX_AHEAD_S):
            raise ValueError(f"now_s must be finite and not before the newest observation {newest_s}, got {now_s}")
        now_s = max(now_s, newest_s)
        eyes = self._closed.held.reading(now_s)
        cry = self._crying.held.reading(now_s)
        pain = self._pain_looks if self._newest_s[PAIN] > -math.inf else self._pain
        return PatientState(
            bed=self.bed,
            at_s=now_s,
            face=self._face.reading(now_s),
            eyes=named(eyes, Eyes.CLOSED, Eyes.OPEN),
            sleep=self._epochs.reading(now_s, eyes.reason or cry.reason),
            cry=named(cry, Cry.CRYING, Cry.QUIET),
            heart_rate=self._heart_rate.reading(now_s),
            pain_cue=pain.reading(now_s),
            movement=self._body.movement(now_s),
            coverage=self._known.share(now_s),
            pain_actions=self._pain.actions(now_s, pain.coverage(now_s)),
            posture=self._body.posture(now_s),
            head_side=self._body.head_side(now_s),
        )

    def _advance(self, observer: str, at_s: float) -> None:
        if not (math.isfinite(at_s) and at_s >= self._newest_s[observer]):
            raise ValueError(f"{observer} must not go back from {self._newest_s[observer]} s, got {at_s}")
        self._newest_s[observer] = at_s

    def _held_by(self, observer: str) -> tuple[Held[bool] | Held[HeartRate] | PainCue | Body, ...]:
        if observer == EXPRESSION:
            return (self._closed.held, self._crying.held, self._pain)
        if observer == POSE:
            return (self._body,)
        return (self._heart_rate,) if observer == HEART_RATE else (self._pain_looks,)

    def _express(self, seen: Expression, quality: float, at_s: float) -> None:
        before_s, self._expressed_s = self._expressed_s, at_s
        for switch, p in ((self._closed, seen.eyes_closed), (self._crying, _cry_of(seen))):
            if p is None:
                switch.held.refuse(Reason.OCCLUDED, at_s)
            else:
                switch.see(p, quality, at_s)
        self._pain.see(seen, at_s)
        eyes, cry = self._closed.held.reading(at_s), self._crying.held.reading(at_s)
        if eyes.known and seen.eyes_closed is not None:
            self._known.touch(at_s)
        asleep = True if eyes.value is True and cry.value is False else None
        since = []
        for fact, awake, after_s in (
            (eyes, False, self.settings.awake_open_s),
            (cry, True, self.settings.awake_crying_s),
        ):
            if fact.value is awake:
                asleep = False
                since += [fact.since_s] if at_s - fact.since_s >= after_s else []
        continuous = at_s - before_s <= self.settings.expression_hold_s
        self._epochs.add(before_s if continuous else at_s, at_s, asleep, min(since, default=None))


def _cry_of(seen: Expression) -> float | None:
    """A yawn opens the mouth as a cry does: while it is the likelier one, only its doubt speaks for crying."""
    if seen.crying is None or seen.yawning is None or seen.yawning <= seen.crying:
        return seen.crying
    return min(seen.crying, 1.0 - seen.yawning)
