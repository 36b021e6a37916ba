"""What is believed about the infant: smoothing, hysteresis, dwell, hold and 30-s sleep epochs over observations.

Rules of this file: only observations change anything; `state` is a pure function of them and of the time asked for;
a value that is not confirmed for its hold time becomes unknown with the reason why.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from edgemon.records import (
    Cry,
    Expression,
    Eyes,
    HeartRate,
    Observation,
    PatientState,
    Reading,
    Reason,
    Sleep,
)

EXPRESSION = "expression"
HEART_RATE = "heart_rate"
_VALUE_OF: dict[str, type[Expression] | type[HeartRate]] = {EXPRESSION: Expression, HEART_RATE: HeartRate}
_FACE = "face"

_NOT_THERE = (Reason.NO_FACE, Reason.TURNED_AWAY)  # the view was good, and showed no face
_MAX_KNOWN_SPANS = 64
_MAX_AHEAD_S = 1.0  # capture runs ahead of the frame that is being looked at

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StateSettings:
    """How observations become beliefs.

    A step of the network's probability reaches `eyes` after about 1.7 s and `cry` after about 2.2 s at 4 Hz; an
    eye closure of up to 0.5 s is a blink and is ignored. Epochs and the majority rule follow the AASM infant
    scoring rules (J Clin Sleep Med 2016;12(3):429, PMC4773630), with eyes and cry in place of the EEG.
    """

    tau_s: float = 1.0  # of the exponential mean of logits
    enter: float = 0.7
    leave: float = 0.4
    eyes_dwell_s: float = 0.5
    cry_dwell_s: float = 1.0
    expression_hold_s: float = 5.0
    heart_rate_hold_s: float = 5.0
    face_hold_s: float = 2.0
    face_bridge_s: float = 1.0  # a face that detection misses for less than this has not gone
    min_quality: float = 0.2  # observations below it count as abstentions
    epoch_s: float = 30.0
    epoch_coverage: float = 0.5  # an epoch known for less than this share is unknown
    awake_after_s: float = 10.0  # of open eyes or crying in one piece: awake before the epoch ends
    coverage_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.leave < self.enter < 1:
            raise ValueError(f"leave must be below enter, both within 0..1, got {self.leave} and {self.enter}")
        if not 0 < self.expression_hold_s < self.epoch_s:
            raise ValueError(f"expression_hold_s must be within 0..{self.epoch_s}, got {self.expression_hold_s}")


class StateEstimator:
    """The belief about the infant in one bed; not for use by several threads."""

    def __init__(self, bed: str, settings: StateSettings | None = None) -> None:
        s = self.settings = settings or StateSettings()
        self.bed = bed
        self._newest_s = {EXPRESSION: -math.inf, HEART_RATE: -math.inf, _FACE: -math.inf}
        self._face: _Held[bool] = _Held(s.face_hold_s)
        self._face_true_s = -math.inf
        self._expressed_s = -math.inf
        self._closed = _Switch(s, s.eyes_dwell_s)
        self._crying = _Switch(s, s.cry_dwell_s)
        self._heart_rate: _Held[HeartRate] = _Held(s.heart_rate_hold_s)
        self._epochs = _Epochs(s)
        self._known = _Spans(s.expression_hold_s, s.coverage_s)

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
        off: Reading[float] = Reading(None, Reason.DISABLED, 0.0, now_s, now_s)
        return PatientState(
            bed=self.bed,
            at_s=now_s,
            face=self._face.reading(now_s),
            eyes=_named(eyes, Eyes.CLOSED, Eyes.OPEN),
            sleep=self._epochs.reading(now_s, eyes.reason or cry.reason),
            cry=_named(cry, Cry.CRYING, Cry.QUIET),
            heart_rate=self._heart_rate.reading(now_s),
            pain_cue=off,
            movement=off,
            coverage=self._known.share(now_s),
        )

    def _advance(self, observer: str, at_s: float) -> None:
        if not (math.isfinite(at_s) and at_s >= self._newest_s[observer]):
            raise ValueError(f"{observer} must not go back from {self._newest_s[observer]} s, got {at_s}")
        self._newest_s[observer] = at_s

    def _held_by(self, observer: str) -> tuple[_Held[bool] | _Held[HeartRate], ...]:
        return (self._closed.held, self._crying.held) if observer == EXPRESSION else (self._heart_rate,)

    def _express(self, seen: Expression, quality: float, at_s: float) -> None:
        before_s, self._expressed_s = self._expressed_s, at_s
        for switch, p in ((self._closed, seen.eyes_closed), (self._crying, _cry_of(seen))):
            if p is None:
                switch.held.refuse(Reason.OCCLUDED, at_s)
            else:
                switch.see(p, quality, at_s)
        eyes, cry = self._closed.held.reading(at_s), self._crying.held.reading(at_s)
        if eyes.known:
            self._known.touch(at_s)
        awake_s = max((at_s - r.since_s for r, awake in ((eyes, False), (cry, True)) if r.value is awake), default=None)
        asleep = True if eyes.value is True and cry.value is False else None if awake_s is None else False
        continuous = at_s - before_s <= self.settings.expression_hold_s
        self._epochs.add(before_s if continuous else at_s, at_s, asleep, awake_s or 0.0)


def _cry_of(seen: Expression) -> float | None:
    """A yawn opens the mouth as a cry does: while it is the likelier one, only its doubt speaks for crying."""
    if seen.crying is None or seen.yawning is None or seen.yawning <= seen.crying:
        return seen.crying
    return min(seen.crying, 1.0 - seen.yawning)


class _Held(Generic[T]):
    """The newest value, believed for `hold_s` after it was last confirmed, and after that the reason for its lack."""

    def __init__(self, hold_s: float) -> None:
        self.hold_s = hold_s
        self.value: T | None = None
        self._quality = 0.0
        self._since_s = self._seen_s = self._refused_s = self._reason_since_s = -math.inf
        self._reason = Reason.WARMING_UP

    def alive(self, at_s: float) -> bool:
        """Whether the value still stands."""
        return self.value is not None and at_s - self._seen_s <= self.hold_s

    def confirm(self, value: T, quality: float, at_s: float, since_s: float | None) -> None:
        """See the value now; `since_s` None keeps the start of the unbroken run of such values."""
        flag_changed = isinstance(value, bool) and value is not self.value
        if since_s is not None or flag_changed or not self.alive(at_s):
            self._since_s = at_s if since_s is None else since_s
        self.value, self._quality, self._seen_s = value, quality, at_s

    def refuse(self, reason: Reason, at_s: float) -> None:
        """Learn why there is no value now."""
        first = self._refused_s == -math.inf
        if first or reason is not self._reason or self._seen_s > self._refused_s:
            self._reason_since_s = at_s
        self._reason, self._refused_s = reason, at_s

    def reading(self, now_s: float) -> Reading[T]:
        """The value or the reason, as of `now_s`."""
        if self.alive(now_s):
            return Reading(self.value, None, self._quality, self._since_s, self._seen_s)
        newest_s = max(self._seen_s, self._refused_s)
        if newest_s == -math.inf:
            return Reading(None, Reason.WARMING_UP, 0.0, now_s, now_s)
        if now_s - newest_s > self.hold_s:
            return Reading(None, Reason.STALE, 0.0, newest_s + self.hold_s, newest_s)
        since_s = max(self._reason_since_s, self._seen_s + self.hold_s)
        return Reading(None, self._reason, 0.0, min(since_s, now_s), newest_s)


class _Switch:
    """A probability made a fact: exponential mean of logits, a Schmitt trigger, and a dwell on its output."""

    def __init__(self, settings: StateSettings, dwell_s: float) -> None:
        self.held: _Held[bool] = _Held(settings.expression_hold_s)
        self.seen_s = -math.inf
        self._settings = settings
        self._dwell_s = dwell_s
        self._logit: float | None = None
        self._quality = 0.0
        self._side: bool | None = None
        self._side_since_s = -math.inf

    def see(self, p: float, quality: float, at_s: float) -> None:
        """Take in one probability."""
        s = self._settings
        gap_s = at_s - self.seen_s
        if gap_s > s.expression_hold_s:
            self.held.value = self._side = self._logit = None
        self.seen_s = at_s
        if self._logit is None:
            self._logit, self._quality = _logit(p), quality
        weight = -math.expm1(-gap_s / s.tau_s)
        self._logit += weight * (_logit(p) - self._logit)
        self._quality += weight * (quality - self._quality)
        self._trigger(self._logit, at_s)

    def _trigger(self, logit: float, at_s: float) -> None:
        s = self._settings
        side = True if logit >= _logit(s.enter) else False if logit <= _logit(s.leave) else self._side
        if side is not self._side:
            self._side, self._side_since_s = side, at_s
        settled = side is not None and at_s - self._side_since_s >= self._dwell_s
        if side is not None and settled and side is not self.held.value:
            self.held.confirm(side, self._quality, at_s, self._side_since_s)
        elif self.held.value is None:
            self.held.refuse(Reason.WARMING_UP, at_s)
        else:
            self.held.confirm(self.held.value, self._quality, at_s, None)


@dataclass(frozen=True, slots=True)
class _Epoch:
    """What was seen in one epoch, and, once it is over, its score."""

    index: int
    asleep_s: float = 0.0
    awake_s: float = 0.0
    woke_s: float | None = None  # since when awake, where that came before the epoch's end
    updated_s: float = 0.0
    value: Sleep | None = None
    since_s: float = 0.0


class _Epochs:
    """Sleep scored over epochs that start with the first observation."""

    def __init__(self, settings: StateSettings) -> None:
        self._settings = settings
        self._anchor_s: float | None = None
        self._open = self._done = _Epoch(-1)

    def add(self, from_s: float, to_s: float, asleep: bool | None, awake_for_s: float) -> None:
        """Count the time from one observation to the next as asleep, awake or (None) unknown."""
        if self._anchor_s is None:
            self._anchor_s = to_s
        index = self._index(to_s)
        border_s = self._start(index)
        if index > self._open.index:
            self._tally(max(0.0, border_s - from_s), asleep)
            self._done = self._completed(index - 1)
            self._open = _Epoch(index)
            from_s = max(from_s, border_s)
        self._tally(to_s - from_s, asleep)
        woke = self._open.woke_s is None and asleep is False and awake_for_s >= self._settings.awake_after_s
        self._open = replace(self._open, updated_s=to_s, woke_s=to_s - awake_for_s if woke else self._open.woke_s)

    def reading(self, now_s: float, reason: Reason | None) -> Reading[Sleep]:
        """The last completed epoch's score, or awake where the open epoch already shows it."""
        if self._anchor_s is None:
            return Reading(None, reason or Reason.WARMING_UP, 0.0, now_s, now_s)
        index = self._index(now_s)
        if index == 0 and self._open.woke_s is None:
            return Reading(None, reason or Reason.WARMING_UP, 0.0, self._anchor_s, self._open.updated_s)
        done = self._completed(index - 1)
        if index == self._open.index and self._open.woke_s is not None:
            since_s = done.since_s if done.value is Sleep.AWAKE else self._open.woke_s
            return Reading(Sleep.AWAKE, None, self._share(self._open, now_s), since_s, self._open.updated_s)
        if done.value is None:
            return Reading(None, reason or Reason.GAP, 0.0, done.since_s, done.updated_s)
        return Reading(done.value, None, self._share(done, self._start(index)), done.since_s, done.updated_s)

    def _tally(self, span_s: float, asleep: bool | None) -> None:
        if asleep is True:
            self._open = replace(self._open, asleep_s=self._open.asleep_s + span_s)
        elif asleep is False:
            self._open = replace(self._open, awake_s=self._open.awake_s + span_s)

    def _completed(self, index: int) -> _Epoch:
        """The score of epoch `index`, which lies before the one of the time asked for."""
        if index == self._done.index:
            return self._done
        scored = self._score(self._done, self._open)
        if index == scored.index:
            return scored
        since_s = scored.since_s if scored.value is None else self._start(scored.index + 1)
        return _Epoch(index, since_s=since_s, updated_s=scored.updated_s)

    def _score(self, before: _Epoch, epoch: _Epoch) -> _Epoch:
        known_s = epoch.asleep_s + epoch.awake_s
        value = Sleep.ASLEEP if epoch.asleep_s > epoch.awake_s else Sleep.AWAKE
        if epoch.woke_s is not None:
            value = Sleep.AWAKE  # what was published as awake is not taken back by the majority
        elif known_s < self._settings.epoch_coverage * self._settings.epoch_s:
            return replace(epoch, value=None, since_s=self._since(before, None, self._start(epoch.index)))
        start_s = self._start(epoch.index) if epoch.woke_s is None else epoch.woke_s
        return replace(epoch, value=value, since_s=self._since(before, value, start_s))

    @staticmethod
    def _since(before: _Epoch, value: Sleep | None, start_s: float) -> float:
        return before.since_s if before.index >= 0 and before.value is value else start_s

    def _share(self, epoch: _Epoch, until_s: float) -> float:
        span_s = min(self._settings.epoch_s, until_s - self._start(epoch.index))
        return min(1.0, (epoch.asleep_s + epoch.awake_s) / span_s) if span_s > 0 else 0.0

    def _index(self, at_s: float) -> int:
        assert self._anchor_s is not None
        return math.floor((at_s - self._anchor_s) / self._settings.epoch_s)

    def _start(self, index: int) -> float:
        assert self._anchor_s is not None
        return self._anchor_s + index * self._settings.epoch_s


class _Spans:
    """Which spans of the last `window_s` were known; bounded, as spans less than `hold_s` apart are one."""

    def __init__(self, hold_s: float, window_s: float) -> None:
        self._hold_s = hold_s
        self._window_s = window_s
        self._spans: deque[tuple[float, float]] = deque(maxlen=_MAX_KNOWN_SPANS)

    def touch(self, at_s: float) -> None:
        """Note that it was known at `at_s`."""
        start_s = at_s
        if self._spans and at_s - self._spans[-1][1] <= self._hold_s:
            start_s, _ = self._spans.pop()
        self._spans.append((start_s, at_s))
        while self._spans[0][1] + self._hold_s < at_s - self._window_s:
            self._spans.popleft()

    def share(self, now_s: float) -> float:
        """Known time as a share of the last `window_s`."""
        from_s = now_s - self._window_s
        known = (min(now_s, end + self._hold_s) - max(from_s, start) for start, end in self._spans)
        return min(1.0, sum(max(0.0, span) for span in known) / self._window_s)


def _logit(p: float) -> float:
    """log(p / (1 - p)), bounded at 2 and 98 %: an overconfident network shall not be slow to change its mind."""
    p = min(0.98, max(0.02, p))
    return math.log(p / (1.0 - p))


def _named(fact: Reading[bool], yes: T, no: T) -> Reading[T]:
    value = None if fact.value is None else yes if fact.value else no
    return Reading(value, fact.reason, fact.quality, fact.since_s, fact.updated_s)
