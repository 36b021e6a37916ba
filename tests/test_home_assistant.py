"""What Home Assistant is told: the golden file, its templates on real payloads, and the daemon's retained messages.

`python tests/test_home_assistant.py` remakes golden/home_assistant.json.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT
from daemon import running, write_config
from hypothesis import given, settings
from hypothesis import strategies as st
from mosquitto import Broker
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from wire import alarm_event, composer, patient, stamp

from edgemon.config import Bed, Cadence, Config, HomeAssistant, Models, parse
from edgemon.errors import ConfigError
from edgemon.home_assistant import discovery
from edgemon.messages import MAX_PAYLOAD_BYTES, address, encode
from edgemon.messages import payloads as p
from edgemon.records import Durability, Message, Presence

GOLDEN = Path(__file__).parent / "golden" / "home_assistant.json"
ON = HomeAssistant(enabled=True)
TWO = Config(
    site="site", unit="nicu", device="cot-pi-1", home_assistant=ON, models=Models(pose="pose"),
    beds=(Bed(id="cot-1"), Bed(id="cot-2", source="clip2")),
)  # fmt: skip


def told(config: Config) -> dict[str, dict[str, object]]:
    return {message.topic: json.loads(encode(message)) for message in discovery(config, "1.2.3")}


def golden() -> str:
    return json.dumps(told(TWO), indent=1, ensure_ascii=False) + "\n"


def test_the_payloads_are_those_of_the_golden_file() -> None:
    """`python tests/test_home_assistant.py` remakes it."""
    assert GOLDEN.read_text(encoding="utf-8") == golden()


def test_nothing_is_told_unless_it_is_enabled() -> None:
    assert discovery(Config(), "1.2.3") == ()


@settings(max_examples=30)
@given(
    st.lists(st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True), min_size=1, max_size=4, unique=True),
    st.booleans(), st.floats(1, 60), st.floats(0.5, 5),
)  # fmt: skip
def test_every_message_is_retained_small_and_made_of_our_own_topics(
    names: list[str], posed: bool, state_s: float, heart_rate_hz: float
) -> None:
    config = TWO.model_copy(
        update={
            "beds": tuple(Bed(id=name, source=f"{n}") for n, name in enumerate(names)),
            "models": Models(pose="pose" if posed else None),
            "cadence": Cadence(state_s=state_s, heart_rate_hz=heart_rate_hz),
        }
    )
    messages = discovery(config, "1.2.3")
    assert len(messages) == len(names) + 1
    assert {(m.qos, m.retain, m.expiry_s, m.durability) for m in messages} == {(1, True, None, Durability.NONE)}
    assert len({m.topic for m in messages}) == len(messages)
    unique: list[str] = []
    for message in messages:
        assert re.fullmatch(r"homeassistant/device/cot-pi-1/[a-z0-9_-]+/config", message.topic)
        assert len(encode(message)) < MAX_PAYLOAD_BYTES
        payload = json.loads(encode(message))
        topics = [payload["availability"][0]["topic"]]
        for key, one in payload["components"].items():
            assert one["unique_id"] == key
            assert one["expire_after"] >= 3
            unique.append(key)
            topics += [one["state_topic"], one.get("json_attributes_topic", one["state_topic"])]
        assert all(address(topic).device == "cot-pi-1" for topic in topics)
    assert len(set(unique)) == len(unique)


def test_a_bed_may_be_called_device() -> None:
    topics = told(TWO.model_copy(update={"beds": (Bed(id="device"),)}))
    assert len(topics) == 2


@pytest.mark.parametrize("prefix", ["", "a/b", "#", "home assistant"])
def test_a_prefix_is_one_level_of_a_topic(prefix: str) -> None:
    with pytest.raises(ConfigError, match=r"home_assistant\.prefix"):
        parse(f"home_assistant: {{prefix: '{prefix}'}}", Path("edgemon.yaml"))


def shown(config: Config, bed: str, message: Message) -> dict[str, tuple[str, object]]:
    """What Home Assistant shows of one message, by key: the state, and the attributes."""
    jinja2 = pytest.importorskip("jinja2")
    value = {"value_json": json.loads(encode(message))}
    render = lambda text: jinja2.Environment(autoescape=False).from_string(text).render(value)  # noqa: E731
    found = {}
    for topic, payload in told(config).items():
        components = payload["components"]
        assert isinstance(components, dict)
        for key, one in components.items():
            if one["state_topic"] == message.topic and topic.split("/")[-2].endswith(f"_{bed}"):
                attributes = one.get("json_attributes_template")
                name = key.removeprefix(f"{topic.split('/')[-2]}_")
                found[name] = (render(one["value_template"]), json.loads(render(attributes)) if attributes else None)
    return found


def test_the_templates_read_a_state() -> None:
    alarms = [
        alarm_event("hr_high"), alarm_event("hr_low", revision=2, presence=Presence.ACK),
    ]  # fmt: skip
    state = composer().state(patient(), alarms, stamp())
    found = shown(TWO, "cot-1", state)
    assert {name: value for name, (value, _) in found.items()} == {
        "eyes": "closed", "sleep": "asleep", "cry": "None", "posture": "supine", "head_side": "None",
        "movement": "0.04", "alarm_high": "OFF", "alarm_medium": "ON", "alarm_low": "OFF",
    }  # fmt: skip
    assert isinstance(state.payload, p.State)
    assert found["cry"][1] == json.loads(state.payload.cry.model_dump_json())
    medium = found["alarm_medium"][1]
    assert isinstance(medium, dict)
    assert [alarm["condition"] for alarm in medium["alarms"]] == ["hr_high", "hr_low"]
    quiet = shown(TWO, "cot-1", composer().state(patient(), alarms[1:], stamp()))
    assert quiet["alarm_medium"][0] == "OFF"  # acknowledged: it waits for nobody


def test_the_templates_read_a_heart_rate_and_its_absence() -> None:
    reading = patient().heart_rate
    found = shown(TWO, "cot-1", composer().heart_rate("cot-1", reading, stamp()))
    value, attributes = found["heart_rate"]
    assert value == "142.3"
    assert isinstance(attributes, dict)
    assert attributes["quality"] == 0.83
    unknown = composer().heart_rate("cot-1", patient().cry, stamp())  # type: ignore[arg-type]
    value, attributes = shown(TWO, "cot-1", unknown)["heart_rate"]
    assert value == "None"  # which Home Assistant shows as unknown
    assert isinstance(attributes, dict)
    assert attributes["reason"] == "dark"


def test_the_templates_read_a_health_report() -> None:
    cameras = [
        p.CameraHealth(bed=bed, fps=fps, frame_age_s=0.1, frozen_s=0.0, luma=None, dropped_frames=0, restarts=0)
        for bed, fps in (("cot-1", 29.9), ("cot-2", 12.5))
    ]
    outbox = p.OutboxHealth(waiting=3, bytes=900, oldest_s=1.0, dropped=0)
    report = composer().health(stamp(), uptime_s=60.0, cameras=cameras, stages=[], outbox=outbox, temperature_c=61.5)
    found = shown(TWO, "device", report)
    assert {name: value for name, (value, _) in found.items()} == {
        "alarm_high": "OFF", "alarm_medium": "OFF", "alarm_low": "OFF", "temperature": "61.5", "outbox_waiting": "3",
        "outbox_dropped": "0", "storage_free": "None", "clock_source": "ntp", "uptime": "60.0",
    }  # fmt: skip
    assert shown(TWO, "cot-2", report)["camera_fps"][0] == "12.5"
    assert shown(TWO, "cot-2", report)["camera_brightness"][0] == "None"


@pytest.mark.skipif(not (ROOT / "models/face.toml").is_file(), reason="no released models in this tree")
def test_the_daemon_tells_it_beside_its_birth(tmp_path: Path, broker: Broker) -> None:
    """Retained, so that a Home Assistant which starts later is told too."""
    import threading

    config = write_config(
        tmp_path, mqtt={"port": broker.plain}, beds=[{"id": "cot-1", "loop": True}], home_assistant={"enabled": True}
    )
    heard: dict[str, tuple[bool, bytes]] = {}
    both = threading.Event()

    def late_subscriber() -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id="ha", protocol=MQTTv5)
        client.on_connect = lambda c, *_: c.subscribe([("homeassistant/#", 1), ("edgemon/v1/+/+/+/+/birth", 1)])

        def on_message(_c: Client, _d: object, message: object) -> None:
            heard[message.topic] = (message.retain, message.payload)  # type: ignore[attr-defined]
            if len(heard) == 3:
                both.set()

        client.on_message = on_message
        client.connect("127.0.0.1", broker.plain)
        client.loop_start()
        return client

    client = late_subscriber()
    try:
        with running(config):
            assert both.wait(60)
    finally:
        client.disconnect()
        client.loop_stop()
    assert any(topic.endswith("/birth") for topic in heard)
    heard.clear()
    both.clear()
    client = late_subscriber()
    try:
        assert both.wait(10)
    finally:
        client.disconnect()
        client.loop_stop()
    assert all(retained for retained, _ in heard.values())
    topics = {topic for topic in heard if topic.startswith("homeassistant/")}
    assert topics == {
        "homeassistant/device/cot-pi-1/edgemon_site_unit_cot-pi-1__device/config",
        "homeassistant/device/cot-pi-1/edgemon_site_unit_cot-pi-1_cot-1/config",
    }


if __name__ == "__main__":
    GOLDEN.write_text(golden(), encoding="utf-8")
