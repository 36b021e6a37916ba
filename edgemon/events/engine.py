"""The alarm engine of one bed, or of the device: a pure function of (state, health, time) over the two tables.

A condition is what the predicate says and nothing changes it. An occurrence lives from its start to its end, at most
one per condition. A signal is what acknowledgements and pauses end or quieten. This is not a certified alarm system.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict

from edgemon.errors import CommandRefused
from edgemon.events.conditions import FRESH_S, Condition, Facts, Scope
from edgemon.events.transitions import PRESENCE, TRANSITIONS, AlarmState, Input, transition
from edgemon.records import (
    DEVICE_BED,
    Activation,
    AlarmEvent,
    Health,
    Kind,
    PatientState,
    Phase,
    Priority,
)

RESEND_S = 30.0
UNKNOWN_HOLD_S = 60.0
MAX_PAUSE_S = 300.0
MAX_AUDIO_PAUSE_S = 120.0  # ISO 80601-2-61, as cited: two minutes
_MAX_LOG = 256

_RANK = (Priority.LOW, Priority.MEDIUM, Priority.HIGH)
_STANDING = (AlarmState.PENDING, AlarmState.ON, AlarmState.ESCALATED, AlarmState.ACK)


class SnapshotRow(BaseModel):
    """One condition's occurrence, or only its newest revision where there is none."""

    model_config = ConfigDict(frozen=True)

    condition: str
    state: AlarmState
    revision: int
    unanswered_since_s: float
    event: AlarmEvent | None


class Snapshot(BaseModel):
    """All that a restart must not forget; `model_dump_json` and `model_validate_json` carry it over."""

    model_config = ConfigDict(frozen=True)

    bed: str
    taken_s: float
    rows: tuple[SnapshotRow, ...]


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line of the alarm log: an alarm's move, or a pause (then without event)."""

    bed: str
    at_s: float
    cause: str  # an Input, "procedure", "audio_pause", "resume" or "pause_ended"
    by: str | None
    event: AlarmEvent | None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds that are left of each pause; 0 where there is none."""

    procedure_s: float
    audio_s: float


@dataclass(slots=True)
class _Track:
    """One condition's place in the table, and since when its predicate says what it says."""

    state: AlarmState = AlarmState.INACTIVE
    revision: int = 0
    event: AlarmEvent | None = None  # the newest of the occurrence
    value: float | None = None
    true_s: float | None = None
    false_s: float | None = None
    unknown_s: float | None = None
    unanswered_s: float = 0.0  # since when a signal waits for somebody
    resend_s: float = math.inf

    @property
    def active(self) -> bool:
        return self.state in PRESENCE and self.state is not AlarmState.INACTIVE

    @property
    def standing(self) -> bool:
        return self.state in _STANDING or self.true_s is not None


@dataclass(frozen=True, slots=True)
class _Pause:
    until_s: float
    ceiling: int  # the rank above which an alarm is signalled all the same


class AlarmEngine:
    """All alarms of one bed (or of `_device`); not for use by several threads.

    Rows of the other scope and those that are not enabled are left out. `id_prefix` must differ between boots: an
    alarm's id is prefix/bed/condition/first revision, and revisions never start again while snapshots are restored.
    """

    def __init__(self, bed: str, conditions: Iterable[Condition], id_prefix: str) -> None:
        scope = Scope.DEVICE if bed == DEVICE_BED else Scope.BED
        self.bed = bed
        self._id_prefix = id_prefix
        self._rows = {row.name: row for row in conditions if row.enabled and row.scope is scope}
        self._tracks = {name: _Track() for name in self._rows}
        self._before: Health | None = None
        self._now_s = -math.inf
        self._procedure = self._audio = _Pause(-math.inf, 0)
        self._log: deque[LogRow] = deque(maxlen=_MAX_LOG)

    def step(self, state: PatientState | None, health: Health, now_s: float) -> tuple[AlarmEvent, ...]:
        """Judge every condition once; what changed, and what is due to be told again, oldest condition row first.

        A state older than 2 s is no state.

        Raises:
            ValueError: `now_s` is not finite or lies before the last, or the state is of another bed.
        """
        if state is not None and state.bed != self.bed:
            raise ValueError(f"the state of bed {state.bed} was given to the alarms of {self.bed}")
        self._advance(now_s)
        fresh = state if state is not None and now_s - state.at_s <= FRESH_S else None
        facts = Facts(now_s, fresh, health, self._before)
        self._before = health
        return tuple(event for row in self._rows.values() for event in self._judge(row, facts))

    def acknowledge(self, condition: str, revision: int, now_s: float, by: str) -> AlarmEvent:
        """End the signal of this occurrence; the condition stays, unless it had gone and was latched.

        Raises:
            CommandRefused: no such condition here, not active, already acknowledged, or not the newest revision.
        """
        row = self._rows.get(condition)
        if row is None:
            raise CommandRefused(f"{self.bed} has no alarm {condition!r}; known: {', '.join(sorted(self._rows))}")
        track = self._tracks[condition]
        if (track.state, Input.ACKNOWLEDGE) not in TRANSITIONS:
            raise CommandRefused(f"{condition} cannot be acknowledged: it is {track.state}")
        if revision != track.revision:
            raise CommandRefused(f"{condition} is at revision {track.revision}, not {revision}: look again")
        self._advance(now_s)
        event = self._feed(row, Input.ACKNOWLEDGE, by)
        assert event is not None
        return event

    def pause(self, seconds: float, now_s: float, by: str) -> tuple[AlarmEvent, ...]:
        """Give no signal of physiological alarms during a procedure; technical ones go on, and so do all conditions.

        Raises:
            CommandRefused: not within 0..300 s, or an engine without physiological conditions.
        """
        if not any(row.kind is Kind.PHYSIOLOGICAL for row in self._rows.values()):
            raise CommandRefused(f"{self.bed} has no physiological alarms to pause")
        self._advance(now_s, seconds, MAX_PAUSE_S)
        self._procedure = _Pause(now_s + seconds, len(_RANK))
        return self._reactivate("procedure", by, seconds)

    def pause_audio(self, seconds: float, now_s: float, by: str) -> tuple[AlarmEvent, ...]:
        """Give no sound, but for alarms of a higher priority than any that is active now.

        Raises:
            CommandRefused: not within 0..120 s.
        """
        self._advance(now_s, seconds, MAX_AUDIO_PAUSE_S)
        active = (_RANK.index(event.priority) for event in self.active())
        self._audio = _Pause(now_s + seconds, max(active, default=0))
        return self._reactivate("audio_pause", by, seconds)

    def resume(self, now_s: float, by: str) -> tuple[AlarmEvent, ...]:
        """End both pauses now."""
        self._advance(now_s)
        self._procedure = self._audio = _Pause(-math.inf, 0)
        return self._reactivate("resume", by, None)

    def pauses(self, now_s: float) -> Pauses:
        """What is left of the pauses, to be shown as a countdown."""
        return Pauses(max(0.0, self._procedure.until_s - now_s), max(0.0, self._audio.until_s - now_s))

    def active(self) -> tuple[AlarmEvent, ...]:
        """The newest event of every occurrence."""
        return tuple(track.event for track in self._tracks.values() if track.active and track.event is not None)

    def drain_log(self) -> tuple[LogRow, ...]:
        """The log's rows since the last call, the newest 256 at most; re-sent events are not among them."""
        rows = tuple(self._log)
        self._log.clear()
        return rows

    def snapshot(self) -> Snapshot:
        """What must survive a restart, as of the last step or command."""
        rows = (
            SnapshotRow(
                condition=name,
                state=track.state if track.active else AlarmState.INACTIVE,
                revision=track.revision,
                unanswered_since_s=track.unanswered_s,
                event=track.event if track.active else None,
            )
            for name, track in self._tracks.items()
            if track.revision
        )
        taken_s = self._now_s if math.isfinite(self._now_s) else 0.0
        return Snapshot(bed=self.bed, taken_s=taken_s, rows=tuple(rows))

    def restore(self, snapshot: Snapshot, now_s: float, *, same_clock: bool = True) -> None:
        """Take up where an earlier run stopped; every active alarm is told again at the next step.

        `same_clock` False means that the board was off in between: times then count from the snapshot's.
        """
        shift_s = 0.0 if same_clock else now_s - snapshot.taken_s
        for kept in snapshot.rows:
            track = self._tracks.get(kept.condition)
            if track is None:
                continue
            track.revision = kept.revision
            if kept.event is not None:
                onset_s = min(kept.event.onset_s + shift_s, now_s)
                track.state, track.true_s = kept.state, onset_s
                track.event = replace(kept.event, onset_s=onset_s, at_s=min(kept.event.at_s + shift_s, now_s))
                track.unanswered_s, track.resend_s = kept.unanswered_since_s + shift_s, now_s

    def _advance(self, now_s: float, seconds: float = 1.0, longest_s: float = math.inf) -> None:
        if not 0 < seconds <= longest_s:
            raise CommandRefused(f"a pause takes more than 0 and at most {longest_s:g} s, got {seconds:g}")
        if not (math.isfinite(now_s) and now_s >= self._now_s):
            raise ValueError(f"now_s must be finite and not before {self._now_s}, got {now_s}")
        self._now_s = now_s

    def _judge(self, row: Condition, facts: Facts) -> Iterator[AlarmEvent]:
        for cause in self._causes(row, facts):
            event = self._feed(row, cause)
            if event is not None:
                yield event

    def _causes(self, row: Condition, facts: Facts) -> Iterator[Input]:
        """What happens to one alarm in this step, each as the last one left it."""
        track, now_s = self._tracks[row.name], facts.now_s
        yield self._predicate(row, track, facts)
        unknown_for_s = 0.0 if track.unknown_s is None or track.true_s is not None else now_s - track.unknown_s
        if track.state is AlarmState.ACK and unknown_for_s >= UNKNOWN_HOLD_S:
            yield Input.UNKNOWN_HELD
        waiting = track.state in (AlarmState.PENDING, AlarmState.LATCHED)
        if waiting and track.true_s is not None and now_s - track.true_s >= row.delay_s:
            yield Input.DELAY_ELAPSED
        yield from self._signals(row, track, now_s)

    def _predicate(self, row: Condition, track: _Track, facts: Facts) -> Input:
        now_s = facts.now_s
        value = row.measure(facts)
        told = row.holds(value, track.standing)
        if told is None:
            track.unknown_s = now_s if track.unknown_s is None else track.unknown_s
            if row.unknown_limit_s is None or now_s - track.unknown_s < row.unknown_limit_s:
                track.true_s = track.false_s = None
                return Input.CONDITION_UNKNOWN
            told = True
        else:
            track.unknown_s = None
        track.value = value
        if told:
            track.true_s, track.false_s = now_s if track.true_s is None else track.true_s, None
            return Input.CONDITION_TRUE
        track.false_s = now_s if track.false_s is None else track.false_s
        if now_s - track.false_s < row.clear_s and track.state is not AlarmState.INACTIVE:
            return Input.CONDITION_TRUE  # a break shorter than the clear time is none
        track.true_s = None
        return Input.CONDITION_FALSE

    def _signals(self, row: Condition, track: _Track, now_s: float) -> Iterator[Input]:
        if track.active and track.event is not None and track.event.activation is not self._activation(row):
            yield Input.ACTIVATION_CHANGED
        audible = self._activation(row) is Activation.ON
        overdue = row.escalate_s is not None and now_s - track.unanswered_s >= row.escalate_s
        if track.state is AlarmState.ON and overdue and audible:
            yield Input.ESCALATE_DUE
        if track.active and now_s >= track.resend_s:
            yield Input.RESEND_DUE

    def _activation(self, row: Condition) -> Activation:
        if self._now_s < self._procedure.until_s and row.kind is Kind.PHYSIOLOGICAL:
            return Activation.ALARM_PAUSED
        if self._now_s < self._audio.until_s and _RANK.index(row.priority) <= self._audio.ceiling:
            return Activation.AUDIO_PAUSED
        return Activation.ON

    def _reactivate(self, cause: str, by: str, seconds: float | None) -> tuple[AlarmEvent, ...]:
        self._log.append(LogRow(self.bed, self._now_s, cause, by, None, seconds))
        changed = (
            self._feed(row, Input.ACTIVATION_CHANGED, by)
            for name, row in self._rows.items()
            if (track := self._tracks[name]).active
            and track.event is not None
            and track.event.activation is not self._activation(row)
        )
        return tuple(event for event in changed if event is not None)

    def _feed(self, row: Condition, cause: Input, by: str | None = None) -> AlarmEvent | None:
        """Make the table's move and tell it, where it is to be told."""
        track = self._tracks[row.name]
        move = transition(track.state, cause, row.latching)
        track.state = move.to
        if move.phase is None:
            return None
        if move.phase is not Phase.CONTINUE:
            track.revision += 1
        if move.phase is Phase.START or cause is Input.DELAY_ELAPSED:
            track.unanswered_s = self._now_s
        event = self._event(row, track, move.phase)
        track.event = event if track.active else None
        track.resend_s = self._now_s + RESEND_S
        if move.phase is not Phase.CONTINUE:
            self._log.append(LogRow(self.bed, self._now_s, cause, by, event))
        return event

    def _event(self, row: Condition, track: _Track, phase: Phase) -> AlarmEvent:
        now_s, standing = self._now_s, track.event
        begun_s = now_s if track.true_s is None else min(track.true_s, now_s)
        escalated = track.state is AlarmState.ESCALATED
        return AlarmEvent(
            bed=self.bed,
            condition=row.name,
            kind=row.kind,
            priority=_RANK[min(_RANK.index(row.priority) + escalated, len(_RANK) - 1)],
            phase=phase,
            presence=PRESENCE[track.state],
            latching=row.latching,
            alarm_id=standing.alarm_id if standing else f"{self._id_prefix}/{self.bed}/{row.name}/{track.revision}",
            revision=track.revision,
            onset_s=standing.onset_s if standing else begun_s,
            at_s=now_s,
            value=track.value,
            limit=row.limit,
            unit=row.unit,
            signal_delay_ms=standing.signal_delay_ms if standing else round(1000 * (now_s - begun_s)),
            activation=self._activation(row),
        )
