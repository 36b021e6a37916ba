"""A simulated device: its beds, its own alarms, and its answers to commands; pure, by seed, number and time."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final, Literal

import numpy as np

from edgemon.commands import execute
from edgemon.errors import CommandRefused
from edgemon.events.conditions import Condition, settings_for
from edgemon.events.engine import AlarmEngine
from edgemon.messages import Composer, Stamp
from edgemon.messages import payloads as p
from edgemon.messages.commands import Commands, Reply
from edgemon.records import DEVICE_BED, ClockSource, Health, Kind, Message
from edgemon.simulate.cot import FPS, Cot, Trouble, spells_of
from edgemon.simulate.staff import Staff

HEALTH_EVERY: Final = 10  # steps
HOUR_S: Final = 3600.0
MAX_BEDS: Final = 4  # of a device, as its configuration allows
CAPABILITIES: Final = ("face", "eyes", "sleep", "cry", "heart_rate", "posture", "head_side", "movement")
CONDITIONS: Final = settings_for({})
OFFLINE: Final = Trouble("offline", 60.0, 0.5)
HOT: Final = Trouble("hot", 240.0, 0.3)
WEAK: Final = Trouble("undervoltage", 45.0, 0.2)
EMPTY: Final = p.OutboxHealth(waiting=0, bytes=0, oldest_s=0.0, dropped=0)
SMALL_OFFSET_S: Final = 5.0  # a clock that is wrong by more counts as not set


@dataclass(frozen=True, slots=True)
class Ward:
    """What is simulated.

    `faults` is the share 0..1 of the time in which something is wrong with a bed's camera or with a device, and of the
    devices whose clocks are wrong. `epoch_ms` is the wall time (UTC, Unix) at ward time 0; `session` must rise from
    run to run against one broker, as a daemon's does. `nurse_s` is how long an alarm waits for an answer in the mean,
    0 for ever.
    """

    devices: int
    beds_per_device: int = 1
    seed: int = 0
    faults: float = 0.05
    nurse_s: float = 90.0
    epoch_ms: int = 0
    session: int = 1
    site: str = "sim"
    unit: str = "ward"
    delivery: Literal["receipt", "puback"] = "receipt"


def _limit(row: Condition) -> p.AlarmLimit:
    return p.AlarmLimit(
        condition=row.name, kind=row.kind, priority=row.priority, enabled=row.enabled, latching=row.latching,
        limit=row.limit, unit=row.unit, delay_s=row.delay_s,
    )  # fmt: skip


class Device:
    """Device number `number` of a ward; `now_s` is ward time, which starts at 0 and must rise."""

    def __init__(self, ward: Ward, number: int) -> None:
        rng = self._rng = Random(f"{ward.seed}/{number}")  # noqa: S311  (chance, not secrets)
        self._ward, self.name = ward, f"sim-{number:04d}"
        self.phase_s = (number % 997) / 997  # steps of devices are spread over the second
        self._up_s = rng.uniform(HOUR_S, 30 * 24 * HOUR_S)  # how long it has run at ward time 0
        self.clock_offset_s = self._wrong_by() if rng.random() < ward.faults else 0.0
        self._source: ClockSource = "ntp"
        if self.clock_offset_s:
            self._source = "rtc" if abs(self.clock_offset_s) <= SMALL_OFFSET_S else "unsynced"
        boot = f"{ward.epoch_ms:x}-{ward.seed % 2**32:x}"
        self._composer = Composer(ward.site, ward.unit, self.name, boot, ward.session)
        self.base = self._composer.base
        prefix = f"{self.name}/{boot}"
        self._true = Stamp(0.0, f"{np.datetime64(ward.epoch_ms, 'ms')}Z", "ntp")
        self._own = Stamp(self._up_s, self._true.wall(self.clock_offset_s), self._source)
        self._newest = self._stamp(0.0)
        self._cots = {
            bed: Cot(
                bed, rng, self._up_s, composer=self._composer, conditions=CONDITIONS, id_prefix=prefix,
                faults=ward.faults,
            )
            for bed in (f"cot-{n + 1}" for n in range(ward.beds_per_device))
        }  # fmt: skip
        for cot in self._cots.values():
            cot.begin(self._stamp(-rng.random() * HOUR_S), self._up_s - 60.0 * rng.random())
        self._alarms = AlarmEngine(DEVICE_BED, CONDITIONS, prefix)
        self._away, self._hot, self._weak = (
            spells_of(rng, self._up_s, row, ward.faults) for row in (OFFLINE, HOT, WEAK)
        )
        self._commands = Commands(self._composer, self._obey, lambda: self._newest)
        self._staff = Staff(rng, self.base, ward.nurse_s, prefix)
        self._asked: list[Message] = []
        self._steps = number
        self._connection = 0
        self.will = self.next_will = self._last_will()

    @property
    def offline(self) -> bool:
        """Whether it has no network at the time of its newest step."""
        return self._away.on

    @property
    def beds(self) -> tuple[str, ...]:
        """The names of its beds."""
        return tuple(self._cots)

    def delay(self, late_s: float) -> None:
        """Let ward time 0 be later by the wall clock than the ward's epoch, for nothing was told until then."""
        self._true = Stamp(0.0, self._true.wall(late_s), "ntp")
        self._own = Stamp(self._up_s, self._own.wall(self._up_s + late_s), self._source)

    def step(self, now_s: float, outbox: p.OutboxHealth = EMPTY) -> list[Message]:
        """Live on to `now_s`; what there is to say, and what the staff ask of it."""
        stamp = self._newest = self._stamp(now_s)
        health = self._health(stamp.at_s)
        messages = [message for cot in self._cots.values() for message in cot.step(stamp, health)]
        events = self._alarms.step(None, health, stamp.at_s)
        messages += [self._composer.alarm(event, stamp) for event in events]
        if self._steps % HEALTH_EVERY == 0:
            messages.append(self._report(stamp, health, outbox))
        self._steps += 1
        self._hear(messages)
        clock = Stamp(now_s, self._true.wall(now_s), "ntp")
        return messages + self._staff.requests(now_s, clock)

    def greet(self) -> list[Message]:
        """What it says at the start of a connection; makes the last will of the one that comes next."""
        self._connection += 1
        self.will, self.next_will = self.next_will, self._last_will()
        will_seq = self.next_will.payload.seq if isinstance(self.next_will.payload, p.Header) else None
        online = self._composer.avail("online", self._newest, connection=self._connection, will_seq=will_seq)
        return [online, self._birth()]

    def stop(self) -> Message:
        """What it says at its end."""
        return self._composer.avail("stopping", self._newest, connection=self._connection)

    def finish(self) -> list[Message]:
        """The ends of bouts, and what the begun hour held."""
        return [message for cot in self._cots.values() for message in cot.mind.finish(self._newest)]

    def obey(self, request: p.CommandRequest, topic: str, reply: Reply) -> list[Message]:
        """Execute a command; the moves of alarms that it caused, then the answer."""
        response = self._commands.obey(request, topic, reply)
        moves, self._asked = self._asked, []
        self._hear(moves)
        return moves + ([response] if response else [])

    def reply(self, row_id: str, topic: str) -> tuple[str, bytes | None]:
        """Where to send an answer, and what is to come back with it."""
        reply = self._commands.reply(row_id)
        return self._commands.topic(row_id, topic), reply.correlation if reply else None

    def _hear(self, messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message.payload, p.Alarm):
                self._staff.hear(message.payload, self._newest.at_s - self._up_s)

    def _obey(self, request: p.CommandRequest) -> int | None:
        engines = {cot.bed: cot.mind.engine for cot in self._cots.values()} | {DEVICE_BED: self._alarms}
        if request.name == "rebirth":
            self._asked = [self._birth()]
            return None
        if request.name == "self-test":
            faults = [e.condition for one in engines.values() for e in one.active() if e.kind is Kind.TECHNICAL]
            if faults:
                raise CommandRefused(f"self-test failed: {', '.join(faults)}")
            return None
        stamp = self._newest
        events = execute(engines, request, stamp.at_s)
        ack = p.Acknowledgement(by=request.by, at=stamp.ts) if request.name == "acknowledge" else None
        self._asked = [self._composer.alarm(event, stamp, ack=ack) for event in events]
        return events[-1].revision if events else None

    def _wrong_by(self) -> float:
        return self._rng.choice((-1, 1)) * self._rng.choice((1.5, 4.0, 40.0, 600.0)) * self._rng.uniform(0.5, 1.2)

    def _stamp(self, now_s: float) -> Stamp:
        at_s = self._up_s + now_s
        return Stamp(at_s, self._own.wall(at_s), self._source)

    def _last_will(self) -> Message:
        return self._composer.avail("offline", self._newest, connection=self._connection + 1)

    def _health(self, at_s: float) -> Health:
        hot, weak = self._hot.at(at_s), self._weak.at(at_s)
        return Health(
            at_s=at_s,
            temperature_c=round(self._rng.gauss(84.0 if hot else 56.0, 0.5), 1),
            throttled=(0x1 if weak else 0) | (0x4 if hot else 0),
            storage_free_bytes=12_000_000_000,
            connected=not self._away.at(at_s),
            clock_source=self._source,
        )

    def _birth(self) -> Message:
        return self._composer.birth(
            self._newest, software="edgemon simulate", beds=self.beds, models=[], capabilities=CAPABILITIES,
            alarms=[_limit(row) for row in CONDITIONS], delivery=self._ward.delivery,
        )  # fmt: skip

    def _report(self, stamp: Stamp, health: Health, outbox: p.OutboxHealth) -> Message:
        cameras = []
        for bed, cot in self._cots.items():
            seen = cot.health
            lost = (seen.frame_age_s or 0.0) > 1.0
            fps = 0.0 if lost else round(FPS + self._rng.gauss(0.0, 0.1), 1)
            cameras.append(
                p.CameraHealth(
                    bed=bed, fps=fps, frame_age_s=seen.frame_age_s, frozen_s=round(seen.frozen_s, 1),
                    luma=round(seen.luma or 0.0, 1), dropped_frames=0, restarts=0,
                )
            )  # fmt: skip
        stages = [p.StageLatency(stage="look", p50_ms=round(self._rng.gauss(41.0, 1.0), 2), p95_ms=66.0)]
        return self._composer.health(
            stamp, uptime_s=stamp.at_s, cameras=cameras, stages=stages,
            outbox=outbox, temperature_c=health.temperature_c, throttled=health.throttled,
            storage_free_bytes=health.storage_free_bytes, active_alarms=self._alarms.active(),
        )  # fmt: skip
