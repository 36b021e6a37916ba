"""The store, in SQLite and in PostgreSQL: what is newer, what is kept once, who waits for whom."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from heard import BASE, NOW_MS, OUTBOX, PLACE, all_heard, birth, composer, heard, online, rebooted
from postgres import Server
from sqlalchemy import func, select, text, update
from wire import alarm_event, bout, hour, minute, moved, patient, stamp

from edgemon.errors import StoreUnavailable
from edgemon.messages import Composer
from edgemon.messages import payloads as p
from edgemon.records import AlarmEvent, Cry, Message, Phase, Presence, Priority, Reading
from edgemon.station.lead import Lead
from edgemon.station.nouns import Heard, Notice, Pause, Refused, to_ts
from edgemon.station.settings import StationConfig
from edgemon.station.store import Leadership, Store, Unfit, timescale
from edgemon.station.store import schema as t

DAY_MS = 86_400_000


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/station.db"
    server: Server = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(StationConfig(store_url=url).store)
    yield opened
    opened.close()


def count(store: Store, table: str) -> int:
    with store._reading() as connection:
        return int(connection.execute(select(func.count()).select_from(t.metadata.tables[table])).scalar_one())


def standing(store: Store) -> dict[str, str]:
    bed = store.bed(PLACE)
    return {alarm.condition: str(alarm.presence) for alarm in bed.alarms} if bed else {}


def replayed(message: Message) -> Heard:
    """A message as history."""
    assert isinstance(message.payload, p.Durable)
    return heard(dataclasses.replace(message, payload=message.payload.model_copy(update={"replay": True})))


def everything(device: Composer) -> list[Message]:
    return [
        online(device), birth(device), device.health(stamp(), uptime_s=1, cameras=[], stages=[], outbox=OUTBOX),
        device.state(patient(), [], stamp()), device.heart_rate("cot-1", patient().heart_rate, stamp()),
        device.alarm(alarm_event(), stamp()), minute(device), device.movement(moved(), stamp()),
        device.summary(hour(), stamp()), device.behaviour(bout(), stamp()),
    ]  # fmt: skip


def test_the_tables_are_those_of_the_schema(store: Store) -> None:
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), t.metadata) == []


def test_a_second_process_finds_the_tables_made_and_a_later_edgemons_store_is_refused(store: Store, url: str) -> None:
    Store.open(StationConfig(store_url=url).store).close()
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreUnavailable, match="later edgemon"):
        Store.open(StationConfig(store_url=url).store)


def test_every_message_is_kept_once_and_receipted_each_time(store: Store) -> None:
    messages = all_heard(everything(composer()))
    durable = [one.payload.id for one in messages if isinstance(one.payload, p.Durable)]
    assert store.commit(messages) == {BASE: durable}
    assert store.commit(messages) == {BASE: durable}
    tables = ("alarm_log", "hr_minute", "movement_minute", "summary", "event", "hr", "belief")
    assert {table: count(store, table) for table in tables} == dict.fromkeys(tables, 1)


def test_a_batch_is_written_all_or_nothing(store: Store) -> None:
    good, bad = all_heard([minute(device := composer()), device.alarm(alarm_event(), stamp())])
    assert isinstance(bad.payload, p.Alarm)
    endless = dataclasses.replace(bad, payload=bad.payload.model_copy(update={"revision": 2**70}))
    with pytest.raises(Unfit):
        store.commit([good, endless])
    assert (count(store, "hr_minute"), store.devices()) == (0, [])


def test_older_states_go_to_history_only(store: Store) -> None:
    device = composer()
    awake = dataclasses.replace(patient(), cry=Reading(Cry.CRYING, None, 0.9, 95.0, 99.0))
    first, second = device.state(patient(), [], stamp()), device.state(awake, [], stamp())
    store.commit([heard(second)])
    store.commit([heard(first, now_ms=NOW_MS + 5)])
    bed = store.bed(PLACE)
    assert bed is not None
    assert bed.state is not None
    assert (bed.state.cry.value, bed.state_received_ms, count(store, "belief")) == (Cry.CRYING, NOW_MS, 2)


def test_a_belief_that_does_not_change_is_kept_every_ten_seconds(store: Store) -> None:
    device = composer()
    for after_ms in (0, 4_000, 9_000, 11_000, 19_000):
        store.commit([heard(device.state(patient(), [], stamp()), now_ms=NOW_MS + after_ms)])
    assert count(store, "belief") == 2


def test_an_alarm_rises_is_acknowledged_and_ends(store: Store) -> None:
    device = composer()
    store.commit(all_heard([device.alarm(alarm_event(), stamp())]))
    assert standing(store) == {"hr_high": "on"}
    ack = p.Acknowledgement(by="nina", at=to_ts(NOW_MS))
    acknowledged = alarm_event(revision=2, presence=Presence.ACK)
    store.commit(all_heard([device.alarm(acknowledged, stamp(), ack=ack), device.alarm(acknowledged, stamp())]))
    bed = store.bed(PLACE)
    assert bed is not None
    assert (bed.alarms[0].presence, bed.alarms[0].ack) == (Presence.ACK, ack)
    store.commit(all_heard([device.alarm(alarm_event(revision=3, presence=Presence.OFF), stamp())]))
    assert (standing(store), count(store, "alarm_log")) == ({}, 4)


def test_neither_replayed_nor_late_alarms_alarm_anybody(store: Store) -> None:
    device = composer()
    late, end = (device.alarm(alarm_event(presence=how), stamp()) for how in (Presence.ON, Presence.OFF))
    replay = replayed(device.alarm(alarm_event("hr_low"), stamp()))
    for said in (heard(end), heard(late), replay):
        store.commit([said])
    assert (standing(store), count(store, "alarm_log")) == ({}, 3)


def test_clearing_a_topic_ends_what_was_heard_before_and_not_what_came_after(store: Store) -> None:
    device = composer()
    store.commit([heard(device.alarm(alarm_event(), stamp()), now_ms=NOW_MS)])
    store.commit([heard(device.alarm_cleared("cot-1", "hr_high"), now_ms=NOW_MS - 1)])
    assert standing(store) == {"hr_high": "on"}
    store.commit([heard(device.alarm_cleared("cot-1", "hr_high"), now_ms=NOW_MS + 1)])
    assert standing(store) == {}


def test_a_clearing_ends_the_alarms_that_a_batch_brings_before_it_and_none_that_it_brings_after(store: Store) -> None:
    device = composer()
    first, cleared = device.alarm(alarm_event(), stamp()), device.alarm_cleared("cot-1", "hr_high")
    other, second = device.alarm(alarm_event("hr_low"), stamp()), device.alarm(alarm_event(revision=2), stamp())
    store.commit([heard(first, now_ms=NOW_MS + 9), heard(other), heard(cleared, now_ms=NOW_MS)])
    assert standing(store) == {"hr_low": "on"}
    store.commit([heard(cleared, now_ms=NOW_MS + 20), heard(second, now_ms=NOW_MS + 10)])
    assert standing(store) == {"hr_high": "on", "hr_low": "on"}
    third = device.alarm(alarm_event(revision=3), stamp())
    said = [heard(message, now_ms=NOW_MS + 30 - n) for n, message in enumerate((third, cleared))]
    store.commit([*said, heard(third, now_ms=NOW_MS + 40)])
    assert standing(store) == {"hr_low": "on"}, "what comes again is no news"


def test_history_that_comes_late_ends_its_own_alarm_and_no_other(store: Store) -> None:
    device = composer()
    end, onset = (device.alarm(alarm_event(presence=how), stamp()) for how in (Presence.OFF, Presence.ON))
    store.commit([heard(birth(device)), heard(onset)])
    store.commit([replayed(end)])
    assert standing(store) == {"hr_high": "on"}, "an end from before it"
    payload = device.alarm(alarm_event(revision=2, presence=Presence.OFF), stamp())
    assert isinstance(payload.payload, p.Alarm)
    other = dataclasses.replace(payload, payload=payload.payload.model_copy(update={"alarm_id": "x"}))
    store.commit([replayed(other)])
    assert standing(store) == {"hr_high": "on"}, "of another"
    seen = store.newest_change()
    store.commit([replayed(payload)])
    assert standing(store) == {}
    assert [bed.place for bed in store.beds(seen)] == [PLACE], "readers are told"
    store.commit([replayed(device.alarm(alarm_event(revision=3), stamp())), heard(onset)])
    assert standing(store) == {}, "nothing raises it again"


def test_a_batch_that_brings_an_alarm_and_its_late_end_leaves_it_ended(store: Store) -> None:
    device = composer()
    onset, end = (device.alarm(alarm_event(presence=how), stamp()) for how in (Presence.ON, Presence.OFF))
    store.commit([replayed(end), heard(onset)])
    assert standing(store) == {}


def test_alarms_of_the_device_stand_at_its_beds(store: Store) -> None:
    device = composer()
    store.commit(all_heard([birth(device), device.alarm(alarm_event("overheated", bed="_device"), stamp())]))
    bed = store.bed(PLACE)
    assert bed is not None
    assert [(alarm.bed, alarm.condition) for alarm in bed.alarms] == [("_device", "overheated")]


def test_the_last_will_of_a_connection_that_was_replaced_is_ignored(store: Store) -> None:
    device = composer()
    will = device.avail("offline", stamp(), connection=1)
    store.commit(all_heard([birth(device), online(device, 2), will]))
    assert store.beds()[0].avail.status == "online"  # type: ignore[union-attr]
    store.commit(all_heard([device.avail("offline", stamp(), connection=2)]))
    assert store.beds()[0].avail.status == "offline"  # type: ignore[union-attr]
    store.commit(all_heard([device.avail("online", stamp(), connection=3)]))
    assert store.beds()[0].avail.status == "online"  # type: ignore[union-attr]


def test_a_device_whose_counters_were_lost_is_believed_again_when_it_comes(store: Store) -> None:
    old, fresh = composer(session=9), rebooted(1)
    store.commit(all_heard([online(old), old.state(patient(), [], stamp())]))
    early = fresh.state(patient(), [], stamp())
    store.commit([heard(early, now_ms=NOW_MS + 1)])
    assert store.bed(PLACE).state_received_ms == NOW_MS  # type: ignore[union-attr]
    store.commit(all_heard([online(fresh), fresh.state(patient(), [], stamp())], now_ms=NOW_MS + 2))
    bed = store.bed(PLACE)
    assert bed is not None
    assert (bed.state_received_ms, bed.avail.boot) == (NOW_MS + 2, "b00t2")  # type: ignore[union-attr]
    store.commit(all_heard([old.state(patient(), [], stamp())], now_ms=NOW_MS + 3))
    assert store.bed(PLACE).state_received_ms == NOW_MS + 2  # type: ignore[union-attr]


def test_gaps_repeats_and_clock_offset_are_counted_for_each_device(store: Store) -> None:
    device = composer()
    first, _lost, late, last = (device.heart_rate("cot-1", patient().heart_rate, stamp()) for _ in range(4))
    for message in (first, last, late, late):
        store.commit([heard(message, now_ms=NOW_MS + 7_000)])
    (known,) = store.devices()
    assert (known.received, known.repeats, known.missing, known.clock_offset_ms) == (3, 1, 1, 7_000)


def test_what_the_broker_keeps_is_no_repeat_and_no_gap(store: Store) -> None:
    device = composer()
    said, state = online(device), device.state(patient(), [], stamp())
    for _ in range(2):
        store.commit([heard(said, retained=True), heard(state, retained=True)])
    for _ in range(20):
        device.state(patient(), [], stamp())
    store.commit([heard(device.state(patient(), [], stamp()))])
    (known,) = store.devices()
    assert (known.received, known.repeats, known.missing) == (1, 0, 0)


def test_refusals_are_counted_and_strangers_make_no_rows(store: Store) -> None:
    store.commit(all_heard([birth(composer())]))
    strangers = [Refused(f"x/y/device-{n}", "json", "not JSON", NOW_MS) for n in range(20)]
    store.commit([], [*strangers, Refused(None, "topic", "?", NOW_MS), Refused(BASE, "version", "v", NOW_MS)])
    store.commit([], [Refused(BASE, "version", "newer", NOW_MS + 1)])
    refused = {one.base: {row.reason: (row.count, row.text) for row in one.refused} for one in store.devices()}
    assert refused == {"-": {"json": (20, "not JSON"), "topic": (1, "?")}, BASE: {"version": (2, "newer")}}


def test_readers_are_told_of_the_beds_that_changed_and_of_no_other(store: Store) -> None:
    device = composer()
    store.commit(all_heard([birth(device, ("cot-1", "cot-2")), device.state(patient("cot-2"), [], stamp())]))
    seen = store.newest_change()
    assert (len(store.beds()), store.beds(seen)) == (2, [])
    store.commit(all_heard([device.state(patient("cot-1"), [], stamp())]))
    assert [bed.place for bed in store.beds(seen)] == [PLACE]
    seen = store.newest_change()
    store.commit(all_heard([online(device)]))
    assert len(store.beds(seen)) == 2
    seen = store.newest_change()
    store.assign("Cot 7", PLACE, "nina", NOW_MS)
    assert [bed.label for bed in store.beds(seen)] == ["Cot 7"]


def test_a_bed_that_its_device_does_not_name_any_more_is_gone(store: Store) -> None:
    device = composer()
    store.commit(all_heard([device.state(patient("cot-2"), [], stamp())]))
    assert [bed.place for bed in store.beds()] == [f"{BASE}/cot-2"]
    store.commit(all_heard([birth(device, ("cot-1",))]))
    assert [bed.place for bed in store.beds()] == [PLACE]
    assert [pulse.place for pulse in store.pulses()] == [PLACE]


def test_a_retired_device_is_known_again_only_when_it_speaks(store: Store) -> None:
    device, other = composer(), composer(device="cot-pi-2")
    store.commit(all_heard([*everything(device), online(other), birth(other)]))
    store.assign("bed 7", PLACE, "ada", NOW_MS)
    with pytest.raises(ValueError, match="is online"):
        store.retire(BASE, "ada", NOW_MS)
    gone = heard(device.avail("offline", stamp(), connection=1))
    store.commit([gone])
    before = store.newest_change()
    assert store.retire(BASE, "ada", NOW_MS + 5000)
    assert not store.retire(BASE, "ada", NOW_MS + 5000)
    assert store.places() == {bed.place for bed in store.beds()} == {"site/nicu/cot-pi-2/cot-1"}
    assert (store.bed(PLACE), store.assignments(), store.newest_change() > before) == (None, [], True)
    assert count(store, "hr_minute") == 1, "history stays"
    kept = [heard(message, retained=True) for message in (online(device), birth(device))]
    store.commit(kept)
    assert PLACE not in store.places()
    store.commit([heard(device.heart_rate("cot-1", patient().heart_rate, stamp()), now_ms=NOW_MS + 9000)])
    store.commit(kept)
    assert PLACE in store.places()


def test_many_writers_lose_nothing_and_changes_come_in_order(store: Store) -> None:
    devices = [Composer("site", "nicu", f"cot-pi-{n}", "b00t", 1) for n in range(4)]
    seen: list[int] = []
    done = threading.Event()

    def write(device: Composer) -> None:
        for _ in range(15):
            store.commit(all_heard([minute(device), device.alarm(alarm_event(), stamp())]))

    def watch() -> None:
        while not done.is_set():
            newest = store.newest_change()
            assert all(bed.change > 0 for bed in store.beds(newest - 1))
            seen.append(newest)

    threads = [threading.Thread(target=write, args=(device,)) for device in devices]
    watcher = threading.Thread(target=watch)
    for thread in (*threads, watcher):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    watcher.join()
    assert (count(store, "hr_minute"), count(store, "alarm_log")) == (60, 60)
    assert seen == sorted(seen)


def test_a_store_that_somebody_holds_tells_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgemon.station.store.engine.BUSY_S", 0.05)
    other = Store.open(store.engine.url)
    try:
        with store._writing(), pytest.raises(StoreUnavailable, match="lock"):
            other.commit(all_heard([minute(composer())]))
        other.commit(all_heard([minute(composer())]))
    finally:
        other.close()


def test_a_command_is_asked_answered_by_its_own_device_only_and_expires(store: Store) -> None:
    device = composer()
    request = p.CommandRequest(
        cmd_id="c1", name="pause", device="cot-pi-1", bed="cot-1", by="st", expires=to_ts(NOW_MS + 30_000),
        pause="audio", duration_s=60,
    )  # fmt: skip
    store.asked(request, PLACE, "nina", NOW_MS)
    asked = store.command("c1")
    assert asked is not None
    assert (asked.by, asked.status(NOW_MS), asked.status(NOW_MS + 30_001)) == ("nina", "pending", "expired")
    other = Composer("site", "nicu", "cot-pi-2", "b00t", 1)
    store.commit(all_heard([other.command_response(request, "done", stamp())]))
    assert store.command("c1").answer is None  # type: ignore[union-attr]
    refused = heard(device.command_response(request, "refused", stamp(), reason="stale"))
    assert store.commit([refused]) == {BASE: [refused.payload.id]}  # type: ignore[union-attr]
    answered = store.command("c1")
    assert answered is not None
    assert (answered.status(NOW_MS), answered.reason) == ("refused", "stale")
    assert store.command("c2") is None


def test_a_confirmed_pause_stands_on_the_bed_with_who_asked(store: Store) -> None:
    device = composer()
    store.commit(all_heard([birth(device)]))

    def asks(cmd_id: str, at_ms: int, duration_s: float) -> p.CommandRequest:
        request = p.CommandRequest(
            cmd_id=cmd_id, name="pause", device="cot-pi-1", bed="cot-1", by="st", expires=to_ts(at_ms + 30_000),
            pause="audio", duration_s=duration_s,
        )  # fmt: skip
        store.asked(request, PLACE, "nina", at_ms)
        return request

    def told() -> Pause | None:
        [bed] = store.beds()
        return bed.pause

    first, second = asks("c1", NOW_MS, 60), asks("c2", NOW_MS + 1000, 120)
    assert told() is None
    seen = store.newest_change()
    store.commit(all_heard([device.command_response(second, "done", stamp())]))
    assert [bed.pause for bed in store.beds(seen)] == [Pause("audio", "nina", NOW_MS + 1000, NOW_MS + 121_000)]
    store.commit(all_heard([device.command_response(first, "refused", stamp(), reason="late")]))
    assert told() == Pause("audio", "nina", NOW_MS + 1000, NOW_MS + 121_000)


def test_what_is_known_row_by_row_is_what_the_tables_hold(store: Store, url: str) -> None:
    chance, devices = random.Random(5), [composer(device=f"cot-pi-{n}") for n in range(3)]
    for turn in range(30):
        device = chance.choice(devices)
        said = chance.sample(everything(device), 3)
        store.commit(all_heard(said, now_ms=NOW_MS + 1000 * turn))
        notice = Notice(f"site/nicu/{device.device}/cot-1", "no_data", Priority.MEDIUM, NOW_MS)
        store.change_notices(*(([notice], []) if turn % 2 else ([], [notice])), NOW_MS)
        seen = store.newest_change() - 1
        assert {bed.place for bed in store.beds(seen)} <= {bed.place for bed in store.beds()}
    other = Store.open(url)
    try:
        assert other.beds() == store.beds() == [store.bed(bed.place) for bed in other.beds()]
        assert other.pulses() == store.pulses()
    finally:
        other.close()


def test_notices_open_once_are_acknowledged_once_and_close(store: Store) -> None:
    store.commit(all_heard([birth(composer())]))
    notice = Notice(PLACE, "no_data", alarm_event().priority, NOW_MS)
    for at in (0, 1):
        store.change_notices([dataclasses.replace(notice, since_ms=NOW_MS + at)], [], NOW_MS + at)
    assert store.notices() == [notice]
    assert [store.acknowledge_notice(PLACE, "no_data", who, NOW_MS + 2) for who in ("nina", "nora")] == [True, False]
    assert store.beds()[0].notices[0].ack_by == "nina"
    seen = store.newest_change()
    for _ in range(2):
        store.change_notices([], [notice], NOW_MS + 3)
    assert (store.notices(), [bed.notices for bed in store.beds(seen)], count(store, "notice_log")) == ([], [()], 3)


def test_what_is_old_is_forgotten_and_what_stands_is_not(store: Store) -> None:
    device = composer()
    store.commit(all_heard(everything(device)))
    before = {name: count(store, name) for name in t.metadata.tables}
    assert store.prune(NOW_MS + 1, 3_600_000, 30 * DAY_MS)
    assert {name: count(store, name) for name in t.metadata.tables} == before
    later = NOW_MS + 2 * DAY_MS
    store.commit([heard(device.state(patient(), [], stamp()), now_ms=later)])
    store.prune(later, 3_600_000, DAY_MS)
    assert {name: count(store, name) for name in ("hr", "event", "alarm_log", "belief", "alarm", "device")} == {
        "hr": 0, "event": 0, "alarm_log": 0, "belief": 1, "alarm": 1, "device": 1,
    }  # fmt: skip
    assert store.beds()[0].avail is not None
    store.prune(later + 3 * DAY_MS, 3_600_000, DAY_MS)
    assert (count(store, "device"), count(store, "now"), store.beds()) == (0, 0, [])


def test_an_alarm_that_a_device_forgot_in_a_restart_ends(store: Store) -> None:
    old, fresh = composer(session=1), rebooted(2)
    store.commit(all_heard([birth(old), old.alarm(alarm_event(), stamp()), old.alarm(alarm_event("hr_low"), stamp())]))
    again = [online(fresh), fresh.alarm(alarm_event("hr_low"), stamp())]
    store.commit(all_heard(again, now_ms=NOW_MS + 1_000))
    store.prune(NOW_MS + 100_000, DAY_MS, DAY_MS)
    assert set(standing(store)) == {"hr_high", "hr_low"}
    store.prune(NOW_MS + 121_000, DAY_MS, DAY_MS)
    assert set(standing(store)) == {"hr_low"}


@pytest.mark.parametrize("bed", ["cot-1", "_device"])
def test_an_alarm_that_newer_reports_do_not_name_ends(store: Store, bed: str) -> None:
    device, event = composer(), alarm_event(bed=bed)

    def report(*active: AlarmEvent) -> Message:
        if bed == "_device":
            return device.health(stamp(), uptime_s=1, cameras=[], stages=[], outbox=OUTBOX, active_alarms=active)
        return device.state(patient(), active, stamp())

    def after(ms: int, *said: Message) -> set[str]:
        store.commit(all_heard(said, now_ms=NOW_MS + ms))
        store.prune(NOW_MS + ms, DAY_MS, DAY_MS)
        return set(standing(store))

    early = report()
    assert after(0, birth(device), device.alarm(event, stamp())) == {"hr_high"}
    assert after(130_000, early) == {"hr_high"}, "a report from before it"
    assert after(140_000, report(event)) == {"hr_high"}, "a report that names it"
    assert after(150_000, device.alarm(event, stamp()), report()) == {"hr_high"}, "it was confirmed just now"
    assert after(300_000) == {"hr_high"}, "the report is old"
    assert after(300_000, report(alarm_event("hr_low", bed=bed))) == set()


def test_repeats_of_an_alarm_are_forgotten_after_a_day_and_its_moves_are_not(store: Store) -> None:
    device = composer()
    moves = [(Phase.START, 1), *[(Phase.CONTINUE, 1)] * 5, (Phase.UPDATE, 2), *[(Phase.CONTINUE, 2)] * 5]
    lone = [(Phase.CONTINUE, 7)] * 5  # whose move never came
    for n, (phase, revision) in enumerate([*moves, *lone]):
        event = dataclasses.replace(alarm_event(), phase=phase, revision=revision, at_s=100.0 + 30 * n)
        store.commit(all_heard([device.alarm(event, stamp(event.at_s))], now_ms=NOW_MS + 30_000 * n))
    assert count(store, "alarm_log") == 17
    store.prune(NOW_MS + DAY_MS, DAY_MS, 30 * DAY_MS)
    assert count(store, "alarm_log") == 17
    store.prune(NOW_MS + DAY_MS + 3_600_000, DAY_MS, 30 * DAY_MS)
    told = [(line.phase, line.revision) for line in store.alarm_lines([PLACE], 0, 2**52)]
    assert told == [("start", 1), ("update", 2), ("continue", 7)]


def test_what_is_old_is_forgotten_in_pieces_for_as_long_as_there_is_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgemon.station.store.store.PIECE_ROWS", 4)
    device = composer()
    for n in range(10):
        at_ms = NOW_MS + 60_000 * n
        said = [device.heart_rate("cot-1", patient().heart_rate, stamp()), device.state(patient(), [], stamp())]
        said += [device.alarm(dataclasses.replace(alarm_event(), at_s=100.0 + n), stamp(100.0 + n))]
        store.commit(all_heard(said, now_ms=at_ms))
    tables = ("hr", "alarm_log", "belief")
    kept = store.newest_change()
    seconds = iter(range(1_000))
    left, done = [], []
    while not done or not done[-1]:
        done.append(store.prune(NOW_MS + 10 * DAY_MS, DAY_MS, DAY_MS, clock=lambda: float(next(seconds))))
        left.append(tuple(count(store, table) for table in tables))
    assert left[0] == (2, 10, 10), "two pieces of four in two seconds"
    assert (left[-1], done) == ((0, 0, 0), [False] * (len(done) - 1) + [True])
    assert store.newest_change() - kept >= 9 + len(done), "each a transaction of its own"


def test_the_leader_goes_on_forgetting_while_something_is_left_and_then_rests_from_its_end_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/station.db")
    lead, now_s, calls, answers = Lead(StationConfig(), store), [0.0], [], iter([False, True, True, None, True])

    def prune(*_: int) -> bool:
        calls.append(now_s[0])
        now_s[0] += 5.0
        if (answer := next(answers)) is None:
            raise StoreUnavailable("gone")
        return answer

    monkeypatch.setattr("edgemon.station.lead.time", SimpleNamespace(monotonic=lambda: now_s[0]))
    monkeypatch.setattr(store, "prune", prune)
    for at_s in (100, 106, 112, 170, 171, 230, 236, 237, 300, 301, 302):
        now_s[0] = float(at_s)
        lead._turn(NOW_MS)
    assert calls == [100, 106, 171, 236, 301]
    store.close()


def test_one_process_leads_until_it_is_gone(store: Store, url: str) -> None:
    other = Store.open(StationConfig(store_url=url).store)
    first, second = Leadership(store), Leadership(other)
    alone = store.dialect == "postgresql"
    assert (first.held(), first.held(), second.held()) == (True, True, not alone)
    first.give_up()
    assert second.held()
    second.give_up()
    other.close()


def test_the_audit_log_is_only_added_to(store: Store) -> None:
    store.audit("nina", "acknowledge", PLACE, "hr_high", NOW_MS)
    changes = (update(t.audit).values(who="x"), t.audit.delete())
    for change in changes:
        with pytest.raises(Exception, match="only added to"), store.engine.begin() as connection:
            connection.execute(change)
    assert [(row.who, row.what) for row in store.audit_rows()] == [("nina", "acknowledge")]


def test_hostile_words_are_kept_as_they_are(store: Store) -> None:
    device = composer()
    nasty = "edgemon'; DROP TABLE now; -- %s {} \\ \" ${x}"
    said: list[Heard] = all_heard([birth(device, software=nasty)])
    store.commit(said)
    assert store.devices()[0].birth.software == nasty  # type: ignore[union-attr]


def test_hypertables_are_made_where_the_extension_is_and_its_failure_leaves_plain_tables(postgres: Server) -> None:
    """The extension's functions are stood for by ones that note that they were called."""
    store = Store.open(StationConfig(store_url=postgres.database()).store)
    with store.engine.begin() as connection:
        assert not timescale.prepare(connection)
        connection.execute(text(EXTENSION))
    with store.engine.begin() as connection, pytest.MonkeyPatch.context() as patch:
        patch.setattr(timescale, "FOUND", "SELECT 1")
        patch.setattr(timescale, "FIVE_MINUTES", "CREATE MATERIALIZED VIEW hr_five_minutes AS SELECT 1 AS one")
        assert timescale.prepare(connection)
        asked = connection.execute(text("SELECT what FROM asked")).scalars().all()
        assert asked == [
            "hr slot 360",
            "hr edgemon_now_slot",
            "belief at_ms 86400000",
            "belief edgemon_now_ms",
            "policy",
        ]
        connection.execute(text("DROP FUNCTION add_continuous_aggregate_policy"))
        assert not timescale.prepare(connection)
    store.commit(all_heard(everything(composer())))
    assert count(store, "hr") == 1
    store.close()


EXTENSION = """
CREATE TABLE asked (what TEXT);
CREATE FUNCTION create_hypertable(r REGCLASS, c NAME, chunk_time_interval BIGINT, if_not_exists BOOL, migrate_data BOOL)
  RETURNS VOID LANGUAGE SQL AS $$ INSERT INTO asked VALUES (r || ' ' || c || ' ' || chunk_time_interval) $$;
CREATE FUNCTION set_integer_now_func(r REGCLASS, f REGPROC, replace_if_exists BOOL)
  RETURNS VOID LANGUAGE SQL AS $$ INSERT INTO asked VALUES (r || ' ' || f) $$;
CREATE FUNCTION add_continuous_aggregate_policy(v REGCLASS, start_offset BIGINT, end_offset BIGINT,
  schedule_interval INTERVAL, if_not_exists BOOL)
  RETURNS VOID LANGUAGE SQL AS $$ INSERT INTO asked VALUES ('policy') $$
"""
