"""From MQTT to the store: paho's thread queues what comes, one thread commits it in batches and then acknowledges.

A message is acknowledged to the broker, and a durable one receipted to its device, only after the commit. While the
store cannot be written nothing is: the broker keeps what it has sent, devices keep what is not receipted.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgemon.errors import StoreUnavailable
from edgemon.messages import MAX_PAYLOAD_BYTES, ROOT
from edgemon.messages import payloads as p
from edgemon.messages import topics as t
from edgemon.records import DEVICE_BED
from edgemon.station.broker import Link, make_properties
from edgemon.station.inbox import plain, read
from edgemon.station.meters import Meters
from edgemon.station.nouns import Heard, Refused, to_ts, wall_ms
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store

log = logging.getLogger(__name__)
BATCH_ROWS, BATCH_S = 500, 0.1
UNACKED = {"5": 500, "3.1.1": 20}  # how many QoS 1 messages the broker sends before it waits; as ours asks, and usual
MAX_WAITING = 20_000
RETRY_S = 1.0
LISTEN_EVERY_MS = 30_000
LISTEN_SHARE = 200  # this part of the ward at a time: all at once would keep heart rates waiting
HEARD_WITHIN_MS = 120_000
SHARED, ORDINARY = 1, 2  # identifiers of subscriptions
DEVICES = tuple(row for row in t.TOPICS if row.sender == "device")
WHOLE = (t.AVAIL, t.BIRTH)  # every replica takes all of these: a device does not repeat them
RETAINED_ONLY = (t.STATE, t.ALARM)  # and of these what the broker keeps, which no shared subscription gets


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message as it came; `connection` tells whether it can still be acknowledged."""

    topic: str
    data: bytes
    retained: bool
    at_ms: int
    mid: int
    qos: int
    connection: int


class Ingest(Link):
    """One replica of the ingest."""

    def __init__(self, settings: StationConfig, store: Store, meters: Meters) -> None:
        super().__init__(settings.mqtt, settings.name, "ingest")
        self._settings, self._store, self._meters = settings, store, meters
        self._waiting: queue.Queue[Arrived] = queue.Queue()
        self._unacked = UNACKED[settings.mqtt.protocol]
        self._fault = ""
        self._subscribed = False
        self._told_ms: dict[str, int] = {}  # by device that listens: when it last had a receipt
        self._heard_ms: dict[str, int] = {}
        self.client.manual_ack_set(True)
        self.client.on_message = self._on_message
        self.client.on_subscribe = self._on_subscribe

    def unready(self) -> Sequence[str]:
        """Why this replica cannot do its work now."""
        reasons = [] if self.up and self._subscribed else [f"not connected to the broker {self.where}"]
        return [*reasons, self._fault] if self._fault else reasons

    def run(self, stop: threading.Event) -> None:
        """Commit what comes until told to stop, then what has come by then."""
        self.start(receive_maximum=self._unacked)
        try:
            while not stop.is_set():
                self._take(self._batch(), stop)
                self._listen(wall_ms())
            self.client.unsubscribe([topic for topic, _ in self._filters()])
            while batch := self._batch():
                if not self._take(batch, stop):
                    break
        finally:
            self.stop()

    # --- paho's thread ---

    def connected(self) -> None:
        """Ask for what devices say."""
        self._subscribed = False
        for identifier in (SHARED, ORDINARY) if self._settings.share else (ORDINARY,):
            properties = make_properties(PacketTypes.SUBSCRIBE) if self.v5 else None
            if properties is not None:
                properties.SubscriptionIdentifier = identifier
            wanted = [(topic, 1) for topic, of in self._filters() if of == identifier]
            self.client.subscribe(wanted, properties=properties)

    def _filters(self) -> list[tuple[str, int]]:
        """What is subscribed to, and under which identifier."""

        def of(row: t.Topic) -> str:
            return f"{ROOT}/{self._settings.site}/{self._settings.unit}/+/+/{row.name.replace('{}', '+')}"

        if not self._settings.share:
            return [(of(row), ORDINARY) for row in DEVICES]
        shared = [(f"$share/edgemon-ingest/{of(row)}", SHARED) for row in DEVICES if row not in WHOLE]
        return [*shared, *((of(row), ORDINARY) for row in (*WHOLE, *RETAINED_ONLY))]

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self.complain(f"refuses what devices say to {self._settings.name}; check its ACL")
        else:
            self._subscribed = True
            log.info("connected to broker %s", self.where)

    def _on_message(self, client: Client, _data: object, message: MQTTMessage) -> None:
        if self._twice(message):
            client.ack(message.mid, message.qos)
            return
        if message.qos == 0 and self._waiting.qsize() > MAX_WAITING:
            self.complain("sends faster than can be stored; heart rates were dropped")
            return
        data = bytes(message.payload[: MAX_PAYLOAD_BYTES + 1])
        self._waiting.put(
            Arrived(message.topic, data, message.retain, wall_ms(), message.mid, message.qos, self.connections)
        )

    def _twice(self, message: MQTTMessage) -> bool:
        """Whether another subscription brings it, to this replica or to another."""
        if not self._settings.share or message.retain:
            return False
        came: Any = getattr(message.properties, "SubscriptionIdentifier", [])
        return ORDINARY in came and not message.topic.endswith(tuple(f"/{row.name}" for row in WHOLE))

    # --- our thread ---

    def _batch(self) -> list[Arrived]:
        """What has come, within a tenth of a second from the first; empty where nothing did."""
        batch: list[Arrived] = []
        unacked, end_s = 0, time.monotonic() + BATCH_S
        while len(batch) < BATCH_ROWS and unacked < self._unacked:
            try:
                arrived = self._waiting.get(timeout=max(0.0, end_s - time.monotonic()))
            except queue.Empty:
                break
            batch.append(arrived)
            unacked += arrived.qos > 0
        return batch

    def _take(self, batch: Sequence[Arrived], stop: threading.Event) -> bool:
        """Commit a batch, however often that has to be tried; False where it was given up."""
        if not batch:
            return True
        said = [read(one.topic, one.data, retained=one.retained, now_ms=one.at_ms) for one in batch]
        heard = [one for one in said if isinstance(one, Heard)]
        refused = [one for one in said if isinstance(one, Refused)]
        while True:
            try:
                ids = self._commit(heard, refused)
                break
            except StoreUnavailable as error:
                if str(error) != self._fault:
                    self._fault = str(error)
                    log.error("%s; nothing is receipted until it can", error)
                if stop.wait(RETRY_S):
                    return False
        self._fault = ""
        for one in batch:
            if one.qos > 0 and one.connection == self.connections:
                self.client.ack(one.mid, one.qos)
        self._meters.messages.inc(len(batch))
        self._receipts(heard, ids, wall_ms())
        return True

    def _commit(self, heard: Sequence[Heard], refused: Sequence[Refused]) -> dict[str, list[str]]:
        """Commit; what the store will never take is found by halves, and refused."""
        try:
            with self._meters.commit.time():
                ids = self._store.commit(heard, refused)
        except (ValueError, OverflowError) as error:  # Unfit among them
            if len(heard) <= 1:
                blamed = [Refused(one.base, "store", plain(str(error)), one.received_ms) for one in heard]
                return self._commit([], [*refused, *blamed]) if heard else {}
            half = len(heard) // 2
            ids = self._commit(heard[:half], refused)
            for base, more in self._commit(heard[half:], []).items():
                ids.setdefault(base, []).extend(more)
            return ids
        self._meters.batch.observe(len(heard))
        for one in refused:
            self._meters.refused.labels(one.reason).inc()
            log.warning("%s: %s refused: %s", one.base or "somebody", one.reason, one.text)
        return ids

    def _receipts(self, heard: Sequence[Heard], ids: dict[str, list[str]], now_ms: int) -> None:
        for one in heard:
            self._heard_ms[one.base] = now_ms
            if isinstance(one.payload, p.Avail):
                if one.payload.status == "online":
                    self._receipt(one.base, [], now_ms)  # an empty one: somebody listens
                else:
                    self._told_ms.pop(one.base, None)
        for base, committed in ids.items():
            for start in range(0, len(committed), BATCH_ROWS):
                self._receipt(base, committed[start : start + BATCH_ROWS], now_ms)

    def _listen(self, now_ms: int) -> None:
        """Tell devices that had nothing to be receipted for a while that somebody listens."""
        if self._fault:
            return
        due = (base for base, told_ms in self._told_ms.items() if now_ms - told_ms >= LISTEN_EVERY_MS)
        for base in list(islice(due, 1 + len(self._told_ms) // LISTEN_SHARE)):
            if now_ms - self._heard_ms.get(base, 0) > HEARD_WITHIN_MS:
                del self._told_ms[base]
            else:
                self._receipt(base, [], now_ms)

    def _receipt(self, base: str, ids: Sequence[str], now_ms: int) -> None:
        device = base.rpartition("/")[2]
        receipt = p.Receipt(station=self._settings.name, device=device, ids=tuple(ids), ts=to_ts(now_ms))
        if self.publish(f"{ROOT}/{base}/{DEVICE_BED}/receipt", receipt.model_dump_json(), t.RECEIPT):
            self._told_ms[base] = now_ms
            self._meters.receipts.inc(len(ids))
