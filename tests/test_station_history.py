"""A bed's past: gaps are left as gaps, history that came late is filled in, and ages are of our clock."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from heard import NOW_MS, PLACE, all_heard, composer, heard
from wire import alarm_event, bout, hour, minute, moved, patient, stamp

from edgemon.messages import Composer
from edgemon.messages import payloads as p
from edgemon.records import Message, Phase, Priority, Reading, Reason, Sleep
from edgemon.station.nouns import Heard, Notice, Span, to_ts
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store
from edgemon.station.store.history import MAX_ALARM_LINES

MINUTE_MS = 60_000
DAY_MS = 86_400_000


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/station.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database()
    opened = Store.open(StationConfig(store_url=url).store)
    yield opened
    opened.close()


def at(message: Message, start_ms: int, end_ms: int | None = None, **more: object) -> Heard:
    """A durable message of another time."""
    payload = message.payload
    assert isinstance(payload, p.Durable)
    times: dict[str, object] = {"start": to_ts(start_ms), "end": to_ts(end_ms) if end_ms else None}
    return heard(dataclasses.replace(message, payload=payload.model_copy(update=times | more)))


def belief(device: Composer, sleep: Reading[Sleep], at_ms: int) -> Heard:
    return heard(device.state(dataclasses.replace(patient(), sleep=sleep), [], stamp()), now_ms=at_ms)


def test_a_gap_of_minutes_stays_a_gap(store: Store) -> None:
    device = composer()
    starts = [NOW_MS + n * MINUTE_MS for n in (0, 1, 5, 6)]
    store.commit([at(minute(device), start, start + MINUTE_MS) for start in starts])
    store.commit([at(device.movement(moved(), stamp()), start, start + MINUTE_MS) for start in starts])
    found = store.history(PLACE, NOW_MS, NOW_MS + 10 * MINUTE_MS)
    assert found.heart_rate.median == (145.0, 145.0, None, None, 145.0, 145.0)
    assert (len(found.heart_rate.at_ms), found.heart_rate.at_ms) == (6, tuple(sorted(found.heart_rate.at_ms)))
    assert found.movement.index == (0.25, 0.25, None, None, 0.25, 0.25)


def test_seconds_are_told_of_half_an_hour_at_most(store: Store) -> None:
    device = composer()
    unknown = Reading(None, Reason.MOTION, 0.0, 99.0, 100.0)
    for after, reading in ((0, patient().heart_rate), (1, unknown), (30, patient().heart_rate)):
        store.commit([heard(device.heart_rate("cot-1", reading, stamp()), now_ms=NOW_MS + 1000 * after)])
    raw = store.history(PLACE, NOW_MS, NOW_MS + 30 * MINUTE_MS).raw
    assert raw is not None
    assert raw.bpm == (142.3, None, None, None, 142.3)
    assert [ms - NOW_MS for ms in raw.at_ms] == [0, 1_000, 2_000, 29_000, 30_000]
    assert store.history(PLACE, NOW_MS, NOW_MS + 31 * MINUTE_MS).raw is None


def test_sleep_is_of_beliefs_and_where_none_came_of_bouts_that_were_told_later(store: Store) -> None:
    device = composer()
    asleep, dark = Reading(Sleep.ASLEEP, None, 0.9, 0.0, 99.0), Reading(None, Reason.DARK, 0.0, 0.0, 99.0)
    for after_s, reading in ((0, asleep), (30, asleep), (60, dark), (600, asleep)):
        store.commit([belief(device, reading, NOW_MS + 1000 * after_s)])
    end = device.behaviour(bout("s1", Phase.END, kind="sleep"), stamp())
    store.commit([at(end, NOW_MS + 300_000, NOW_MS + 610_000, replay=True)])
    found = store.history(PLACE, NOW_MS, NOW_MS + 660_000)
    spans = [dataclasses.replace(one, from_ms=one.from_ms - NOW_MS, to_ms=one.to_ms - NOW_MS) for one in found.sleep]
    assert spans == [
        Span(0, 60_000, "asleep", None), Span(60_000, 90_000, None, "dark"),
        Span(300_000, 600_000, "asleep", None), Span(600_000, 630_000, "asleep", None),
    ]  # fmt: skip
    assert found.coverage.sleep == pytest.approx(390 / 660)


def test_bouts_of_crying_grow_until_they_end(store: Store) -> None:
    device = composer()
    start, end = (device.behaviour(bout("c1", phase), stamp()) for phase in (Phase.START, Phase.END))
    store.commit([at(start, NOW_MS, duration_s=5.0, peak=0.4)])
    (grows,) = store.history(PLACE, NOW_MS, NOW_MS + MINUTE_MS).crying
    assert (grows.to_ms - grows.from_ms, grows.ended) == (5_000, False)
    store.commit([at(end, NOW_MS, NOW_MS + 30_000, peak=0.9)])
    (ended,) = store.history(PLACE, NOW_MS, NOW_MS + MINUTE_MS).crying
    assert (ended.to_ms - ended.from_ms, ended.peak, ended.ended) == (30_000, 0.9, True)


def test_the_alarm_log_holds_the_beds_the_devices_and_the_stations_alarms(store: Store) -> None:
    device = composer()
    conditions = (alarm_event(), alarm_event("overheated", bed="_device"), alarm_event("hr_low", bed="cot-2"))
    store.commit(all_heard(device.alarm(event, stamp()) for event in conditions))
    store.change_notices([Notice(PLACE, "no_data", Priority.MEDIUM, NOW_MS)], [], NOW_MS)
    found = store.history(PLACE, NOW_MS - MINUTE_MS, NOW_MS + MINUTE_MS).alarms
    assert {(line.source, line.condition, line.phase) for line in found} == {
        ("device", "hr_high", "start"), ("device", "overheated", "start"), ("station", "no_data", "start"),
    }  # fmt: skip


def test_an_alarm_that_is_repeated_all_day_hides_nothing_in_the_log(store: Store) -> None:
    device = composer()
    said = [heard(device.alarm(alarm_event("hr_low", at_s=99.0), stamp()))]
    for n in range(2 * MAX_ALARM_LINES):
        phase = Phase.CONTINUE if n else Phase.START
        event = dataclasses.replace(alarm_event(), phase=phase, at_s=100.0 + 20 * n)
        said.append(heard(device.alarm(event, stamp(event.at_s)), now_ms=NOW_MS + 20_000 * n))
    store.commit(said)
    found = store.history(PLACE, NOW_MS - MINUTE_MS, NOW_MS + DAY_MS).alarms
    assert [(line.condition, line.phase, line.at_ms - NOW_MS) for line in found] == [
        ("hr_low", "start", -1_000), ("hr_high", "start", 0), ("hr_high", "continue", 20_000),
    ]  # fmt: skip
    later = store.history(PLACE, NOW_MS + 10 * MINUTE_MS, NOW_MS + DAY_MS).alarms
    assert [(line.phase, line.at_ms - NOW_MS) for line in later] == [("continue", 600_000)], "it stands all the while"


def test_history_is_dated_by_our_clock_where_the_devices_is_wrong(store: Store) -> None:
    device, off_ms = composer(), 3 * DAY_MS
    store.commit([heard(device.heart_rate("cot-1", patient().heart_rate, stamp()), now_ms=NOW_MS + off_ms)])
    store.commit([at(minute(device), NOW_MS, NOW_MS + MINUTE_MS), heard(device.summary(hour(), stamp()))])
    found = store.history(PLACE, NOW_MS + off_ms - MINUTE_MS, NOW_MS + off_ms + MINUTE_MS)
    assert found.heart_rate.at_ms == (NOW_MS + off_ms,)
    assert len(found.summaries) == 1


def test_an_unknown_bed_has_an_empty_past_and_a_day_is_the_most(store: Store) -> None:
    empty = store.history("a/b/c/d", NOW_MS, NOW_MS + DAY_MS)
    assert (empty.heart_rate.at_ms, empty.sleep, empty.alarms, empty.coverage.from_ms) == ((), (), (), None)
    for wrong in (NOW_MS, NOW_MS + 26 * 3_600_000):
        with pytest.raises(ValueError, match="at most 25 h"):
            store.history(PLACE, NOW_MS, wrong)
