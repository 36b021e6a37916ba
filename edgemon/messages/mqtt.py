"""The link to the broker: one paho thread, and `pump` which the daemon's I/O loop calls; nothing here blocks.

Order and durability are the outbox's. paho's thread only notes what happened, in queues that `pump` empties, so a
PUBACK that comes before `publish` has returned finds its message all the same.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import BaseModel

from edgemon.config import Mqtt
from edgemon.errors import DeliveryError, StorageFull
from edgemon.messages import payloads as p
from edgemon.messages import topics as t
from edgemon.messages.commands import Commands, OnCommand, Reply
from edgemon.messages.compose import Composer, Stamp, decode, encode
from edgemon.messages.credentials import password, tls_context
from edgemon.messages.outbox import Outbox
from edgemon.messages.rows import CLEARS
from edgemon.records import DEVICE_BED, Durability, Message

log = logging.getLogger(__name__)

MAX_INFLIGHT = 20
MAX_QUEUED = 400  # in paho, when a new connection is told all retained messages at once
MAX_INBOX = 256
PUBACK_WINDOW = 20
PRUNE_EVERY_S = 60.0
LARGEST_PACKET_BYTES = 16 * 2**20  # so large that a command beyond 64 kB can be refused aloud, and memory is bounded

_make_properties: Callable[[int], Properties] = Properties  # paho leaves its constructor untyped


@dataclass(frozen=True, slots=True)
class _Arrived:
    topic: str
    payload: bytes
    size: int
    reply: Reply


@dataclass(frozen=True, slots=True)
class _Outgoing:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    expiry_s: int | None
    row_id: str = ""  # in the outbox
    reply: Reply | None = None


class Link:
    """Sends a device's messages and receives its commands and receipts.

    `on_command` executes one command and returns the revision of the alarm it touched, if any; it raises
    `CommandRefused` to refuse. `clock` stamps what the link says by itself. `wake` is called from paho's thread when
    `pump` has something to do.

    Raises:
        DeliveryError: a certificate, key or password file is missing, wrong or readable by everybody.
    """

    def __init__(
        self,
        settings: Mqtt,
        composer: Composer,
        beds: Sequence[str],
        outbox: Outbox,
        *,
        on_command: OnCommand,
        clock: Callable[[], Stamp],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings, self.composer, self.outbox = settings, composer, outbox
        self.beds = (DEVICE_BED, *beds)
        self.last_receipt_s: float | None = None  # monotonic; when a station last said that it listens
        self._clock, self._wake = clock, wake
        self._acks: queue.SimpleQueue[tuple[int, bool]] = queue.SimpleQueue()  # mid, taken
        self._inbox: queue.Queue[_Arrived] = queue.Queue(MAX_INBOX)
        self._up = False  # written by paho's thread alone, as is _connections
        self._connections = 0
        self._served = 0  # the connection that has been greeted
        self._complaint = ""
        self._inflight: dict[int, str] = {}
        self._retained: dict[str, Message] = {}
        self._newest: dict[str, Message] = {}
        self._commands = Commands(composer, on_command, clock)
        self._pruned_s = float("-inf")
        self._client = self._make_client()
        self._greetings = 0
        self._set_will()

    @property
    def connected(self) -> bool:
        """Whether the broker listens to us and we to it, and `online` has been said."""
        return self._greeted

    def start(self) -> None:
        """Connect in the background, and again after every loss, with a growing pause of 1 to 30 s."""
        where = (self.settings.host, self.settings.port, self.settings.keepalive_s)
        if self._v5:
            properties = _make_properties(PacketTypes.CONNECT)
            properties.MaximumPacketSize = LARGEST_PACKET_BYTES
            self._client.connect_async(*where, clean_start=True, properties=properties)
        else:
            self._client.connect_async(*where)
        self._client.loop_start()

    def send(self, message: Message) -> None:
        """Take a message: into the outbox, or as its topic's newest, or out at once if there is a connection."""
        if message.durability >= Durability.OUTBOX:
            try:
                self.outbox.put(message, self._clock().at_s)
            except StorageFull as error:
                self._complain(str(error))
            return
        if message.retain:
            self._retained[message.topic] = message
        if message.durability is Durability.NEWEST:
            self._newest[message.topic] = message
        elif self._greeted:
            self._say(message)

    def pump(self, now_s: float) -> None:
        """Do what there is to do: acknowledgements, receipts, commands, greeting a new connection, sending."""
        self._take_acks(now_s)
        self._take_inbox(now_s)
        if self._up and not self._greeted:
            self._greet()
        if self._greeted:
            self._send_newest()
            self._send_due(now_s)
        if now_s - self._pruned_s >= PRUNE_EVERY_S:
            self._pruned_s = now_s
            self.outbox.prune(now_s)

    def stop(self) -> None:
        """Say `stopping`, disconnect so that no will is sent, and end paho's thread."""
        if self._up:
            self._say(self.composer.avail("stopping", self._clock(), connection=self._greetings))
        self._client.disconnect()
        self._client.loop_stop()
        self._up = False

    @property
    def _v5(self) -> bool:
        return self.settings.protocol == "5"

    @property
    def _greeted(self) -> bool:
        return self._up and self._served == self._connections

    def _make_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.composer.device,
            protocol=MQTTv5 if self._v5 else MQTTv311,
            clean_session=None if self._v5 else True,
        )
        client.connect_timeout = 5.0
        client.reconnect_delay_set(1, 30)
        client.max_inflight_messages_set(MAX_INFLIGHT)
        client.max_queued_messages_set(MAX_QUEUED)
        if self.settings.tls is not None:
            client.tls_set_context(tls_context(self.settings.tls))
        if self.settings.username is not None:
            client.username_pw_set(self.settings.username, password(self.settings))
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def _set_will(self) -> BaseModel | None:
        """Make the last will of the connection that comes next."""
        will = self.composer.avail("offline", self._clock(), connection=self._greetings + 1)
        self._client.will_set(will.topic, encode(will), will.qos, will.retain)
        return will.payload

    # --- paho's thread: note and leave ---

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._complain(f"broker {self._where} refused the connection: {reason}; check user, certificate and ACL")
            return
        wanted = [f"{self.composer.base}/{bed}/{end}" for bed in self.beds for end in ("cmd/+/req", "receipt")]
        client.subscribe([(topic, 1) for topic in wanted])

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        # SUBACK comes after paho has repeated what was in flight, so nothing old can overwrite what we say from here
        if any(reason.is_failure for reason in reasons):
            self._complain(
                f"broker {self._where} refuses commands and receipts to {self.composer.device}; check its ACL"
            )
        else:
            self._complaint = ""
            log.info("connected to broker %s", self._where)
        self._connections += 1
        self._up = True
        self._wake()

    def _on_connect_fail(self, _client: Client, _data: object) -> None:
        self._complain(f"broker {self._where} cannot be reached; check address, port and certificates; trying again")

    def _on_disconnect(
        self,
        _client: Client,
        _data: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._up and reason.is_failure:
            self._complain(f"connection to broker {self._where} lost: {reason}; trying again")
        self._up = False
        self._wake()

    def _on_publish(
        self, _client: Client, _data: object, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._complain(f"broker {self._where} refuses messages of {self.composer.device}: {reason}; check its ACL")
        self._acks.put((mid, not reason.is_failure))
        self._wake()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        if message.retain:  # a retained command is a mistake: it would come again at every connect
            log.warning("%s: retained message ignored", message.topic)
            return
        properties = message.properties
        arrived = _Arrived(
            message.topic,
            bytes(message.payload[: t.MAX_PAYLOAD_BYTES]),
            len(message.payload),
            Reply(getattr(properties, "ResponseTopic", None), getattr(properties, "CorrelationData", None)),
        )
        try:
            self._inbox.put_nowait(arrived)
        except queue.Full:
            self._complain(f"{message.topic}: more than {MAX_INBOX} messages wait; dropped")
        self._wake()

    # --- the caller's thread ---

    @property
    def _where(self) -> str:
        return f"{self.settings.host}:{self.settings.port}"

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            log.warning("%s", text)

    def _greet(self) -> None:
        self._served = self._connections
        self._greetings += 1
        self._inflight.clear()
        self.outbox.unsent()
        will = self._set_will()
        will_seq = will.seq if isinstance(will, p.Header) else None
        self._say(self.composer.avail("online", self._clock(), connection=self._greetings, will_seq=will_seq))
        self._repeat_retained()

    def _repeat_retained(self) -> None:
        """Publish again what the broker should hold; a broker may have lost all of it."""
        for topic, message in self._retained.items():
            if topic not in self._newest:
                self._say(message)
        for topic, alarm in self.outbox.active().items():
            if alarm.session == self.composer.session and not self.outbox.waits(topic):
                self._publish(_Outgoing(topic, alarm.model_dump_json().encode(), t.ALARM.qos, t.ALARM.retain, None))

    def _say(self, message: Message) -> bool:
        out = _Outgoing(message.topic, encode(message), message.qos, message.retain, message.expiry_s)
        return self._publish(out)

    def _send_newest(self) -> None:
        for topic in list(self._newest):
            if len(self._inflight) >= MAX_INFLIGHT or not self._say(self._newest[topic]):
                return
            del self._newest[topic]

    def _send_due(self, now_s: float) -> None:
        window = 1 if self.settings.delivery == "receipt" else PUBACK_WINDOW
        room = MAX_INFLIGHT - len(self._inflight)
        for row in self.outbox.due(now_s, self.settings.resend_after_s, room, window) if room > 0 else ():
            expiry_s = None if row.expiry_s is None else max(1, row.expiry_s - int(self.outbox.age_s(row, now_s)))
            topic, reply = self._commands.topic(row.id, row.topic), self._commands.reply(row.id)
            out = _Outgoing(topic, row.payload, row.qos, row.retain, expiry_s, row.id, reply)
            if not self._publish(out):
                return
            self.outbox.sent(row.id, now_s)

    def _publish(self, out: _Outgoing) -> bool:
        info = self._client.publish(out.topic, out.payload, out.qos, out.retain, self._properties(out))
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        if out.qos > 0:
            self._inflight[info.mid] = out.row_id
        return True

    def _take_acks(self, now_s: float) -> None:
        done = []
        while not self._acks.empty():
            mid, taken = self._acks.get()
            row_id = self._inflight.pop(mid, "")
            if taken and row_id and (self.settings.delivery == "puback" or row_id.startswith(CLEARS)):
                done.append(row_id)
        self._delivered(done, now_s)

    def _delivered(self, ids: Sequence[str], now_s: float) -> None:
        if ids:
            self.outbox.delivered(ids, now_s)

    def _take_inbox(self, now_s: float) -> None:
        while not self._inbox.empty():
            arrived = self._inbox.get()
            try:
                self._take(arrived, now_s)
            except DeliveryError as error:
                log.warning("%s; ignored", error)

    def _take(self, arrived: _Arrived, now_s: float) -> None:
        if arrived.size > t.MAX_PAYLOAD_BYTES:
            raise DeliveryError(
                f"{arrived.topic}: payload of {arrived.size} bytes refused; at most {t.MAX_PAYLOAD_BYTES} are read"
            )
        payload = decode(arrived.topic, arrived.payload)
        if isinstance(payload, p.Receipt):
            if payload.device != self.composer.device:
                raise DeliveryError(f"{arrived.topic}: receipt for device {payload.device}, not {self.composer.device}")
            self.last_receipt_s = now_s
            if payload.ids:
                self._delivered(payload.ids, now_s)
            else:
                self.outbox.unsent()
        elif isinstance(payload, p.CommandRequest):
            self._obey(payload, arrived)

    def _obey(self, request: p.CommandRequest, arrived: _Arrived) -> None:
        response = self._commands.obey(request, arrived.topic, arrived.reply)
        if response is None:
            return
        self.send(response)
        done = isinstance(response.payload, p.CommandResponse) and response.payload.status == "done"
        if done and request.name == "rebirth":
            self._repeat_retained()

    def _properties(self, out: _Outgoing) -> Properties | None:
        if not self._v5:
            return None
        properties = _make_properties(PacketTypes.PUBLISH)
        if out.expiry_s is not None:
            properties.MessageExpiryInterval = out.expiry_s
        if out.reply is not None and out.reply.correlation is not None:
            properties.CorrelationData = out.reply.correlation
        return properties
