"""What people do to alarms becomes one command, or is refused aloud; all of it is in the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from station_web import BASE, PLACE, START_MS, Station, serving

from edgemon.records import Priority
from edgemon.station.nouns import Notice, to_ts

ACK = f"/api/beds/{PLACE}/acknowledge"
PAUSE = f"/api/beds/{PLACE}/pause"


def wish(revision: int = 1, condition: str = "hr_high") -> dict[str, object]:
    return {"alarm_id": f"cot-pi-1/b00t/{condition}", "revision": revision}


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with serving(tmp_path) as running:
        running.online()
        running.state()
        running.alarm()
        yield running


def acts(station: Station) -> list[tuple[str, str, str | None]]:
    return [(row.who, row.what, row.place) for row in station.store.audit_rows() if row.what != "login"]


def test_an_acknowledgement_is_sent_answered_and_logged(station: Station) -> None:
    with station.person("nurse") as nurse:
        answer = nurse.post(ACK, json=wish())
        assert answer.status_code == 202
        [(place, request)] = station.published
        assert place == PLACE
        assert (request.name, request.device, request.bed, request.by) == ("acknowledge", "cot-pi-1", "cot-1", "nurse")
        assert (request.alarm_id, request.revision) == ("cot-pi-1/b00t/hr_high", 1)
        assert request.expires == to_ts(START_MS + 30_000)
        assert answer.json() == {"cmd_id": request.cmd_id}
        status = f"/api/commands/{request.cmd_id}"
        assert nurse.get(status).json()["status"] == "pending"
        station.say(
            "cmd/acknowledge/res",
            "cot-1",
            cmd_id=request.cmd_id,
            name="acknowledge",
            status="done",
            reason=None,
            revision=2,
        )
        told = nurse.get(status).json()
        assert (told["status"], told["revision"], told["by"]) == ("done", 2, "nurse")
    assert acts(station) == [("nurse", "acknowledge", PLACE)]


def test_each_command_has_its_own_id(station: Station) -> None:
    with station.person("nurse") as nurse:
        for _ in range(2):
            nurse.post(ACK, json=wish())
    assert len({request.cmd_id for _place, request in station.published}) == 2


def test_what_is_not_up_to_date_is_refused_at_once(station: Station) -> None:
    station.clock.now_ms += 1000
    station.alarm(revision=3, phase="escalate", priority="high")
    with station.person("nurse") as nurse:
        for body in (wish(1), wish(2), wish(7), wish(1, "hr_low")):
            answer = nurse.post(ACK, json=body)
            assert answer.status_code == 409
            assert set(answer.json()) == {"error"}
        assert station.published == []
        assert nurse.post(ACK, json=wish(3)).status_code == 202
    assert acts(station) == [("nurse", "acknowledge", PLACE), *4 * [("nurse", "acknowledge refused", PLACE)]]


def test_an_acknowledged_alarm_is_not_acknowledged_again(station: Station) -> None:
    station.clock.now_ms += 1000
    at = to_ts(station.clock.now_ms)
    station.alarm(revision=2, phase="update", presence="ack", ack={"by": "other", "at": at})
    with station.person("nurse") as nurse:
        answer = nurse.post(ACK, json=wish(2))
    assert answer.status_code == 409
    assert "other" in answer.json()["error"]


def test_nothing_is_asked_of_a_device_that_is_away(station: Station) -> None:
    station.online(status="stopping")
    with station.person("nurse") as nurse:
        assert nurse.post(ACK, json=wish()).status_code == 409
        assert nurse.post(PAUSE, json={"pause": "audio", "duration_s": 60}).status_code == 409
    assert station.published == []


def test_without_a_broker_nothing_is_claimed(station: Station) -> None:
    station.connected = False
    with station.person("nurse") as nurse:
        answer = nurse.post(ACK, json=wish())
    assert answer.status_code == 503
    assert "broker" in answer.json()["error"]
    assert [what for _who, what, _place in acts(station)] == ["acknowledge not sent", "acknowledge"]


def test_a_command_that_nobody_answers_expires(station: Station) -> None:
    with station.person("nurse") as nurse:
        cmd_id = nurse.post(ACK, json=wish()).json()["cmd_id"]
        station.clock.now_ms += 40_000
        assert nurse.get(f"/api/commands/{cmd_id}").json()["status"] == "expired"
        assert nurse.get("/api/commands/unknown").status_code == 404


def test_pauses_are_timed(station: Station) -> None:
    with station.person("nurse") as nurse:
        for body in (
            {"pause": "procedure", "duration_s": 301},
            {"pause": "audio", "duration_s": 0},
            {"pause": "audio", "duration_s": -1},
            {"pause": "off", "duration_s": 60},
            {"pause": "audio"},
        ):
            assert nurse.post(PAUSE, json=body).status_code == 422, body
        assert station.published == []
        for pause, duration_s in (("audio", 120), ("procedure", 300)):
            assert nurse.post(PAUSE, json={"pause": pause, "duration_s": duration_s}).status_code == 202
    assert [(place, r.pause, r.duration_s) for place, r in station.published] == [
        (PLACE, "audio", 120),
        (PLACE, "procedure", 300),
    ]


def test_an_alarm_of_the_whole_device_is_acknowledged_where_it_stands(station: Station) -> None:
    station.alarm("overheated", bed="_device", kind="technical")
    with station.person("nurse") as nurse:
        assert nurse.post(ACK, json=wish(condition="overheated")).status_code == 202
    [(place, request)] = station.published
    assert (place, request.bed) == (f"{BASE}/_device", "_device")


def test_the_stations_own_notice_is_acknowledged_in_the_store(station: Station) -> None:
    notice = Notice(PLACE, "no_data", Priority.MEDIUM, station.clock.now_ms)
    station.store.change_notices([notice], [], station.clock.now_ms)
    with station.person("nurse") as nurse:
        assert nurse.post(ACK, json={"condition": "no_data"}).status_code == 202
        [found] = [
            alarm for alarm in nurse.get("/api/beds").json()["cards"][0]["alarms"] if alarm["source"] == "station"
        ]
        assert (found["presence"], found["ack_by"], found["ack_ms"]) == ("ack", "nurse", station.clock.now_ms)
        assert nurse.post(ACK, json={"condition": "no_data"}).status_code == 409
        assert nurse.post(ACK, json={"condition": "hr_high"}).status_code == 409
    assert station.published == []


def test_a_device_whose_clock_is_wrong_still_takes_commands(station: Station) -> None:
    behind_ms = 3_600_000
    station.say(
        "vitals/hr", "cot-1", ts=to_ts(station.clock.now_ms - behind_ms),
        heart_rate={"value": 141.0, "reason": None, "quality": 1, "since": to_ts(START_MS), "age_s": 1, "window_s": 10,
                    "method": "rPPG"},
    )  # fmt: skip
    with station.person("nurse") as nurse:
        assert nurse.get("/api/beds").json()["cards"][0]["clock_offset_ms"] == behind_ms
        cmd_id = nurse.post(ACK, json=wish()).json()["cmd_id"]
        assert nurse.get(f"/api/commands/{cmd_id}").json()["status"] == "pending"
        station.clock.now_ms += 40_000
        assert nurse.get(f"/api/commands/{cmd_id}").json()["status"] == "expired"
    assert station.published[0][1].expires == to_ts(START_MS - behind_ms + 30_000)


def test_acts_are_limited(station: Station) -> None:
    wish = {"pause": "audio", "duration_s": 1}
    with station.person("nurse") as nurse, station.person("other") as other:
        while station.web.limits.acts.allow("nurse", station.clock.now_ms):
            pass
        assert [nurse.post(PAUSE, json=wish).status_code for _ in range(4)] == [429] * 4
        assert other.post(PAUSE, json=wish).status_code == 202
        station.clock.now_ms += 1000
        assert nurse.post(PAUSE, json=wish).status_code == 202
    whats = [(who, what) for who, what, _place in acts(station)]
    assert whats.count(("nurse", "limited")) == 2, "refused tries must not fill the log"
