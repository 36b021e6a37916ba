"""What pages read, and that nothing which devices say is ever more than text there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from station_web import BASE, PLACE, START_MS, Station, serving

from edgemon.errors import DeliveryError, StoreUnavailable
from edgemon.messages import decode
from edgemon.station import roster
from edgemon.station.nouns import CALENDAR_END_MS, Refused
from edgemon.station.store import Store

DAY_MS = 86_400_000


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with serving(tmp_path) as running:
        running.online()
        running.state()
        yield running


def test_cards_tell_values_with_their_ages(station: Station) -> None:
    station.alarm()
    station.clock.now_ms += 3000
    with station.person("nurse") as nurse:
        told = nurse.get("/api/beds").json()
        assert told["now_ms"] == START_MS + 3000
        assert told["change"] == station.store.newest_change()
        [card] = told["cards"]
        bed = station.store.bed(PLACE)
        assert bed is not None
        assert card == json.loads(json.dumps(roster.card(bed, station.clock.now_ms, 45.0).json()))
        assert (card["place"], card["label"], card["device"], card["bed"]) == (
            PLACE,
            card["label"],
            "cot-pi-1",
            "cot-1",
        )
        assert (card["online"], card["silent"]) == ("online", False)
        sleep = card["readings"]["sleep"]
        at_ms = START_MS - 1000
        assert sleep == {
            "value": "asleep", "reason": None, "at_ms": at_ms, "age_ms": 4000, "stale": False, "epoch_ms": 30_000
        }  # fmt: skip
        assert "pain_cue" not in card["readings"]
        assert card["heart_rate"]["bpm"] == 141.0
        assert card["alarms"][0]["revision"] == 1
        station.clock.now_ms += 80_000
        [card] = nurse.get("/api/beds").json()["cards"]
        assert card["silent"]
        assert card["readings"]["sleep"]["stale"]
        assert card["heart_rate"]["stale"]


def test_history_of_a_bed(station: Station) -> None:
    start = "2026-01-01T00:00:00.000Z"
    station.say(
        "vitals/hr/min", "cot-1", start=start, end="2026-01-01T00:01:00.000Z", min=120, median=140, max=150,
        valid_share=0.9, estimates=60, method="rPPG",
    )  # fmt: skip
    station.alarm()
    path = f"/api/beds/{PLACE}/history"
    with station.person("nurse") as nurse:
        told = nurse.get(path, params={"from_ms": START_MS - DAY_MS // 2, "to_ms": START_MS + DAY_MS // 2}).json()
        assert set(told) == {
            "heart_rate", "raw", "sleep", "eyes", "crying", "movement", "alarms", "coverage", "summaries"
        }  # fmt: skip
        assert 140 in told["heart_rate"]["median"]
        assert [line["condition"] for line in told["alarms"]] == ["hr_high"]
        assert nurse.get(path).status_code == 200
        for wrong in ({"from_ms": "x"}, {"from_ms": -1}, {"to_ms": "1e9"}, {"from_ms": 5, "to_ms": 5}, {"from_ms": 0},
                      {"to_ms": "٣"}, {"to_ms": "9" * 30}, {"from_ms": 9999999999990000},
                      {"from_ms": CALENDAR_END_MS, "to_ms": CALENDAR_END_MS + 1}):  # fmt: skip
            answer = nurse.get(path, params=wrong)
            assert answer.status_code == 422, wrong
            assert set(answer.json()) == {"error"}
        assert nurse.get("/api/beds/site/nicu/cot-pi-1/cot-9/history").status_code == 404
        day = {"from_ms": CALENDAR_END_MS - DAY_MS, "to_ms": CALENDAR_END_MS}
        assert nurse.get(path, params=day).status_code == 200
        saved = f"/api/beds/{PLACE}/export"
        assert nurse.get(saved, params=day).status_code == 200
        for wrong in ({"from_ms": 9999999999990000}, {"from_ms": 9999999999980000, "to_ms": 9999999999990000}):
            assert nurse.get(saved, params=wrong).status_code == 422


def test_labels_are_put_on_places(station: Station) -> None:
    with station.person("chief", "administer") as chief:
        assert chief.post("/api/assignments", json={"label": " Cot 7 ", "place": PLACE}).status_code == 201
        assert chief.get("/api/beds").json()["cards"][0]["label"] == "Cot 7"
        [row] = chief.get("/api/assignments").json()
        assert (row["label"], row["place"], row["by"], row["from_ms"]) == ("Cot 7", PLACE, "chief", START_MS)
        for label in ("", "<b>7</b>", "a\nb", "x" * 41):
            assert chief.post("/api/assignments", json={"label": label, "place": PLACE}).status_code == 422
        for place in ("", "a/b/c", f"{PLACE}/x", "site/nicu/+/cot", "site/nicu/../cot", "a/b/c/d\n"):
            assert chief.post("/api/assignments", json={"label": "8", "place": place}).status_code == 422, place
        assert chief.delete(f"/api/assignments/{PLACE}").status_code == 200
        assert chief.delete(f"/api/assignments/{PLACE}").status_code == 404
        assert chief.get("/api/assignments").json() == []
        assert len(chief.get("/api/assignments?ended=1").json()) == 1
        assert [row["what"] for row in chief.get("/api/audit").json()][:2] == ["unassign", "assign"]


def test_the_audit_log_is_read_page_by_page(station: Station) -> None:
    for n in range(5):
        station.store.audit("nurse", "act", PLACE, str(n), START_MS)
    with station.person("chief", "administer") as chief:
        rows = chief.get("/api/audit").json()
        older = chief.get("/api/audit", params={"before": rows[2]["n"]}).json()
        assert older == rows[3:]
        assert chief.get("/api/audit", params={"before": "x"}).status_code == 422


MARKUP = "<img src=x onerror=alert(1)>"


def test_markup_of_devices_is_text_or_nothing(station: Station) -> None:
    """Every string field of every payload refuses markup, so what is told of it is a count and a safe line."""
    for name, fields in (
        ("state", {"active_alarms": [{"condition": MARKUP}]}),
        ("alarm/hr_high", {"condition": MARKUP, "text_key": MARKUP, "unit": MARKUP}),
        ("event/cry", {"event_id": MARKUP}),
    ):
        with pytest.raises(DeliveryError):
            decode(f"edgemon/v1/{PLACE}/{name}", json.dumps(fields).encode())
    station.store.commit([], [Refused(BASE, "schema", f"bed: {MARKUP}", START_MS)])
    with station.person("nurse") as nurse:
        answer = nurse.get("/api/devices")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        [device] = answer.json()
        assert [(one["reason"], one["count"]) for one in device["refused"]] == [("schema", 1)]


def test_markup_in_free_text_arrives_as_text(station: Station) -> None:
    """What the schemas leave free: the unit of an alarm and the software of a birth."""
    station.alarm(unit=MARKUP)
    station.say(
        "birth", software=MARKUP, beds=("cot-1",), models=(), capabilities=(), alarms=(), delivery="receipt", schemas=()
    )
    with station.person("nurse") as nurse:
        cards, devices = nurse.get("/api/beds"), nurse.get("/api/devices")
        for answer in (cards, devices):
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert cards.json()["cards"][0]["alarms"][0]["unit"] == MARKUP
        assert devices.json()[0]["software"] == MARKUP


def test_devices_tell_their_losses(station: Station) -> None:
    with station.person("nurse") as nurse:
        [device] = nurse.get("/api/devices").json()
        assert set(device) == {
            "base", "online", "last_heard_ms", "clock_offset_ms", "received", "repeats", "missing", "refused",
            "software", "beds", "outbox", "temperature_c",
        }  # fmt: skip
        assert (device["base"], device["online"], device["received"]) == (BASE, "online", 2)


def test_health_and_readiness(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    with station.browser() as browser:
        assert browser.get("/healthz").text == "ok\n"
        assert browser.get("/readyz").json() == {"ready": True, "reasons": []}

        station.reasons = ["not connected to the broker"]
        assert browser.get("/readyz").json()["reasons"] == ["not connected to the broker"]
        station.reasons = []

        def fail(_store: object) -> None:
            raise StoreUnavailable("the store cannot be reached: refused")

        monkeypatch.setattr(type(station.store), "ready", fail)
        station.clock.now_ms += 1000
        answer = browser.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["reasons"] == ["the store cannot be reached: refused"]
        assert browser.get("/healthz").status_code == 200


@pytest.mark.parametrize(("path", "method", "for_ms"), [("/readyz", "ready", 1000), ("/metrics", "devices", 2000)])
def test_who_asks_often_reads_the_store_seldom(
    station: Station, monkeypatch: pytest.MonkeyPatch, path: str, method: str, for_ms: int
) -> None:
    asked: list[object] = []
    real = getattr(Store, method)
    monkeypatch.setattr(Store, method, lambda store: asked.append(store) or real(store))
    before = station.store.newest_change()
    with station.browser() as browser:
        for after_ms, times in ((0, 1), (for_ms - 1, 1), (1, 2), (-5000, 3)):  # a clock may be set back
            station.clock.now_ms += after_ms
            assert [browser.get(path).status_code for _ in range(3)] == [200] * 3
            assert len(asked) == times
    assert station.store.newest_change() == before


def test_a_store_that_is_away_is_said_in_one_line(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_store: object, *_: object) -> None:
        raise StoreUnavailable("password of the database is hunter2")

    with station.person("nurse") as nurse:
        monkeypatch.setattr(type(station.store), "who", fail)
        answer = nurse.get("/api/beds")
        assert answer.status_code == 503
        assert set(answer.json()) == {"error"}
        assert "hunter2" not in answer.text


def test_metrics_are_prometheus(station: Station) -> None:
    station.alarm()
    station.store.commit([], [Refused(BASE, "schema", "bad", START_MS)])
    with station.browser() as browser:
        text = browser.get("/metrics").text
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["edgemon_ward_devices", "online"] == 1
    assert found["edgemon_ward_beds",] == 1
    assert found["edgemon_ward_alarms", "device", "medium"] == 1
    assert found["edgemon_ward_alarms", "device", "high"] == 0
    assert found["edgemon_ward_messages_received",] == 3
    assert found["edgemon_ward_messages_refused_total", "schema"] == 1
    assert found["edgemon_station_screens",] == 0
    for name in ("edgemon_station_batch_rows_count", "edgemon_station_commit_seconds_count"):
        assert (name,) in found
    assert "cot-1" not in text


def test_an_administrator_retires_a_device_that_is_offline(station: Station) -> None:
    station.online()
    station.state()
    with station.person("ada", "administer") as ada, station.person("nurse") as nurse:
        assert nurse.delete(f"/api/devices/{BASE}").status_code == 403
        assert ada.delete(f"/api/devices/{BASE}").status_code == 409
        station.online(status="offline")
        assert ada.delete(f"/api/devices/{BASE}").json() == {"base": BASE}
        assert ada.delete(f"/api/devices/{BASE}").status_code == 404
        assert ada.get("/api/beds").json()["cards"] == []
        assert next(row["what"] for row in ada.get("/api/audit").json()) == "retire"
