"""The simulated ward: laws of its pure core, of its post, and a few devices against a real mosquitto."""

from __future__ import annotations

import argparse
import json
import queue
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from conftest import eventually
from hypothesis import given, settings
from hypothesis import strategies as st
from mosquitto import Broker
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from wire import alarm_event, bout, composer, minute, stamp

from edgemon.errors import ConfigError
from edgemon.messages import ROOT, Rank, address, decode, encode
from edgemon.messages import payloads as p
from edgemon.messages.commands import Reply
from edgemon.messages.outbox import LIVE_S
from edgemon.records import Message, Presence
from edgemon.simulate.device import Device, Ward
from edgemon.simulate.infant import Infant, Spells
from edgemon.simulate.options import arguments, ward
from edgemon.simulate.play import simulate
from edgemon.simulate.post import Outgoing, Post

EPOCH_MS = 1_767_582_729_000
RESEND_S = 5.0


def device(seed: int = 1, number: int = 1, **more: object) -> Device:
    return Device(Ward(devices=1, seed=seed, epoch_ms=EPOCH_MS, **more), number)  # type: ignore[arg-type]


def lived(one: Device, steps: int, every_s: float = 1.0) -> list[Message]:
    return [*one.greet(), *(message for n in range(steps) for message in one.step(n * every_s)), *one.finish()]


wards = st.builds(
    dict, seed=st.integers(0, 10_000), number=st.integers(1, 1000), faults=st.sampled_from([0.0, 0.2, 0.9]),
    beds_per_device=st.integers(1, 3), nurse_s=st.sampled_from([0.0, 20.0]),
)  # fmt: skip


@settings(max_examples=6, deadline=None)
@given(wards)
def test_the_same_seed_gives_the_same_messages_and_all_are_valid_and_in_order(many: dict[str, object]) -> None:
    once, again = (lived(device(**many), 70) for _ in range(2))  # type: ignore[arg-type]
    assert [(m.topic, encode(m)) for m in once] == [(m.topic, encode(m)) for m in again]
    ids, newest = set(), defaultdict(int)
    for message in once:
        payload = decode(message.topic, encode(message))
        assert payload == message.payload
        where = address(message.topic)
        if isinstance(payload, p.Header):
            assert (payload.bed, payload.device) == (where.bed, where.device)
            assert payload.id not in ids
            assert payload.seq > newest[where.bed]
            ids.add(payload.id)
            newest[where.bed] = payload.seq


def test_another_seed_device_or_start_is_another_story() -> None:
    def ids_and_rates(**more: object) -> list[bytes]:
        return [encode(m) for m in lived(device(**more), 30)]  # type: ignore[arg-type]

    told = [ids_and_rates(), ids_and_rates(seed=2), ids_and_rates(number=2), ids_and_rates(session=2)]
    assert len({tuple(one) for one in told}) == len(told)


def test_infants_sleep_wake_and_cry_at_plausible_rates() -> None:
    infant, slept, cried, rates = Infant(Random(5), 0.0), 0, 0, []
    hours = 60
    for n in range(hours * 360):
        infant.live(10.0 * n)
        slept += infant.asleep
        cried += infant.crying
        assert not (infant.asleep and infant.crying)
        rates.append(infant.heart_rate().bpm)
    assert 0.55 < slept / len(rates) < 0.85
    assert 0.01 < cried / len(rates) < 0.12
    rates.sort()
    assert 115 < rates[len(rates) // 10] < rates[9 * len(rates) // 10] < 172
    assert rates[0] < 100
    assert rates[-1] > 200


@given(st.integers(0, 1000), st.floats(1, 100), st.floats(1, 100))
@settings(max_examples=25)
def test_spells_are_on_for_their_share_of_the_time(seed: int, on_s: float, off_s: float) -> None:
    spells, whole_s = Spells(Random(seed), 0.0, on_s, off_s), 1000 * (on_s + off_s)
    share = sum(spells.at(whole_s * n / 4000) for n in range(4000)) / 4000
    assert abs(share - on_s / (on_s + off_s)) < 0.12
    assert not any(Spells(Random(seed), 0.0, 0.0, off_s).at(100.0 * n) for n in range(50))


def test_a_ward_tells_all_that_it_should() -> None:
    kinds, conditions, reasons = set(), set(), set()
    for number in range(1, 5):
        for message in lived(device(number=number, faults=0.5, nurse_s=60.0), 450, 4.0):
            kinds.add(address(message.topic).topic.name)
            if isinstance(message.payload, p.Alarm):
                conditions.add((message.payload.condition, message.payload.phase))
            if isinstance(message.payload, p.HeartRateVital):
                reasons.add(message.payload.heart_rate.reason)
    assert kinds >= {
        "avail", "birth", "health", "state", "vitals/hr", "vitals/hr/min", "movement", "event/{}", "summary/{}",
        "alarm/{}", "cmd/{}/req",
    }  # fmt: skip
    assert {"start", "continue", "escalate", "update", "end"} <= {phase for _, phase in conditions}
    assert {"hr_low", "camera_lost", "view_dark", "broker_unreachable"} <= {name for name, _ in conditions}
    assert {"dark", "obstructed", "turned_away", "motion", "low_snr", None} <= reasons


def test_an_acknowledgement_is_obeyed_once_and_answered() -> None:
    one, now_s = device(nurse_s=1.0, faults=0.6, number=3), 0.0
    request = None
    while request is None:
        now_s += 1.0
        asked = [m for m in one.step(now_s) if isinstance(m.payload, p.CommandRequest)]
        request = next((m for m in asked if m.payload.name == "acknowledge"), None)  # type: ignore[union-attr]
    assert isinstance(request.payload, p.CommandRequest)
    told = [m.payload for m in one.obey(request.payload, request.topic, Reply(None, None))]
    move, answer = told
    assert isinstance(move, p.Alarm)
    assert isinstance(answer, p.CommandResponse)
    assert (answer.status, move.alarm_id, move.ack and move.ack.by) == (
        "done", request.payload.alarm_id, request.payload.by,
    )  # fmt: skip
    assert one.obey(request.payload, request.topic, Reply(None, None)) == []


def post(*, receipts: bool = True, faults: float = 0.0) -> Post:
    made = Post(Random(0), receipts=receipts, resend_after_s=RESEND_S, faults=faults)
    made.connected([])
    return made


steps = st.lists(st.tuples(st.sampled_from(["alarm", "end", "bout", "minute"]), st.integers(0, 7)), max_size=40)


@given(steps, st.sampled_from([0.0, 0.9]))
@settings(max_examples=60, deadline=None)
def test_the_post_loses_nothing_and_keeps_order_whatever_is_lost(plan: list[tuple[str, int]], faults: float) -> None:
    """Messages and receipts are lost by the plan; all arrive at last, and in order within a lane."""
    sender, say, now_s = post(faults=faults), composer(), 0.0
    arrived: dict[tuple[Rank, str], list[int]] = defaultdict(list)
    ids: set[str] = set()

    def carry(lost: int) -> None:
        for n, out in enumerate(sender.take(now_s)):
            if (n + lost) % 3 == 0:
                continue
            payload = decode(out.topic, out.payload) if out.payload else None
            if isinstance(payload, p.Durable) and payload.id not in ids:
                ids.add(payload.id)
                where = address(out.topic)
                arrived[where.topic.rank, where.bed].append(payload.seq)
            if (n + lost) % 4:
                sender.delivered([payload.id if isinstance(payload, p.Header) else out.row_id], now_s)

    for n, (kind, lost) in enumerate(plan):
        now_s += 1.0
        presence = Presence.OFF if kind == "end" else Presence.ON
        if kind == "bout":
            sender.put(say.behaviour(bout(f"e{n}"), stamp()), now_s)
        elif kind == "minute":
            sender.put(minute(say), now_s)
        else:
            sender.put(say.alarm(alarm_event(revision=n + 1, presence=presence), stamp()), now_s)
        carry(lost)
    for lost in range(400):
        now_s += RESEND_S
        carry(lost)
    assert sender.waiting == ()
    assert ids == set(sender.made) == sender.sent
    if not faults:
        assert all(seqs == sorted(seqs) for seqs in arrived.values())


def test_after_an_outage_history_is_marked_and_a_standing_alarm_is_not() -> None:
    sender, say = post(), composer()
    sender.disconnected()
    sender.put(say.behaviour(bout(), stamp()), 0.0)
    sender.put(say.alarm(alarm_event(), stamp()), 0.0)
    sender.put(say.alarm(alarm_event("hr_low"), stamp()), 0.0)
    sender.put(say.alarm(alarm_event("hr_low", revision=2, presence=Presence.OFF), stamp()), 1.0)
    assert sender.take(LIVE_S) == []
    now_s, told = LIVE_S + 2.0, []
    sender.connected([say.avail("online", stamp())])
    while found := sender.take(now_s):
        for out in found:
            payload = decode(out.topic, out.payload) if out.payload else None
            told.append((out.topic.rpartition("/")[2], getattr(payload, "replay", None)))
            sender.delivered([getattr(payload, "id", out.row_id)], now_s)
    assert told == [
        ("avail", None), ("hr_high", False), ("cry", True), ("hr_low", True), ("hr_low", True), ("hr_low", None),
    ]  # fmt: skip


class Station:
    """A subscriber that commits what it hears and sends receipts; `ids` counts every durable id."""

    def __init__(self, port: int, *, receipts: bool = True) -> None:
        self.heard: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.ids: dict[str, int] = defaultdict(int)
        self._receipts, self._ready = receipts, threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="station", protocol=MQTTv5)
        self.client.on_connect = lambda client, *_: client.subscribe(f"{ROOT}/#", 1)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = lambda _c, _d, message: self._hear(message)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._ready.wait(5)

    def _hear(self, message: MQTTMessage) -> None:
        self.heard.put((message.topic, message.payload))
        where = address(message.topic)
        payload = decode(message.topic, message.payload) if message.payload else None
        if isinstance(payload, p.Durable):
            self.ids[payload.id] += 1
            if self._receipts:
                receipt = p.Receipt(station="station", device=where.device, ids=(payload.id,), ts=payload.ts)
                self.client.publish(f"{where.base}/_device/receipt", receipt.model_dump_json(), 1)

    def stop(self) -> list[tuple[str, p.Payload | None]]:
        self.client.disconnect()
        self.client.loop_stop()
        found = []
        while not self.heard.empty():
            topic, data = self.heard.get()
            found.append((topic, decode(topic, data) if data else None))
        return found


@contextmanager
def station(broker: Broker, *, receipts: bool = True) -> Iterator[Station]:
    made = Station(broker.plain, receipts=receipts)
    try:
        yield made
    finally:
        made.client.loop_stop()


def chosen(*words: str) -> tuple[Ward, argparse.Namespace]:
    parser = argparse.ArgumentParser()
    arguments(parser)
    args = parser.parse_args(words)
    return ward(args), args


def played(broker: Broker, folder: Path, *words: str) -> tuple[int, dict[str, object]]:
    one, args = chosen("--seed", "7", "--json-report", str(folder / "report.json"), *words)
    code = simulate(
        broker.plain_settings(resend_after_s=1), one, duration_s=args.duration_s, rate=args.rate,
        connections=args.connections, grace_s=args.grace_s, json_report=args.json_report, stop=threading.Event(),
    )  # fmt: skip
    return code, json.loads((folder / "report.json").read_text())


def alarms(told: list[tuple[str, p.Payload | None]]) -> list[tuple[str, p.Alarm]]:
    return [(topic, payload) for topic, payload in told if isinstance(payload, p.Alarm)]


def test_a_ward_is_played_receipted_and_accounted_for(broker: Broker, tmp_path: Path) -> None:
    """The report names what the station heard, and nothing else; what ended is taken off the broker."""
    with station(broker) as listener:
        words = ("--devices", "4", "--beds-per-device", "2", "--rate", "40", "--duration-s", "4", "--nurse-s", "10")
        code, report = played(broker, tmp_path, *words, "--faults", "0.3", "--connections", "2")
        told = listener.stop()
    durable = report["durable"]
    assert isinstance(durable, dict)
    named = [row_id for ids in durable["ids"].values() for row_id in ids]
    assert code == 0
    assert durable["unreceipted"] == durable["never_sent"] == []
    assert len(named) == len(set(named)) == durable["made"] == durable["receipted"] > 50
    assert set(named) == set(listener.ids)
    kinds = {type(payload) for _, payload in told}
    assert {p.Avail, p.Birth, p.HealthReport, p.State, p.HeartRateVital, p.Alarm, p.CommandResponse} <= kinds
    assert any(isinstance(payload, p.Durable) and payload.replay for _, payload in told)
    statuses = {payload.status for _, payload in told if isinstance(payload, p.Avail)}
    assert statuses == {"online", "offline", "stopping"}
    newest = dict(sorted(alarms(told), key=lambda one: one[1].seq))
    ends = {topic for topic, alarm in newest.items() if alarm.presence is Presence.OFF}
    assert ends
    assert ends <= {topic for topic, payload in told if payload is None}
    commands = report["commands"]
    assert isinstance(commands, dict)
    assert commands["acknowledge done"] > 0
    answered = {payload.cmd_id for _, payload in told if isinstance(payload, p.CommandResponse)}
    asked = {payload.cmd_id for _, payload in told if isinstance(payload, p.CommandRequest)}
    assert answered <= asked


def test_without_a_station_all_that_waits_is_told_and_the_exit_code_says_so(broker: Broker, tmp_path: Path) -> None:
    words = ("--devices", "3", "--rate", "60", "--duration-s", "1.5")
    code, report = played(broker, tmp_path, *words, "--grace-s", "0.3")
    durable = report["durable"]
    assert isinstance(durable, dict)
    assert code == 1
    named = {row_id for ids in durable["ids"].values() for row_id in ids}
    assert set(durable["unreceipted"]) == named
    assert durable["receipted"] == 0
    code, report = played(broker, tmp_path, *words, "--no-receipts")
    assert (code, report["durable"]["unreceipted"]) == (0, [])  # type: ignore[index]
    assert report["durable"]["made"] > 3  # type: ignore[index]


def test_a_device_with_a_connection_of_its_own_leaves_by_its_last_will(broker: Broker, tmp_path: Path) -> None:
    """And while the broker is away nothing is lost either."""
    with station(broker) as listener:
        words = ("--devices", "4", "--connections", "4", "--rate", "50", "--duration-s", "3", "--faults", "0.6")
        code, report = played(broker, tmp_path, *words)
        told = listener.stop()
    seen = defaultdict(list)
    for _, payload in told:
        if isinstance(payload, p.Avail):
            seen[payload.device].append((payload.connection, payload.status))
    assert code == 0
    assert any(status == "offline" for moves in seen.values() for _, status in moves)
    assert all(moves == sorted(moves, key=lambda move: move[0]) for moves in seen.values())
    assert all(moves[-1][1] == "stopping" for moves in seen.values())
    assert set(listener.ids) == {i for ids in report["durable"]["ids"].values() for i in ids}  # type: ignore[index]


def test_a_broker_that_is_killed_midway_costs_nothing(broker: Broker, tmp_path: Path) -> None:
    def kill_and_start() -> None:
        eventually(lambda: len(listener.ids) > 5, 20, "first durable messages")
        broker.kill()
        broker.start()

    with station(broker) as listener:
        thread = threading.Thread(target=kill_and_start)
        thread.start()
        words = ("--devices", "4", "--rate", "30", "--duration-s", "5", "--faults", "0.1")
        code, report = played(broker, tmp_path, *words)
        thread.join()
        listener.stop()
    assert code == 0
    assert set(listener.ids) == {i for ids in report["durable"]["ids"].values() for i in ids}  # type: ignore[index]


@pytest.mark.parametrize(
    "words",
    [
        ("--devices", "0"),
        ("--beds-per-device", "5"),
        ("--rate", "2"),
        ("--rate", "0"),
        ("--faults", "1"),
        ("--site", "A/b"),
        ("--connections", "0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen(*words)
    assert "\n" not in str(caught.value)


def test_outgoing_messages_are_no_longer_than_the_wire_allows() -> None:
    for message in lived(device(beds_per_device=4), 60):
        out = Post.plain(message)
        assert isinstance(out, Outgoing)
        assert len(out.payload) < 8_000
