"""The ingest against a real mosquitto: receipts only after the commit, and bad messages harm nobody's good ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from conftest import eventually
from heard import BASE, OUTBOX, birth, composer, online
from mosquitto import Broker
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from wire import alarm_event, bout, minute, patient, stamp

from edgemon.messages import Composer, encode
from edgemon.messages import payloads as p
from edgemon.records import Message
from edgemon.station.ingest import Ingest
from edgemon.station.meters import Meters
from edgemon.station.nouns import Heard, Refused, to_ms
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store, Unfit

TOPIC = f"edgemon/v1/{BASE}"


class Device:
    """Publishes what it is given, and notes receipts."""

    def __init__(self, port: int) -> None:
        self.receipts: list[p.Receipt] = []
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        listening = threading.Event()
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda *_: listening.set()
        self.client.on_connect = lambda client, *_: client.subscribe(f"{TOPIC}/_device/receipt", 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert listening.wait(10)

    def say(self, *messages: Message) -> None:
        for one in messages:
            self.client.publish(one.topic, encode(one), one.qos, one.retain).wait_for_publish(10)

    @property
    def receipted(self) -> list[str]:
        return [one for receipt in self.receipts for one in receipt.ids]

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.receipts.append(p.Receipt.model_validate_json(message.payload))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/station.db")
    yield opened
    opened.close()


@pytest.fixture
def device(broker: Broker) -> Iterator[Device]:
    made = Device(broker.plain)
    yield made
    made.stop()


@pytest.fixture
def begin(broker: Broker, store: Store) -> Iterator[Callable[..., Ingest]]:
    """Starts replicas of the ingest, and stops them in the end."""
    stop, threads = threading.Event(), list[threading.Thread]()

    def start(**settings: object) -> Ingest:
        told = StationConfig.model_validate({"mqtt": broker.plain_settings(), "unit": "nicu"})
        ingest = Ingest(told.model_copy(update=settings), store, Meters())
        threads.append(threading.Thread(target=ingest.run, args=(stop,)))
        threads[-1].start()
        eventually(lambda: not ingest.unready(), 10, "the ingest's connection")
        return ingest

    yield start
    stop.set()
    for thread in threads:
        thread.join(10)


def ids(*messages: Message) -> list[str]:
    return [one.payload.id for one in messages if isinstance(one.payload, p.Header)]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_is_committed_is_receipted(
    broker: Broker, begin: Callable[..., Ingest], device: Device, store: Store, protocol: str
) -> None:
    begin(mqtt=broker.plain_settings(protocol=protocol))
    pi = composer()
    durable = [minute(pi) for _ in range(30)]
    device.say(online(pi), *durable, pi.state(patient(), [], stamp()))
    eventually(lambda: sorted(device.receipted) == sorted(ids(*durable)), 20, "30 receipts")
    eventually(store.beds, 5, "a bed")
    assert any(not receipt.ids for receipt in device.receipts)  # at `online`: somebody listens


def test_a_store_that_is_held_stops_receipts_and_nothing_else(
    begin: Callable[..., Ingest], device: Device, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ingest = begin()
    monkeypatch.setattr("edgemon.station.store.engine.BUSY_S", 0.05)
    held, pi = Store.open(f"sqlite:///{tmp_path}/station.db"), composer()
    ingest._store, ours = held, ingest._store
    first = minute(pi)
    with ours._writing():
        device.say(first)
        eventually(lambda: any("locked" in reason for reason in ingest.unready()), 20, "the word of a locked store")
        assert device.receipts == []
    eventually(lambda: device.receipted == ids(first), 20, "a receipt once it is free")
    eventually(lambda: not ingest.unready(), 5, "readiness")
    held.close()


def test_bad_messages_change_nothing_but_a_counter(begin: Callable[..., Ingest], device: Device, store: Store) -> None:
    begin()
    pi = composer()
    good = minute(pi)
    device.say(birth(pi))
    eventually(store.beds, 20, "a bed")
    body = encode(good)
    bad = {
        "json": b"{",
        "schema": body.replace(b'"min"', b'"<script>"'),
        "version": body.replace(b'"v":1', b'"v":2'),
        "size": b"x" * 70_000,
        "identity": body.replace(b"cot-1", b"cot-2"),
        "range": body.replace(b"2026-01-05", b"9999-01-05"),
    }
    for data in bad.values():
        device.client.publish(good.topic, data, 1).wait_for_publish(10)
    device.say(good)
    eventually(lambda: device.receipted == ids(good), 20, "the receipt of the good one")
    (known,) = store.devices()
    assert {row.reason: row.count for row in known.refused} == dict.fromkeys(bad, 1)
    assert not any(set("<>&") & set(row.text) for row in known.refused)
    assert len(store.beds()) == 1


def test_what_the_store_will_never_take_is_refused_and_the_rest_is_kept(
    begin: Callable[..., Ingest], device: Device, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pi = composer()
    messages = [minute(pi) for _ in range(9)]
    poison, commit = ids(messages[4])[0], store.commit

    def picky(batch: Sequence[Heard], refused: Sequence[Refused] = ()) -> dict[str, list[str]]:
        if any(one.payload is not None and one.payload.id == poison for one in batch):
            raise Unfit("out of range")
        return commit(batch, refused)

    monkeypatch.setattr(store, "commit", picky)
    begin()
    device.say(*messages)
    eventually(lambda: len(device.receipted) == 8, 20, "the other receipts")
    eventually(lambda: [row.reason for row in store.devices()[0].refused] == ["store"], 5, "a refusal")
    assert poison not in device.receipted


def test_replicas_share_the_messages_and_each_knows_what_the_broker_keeps(
    begin: Callable[..., Ingest], device: Device, store: Store
) -> None:
    pi = composer()
    device.say(online(pi), birth(pi), pi.alarm(alarm_event(), stamp()))
    begin(share=True)
    begin(share=True)
    eventually(lambda: store.beds() and store.beds()[0].alarms, 20, "the alarm that the broker keeps")
    messages = [pi.behaviour(bout(f"e{n}"), stamp()) for n in range(20)]
    device.say(*messages, pi.state(patient(), [], stamp()), pi.alarm(alarm_event("hr_low"), stamp()))
    device.say(pi.health(stamp(), uptime_s=1, cameras=[], stages=[], outbox=OUTBOX))
    eventually(lambda: set(ids(*messages)) <= set(device.receipted), 20, "receipts")
    eventually(lambda: len(store.beds()[0].alarms) == 2 and store.beds()[0].health, 20, "all of it")
    (known,) = store.devices()
    assert (known.received, known.repeats, known.missing) == (23, 0, 0)


def test_what_has_come_when_it_is_told_to_stop_is_committed(
    broker: Broker, begin: Callable[..., Ingest], device: Device, store: Store
) -> None:
    settings = StationConfig(mqtt=broker.plain_settings())
    ingest, stop = Ingest(settings, store, Meters()), threading.Event()
    thread = threading.Thread(target=ingest.run, args=(stop,))
    thread.start()
    eventually(lambda: not ingest.unready(), 10, "the ingest's connection")
    other = Composer("site", "nicu", "cot-pi-9", "b00t", 1)
    with store._writing():
        device.say(*(minute(other) for _ in range(5)))
        stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert [known.received for known in store.devices()] == [5]


def test_silent_devices_hear_now_and_then_that_somebody_listens(
    begin: Callable[..., Ingest], device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgemon.station.ingest.LISTEN_EVERY_MS", 50)
    begin()
    device.say(online(composer()))
    eventually(lambda: len(device.receipts) >= 3, 20, "three empty receipts")


def test_a_full_disk_stops_receipts_and_loses_nothing(
    begin: Callable[..., Ingest], device: Device, store: Store
) -> None:
    def room(pages: int) -> None:
        with store.engine.connect() as connection:  # of the pool's connections the ingest's next one is this one
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    ingest, pi = begin(), composer()
    device.say(minute(pi))
    eventually(lambda: len(device.receipted) == 1, 20, "a receipt while there is room")
    with store.engine.connect() as connection:
        pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    room(pages)
    messages = [minute(pi) for _ in range(200)]
    device.say(*messages)
    eventually(lambda: any("full" in reason for reason in ingest.unready()), 20, "the word of a full disk")
    kept = len(device.receipted)
    assert kept < 201
    room(2**30)
    eventually(lambda: set(ids(*messages)) <= set(device.receipted), 30, "all receipts once there is room")
    found = store.history(f"{BASE}/cot-1", to_ms(messages[0].payload.start) - 1, to_ms(messages[0].payload.start) + 1)  # type: ignore[union-attr]
    assert len(found.heart_rate.at_ms) == 201
