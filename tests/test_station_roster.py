"""Cards and the station's own alarms: ages, what is stale, who is worst, when silence counts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from heard import BASE, NOW_MS, OUTBOX, PLACE, all_heard, birth, online
from hypothesis import given
from hypothesis import strategies as st
from wire import alarm_event, composer, patient, stamp

from edgemon.messages import payloads as p
from edgemon.records import Activation, Message, Presence, Priority, Reading, Reason
from edgemon.station.nouns import BedNow, Notice, Pause, Pulse, to_ms
from edgemon.station.roster import CALM_RANK, Camera, card, order
from edgemon.station.rules import Steady, judge
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store

SILENCE_S = 45.0
EMPTY = BedNow(
    place=PLACE, label="cot-1", avail=None, state=None, state_received_ms=None, heart_rate=None,
    heart_rate_received_ms=None, health=None, alarms=(), notices=(), last_heard_ms=None, clock_offset_ms=None, change=1,
)  # fmt: skip
QUIET = {"silence_ms": 45_000, "since_ms": 0}


def said(message: Message) -> p.Payload:
    assert isinstance(message.payload, p.Payload)
    return message.payload


def bed(**more: object) -> BedNow:
    """A bed of which all is known."""
    device = composer()
    known: dict[str, object] = {
        "state": said(device.state(patient(), [], stamp())), "state_received_ms": NOW_MS, "last_heard_ms": NOW_MS,
        "avail": said(device.avail("online", stamp(), connection=1)),
    }  # fmt: skip
    return dataclasses.replace(EMPTY, **(known | more))


def alarm(condition: str = "hr_high", presence: Presence = Presence.ON, **more: object) -> p.Alarm:
    event = dataclasses.replace(alarm_event(condition, presence=presence), **more)
    payload = said(composer().alarm(event, stamp()))
    assert isinstance(payload, p.Alarm)
    return payload


def test_values_are_as_old_as_their_observation_and_stale_after_the_silence() -> None:
    fresh, old = (card(bed(), NOW_MS + after_ms, SILENCE_S) for after_ms in (1_000, 44_500))
    assert (fresh.readings["sleep"].age_ms, fresh.readings["sleep"].stale, fresh.silent) == (2_000, False, False)
    assert (old.readings["eyes"].stale, old.silent) == (False, False)
    assert card(bed(), NOW_MS + 45_001, SILENCE_S).silent


def test_what_is_off_is_left_out_and_what_is_unknown_has_its_reason() -> None:
    shown = card(bed(), NOW_MS, SILENCE_S).readings
    assert "pain_cue" not in shown
    assert (shown["cry"].value, shown["cry"].reason) == (None, "dark")


def test_the_newer_of_two_heart_rates_is_shown() -> None:
    vital = said(composer().heart_rate("cot-1", Reading(None, Reason.MOTION, 0.0, 99.0, 100.0), stamp()))
    assert isinstance(vital, p.HeartRateVital)
    newer, older = (
        card(bed(heart_rate=vital.heart_rate, heart_rate_received_ms=NOW_MS + ms), NOW_MS, SILENCE_S).heart_rate
        for ms in (1, -1)
    )
    assert newer is not None
    assert older is not None
    assert (newer.bpm, newer.reason, older.bpm) == (None, "motion", 142.3)
    assert card(EMPTY, NOW_MS, SILENCE_S).heart_rate is None


def test_a_camera_is_as_old_as_the_health_that_told_of_it() -> None:
    seen = p.CameraHealth(
        bed="cot-1", fps=29.8, frame_age_s=0.1, frozen_s=0, luma=90.0, dropped_frames=0, restarts=0
    )  # fmt: skip
    other = seen.model_copy(update={"bed": "cot-2"})
    health = said(composer().health(stamp(), uptime_s=1, cameras=[other, seen], stages=[], outbox=OUTBOX))
    heard = bed(health=health, health_received_ms=NOW_MS)
    fresh, old = (card(heard, NOW_MS + after_ms, SILENCE_S).camera for after_ms in (45_000, 45_001))
    assert fresh == Camera(29.8, 0.1, 0.0, NOW_MS, stale=False)
    assert old == Camera(29.8, 0.1, 0.0, NOW_MS, stale=True)
    assert card(bed(), NOW_MS, SILENCE_S).camera is None


def test_beds_without_a_label_are_told_apart_by_their_devices(tmp_path: Path) -> None:
    store = Store.open(StationConfig(store_url=f"sqlite:///{tmp_path}/station.db").store)
    try:
        one, two = composer(), composer(device="cot-pi-2")
        store.commit(all_heard([birth(one), online(one), birth(two, ("cot-1", "cot-2")), online(two)]))
        assert [known.label for known in store.beds()] == ["cot-pi-1", "cot-pi-2/cot-1", "cot-pi-2/cot-2"]
        store.commit(all_heard([one.state(patient("cot-9"), [], stamp())]))
        stray, wide = store.bed(f"{BASE}/cot-9"), store.bed(f"{BASE}/_device")
        assert stray is not None
        assert wide is not None
        assert (stray.label, wide.label) == ("cot-pi-1/cot-9", "cot-pi-1")
        store.assign("Bed 7", PLACE, "chief", NOW_MS)
        named = store.bed(PLACE)
        assert named is not None
        assert named.label == "Bed 7"
    finally:
        store.close()


def test_alarms_of_state_and_health_are_told_before_their_own_message_comes() -> None:
    device = composer()
    state = said(device.state(patient(), [alarm_event("hr_low", revision=2)], stamp()))
    wide = [alarm_event("overheated", bed="_device")]
    health = said(device.health(stamp(), uptime_s=1, cameras=[], stages=[], outbox=OUTBOX, active_alarms=wide))
    known = alarm("hr_low", Presence.ACK)
    shown = card(bed(state=state, health=health, alarms=(known,)), NOW_MS, SILENCE_S).alarms
    assert {(one.condition, one.place.rpartition("/")[2], one.presence, one.limit) for one in shown} == {
        ("hr_low", "cot-1", "on", 200.0),
        ("overheated", "_device", "on", None),
    }


def test_pauses_are_those_of_the_alarms() -> None:
    paused = alarm(activation=Activation.AUDIO_PAUSED)
    assert card(bed(alarms=(paused, alarm("hr_low"))), NOW_MS, SILENCE_S).pauses == ("audio_paused",)


def test_who_paused_is_told_until_the_pause_is_over() -> None:
    pause = Pause("audio", "nina", NOW_MS - 60_000, NOW_MS + 60_000)
    assert card(bed(pause=pause), NOW_MS, SILENCE_S).pause == pause
    assert card(bed(pause=pause), NOW_MS + 60_000, SILENCE_S).pause is None


def test_the_worst_comes_first() -> None:
    notice = Notice(PLACE, "no_data", Priority.MEDIUM, NOW_MS)
    beds = {
        "high": bed(alarms=(alarm(priority=Priority.HIGH),)),
        "medium": bed(notices=(notice,)),
        "low": bed(alarms=(alarm(priority=Priority.LOW),)),
        "acknowledged": bed(alarms=(alarm(presence=Presence.ACK, priority=Priority.HIGH),)),
        "silent": bed(last_heard_ms=NOW_MS - 46_000),
        "calm 2": bed(),
        "calm 10": bed(),
    }
    cards = [card(dataclasses.replace(one, label=label), NOW_MS, SILENCE_S) for label, one in beds.items()]
    assert [one.label for one in order(reversed(cards))] == list(beds)
    assert cards[-1].rank == CALM_RANK


@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_labels_have_an_order(labels: list[str]) -> None:
    cards = [card(dataclasses.replace(EMPTY, label=label), NOW_MS, SILENCE_S) for label in labels]
    assert sorted(one.label for one in order(cards)) == sorted(labels)


def test_an_alarm_is_dated_by_our_clock() -> None:
    onset_ms = to_ms(alarm().onset)
    shifts = [
        card(bed(alarms=(alarm(),), clock_offset_ms=ms), NOW_MS, SILENCE_S).alarms[0].onset_ms - onset_ms
        for ms in (None, 900, 60_000)
    ]
    assert shifts == [0, 0, 60_000]


@pytest.mark.parametrize(
    ("heard_ms", "online", "expected"),
    [
        (NOW_MS - 45_000, "online", None),
        (NOW_MS - 45_001, "online", "no_data"),
        (NOW_MS - 45_001, "stopping", "no_data"),
        (NOW_MS - 99_999, "offline", "device_offline"),
        (NOW_MS, "offline", "device_offline"),
        (NOW_MS - 45_001, "unknown", "no_data"),
    ],
)
def test_silence_and_an_offline_device_are_alarms(heard_ms: int, online: str, expected: str | None) -> None:
    found = judge([Pulse(PLACE, heard_ms, online)], [], NOW_MS, **QUIET)  # type: ignore[arg-type]
    assert [one.condition for one in found.opened] == ([expected] if expected else [])


def test_what_stands_is_closed_by_a_word_of_the_bed_alone() -> None:
    stands = Notice(PLACE, "no_data", Priority.MEDIUM, NOW_MS - 9)
    silent, heard = Pulse(PLACE, NOW_MS - 99_999, "online"), Pulse(PLACE, NOW_MS, "online")
    assert judge([silent], [stands], NOW_MS, silence_ms=45_000, since_ms=NOW_MS) == judge([], [], NOW_MS, **QUIET)
    assert judge([heard], [stands], NOW_MS, **QUIET).closed == (stands,)
    gone = judge([dataclasses.replace(silent, online="offline")], [stands], NOW_MS, **QUIET)
    assert ([one.condition for one in gone.opened], gone.closed) == (["device_offline"], (stands,))


def test_a_station_that_just_began_to_listen_blames_nobody_for_its_own_silence() -> None:
    silent = [Pulse(PLACE, 0, "online")]
    assert judge(silent, [], NOW_MS, silence_ms=45_000, since_ms=NOW_MS - 45_000).opened == ()
    assert len(judge(silent, [], NOW_MS, silence_ms=45_000, since_ms=NOW_MS - 45_001).opened) == 1


def test_a_clock_that_is_set_back_makes_no_silence_look_short() -> None:
    steady, hour_ms = Steady(), 3_600_000

    def silent(now_ms: int, steady_ms: int, heard_ms: int = NOW_MS) -> bool:
        [aged] = steady.aged([Pulse(PLACE, heard_ms, "online")], now_ms, steady_ms)
        return bool(judge([aged], [], now_ms, silence_ms=45_000, since_ms=0).opened)

    assert not silent(NOW_MS + 1000, 0)
    assert not silent(NOW_MS + 2000 - hour_ms, 1000)
    assert not silent(NOW_MS + 45_000 - hour_ms, 44_000)
    assert silent(NOW_MS + 47_000 - hour_ms, 46_000)
    assert not silent(NOW_MS + 48_000 - hour_ms, 47_000, heard_ms=NOW_MS + 48_000 - hour_ms)
    shown = card(bed(state_received_ms=NOW_MS + hour_ms, last_heard_ms=NOW_MS + hour_ms), NOW_MS, SILENCE_S)
    assert shown.silent
    assert all(told.stale for told in shown.readings.values())


def test_what_is_told_by_epochs_stands_until_the_next_one() -> None:
    for age_s, stale in ((50, False), (80, True)):
        told = card(bed(state_received_ms=NOW_MS - 1000 * age_s), NOW_MS, SILENCE_S).readings
        assert (told["sleep"].stale, told["eyes"].stale) == (stale, True)
