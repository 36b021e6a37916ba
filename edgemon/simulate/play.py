"""Plays a ward over MQTT on the clock: `edgemon simulate`.

A few connections speak for all devices. A broker knows one last will a connection, so only where every device has a
connection of its own (`connections` equal to `devices`) does the broker tell that a device is gone; else the connection
tells it in the broker's stead when a device loses its network, and a simulator that is killed leaves its devices
`online`, as far as `avail` knows.
"""

from __future__ import annotations

import gc
import logging
import selectors
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Final

from paho.mqtt.client import MQTTMessage

from edgemon.config import Mqtt
from edgemon.errors import DeliveryError
from edgemon.messages import address, decode
from edgemon.messages import payloads as p
from edgemon.messages.commands import Reply
from edgemon.messages.outbox import LIVE_S
from edgemon.messages.rows import CLEARS
from edgemon.records import Message
from edgemon.simulate.device import Device, Ward
from edgemon.simulate.post import Outgoing, Post, where
from edgemon.simulate.report import Report, percentile_ms
from edgemon.simulate.wire import Wire

log = logging.getLogger(__name__)
SHARED_BY: Final = 125  # devices of one connection, unless told otherwise
CONNECT_WITHIN_S: Final = 30.0
STEPS_AT_ONCE: Final = 20  # then the sockets are served
WAIT_S: Final = 0.05
TELL_S: Final = 5.0
BYE_WITHIN_S: Final = 5.0
BYE: Final = "bye"


@dataclass(slots=True)
class Node:
    """One device, what it has to send, and the connection that speaks for it."""

    device: Device
    post: Post
    wire: Wire


class Player:
    """All devices of a ward on their connections; one thread.

    Raises:
        DeliveryError: a certificate, key or password file is missing, wrong or readable by everybody.
    """

    def __init__(self, settings: Mqtt, ward: Ward, connections: int, rate: float, report: Report) -> None:
        self.report = report
        self._selector = selectors.DefaultSelector()
        self._alone = connections >= ward.devices
        self._nodes: dict[str, Node] = {}
        devices = [Device(ward, number) for number in range(1, ward.devices + 1)]
        self._wires = []
        for n in range(min(connections, ward.devices)):
            some = devices[n :: min(connections, ward.devices)]
            wire = Wire(
                settings, f"edgemon-{some[0].name}-{ward.session:x}", [device.base for device in some], self._selector,
                on_up=self._up, on_down=self._down, on_message=self._hear, on_delivered=self._taken,
            )  # fmt: skip
            self._wires.append(wire)
            for device in some:
                rng = Random(f"{ward.seed}/{device.name}/post")  # noqa: S311  (chance, not secrets)
                post = Post(
                    rng, receipts=ward.delivery == "receipt", resend_after_s=settings.resend_after_s,
                    faults=ward.faults, live_s=LIVE_S / rate,
                )  # fmt: skip
                self._nodes[device.base] = Node(device, post, wire)
        self._receipts = ward.delivery == "receipt"
        self._ending = False
        self._order = sorted(self._nodes.values(), key=lambda node: node.device.phase_s)

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._wires)

    def connect(self, stop: threading.Event) -> None:
        """Wait until every connection stands.

        Raises:
            DeliveryError: the broker cannot be reached, or refuses.
        """
        for node in self._nodes.values():
            if self._alone:
                node.wire.will(node.device.next_will)
        until_s = time.monotonic() + CONNECT_WITHIN_S
        while not all(wire.up for wire in self._wires) and not stop.is_set():
            if time.monotonic() > until_s:
                raise DeliveryError(f"not connected within {CONNECT_WITHIN_S:.0f} s; the log tells why")
            self._serve(WAIT_S)

    def delay(self, late_s: float) -> None:
        """Begin so much later than the ward was made for: its clocks are to be right when it is played."""
        for node in self._nodes.values():
            node.device.delay(late_s)

    def play(self, duration_s: float, rate: float, stop: threading.Event, tell: Callable[[str], None]) -> None:
        """Let every device live, a step a second of its own; `rate` of them a second on ours."""
        begun_s = told_s = time.monotonic()
        cpu_s = time.process_time()
        told, recent, turn = self.report.messages, Counter[int](), 0
        while not stop.is_set():
            turns, place = divmod(turn, len(self._order))
            node = self._order[place]
            ward_s = turns + node.device.phase_s
            due_s, now_s = begun_s + ward_s / rate, time.monotonic()
            if ward_s / rate >= duration_s:
                break
            if now_s < due_s or turn % STEPS_AT_ONCE == 0:
                self._serve(min(max(0.0, due_s - now_s), WAIT_S))
                if time.monotonic() < due_s:
                    continue
            self._step(node, ward_s)
            turn += 1
            lag_ms = round(1000 * (time.monotonic() - due_s))
            self.report.lags[lag_ms] += 1
            recent[lag_ms] += 1
            if now_s - told_s >= TELL_S:
                waiting = sum(len(node.post.waiting) for node in self._nodes.values())
                tell(
                    f"{now_s - begun_s:7.1f} s  {(self.report.messages - told) / (now_s - told_s):6.0f} messages/s  "
                    f"lag p99 {percentile_ms(recent, 0.99)} ms  {waiting} wait for delivery"
                )
                told, told_s = self.report.messages, now_s
                recent.clear()
        self.report.played_s, self.report.cpu_s = time.monotonic() - begun_s, time.process_time() - cpu_s

    def finish(self, grace_s: float) -> None:
        """Bring all devices back, deliver what waits for at most `grace_s`, say goodbye, and count up."""
        self._ending = True
        for node in self._nodes.values():
            now_s = time.monotonic()
            for message in node.device.finish():
                node.post.put(message, now_s)
            node.post.flush(now_s)
            self._return(node)
        until_s = time.monotonic() + grace_s
        while any(node.post.waiting for node in self._nodes.values()) and time.monotonic() < until_s:
            for node in self._nodes.values():
                self._flush(node)
            self._serve(WAIT_S)
        for node in self._nodes.values():
            if node.post.online:
                self._publish(node, replace(Post.plain(node.device.stop()), row_id=BYE))
        self._bye()
        self._count()

    def close(self) -> None:
        """Give the sockets back."""
        for wire in self._wires:
            wire.close()
            with suppress(OSError):
                wire.serve(selectors.EVENT_READ | selectors.EVENT_WRITE)
        self._selector.close()

    def _step(self, node: Node, ward_s: float) -> None:
        device, post, now_s = node.device, node.post, time.monotonic()
        was_away = device.offline
        messages = device.step(ward_s, post.outbox(now_s))
        if device.offline and not was_away:
            self._leave(node)
        elif was_away and not device.offline:
            self._return(node)
        for message in messages:
            if isinstance(message.payload, p.CommandRequest):
                self._ask(node, message, message.payload)
            else:
                post.put(message, now_s)
        self._flush(node)

    def _leave(self, node: Node) -> None:
        online = node.post.online
        node.post.disconnected()
        if self._alone:
            node.wire.will(node.device.next_will)
            node.wire.break_off()
        elif online:
            self._publish(node, Post.plain(node.device.will))

    def _return(self, node: Node) -> None:
        node.wire.wanted = True
        if node.wire.up and not node.post.online:
            node.post.connected(node.device.greet())

    def _ask(self, node: Node, message: Message, request: p.CommandRequest) -> None:
        """The staff's word goes to the broker, which brings it back as it would from a station."""
        self.report.commands[f"{request.name} asked"] += 1
        answer = message.topic.removesuffix("req") + "res"
        if node.wire.up:
            self._publish(node, Post.plain(message), request.cmd_id.encode(), answer)

    def _flush(self, node: Node) -> None:
        for out in node.post.take(time.monotonic()):
            topic, correlation = node.device.reply(out.row_id, out.topic)
            if topic != out.topic:
                out = replace(out, topic=topic)  # noqa: PLW2901
            self._publish(node, out, correlation)

    def _publish(self, node: Node, out: Outgoing, correlation: bytes | None = None, answer: str = "") -> None:
        node.wire.publish(out, node.device.base, correlation, answer)
        self.report.published[where(out.topic).topic.name] += 1

    def _serve(self, wait_s: float) -> None:
        for key, events in self._selector.select(wait_s):
            key.data.serve(events)
        now_s = time.monotonic()
        for wire in self._wires:
            wire.turn(now_s)

    def _up(self, wire: Wire) -> None:
        for base in wire.bases:
            node = self._nodes[base]
            if self._ending or not node.device.offline:
                self._return(node)
                self._flush(node)

    def _down(self, wire: Wire) -> None:
        for base in wire.bases:
            node = self._nodes[base]
            node.post.disconnected()
            if self._alone:
                wire.will(node.device.next_will)

    def _taken(self, tag: tuple[str, str]) -> None:
        base, row_id = tag
        node = self._nodes[base]
        if row_id.startswith(CLEARS):
            node.post.delivered((row_id,), time.monotonic())
            self._flush(node)
        elif not self._receipts and row_id != BYE:
            self._delivered(node, (row_id,))

    def _delivered(self, node: Node, ids: tuple[str, ...]) -> None:
        known = node.post.delivered(ids, time.monotonic())
        self.report.receipted += known
        self.report.unknown_receipts += len(ids) - known
        self._flush(node)

    def _hear(self, message: MQTTMessage) -> None:
        if message.retain:  # as a device: a retained command would come again at every connect
            return
        try:
            base, payload = address(message.topic).base, decode(message.topic, bytes(message.payload))
        except DeliveryError as error:
            log.warning("%s; ignored", error)
            return
        node = self._nodes[base]
        if not node.post.online:  # it has no network: what a real broker would not bring it
            return
        if isinstance(payload, p.Receipt):
            self.report.receipts += 1
            if self._receipts and payload.ids:
                self._delivered(node, payload.ids)
            elif not payload.ids:
                node.post.unsent()
                self._flush(node)
        elif isinstance(payload, p.CommandRequest):
            self._obey(node, payload, message)

    def _obey(self, node: Node, request: p.CommandRequest, message: MQTTMessage) -> None:
        properties = message.properties
        reply = Reply(getattr(properties, "ResponseTopic", None), getattr(properties, "CorrelationData", None))
        for answer in node.device.obey(request, message.topic, reply):
            if isinstance(answer.payload, p.CommandResponse):
                self.report.commands[f"{request.name} {answer.payload.status}"] += 1
            node.post.put(answer, time.monotonic())
        self._flush(node)

    def _bye(self) -> None:
        until_s = time.monotonic() + BYE_WITHIN_S
        while any(wire.busy for wire in self._wires) and time.monotonic() < until_s:
            self._serve(WAIT_S)
        for wire in self._wires:
            wire.close()
        while any(wire.open for wire in self._wires) and time.monotonic() < until_s:
            self._serve(WAIT_S)

    def _count(self) -> None:
        report = self.report
        for node in self._nodes.values():
            post = node.post
            for row_id, topic in post.made.items():
                report.made.setdefault(topic, []).append(row_id)
            report.unsent += [row_id for row_id in post.made if row_id not in post.sent]
            report.waiting += post.waiting
            report.resent += post.resent
            report.repeated += post.repeated
            report.late += post.late


def simulate(
    settings: Mqtt,
    ward: Ward,
    *,
    duration_s: float | None,
    rate: float,
    connections: int | None,
    grace_s: float,
    json_report: Path | None,
    stop: threading.Event,
) -> int:
    """Play the ward until the time is over or the event is set; 1 where something durable was not delivered.

    Raises:
        DeliveryError: the broker cannot be reached or refuses, or the report cannot be written.
    """
    logging.getLogger("edgemon.messages.commands").setLevel(logging.ERROR)  # refusals are counted, not told one by one
    report = Report({**asdict(ward), "rate": rate, "duration_s": duration_s, "connections": connections})
    made_s = time.monotonic()
    player = Player(settings, ward, connections or -(-ward.devices // SHARED_BY), rate, report)
    gc.freeze()  # devices live to the end: looking through them again and again would make the ward stutter
    _tell(f"{ward.devices} devices, seed {ward.seed}, on {player.connections} connections")
    try:
        player.connect(stop)
        late_s = time.monotonic() - made_s
        player.delay(late_s)
        report.settings["begun_late_s"] = round(late_s, 3)
        player.play(float("inf") if duration_s is None else duration_s, rate, stop, _tell)
        player.finish(grace_s)
    finally:
        player.close()
    if json_report is not None:
        report.write(json_report)
    _tell(report.line())
    for row_id in report.lost[:20]:
        _tell(f"not delivered: {row_id}")
    return int(bool(report.lost))


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
