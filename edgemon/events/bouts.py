"""Bouts: spans of sleep, crying, presence and pain cues, short gaps merged; unknown longer than a hold ends them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from edgemon.records import BehaviourEvent, Cry, PatientState, Phase, Reading, Sleep

UPDATE_S = 60.0
PAIN_CUE_FROM = 0.5  # of the seconds; edgemon's choice, and no limit of any clinical scale


@dataclass(frozen=True, slots=True)
class BoutRule:
    """One type of bout: what belongs to it (None: unknown), and the gaps that do not end it.

    `merge_s` is for gaps in which it is known to have stopped, `hold_s` for unknown ones.
    """

    type: str
    reading: Callable[[PatientState], Reading[Sleep] | Reading[Cry] | Reading[bool]]
    value: Sleep | Cry | bool
    merge_s: float
    hold_s: float


def _pain_cue(state: PatientState) -> Reading[bool]:
    """Whether the actions fill most of the window; it begins when they do, not when the share became known."""
    cue = state.pain_cue
    flag = None if cue.value is None else cue.value >= PAIN_CUE_FROM
    return Reading(flag, cue.reason, cue.quality, state.at_s, cue.updated_s)


RULES: tuple[BoutRule, ...] = (
    BoutRule("sleep", lambda state: state.sleep, Sleep.ASLEEP, merge_s=30.0, hold_s=60.0),
    BoutRule("cry", lambda state: state.cry, Cry.CRYING, merge_s=8.0, hold_s=10.0),
    BoutRule("presence", lambda state: state.face, True, merge_s=5.0, hold_s=10.0),
    BoutRule("pain_cue", _pain_cue, True, merge_s=30.0, hold_s=60.0),
)


@dataclass(slots=True)
class _Bout:
    event_id: str
    start_s: float
    seen_s: float  # newest time at which it was known to go on
    told_s: float
    peak: float  # highest quality with which it was seen
    stopped_s: float | None = None  # when it stopped, where that is known

    @property
    def end_s(self) -> float:
        return self.seen_s if self.stopped_s is None else self.stopped_s


class Bouts:
    """The bouts of one bed; `id_prefix` must differ between boots."""

    def __init__(self, bed: str, id_prefix: str) -> None:
        self.bed = bed
        self._id_prefix = id_prefix
        self._open: dict[str, _Bout] = {}
        self._ended_s = {rule.type: -math.inf for rule in RULES}
        self._counts = {rule.type: 0 for rule in RULES}
        self._now_s = -math.inf

    def step(self, state: PatientState) -> tuple[BehaviourEvent, ...]:
        """What began, goes on (told once a minute) or ended: where it is known to have stopped, or was last seen.

        Raises:
            ValueError: the state is of another bed, or older than the last.
        """
        if state.bed != self.bed or not (math.isfinite(state.at_s) and state.at_s >= self._now_s):
            raise ValueError(f"bouts of {self.bed} at {self._now_s} s cannot take {state.bed} at {state.at_s} s")
        self._now_s = state.at_s
        steps = (self._follow(rule, rule.reading(state), state.at_s) for rule in RULES)
        return tuple(event for event in steps if event is not None)

    def finish(self, at_s: float) -> tuple[BehaviourEvent, ...]:
        """End every open bout, when watching ends."""
        now_s = max(at_s, self._now_s)
        return tuple(self._end(rule, self._open[rule.type], now_s) for rule in RULES if rule.type in self._open)

    def _follow(
        self, rule: BoutRule, reading: Reading[Sleep] | Reading[Cry] | Reading[bool], now_s: float
    ) -> BehaviourEvent | None:
        bout = self._open.get(rule.type)
        if reading.value == rule.value:
            return self._begin(rule, reading, now_s) if bout is None else self._go_on(rule, bout, reading, now_s)
        if bout is None:
            return None
        if reading.known and bout.stopped_s is None:
            bout.stopped_s = max(bout.start_s, min(bout.seen_s, reading.since_s))
        gap_s = rule.hold_s if bout.stopped_s is None else rule.merge_s
        return None if now_s - bout.seen_s <= gap_s else self._end(rule, bout, now_s)

    def _begin(
        self, rule: BoutRule, reading: Reading[Sleep] | Reading[Cry] | Reading[bool], now_s: float
    ) -> BehaviourEvent:
        start_s = min(now_s, max(reading.since_s, self._ended_s[rule.type]))
        self._counts[rule.type] += 1
        event_id = f"{self._id_prefix}/{self.bed}/{rule.type}/{self._counts[rule.type]}"
        bout = self._open[rule.type] = _Bout(event_id, start_s, now_s, now_s, reading.quality)
        return self._event(rule, bout, Phase.START, now_s)

    def _go_on(
        self, rule: BoutRule, bout: _Bout, reading: Reading[Sleep] | Reading[Cry] | Reading[bool], now_s: float
    ) -> BehaviourEvent | None:
        bout.seen_s, bout.stopped_s, bout.peak = now_s, None, max(bout.peak, reading.quality)
        if now_s - bout.told_s < UPDATE_S:
            return None
        bout.told_s = now_s
        return self._event(rule, bout, Phase.UPDATE, now_s)

    def _end(self, rule: BoutRule, bout: _Bout, now_s: float) -> BehaviourEvent:
        del self._open[rule.type]
        self._ended_s[rule.type] = bout.end_s
        return self._event(rule, bout, Phase.END, now_s)

    def _event(self, rule: BoutRule, bout: _Bout, phase: Phase, now_s: float) -> BehaviourEvent:
        return BehaviourEvent(
            bed=self.bed,
            type=rule.type,
            phase=phase,
            event_id=bout.event_id,
            start_s=bout.start_s,
            at_s=now_s,
            end_s=bout.end_s if phase is Phase.END else None,
            peak=bout.peak,
        )
