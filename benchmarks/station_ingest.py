"""How many messages a second one core of the station takes in: reading, checking and committing, without MQTT.

`python benchmarks/station_ingest.py [--beds 1000] [--seconds 30] [--store URL]` makes the messages of so many beds for
so many seconds in the proportions of the wire (a heart rate a second, a state every 30 s, health every 10 s, a minute's
summary and movement, now and then an event or an alarm), and times what the ingest does with them in batches of 500.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from wire import alarm_event, bout, minute, moved, patient

from edgemon.messages import Composer, Stamp, encode
from edgemon.messages import payloads as p
from edgemon.records import Message
from edgemon.station.inbox import read
from edgemon.station.ingest import BATCH_ROWS
from edgemon.station.nouns import Heard
from edgemon.station.store import Store

OUTBOX = p.OutboxHealth(waiting=0, bytes=0, oldest_s=0, dropped=0)


def second(device: Composer, stamp: Stamp, number: int, at: int, chance: random.Random) -> Iterator[Message]:
    """What one device with one bed says in second `at`; devices do not all speak at once."""
    turn = at + number
    yield device.heart_rate("cot-1", patient().heart_rate, stamp)
    if turn % 30 == 0:
        yield device.state(patient(), [], stamp)
    if turn % 10 == 0:
        yield device.health(stamp, uptime_s=at, cameras=[], stages=[], outbox=OUTBOX)
    if turn % 60 == 0:
        yield minute(device)
        yield device.movement(moved(), stamp)
    if chance.random() < 0.01:
        yield device.behaviour(bout(f"e{at}"), stamp)
    if chance.random() < 0.01:
        yield device.alarm(alarm_event(at_s=stamp.at_s), stamp)


def traffic(beds: int, seconds: int) -> Iterator[tuple[str, bytes]]:
    """Topics and payloads."""
    chance = random.Random(7)
    devices = [Composer("site", "nicu", f"cot-pi-{number}", "b00t", 1) for number in range(beds)]
    ts = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    start = Stamp(100.0, ts, "ntp")
    for at in range(seconds):
        stamp = Stamp(100.0 + at, start.wall(100.0 + at), "ntp")
        for number, device in enumerate(devices):
            for message in second(device, stamp, number, at, chance):
                yield message.topic, encode(message)


def main() -> None:
    """Print messages a second, in all and of each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beds", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--store", help="default: SQLite in a temporary folder")
    args = parser.parse_args()
    messages = list(traffic(args.beds, args.seconds))
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(args.store or f"sqlite:///{folder}/station.db")
        read_s, commit_s, cpu_s, committed = 0.0, 0.0, time.process_time(), 0
        for start in range(0, len(messages), BATCH_ROWS):
            begun_s = time.perf_counter()
            now_ms = time.time_ns() // 1_000_000
            said = [
                read(topic, data, retained=False, now_ms=now_ms) for topic, data in messages[start : start + BATCH_ROWS]
            ]
            heard = [one for one in said if isinstance(one, Heard)]
            read_s += time.perf_counter() - begun_s
            begun_s = time.perf_counter()
            store.commit(heard)
            commit_s += time.perf_counter() - begun_s
            committed += len(heard)
        cpu_s = time.process_time() - cpu_s
        dialect = store.dialect
        store.close()
    print(f"{args.beds} beds, {len(messages)} messages, {committed} committed to {dialect} in batches of {BATCH_ROWS}")
    wall_s = read_s + commit_s
    print(f"{committed / wall_s:.0f} messages/s as the machine was: read {read_s:.2f} s, commit {commit_s:.2f} s")
    print(f"{committed / cpu_s:.0f} messages/s of one core by itself: {cpu_s:.2f} s of its time")


if __name__ == "__main__":
    main()
