"""A camera that follows a script: for tests, and for trying out what a failing camera does to a station."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from edgemon.errors import SourceError
from edgemon.records import Frame

Step = NDArray[np.uint8] | NDArray[np.uint16] | SourceError | threading.Event


class FakeSource:
    """Plays steps in order: an image becomes a frame, an error is raised, an Event is waited for (never set: it hangs).

    Frames are `1 / fps` apart from `start_s` on; the script's end is the source's end.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        *,
        bed: str = "cot-1",
        name: str = "fake",
        live: bool = True,
        fps: float = 30.0,
        start_s: float = 0.0,
        fails_to_open: SourceError | None = None,
    ) -> None:
        self.bed, self.name, self.live = bed, name, live
        self.opened = self.closed = 0
        self._steps, self._fps, self._start_s = steps, fps, start_s
        self._fails_to_open = fails_to_open
        self._script: Iterator[Step] = iter(())

    def open(self) -> None:
        """Start the script; raises the error it was given for this."""
        self.opened += 1
        if self._fails_to_open is not None:
            raise self._fails_to_open
        self._script, self._seq = iter(self._steps), 0

    def read(self) -> Frame | None:
        """The frame of the next image in the script."""
        for step in self._script:
            if isinstance(step, SourceError):
                raise step
            if isinstance(step, threading.Event):
                step.wait()
                continue
            frame = Frame(self.bed, self._seq, self._start_s + self._seq / self._fps, step, self.name)
            self._seq += 1
            return frame
        return None

    def close(self) -> None:
        """Forget the script."""
        self.closed += 1
        self._script = iter(())
