"""The two alarm tables cell by cell, the engine move by move, and the laws that no course of events may break."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgemon.config import AlarmSetting
from edgemon.errors import CommandRefused, ConfigError, IllegalTransition
from edgemon.events.conditions import CONDITIONS, Condition, Facts, Scope, settings_for
from edgemon.events.describe import markdown
from edgemon.events.engine import AlarmEngine, Snapshot
from edgemon.events.transitions import ACTIVE, LATCHING, PRESENCE, TRANSITIONS, AlarmState, Input, transition
from edgemon.records import (
    DEVICE_BED,
    Activation,
    AlarmEvent,
    Cry,
    Eyes,
    Health,
    HeartRate,
    Kind,
    PatientState,
    Phase,
    Presence,
    Priority,
    Reading,
    Reason,
    Sleep,
)

BED = "cot-1"
DOCS = Path(__file__).resolve().parent.parent / "docs" / "alarms.md"
REMAKE = "from edgemon.events.describe import markdown; print(markdown(), end='')"


def told(value: object, at_s: float, reason: Reason = Reason.LOW_SNR) -> Reading:
    return Reading(value, None if value is not None else reason, 0.5 if value is not None else 0.0, at_s, at_s)


def infant(
    at_s: float,
    bpm: float | None = 140.0,
    cry: Cry | None = Cry.QUIET,
    face: bool | Reason = True,
    eyes: Eyes | Reason = Eyes.OPEN,
) -> PatientState:
    seen = told(None, at_s, face) if isinstance(face, Reason) else told(face, at_s)
    lids = told(None, at_s, eyes) if isinstance(eyes, Reason) else told(eyes, at_s)
    pulse = told(None if bpm is None else HeartRate(bpm, 10.0, "rPPG-POS"), at_s)
    off = told(None, at_s, Reason.DISABLED)
    return PatientState(
        BED,
        at_s,
        seen,
        lids,
        told(Sleep.AWAKE, at_s),
        told(cry, at_s),
        pulse,
        off,
        off,
        1.0,
        posture=off,
        head_side=off,
    )


def well(at_s: float, **facts: object) -> Health:
    return replace(Health(at_s, frame_age_s=0.03, luma=100.0, storage_free_bytes=10**10), **facts)


def only(name: str, **changes: object) -> tuple[Condition, ...]:
    return tuple(replace(row, **changes) for row in CONDITIONS if row.name == name)


class Ward:
    """An engine that is stepped at 4 Hz."""

    def __init__(self, rows: Iterable[Condition] = CONDITIONS, bed: str = BED) -> None:
        self.engine, self.now_s, self.bed = AlarmEngine(bed, rows, "dev/boot"), 0.0, bed
        self.events: list[AlarmEvent] = []

    def go(self, seconds: float, health: Mapping[str, object] | None = None, **state: object) -> list[AlarmEvent]:
        new: list[AlarmEvent] = []
        for _ in range(round(seconds * 4)):
            self.now_s += 0.25
            patient = infant(self.now_s, **state) if self.bed != DEVICE_BED else None
            new += self.engine.step(patient, well(self.now_s, **(health or {})), self.now_s)
        self.events += new
        return new

    def ack(self, name: str) -> AlarmEvent:
        event = next(e for e in self.engine.active() if e.condition == name)
        self.events.append(self.engine.acknowledge(name, event.revision, self.now_s, "nurse"))
        return self.events[-1]


def moves(events: Iterable[AlarmEvent]) -> list[tuple[str, Phase, Presence]]:
    return [(e.condition, e.phase, e.presence) for e in events if e.phase is not Phase.CONTINUE]


# The transition table


@pytest.mark.parametrize(("state", "cause", "latching"), list(product(AlarmState, Input, [False, True])))
def test_every_cell_is_legal_and_makes_sense_or_raises(state: AlarmState, cause: Input, latching: bool) -> None:
    if (state, cause) not in TRANSITIONS:
        with pytest.raises(IllegalTransition, match=f"{state} cannot take {cause}"):
            transition(state, cause, latching)
        return
    move = transition(state, cause, latching)
    assert (move.phase is Phase.START) == (state not in ACTIVE and move.to in ACTIVE)
    assert (move.phase is Phase.END) == (state in ACTIVE and move.to not in ACTIVE)
    assert move.phase is None or move.to in PRESENCE
    assert move.phase is not None or move.to == state or not {state, move.to} & ACTIVE


@pytest.mark.parametrize(("state", "cause"), [c for c in product(AlarmState, Input) if c not in TRANSITIONS])
def test_an_illegal_input_leaves_the_alarm_as_it_was(state: AlarmState, cause: Input) -> None:
    ward = Ward(only("hr_low"))
    track = ward.engine._tracks["hr_low"]
    track.state = state
    with pytest.raises(IllegalTransition):
        ward.engine._feed(ward.engine._rows["hr_low"], cause, None)
    assert (track.state, track.revision, track.event) == (state, 0, None)
    assert ward.engine.drain_log() == ()


def test_a_condition_is_never_ended_by_a_person_and_always_by_itself() -> None:
    for state in ACTIVE - {AlarmState.LATCHED}:
        assert transition(state, Input.CONDITION_FALSE, False).phase is Phase.END
        assert transition(state, Input.CONDITION_UNKNOWN, False).to is state
        if (state, Input.ACKNOWLEDGE) in TRANSITIONS:
            assert transition(state, Input.ACKNOWLEDGE, False).to is AlarmState.ACK


def test_latching_overrides_only_cells_that_exist() -> None:
    assert set(LATCHING) <= set(TRANSITIONS)
    assert {move.to for move in LATCHING.values()} == {AlarmState.LATCHED}


def test_the_page_of_the_tables_is_the_committed_one() -> None:
    assert DOCS.read_text(encoding="utf-8") == markdown(), f'python -c "{REMAKE}" > docs/alarms.md'


# The table of conditions


def test_names_differ_and_every_default_has_a_source() -> None:
    assert len({row.name for row in CONDITIONS}) == len(CONDITIONS)
    assert all(row.source and row.what for row in CONDITIONS)


BED_CASES = {
    "hr_low": (infant(0, 99.0), {}, infant(0, 100.0), {}, infant(0, None), {}),
    "hr_high": (infant(0, 201.0), {}, infant(0, 200.0), {}, infant(0, None), {}),
    "cry_sustained": (infant(0, cry=Cry.CRYING), {}, infant(0), {}, infant(0, cry=None), {}),
    "camera_lost": (infant(0), {"frame_age_s": 1.6}, infant(0), {}, infant(0), {"frame_age_s": None}),
    "camera_frozen": (infant(0), {"frozen_s": 6.0}, infant(0), {}, infant(0), {"frozen_s": 6.0, "frame_age_s": 9.0}),
    "view_dark": (infant(0), {"luma": 5.0}, infant(0), {}, infant(0), {"luma": None}),
    "view_obstructed": (infant(0, face=Reason.OCCLUDED), {}, infant(0), {}, infant(0, eyes=Reason.STALE), {}),
    "face_not_found": (infant(0, face=False), {}, infant(0), {}, infant(0, face=Reason.DARK), {}),
    "hr_unavailable": (infant(0, None), {}, infant(0), {}, infant(0, None, face=False), {}),
}
DEVICE_CASES = {
    "model_failed": ({"failed_models": ("face",)}, {}),
    "overheated": ({"temperature_c": 81.0}, {"temperature_c": 79.0}),
    "undervoltage": ({"throttled": 0x50005}, {"throttled": 0x50004}),
    "storage_full": ({"storage_free_bytes": 49_000_000}, {}),
    "messages_dropped": ({"messages_dropped": 1}, {}),
    "clock_unsynced": ({"clock_source": "unsynced"}, {"clock_source": "rtc"}),
    "broker_unreachable": ({"connected": False}, {}),
}


def holds(name: str, state: PatientState | None, facts: Mapping[str, object]) -> bool | None:
    (row,) = only(name)
    return row.holds(row.measure(Facts(0.0, state, well(0.0, **facts), None)), standing=False)


@pytest.mark.parametrize("name", BED_CASES)
def test_a_bed_condition_is_true_false_or_unknown(name: str) -> None:
    true, true_facts, false, false_facts, unknown, unknown_facts = BED_CASES[name]
    assert holds(name, true, true_facts) is True
    assert holds(name, false, false_facts) is False
    assert holds(name, unknown, unknown_facts) is None


@pytest.mark.parametrize("name", DEVICE_CASES)
def test_a_device_condition_is_true_or_false(name: str) -> None:
    true, false = DEVICE_CASES[name]
    assert holds(name, None, true) is True
    assert holds(name, None, false) is False


def test_the_cases_name_the_whole_table() -> None:
    assert set(BED_CASES) == {row.name for row in CONDITIONS if row.scope is Scope.BED}
    assert set(DEVICE_CASES) == {row.name for row in CONDITIONS if row.scope is Scope.DEVICE}


@pytest.mark.parametrize("name", ["overheated", "undervoltage", "storage_full"])
def test_what_the_board_does_not_tell_is_unknown(name: str) -> None:
    assert holds(name, None, {"storage_free_bytes": None}) is None


def test_settings_replace_defaults() -> None:
    given_ = {"hr_low": AlarmSetting(limit=90.0, delay_s=5.0), "view_dark": AlarmSetting(enabled=False)}
    rows = {row.name: row for row in settings_for(given_)}
    assert (rows["hr_low"].limit, rows["hr_low"].delay_s, rows["hr_low"].latching) == (90.0, 5.0, True)
    assert not rows["view_dark"].enabled
    assert settings_for({}) == CONDITIONS


@pytest.mark.parametrize(
    ("alarms", "right"),
    [
        ({"hr_lo": AlarmSetting()}, "alarms.hr_lo: no such condition; known: broker_unreachable, camera_frozen"),
        ({"hr_low": AlarmSetting(limit=10.0)}, r"alarms.hr_low: takes a limit within 30..200 /min, got limit 10"),
        ({"cry_sustained": AlarmSetting(limit=1.0)}, "alarms.cry_sustained: takes no limit"),
        ({"hr_low": AlarmSetting(limit=195.0)}, "at least 20 /min below that of hr_high, 200"),
    ],
)
def test_a_setting_that_cannot_be_is_named(alarms: dict[str, AlarmSetting], right: str) -> None:
    with pytest.raises(ConfigError, match=right):
        settings_for(alarms)


# The engine


def test_a_low_heart_rate_is_told_after_its_delay_and_latches() -> None:
    ward = Ward()
    ward.go(5)
    (start,) = ward.go(10.25, bpm=80.0)
    assert (start.condition, start.priority, start.phase, start.presence) == (
        "hr_low", Priority.HIGH, Phase.START, Presence.ON,
    )  # fmt: skip
    assert (start.value, start.limit, start.unit, start.signal_delay_ms) == (80.0, 100.0, "/min", 10_000)
    assert (start.onset_s, start.at_s, start.revision) == (5.25, 15.25, 1)
    assert moves(ward.go(10)) == [("hr_low", Phase.UPDATE, Presence.LATCHED)]
    assert moves([ward.ack("hr_low")]) == [("hr_low", Phase.END, Presence.OFF)]
    assert ward.engine.active() == ()


def test_hysteresis_keeps_an_alarm_within_its_margin() -> None:
    ward = Ward(only("hr_high"))
    ward.go(11, bpm=205.0)
    assert moves(ward.go(20, bpm=197.0)) == []
    assert moves(ward.go(5, bpm=195.0)) == [("hr_high", Phase.END, Presence.OFF)]


def test_one_good_reading_does_not_restart_the_delay_and_cannot_end_it() -> None:
    ward = Ward(only("hr_low"))
    ward.go(6, bpm=80.0)
    ward.go(2, bpm=140.0)
    assert moves(ward.go(4, bpm=80.0)) == [("hr_low", Phase.START, Presence.ON)]


def test_an_unknown_value_restarts_the_delay() -> None:
    ward = Ward(only("hr_low"))
    ward.go(9, bpm=80.0)
    ward.go(1, bpm=None)
    assert ward.go(9, bpm=80.0) == []


def test_an_alarm_whose_value_becomes_unknown_stays_on() -> None:
    ward = Ward(only("hr_low", escalate_s=None))
    ward.go(11, bpm=80.0)
    assert moves(ward.go(300, bpm=None)) == []
    assert ward.engine.active()[0].presence is Presence.ON
    assert ward.engine.active()[0].value is None


def test_an_old_acknowledgement_does_not_hide_the_next_low_heart_rate() -> None:
    ward = Ward(only("hr_low"))
    ward.go(11, bpm=80.0)
    ward.ack("hr_low")
    assert moves(ward.go(61, bpm=None)) == [("hr_low", Phase.UPDATE, Presence.LATCHED)]
    assert moves(ward.go(11, bpm=80.0)) == [("hr_low", Phase.UPDATE, Presence.ON)]


def test_ignorance_that_is_the_condition_itself_is_not_ended_by_an_acknowledgement() -> None:
    ward = Ward(only("camera_lost"))
    ward.go(11, {"frame_age_s": None})
    ward.ack("camera_lost")
    assert moves(ward.go(200, {"frame_age_s": None})) == []


def test_the_camera_is_told_lost_within_two_seconds_and_hides_no_infant() -> None:
    ward, events = Ward(), []
    ward.go(20)
    lost_s = ward.now_s
    while not events:
        now_s = ward.now_s = ward.now_s + 0.25
        events = list(ward.engine.step(infant(lost_s), well(lost_s), now_s))
    assert [e.condition for e in events] == ["camera_lost"]
    assert events[0].at_s - lost_s <= 2.0


def test_a_camera_that_never_gives_a_frame_is_told() -> None:
    ward = Ward()
    events = ward.go(11, {"frame_age_s": None}, bpm=None, cry=None, face=Reason.NO_FRAME)
    assert moves(events) == [("camera_lost", Phase.START, Presence.ON)]


def test_a_long_fault_gives_technical_alarms_of_its_cause_only() -> None:
    ward = Ward()
    events = ward.go(300, {"luma": 3.0}, bpm=None, cry=None, face=Reason.DARK, eyes=Reason.DARK)
    assert {e.condition for e in events} == {"view_dark"}


def test_a_stopped_estimator_is_no_normal_infant() -> None:
    ward, frozen, events = Ward(), infant(0.0), []
    for i in range(200):
        events += ward.engine.step(frozen, well(i * 0.25), i * 0.25)
    assert moves(events) == [("face_not_found", Phase.START, Presence.ON)]


def test_every_drop_of_messages_is_told_anew() -> None:
    ward = Ward(bed=DEVICE_BED)
    ward.go(1)
    assert moves(ward.go(1, {"messages_dropped": 3})) == [("messages_dropped", Phase.START, Presence.ON)]
    ward.ack("messages_dropped")
    assert moves(ward.go(62, {"messages_dropped": 3})) == [("messages_dropped", Phase.UPDATE, Presence.LATCHED)]
    assert moves(ward.go(1, {"messages_dropped": 4})) == [("messages_dropped", Phase.UPDATE, Presence.ON)]


def test_scope_and_enabled_choose_the_rows() -> None:
    rows = settings_for({"camera_lost": AlarmSetting(enabled=False)})
    assert Ward(rows).go(30, {"frame_age_s": 20.0, "connected": False}) == []
    assert {e.condition for e in Ward(rows, DEVICE_BED).go(30, {"connected": False})} == {"broker_unreachable"}


def test_an_active_alarm_is_sent_again_every_thirty_seconds_at_the_same_revision() -> None:
    ward = Ward(only("camera_lost", escalate_s=None))
    events = ward.go(100, {"frame_age_s": 9.0})
    assert [e.phase for e in events] == [Phase.START, *3 * [Phase.CONTINUE]]
    assert [e.at_s - events[0].at_s for e in events] == [0.0, 30.0, 60.0, 90.0]
    assert {(e.revision, e.alarm_id) for e in events} == {(1, events[0].alarm_id)}


def test_unacknowledged_it_escalates_once_and_acknowledged_never() -> None:
    ward, other = Ward(only("hr_high")), Ward(only("hr_high"))
    events = ward.go(300, bpm=210.0)
    (escalated,) = [e for e in events if e.phase is Phase.ESCALATE]
    assert (escalated.priority, escalated.revision, escalated.at_s - events[0].at_s) == (Priority.HIGH, 2, 120.0)
    other.go(11, bpm=210.0)
    other.ack("hr_high")
    assert Phase.ESCALATE not in {e.phase for e in other.go(300, bpm=210.0)}


def test_an_acknowledgement_ends_the_signal_and_not_the_condition() -> None:
    ward = Ward(only("hr_high"))
    ward.go(11, bpm=210.0)
    acked = ward.ack("hr_high")
    assert (acked.phase, acked.presence, acked.revision) == (Phase.UPDATE, Presence.ACK, 2)
    assert moves(ward.go(60, bpm=210.0)) == []
    assert moves(ward.go(5)) == [("hr_high", Phase.END, Presence.OFF)]
    (again,) = ward.go(11, bpm=210.0)
    assert (again.presence, again.revision) == (Presence.ON, 4)
    assert again.alarm_id != acked.alarm_id


@pytest.mark.parametrize(
    ("name", "revision", "why"),
    [("hr_high", 0, "at revision 1"), ("hr_low", 1, "it is inactive"), ("nonsense", 1, "known: ")],
)
def test_a_wrong_acknowledgement_is_refused_and_changes_nothing(name: str, revision: int, why: str) -> None:
    ward = Ward()
    ward.go(11, bpm=210.0)
    before = ward.engine.snapshot()
    with pytest.raises(CommandRefused, match=why):
        ward.engine.acknowledge(name, revision, ward.now_s + 1.0, "nurse")
    assert ward.engine.snapshot() == before


def test_an_acknowledgement_of_the_last_occurrence_does_not_fit_the_next() -> None:
    ward = Ward(only("hr_high"))
    (first,) = ward.go(11, bpm=210.0)
    ward.go(5)
    ward.go(11, bpm=210.0)
    with pytest.raises(CommandRefused, match="look again"):
        ward.engine.acknowledge("hr_high", first.revision, ward.now_s, "nurse")


def test_a_second_acknowledgement_is_refused() -> None:
    ward = Ward(only("hr_high"))
    ward.go(11, bpm=210.0)
    acked = ward.ack("hr_high")
    with pytest.raises(CommandRefused, match="it is ack"):
        ward.engine.acknowledge("hr_high", acked.revision, ward.now_s, "nurse")


def test_a_procedure_quietens_physiological_alarms_and_ends_by_itself() -> None:
    ward = Ward()
    ward.engine.pause(60.0, ward.now_s, "nurse")
    events = ward.go(59, {"luma": 3.0}, bpm=80.0)
    assert {e.condition: e.activation for e in events} == {
        "hr_low": Activation.ALARM_PAUSED,
        "view_dark": Activation.ON,
    }
    assert ward.engine.pauses(ward.now_s).procedure_s == pytest.approx(1.0)
    after = [e for e in ward.go(1, {"luma": 3.0}, bpm=80.0) if e.phase is Phase.UPDATE]
    assert [(e.condition, e.activation, e.presence) for e in after] == [("hr_low", Activation.ON, Presence.ON)]
    escalated = next(e for e in ward.go(130, bpm=80.0) if e.phase is Phase.ESCALATE)
    assert escalated.at_s == 60.0 + 120.0


def test_an_audio_pause_lets_a_higher_priority_through() -> None:
    ward = Ward()
    ward.go(11, bpm=210.0)
    (quiet,) = ward.engine.pause_audio(120.0, ward.now_s, "nurse")
    assert (quiet.condition, quiet.activation, quiet.revision) == ("hr_high", Activation.AUDIO_PAUSED, 2)
    events = [e for e in ward.go(15, bpm=80.0) if e.condition == "hr_low"]
    assert {e.activation for e in events} == {Activation.ON}


def test_resume_ends_a_pause_at_once() -> None:
    ward = Ward()
    ward.go(11, bpm=210.0)
    ward.engine.pause(300.0, ward.now_s, "nurse")
    (loud,) = ward.engine.resume(ward.now_s, "nurse")
    assert (loud.activation, loud.revision) == (Activation.ON, 3)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 301.0, math.nan, math.inf])
def test_a_pause_without_a_right_length_is_refused(seconds: float) -> None:
    ward = Ward()
    for pause in (ward.engine.pause, ward.engine.pause_audio):
        with pytest.raises(CommandRefused, match="a pause lasts"):
            pause(seconds, 1.0, "nurse")
    with pytest.raises(CommandRefused, match="no physiological"):
        Ward(bed=DEVICE_BED).engine.pause(10.0, 1.0, "nurse")


def test_a_pause_never_changes_a_condition() -> None:
    plain, paused = Ward(only("hr_low", escalate_s=None)), Ward(only("hr_low", escalate_s=None))
    paused.engine.pause(200.0, 0.0, "nurse")
    paused.engine.pause_audio(100.0, 0.0, "nurse")
    for bpm in (80.0, 140.0, None, 80.0, 140.0):
        plain.go(20, bpm=bpm)
        paused.go(20, bpm=bpm)
        assert plain.engine._tracks["hr_low"].state is paused.engine._tracks["hr_low"].state


def test_a_restart_keeps_onset_id_and_revision_and_tells_all_again() -> None:
    ward, next_run = Ward(), Ward()
    ward.go(11, bpm=80.0)
    acked = ward.ack("hr_low")
    snapshot = Snapshot.model_validate_json(ward.engine.snapshot().model_dump_json())
    assert next_run.engine.restore(snapshot, ward.now_s) == ()
    next_run.now_s = ward.now_s
    (again,) = next_run.go(1, bpm=None)
    assert again.phase is Phase.CONTINUE
    assert (again.alarm_id, again.revision, again.onset_s, again.presence) == (
        acked.alarm_id, acked.revision, acked.onset_s, Presence.ACK,
    )  # fmt: skip


def test_after_a_reboot_ages_go_on() -> None:
    ward, next_run = Ward(), Ward()
    ward.go(1000, bpm=80.0)
    next_run.engine.restore(ward.engine.snapshot(), 3.0, same_clock=False)
    (kept,) = next_run.engine.active()
    assert 3.0 - kept.onset_s == pytest.approx(ward.now_s - ward.engine.active()[0].onset_s)


def test_a_restart_without_the_condition_ends_its_occurrence() -> None:
    ward = Ward()
    ward.go(11, bpm=80.0)
    rows = settings_for({"hr_low": AlarmSetting(enabled=False)})
    (end,) = AlarmEngine(BED, rows, "dev/boot2").restore(ward.engine.snapshot(), ward.now_s)
    assert (end.condition, end.phase, end.presence, end.revision) == ("hr_low", Phase.END, Presence.OFF, 2)


def test_a_snapshot_is_refused_by_another_bed_and_by_an_engine_that_runs() -> None:
    ward = Ward()
    snapshot = ward.engine.snapshot()
    ward.go(1)
    for engine in (ward.engine, AlarmEngine("cot-2", CONDITIONS, "dev/boot")):
        with pytest.raises(ValueError, match="cannot be restored"):
            engine.restore(snapshot, 9.0)


def test_a_snapshot_that_contradicts_itself_is_refused() -> None:
    row = {"condition": "hr_low", "state": "on", "revision": 1, "unanswered_since_s": 0.0, "event": None}
    with pytest.raises(ValueError, match="belongs to an occurrence"):
        Snapshot.model_validate({"bed": BED, "taken_s": 0.0, "rows": [row]})


def test_the_log_holds_moves_pauses_and_who_made_them() -> None:
    ward = Ward(only("hr_high"))
    ward.engine.pause(5.0, 0.0, "ann")
    ward.go(40, bpm=210.0)
    ward.ack("hr_high")
    ward.go(4)
    rows = ward.engine.drain_log()
    assert [(row.cause, row.by) for row in rows] == [
        ("procedure", "ann"), ("procedure_ended", None), ("delay_elapsed", None), ("acknowledge", "nurse"),
        ("condition_false", None),
    ]  # fmt: skip
    assert ward.engine.drain_log() == ()


def test_the_log_is_bounded() -> None:
    ward = Ward()
    for _ in range(1000):
        ward.engine.pause(5.0, 0.0, "ann")
    assert len(ward.engine.drain_log()) == 256


@pytest.mark.parametrize("now_s", [math.nan, math.inf, 0.5])
def test_time_that_goes_back_or_is_no_number_is_refused(now_s: float) -> None:
    ward = Ward()
    ward.go(1)
    with pytest.raises(ValueError, match="time must be finite"):
        ward.engine.step(infant(1.0), well(1.0), now_s)


def test_the_state_of_another_bed_is_refused() -> None:
    with pytest.raises(ValueError, match="was given to"):
        AlarmEngine("cot-2", CONDITIONS, "dev/boot").step(infant(0.0), well(0.0), 0.0)


# Laws over random courses

courses = st.lists(
    st.tuples(
        st.sampled_from([0.25, 1.0, 4.0, 11.0, 61.0]),
        st.sampled_from([None, 80.0, 102.0, 140.0, 197.0, 210.0]),
        st.sampled_from([None, *Cry]),
        st.sampled_from([True, False, Reason.OCCLUDED, Reason.DARK, Reason.STALE]),
        st.sampled_from([None, 0.0, 1.2, 5.0]),
        st.sampled_from(["", "", "", "ack", "pause", "audio", "restart"]),
    ),
    max_size=50,
)
Course = list[tuple[float, float | None, Cry | None, bool | Reason, float | None, str]]


def replay(course: Course) -> Iterable[tuple[PatientState, list[AlarmEvent], AlarmEngine]]:
    """Step a bed through a course of events, with commands and restarts between."""
    engine, now_s = AlarmEngine(BED, CONDITIONS, "dev/boot"), 0.0
    for dt_s, bpm, cry, face, frame_age_s, command in course:
        now_s += dt_s
        patient = infant(now_s, bpm, cry, face)
        events = list(engine.step(patient, well(now_s, frame_age_s=frame_age_s), now_s))
        match command:
            case "ack":
                open_ = [e for e in engine.active() if e.presence is not Presence.ACK]
                events += [engine.acknowledge(e.condition, e.revision, now_s, "nurse") for e in open_]
            case "pause":
                events += engine.pause(30.0, now_s, "nurse")
            case "audio":
                events += engine.pause_audio(30.0, now_s, "nurse")
            case "restart":
                snapshot = engine.snapshot()
                engine = AlarmEngine(BED, CONDITIONS, "dev/boot2")
                engine.restore(snapshot, now_s)
        yield patient, events, engine


@given(courses)
@settings(max_examples=150)
def test_occurrences_are_whole_and_revisions_rise(course: Course) -> None:
    newest: dict[str, AlarmEvent] = {}
    ids: set[str] = set()
    for _, events, engine in replay(course):
        for event in events:
            before = newest.get(event.condition)
            running = before is not None and before.phase is not Phase.END
            assert (event.phase is Phase.START) == (not running)
            assert (event.phase is Phase.END) == (event.presence is Presence.OFF)
            if before is not None:
                assert event.revision == before.revision + (event.phase is not Phase.CONTINUE)
            if running and before is not None:
                assert (event.alarm_id, event.onset_s) == (before.alarm_id, before.onset_s)
            else:
                assert event.alarm_id not in ids
                ids.add(event.alarm_id)
            newest[event.condition] = event
        active = {name: e.alarm_id for name, e in newest.items() if e.phase is not Phase.END}
        assert {e.condition: e.alarm_id for e in engine.active()} == active


@given(courses)
@settings(max_examples=150)
def test_a_physiological_alarm_starts_only_from_a_known_wrong_value_after_its_delay(course: Course) -> None:
    rows = {row.name: row for row in CONDITIONS}
    for patient, events, _ in replay(course):
        for event in events:
            row = rows[event.condition]
            if event.kind is Kind.PHYSIOLOGICAL and event.phase is Phase.START:
                assert row.holds(row.measure(Facts(patient.at_s, patient, well(patient.at_s), None)), standing=False)
                assert event.at_s - event.onset_s >= row.delay_s


@given(courses)
@settings(max_examples=150)
def test_unknown_never_ends_an_alarm_that_nobody_acknowledged(course: Course) -> None:
    rows = {row.name: row for row in CONDITIONS}
    presence: dict[str, Presence] = {}
    for patient, events, _ in replay(course):
        for event in events:
            before = presence.get(event.condition)
            presence[event.condition] = event.presence
            gone = before is Presence.ON and event.presence in (Presence.OFF, Presence.LATCHED)
            if event.kind is Kind.PHYSIOLOGICAL and gone:
                row = rows[event.condition]
                assert row.holds(row.measure(Facts(patient.at_s, patient, well(patient.at_s), None)), True) is False
