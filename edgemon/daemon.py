"""Start, run, stop: one process, whose threads are one capture a camera, one vision thread, and this I/O loop.

The loop owns the outbox, MQTT, health and sd_notify. Signals and the end of the cameras reach it as bytes on a socket.
"""

from __future__ import annotations

import fcntl
import logging
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from edgemon import __version__, logs
from edgemon.cadence import Every
from edgemon.config import Bed, Config
from edgemon.errors import DeliveryError
from edgemon.frames import open_source
from edgemon.frames.capture import Capture
from edgemon.health import Progress
from edgemon.pipeline import TICK_S, build_sights
from edgemon.reporter import Reporter
from edgemon.signals import Waker, stop_socket
from edgemon.systemd import Notifier
from edgemon.vision import Vision

STUCK_AFTER_S = 5.0
PUMP_S = 0.1  # the link is served at least this often, and at once when it has something to do
log = logging.getLogger(__name__)


class Daemon:
    """Everything that `edgemon run` holds, from start to stop."""

    def __init__(self, config: Config, *, duration_s: float | None = None) -> None:
        self._config = config
        self._duration_s = duration_s
        self._notifier = Notifier()
        self._progress = Progress(("vision", "io"), time.monotonic())

    def run(self) -> int:
        """Watch until told to stop; the exit code.

        Raises:
            EdgemonError: what ended it, or kept it from starting.
        """
        logs.configure(self._config.log_level)
        with ExitStack() as stack:
            stop, waker = stack.enter_context(stop_socket()), Waker()
            stack.callback(waker.close)
            stack.enter_context(_only_one(self._config.state_dir))
            vision = Vision(build_sights(self._config), self._progress)
            cameras = {beds[0].camera: self._capture(beds, vision) for beds in self._config.cameras}
            captures = [cameras[bed.camera] for bed in self._config.beds]
            reporter = stack.enter_context(
                Reporter(self._config, vision, captures, progress=self._progress, wake=waker.wake)
            )
            stack.callback(vision.stop)
            for capture in cameras.values():
                capture.start()
                stack.callback(capture.stop)
            vision.watch(captures)
            self._notifier.ready()
            log.info("edgemon %s watches %s", __version__, ", ".join(bed.id for bed in self._config.beds))
            self._loop(reporter, stop, waker)
            self._notifier.stopping()
        return 0

    def _capture(self, beds: tuple[Bed, ...], vision: Vision) -> Capture:
        """One capture for all beds of a camera: most cameras cannot be opened twice."""
        names = tuple(bed.id for bed in beds)
        open_source(beds[0], paced=True)  # a source that can never be opened is told at the start
        return Capture(
            partial(open_source, beds[0], paced=True), on_frame=partial(vision.on_frame, names), name=" ".join(names)
        )

    def _loop(self, reporter: Reporter, stop: socket.socket, waker: Waker) -> None:
        begun_s, tick = time.monotonic(), Every(TICK_S)
        while not reporter.ended:
            now_s = time.monotonic()
            if self._duration_s is not None and now_s - begun_s >= self._duration_s:
                return
            if tick.due(now_s):
                reporter.turn(now_s)
                self._progress.beat("io", time.monotonic())
                if reporter.cameras_silent() or self._progress.alive(now_s, STUCK_AFTER_S):
                    self._notifier.watchdog()
                self._notifier.status(reporter.summary())
            reporter.pump(now_s)
            if stop.fileno() in select.select([stop.fileno(), waker.fileno()], [], [], PUMP_S)[0]:
                return
            waker.calm()


@contextmanager
def _only_one(state_dir: Path) -> Iterator[None]:
    """Hold the state directory, so that no second daemon writes to it.

    Raises:
        DeliveryError: it cannot be written, or another daemon holds it.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (state_dir / "lock").open("w")
    except OSError as error:
        raise DeliveryError(f"{state_dir}: {error.strerror}; set state_dir to a folder that may be written") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DeliveryError(
                f"{state_dir}: another edgemon runs on it; stop that one or set another state_dir"
            ) from error
        yield
