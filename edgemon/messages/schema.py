"""The contract on the wire as documents: JSON Schema 2020-12 per payload, one AsyncAPI 3.0 document, docs/mqtt.md."""

from __future__ import annotations

import json
from pathlib import Path

from edgemon.messages import topics as t
from edgemon.messages.compose import schema_id
from edgemon.messages.payloads import INTENDED_USE, VERSION, Payload
from edgemon.records import DEVICE_BED, Durability

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PARAMETERS = {
    "site": "the hospital",
    "unit": "the ward",
    "device": "the device, as in the common name of its certificate",
    "bed": f"the bed, or {DEVICE_BED} for what concerns the whole device",
    "free": "the condition of an alarm, the type of an event, the period of a summary, the name of a command",
}
KEPT = {
    Durability.NONE: "no",
    Durability.NEWEST: "newest only",
    Durability.OUTBOX: "outbox",
    Durability.OUTBOX_FIRST: "outbox, first",
}

Json = dict[str, object]


def json_schema(model: type[Payload]) -> Json:
    """The JSON Schema 2020-12 of one payload."""
    return {"$schema": DIALECT, "$id": schema_id(model), **model.model_json_schema(mode="serialization")}


def asyncapi() -> Json:
    """The AsyncAPI 3.0 document of a device: channels, operations and MQTT bindings."""
    rows = {_key(row): row for row in t.TOPICS}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "edgemon", "version": f"{VERSION}.0.0", "description": INTENDED_USE},
        "defaultContentType": "application/json",
        "servers": {"broker": _server()},
        "channels": {key: _channel(row) for key, row in rows.items()},
        "operations": {key: _operation(key, row) for key, row in rows.items()},
        "components": {"messages": {row.model.__name__: _message(row) for row in t.TOPICS}},
    }


def write(folder: Path) -> list[Path]:
    """Write all documents into a folder, which is made if need be; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = {f"{row.model.__name__}.json": json_schema(row.model) for row in t.TOPICS}
    documents["asyncapi.json"] = asyncapi()
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return [folder / name for name in documents]


def topics_page() -> str:
    """The page docs/mqtt.md: the table of topics and the header, from the tables that the code uses."""
    lines = ["| topic | payload | QoS | retain | expiry | kept | from | when |", "|---|---|---|---|---|---|---|---|"]
    for row in t.TOPICS:
        bed = f"{DEVICE_BED}/" if row.device_wide else ""
        cells = (
            f"`{bed}{row.name.replace('{}', '{' + _free(row) + '}')}`",
            f"[{row.model.__name__}](../tests/golden/schema/{row.model.__name__}.json)",
            str(row.qos),
            "yes" if row.retain else "no",
            _duration(row.expiry_s),
            KEPT[row.durability],
            row.sender,
            row.when,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return PAGE.format(root=t.ROOT, use=INTENDED_USE, table="\n".join(lines), limit=t.MAX_PAYLOAD_BYTES // 1024)


PAGE = """# edgemon over MQTT

> {use}

All topics lie below `{root}/SITE/UNIT/DEVICE/BED/`; what concerns the whole device has the bed `_device`. No topic
and no payload names a patient. Payloads are JSON of at most {limit} kB; `edgemon schema --out DIR` writes their JSON
Schemas and an AsyncAPI 3.0 document. MQTT 5 and 3.1.1 both work; expiry, response topic and correlation data need 5.

{table}

A `reason` says why there is no value: `no_face` (a clear view without a face; `face` is then `false`), `obstructed`
(something covers the lens or the infant's place), `occluded` (the face is there but covered), `dark`, `turned_away` and
others. A receiver must accept reasons that it does not know.

## What a receiver does

* Drop repeats by `id` (device/boot/seq, unique for ever). `avail` is the exception: compare `session` and
  `connection`, and ignore an `offline` that is older than the `online` you know.
* A value is null when it is unknown; then `reason` says why. Show `age_s` with every number, and grey it out when it
  grows.
* Commit first, then send a receipt with the ids to `_device/receipt`. An empty receipt says "I listen now", which
  makes the device send what waits without delay. Only ids in a receipt (`delivery: receipt` in `birth`) or, with
  `delivery: puback`, the broker's acknowledgement take a message out of the device's outbox.
* `replay: true` is history: store it, do not alarm on it.
* With `delivery: receipt` the device sends one message per bed and rank (alarms, responses, events, minutes) at a
  time and the next after its receipt, so nothing overtakes, whatever a broker loses. While no station listens the
  alarm topics therefore wait; `active_alarms` in `state` (and, for the device, in `health`) tells what stands now
  without waiting.
* An alarm that ended is published with `presence: off`, and after that has been delivered an empty retained message
  takes the topic off the broker.
* `activation` of an alarm tells which of its signals to give (a pause leaves out the sound, or all of them); its
  `presence` and [docs/alarms.md](alarms.md) tell how it stands.
* No message for 45 s is an alarm of its own: no data.

## Commands

Publish a `CommandRequest` to `BED/cmd/NAME/req`, never retained. The device executes each `cmd_id` once, refuses what
has expired, names another device or bed, or (acknowledge) an older revision of the alarm, and answers on
`cmd/NAME/res`, or on the MQTT 5 response topic if that lies below the device, with the correlation data.
"""


def _key(row: t.Topic) -> str:
    return row.model.__name__[0].lower() + row.model.__name__[1:]


def _free(row: t.Topic) -> str:
    return {"event/{}": "type", "summary/{}": "period", "alarm/{}": "condition"}.get(row.name, "name")


def _duration(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds // t.DAY_S} d" if seconds >= t.DAY_S else f"{seconds} s"


def _channel(row: t.Topic) -> Json:
    bed = DEVICE_BED if row.device_wide else "{bed}"
    address = f"{t.ROOT}/{{site}}/{{unit}}/{{device}}/{bed}/{row.name.replace('{}', '{free}')}"
    name = row.model.__name__
    return {
        "address": address,
        "description": row.when,
        "parameters": {key: {"description": text} for key, text in PARAMETERS.items() if f"{{{key}}}" in address},
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }


def _operation(key: str, row: t.Topic) -> Json:
    mqtt: Json = {"qos": row.qos, "retain": row.retain, "bindingVersion": "0.2.0"}
    if row.expiry_s is not None:
        mqtt["messageExpiryInterval"] = row.expiry_s
    return {
        "action": "send" if row.sender == "device" else "receive",
        "channel": {"$ref": f"#/channels/{key}"},
        "bindings": {"mqtt": mqtt},
    }


def _message(row: t.Topic) -> Json:
    return {"name": row.model.__name__, "contentType": "application/json", "payload": json_schema(row.model)}


def _server() -> Json:
    will = {
        "topic": f"{t.ROOT}/{{site}}/{{unit}}/{{device}}/{DEVICE_BED}/{t.AVAIL.name}",
        "qos": t.AVAIL.qos,
        "retain": t.AVAIL.retain,
        "message": "Avail with status offline",
    }
    return {
        "host": "{host}:{port}",
        "protocol": "secure-mqtt",
        "protocolVersion": "5",
        "variables": {"host": {"default": "localhost"}, "port": {"default": "8883"}},
        "bindings": {"mqtt": {"cleanSession": True, "keepAlive": 15, "lastWill": will, "bindingVersion": "0.2.0"}},
    }
