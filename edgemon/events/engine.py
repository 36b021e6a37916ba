"""The alarm engine of one bed, or of the device: a pure function of (state, health, time) over the two tables.

A condition is what the predicate says and nothing changes it. An occurrence lives from its start to its end, at most
one per condition. A signal is what acknowledgements and pauses end or quieten. This is not a certified alarm system.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, model_validator

from edgemon.errors import CommandRefused
from edgemon.events.conditions import FRESH_S, Condition, Facts, Scope
from edgemon.events.transitions import ACTIVE, PRESENCE, TRANSITIONS, AlarmState, Input, transition
from edgemon.records import (
    DEVICE_BED,
    Activation,
    AlarmEvent,
    Health,
    Kind,
    PatientState,
    Phase,
    Presence,
    Priority,
)

RESEND_S = 30.0
UNKNOWN_HOLD_S = 60.0
MAX_PAUSE_S = 300.0
MAX_AUDIO_PAUSE_S = 120.0  # ISO 80601-2-61, as cited: two minutes
_MAX_LOG = 256

_RANK = (Priority.LOW, Priority.MEDIUM, Priority.HIGH)
_STANDING = ACTIVE - {AlarmState.LATCHED}  # hysteresis is for these alone: nothing starts within its limits


class SnapshotRow(BaseModel):
    """One condition's occurrence, or only its newest revision where there is none."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    condition: str
    state: AlarmState
    revision: int
    unanswered_since_s: float  # its signal has waited for somebody since then
    event: AlarmEvent | None

    @model_validator(mode="after")
    def _whole(self) -> SnapshotRow:
        if (self.event is not None) != (self.state in ACTIVE):
            raise ValueError(f"{self.condition}: an event belongs to an occurrence, and {self.state} is given")
        return self


class Snapshot(BaseModel):
    """All that a restart must not forget; `model_dump_json` and `model_validate_json` carry it over."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    bed: str
    taken_s: float
    rows: tuple[SnapshotRow, ...]

    @model_validator(mode="after")
    def _past(self) -> Snapshot:
        for row in self.rows:
            event = row.event
            if event and not (math.isfinite(event.onset_s) and event.at_s <= self.taken_s and event.bed == self.bed):
                raise ValueError(f"{row.condition}: an event of {event.bed} at {event.at_s} s is not of this snapshot")
        return self


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line of the alarm log: an alarm's move, or a pause (then without event)."""

    bed: str
    at_s: float
    cause: str  # an Input, not_watched, procedure, audio_pause, resume, procedure_ended or audio_pause_ended
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
    def standing(self) -> bool:
        return self.state in _STANDING


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
        self._procedure_until_s = self._audio_until_s = -math.inf
        self._audio_ceiling = 0  # the rank above which an alarm sounds all the same
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
            CommandRefused: not above 0 and up to 300 s, or an engine without physiological conditions.
        """
        if not any(row.kind is Kind.PHYSIOLOGICAL for row in self._rows.values()):
            raise CommandRefused(f"{self.bed} has no physiological alarms to pause")
        _check_pause(seconds, MAX_PAUSE_S)
        self._advance(now_s)
        self._procedure_until_s = now_s + seconds
        return self._reactivate("procedure", by, seconds)

    def pause_audio(self, seconds: float, now_s: float, by: str) -> tuple[AlarmEvent, ...]:
        """Give no sound, but for alarms of a higher priority than any that is active now (or than low).

        Raises:
            CommandRefused: not above 0 and up to 120 s.
        """
        _check_pause(seconds, MAX_AUDIO_PAUSE_S)
        self._advance(now_s)
        self._audio_until_s = now_s + seconds
        self._audio_ceiling = max((_RANK.index(event.priority) for event in self.active()), default=0)
        return self._reactivate("audio_pause", by, seconds)

    def resume(self, now_s: float, by: str) -> tuple[AlarmEvent, ...]:
        """End both pauses now."""
        self._advance(now_s)
        self._procedure_until_s = self._audio_until_s = -math.inf
        return self._reactivate("resume", by, None)

    def pauses(self, now_s: float) -> Pauses:
        """What is left of the pauses, to be shown as a countdown."""
        return Pauses(max(0.0, self._procedure_until_s - now_s), max(0.0, self._audio_until_s - now_s))

    def active(self) -> tuple[AlarmEvent, ...]:
        """The newest event of every occurrence."""
        return tuple(track.event for track in self._tracks.values() if track.event is not None)

    def drain_log(self) -> tuple[LogRow, ...]:
        """The log's rows since the last call, the newest 256 at most; re-sent events are not among them."""
        rows = tuple(self._log)
        self._log.clear()
        return rows

    def snapshot(self) -> Snapshot:
        """What must survive a restart, as of the last step or command; pauses end with the process."""
        rows = (
            SnapshotRow(
                condition=name,
                state=track.state if track.event else AlarmState.INACTIVE,
                revision=track.revision,
                unanswered_since_s=track.unanswered_s,
                event=track.event,
            )
            for name, track in self._tracks.items()
            if track.revision
        )
        return Snapshot(bed=self.bed, taken_s=max(self._now_s, 0.0), rows=tuple(rows))

    def restore(self, snapshot: Snapshot, now_s: float, *, same_clock: bool = True) -> tuple[AlarmEvent, ...]:
        """Take up where an earlier run stopped, before the first step, which then tells every occurrence again.

        `same_clock` False means that the board was off in between: ages then go on from the snapshot's. Returned are
        the ends of occurrences whose condition is no longer watched.

        Raises:
            ValueError: a snapshot of another bed, or an engine that has already stepped.
        """
        if snapshot.bed != self.bed or math.isfinite(self._now_s):
            raise ValueError(f"a snapshot of {snapshot.bed} cannot be restored into {self.bed} at {self._now_s} s")
        self._advance(now_s)
        shift_s = min(0.0, now_s - snapshot.taken_s) if same_clock else now_s - snapshot.taken_s
        ends: list[AlarmEvent] = []
        for row in snapshot.rows:
            event = row.event and replace(row.event, onset_s=row.event.onset_s + shift_s, at_s=row.event.at_s + shift_s)
            track = _Track(row.state, row.revision, event, unanswered_s=row.unanswered_since_s + shift_s)
            if row.condition in self._tracks:
                track.resend_s = now_s
                self._tracks[row.condition] = track
            elif event is not None:
                end = replace(event, phase=Phase.END, presence=Presence.OFF, revision=row.revision + 1, at_s=now_s)
                self._log.append(LogRow(self.bed, now_s, "not_watched", None, end))
                ends.append(end)
        return tuple(ends)

    def _advance(self, now_s: float) -> None:
        if not (math.isfinite(now_s) and now_s >= self._now_s):
            raise ValueError(f"time must be finite and not go back from {self._now_s} s, got {now_s}")
        for name, until_s in (("procedure", self._procedure_until_s), ("audio_pause", self._audio_until_s)):
            if self._now_s < until_s <= now_s:
                self._log.append(LogRow(self.bed, until_s, f"{name}_ended", None, None))
        self._now_s = now_s

    def _judge(self, row: Condition, facts: Facts) -> Iterator[AlarmEvent]:
        track = self._tracks[row.name]
        value = row.measure(facts)
        track.value = value if value is not None and math.isfinite(value) else None
        told = self._note(row, track)
        for cause in (() if told is None else (told,), self._due(row, track)):
            yield from (event for each in cause if (event := self._feed(row, each, None)) is not None)

    def _note(self, row: Condition, track: _Track) -> Input | None:
        """What the predicate says, and since when; None while it is false for less than the clear time."""
        now_s = self._now_s
        verdict = row.holds(track.value, track.standing)
        if verdict is None:
            track.false_s = None
            track.unknown_s = now_s if track.unknown_s is None else track.unknown_s
            if row.unknown_limit_s is None or now_s - track.unknown_s < row.unknown_limit_s:
                track.true_s = None
                return Input.CONDITION_UNKNOWN
        elif not verdict:
            track.unknown_s = None
            track.false_s = now_s if track.false_s is None else track.false_s
            if now_s - track.false_s < row.clear_s:
                return None
            track.true_s = None
            return Input.CONDITION_FALSE
        else:
            track.false_s = track.unknown_s = None
        track.true_s = now_s if track.true_s is None else track.true_s
        return Input.CONDITION_TRUE

    def _due(self, row: Condition, track: _Track) -> Iterator[Input]:
        """What the clock demands; each is judged only after the one before it was fed."""
        now_s = self._now_s
        waiting = track.state in (AlarmState.PENDING, AlarmState.LATCHED)
        if waiting and track.true_s is not None and track.false_s is None and now_s - track.true_s >= row.delay_s:
            yield Input.DELAY_ELAPSED
        unknown = track.true_s is None and track.unknown_s is not None
        if track.state is AlarmState.ACK and unknown and now_s - (track.unknown_s or 0.0) >= UNKNOWN_HOLD_S:
            yield Input.UNKNOWN_HELD
        if track.event is None:
            return
        if track.event.activation is not self._activation(row, track):
            yield Input.ACTIVATION_CHANGED
        signalled = track.event.activation is Activation.ON
        unanswered = row.escalate_s is not None and now_s - track.unanswered_s >= row.escalate_s
        if track.state is AlarmState.ON and signalled and unanswered:
            yield Input.ESCALATE_DUE
        if now_s >= track.resend_s:
            yield Input.RESEND_DUE

    def _feed(self, row: Condition, cause: Input, by: str | None) -> AlarmEvent | None:
        """Make the table's move, and tell its phase."""
        track = self._tracks[row.name]
        move = transition(track.state, cause, row.latching)
        track.state = move.to
        if move.phase is None:
            return None
        event = self._event(row, track, cause, move.phase)
        if move.phase is not Phase.CONTINUE:
            self._log.append(LogRow(self.bed, self._now_s, cause, by, event))
        track.event = event if track.state in ACTIVE else None
        track.resend_s = self._now_s + RESEND_S
        return event

    def _event(self, row: Condition, track: _Track, cause: Input, phase: Phase) -> AlarmEvent:
        now_s, before = self._now_s, track.event
        if phase is not Phase.CONTINUE:
            track.revision += 1
        activation = self._activation(row, track)
        resumed = before is not None and before.activation is Activation.ALARM_PAUSED is not activation
        if cause is Input.DELAY_ELAPSED or resumed:
            track.unanswered_s = now_s
        delayed_s = now_s - (now_s if track.true_s is None else track.true_s)
        return AlarmEvent(
            bed=self.bed,
            condition=row.name,
            kind=row.kind,
            priority=_priority(row, track.state),
            phase=phase,
            presence=PRESENCE[track.state],
            latching=row.latching,
            alarm_id=before.alarm_id if before else f"{self._id_prefix}/{self.bed}/{row.name}/{track.revision}",
            revision=track.revision,
            onset_s=before.onset_s if before else now_s - delayed_s,
            at_s=now_s,
            value=None if row.limit is None else track.value,
            limit=row.limit,
            unit=row.unit,
            signal_delay_ms=(
                before.signal_delay_ms if before and cause is not Input.DELAY_ELAPSED else round(delayed_s * 1000)
            ),
            activation=activation,
        )

    def _activation(self, row: Condition, track: _Track) -> Activation:
        if row.kind is Kind.PHYSIOLOGICAL and self._now_s < self._procedure_until_s:
            return Activation.ALARM_PAUSED
        rank = _RANK.index(_priority(row, track.state))
        quiet = self._now_s < self._audio_until_s and rank <= self._audio_ceiling
        return Activation.AUDIO_PAUSED if quiet else Activation.ON

    def _reactivate(self, cause: str, by: str, seconds: float | None) -> tuple[AlarmEvent, ...]:
        """Tell of every occurrence whose signals a pause changed."""
        self._log.append(LogRow(self.bed, self._now_s, cause, by, None, seconds))
        changed = [
            row
            for row in self._rows.values()
            if (event := self._tracks[row.name].event)
            and event.activation is not self._activation(row, self._tracks[row.name])
        ]
        fed = (self._feed(row, Input.ACTIVATION_CHANGED, by) for row in changed)
        return tuple(event for event in fed if event is not None)


def _priority(row: Condition, state: AlarmState) -> Priority:
    """Escalation raises the priority by one."""
    rank = _RANK.index(row.priority) + (state is AlarmState.ESCALATED)
    return _RANK[min(rank, len(_RANK) - 1)]


def _check_pause(seconds: float, limit_s: float) -> None:
    if not 0.0 < seconds <= limit_s:
        raise CommandRefused(f"a pause lasts above 0 and up to {limit_s:g} s, got {seconds}")
