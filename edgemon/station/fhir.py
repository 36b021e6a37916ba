"""Rows of the store as HL7 FHIR R4 resources (plain dicts); pure.

The station knows beds and devices and nobody by name: the subject of an observation is the Location of the cot, and no
Patient is made up, so R4's vital-signs profile, which asks for one, is not claimed. Every observation is `preliminary`:
nobody has verified it. R4 has no alarm resource; alarms are Communications worded as the DeviceAlert of the R6 ballot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgemon.messages import payloads as p
from edgemon.records import Reason, Sleep
from edgemon.station.nouns import BedNow, DeviceNow, Episode, Minute, Span, base_of, bed_of, calendar_ts, to_ms

Resource = dict[str, Any]
FHIR_VERSION = "4.0.1"
TERMS = "http://terminology.hl7.org/CodeSystem"
UCUM = "http://unitsofmeasure.org"
REASONS = "urn:edgemon:reason"
CONDITIONS = "urn:edgemon:condition"
ALERT = "urn:edgemon:device-alert"
METHOD = {"text": "rPPG (remote photoplethysmography by camera)"}
WORDING = (
    "Worded as DeviceAlert of the HL7 FHIR R6 ballot (presence, activationState), which R4 does not have; "
    "its final form may differ. " + p.INTENDED_USE
)
SLEEP = p.Coding(system=p.OWN, code="sleep-state", display="Asleep or awake, by camera")
ABSENT = {Reason.DISABLED: "not-performed", Reason.MODEL_FAILED: "error", Reason.OVERLOADED: "error"}  # else: unknown
URGENCY = {"high": "stat", "medium": "urgent", "low": "routine"}
FATES = {"stands": "in-progress", "ended": "completed", "unknown": "unknown"}
ONLINE = {  # status of a Device, and its reason
    "online": ("active", "online"), "stopping": ("inactive", "off"), "offline": ("inactive", "offline"),
    "unknown": ("unknown", None),
}  # fmt: skip
STATION = "station"  # the id of the Device that the station itself is


def digest(text: str) -> str:
    """Sixteen hexadecimal digits that stand for a name that may be too long or too colourful for an id."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def minute_id(minute: Minute) -> str:
    """The id of an Observation: kind, when it begins, and which."""
    return f"heart-rate.{minute.start_ms}.{digest(minute.id)}"


def span_id(place: str, span: Span) -> str:
    """As `minute_id`."""
    return f"sleep.{span.from_ms}.{digest(place)}"


def newest_id(kind: str, place: str) -> str:
    """The id of an Observation that is replaced by the next of its kind; it begins at no fixed time."""
    return f"{kind}-newest.0.{digest(place)}"


def episode_id(episode: Episode) -> str:
    """The id of a Communication: where, and which alarm."""
    return f"alarm.{digest(episode.place)}.{digest(episode.key)}"


def heart_rate_minute(minute: Minute) -> Resource:
    """The median of one minute, with its lowest and highest estimate and the share of estimates that were valid."""
    parts = [("minimum", minute.min, "/min"), ("maximum", minute.max, "/min"), ("valid-share", minute.valid_share, "1")]
    found = _observation(minute_id(minute), minute.place, p.HEART_RATE, "vital-signs")
    return (
        found
        | {"effectivePeriod": _period(minute.start_ms, minute.end_ms), "issued": calendar_ts(minute.received_ms)}
        | _quantity(minute.median, "/min", None)
        | {"method": METHOD, "component": [_component(*part) for part in parts]}
    )


def heart_rate_newest(bed: BedNow) -> Resource | None:
    """The newest estimate, at the time of its newest frame; None where none ever came."""
    reading, came_ms = bed.heart_rate, bed.heart_rate_received_ms
    if reading is None or came_ms is None:
        return None
    return (
        _observation(newest_id("heart-rate", bed.place), bed.place, p.HEART_RATE, "vital-signs")
        | _moment(reading, came_ms)
        | _quantity(reading.value, "/min", reading.reason)
        | {"method": METHOD, "component": [_component("quality", reading.quality, "1")]}
    )


def pain_cue(bed: BedNow) -> Resource | None:
    """The newest share of time with facial actions of pain, under a code of our own: no score of any clinical scale."""
    state, came_ms = bed.state, bed.state_received_ms
    if state is None or came_ms is None or state.pain_cue.reason == Reason.DISABLED:
        return None
    note = "Facial actions seen by camera; not an assessment on any clinical pain scale, and no part of one."
    return (
        _observation(newest_id("pain-cue", bed.place), bed.place, p.PAIN_CUE, "exam")
        | _moment(state.pain_cue, came_ms)
        | _quantity(state.pain_cue.value, "1", state.pain_cue.reason)
        | {"note": [{"text": note}]}
    )


def sleep(place: str, span: Span) -> Resource:
    """A time asleep or awake, or one of which it is not known; none goes beyond midnight (UTC)."""
    found = _observation(span_id(place, span), place, SLEEP, "activity")
    found["effectivePeriod"] = _period(span.from_ms, span.to_ms)
    if span.value is None:
        return found | {"dataAbsentReason": _absent(span.reason)}
    return found | {"valueCodeableConcept": _concept(p.SLEEP_CODES[Sleep(span.value)])}


def communication(episode: Episode, station: str) -> Resource:
    """An alarm from its onset on; `station` is the name of the one that raised it, where no device did."""
    line = episode.line
    ours = line.source == "station"
    sender = _ref("Device", STATION, station) if ours else device_ref(base_of(episode.place))
    about = [device_ref(base_of(episode.place))]
    if not bed_of(episode.place).startswith("_"):
        about.insert(0, location_ref(episode.place))
    return {
        "resourceType": "Communication",
        "id": episode_id(episode),
        "extension": [{"url": ALERT, "extension": _alert(episode)}],
        "identifier": [{"system": f"{ALERT}:id", "value": f"{episode.place} {episode.key}"}],
        "status": FATES[episode.fate],
        "category": [{"coding": [{"system": f"{TERMS}/communication-category", "code": "alert", "display": "Alert"}]}],
        "priority": URGENCY[line.priority],
        "about": about,
        "sent": calendar_ts(line.at_ms),
        "sender": sender,
        "reasonCode": [{"coding": [{"system": CONDITIONS, "code": line.condition}], "text": line.condition}],
        "payload": [{"contentString": _told(episode)}],
        "note": [{"text": WORDING}],
    }


def _alert(episode: Episode) -> list[Resource]:
    """The terms of R6: `on` may sound, `latched` is over and still does, `ack` was acknowledged, `off` is over."""
    line = episode.line
    paused = episode.activation not in (None, "on")
    said: list[tuple[str, str, Any]] = [
        ("type", "valueCode", line.kind),
        ("priority", "valueCode", line.priority),
        ("presence", "valueCode", line.presence),
        ("activationState", "valueCode", "paused" if paused else episode.activation),
        ("paused", "valueCode", episode.activation if paused else None),
        ("onset", "valueDateTime", calendar_ts(line.onset_ms)),
        ("value", "valueQuantity", _measured(line.value, line.unit)),
        ("limit", "valueQuantity", _measured(line.limit, line.unit)),
        ("revision", "valueString", None if line.revision is None else str(line.revision)),  # may exceed an integer
        ("acknowledgedBy", "valueString", line.ack_by),
        ("acknowledged", "valueDateTime", calendar_ts(line.ack_ms) if line.ack_ms is not None else None),
    ]
    return [{"url": name, kind: value} for name, kind, value in said if value is not None]


def _told(episode: Episode) -> str:
    line = episode.line
    measured = "" if line.value is None else f": {line.value:g} {_plain(line.unit or '')}".rstrip()
    limit = "" if line.limit is None else f" (limit {line.limit:g})"
    return f"{line.condition}{measured}{limit}, {line.priority} priority, {line.kind}, {line.presence}"


def device(known: DeviceNow, places: Sequence[str]) -> Resource:
    """A device at the cot; `places` are its beds, and one that has one bed stands there."""
    name = known.base.rpartition("/")[2]
    status, reason = ONLINE[known.avail.status if known.avail else "unknown"]
    found = _device(digest(known.base), name, known.base, status)
    if reason is not None:
        found["statusReason"] = [
            {"coding": [{"system": f"{TERMS}/device-status-reason", "code": reason, "display": reason.capitalize()}]}
        ]
    if known.birth is not None and (software := _plain(known.birth.software)):
        found["version"] = [{"value": software}]
    if len(places) == 1:
        found["location"] = location_ref(places[0])
    return found


def station_device(name: str, version: str) -> Resource:
    """The station, which raises alarms of its own."""
    return _device(STATION, name, f"station {name}", "active") | {"version": [{"value": version}]}


def location(place: str, label: str) -> Resource:
    """A cot, under the label by which the ward knows it."""
    return {
        "resourceType": "Location",
        "id": digest(place),
        "identifier": [{"system": "urn:edgemon:place", "value": place}],
        "status": "active",
        "name": label,
        "mode": "instance",
        "physicalType": {"coding": [{"system": f"{TERMS}/location-physical-type", "code": "bd", "display": "Bed"}]},
    }


def location_ref(place: str) -> Resource:
    """A reference to the Location of a place."""
    return _ref("Location", digest(place), bed_of(place))


def device_ref(base: str) -> Resource:
    """A reference to the Device of a base."""
    return _ref("Device", digest(base), base.rpartition("/")[2])


def bundle(home: str, resources: Iterable[Resource], links: Mapping[str, str]) -> Resource:
    """One page of what was found; `home` is where the resources are, `links` are by relation (self, next).

    It tells no `total`, for which all pages would have to be read.
    """
    entries = [
        {"fullUrl": f"{home}/{one['resourceType']}/{one['id']}", "resource": one, "search": {"mode": "match"}}
        for one in resources
    ]
    made: Resource = {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": relation, "url": url} for relation, url in links.items()],
    }
    return made | ({"entry": entries} if entries else {})


def outcome(code: str, line: str) -> Resource:
    """An error in one line; `code` is of R4's issue-type."""
    issue = {"severity": "error", "code": code, "diagnostics": line}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def capability(
    home: str, name: str, version: str, now_ms: int, kinds: Mapping[str, Mapping[str, tuple[str, str]]]
) -> Resource:
    """What is served at `home`; `kinds` are the types with their search parameters: name to (type, what it does)."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": calendar_ts(now_ms),
        "kind": "instance",
        "software": {"name": "edgemon station", "version": version},
        "implementation": {"description": f"{name}. {p.INTENDED_USE}", "url": home},
        "fhirVersion": FHIR_VERSION,
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "documentation": "Read only. Subjects are Locations (cots): no Patient is known here. Observations are "
                "preliminary estimates by camera. A Bundle tells no total. " + WORDING,
                "resource": [
                    {
                        "type": kind,
                        "interaction": [{"code": "read"}, {"code": "search-type"}],
                        "searchParam": [
                            {"name": param, "type": told, "documentation": text}
                            for param, (told, text) in params.items()
                        ],
                    }
                    for kind, params in kinds.items()
                ],
            }
        ],
    }


def _observation(named: str, place: str, code: p.Coding, category: str) -> Resource:
    return {
        "resourceType": "Observation",
        "id": named,
        "status": "preliminary",
        "category": [{"coding": [{"system": f"{TERMS}/observation-category", "code": category}]}],
        "code": _concept(code),
        "subject": location_ref(place),
        "device": device_ref(base_of(place)),
    }


def _device(named: str, name: str, identifier: str, status: str) -> Resource:
    return {
        "resourceType": "Device",
        "id": named,
        "identifier": [{"system": "urn:edgemon:device", "value": identifier}],
        "status": status,
        "deviceName": [{"name": name, "type": "user-friendly-name"}],
        "type": {"text": "nurse station" if named == STATION else "camera at the cot"},
        "note": [{"text": p.INTENDED_USE}],
    }


def _moment(reading: p.Measured[Any], came_ms: int) -> Resource:
    """When a reading was made on our clock, and when it came."""
    return {"effectiveDateTime": calendar_ts(came_ms - round(1000 * reading.age_s)), "issued": calendar_ts(came_ms)}


def _quantity(value: float | None, unit: str, reason: str | None) -> Resource:
    measured = _measured(value, unit)
    return {"dataAbsentReason": _absent(reason)} if measured is None else {"valueQuantity": measured}


def _measured(value: float | None, unit: str | None) -> Resource | None:
    """A quantity; only units that we know for UCUM's are coded."""
    if value is None:
        return None
    if unit in ("/min", "1"):
        return {"value": value, "unit": unit, "system": UCUM, "code": unit}
    return {"value": value} | ({"unit": plain} if (plain := _plain(unit or "")) else {})


def _component(name: str, value: float | None, unit: str) -> Resource:
    code = {"coding": [{"system": p.OWN, "code": name}], "text": name}
    return {"code": code} | _quantity(value, unit, None)


def _absent(reason: str | None) -> Resource:
    """Why there is no value, in R4's word and in ours."""
    known = Reason(reason) if reason in set(Reason) else None
    coding = [{"system": f"{TERMS}/data-absent-reason", "code": ABSENT.get(known, "unknown") if known else "unknown"}]
    if known is not None:
        coding.append({"system": REASONS, "code": known})
    return {"coding": coding, "text": _plain(reason or "") or "unknown"}


def _concept(code: p.Coding) -> Resource:
    return {"coding": [code.model_dump()], "text": code.display}


def _period(start_ms: int, end_ms: int) -> Resource:
    return {"start": calendar_ts(start_ms), "end": calendar_ts(max(start_ms, end_ms))}


def _plain(text: str) -> str:
    """What a device says freely, as a string of FHIR may be: printable, and not only blanks."""
    return "".join(sign if sign.isprintable() else "?" for sign in text).strip()


def _ref(kind: str, named: str, display: str) -> Resource:
    return {"reference": f"{kind}/{named}", "display": display}


def starts_ms(resource: Resource) -> int:
    """When what a resource tells of begins, or was sent: by this, then by id, pages are ordered."""
    period = resource.get("effectivePeriod", {})
    return to_ms(resource.get("sent") or resource.get("effectiveDateTime") or period["start"])


def ends_ms(resource: Resource) -> int:
    """When it ends."""
    period = resource.get("effectivePeriod")
    return to_ms(period["end"]) if period else starts_ms(resource)
