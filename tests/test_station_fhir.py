"""What leaves the station as FHIR is valid R4 as the library `fhir.resources` knows it, and tells of nobody by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st
from station_web import BASE, PLACE, START_MS, Station, serving

from edgemon.errors import StoreUnavailable
from edgemon.messages import payloads as p
from edgemon.records import Activation, Kind, Phase, Presence, Priority, Reason, Sleep
from edgemon.station import fhir
from edgemon.station.nouns import AlarmLine, BedNow, DeviceNow, Episode, Minute, Span, to_ts
from edgemon.station.web.fhir import ISSUES, KINDS

MINUTE_MS, DAY_MS = 60_000, 86_400_000
FHIR = "application/fhir+json"

levels = st.text("abcXYZ019_.:@-", min_size=1, max_size=128).filter(lambda text: text[0] not in ".")
places = st.tuples(levels, levels, levels, levels).map("/".join)
times = st.integers(0, 4_000_000_000_000)
claims = times | st.integers(-(2**53), 2**53)  # what a device may say of its clock
numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(min_size=1, max_size=40)
maybe = lambda strategy: st.none() | strategy  # noqa: E731
reasons = st.sampled_from([str(reason) for reason in Reason])
shares = st.floats(0, 1)
minutes = st.builds(
    Minute, id=levels, place=places, start_ms=times, end_ms=times, min=maybe(numbers), median=maybe(numbers),
    max=maybe(numbers), valid_share=shares, estimates=st.integers(0, 60), received_ms=times,
)  # fmt: skip
spans = st.one_of(
    st.builds(Span, times, times, st.sampled_from(["asleep", "awake"]), st.none()),
    st.builds(Span, times, times, st.none(), maybe(reasons | texts)),
)
lines = st.builds(
    AlarmLine, source=st.sampled_from(["device", "station"]), condition=levels,
    phase=st.sampled_from([str(phase) for phase in Phase]), presence=st.sampled_from([str(one) for one in Presence]),
    priority=st.sampled_from([str(one) for one in Priority]), kind=st.sampled_from([str(one) for one in Kind]),
    onset_ms=claims, at_ms=times, value=maybe(numbers), limit=maybe(numbers), unit=maybe(st.text(max_size=10)),
    alarm_id=maybe(levels), revision=maybe(st.integers(1, 2**53)), ack_by=maybe(levels), ack_ms=maybe(claims),
    replay=st.booleans(),
)  # fmt: skip
episodes = st.builds(
    Episode, place=places, key=levels, line=lines, activation=maybe(st.sampled_from([str(one) for one in Activation])),
    fate=st.sampled_from(["stands", "ended", "unknown"]),
)  # fmt: skip


def check(resource: dict[str, Any]) -> dict[str, Any]:
    """Validate as the library does, and what it does not: ids, references, that nobody is named."""
    known = get_fhir_model_class(resource["resourceType"]).model_validate_json(json.dumps(resource, allow_nan=False))
    again = json.loads(known.model_dump_json())
    assert set(again) == set(resource), "the library knows every element of it"
    for entry in resource.get("entry", ()):
        check(entry["resource"])
    if "id" in resource:
        assert len(resource["id"]) <= 64
        assert resource["id"].replace("-", "").replace(".", "").isalnum()
    assert "Patient" not in json.dumps([resource.get("subject"), resource.get("about")])
    return resource


@settings(max_examples=60, deadline=None)
@given(minutes)
def test_minutes_of_heart_rate_are_observations(minute: Minute) -> None:
    told = check(fhir.heart_rate_minute(minute))
    assert told["code"]["coding"] == [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}]
    assert told["subject"]["reference"] == f"Location/{fhir.digest(minute.place)}"
    assert told["status"] == "preliminary"
    assert "profile" not in told.get("meta", {})
    assert ("valueQuantity" in told) == (minute.median is not None) != ("dataAbsentReason" in told)
    if minute.median is not None:
        assert told["valueQuantity"] == {
            "value": minute.median, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min",
        }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(places, spans)
def test_sleep_is_an_observation_over_a_time(place: str, span: Span) -> None:
    told = check(fhir.sleep(place, span))
    assert told["effectivePeriod"]["start"] == to_ts(span.from_ms)
    if span.value is None:
        assert told["dataAbsentReason"]["coding"][0]["code"] in ("unknown", "not-performed", "error")
    else:
        [coding] = told["valueCodeableConcept"]["coding"]
        assert coding["code"] == {"asleep": "248220008", "awake": "248218005"}[span.value]


@settings(max_examples=100, deadline=None)
@given(episodes)
def test_alarms_are_communications_in_the_words_of_device_alerts(episode: Episode) -> None:
    told = check(fhir.communication(episode, "st1"))
    [alert] = told["extension"]
    said = {one["url"]: one for one in alert["extension"]}
    assert said["presence"]["valueCode"] == episode.line.presence
    assert said["presence"]["valueCode"] in ("on", "latched", "off", "ack")
    if episode.activation is not None:
        assert said["activationState"]["valueCode"] == ("on" if episode.activation == "on" else "paused")
    assert "R6" in told["note"][0]["text"]
    assert told["status"] in ("in-progress", "completed", "unknown")


@settings(max_examples=60, deadline=None)
@given(places, st.text(min_size=1, max_size=40).filter(str.strip))
def test_cots_are_locations_under_their_labels(place: str, label: str) -> None:
    assert check(fhir.location(place, label))["name"] == label


def reading(**fields: Any) -> dict[str, Any]:
    return {"quality": 0.5, "since": "2026-01-01T00:00:00.000Z", "age_s": 2.0, "reason": None, "value": None} | fields


@settings(max_examples=40, deadline=None)
@given(places, maybe(st.floats(20, 300)), reasons, times.filter(lambda ms: ms > 10_000))
def test_the_newest_estimate_is_dated_by_its_frame(place: str, bpm: float | None, reason: str, at_ms: int) -> None:
    told = reading(value=bpm, reason=None if bpm else reason, window_s=10, method="rPPG")
    bed = BedNow(
        place, "7", None, None, None, p.HeartRateReading.model_validate(told), at_ms, None, (), (), at_ms, None, 1
    )
    made = fhir.heart_rate_newest(bed)
    assert made is not None
    assert check(made)["effectiveDateTime"] == to_ts(at_ms - 2000)
    assert fhir.pain_cue(bed) is None


@settings(max_examples=40, deadline=None)
@given(levels, st.sampled_from(["online", "stopping", "offline"]), maybe(texts), st.lists(places, max_size=3))
def test_devices(name: str, status: str, software: str | None, beds: list[str]) -> None:
    avail = p.Avail.model_construct(status=status)
    birth = None if software is None else p.Birth.model_construct(software=software)
    known = DeviceNow(f"site/nicu/{name}", avail, birth, None, None, None, 0, 0, 0, (), 1)
    assert check(fhir.device(known, beds))["identifier"][0]["value"] == known.base
    check(fhir.station_device("st1", "1.0"))


pages = st.lists(
    st.one_of(
        minutes.map(fhir.heart_rate_minute), st.builds(fhir.sleep, places, spans),
        st.builds(fhir.communication, episodes, texts.filter(str.strip)),
        places.map(lambda place: fhir.location(place, "7")),
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(pages, st.booleans())
def test_pages_are_bundles(page: list[dict[str, Any]], more: bool) -> None:
    home = "http://127.0.0.1:8080/fhir"
    links = {"self": f"{home}/Observation"} | ({"next": f"{home}/Observation?_page=1~a"} if more else {})
    told = check(fhir.bundle(home, page, links))
    assert [entry["resource"] for entry in told.get("entry", [])] == page
    assert all(entry["fullUrl"].startswith(f"{home}/") for entry in told.get("entry", []))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(set(ISSUES.values()))), texts.filter(str.strip), times)
def test_errors_and_what_is_served(code: str, line: str, now_ms: int) -> None:
    assert check(fhir.outcome(code, line))["issue"][0]["diagnostics"] == line
    check(fhir.capability("http://127.0.0.1:8080/fhir", line, "1.0", now_ms, KINDS))


@pytest.mark.parametrize("sleep", Sleep)
def test_every_word_for_sleep_has_its_code(sleep: Sleep) -> None:
    assert "valueCodeableConcept" in fhir.sleep(PLACE, Span(0, 1, str(sleep), None))


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with serving(tmp_path) as running:
        running.online()
        running.say(
            "birth", software="edgemon 1", beds=("cot-1", "cot-2"), models=(), capabilities=(), alarms=(),
            delivery="receipt", schemas=(),
        )  # fmt: skip
        cue = {"value": 0.25, "reason": None, "quality": 1, "since": to_ts(START_MS), "age_s": 0}
        for n in range(5):
            at_ms = START_MS + n * MINUTE_MS
            running.state(pain_cue=cue)
            running.say(
                "vitals/hr/min", "cot-1", start=to_ts(at_ms), end=to_ts(at_ms + MINUTE_MS), min=120,
                median=None if n == 2 else 140, max=150, valid_share=0.9, estimates=60, method="rPPG",
            )  # fmt: skip
            running.clock.now_ms += MINUTE_MS
        rate = {"value": 141.0, "reason": None, "quality": 1, "since": to_ts(START_MS), "age_s": 1}
        running.say("vitals/hr", "cot-1", heart_rate=rate | {"window_s": 10, "method": "rPPG"})
        yield running


def search(client: httpx2.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    """All resources of a search, page after page."""
    answer = client.get(f"/fhir/{path}", params=params)
    found = []
    for _ in range(100):
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == FHIR
        bundle = check(answer.json())
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        assert client.get(links["self"]).json() == bundle
        found += [entry["resource"] for entry in bundle.get("entry", ())]
        if "next" not in links:
            return found
        answer = client.get(links["next"])
    raise AssertionError("the pages do not end")


COT = fhir.location_ref(PLACE)["reference"]
DEVICE = fhir.device_ref(BASE)["reference"]


def test_observations_of_a_cot_page_by_page(station: Station) -> None:
    with station.person("nurse", "view") as nurse:
        all_at_once = search(nurse, "Observation", subject=COT)
        assert [one["id"].partition(".")[0] for one in all_at_once].count("heart-rate") == 5
        kinds = {one["id"].partition(".")[0] for one in all_at_once}
        assert kinds == {"heart-rate", "heart-rate-newest", "sleep", "pain-cue-newest"}
        assert search(nurse, "Observation", subject=COT, _count=2) == all_at_once
        assert search(nurse, "Observation", device=DEVICE, _count=1) == all_at_once
        assert all(nurse.get(f"/fhir/Observation/{one['id']}").json() == one for one in all_at_once)
        rates = search(nurse, "Observation", subject=COT, code="http://loinc.org|8867-4")
        assert [one.get("valueQuantity", {}).get("value") for one in rates] == [140, 140, None, 140, 140, 141]
        cue = search(nurse, "Observation", subject=COT, code="pain-cue")
        assert [one["code"]["coding"][0]["system"] for one in cue] == ["urn:edgemon:code"]
        sleep = search(nurse, "Observation", subject=COT, code="sleep-state")
        assert sleep[0]["valueCodeableConcept"]["coding"][0]["code"] == "248220008"
        assert search(nurse, "Observation", subject="Location/none") == []
        assert search(nurse, "Observation", subject=COT, code="http://snomed.info/sct|8867-4") == []


def test_observations_between_two_moments(station: Station) -> None:
    with station.person("nurse", "view") as nurse:

        def starts(*dates: str) -> list[int]:
            found = search(nurse, "Observation", subject=COT, code="8867-4", date=list(dates))
            return [(fhir.starts_ms(one) - START_MS) // 1000 for one in found if "newest" not in one["id"]]

        assert starts("2026-01-01") == [0, 60, 120, 180, 240]
        assert starts("ge2026-01-01T00:02:30Z") == [120, 180, 240]
        assert starts("gt2026-01-01T00:01:00Z", "lt2026-01-01T00:03") == [60, 120]
        assert starts("le2026-01-01T01:00:59+01:00") == [0]
        assert starts("lt2026-01-01") == []
        assert starts("ge2026-01-02") == []
        assert starts("ge2025-12-15", "le2026-01-10") == [0, 60, 120, 180, 240]


def test_alarms_of_the_ward(station: Station) -> None:
    station.alarm()
    station.alarm("no_face", bed="cot-2", presence="latched", activation="audio_paused")
    station.alarm("storage_full", bed="_device", kind="technical", value=None, limit=None, unit=None)
    station.clock.now_ms += 1000
    station.alarm("no_face", revision=2, bed="cot-2", presence="off", phase="end")
    with station.person("nurse", "view") as nurse:
        told = {one["reasonCode"][0]["text"]: one for one in search(nurse, "Communication", _count=1)}
        assert {name: one["status"] for name, one in told.items()} == {
            "hr_high": "in-progress", "no_face": "completed", "storage_full": "in-progress",
        }  # fmt: skip
        assert told["hr_high"]["about"][0]["reference"] == COT
        assert [one["reference"] for one in told["storage_full"]["about"]] == [DEVICE]
        assert len(search(nurse, "Communication", status="in-progress")) == 2
        assert len(search(nurse, "Communication", sender=DEVICE)) == 3
        assert search(nurse, "Communication", sender="Device/station") == []
        assert search(nurse, "Communication", about=COT) == [told["hr_high"]]
        assert all(nurse.get(f"/fhir/Communication/{one['id']}").json() == one for one in told.values())


def test_devices_cots_and_what_is_served(station: Station) -> None:
    station.store.assign("Cot 7", PLACE, "chief", START_MS)
    with station.person("nurse", "view") as nurse:
        cots = search(nurse, "Location", _count=1)
        assert {one["name"] for one in cots} == {"Cot 7", "cot-2"}
        devices = search(nurse, "Device", _count=1)
        assert {one["id"] for one in devices} == {"station", fhir.digest(BASE)}
        for one in cots + devices:
            assert nurse.get(f"/fhir/{one['resourceType']}/{one['id']}").json() == one
        served = check(nurse.get("/fhir/metadata").json())
        assert served["fhirVersion"] == "4.0.1"
        assert {one["type"] for one in served["rest"][0]["resource"]} == {
            "Observation", "Communication", "Device", "Location",
        }  # fmt: skip


ERRORS = [
    ("Observation", 400, "invalid"),
    ("Observation?subject=Location/x&patient=1", 400, "invalid"),
    ("Observation?subject=Location/x&subject=Location/y", 400, "invalid"),
    ("Observation?subject=Location/x&date=yesterday", 400, "invalid"),
    ("Observation?subject=Location/x&date=ge0001-01-01", 400, "invalid"),
    ("Observation?subject=Location/x&date=ge9999-12-31T23:59:59-10:00", 400, "invalid"),
    ("Observation?subject=Location/x&date=ge2026-02-30", 400, "invalid"),
    ("Observation?subject=Location/x&date=ge2020-01-01", 422, "too-costly"),
    ("Observation?subject=Location/x&_count=0", 400, "invalid"),
    ("Observation?subject=Location/x&_count=501", 400, "invalid"),
    ("Observation?subject=Location/x&_count=000000001999999999", 400, "invalid"),
    (f"Observation?subject=Location/x&_count={'9' * 5000}", 400, "invalid"),
    ("Observation?subject=Location/x&_page=x", 400, "invalid"),
    ("Observation?subject=Location/x&_format=xml", 400, "invalid"),
    ("Observation/none", 404, "not-found"),
    ("Observation/sleep.1767225600000.0000", 404, "not-found"),
    ("Observation/heart-rate.999999999999999.0", 404, "not-found"),
    ("Communication/alarm.0.0", 404, "not-found"),
    ("Patient", 404, "not-found"),
    ("Patient/1", 404, "not-found"),
    ("", 404, "not-found"),
]


def test_errors_are_outcomes(station: Station) -> None:
    with station.person("nurse", "view") as nurse:
        for path, status, code in ERRORS:
            answer = nurse.get(f"/fhir/{path}")
            assert answer.status_code == status, path
            assert answer.headers["content-type"] == FHIR
            [issue] = check(answer.json())["issue"]
            assert (issue["severity"], issue["code"]) == ("error", code), path


def test_only_people_who_may_look_and_nothing_is_written(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    with station.browser() as stranger:
        for path in ("metadata", "Observation", "Patient"):
            answer = stranger.get(f"/fhir/{path}")
            assert (answer.status_code, check(answer.json())["issue"][0]["code"]) == (401, "login")
    with station.person("nurse", "administer") as nurse:
        answer = nurse.post("/fhir/Observation", json={})
        assert (answer.status_code, check(answer.json())["issue"][0]["code"]) == (405, "not-supported")

        def fail(*_: object) -> None:
            raise StoreUnavailable("the password is hunter2")

        monkeypatch.setattr(type(station.store), "episodes", fail)
        answer = nurse.get("/fhir/Communication")
        assert (answer.status_code, check(answer.json())["issue"][0]["code"]) == (503, "transient")
        assert "hunter2" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
