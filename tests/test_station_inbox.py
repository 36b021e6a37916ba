"""What the station takes for a message, and what it refuses."""

from __future__ import annotations

import dataclasses
import json

import pytest
from heard import BASE, NOW_MS, PLACE, birth, composer
from hypothesis import given
from hypothesis import strategies as st
from wire import alarm_event, minute, patient, stamp

from edgemon.messages import encode
from edgemon.station.inbox import plain, read
from edgemon.station.nouns import Heard, Refused, to_ms, to_ts

MINUTE = minute(composer())
DATA = encode(MINUTE)


def reason(topic: str, data: bytes) -> str | None:
    said = read(topic, data, retained=False, now_ms=NOW_MS)
    return said.reason if isinstance(said, Refused) else None


def test_a_message_is_heard_with_its_place_and_body() -> None:
    said = read(MINUTE.topic, DATA, retained=False, now_ms=NOW_MS)
    assert isinstance(said, Heard)
    assert (said.base, said.place, said.body, said.received_ms) == (BASE, PLACE, DATA.decode(), NOW_MS)


def test_a_retained_message_is_as_old_as_it_says() -> None:
    state = composer().state(patient(), [], stamp())
    said = read(state.topic, encode(state), retained=True, now_ms=NOW_MS + 60_000)
    assert isinstance(said, Heard)
    assert said.received_ms == NOW_MS


def test_only_an_alarm_may_be_empty() -> None:
    alarm = composer().alarm(alarm_event(), stamp())
    said = read(alarm.topic, b"", retained=False, now_ms=NOW_MS)
    assert isinstance(said, Heard)
    assert said.payload is None
    assert reason(MINUTE.topic, b"") == "json"


def test_our_own_words_are_nobodys() -> None:
    assert read(f"edgemon/v1/{BASE}/_device/receipt", b"{}", retained=False, now_ms=NOW_MS) is None


@pytest.mark.parametrize(
    ("topic", "data", "why"),
    [
        ("edgemon/v1/site/nicu/cot-pi-1/cot-1/what", DATA, "topic"),
        ("edgemon/v1/<b>/nicu/cot-pi-1/cot-1/vitals/hr/min", DATA, "topic"),
        (MINUTE.topic.replace("cot-pi-1", "cot-pi-2"), DATA, "identity"),
        (MINUTE.topic.replace("/cot-1/", "/cot-2/"), DATA, "identity"),
        (MINUTE.topic, DATA.replace(b'"v":1', b'"v":2'), "version"),
        (MINUTE.topic, DATA.replace(b'"min":', b'"minimum":'), "schema"),
        (MINUTE.topic, DATA[:-1], "json"),
        (MINUTE.topic, b"[" * 60_000, "json"),
        (MINUTE.topic, b"\xff\xfe", "json"),
        (MINUTE.topic, b" " * 65_537, "size"),
        (MINUTE.topic, DATA.replace(b'"session":1', b'"session":99999999999999999999'), "range"),
        (MINUTE.topic, DATA.replace(b'"start":"2026-01-05', b'"start":"2026-02-30'), "schema"),
        (MINUTE.topic, DATA.replace(b'"end":"2026', b'"end":"9999'), "range"),
    ],
)
def test_what_does_not_fit_is_refused(topic: str, data: bytes, why: str) -> None:
    assert reason(topic, data) == why


def test_the_condition_in_the_topic_is_that_of_the_alarm() -> None:
    alarm = composer().alarm(alarm_event(), stamp())
    assert reason(alarm.topic.replace("hr_high", "hr_low"), encode(alarm)) == "identity"


def test_a_device_cannot_have_any_number_of_beds() -> None:
    many = birth(composer(), tuple(f"cot-{n}" for n in range(17)))
    assert reason(many.topic, encode(many)) == "range"
    twice = birth(composer(), ("cot-1", "cot-1"))
    assert reason(twice.topic, encode(twice)) == "range"


def test_no_number_or_time_at_any_depth_is_beyond_what_can_be_counted() -> None:
    state, alarm = composer().state(patient(), [alarm_event()], stamp()), composer().alarm(alarm_event(), stamp())
    known = json.loads(encode(state))
    known["face"]["age_s"] = 1e308
    assert reason(state.topic, json.dumps(known).encode()) == "schema"
    known = json.loads(encode(state))
    known["active_alarms"][0]["onset"] = "2026-13-45T00:00:00.000Z"
    assert reason(state.topic, json.dumps(known).encode()) == "schema"
    known = json.loads(encode(alarm)) | {"ack": {"by": "x", "at": "2026-99-99T99:99:99.999Z"}}
    assert reason(alarm.topic, json.dumps(known).encode()) == "schema"


@given(st.text())
def test_a_refusal_holds_no_markup(text: str) -> None:
    assert not set(plain(text)) & set('<>&"\n\r\0`')
    assert len(plain(text)) <= 200


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    assert read(MINUTE.topic, data, retained=False, now_ms=NOW_MS) is not None


@given(st.recursive(st.none() | st.integers() | st.text() | st.floats(), st.lists, max_leaves=5))
def test_no_values_raise(value: object) -> None:
    fields = json.loads(DATA)
    for name in fields:
        data = json.dumps(fields | {name: value}).encode()
        assert isinstance(read(MINUTE.topic, data, retained=False, now_ms=NOW_MS), Heard | Refused)


@given(st.integers(0, 4_000_000_000_000))
def test_times_come_back_as_they_went(at_ms: int) -> None:
    assert to_ms(to_ts(at_ms)) == at_ms


def test_a_text_of_a_refusal_names_what_is_wrong() -> None:
    said = read(MINUTE.topic, DATA.replace(b'"min":', b'"<i>":'), retained=False, now_ms=NOW_MS)
    assert isinstance(said, Refused)
    assert said == dataclasses.replace(said, base=BASE, reason="schema")
    assert "vitals/hr/min" in said.text


@pytest.mark.parametrize("software", ["<b>", "a > b", "x\n", "\u001b[31m"])
def test_a_text_with_markup_or_control_characters_is_refused(software: str) -> None:
    made = birth(composer(), software=software)
    assert reason(made.topic, encode(made)) == "schema"


def test_a_text_in_another_script_is_heard() -> None:
    made = birth(composer(), software='edgemon "1" \u00e9\u4e2d')
    assert reason(made.topic, encode(made)) is None
