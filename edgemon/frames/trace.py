"""The lossless path of colour: the skin's mean colour of every frame, with every gap counted."""

from __future__ import annotations

import statistics
import threading
from collections import deque
from itertools import pairwise

from edgemon.records import SkinSample

_GAP_INTERVALS = 1.5  # a step in time longer than this many usual ones is a gap
_USUAL_OF = 16  # samples from which the usual interval is taken


class TraceRing:
    """The newest `capacity` skin samples, in order; one thread appends, any may look.

    A gap is a step in seq, or a step in time above 1.5 times the usual one (the median of the last 15 steps).
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 2:
            raise ValueError(f"capacity must be >= 2, got {capacity}")
        self._samples: deque[SkinSample] = deque(maxlen=capacity)
        self._recent_s: deque[float] = deque(maxlen=_USUAL_OF)
        self._gaps = 0
        self._lock = threading.Lock()

    def append(self, sample: SkinSample) -> None:
        """Add the sample of the next frame; one that is not newer than the last is left out and counted as a gap."""
        with self._lock:
            if self._samples:
                last = self._samples[-1]
                step_s = sample.captured_s - last.captured_s
                self._gaps += sample.seq != last.seq + 1 or step_s <= 0 or self._late(step_s)
                if step_s <= 0:
                    return
            self._samples.append(sample)
            self._recent_s.append(sample.captured_s)

    def _late(self, step_s: float) -> bool:
        steps = [after - before for before, after in pairwise(self._recent_s)]
        return bool(steps) and step_s > _GAP_INTERVALS * statistics.median(steps)

    @property
    def gaps(self) -> int:
        """Gaps since the start."""
        with self._lock:
            return self._gaps

    def snapshot(self) -> tuple[SkinSample, ...]:
        """The samples now held, oldest first."""
        with self._lock:
            return tuple(self._samples)

    def clear(self) -> None:
        """Forget the samples, not the count of gaps; for another infant or another track."""
        with self._lock:
            self._samples.clear()
            self._recent_s.clear()
