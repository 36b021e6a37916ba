"""What a screen got and when, what was published and when, and what the station kept: the measures of `station.py`."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from edgemon.messages import ROOT
from edgemon.simulate.device import Device, Ward
from edgemon.station.nouns import base_of, to_ms
from edgemon.station.store import Store
from edgemon.station.store import schema as t

READ_BYTES = 1 << 16
KEPT = {t.alarm_log: "alarm/{}", t.hr_minute: "vitals/hr/min", t.movement_minute: "movement", t.summary: "summary/{}",
        t.event: "event/{}"}  # fmt: skip
Json = dict[str, Any]


class Screen(threading.Thread):
    """Follows the event stream as a page does; what came is only kept with its time, and read afterwards."""

    def __init__(self, port: int) -> None:
        super().__init__(name="screen")
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.request("GET", "/api/live")
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200, self._answer.status
        self._sock = self._connection.sock
        self.came: list[tuple[int, bytes]] = []
        self.start()

    def run(self) -> None:
        """Read until the station ends it, or `stop` does."""
        with suppress(OSError, ValueError, http.client.HTTPException):
            while data := self._answer.read1(READ_BYTES):
                self.came.append((time.time_ns() // 1_000_000, data))

    def stop(self) -> None:
        """Leave."""
        with suppress(OSError):
            if self._sock is not None:
                self._sock.shutdown(2)
        self.join(10)

    def cards(self) -> Iterator[tuple[int, Json]]:
        """Each card with the time at which the whole event that told it was there."""
        rest = b""
        for at_ms, data in self.came:
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                for line in event.split(b"\n"):
                    if line.startswith(b"data: "):
                        for card in json.loads(line[6:]).get("cards", ()):
                            yield at_ms, card

    @property
    def received_mb(self) -> float:
        """All that came."""
        return sum(len(data) for _, data in self.came) / 1e6


class Listener:
    """A mosquitto_sub beside the station: what was published, and when it was."""

    def __init__(self, port: int, file: Path) -> None:
        self.file = file
        words = ["-h", "127.0.0.1", "-p", str(port), "-F", "%U %r %t %p"]
        topics = [word for name in ("vitals/hr", "alarm/+") for word in ("-t", f"edgemon/v1/+/+/+/+/{name}")]
        with file.open("wb") as out:
            self._process = subprocess.Popen(["mosquitto_sub", *words, *topics], stdout=out)

    def stop(self) -> None:
        """End, and let it write what it has."""
        self._process.terminate()
        self._process.wait(10)

    def heard(self) -> Iterator[tuple[int, str, str, Json]]:
        """Time, place, topic and payload of each message that was not retained."""
        for line in self.file.read_text(encoding="utf-8").splitlines():
            at_s, retained, topic, text = line.split(" ", 3)
            if retained == "0" and text:
                place = "/".join(topic.split("/")[2:6])
                yield round(1000 * float(at_s)), place, topic, json.loads(text)


@dataclass(frozen=True, slots=True)
class Vital:
    """One heart rate as it was published; `ts_ms` is by the device's clock."""

    ts_ms: int
    heard_ms: int
    shown_as: tuple[float, float]  # bpm and quality, by which the card that shows it is known


@dataclass(slots=True)
class Published:
    """What was published, by place, and of alarms by occurrence and revision."""

    vitals: dict[str, list[Vital]]
    copies: int  # of heart rates, those that were sent twice among them
    alarms: dict[tuple[str, int], int]

    @classmethod
    def of(cls, heard: Iterable[tuple[int, str, str, Json]]) -> Published:
        """Sort what was heard; a vital that came behind a newer one is not shown and not counted."""
        vitals, newest, copies = defaultdict[str, list[Vital]](list), Counter[str](), 0
        alarms: dict[tuple[str, int], int] = {}
        for at_ms, place, topic, told in heard:
            if not topic.endswith("/vitals/hr"):
                if told["presence"] != "off" and not told["replay"]:
                    alarms.setdefault((told["alarm_id"], told["revision"]), at_ms)
                continue
            copies += 1
            rate = told["heart_rate"]
            if told["seq"] > newest[place]:
                newest[place] = told["seq"]
                if rate["value"] is not None:
                    vitals[place].append(Vital(to_ms(told["ts"]), at_ms, (rate["value"], rate["quality"])))
        return cls(dict(vitals), copies, alarms)


def wrong_clocks(settings: Json) -> set[str]:
    """Bases of the simulated devices whose clocks are wrong on purpose, so that their `ts` tells no lag."""
    ward = Ward(**{one.name: settings[one.name] for one in fields(Ward)})
    devices = (Device(ward, number) for number in range(1, ward.devices + 1))
    return {device.base.removeprefix(f"{ROOT}/") for device in devices if device.clock_offset_s}


@dataclass(slots=True)
class Lags:
    """In ms: from a vital's `ts`, and from when another subscriber had it, and of alarms likewise, to the screen."""

    since_ts: list[int] = field(default_factory=list)
    since_published: list[int] = field(default_factory=list)
    alarms: list[int] = field(default_factory=list)
    never_shown: int = 0  # overtaken by a newer one of the same bed


def lags(
    published: Published, cards: Iterable[tuple[int, Json]], span_ms: tuple[int, int], wrong: Collection[str]
) -> Lags:
    """Find each vital and alarm that was published within `span_ms` on the screen; `wrong`: bases of wrong clocks."""
    found, at, (from_ms, to_ms_) = Lags(), Counter[str](), span_ms
    alarms = {key: ms for key, ms in published.alarms.items() if from_ms <= ms < to_ms_}
    for came_ms, card in cards:
        for alarm in card["alarms"]:
            heard_ms = alarms.pop((alarm["alarm_id"], alarm["revision"]), None)
            if heard_ms is not None:
                found.alarms.append(max(0, came_ms - heard_ms))
        rate, said = card["heart_rate"], published.vitals.get(card["place"], [])
        if rate is None or rate["bpm"] is None:
            continue
        first = at[card["place"]]
        ours = [n for n in range(first, len(said)) if said[n].shown_as == (rate["bpm"], rate["quality"])]
        n = next((n for n in reversed(ours) if said[n].heard_ms <= came_ms + 50), None)
        if n is None:
            continue
        at[card["place"]] = n + 1
        if from_ms <= said[n].heard_ms < to_ms_:
            found.never_shown += n - first
            found.since_published.append(max(0, came_ms - said[n].heard_ms))
            if base_of(card["place"]) not in wrong:
                found.since_ts.append(came_ms - said[n].ts_ms)
    return found


def percentiles(values: Sequence[int]) -> Json:
    """Nearest-rank percentiles of lags."""
    ranked = sorted(values)

    def at(share: float) -> int | None:
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else None

    return {"n": len(ranked), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0)}


def ledger(store: Store, made: dict[str, list[str]], copies: int) -> Json:
    """Every durable id that was made against the rows of the store, and heart rates by the second.

    Doubled is an id with more than one row, a row whose id nobody made, and a heart rate above the copies published.
    Of answers to commands only those to the station's own are kept: the simulated staff's are left out.
    """
    rows: Counter[str] = Counter()
    with store.engine.begin() as connection:
        for table in KEPT:
            rows.update(connection.execute(select(table.c.id)).scalars())
        rates = connection.execute(select(func.count()).select_from(t.hr)).scalar_one()
    wanted = {one for topic in KEPT.values() for one in made.get(topic, ())}
    twice = [one for one, count in rows.items() if count > 1]
    return {
        "durable_made": len(wanted), "durable_stored": len(rows), "lost": sorted(wanted - set(rows)),
        "doubled": sorted([*twice, *(set(rows) - wanted)]), "rates_published": copies, "rates_stored": rates,
        "rates_doubled": max(0, rates - copies), "numbers_missing": sum(one.missing for one in store.devices()),
        "repeats_dropped": sum(one.repeats for one in store.devices()),
    }  # fmt: skip
