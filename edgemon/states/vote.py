"""What most of the last looks say, for things that change seldom and are misread now and then."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import Final, Generic, TypeVar

from edgemon.records import Reason
from edgemon.states.held import Held

T = TypeVar("T")
_LOOKS_MAX: Final = 1024


class Vote(Generic[T]):
    """A value is believed once `share` of the looks of the last `window_s`, and at least `looks`, said so.

    It then stands while looks confirm it, until another has that share (hysteresis) or it is not seen for `hold_s`.
    """

    def __init__(self, window_s: float, hold_s: float, *, share: float, looks: int) -> None:
        if not (0.5 < share <= 1.0 and looks >= 1):
            raise ValueError(f"share must be within 0.5..1 and looks at least 1, got {share} and {looks}")
        self.held: Held[T] = Held(hold_s)
        self._window_s, self._share, self._least = window_s, share, looks
        self._looks: deque[tuple[float, T]] = deque(maxlen=_LOOKS_MAX)

    def see(self, value: T | None, quality: float, at_s: float) -> None:
        """Take in one look; None: it could not be told."""
        while self._looks and self._looks[0][0] < at_s - self._window_s:
            self._looks.popleft()
        if value is None:
            self.held.refuse(Reason.LOW_SNR, at_s)
            return
        self._looks.append((at_s, value))
        most, count = Counter(v for _, v in self._looks).most_common(1)[0]
        agreed = count >= max(self._least, math.ceil(self._share * len(self._looks) - 1e-9))
        stands = self.held.value if self.held.alive(at_s) else None
        if agreed and most != stands:
            self.held.confirm(most, quality, at_s, next(s for s, v in self._looks if v == most))
        elif value == stands:
            self.held.confirm(value, quality, at_s, None)
        elif stands is None:
            self.held.refuse(Reason.WARMING_UP if len(self._looks) < self._least else Reason.LOW_SNR, at_s)
