"""Every hour, what the last hour and the last day held: sleep, awakenings and crying, and how much of it was seen."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from edgemon.events.bouts import RULES
from edgemon.records import BehaviourEvent, BehaviourSummary, Cry, PatientState, Phase, Sleep

HOUR_S: Final = 3600.0
HOURS: Final = 24
STEP_UP_TO_S: Final = 5.0  # a state says nothing of a longer time after it
_MAX_BOUTS: Final = 5000
_SUMMED: Final = {rule.type: rule for rule in RULES if rule.type in ("sleep", "cry")}


@dataclass(slots=True)
class _Tally:
    """Seconds of one hour by what was believed in them; what is in none of them was unknown."""

    start_s: float
    end_s: float = 0.0
    seconds: dict[Sleep | Cry, float] = field(default_factory=lambda: dict.fromkeys((*Sleep, *Cry), 0.0))
    awakenings: int = 0


class Summaries:
    """The hours of one bed, from its first state on; memory is bounded."""

    def __init__(self, bed: str) -> None:
        self.bed = bed
        self._hour: _Tally | None = None
        self._day: deque[_Tally] = deque(maxlen=HOURS)
        self._before: PatientState | None = None
        self._slept: Sleep | None = None  # the newest known
        self._open: dict[str, tuple[float, float]] = {}  # type -> start, and when it was last known to go on
        self._over: deque[tuple[str, float, float]] = deque(maxlen=_MAX_BOUTS)

    def step(self, state: PatientState, events: Sequence[BehaviourEvent]) -> tuple[BehaviourSummary, ...]:
        """Take in a state and the bouts' events of that moment; the hour and the day when an hour is over.

        Raises:
            ValueError: the state is of another bed, or older than the last.
        """
        before, now_s = self._before, state.at_s
        last_s = before.at_s if before else -math.inf
        if state.bed != self.bed or not (math.isfinite(now_s) and now_s >= last_s):
            raise ValueError(f"summaries of {self.bed} at {last_s} s cannot take {state.bed} at {now_s} s")
        if self._hour is None:
            self._hour = _Tally(now_s)
        if before is not None and now_s - last_s <= STEP_UP_TO_S:
            for value in (before.sleep.value, before.cry.value):
                if value is not None:
                    self._hour.seconds[value] += now_s - last_s
        self._hour.awakenings += self._slept is Sleep.ASLEEP and state.sleep.value is Sleep.AWAKE
        self._slept = state.sleep.value or self._slept
        self._follow(state, events)
        self._before = state
        return self._close(now_s) if now_s - self._hour.start_s >= HOUR_S else ()

    def finish(self, at_s: float) -> tuple[BehaviourSummary, ...]:
        """What the hour that has begun holds so far, and the day with it, when watching ends."""
        if self._hour is None or self._before is None:
            return ()
        return self._close(max(at_s, self._before.at_s))

    def _follow(self, state: PatientState, events: Iterable[BehaviourEvent]) -> None:
        for event in events:
            if event.type in _SUMMED and event.phase is Phase.END and event.end_s is not None:
                self._open.pop(event.type, None)
                self._over.append((event.type, event.start_s, event.end_s))
            elif event.type in _SUMMED:
                self._open[event.type] = (event.start_s, event.at_s)
        for kind, (start_s, _) in self._open.items():
            rule = _SUMMED[kind]
            if rule.reading(state).value == rule.value:
                self._open[kind] = (start_s, state.at_s)

    def _close(self, now_s: float) -> tuple[BehaviourSummary, ...]:
        assert self._hour is not None
        self._hour.end_s = now_s
        self._day.append(self._hour)
        summaries = (self._sum("hour", [self._hour]), self._sum("day", list(self._day)))
        self._hour = _Tally(now_s)
        while self._over and self._over[0][2] < self._day[0].start_s:
            self._over.popleft()
        return summaries

    def _sum(self, period: Literal["hour", "day"], hours: list[_Tally]) -> BehaviourSummary:
        start_s = hours[0].start_s
        seconds = {value: sum(hour.seconds[value] for hour in hours) for value in (*Sleep, *Cry)}
        bouts = [*self._over, *((kind, *span) for kind, span in self._open.items())]
        within = {
            kind: [
                end_s - max(start_s, began_s) for type_, began_s, end_s in bouts if type_ == kind and end_s > start_s
            ]
            for kind in _SUMMED
        }
        return BehaviourSummary(
            bed=self.bed,
            period=period,
            start_s=start_s,
            end_s=hours[-1].end_s,
            asleep_s=seconds[Sleep.ASLEEP],
            awake_s=seconds[Sleep.AWAKE],
            crying_s=seconds[Cry.CRYING],
            quiet_s=seconds[Cry.QUIET],
            awakenings=sum(hour.awakenings for hour in hours),
            sleep_bouts=len(within["sleep"]),
            longest_sleep_s=max(within["sleep"], default=0.0),
            cry_bouts=len(within["cry"]),
            longest_cry_s=max(within["cry"], default=0.0),
        )
