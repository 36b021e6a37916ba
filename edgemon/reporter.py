"""The I/O loop's half of the daemon: what was seen becomes state, alarms and messages, which are stored and sent."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from types import TracebackType

from edgemon import __version__
from edgemon.alarm_store import AlarmStore
from edgemon.cadence import Every
from edgemon.commands import execute
from edgemon.config import Config
from edgemon.errors import CommandRefused, SourceLost, WorkerStuck
from edgemon.events.conditions import Condition, settings_for
from edgemon.events.engine import AlarmEngine
from edgemon.frames.capture import Capture, CaptureStats
from edgemon.health import Board, BoardReader, Progress, boot_id
from edgemon.home_assistant import discovery
from edgemon.messages import Composer, Stamp
from edgemon.messages import payloads as p
from edgemon.messages.counters import Counters
from edgemon.messages.mqtt import Link
from edgemon.messages.outbox import Outbox
from edgemon.pipeline import Mind, state_settings
from edgemon.records import DEVICE_BED, AlarmEvent, Health, Kind, Message
from edgemon.vision import Vision

SILENT_AFTER_S = 2.0  # a camera without a frame for so long is lost, which is told as an alarm
MODEL_FAULT_S = 5.0  # a model that failed counts as failed for so long
BOARD_S = 2.0
CAPABILITIES = ("face", "eyes", "sleep", "cry", "heart_rate")


class Reporter:
    """Owns the clinical halves of all beds, the outbox and the link to the broker; used by one thread."""

    def __init__(
        self,
        config: Config,
        vision: Vision,
        captures: Sequence[Capture],
        *,
        progress: Progress,
        wake: Callable[[], None],
    ) -> None:
        self._config, self._vision, self._progress = config, vision, progress
        self._captures = {bed.id: capture for bed, capture in zip(config.beds, captures, strict=True)}
        self._boards = BoardReader(config.state_dir)
        self._board: Board = self._boards.read()
        self._board_due, self._health_due = Every(BOARD_S), Every(config.cadence.health_s)
        self._failed_s: dict[str, float] = {}  # model -> when it last failed
        self._begun_s = time.monotonic()
        self._store = AlarmStore(config.state_dir)
        now_s = self._begun_s
        self._counters = Counters.begin(config.state_dir / "counters.json", boot_id())
        self._outbox = Outbox(
            config.state_dir / "outbox.db",
            max_bytes=config.mqtt.outbox_max_bytes, max_age_s=config.mqtt.outbox_max_age_s, now_s=now_s,
        )  # fmt: skip
        self._composer = Composer(
            config.site, config.unit, config.device, self._counters.boot, self._counters.session,
            numbers=self._counters.numbers(),
        )  # fmt: skip
        prefix = f"{config.device}/{self._counters.boot}/{self._counters.session}"
        self._conditions = settings_for(config.alarms)
        self._minds = {
            bed.id: Mind(
                bed.id, config.cadence, self._conditions, self._composer, prefix, states=state_settings(config)
            )
            for bed in config.beds
        }
        self._device_alarms = AlarmEngine(DEVICE_BED, self._conditions, prefix)
        self._link = Link(
            config.mqtt, self._composer, [bed.id for bed in config.beds], self._outbox,
            on_command=self._obey, clock=lambda: self._stamp(time.monotonic()),
            wake=wake,
        )  # fmt: skip
        self._restore(now_s)

    def __enter__(self) -> Reporter:
        self._link.send(self._birth(self._stamp(time.monotonic())))
        self._send(discovery(self._config, __version__))  # retained: the link says it again at every connection
        self._link.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        stamp = self._stamp(time.monotonic())
        for mind in self._minds.values():
            self._send(mind.finish(stamp))
        self._link.pump(stamp.at_s)
        self._link.stop()
        self._outbox.close()

    @property
    def ended(self) -> bool:
        """Whether every source was a file that has come to its end and has been looked at.

        Raises:
            SourceLost: a file could not be read, or not to its end.
            WorkerStuck: a camera needs a new process, or the vision thread is gone.
        """
        if self._vision.failure is not None:
            raise self._vision.failure
        if not self._vision.is_alive():
            raise WorkerStuck("the vision thread ended; its traceback stands above")
        if not all(capture.ended for capture in self._captures.values()) or not self._vision.seen.empty():
            return False
        errors = [error for capture in dict.fromkeys(self._captures.values()) if (error := capture.stats().error)]
        if errors:
            raise SourceLost("; ".join(errors))
        return True

    def cameras_silent(self) -> bool:
        """Whether no camera gives frames: then there is nothing to make progress with, and alarms say so."""
        ages_s = [capture.stats().age_s for capture in self._captures.values()]
        return all(age_s is None or age_s > SILENT_AFTER_S for age_s in ages_s)

    def summary(self) -> str:
        """One line for `systemctl status`."""
        fps = ", ".join(f"{bed} {capture.stats().fps:.0f} fps" for bed, capture in self._captures.items())
        link = "connected" if self._link.connected else "broker away"
        return f"{fps}; {link}; {self._outbox.waiting} waiting; {len(self._active())} alarms"

    def turn(self, now_s: float) -> None:
        """One turn of the loop: take in what was seen, judge, store, send."""
        self._take(now_s)
        if self._board_due.due(now_s):
            self._board = self._boards.read()
            self._vision.hot = self._board.hot
        stamp = self._stamp(now_s)
        for bed, mind in self._minds.items():
            self._send(mind.tick(self._health(bed, now_s), stamp))
        events = self._device_alarms.step(None, self._health(None, now_s), now_s)
        self._send(self._composer.alarm(event, stamp) for event in events)
        if self._health_due.due(now_s):
            self._link.send(self._health_report(stamp))
        self._store.save(self._counters.boot, tuple(engine.snapshot() for engine in self._engines()))
        self._store.append((row for engine in self._engines() for row in engine.drain_log()), stamp.ts)

    def pump(self, now_s: float) -> None:
        """Serve the link: send what is due, take in what has come."""
        self._link.pump(now_s)

    def _take(self, now_s: float) -> None:
        while True:
            try:
                bed, seen = self._vision.seen.get_nowait()
            except queue.Empty:
                return
            self._minds[bed].take(seen)
            self._failed_s |= dict.fromkeys(seen.failed_models, now_s)

    def _send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._link.send(message)

    def _obey(self, request: p.CommandRequest) -> int | None:
        """Execute one command; the revision of the alarm that it touched."""
        stamp = self._stamp(time.monotonic())
        if request.name == "rebirth":
            self._link.send(self._birth(stamp))
            return None
        if request.name == "self-test":
            faults = [event.condition for event in self._active() if event.kind is Kind.TECHNICAL]
            if faults:
                raise CommandRefused(f"self-test failed: {', '.join(faults)}")
            return None
        events = execute({engine.bed: engine for engine in self._engines()}, request, stamp.at_s)
        ack = p.Acknowledgement(by=request.by, at=stamp.ts) if request.name == "acknowledge" else None
        for event in events:
            self._link.send(self._composer.alarm(event, stamp, ack=ack))
        return events[-1].revision if events else None

    def _health(self, bed: str | None, now_s: float) -> Health:
        stats = self._captures[bed].stats() if bed else None
        return Health(
            at_s=now_s,
            frame_age_s=stats.age_s if stats else None,
            frozen_s=stats.frozen_s if stats else 0.0,
            luma=stats.luma if stats else None,
            temperature_c=self._board.temperature_c,
            throttled=self._board.throttled,
            storage_free_bytes=0 if self._outbox.storage_full else self._board.storage_free_bytes,
            messages_dropped=self._outbox.dropped + self._vision.dropped,
            failed_models=self._failing(now_s),
            connected=self._link.connected,
            clock_source=self._board.clock_source,
        )

    def _failing(self, now_s: float) -> tuple[str, ...]:
        return tuple(sorted(model for model, at_s in self._failed_s.items() if now_s - at_s < MODEL_FAULT_S))

    def _engines(self) -> tuple[AlarmEngine, ...]:
        return (*(mind.engine for mind in self._minds.values()), self._device_alarms)

    def _active(self) -> tuple[AlarmEvent, ...]:
        return tuple(event for engine in self._engines() for event in engine.active())

    def _restore(self, now_s: float) -> None:
        kept = self._store.load()
        if kept is None:
            return
        engines = {engine.bed: engine for engine in self._engines()}
        for snapshot in kept.beds:
            if snapshot.bed in engines:
                ends = engines[snapshot.bed].restore(snapshot, now_s, same_clock=kept.boot == self._counters.boot)
                self._send(self._composer.alarm(event, self._stamp(now_s)) for event in ends)

    def _stamp(self, now_s: float) -> Stamp:
        ts = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return Stamp(now_s, ts, self._board.clock_source)

    def _birth(self, stamp: Stamp) -> Message:
        models = self._vision.sights[0].models
        return self._composer.birth(
            stamp,
            software=f"edgemon {__version__}",
            beds=tuple(self._minds),
            models=[p.ModelInfo(id=m.id, version=m.version, sha256=m.sha256, precision=m.precision) for m in models],
            capabilities=(
                *CAPABILITIES,
                *(("pain_cue",) if self._config.pain_cue.enabled else ()),
                *(("posture", "head_side", "movement") if self._config.models.pose else ()),
            ),
            alarms=[_limit(row) for row in self._conditions],
            delivery=self._config.mqtt.delivery,
        )

    def _health_report(self, stamp: Stamp) -> Message:
        return self._composer.health(
            stamp,
            uptime_s=stamp.at_s - self._begun_s,
            cameras=[_camera(bed, capture.stats()) for bed, capture in self._captures.items()],
            stages=[
                p.StageLatency(stage=stage, p50_ms=round(took.p50_ms, 2), p95_ms=round(took.p95_ms, 2))
                for stage, took in sorted(self._progress.latency().items())
            ],
            outbox=p.OutboxHealth(
                waiting=self._outbox.waiting, bytes=self._outbox.bytes,
                oldest_s=round(self._outbox.oldest_s(stamp.at_s), 1), dropped=self._outbox.dropped,
            ),
            temperature_c=self._board.temperature_c,
            throttled=self._board.throttled,
            storage_free_bytes=self._board.storage_free_bytes,
            failed_models=self._failing(stamp.at_s),
            active_alarms=self._device_alarms.active(),
        )  # fmt: skip


def _limit(row: Condition) -> p.AlarmLimit:
    return p.AlarmLimit(
        condition=row.name, kind=row.kind, priority=row.priority, enabled=row.enabled, latching=row.latching,
        limit=row.limit, unit=row.unit, delay_s=row.delay_s,
    )  # fmt: skip


def _camera(bed: str, stats: CaptureStats) -> p.CameraHealth:
    return p.CameraHealth(
        bed=bed,
        fps=round(stats.fps, 1),
        frame_age_s=None if stats.age_s is None else round(stats.age_s, 3),
        frozen_s=round(stats.frozen_s, 1),
        luma=None if stats.luma is None else round(stats.luma, 1),
        dropped_frames=stats.drops,
        restarts=stats.restarts,
    )
