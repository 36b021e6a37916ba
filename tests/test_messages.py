"""What is said on the wire: topics, payloads, schemas, and that the same records give the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from wire import BED, alarm_event, bout, composer, hour, minute, moved, patient, stamp

from edgemon.errors import DeliveryError
from edgemon.messages import MAX_PAYLOAD_BYTES, TOPICS, Composer, Stamp, address, decode, encode, schema
from edgemon.messages import payloads as p
from edgemon.messages.counters import BLOCK, Counters
from edgemon.records import Durability, HeartRate, Message, Observation, Phase, Presence, Reason

GOLDEN = ROOT / "tests/golden/schema"
REMAKE = "edgemon schema --out tests/golden/schema"


def one_of_each(compose: Composer) -> list[Message]:
    """A message of every topic that a device sends."""
    now = stamp()
    outbox = p.OutboxHealth(waiting=3, bytes=900, oldest_s=4.5, dropped=0)
    camera = p.CameraHealth(
        bed=BED, fps=29.9, frame_age_s=0.03, frozen_s=0, luma=88, dropped_frames=0, restarts=0
    )  # fmt: skip
    request = p.CommandRequest(
        cmd_id="c1", name="acknowledge", device="cot-pi-1", bed=BED, by="station-1", expires=now.ts,
        alarm_id="a", revision=3,
    )  # fmt: skip
    model = p.ModelInfo(id="face", version="1.0.0", sha256="00", precision="fp32")
    limit = p.AlarmLimit(
        condition="hr_high", kind="physiological", priority="medium", enabled=True, latching=False,
        limit=200, unit="/min", delay_s=10,
    )  # fmt: skip
    return [
        compose.avail("online", now, connection=1, will_seq=7),
        compose.birth(now, software="edgemon 0.1.0", beds=[BED], models=[model], capabilities=["sleep"], alarms=[limit],
                      delivery="receipt"),
        compose.health(now, uptime_s=12.3, cameras=[camera], outbox=outbox,
                       stages=[p.StageLatency(stage="face", p50_ms=14, p95_ms=22)], active_alarms=[alarm_event()]),
        compose.state(patient(), [alarm_event(), alarm_event("hr_low", presence=Presence.OFF)], now),
        compose.heart_rate(BED, patient().heart_rate, now),
        minute(compose),
        compose.movement(moved(), now),
        compose.behaviour(bout(phase=Phase.END), now),
        compose.summary(hour(), now),
        compose.alarm(alarm_event(), now, ack=p.Acknowledgement(by="station-1", at=now.ts)),
        compose.command_response(request, "refused", now, reason="stale revision", revision=4),
    ]  # fmt: skip


def test_every_message_keeps_its_published_schema() -> None:
    messages = one_of_each(composer())
    for message in messages:
        payload = json.loads(encode(message))
        model = address(message.topic).topic.model
        published = json.loads((GOLDEN / f"{model.__name__}.json").read_text())
        jsonschema.validate(payload, published, cls=jsonschema.Draft202012Validator)
    assert {address(m.topic).topic for m in messages} == {row for row in TOPICS if row.sender == "device"}


def test_a_message_decodes_to_the_payload_that_was_encoded() -> None:
    for message in one_of_each(composer()):
        assert decode(message.topic, encode(message)) == message.payload


def test_schemas_are_the_committed_ones(tmp_path: Path) -> None:
    for path in schema.write(tmp_path):
        committed = GOLDEN / path.name
        assert committed.read_text() == path.read_text(), f"{committed} differs; remake it with: {REMAKE}"
    assert {path.name for path in GOLDEN.iterdir()} == {path.name for path in tmp_path.iterdir()}


def test_the_page_on_mqtt_is_made_from_the_tables() -> None:
    page = ROOT / "docs/mqtt.md"
    assert page.read_text() == schema.topics_page(), (
        f"{page} differs; write edgemon.messages.schema.topics_page() to it"
    )


def test_schemas_are_valid_json_schema() -> None:
    for row in TOPICS:
        jsonschema.Draft202012Validator.check_schema(schema.json_schema(row.model))


def test_asyncapi_has_a_channel_and_bindings_for_each_topic() -> None:
    document = json.loads((GOLDEN / "asyncapi.json").read_text())
    assert document["asyncapi"] == "3.0.0"
    bindings = [operation["bindings"]["mqtt"] for operation in document["operations"].values()]
    assert [(b["qos"], b["retain"], b.get("messageExpiryInterval")) for b in bindings] == [
        (row.qos, row.retain, row.expiry_s) for row in TOPICS
    ]
    assert all(channel["address"].startswith("edgemon/v1/{site}/") for channel in document["channels"].values())
    assert document["servers"]["broker"]["bindings"]["mqtt"]["lastWill"]["topic"].endswith("/_device/avail")


@given(seconds=st.lists(st.floats(0, 1e6), min_size=1, max_size=6), session=st.integers(1, 99))
def test_the_composer_gives_the_same_bytes_for_the_same_records(seconds: list[float], session: int) -> None:
    def run() -> list[bytes]:
        compose = composer(session)
        return [
            encode(message)
            for at_s in seconds
            for message in (
                compose.state(patient(), [alarm_event()], stamp(at_s)),
                compose.alarm(alarm_event(), stamp(at_s)),
                compose.behaviour(bout(), stamp(at_s)),
            )
        ]

    assert run() == run()


def test_ids_rise_over_all_messages_of_a_device() -> None:
    payloads = [message.payload for message in one_of_each(composer())]
    assert [payload.seq for payload in payloads if isinstance(payload, p.Header)] == list(range(1, 12))
    assert payloads[2].id == "cot-pi-1/b00t/3"  # type: ignore[union-attr]


def test_a_moment_becomes_wall_time_by_the_offset_of_the_stamp() -> None:
    assert stamp(100.0).wall(90.0) == "2026-01-05T03:11:59.120Z"
    assert Stamp(5.0, "2026-03-01T00:00:00.000Z", "rtc").wall(4.999) == "2026-02-28T23:59:59.999Z"


def test_a_stamp_needs_utc_to_the_millisecond() -> None:
    with pytest.raises(ValueError, match="UTC to the millisecond"):
        Stamp(1.0, "2026-01-05T03:12:09+01:00", "ntp")


def test_readings_carry_codes_units_and_the_reason_of_what_is_unknown() -> None:
    state = json.loads(encode(composer().state(patient(), [alarm_event()], stamp())))
    assert state["heart_rate"]["code"]["code"] == "8867-4"
    assert (state["heart_rate"]["unit"], state["heart_rate"]["value"]) == ("/min", 142.3)
    assert state["sleep"]["code"]["code"] == "248220008"
    assert (state["cry"]["value"], state["cry"]["reason"], state["cry"]["age_s"]) == (None, "dark", 1.0)
    assert [alarm["condition"] for alarm in state["active_alarms"]] == ["hr_high"]


def test_no_code_of_a_clinical_pain_scale_is_ever_sent() -> None:
    texts = [encode(message).decode() for message in one_of_each(composer())]
    texts += [path.read_text() for path in GOLDEN.iterdir()]
    assert not [word for word in ("95620", "95621", "N-PASS", "NIPS", "PIPP") if any(word in text for text in texts)]


def test_an_abstaining_observation_becomes_a_heart_rate_without_value() -> None:
    seen = Observation(BED, "heart_rate", 99.0, None, Reason.MOTION, 0.1, "pos@1")
    vital = json.loads(encode(composer().heart_rate(BED, seen, stamp())))["heart_rate"]
    assert (vital["value"], vital["reason"], vital["age_s"], vital["method"]) == (None, "motion", 1.0, "pos@1")
    rate = Observation(BED, "heart_rate", 99.0, HeartRate(150, 10, "rPPG-CHROM"), None, 0.9, "chrom@1")
    assert json.loads(encode(composer().heart_rate(BED, rate, stamp())))["heart_rate"]["method"] == "rPPG-CHROM"


def test_the_message_that_clears_an_alarm_is_empty_and_retained() -> None:
    message = composer().alarm_cleared(BED, "hr_high")
    assert (encode(message), message.retain, message.durability) == (b"", True, Durability.OUTBOX_FIRST)
    assert message.topic == "edgemon/v1/site/nicu/cot-pi-1/cot-1/alarm/hr_high"


BASE = "edgemon/v1/site/nicu/cot-pi-1"


@pytest.mark.parametrize(
    ("topic", "payload", "says"),
    [
        ("edgemon/v1/site/nicu/cot-pi-1/cot-1/nonsense", b"{}", "is no topic of"),
        (f"{BASE}/cot-1/avail", b"{}", "is no topic of"),
        (f"{BASE}/cot-1/alarm/", b"{}", "is no topic of"),
        ("other/v1/a/b/c/d/state", b"{}", "is no topic of"),
        (f"{BASE}/cot-1/state", b" " * (MAX_PAYLOAD_BYTES + 1), "at most 65536"),
        (f"{BASE}/cot-1/cmd/pause/req", b"not json", "Invalid JSON"),
        (f"{BASE}/cot-1/cmd/pause/req", b"[" * 60_000, "Invalid JSON"),
        (f"{BASE}/cot-1/cmd/pause/req", b"\xff\xfe", "Invalid JSON"),
        (
            f"{BASE}/_device/receipt",
            b'{"v":2,"station":"s","device":"d","ids":[],"ts":"2026-01-05T03:12:09.120Z"}',
            "v:",
        ),
        (
            f"{BASE}/_device/receipt",
            b'{"station":"s","device":"d","ids":["x"],"ts":"2026-01-05T03:12:09.120Z"}',
            "ids.0:",
        ),
    ],
)
def test_a_bad_message_is_refused_in_one_line(topic: str, payload: bytes, says: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        decode(topic, payload)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=300), st.sampled_from(["cot-1/cmd/pause/req", "_device/receipt", "cot-1/state", "x"]))
def test_whatever_arrives_is_decoded_or_refused(payload: bytes, end: str) -> None:
    with pytest.raises(DeliveryError):
        decode(f"{BASE}/{end}", payload)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "acknowledge", "alarm_id": "a"},
        {"name": "pause", "pause": "audio"},
        {"name": "pause", "pause": "audio", "duration_s": 301},
        {"name": "rebirth", "revision": 1},
        {"name": "shutdown"},
    ],
)
def test_a_command_must_be_whole(fields: dict[str, object]) -> None:
    base = {"cmd_id": "c", "device": "d", "bed": BED, "by": "s", "expires": stamp().ts}
    with pytest.raises(ValueError, match="validation error"):
        p.CommandRequest.model_validate({**base, **fields})


def test_numbers_go_on_within_a_boot_and_sessions_over_boots(tmp_path: Path) -> None:
    path = tmp_path / "counters.json"
    first = Counters.begin(path, "boot-one")
    used = [number for number, _ in zip(first.numbers(), range(BLOCK + 5), strict=False)]
    second = Counters.begin(path, "boot-one")
    assert (second.session, second.boot) == (2, first.boot)
    assert next(second.numbers()) > max(used)
    third = Counters.begin(path, "boot-two")
    assert (third.session, next(third.numbers())) == (3, 1)
    assert third.boot != first.boot


def test_damaged_or_missing_counters_never_lead_to_an_id_twice(tmp_path: Path) -> None:
    path = tmp_path / "counters.json"
    first = Counters.begin(path, "boot-one")
    path.write_text("{damaged")
    second = Counters.begin(path, "boot-one")
    assert second.boot != first.boot
    assert (tmp_path / "counters.corrupt").exists()


def test_counters_that_cannot_be_written_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="cannot be written"):
        Counters.begin(tmp_path / "absent/counters.json", "boot-one")
