"""One bed's capture: reads its source in a thread, sees to it that frames keep coming, and hands them over.

Two paths lead out: `on_frame` sees every frame (the lossless path), `take` gives the newest one and counts those that
it overtook. All waiting and all ages are on the monotonic clock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from edgemon.errors import EdgemonError, WorkerStuck
from edgemon.frames import FrameSource
from edgemon.frames.meter import Meter
from edgemon.frames.trace import TraceRing
from edgemon.records import Frame

__all__ = ["Capture", "CaptureStats", "TraceRing"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CaptureStats:
    """What a capture has done since its start, and how its picture is now."""

    frames: int
    drops: int  # frames overtaken in the slot before they were taken
    restarts: int  # sources opened again
    abandoned: int  # threads given up on that have still not returned
    fps: float  # over the last 5 s
    captured_s: float | None  # of the newest frame
    age_s: float | None  # since the newest frame arrived
    frozen_s: float  # how long the picture has not changed by one bit
    luma: float | None  # mean brightness of the newest frame, 0..255
    error: str | None  # the last failure
    ended: bool  # a file came to its end, or cannot be read on


class _Reader(threading.Thread):
    """Reads one source until it ends, fails, or the capture no longer wants it."""

    def __init__(self, capture: Capture, name: str) -> None:
        super().__init__(name=name, daemon=True)  # one that hangs in a driver must not keep the process alive
        self.capture = capture
        self.waiting_since_s: float | None = capture.clock()  # None while a frame is being handed over
        self.frames = 0
        self.error: str | None = "the capture thread failed; the log holds its traceback"
        self.live = True

    def run(self) -> None:
        """Open, read, hand over, close."""
        try:
            self.error = self._read_on()
        except EdgemonError as error:
            self.error = str(error)
        finally:
            self.capture.finished(self)

    def _read_on(self) -> str | None:
        source = self.capture.source_factory()
        self.live = source.live
        try:
            source.open()
            while (frame := source.read()) is not None:
                if not self.capture.deliver(self, frame):
                    return None
        finally:
            source.close()
        return f"{source.name}: ended" if source.live else None


class Capture:
    """Keeps frames coming from one source.

    A source that fails is opened again after a back-off; one that hangs is left to its thread, counted, and replaced;
    a file that ends, or is damaged, ends the capture. Seq rises through all of it, with a step at each restart. When
    hung threads pile up, or one still holds the device after `give_up_after_s` without a frame, only a new process
    helps: then `take` raises WorkerStuck.
    """

    def __init__(
        self,
        source_factory: Callable[[], FrameSource],
        *,
        on_frame: Callable[[Frame], None],
        clock: Callable[[], float] = time.monotonic,
        stall_after_s: float = 2.0,
        first_frame_after_s: float = 10.0,
        backoff_s: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0),
        give_up_after_s: float = 60.0,
        abandoned_max: int = 4,
        name: str = "capture",
    ) -> None:
        self.source_factory, self.clock = source_factory, clock
        self._on_frame, self._name = on_frame, name
        self._stall_after_s, self._first_frame_after_s = stall_after_s, first_frame_after_s
        self._backoff_s, self._give_up_after_s, self._abandoned_max = backoff_s, give_up_after_s, abandoned_max
        self._state = threading.Condition()
        self._reader: _Reader | None = None  # the one whose frames count
        self._abandoned: set[_Reader] = set()
        self._slot: Frame | None = None
        self._meter = Meter(clock)
        self._next_seq = self._seq_base = 0
        self._drops = self._restarts = self._failures = 0
        self._error: str | None = None
        self._ended = self._stopping = self._stuck = False
        self._progress_s = clock()
        self._supervisor = threading.Thread(target=self._supervise, name=name, daemon=True)

    def start(self) -> None:
        """Start the threads."""
        self._progress_s = self.clock()
        self._supervisor.start()

    def take(self, timeout_s: float) -> Frame | None:
        """The newest frame not yet taken, or None when none came in time; `ended` says whether more can come.

        Raises:
            WorkerStuck: the source hangs for good.
        """
        with self._state:
            self._state.wait_for(lambda: self._slot is not None or self._stopping or self._stuck, timeout_s)
            if self._stuck:
                raise WorkerStuck(f"{self._name}: {self._error}; the process must be started anew")
            frame, self._slot = self._slot, None
            return frame

    @property
    def ended(self) -> bool:
        """Whether a file came to its end, or cannot be read on; a live source never ends."""
        with self._state:
            return self._ended

    def stats(self) -> CaptureStats:
        """The counters now."""
        with self._state:
            return CaptureStats(
                frames=self._meter.frames,
                drops=self._drops,
                restarts=self._restarts,
                abandoned=len(self._abandoned),
                fps=self._meter.fps(),
                captured_s=self._meter.captured_s,
                age_s=self._meter.age_s(),
                frozen_s=self._meter.frozen_s(),
                luma=self._meter.luma(),
                error=self._error,
                ended=self._ended,
            )

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop and join; a thread that was abandoned and never returned is left to die with the process.

        Raises:
            WorkerStuck: a thread that should have ended did not.
        """
        with self._state:
            self._stopping = True
            self._state.notify_all()
            reader = self._reader
        until_s = time.monotonic() + timeout_s
        for thread in (self._supervisor, reader):
            if thread is not None and thread.ident is not None:
                thread.join(max(0.0, until_s - time.monotonic()))
                if thread.is_alive():
                    raise WorkerStuck(f"{self._name}: thread {thread.name!r} did not end within {timeout_s:g} s")

    def deliver(self, reader: _Reader, frame: Frame) -> bool:
        """Hand over one frame of a reader; False when the reader is to end."""
        with self._state:
            if reader is not self._reader or self._stopping:
                return False
            reader.waiting_since_s = None
            frame = replace(frame, seq=self._seq_base + frame.seq)
            self._next_seq = frame.seq + 1
            self._meter.add(frame)
        self._on_frame(frame)
        with self._state:
            reader.frames += 1
            self._progress_s = reader.waiting_since_s = self.clock()
            self._failures = 0
            self._drops += self._slot is not None
            self._slot = frame
            self._state.notify_all()
        return True

    def finished(self, reader: _Reader) -> None:
        """A reader is at its end."""
        with self._state:
            self._abandoned.discard(reader)
            if reader is self._reader:
                self._reader = None
                self._error = reader.error or self._error
                self._ended = self._ended or not (reader.live or self._stopping)
            self._state.notify_all()

    def _supervise(self) -> None:
        with self._state:
            while not self._over():
                if self._reader is None:
                    self._reader = _Reader(self, f"{self._name} read")
                    self._reader.start()
                self._watch(self._reader)
                if not self._over():
                    self._back_off()

    def _over(self) -> bool:
        return self._stopping or self._ended or self._stuck

    def _watch(self, reader: _Reader) -> None:
        """Wait until the reader is gone; abandon it when it makes no progress."""
        while self._reader is reader and not self._over():
            allowed_s = self._stall_after_s if reader.frames else self._first_frame_after_s
            since_s = reader.waiting_since_s
            left_s = allowed_s if since_s is None else since_s + allowed_s - self.clock()
            if left_s > 0:
                self._state.wait(left_s)
                continue
            self._reader, self._error = None, f"no frame for {allowed_s:g} s; the thread that reads is abandoned"
            self._abandoned.add(reader)

    def _back_off(self) -> None:
        silent_s = self.clock() - self._progress_s
        hangs = len(self._abandoned)
        self._stuck = hangs > self._abandoned_max or (hangs > 0 and silent_s > self._give_up_after_s)
        if self._stuck:
            self._state.notify_all()
            return
        pause_s = self._backoff_s[min(self._failures, len(self._backoff_s) - 1)]
        log.warning("%s: %s; opened again in %g s", self._name, self._error, pause_s)
        self._state.wait_for(lambda: self._stopping, pause_s)
        self._failures += 1
        self._restarts += not self._stopping
        self._seq_base = self._next_seq + 1 if self._next_seq else 0  # the step shows the gap
