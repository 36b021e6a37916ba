"""The record as it leaves the station, in SQLite and in PostgreSQL: alarms by their fate, minutes, and rows once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from heard import NOW_MS, PLACE, WIDE, all_heard, composer, rebooted
from sqlalchemy import update
from wire import alarm_event, bout, hour, minute, moved, stamp

from edgemon.records import Presence, Priority
from edgemon.station.nouns import Notice
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store
from edgemon.station.store import schema as t

FAR_MS = 2**52


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/station.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database()
    opened = Store.open(StationConfig(store_url=url).store)
    yield opened
    opened.close()


def fates(store: Store, places: list[str] | None = None) -> dict[str, tuple[str, str]]:
    return {one.line.condition: (one.fate, one.line.presence) for one in store.episodes(0, FAR_MS, places)}


def test_an_alarm_is_one_episode_however_often_it_moves(store: Store) -> None:
    device = composer()
    for presence, revision in ((Presence.ON, 1), (Presence.ON, 1), (Presence.ACK, 2)):
        store.commit(all_heard([device.alarm(alarm_event(presence=presence, revision=revision), stamp())]))
    [episode] = store.episodes(0, FAR_MS)
    assert (episode.place, episode.fate, episode.activation) == (PLACE, "stands", "on")
    assert (episode.line.presence, episode.line.revision) == ("ack", 2)
    assert [line.revision for line in store.alarm_lines([PLACE], 0, FAR_MS)] == [1, 1, 2]
    assert store.episodes(0, FAR_MS, [WIDE]) == store.episodes(0, FAR_MS, []) == []
    at_ms = episode.line.at_ms
    assert store.episodes(at_ms, at_ms + 1) == [episode]
    assert store.episodes(at_ms + 1, FAR_MS) == store.episodes(0, at_ms) == []
    end = device.alarm(alarm_event(presence=Presence.OFF, revision=3), stamp())
    store.commit(all_heard([end]))
    [ended] = store.episodes(0, FAR_MS)
    assert (ended.fate, ended.activation, ended.line.revision) == ("ended", None, 3)


def test_what_a_device_never_ended_is_not_said_to_stand(store: Store) -> None:
    store.commit(all_heard([composer().alarm(alarm_event(), stamp())]))
    [standing] = store.episodes(0, FAR_MS)
    assert standing.fate == "stands"
    store.commit(all_heard([minute(rebooted(2))]))
    store.prune(NOW_MS + 10**6, 10**9, 10**10)
    [orphan] = store.episodes(0, FAR_MS)
    assert (orphan.fate, orphan.line.presence, orphan.activation) == ("unknown", "on", None)


def test_the_stations_own_alarms_are_episodes_too(store: Store) -> None:
    notice = Notice(PLACE, "no_data", Priority.MEDIUM, NOW_MS)
    store.change_notices([notice], [], NOW_MS)
    assert fates(store) == {"no_data": ("stands", "on")}
    assert store.acknowledge_notice(PLACE, "no_data", "nurse", NOW_MS)
    assert fates(store, [PLACE]) == {"no_data": ("stands", "ack")}
    store.change_notices([], [notice], NOW_MS + 1)
    store.change_notices([Notice(PLACE, "no_data", Priority.MEDIUM, NOW_MS + 2)], [], NOW_MS + 2)
    assert [(one.fate, one.line.onset_ms - NOW_MS) for one in store.episodes(0, FAR_MS)] == [
        ("ended", 0),
        ("stands", 2),
    ]


def test_rows_belong_to_one_of_two_neighbouring_times(store: Store) -> None:
    device = composer()
    said = [minute(device), device.movement(moved(), stamp()), device.summary(hour(), stamp()),
            device.behaviour(bout(), stamp())]  # fmt: skip
    store.commit(all_heard(said))
    store.commit(all_heard(said))
    [rate] = store.minutes([PLACE], 0, FAR_MS)
    assert store.minutes_at(rate.start_ms) == [rate]
    assert store.minutes([PLACE], rate.start_ms, rate.start_ms + 1) == [rate]
    assert store.minutes([PLACE], rate.start_ms + 1, FAR_MS) == store.minutes([PLACE], 0, rate.start_ms) == []
    for table, column, last in (("movement_minute", "start_ms", 0), ("summary", "end_ms", 1), ("event", "end_ms", 1)):
        [row] = store.told(table, PLACE, 0, FAR_MS)
        edge = row[column]
        assert [len(store.told(table, PLACE, *times)) for times in ((0, edge), (edge, FAR_MS))] == [last, 1 - last]
    assert store.told("movement_minute", PLACE, 0, FAR_MS)[0]["left_arm"]["seen"] > 0


def test_a_minute_without_any_estimate_has_none(store: Store) -> None:
    store.commit(all_heard([minute(composer())]))
    with store.engine.begin() as connection:
        connection.execute(update(t.hr_minute).values(median=None))
    assert store.minutes([PLACE], 0, FAR_MS)[0].median is None
