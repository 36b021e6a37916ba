"""Kill -9 of device and broker at random moments while the station is away: nothing lost, nothing out of order."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import mosquitto
import pytest
from conftest import ROOT, eventually
from mosquitto import Broker
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from edgemon.messages import Rank, address, decode
from edgemon.messages import payloads as p

BASE = "edgemon/v1/site/nicu/cot-pi-1"
ROUNDS = 5


class Station:
    """Commits what it hears, then sends a receipt; while it is away the broker knows nothing of it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.committed: dict[tuple[Rank, str], list[str]] = {}  # in order of arrival, without repeats
        self.repeats = 0
        self._client: Client | None = None

    def come(self) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{BASE}/#", 1)
        self._client.on_message = self._commit
        self._client.connect_async("127.0.0.1", self.port)
        self._client.loop_start()

    def leave(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def _commit(self, client: Client, _data: object, message: MQTTMessage) -> None:
        where = address(message.topic)
        payload = decode(message.topic, message.payload) if message.payload else None
        if not isinstance(payload, p.Durable):
            return
        lane = self.committed.setdefault((where.topic.rank, where.bed), [])
        if payload.id in lane:
            self.repeats += 1
        else:
            lane.append(payload.id)
        receipt = p.Receipt(station="s", device=where.device, ids=(payload.id,), ts=payload.ts)
        client.publish(f"{BASE}/_device/receipt", receipt.model_dump_json(), 1)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    mosquitto.require()
    certificates, folder = tmp_path / "certificates", tmp_path / "broker"
    certificates.mkdir()
    folder.mkdir()
    mosquitto.make_certificates(certificates)
    made = Broker(folder, certificates)
    made.start()
    yield made
    made.stop()


class Device:
    """The publisher process; its outbox and journal outlive it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.start()

    def start(self) -> None:
        words = (sys.executable, str(ROOT / "tests/publisher.py"), str(self.folder), str(self.port))
        paths = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
        self.process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": paths})

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stored(self) -> list[str]:
        """Ids whose `put` had returned."""
        journal = self.folder / "journal"
        return journal.read_text().split("\n")[:-1] if journal.exists() else []


@pytest.mark.parametrize("seed", [1])
def test_no_durable_message_is_lost_or_out_of_order(broker: Broker, tmp_path: Path, seed: int) -> None:
    chance, pause = random.Random(seed), threading.Event()
    device, station = Device(tmp_path, broker.plain), Station(broker.plain)
    try:
        for _ in range(ROUNDS):
            for blow in chance.sample(["device", "broker", "broker"], 2):
                pause.wait(chance.uniform(0.2, 0.9))
                peer = device if blow == "device" else broker
                peer.kill()
                peer.start()
            station.come()
            pause.wait(chance.uniform(0.3, 1.5))
            if chance.random() < 0.5:
                broker.kill()
                broker.start()
            station.leave()
        station.come()
        (tmp_path / "finish").touch()
        eventually(lambda: device.process.poll() is not None, 60, "delivery of all that was stored")
    finally:
        device.kill()
        station.leave()
    assert device.process.returncode == 0
    committed = {row_id for lane in station.committed.values() for row_id in lane}
    stored = device.stored()
    assert len(stored) > 100
    assert set(stored) - committed == set()
    for lane in station.committed.values():
        numbers = [int(row_id.rsplit("/", 1)[1]) for row_id in lane]
        assert numbers == sorted(numbers)
    print(f"{len(stored)} stored, {len(committed)} committed, {station.repeats} repeats")  # noqa: T201
