"""The vision thread looks at the newest frame of every bed; ONNX Runtime releases the GIL while it runs."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edgemon.errors import WorkerStuck
from edgemon.frames.capture import Capture
from edgemon.health import Progress
from edgemon.pipeline import Seen, Sight
from edgemon.records import Frame

LATE_S = 0.25  # the mean age of a picture that has been looked at, above which the board is too busy
LATE_OVER_S = 5.0
GAP_MAX_S = 1.0  # that one look may stand for, so that the first after an outage does not decide alone
LONG_S = 0.5  # that a look with pose may take: skin is read where the face was seen at most 1 s ago
LONG_LOOKS = 2  # in a row; one is chance
REST_S = 30.0
WAITING_MAX = 256  # looks that the I/O loop has not taken up yet; more are dropped and counted
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Eye:
    """One camera and the beds that are seen through it."""

    capture: Capture
    sights: tuple[Sight, ...]


class Load:
    """When the stages that matter least rest: while the board is hot or looks are late or long, and a while longer."""

    def __init__(self) -> None:
        self._late_s = 0.0
        self._looked_s: float | None = None
        self._long_looks = 0
        self._until_s = -math.inf

    def heavy(self, late_s: float, posed_s: float | None, now_s: float, *, hot: bool) -> bool:
        """Whether they rest, after a look that ended when its picture was `late_s` old.

        `posed_s` is how long it took, where it read a pose.
        """
        gap_s = 0.0 if self._looked_s is None else min(GAP_MAX_S, now_s - self._looked_s)
        self._looked_s = now_s
        self._late_s += -math.expm1(-gap_s / LATE_OVER_S) * (late_s - self._late_s)
        if posed_s is not None:
            self._long_looks = self._long_looks + 1 if posed_s > LONG_S else 0
        if hot or self._late_s > LATE_S or self._long_looks >= LONG_LOOKS:
            if now_s >= self._until_s:
                why = "the board is hot" if hot else f"looks are {self._late_s:.2f} s late, or long with it"
                log.warning("pose rests for %.0f s: %s", REST_S, why)
            self._until_s, self._long_looks = now_s + REST_S, 0
        return now_s < self._until_s


class Vision(threading.Thread):
    """Looks at the newest frame of each camera in turn until stopped, or until one needs a new process."""

    def __init__(self, sights: Sequence[Sight], progress: Progress) -> None:
        super().__init__(name="vision", daemon=True)
        self.eyes: tuple[Eye, ...] = ()
        self.seen: queue.Queue[tuple[str, Seen]] = queue.Queue(WAITING_MAX)
        self.dropped = 0
        self.hot = False  # the I/O loop, which reads the board, says so
        self.failure: WorkerStuck | None = None
        self.sights = tuple(sights)
        self._progress = progress
        self._fresh = threading.Event()
        self._stopping = False
        self._load = Load()

    def watch(self, captures: Sequence[Capture]) -> None:
        """Say which capture belongs to which sight, in order, and begin; several sights may share one."""
        pairs = tuple(zip(self.sights, captures, strict=True))
        self.eyes = tuple(
            Eye(capture, tuple(sight for sight, its in pairs if its is capture)) for capture in dict.fromkeys(captures)
        )
        self.start()

    def on_frame(self, beds: Collection[str], frame: Frame) -> None:
        """The lossless path: runs in the capture thread of these beds for every frame."""
        begun_s = time.monotonic()
        for sight in self.sights:
            if sight.bed.id in beds:
                sight.sample(frame)
        self._progress.took("skin", time.monotonic() - begun_s)
        self._fresh.set()

    def run(self) -> None:
        """Look until stopped."""
        try:
            while not self._stopping:
                self._fresh.wait(0.5)
                self._fresh.clear()
                for eye in self.eyes:
                    self._look(eye)
        except WorkerStuck as stuck:
            self.failure = stuck

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop and join.

        Raises:
            WorkerStuck: it did not end.
        """
        self._stopping = True
        self._fresh.set()
        if self.ident is not None:
            self.join(timeout_s)
            if self.is_alive():
                raise WorkerStuck(f"the vision thread did not end within {timeout_s:g} s")

    def _look(self, eye: Eye) -> None:
        frame = eye.capture.take(0.0)
        if frame is not None:
            for sight in eye.sights:
                self._look_for(sight, frame)

    def _look_for(self, sight: Sight, frame: Frame) -> None:
        begun_s = time.monotonic()
        seen = sight.look(frame)
        done_s = time.monotonic()
        posed = sight.limbs is not None and sight.limbs.ran
        self._progress.took("look_with_pose" if posed else "look", done_s - begun_s)
        late_s = max(0.0, done_s - frame.captured_s)
        self._progress.took("frame_to_look", late_s)
        if sight.limbs is not None:
            sight.limbs.resting = self._load.heavy(late_s, done_s - begun_s if posed else None, done_s, hot=self.hot)
        try:
            self.seen.put_nowait((sight.bed.id, seen))
        except queue.Full:
            self.dropped += 1
            return
        self._progress.beat("vision", done_s)
