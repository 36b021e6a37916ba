"""Two ingest processes on PostgreSQL, one killed -9 in the midst of it: nothing lost, nothing doubled."""

from __future__ import annotations

import threading
from pathlib import Path

from conftest import eventually
from mosquitto import Broker
from postgres import Server
from sqlalchemy import select
from station_process import StationProcess
from wire import alarm_event, bout, minute, stamp

from edgemon.config import Mqtt
from edgemon.messages import Composer
from edgemon.messages import payloads as p
from edgemon.messages.mqtt import Link
from edgemon.messages.outbox import Outbox
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store
from edgemon.station.store import schema as t

DEVICES, EACH, BLOW_AT = 4, 60, 15
TURN_S = 0.01


class Device:
    """Stores durable messages, and sends each until it is receipted."""

    def __init__(self, folder: Path, number: int, port: int) -> None:
        self.composer = Composer("site", "nicu", f"cot-pi-{number}", "b00t", 1)
        self.outbox = Outbox(folder / f"outbox-{number}.db", max_bytes=2**26, max_age_s=1e6, now_s=0.0)
        mqtt = Mqtt(port=port, delivery="receipt", resend_after_s=1)
        self.link = Link(mqtt, self.composer, ["cot-1"], self.outbox, on_command=lambda _: None, clock=stamp)
        self.ids: list[str] = []

    def put(self, number: int) -> None:
        kinds = (
            lambda: minute(self.composer),
            lambda: self.composer.alarm(alarm_event(), stamp()),
            lambda: self.composer.behaviour(bout(f"{number}"), stamp()),
        )
        made = kinds[number % 3]()
        assert isinstance(made.payload, p.Header)
        self.ids.append(made.payload.id)
        self.link.send(made)


def committed(store: Store) -> list[str]:
    with store._reading() as connection:
        return [
            row
            for table in (t.alarm_log, t.hr_minute, t.event)
            for row in connection.execute(select(table.c.id)).scalars()
        ]


def test_a_replica_killed_in_the_midst_loses_and_doubles_nothing(
    broker: Broker, postgres: Server, tmp_path: Path
) -> None:
    url = postgres.database()
    store = Store.open(StationConfig(store_url=url).store)
    settings = {"mqtt": {"port": broker.plain}, "store_url": url, "share": True, "roles": ["ingest"]}
    replicas = [StationProcess(tmp_path, f"replica-{n}", **settings) for n in range(2)]
    devices = [Device(tmp_path, n, broker.plain) for n in range(DEVICES)]
    pause = threading.Event()
    try:
        eventually(lambda: all(replica.connected for replica in replicas), 60, "two replicas")
        for device in devices:
            device.link.start()
        sent, now_s = 0, 0.0
        while sent < EACH or any(device.outbox.waiting for device in devices):
            assert now_s < 120, f"{sum(device.outbox.waiting for device in devices)} were never receipted"
            for device in devices:
                if sent < EACH:
                    device.put(sent)
                device.link.pump(now_s)
            sent, now_s = sent + 1, now_s + TURN_S
            if sent == BLOW_AT:
                eventually(lambda: committed(store), 30, "a first commit")
                replicas[0].kill()
            pause.wait(TURN_S)
        rows = committed(store)
        assert sorted(rows) == sorted(one for device in devices for one in device.ids)
        missing = {known.base: known.missing for known in store.devices()}
        assert missing == {f"site/nicu/cot-pi-{n}": 0 for n in range(DEVICES)}
        assert replicas[1].stop() == 0
    finally:
        for device in devices:
            device.link.stop()
            device.outbox.close()
        for replica in replicas:
            replica.kill()
        store.close()
