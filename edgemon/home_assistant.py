"""MQTT discovery for Home Assistant: from a configuration to the messages that make it show beds and device; pure.

Home Assistant reads our own topics by templates, so nothing else is published for it. One device a bed, and one for the
board that the beds belong to (device-based discovery, Home Assistant 2024.11 or later: docs/integrations/mqtt).
What it shows is information: Home Assistant is no alarm system, and neither is edgemon.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import RootModel

from edgemon.config import Config
from edgemon.messages import ROOT, Topic
from edgemon.messages import topics as t
from edgemon.records import DEVICE_BED, Cry, Durability, Eyes, HeadSide, Message, Posture, Priority, Sleep

Json = dict[str, object]
MISSED: Final = 3  # messages in a row that may be missed before what they told counts as unknown
MODEL: Final = "edgemon (not a medical device)"


class Discovery(RootModel[Json]):
    """The payload of one device."""


def discovery(config: Config, software: str) -> tuple[Message, ...]:
    """The retained messages of a device's beds, after its own; none where Home Assistant is not enabled."""
    if not config.home_assistant.enabled:
        return ()
    beds = (_message(config, bed.id, _bed(config, bed.id), software) for bed in config.beds)
    return (_message(config, DEVICE_BED, _board(config), software), *beds)


def _message(config: Config, bed: str, components: Iterable[Json], software: str) -> Message:
    own = _id(config, bed)
    payload: Json = {
        "device": _device(config, bed, software),
        "origin": {"name": "edgemon", "sw_version": software},
        "availability": [
            {
                "topic": _topic(config, DEVICE_BED, t.AVAIL),
                "value_template": "{{ 'online' if value_json.status == 'online' else 'offline' }}",
            }
        ],
        "qos": 1,
        "components": {f"{own}_{one['key']}": _component(own, one) for one in components},
    }
    # the device has a level of its own, so that a broker's list may let it write there and nowhere else
    topic = f"{config.home_assistant.prefix}/device/{config.device}/{own}/config"
    return Message(topic, Discovery(payload), 1, True, None, Durability.NONE)


def _component(own: str, one: Json) -> Json:
    told = {name: value for name, value in one.items() if name != "key" and value is not None}
    return {**told, "unique_id": f"{own}_{one['key']}"}


def _device(config: Config, bed: str, software: str) -> Json:
    board = {"identifiers": [_id(config, bed)], "manufacturer": "edgemon", "model": MODEL, "sw_version": software}
    if bed == DEVICE_BED:
        return {**board, "name": config.device}
    return {**board, "name": f"{config.device} {bed}", "via_device": _id(config, DEVICE_BED)}


def _id(config: Config, bed: str) -> str:
    """One word for Home Assistant; of the names only the board's has a `_`, so that no two are alike."""
    return "_".join(("edgemon", config.site, config.unit, config.device, bed))


def _topic(config: Config, bed: str, row: Topic) -> str:
    return f"{ROOT}/{config.site}/{config.unit}/{config.device}/{bed}/{row.name}"


def _bed(config: Config, bed: str) -> list[Json]:
    """What is believed of the infant, its alarms by priority, and its camera."""
    state = _topic(config, bed, t.STATE)
    state_s = math.ceil(MISSED * config.cadence.state_s)
    words: dict[str, Sequence[str]] = {"eyes": list(Eyes), "sleep": list(Sleep), "cry": list(Cry)}
    if config.models.pose:
        words |= {"posture": list(Posture), "head_side": list(HeadSide)}
    beliefs = [_belief(name, state, state_s, device_class="enum", options=options) for name, options in words.items()]
    if config.models.pose:
        beliefs.append(_belief("movement", state, state_s, state_class="measurement"))
    return [*beliefs, _heart_rate(config, bed), *_alarms(state, state_s), *_camera(config, bed)]


def _belief(name: str, topic: str, expire_s: int, **more: object) -> Json:
    """One reading; null shows as unknown, and reason, quality and age are its attributes."""
    return _sensor(
        name, topic, f"{{{{ value_json.{name}.value }}}}", expire_s,
        json_attributes_topic=topic, json_attributes_template=f"{{{{ value_json.{name} | tojson }}}}", **more,
    )  # fmt: skip


def _heart_rate(config: Config, bed: str) -> Json:
    expire_s = math.ceil(max(t.HEART_RATE.expiry_s or 0, MISSED / config.cadence.heart_rate_hz))
    topic = _topic(config, bed, t.HEART_RATE)
    return _belief("heart_rate", topic, expire_s, unit_of_measurement="bpm", state_class="measurement")


def _alarms(topic: str, expire_s: int) -> list[Json]:
    """On while an alarm of this priority waits for somebody: not acknowledged, or latched; all that stand are told."""
    found = []
    for priority in Priority:
        these = f"value_json.active_alarms | selectattr('priority', 'eq', '{priority}')"
        waits = f"{these} | selectattr('presence', 'in', ['on', 'latched']) | list"
        found.append(
            {
                "key": f"alarm_{priority}",
                "platform": "binary_sensor",
                "name": f"Alarm {priority}",
                "device_class": "problem",
                "state_topic": topic,
                "value_template": f"{{{{ 'ON' if {waits} else 'OFF' }}}}",
                "json_attributes_topic": topic,
                "json_attributes_template": f"{{{{ {{'alarms': {these} | list}} | tojson }}}}",
                "expire_after": expire_s,
            }
        )
    return found


def _camera(config: Config, bed: str) -> list[Json]:
    health, expire_s = _topic(config, DEVICE_BED, t.HEALTH), _health_s(config)

    def of(field: str) -> str:
        this = f"value_json.cameras | selectattr('bed', 'eq', '{bed}')"
        return f"{{{{ {this} | map(attribute='{field}') | first }}}}"

    more = {"entity_category": "diagnostic", "state_class": "measurement"}
    return [
        _sensor("camera_fps", health, of("fps"), expire_s, unit_of_measurement="fps", **more),
        _sensor("camera_brightness", health, of("luma"), expire_s, **more),
        _sensor("camera_frozen", health, of("frozen_s"), expire_s, unit_of_measurement="s", **more),
    ]


def _board(config: Config) -> list[Json]:
    """The board's own alarms and facts."""
    health, expire_s = _topic(config, DEVICE_BED, t.HEALTH), _health_s(config)
    more = {"entity_category": "diagnostic"}
    measured = {**more, "state_class": "measurement"}

    def fact(name: str, template: str, **how: object) -> Json:
        return _sensor(name, health, f"{{{{ value_json.{template} }}}}", expire_s, **how)

    return [
        *_alarms(health, expire_s),
        fact("temperature", "temperature_c", device_class="temperature", unit_of_measurement="°C", **measured),
        fact("outbox_waiting", "outbox.waiting", **measured),
        fact("outbox_dropped", "outbox.dropped", **more, state_class="total_increasing"),
        fact(
            "storage_free", "storage_free_bytes", device_class="data_size", unit_of_measurement="B",
            suggested_unit_of_measurement="MB", **measured,
        ),
        fact("clock_source", "clock_source", device_class="enum", options=["ntp", "rtc", "unsynced"], **more),
        fact("uptime", "uptime_s", device_class="duration", unit_of_measurement="s", **measured),
    ]  # fmt: skip


def _health_s(config: Config) -> int:
    return math.ceil(MISSED * config.cadence.health_s)


def _sensor(name: str, topic: str, template: str, expire_s: int, **more: object) -> Json:
    return {
        "key": name,
        "platform": "sensor",
        "name": name.replace("_", " ").capitalize(),
        "state_topic": topic,
        "value_template": template,
        "expire_after": expire_s,
        **more,
    }
