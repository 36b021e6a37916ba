"""One MQTT connection that speaks for some simulated devices; one thread serves all of them through a selector."""

from __future__ import annotations

import logging
import selectors
import socket
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgemon.config import Mqtt
from edgemon.messages import encode
from edgemon.messages.credentials import password, tls_context
from edgemon.records import Message
from edgemon.simulate.post import Outgoing

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

log = logging.getLogger(__name__)
AGAIN_S: Final = 1.0
TOPICS_AT_ONCE: Final = 200
READ_WRITE: Final = selectors.EVENT_READ | selectors.EVENT_WRITE
_make_properties: Callable[[int], Properties] = Properties  # paho leaves its constructor untyped


@lru_cache(4096)
def _expires(expiry_s: int) -> Properties:
    properties = _make_properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = expiry_s
    return properties


class Wire:
    """A connection with these bases' receipts and commands.

    `on_up` is called when all subscriptions stand, `on_down` when the connection is lost, `on_message` with what comes,
    `on_delivered` with the tag of a QoS 1 message that the broker took. None of them blocks.

    Raises:
        DeliveryError: a certificate, key or password file is missing, wrong or readable by everybody.
    """

    def __init__(
        self,
        settings: Mqtt,
        name: str,
        bases: Sequence[str],
        selector: selectors.BaseSelector,
        *,
        on_up: Callable[[Wire], None],
        on_down: Callable[[Wire], None],
        on_message: Callable[[MQTTMessage], None],
        on_delivered: Callable[[tuple[str, str]], None],
    ) -> None:
        self.bases = tuple(bases)
        self.up = False
        self.wanted = True  # False: it stays away, as a device without network does
        self._settings, self._selector = settings, selector
        self._on_up, self._on_down, self._on_delivered = on_up, on_down, on_delivered
        self._v5 = settings.protocol == "5"
        self._next_s = float("-inf")
        self._subscribing: set[int] = set()
        self._under_way: dict[int, tuple[str, str]] = {}
        self._complaint = ""
        client = self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            protocol=MQTTv5 if self._v5 else MQTTv311,
            clean_session=None if self._v5 else True,
        )
        client.connect_timeout = 5.0
        if settings.tls is not None:
            client.tls_set_context(tls_context(settings.tls))
        if settings.username is not None:
            client.username_pw_set(settings.username, password(settings))
        client.on_socket_open = self._opened
        client.on_socket_close = self._closed
        client.on_socket_register_write = self._writes
        client.on_socket_unregister_write = self._wrote
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_message = lambda _c, _d, message: on_message(message)

    def will(self, message: Message) -> None:
        """The last will of the next connection."""
        self._client.will_set(message.topic, encode(message), message.qos, message.retain)

    def turn(self, now_s: float) -> None:
        """Keep the connection alive, and connect where there is none."""
        if self._client.socket() is not None:
            self._client.loop_misc()
        elif self.wanted and now_s >= self._next_s:
            self._next_s = now_s + AGAIN_S
            try:
                self._connect()
            except OSError as error:
                self._complain(f"cannot be reached: {error.strerror or error}; check address, port and certificates")

    def serve(self, events: int) -> None:
        """Read and write what the selector says can be."""
        if events & selectors.EVENT_READ:
            self._client.loop_read()
        if events & selectors.EVENT_WRITE and self._client.socket() is not None:
            self._client.loop_write()

    def publish(self, out: Outgoing, device: str = "", correlation: bytes | None = None, answer: str = "") -> None:
        """Hand over one message; `answer` is where a response to it is wanted."""
        properties = None
        if self._v5:
            properties = _expires(out.expiry_s) if out.expiry_s is not None else None
            if correlation is not None:
                properties = _make_properties(PacketTypes.PUBLISH)
                properties.CorrelationData = correlation
                if out.expiry_s is not None:
                    properties.MessageExpiryInterval = out.expiry_s
                if answer:
                    properties.ResponseTopic = answer
        info = self._client.publish(out.topic, out.payload, out.qos, out.retain, properties)
        if out.row_id and info.rc is MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._under_way[info.mid] = (device, out.row_id)

    def break_off(self) -> None:
        """Lose the connection without a word, so that the broker tells the last will."""
        self.wanted = False
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Disconnect; no will is told."""
        self.wanted = False
        self._client.disconnect()

    @property
    def busy(self) -> bool:
        """Whether the broker has yet to acknowledge something that is waited for."""
        return self.up and bool(self._under_way)

    @property
    def open(self) -> bool:
        """Whether there is a socket."""
        return self._client.socket() is not None

    def _connect(self) -> None:
        where = (self._settings.host, self._settings.port, self._settings.keepalive_s)
        if self._v5:
            self._client.connect(*where, clean_start=True)
        else:
            self._client.connect(*where)

    def _opened(self, _client: Client, _data: object, sock: SocketLike) -> None:
        self._selector.register(sock, selectors.EVENT_READ, self)

    def _closed(self, _client: Client, _data: object, sock: SocketLike) -> None:
        self._selector.unregister(sock)

    def _writes(self, _client: Client, _data: object, sock: SocketLike) -> None:
        self._selector.modify(sock, READ_WRITE, self)

    def _wrote(self, _client: Client, _data: object, sock: SocketLike) -> None:
        self._selector.modify(sock, selectors.EVENT_READ, self)

    def _connected(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._complain(f"refused the connection: {reason}; check user, certificate and ACL")
            return
        wanted = [(f"{base}/{end}", 1) for base in self.bases for end in ("+/receipt", "+/cmd/+/req")]
        for n in range(0, len(wanted), TOPICS_AT_ONCE):
            mid = client.subscribe(wanted[n : n + TOPICS_AT_ONCE])[1]
            if mid is not None:
                self._subscribing.add(mid)

    def _subscribed(
        self, _client: Client, _data: object, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._complain("refuses receipts and commands; check its ACL")
        self._subscribing.discard(mid)
        if not self._subscribing:
            self._complaint, self.up = "", True
            self._on_up(self)

    def _disconnected(
        self,
        _client: Client,
        _data: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self.wanted:
            self._complain(f"ended the connection: {reason}")
        self.up = False
        self._subscribing.clear()
        self._under_way.clear()
        self._on_down(self)

    def _published(
        self, _client: Client, _data: object, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        tag = self._under_way.pop(mid, None)
        if reason.is_failure:
            self._complain(f"refuses messages: {reason}; check its ACL")
        elif tag is not None:
            self._on_delivered(tag)

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            log.warning("broker %s:%d %s; trying again", self._settings.host, self._settings.port, text)
