"""Connections of the station to the broker: how a client is made, and the one that sends commands."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgemon.config import Mqtt
from edgemon.errors import DeliveryError
from edgemon.messages import payloads as p
from edgemon.messages import topics as t
from edgemon.messages.credentials import password, tls_context
from edgemon.station.nouns import topic_of

log = logging.getLogger(__name__)
LARGEST_PACKET_BYTES = 2**20  # larger than what is refused, so that it can be counted, and memory is bounded
MAX_QUEUED = 20_000
make_properties: Callable[[int], Properties] = Properties  # paho leaves its constructor untyped


class Link:
    """A connection that is kept up by a thread of paho; `up` says whether it is there."""

    def __init__(self, mqtt: Mqtt, station: str, part: str) -> None:
        """Prepare it.

        Raises:
            DeliveryError: a certificate, key or password file is missing, wrong or readable by everybody.
        """
        self.mqtt, self.v5 = mqtt, mqtt.protocol == "5"
        self.connections = 0  # written by paho's thread alone, as is `up`
        self.up = False
        self._complaint = ""
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"edgemon-{station}-{part}-{uuid.uuid4().hex[:8]}",
            protocol=MQTTv5 if self.v5 else MQTTv311,
            clean_session=None if self.v5 else True,
        )
        if mqtt.tls is not None:
            self.client.tls_set_context(tls_context(mqtt.tls))
        if mqtt.username is not None:
            self.client.username_pw_set(mqtt.username, password(mqtt))
        self.client.connect_timeout = 5.0
        self.client.reconnect_delay_set(1, 10)
        self.client.max_queued_messages_set(MAX_QUEUED)
        self.client.on_connect = self._on_connect
        self.client.on_connect_fail = lambda _client, _data: self.complain("cannot be reached; trying again")
        self.client.on_disconnect = self._on_disconnect

    @property
    def where(self) -> str:
        """The broker's address."""
        return f"{self.mqtt.host}:{self.mqtt.port}"

    def start(self, *, receive_maximum: int = 0) -> None:
        """Connect in the background, and again after every loss."""
        where = (self.mqtt.host, self.mqtt.port, self.mqtt.keepalive_s)
        if self.v5:
            properties = make_properties(PacketTypes.CONNECT)
            properties.MaximumPacketSize = LARGEST_PACKET_BYTES
            if receive_maximum:
                properties.ReceiveMaximum = receive_maximum
            self.client.connect_async(*where, clean_start=True, properties=properties)
        else:
            self.client.connect_async(*where)
        self.client.loop_start()

    def stop(self) -> None:
        """Disconnect, and end paho's thread."""
        self.up = False
        self.client.disconnect()
        self.client.loop_stop()

    def publish(self, topic: str, payload: str, row: t.Topic) -> bool:
        """Send as the table of topics tells; False where there is no connection."""
        properties = None
        if self.v5 and row.expiry_s is not None:
            properties = make_properties(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = row.expiry_s
        if not self.up:
            return False
        return self.client.publish(topic, payload, row.qos, row.retain, properties).rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def connected(self) -> None:
        """Called by paho's thread at each connection."""

    def complain(self, text: str) -> None:
        """Log what is wrong, once."""
        if text != self._complaint:
            self._complaint = text
            log.warning("broker %s %s", self.where, text)

    def _on_connect(
        self, _client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self.complain(f"refused the connection: {reason}; check user, certificate and ACL")
            return
        self._complaint = ""
        self.connections += 1
        self.connected()
        self.up = True

    def _on_disconnect(
        self,
        _client: Client,
        _data: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self.up and reason.is_failure:
            self.complain(f"lost: {reason}; trying again")
        self.up = False


class Sender(Link):
    """Sends commands; `send` is the `Publish` that the web is given."""

    def send(self, place: str, request: p.CommandRequest) -> None:
        """Send a command to a place.

        Raises:
            DeliveryError: there is no connection to the broker; nothing was sent.
        """
        topic = topic_of(place, t.COMMAND.name.replace("{}", request.name))
        if not self.publish(topic, request.model_dump_json(), t.COMMAND):
            raise DeliveryError(f"there is no connection to the broker {self.where}")
