"""Bouts of sleep, crying and presence: when each began, that it goes on, and when it ended (pure)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgemon.records import BehaviourEvent, Cry, PatientState, Phase, Sleep

UPDATE_S = 60.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One kind of bout: whether a state is in it (None: unknown), how strongly, and which gaps are bridged.

    A bout that is unknown, or interrupted, for `bridge_s` ends where it was last seen.
    """

    type: str
    within: Callable[[PatientState], bool | None]
    strength: Callable[[PatientState], float]
    bridge_s: float


BEHAVIOURS = (
    Behaviour("sleep", lambda s: None if s.sleep.value is None else s.sleep.value is Sleep.ASLEEP,
              lambda s: s.sleep.quality, 60.0),
    Behaviour("cry", lambda s: None if s.cry.value is None else s.cry.value is Cry.CRYING,
              lambda s: s.cry.quality, 8.0),
    Behaviour("presence", lambda s: s.face.value, lambda s: s.face.quality, 10.0),
)  # fmt: skip


@dataclass(slots=True)
class _Bout:
    event_id: str
    start_s: float
    seen_s: float
    told_s: float
    peak: float


class Bouts:
    """Follows all bouts of one bed; `id_prefix` must differ between starts of the device."""

    def __init__(self, bed: str, id_prefix: str) -> None:
        self.bed, self._id_prefix = bed, id_prefix
        self._open: dict[str, _Bout] = {}
        self._count = 0

    def step(self, state: PatientState) -> tuple[BehaviourEvent, ...]:
        """What began, goes on or ended with this state."""
        events = (self._follow(kind, state) for kind in BEHAVIOURS)
        return tuple(event for event in events if event is not None)

    def _follow(self, kind: Behaviour, state: PatientState) -> BehaviourEvent | None:
        within, bout, now_s = kind.within(state), self._open.get(kind.type), state.at_s
        if bout is None:
            return self._begin(kind, state) if within else None
        if within:
            bout.seen_s, bout.peak = now_s, max(bout.peak, kind.strength(state))
            if now_s - bout.told_s >= UPDATE_S:
                bout.told_s = now_s
                return self._event(kind.type, Phase.UPDATE, bout, now_s)
            return None
        if now_s - bout.seen_s < kind.bridge_s:
            return None
        del self._open[kind.type]
        return self._event(kind.type, Phase.END, bout, now_s)

    def _begin(self, kind: Behaviour, state: PatientState) -> BehaviourEvent:
        self._count += 1
        now_s = state.at_s
        bout = _Bout(
            f"{self._id_prefix}/{self.bed}/{kind.type}/{self._count}", now_s, now_s, now_s, kind.strength(state)
        )
        self._open[kind.type] = bout
        return self._event(kind.type, Phase.START, bout, now_s)

    def _event(self, type_: str, phase: Phase, bout: _Bout, now_s: float) -> BehaviourEvent:
        end_s = bout.seen_s if phase is Phase.END else None
        return BehaviourEvent(self.bed, type_, phase, bout.event_id, bout.start_s, now_s, end_s, bout.peak)
