"""Every row of the table of conditions, driven through the engine: when it starts, what keeps it, when it has gone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest

from edgemon.events.conditions import CONDITIONS, Scope
from edgemon.events.engine import AlarmEngine
from edgemon.records import (
    DEVICE_BED,
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
)
from edgemon.states import StateEstimator

BED, DT_S = "cot-1", 0.25
TABLE = {condition.name: condition for condition in CONDITIONS}
Scene = dict[str, object]  # what differs from a calm infant in a bed and a device that are well


def bpm(rate: float) -> Scene:
    return {"heart_rate": HeartRate(rate, 10.0, "rPPG-POS")}


def age(frame_age_s: float | None) -> Scene:
    return {"frame_age_s": frame_age_s}


def celsius(temperature_c: float | None) -> Scene:
    return {"temperature_c": temperature_c}


def bits(throttled: int | None) -> Scene:
    return {"throttled": throttled}


def free_mb(megabytes: float) -> Scene:
    return {"storage_free_bytes": round(megabytes * 1e6)}


@dataclass(frozen=True)
class Row:
    """What starts a condition, the last value that does not, the last that keeps it, the first that ends it."""

    name: str
    wrong: Scene
    right: Scene
    keeps: Scene
    ends: Scene
    unknown: Scene | None  # None: always known
    delay_s: float
    clear_s: float


DARK: Scene = {"face": Reason.DARK, "eyes": Reason.DARK, "cry": Reason.DARK, "heart_rate": Reason.DARK}
GONE: Scene = {"face": False, "eyes": Reason.NO_FACE, "cry": Reason.NO_FACE, "heart_rate": Reason.NO_FACE}
COVERED: Scene = {"eyes": Reason.OCCLUDED}
NO_HR: Scene = {"heart_rate": Reason.LOW_SNR}
WELL: Scene = {}
CRYING: Scene = {"cry": Cry.CRYING}
FAILED: Scene = {"failed_models": ("face",)}
OFFLINE: Scene = {"connected": False}

ROWS = (
    #   wrong, right (at the limit), keeps (within the hysteresis), ends, unknown
    Row("hr_low", bpm(99.9), bpm(100.0), bpm(104.9), bpm(105.0), NO_HR, delay_s=10, clear_s=3),
    Row("hr_high", bpm(200.1), bpm(200.0), bpm(195.1), bpm(195.0), NO_HR, delay_s=10, clear_s=3),
    Row("cry_sustained", CRYING, WELL, CRYING, WELL, {"cry": Reason.OCCLUDED}, delay_s=60, clear_s=10),
    Row("camera_lost", age(1.6), age(1.5), age(1.1), age(1.0), age(None), delay_s=0, clear_s=2),
    Row("camera_frozen", {"frozen_s": 5.1}, {"frozen_s": 5.0}, {"frozen_s": 5.1}, {"frozen_s": 5.0}, age(60.0),
        delay_s=0, clear_s=0),
    Row("view_dark", {"luma": 11.9}, {"luma": 12.0}, {"luma": 15.9}, {"luma": 16.0}, {"luma": None},
        delay_s=10, clear_s=2),
    Row("view_obstructed", COVERED, WELL, COVERED, WELL, {"eyes": Reason.LOW_SNR}, delay_s=30, clear_s=2),
    Row("face_not_found", GONE, WELL, GONE, WELL, DARK, delay_s=30, clear_s=2),
    Row("hr_unavailable", NO_HR, WELL, NO_HR, WELL, GONE, delay_s=60, clear_s=5),
    Row("model_failed", FAILED, WELL, FAILED, WELL, None, delay_s=0, clear_s=5),
    Row("overheated", celsius(80.1), celsius(80.0), celsius(75.1), celsius(75.0), celsius(None), delay_s=10, clear_s=0),
    Row("undervoltage", bits(0x1), bits(0x50004), bits(0x1), bits(0x50000), bits(None), delay_s=0, clear_s=10),
    Row("storage_full", free_mb(49.9), free_mb(50.0), free_mb(59.9), free_mb(60.0), {"storage_free_bytes": None},
        delay_s=0, clear_s=10),
    Row("messages_dropped", {"newly_dropped": 1}, WELL, {"newly_dropped": 1}, WELL, None, delay_s=0, clear_s=60),
    Row("clock_unsynced", {"clock_source": "unsynced"}, {"clock_source": "rtc"}, {"clock_source": "unsynced"}, WELL,
        None, delay_s=60, clear_s=0),
    Row("broker_unreachable", OFFLINE, WELL, OFFLINE, WELL, None, delay_s=10, clear_s=10),
)  # fmt: skip
CALM: Scene = {"face": True, "eyes": Eyes.OPEN, "cry": Cry.QUIET, **bpm(140.0)}


class Watch:
    """One condition alone, stepped at 4 Hz through scenes."""

    def __init__(self, name: str) -> None:
        self._device = TABLE[name].scope is Scope.DEVICE
        self._engine = AlarmEngine(DEVICE_BED if self._device else BED, (TABLE[name],), "pi-1/boot/1")
        self._dropped = 0
        self.now_s = 0.0

    def see(self, scene: Scene, seconds: float) -> list[AlarmEvent]:
        """What is told, re-sendings and escalations apart, while the scene lasts."""
        events: list[AlarmEvent] = []
        for _ in range(round(seconds / DT_S)):
            self.now_s += DT_S
            events += self._engine.step(self._state(scene), self._health(scene), self.now_s)
        return [event for event in events if event.phase not in (Phase.CONTINUE, Phase.ESCALATE)]

    def _state(self, scene: Scene) -> PatientState | None:
        if self._device:
            return None
        facts = {name: scene.get(name, calm) for name, calm in CALM.items()}
        readings = {
            name: Reading(None, fact, 0.0, self.now_s, self.now_s)
            if isinstance(fact, Reason)
            else Reading(fact, None, 0.9, self.now_s, self.now_s)
            for name, fact in facts.items()
        }
        return replace(StateEstimator(BED).state(self.now_s), **readings)  # type: ignore[arg-type]

    def _health(self, scene: Scene) -> Health:
        self._dropped += int(scene.get("newly_dropped", 0))  # type: ignore[call-overload]
        well: Scene = {"frame_age_s": 0.03, "luma": 100.0, "temperature_c": 50.0, "throttled": 0}
        well |= {"storage_free_bytes": 10**10, "messages_dropped": self._dropped}
        facts = well | {name: fact for name, fact in scene.items() if name not in CALM and name != "newly_dropped"}
        return Health(self.now_s, **facts)  # type: ignore[arg-type]


@pytest.fixture(params=ROWS, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest) -> Row:
    return request.param  # type: ignore[no-any-return]


def started(row: Row) -> Watch:
    watch = Watch(row.name)
    assert watch.see(row.wrong, row.delay_s + DT_S)
    return watch


def test_the_rows_are_the_whole_table() -> None:
    assert [row.name for row in ROWS] == [condition.name for condition in CONDITIONS]


def test_at_its_limit_nothing_starts(row: Row) -> None:
    assert Watch(row.name).see(row.right, row.delay_s + 30.0) == []


def test_it_starts_when_its_delay_is_over_and_not_before(row: Row) -> None:
    watch = Watch(row.name)
    assert watch.see(row.wrong, row.delay_s) == []
    (start,) = watch.see(row.wrong, DT_S)
    assert (start.phase, start.presence, start.onset_s) == (Phase.START, Presence.ON, DT_S)
    assert start.signal_delay_ms == row.delay_s * 1000


@pytest.mark.parametrize("row", [row for row in ROWS if TABLE[row.name].hysteresis], ids=lambda row: row.name)
def test_nothing_starts_within_its_limits(row: Row) -> None:
    """Hysteresis keeps an alarm; it does not make one of a value that only touched its limit."""
    watch = Watch(row.name)
    watch.see(row.wrong, min(DT_S, row.delay_s))
    assert watch.see(row.keeps, row.delay_s + 5.0) == []


def test_a_wrong_value_for_less_than_its_delay_is_nothing(row: Row) -> None:
    watch = Watch(row.name)
    assert watch.see(row.wrong, row.delay_s) == []
    assert watch.see(row.ends, row.clear_s + 120.0) == []


def test_within_its_hysteresis_it_stays(row: Row) -> None:
    watch = started(row)
    assert watch.see(row.keeps, row.clear_s + 30.0) == []


def test_it_has_gone_when_its_clear_time_is_over_and_not_before(row: Row) -> None:
    watch = started(row)
    assert watch.see(row.ends, row.clear_s) == []
    (gone,) = watch.see(row.ends, DT_S)
    latched = (Phase.UPDATE, Presence.LATCHED)
    assert (gone.phase, gone.presence) == (latched if TABLE[row.name].latching else (Phase.END, Presence.OFF))


def test_a_break_shorter_than_its_clear_time_is_none(row: Row) -> None:
    watch = started(row)
    for _ in range(5):
        assert watch.see(row.ends, row.clear_s) == []
        assert watch.see(row.wrong, 1.0) == []


@pytest.mark.parametrize("row", [row for row in ROWS if row.unknown is not None], ids=lambda row: row.name)
def test_unknown_neither_starts_nor_ends_it(row: Row) -> None:
    assert row.unknown is not None
    alarms_when_unknown = TABLE[row.name].unknown_limit_s is not None
    assert bool(Watch(row.name).see(row.unknown, 200.0)) is alarms_when_unknown
    assert started(row).see(row.unknown, 200.0) == []


@pytest.mark.parametrize("row", [row for row in ROWS if row.unknown and row.delay_s], ids=lambda row: row.name)
def test_unknown_restarts_the_delay(row: Row) -> None:
    watch = Watch(row.name)
    assert row.unknown is not None
    watch.see(row.wrong, row.delay_s)
    watch.see(row.unknown, DT_S)
    assert watch.see(row.wrong, row.delay_s) == []


def test_a_covered_view_is_obstructed_and_no_missing_face() -> None:
    covered: Scene = dict.fromkeys(("face", "eyes", "cry", "heart_rate"), Reason.OBSTRUCTED)
    (start,) = Watch("view_obstructed").see(covered, 60.0)
    assert (start.kind, start.priority) == (Kind.TECHNICAL, Priority.LOW)
    assert not [
        event for row in CONDITIONS if row.name != "view_obstructed" for event in Watch(row.name).see(covered, 90.0)
    ]


def test_a_covered_mouth_is_obstructed_though_the_eyes_are_seen() -> None:
    (start,) = Watch("view_obstructed").see({"cry": Reason.OCCLUDED}, 60.0)
    assert start.phase is Phase.START


def test_a_clear_view_without_a_face_is_not_obstructed() -> None:
    """The cover is gone, and the infant with it: one alarm ends and the other starts."""
    watch = started(next(row for row in ROWS if row.name == "view_obstructed"))
    assert [event.phase for event in watch.see(GONE, 60.0)] == [Phase.END]
    assert [event.phase for event in Watch("face_not_found").see(GONE, 60.0)] == [Phase.START]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["camera_lost", "view_dark", "overheated"])
def test_what_is_not_a_number_is_unknown_and_never_told(name: str, value: float) -> None:
    field = {"camera_lost": "frame_age_s", "view_dark": "luma", "overheated": "temperature_c"}[name]
    events = Watch(name).see({field: value}, 60.0)
    assert {(event.condition, event.value) for event in events} <= {("camera_lost", None)}


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.kind is Kind.PHYSIOLOGICAL])
def test_the_unknown_is_no_physiological_alarm(name: str) -> None:
    """The table itself refuses a row that would make one of it."""
    with pytest.raises(ValueError, match="unknown never raises"):
        replace(TABLE[name], unknown_limit_s=10.0)
