"""The link over a real broker: certificates, access list, last will, commands, receipts, and who is refused."""

from __future__ import annotations

import io
import json
import logging
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pytest
from conftest import ROOT, eventually
from mosquitto import DEVICE, SITE, STATION, UNIT, Broker
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from test_messages import one_of_each
from wire import BED, alarm_event, bout, patient

from edgemon.config import Mqtt, Tls
from edgemon.errors import CommandRefused, DeliveryError
from edgemon.messages import Composer, Stamp, address
from edgemon.messages import payloads as p
from edgemon.messages.credentials import password, tls_context
from edgemon.messages.mqtt import Link
from edgemon.messages.outbox import Outbox
from edgemon.records import Presence
from edgemon.watch import watch

BASE = f"edgemon/v1/{SITE}/{UNIT}/{DEVICE}"
FUTURE = "2999-01-01T00:00:00.000Z"


def now() -> Stamp:
    return Stamp(time.monotonic(), "2026-01-05T03:12:09.120Z", "ntp")


class Device:
    """A link with its outbox, and the loop that pumps it."""

    def __init__(self, settings: Mqtt, folder: Path, name: str = DEVICE) -> None:
        self.composer = Composer(SITE, UNIT, name, "b00t", 1)
        self.commands: list[p.CommandRequest] = []
        self.outbox = Outbox(folder / f"{name}.db", max_bytes=2**24, max_age_s=1e6, now_s=time.monotonic())
        self._work = threading.Event()
        self.link = Link(
            settings, self.composer, [BED], self.outbox, on_command=self._obey, clock=now, wake=self._work.set
        )
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _obey(self, request: p.CommandRequest) -> int | None:
        self.commands.append(request)
        if request.bed == BED and request.revision == 1:
            raise CommandRefused("the alarm is at revision 2")
        return request.revision

    def _run(self) -> None:
        self.link.start()
        while not self._ended.is_set():
            self._work.wait(0.02)
            self._work.clear()
            while not self._calls.empty():
                self._calls.get()()
            self.link.pump(time.monotonic())
        self.link.stop()

    def do(self, call: Callable[[], None]) -> None:
        """Run something in the loop's thread."""
        self._calls.put(call)
        self._work.set()

    def __enter__(self) -> Device:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.outbox.close()


class Ear:
    """A plain client that remembers what it hears."""

    def __init__(self, settings: Mqtt, topic: str) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self.properties: list[Properties | None] = []
        self.ready = threading.Event()
        v5 = settings.protocol == "5"
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5 if v5 else MQTTv311)
        if settings.tls:
            self.client.tls_set_context(tls_context(settings.tls))
        self.client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self._on_message
        self.client.connect(settings.host, settings.port)

    def _on_message(self, _client: object, _data: object, message: object) -> None:
        self.properties.append(getattr(message, "properties", None))
        self.heard.append((message.topic, message.payload, message.retain))  # type: ignore[attr-defined]

    def topics(self) -> list[str]:
        return [topic.removeprefix(BASE + "/") for topic, _, _ in self.heard]

    def last(self, end: str) -> dict[str, object]:
        eventually(lambda: end in self.topics(), what=f"a message on {end}")
        found = [payload for topic, payload, _ in self.heard if topic == f"{BASE}/{end}"]
        return json.loads(found[-1])  # type: ignore[no-any-return]

    def __enter__(self) -> Ear:
        self.client.loop_start()
        assert self.ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def pair(broker: Broker, folder: Path, **more: object) -> Iterator[tuple[Device, Ear]]:
    """A device that is connected, and a station that hears all of its unit."""
    station = Ear(broker.settings(STATION, **more), f"edgemon/v1/{SITE}/{UNIT}/#")
    with station as ear, Device(broker.settings(**more), folder) as device:
        eventually(lambda: device.link.connected, what="the connection")
        yield device, ear


def command(**fields: object) -> bytes:
    whole = {"cmd_id": "c1", "name": "acknowledge", "device": DEVICE, "bed": BED, "by": STATION, "expires": FUTURE}
    return json.dumps({**whole, "alarm_id": "a", "revision": 3, **fields}).encode()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_mosquitto_sub_sees_payloads_that_keep_the_published_schemas(
    broker: Broker, tmp_path: Path, protocol: str
) -> None:
    words = ("mosquitto_sub", *broker.as_peer(STATION), "-t", f"{BASE}/#", "-F", "%t %p", "-W", "20")
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=broker.folder, text=True) as sub:
        assert sub.stdout is not None
        eventually(lambda: "Sending SUBACK" in (broker.folder / "log").read_text(), what="the subscription")
        with Device(broker.settings(protocol=protocol), tmp_path) as device:
            eventually(lambda: device.link.connected)
            for message in one_of_each(device.composer):
                device.do(lambda message=message: device.link.send(message))  # type: ignore[misc]
            seen: set[str] = set()
            while len(seen) < 10:
                topic, payload = sub.stdout.readline().split(" ", 1)
                model = address(topic).topic.model.__name__
                schema = json.loads((ROOT / f"tests/golden/schema/{model}.json").read_text())
                jsonschema.validate(json.loads(payload), schema, cls=jsonschema.Draft202012Validator)
                seen.add(model)
            sub.terminate()


def test_a_device_without_a_certificate_cannot_connect(broker: Broker, tmp_path: Path) -> None:
    settings = broker.settings()
    assert settings.tls is not None
    bare = settings.model_copy(update={"tls": Tls(ca_file=settings.tls.ca_file)})
    with Ear(broker.settings(STATION), "edgemon/#") as ear, Device(bare, tmp_path) as device:
        device.do(lambda: device.link.send(device.composer.behaviour(bout(), now())))
        log = broker.folder / "log"
        eventually(lambda: "peer did not return a certificate" in log.read_text(), what="the broker's refusal")
        assert not device.link.connected
        assert ear.heard == []


def test_a_device_that_writes_outside_its_id_gets_nothing_through(broker: Broker, tmp_path: Path) -> None:
    with Ear(broker.settings(STATION), "edgemon/#") as ear:
        with Device(broker.settings("cot-pi-2"), tmp_path, name=DEVICE) as device:  # claims to be another
            eventually(lambda: device.link.connected)
            for message in one_of_each(device.composer):
                device.do(lambda message=message: device.link.send(message))  # type: ignore[misc]
            eventually(lambda: (broker.folder / "log").read_text().count("Denied PUBLISH") > 8, what="refusals")
            # what MQTT 5 tells us was refused stays in the outbox: alarm, event, minutes, summary, response
            assert device.outbox.waiting == 6
        assert ear.heard == []


def test_birth_state_and_active_alarms_are_told_again_to_a_broker_that_forgot_all(
    broker: Broker, tmp_path: Path
) -> None:
    with Device(broker.settings(), tmp_path) as device:
        for message in one_of_each(device.composer):
            device.do(lambda message=message: device.link.send(message))  # type: ignore[misc]
        eventually(lambda: device.link.connected and device.outbox.waiting == 0, what="delivery")
        broker.kill()
        (broker.folder / "data/mosquitto.db").unlink(missing_ok=True)
        broker.start()
        with Ear(broker.settings(STATION), f"{BASE}/#") as ear:
            wanted = {"_device/avail", "_device/birth", "_device/health", f"{BED}/state", f"{BED}/alarm/hr_high"}
            eventually(lambda: wanted <= set(ear.topics()), what="all retained messages")


def test_the_last_will_is_sent_when_the_device_dies_and_names_its_connection(broker: Broker, tmp_path: Path) -> None:
    with pair(broker, tmp_path) as (device, ear):
        online = ear.last("_device/avail")
        device.link._client.socket().close()  # type: ignore[union-attr]
        eventually(lambda: [t for t in ear.topics() if t == "_device/avail"].__len__() >= 3, what="will and return")
        said = [json.loads(payload) for topic, payload, _ in ear.heard if topic.endswith("/avail")]
        assert [(a["status"], a["connection"]) for a in said[:3]] == [("online", 1), ("offline", 1), ("online", 2)]
        assert len({a["id"] for a in said}) == len(said)
        assert online["session"] == 1


def test_stopping_is_said_and_no_will_follows(broker: Broker, tmp_path: Path) -> None:
    with Ear(broker.settings(STATION), f"{BASE}/_device/avail") as ear:
        with Device(broker.settings(), tmp_path) as device:
            eventually(lambda: device.link.connected)
            ear.last("_device/avail")
        eventually(lambda: ear.last("_device/avail")["status"] == "stopping")
        assert [json.loads(payload)["status"] for _, payload, _ in ear.heard] == ["online", "stopping"]


def test_a_command_is_executed_once_and_answered_with_its_correlation_data(broker: Broker, tmp_path: Path) -> None:
    with pair(broker, tmp_path) as (device, ear):
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = f"{BASE}/{BED}/cmd/mine/res"
        properties.CorrelationData = b"\x00\x07"
        for _ in range(2):
            ear.client.publish(f"{BASE}/{BED}/cmd/acknowledge/req", command(), 1, properties=properties)
        ear.client.publish(f"{BASE}/{BED}/cmd/acknowledge/req", command(cmd_id="c2"), 1)
        assert ear.last(f"{BED}/cmd/acknowledge/res")["cmd_id"] == "c2"
        answer = ear.last(f"{BED}/cmd/mine/res")
        assert (answer["cmd_id"], answer["status"], answer["revision"]) == ("c1", "done", 3)
        assert ear.properties[ear.topics().index(f"{BED}/cmd/mine/res")].CorrelationData == b"\x00\x07"  # type: ignore[union-attr]
        assert [request.cmd_id for request in device.commands] == ["c1", "c2"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"expires": "2020-01-01T00:00:00.000Z"}, "expired"),
        ({"device": "cot-pi-9"}, "names device cot-pi-9"),
        ({"bed": "cot-9"}, "bed cot-9"),
        ({"revision": 1}, "at revision 2"),
    ],
)
def test_a_wrong_command_is_refused_with_the_reason(
    broker: Broker, tmp_path: Path, fields: dict[str, object], says: str
) -> None:
    with pair(broker, tmp_path, protocol="3.1.1") as (_, ear):
        ear.client.publish(f"{BASE}/{BED}/cmd/acknowledge/req", command(**fields), 1)
        bed = fields.get("bed", BED)
        answer = ear.last(f"{bed}/cmd/acknowledge/res")
        assert answer["status"] == "refused"
        assert says in str(answer["reason"])


def test_a_retained_command_is_ignored(broker: Broker, tmp_path: Path) -> None:
    with Ear(broker.settings(STATION), f"{BASE}/#") as ear:
        ear.client.publish(f"{BASE}/{BED}/cmd/acknowledge/req", command(cmd_id="old"), 1, retain=True).wait_for_publish(
            5
        )
        with Device(broker.settings(), tmp_path) as device:
            eventually(lambda: device.link.connected)
            ear.client.publish(f"{BASE}/{BED}/cmd/acknowledge/req", command(cmd_id="new"), 1)
            assert ear.last(f"{BED}/cmd/acknowledge/res")["cmd_id"] == "new"
            assert [request.cmd_id for request in device.commands] == ["new"]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_command_of_10_mb_is_one_line_and_nothing_else_happens(
    broker: Broker, tmp_path: Path, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pair(broker, tmp_path, protocol=protocol) as (device, ear), caplog.at_level(logging.WARNING):
        ear.client.publish(f"{BASE}/{BED}/cmd/acknowledge/req", b'{"x":"' + b"y" * 10_000_000 + b'"}', 1)
        device.do(lambda: device.link.send(device.composer.behaviour(bout(), now())))
        ear.last(f"{BED}/event/cry")
        ear.client.publish(f"{BASE}/{BED}/cmd/acknowledge/req", command(), 1)
        ear.last(f"{BED}/cmd/acknowledge/res")
        assert [r.message for r in caplog.records if "refused" in r.message] == [
            f"{BASE}/{BED}/cmd/acknowledge/req: payload of 10000008 bytes refused; at most 65536 are read; ignored"
        ]
        assert ear.topics().count("_device/avail") == 1


def receipt(*ids: str) -> bytes:
    return p.Receipt(station=STATION, device=DEVICE, ids=ids, ts=FUTURE).model_dump_json().encode()


def test_only_a_receipt_takes_a_message_out_of_the_outbox_and_lets_the_next_go(broker: Broker, tmp_path: Path) -> None:
    with pair(broker, tmp_path, delivery="receipt", resend_after_s=1) as (device, ear):
        for revision in (1, 2):
            message = device.composer.alarm(alarm_event(revision=revision), now())
            device.do(lambda message=message: device.link.send(message))  # type: ignore[misc]
        topic = f"{BED}/alarm/hr_high"
        eventually(lambda: ear.topics().count(topic) >= 2, what="the first alarm and its repeat")
        first = ear.last(topic)
        assert (first["revision"], device.outbox.waiting) == (1, 2)
        ear.client.publish(f"{BASE}/_device/receipt", receipt(str(first["id"])), 1)
        eventually(lambda: ear.last(topic)["revision"] == 2, what="the second alarm")
        ear.client.publish(f"{BASE}/_device/receipt", receipt(str(ear.last(topic)["id"])), 1)
        eventually(lambda: device.outbox.waiting == 0, what="an empty outbox")
        assert device.link.last_receipt_s is not None


def test_an_alarm_that_ended_leaves_no_retained_message(broker: Broker, tmp_path: Path) -> None:
    with Device(broker.settings(), tmp_path) as device:
        for presence in (Presence.ON, Presence.OFF):
            message = device.composer.alarm(alarm_event(presence=presence), now())
            device.do(lambda message=message: device.link.send(message))  # type: ignore[misc]
        with Ear(broker.settings(STATION), f"{BASE}/{BED}/alarm/#") as ear:
            eventually(lambda: ear.heard and ear.heard[-1][1] == b"", what="the empty message")
        eventually(lambda: device.outbox.waiting == 0)
    with Ear(broker.settings(STATION), f"{BASE}/#") as late:
        late.last("_device/avail")
        assert not [topic for topic in late.topics() if "alarm" in topic]


EMBEDDED = """
import sys
from edgemon.broker import EmbeddedBroker
with EmbeddedBroker() as broker:
    print(broker.port, flush=True)
    sys.stdin.read()
"""


def test_the_embedded_broker_of_the_demo_carries_all_of_it(tmp_path: Path) -> None:
    pytest.importorskip("amqtt", reason="needs the extra [station]")
    words = (sys.executable, "-c", EMBEDDED)  # a process of its own, for amqtt leaves sockets open when it ends
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as broker:
        assert broker.stdout is not None
        settings = Mqtt(port=int(broker.stdout.readline()), protocol="3.1.1", delivery="receipt", resend_after_s=1)
        with Ear(settings, f"{BASE}/#") as ear, Device(settings, tmp_path) as device:
            eventually(lambda: device.link.connected, what="the connection")
            for message in one_of_each(device.composer)[1:]:
                device.do(lambda message=message: device.link.send(message))  # type: ignore[misc]
            ends = {f"{BED}/{end}" for end in ("state", "vitals/hr", "vitals/hr/min", "event/cry", "alarm/hr_high")}
            eventually(lambda: ends <= set(ear.topics()), what="all topics")
            ear.client.publish(f"{BASE}/{BED}/cmd/acknowledge/req", command(), 1)
            eventually(lambda: device.commands, what="the command")
            waiting = [row.id for row in device.outbox.due(1e9, 1, 100, 100)]
            ear.client.publish(f"{BASE}/_device/receipt", receipt(*waiting), 1)
            eventually(lambda: device.outbox.waiting == 0, what="an empty outbox")


def test_a_stop_without_any_broker_ends(tmp_path: Path) -> None:
    from conftest import free_port

    with Device(Mqtt(port=free_port()), tmp_path) as device:
        device.do(lambda: device.link.send(device.composer.behaviour(bout(), now())))
        eventually(lambda: device.outbox.waiting == 1)
    assert not device.link.connected


def test_keys_and_passwords_that_everybody_can_read_are_refused(certificates: Path, tmp_path: Path) -> None:
    key = tmp_path / "device.key"
    key.write_bytes((certificates / f"{DEVICE}.key").read_bytes())
    key.chmod(0o644)
    tls = Tls(ca_file=certificates / "ca.crt", cert_file=certificates / f"{DEVICE}.crt", key_file=key)
    with pytest.raises(DeliveryError, match=r"readable by everybody \(mode 644\); chmod 600 it"):
        tls_context(tls)
    with pytest.raises(DeliveryError, match="readable by everybody"):
        password(Mqtt(password_file=key))


@pytest.mark.parametrize("name", ["ca_file", "cert_file"])
def test_a_file_that_is_no_certificate_is_refused_in_one_line(certificates: Path, tmp_path: Path, name: str) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("nonsense")
    files = {"ca_file": "ca.crt", "cert_file": f"{DEVICE}.crt", "key_file": f"{DEVICE}.key"}
    tls = Tls.model_validate({key: certificates / file for key, file in files.items()} | {name: bad})
    with pytest.raises(DeliveryError, match="not a PEM certificate") as caught:
        tls_context(tls)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("as_json", [False, True])
def test_watch_shows_the_bed_and_its_receipts_empty_the_outbox(broker: Broker, tmp_path: Path, as_json: bool) -> None:
    out, stop = io.StringIO(), threading.Event()
    with Device(broker.settings(delivery="receipt"), tmp_path) as device:
        for message in one_of_each(device.composer)[1:]:
            device.do(lambda message=message: device.link.send(message))  # type: ignore[misc]
        eventually(lambda: device.outbox.waiting == 6)
        watcher = threading.Thread(
            target=watch,
            args=(broker.settings(STATION),),
            kwargs={
                "site": SITE, "unit": UNIT, "device": DEVICE, "as_json": as_json, "receipts": True,
                "duration_s": None, "out": out, "stop_event": stop,
            },
        )  # fmt: skip
        watcher.start()
        eventually(lambda: device.outbox.waiting == 0 and "asleep" in out.getvalue(), what="receipts for all")
        stop.set()
        watcher.join()
    text = out.getvalue()
    if as_json:
        assert f"{BASE}/{BED}/state" in {json.loads(line)["topic"] for line in text.splitlines()}
    else:
        assert "Not a medical device" in text
        assert "cry: unknown (dark)" in text
        assert "hr high (medium)" in text
    assert patient().bed in text
