"""For which share of the recent past something was known."""

from __future__ import annotations

from collections import deque
from typing import Final

_MAX_KNOWN_SPANS: Final = 64


class Spans:
    """Which spans of the last `window_s` were known; bounded, as spans less than `hold_s` apart are one."""

    def __init__(self, hold_s: float, window_s: float) -> None:
        self._hold_s = hold_s
        self._window_s = window_s
        self._spans: deque[tuple[float, float]] = deque(maxlen=_MAX_KNOWN_SPANS)

    def touch(self, at_s: float) -> None:
        """Note that it was known at `at_s`."""
        start_s = at_s
        if self._spans and at_s - self._spans[-1][1] <= self._hold_s:
            start_s, _ = self._spans.pop()
        self._spans.append((start_s, at_s))
        while self._spans[0][1] + self._hold_s < at_s - self._window_s:
            self._spans.popleft()

    def share(self, now_s: float) -> float:
        """Known time as a share of the last `window_s`."""
        from_s = now_s - self._window_s
        known = (min(now_s, end + self._hold_s) - max(from_s, start) for start, end in self._spans)
        return min(1.0, sum(max(0.0, span) for span in known) / self._window_s)
