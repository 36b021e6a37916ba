"""When each stage runs, on the clock of the frames."""

from __future__ import annotations

import math

from edgemon.records import Face

SEARCH_S = 10.0  # a face just lost is looked for at twice the rate for so long
CALM_S = 10.0  # a face at rest for so long is looked for at half the rate
EARLY = 0.1  # of a period: frames do not come on the dot


class Every:
    """A cadence on the clock of the frames: due at most once a period, without drift."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._next_s: float | None = None

    def due(self, now_s: float) -> bool:
        """Whether it is time; saying yes takes the turn."""
        if self._next_s is not None and now_s < self._next_s - 1e-9:
            return False
        late = self._next_s is None or now_s > self._next_s + self._period_s
        self._next_s = (now_s if late or self._next_s is None else self._next_s) + self._period_s
        return True


class Pace:
    """When the face detector runs: at its rate, at twice that while a face was just lost, at half while all is calm."""

    def __init__(self, face_hz: float) -> None:
        self._period_s = 1 / face_hz
        self._ran_s = -math.inf
        self._well_s: float | None = None  # when the last turn had found the face, or when all began

    def due(self, now_s: float, face: Face | None, still_s: float) -> bool:
        """Whether it is time; saying yes takes the turn. `still_s`: for how long the face has lain found and still."""
        missed = face is None or face.detected_s < self._ran_s
        if not missed or self._well_s is None:
            self._well_s = now_s
        searching = missed and now_s - self._well_s <= SEARCH_S
        factor = 0.5 if searching else 2.0 if still_s >= CALM_S else 1.0
        if now_s - self._ran_s < (factor - EARLY) * self._period_s:
            return False
        self._ran_s = now_s
        return True
