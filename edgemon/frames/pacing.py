"""When the frames of a recording are shown: on its own clock from 0, or in real time."""

from __future__ import annotations

import threading
import time
from typing import Final

LATE_S: Final = 1.0  # further behind than this, playback goes on from now instead of hurrying


class Playback:
    """The clock of one recording; `stop` ends a wait from another thread."""

    def __init__(self, *, paced: bool) -> None:
        self._paced = paced
        self._began_s = 0.0
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin at 0 s of the recording."""
        self._stopped.clear()
        self._began_s = time.monotonic() if self._paced else 0.0

    def wait(self, at_s: float) -> float:
        """Wait until the recording's `at_s` has come, if paced; returns that moment on the frames' clock."""
        if self._paced:
            ahead_s = self._began_s + at_s - time.monotonic()
            if ahead_s > 0:
                self._stopped.wait(ahead_s)
            elif ahead_s < -LATE_S:
                self._began_s -= ahead_s
        return self._began_s + at_s

    def stop(self) -> None:
        """Wait no longer."""
        self._stopped.set()
