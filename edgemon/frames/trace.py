"""The lossless path of colour: the skin's mean colour of every frame, with every gap counted."""

from __future__ import annotations

import threading
from collections import deque

from edgemon.records import SkinSample

_GAP_STEPS = 1.5  # a step in time longer than this many usual ones is a gap
_LEARNT_FROM = (4, 16)  # samples, least and most, from which the usual step is taken


class TraceRing:
    """The newest `capacity` skin samples, in order; one thread appends, any may look.

    A gap is a step in seq, or a step in time above 1.5 times the usual one: the mean since the last gap, of at most 15
    steps; the first three after a gap teach what is usual.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 2:
            raise ValueError(f"capacity must be >= 2, got {capacity}")
        self._samples: deque[SkinSample] = deque(maxlen=capacity)
        self._recent_s: deque[float] = deque(maxlen=_LEARNT_FROM[1])
        self._gaps = 0
        self._lock = threading.Lock()

    def append(self, sample: SkinSample) -> None:
        """Add the sample of the next frame; one that is not newer than the last is left out and counted as a gap."""
        with self._lock:
            if self._samples:
                last = self._samples[-1]
                step_s = sample.captured_s - last.captured_s
                if sample.seq != last.seq + 1 or step_s <= 0 or self._late(step_s):
                    self._gaps += 1
                    self._recent_s.clear()
                if step_s <= 0:
                    return
            self._samples.append(sample)
            self._recent_s.append(sample.captured_s)

    def _late(self, step_s: float) -> bool:
        count = len(self._recent_s)
        return count >= _LEARNT_FROM[0] and step_s > _GAP_STEPS * (self._recent_s[-1] - self._recent_s[0]) / (count - 1)

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
