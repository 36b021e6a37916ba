"""For which share of the last seconds each facial action of pain was seen; a cue, and no scale's score."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from edgemon.records import Expression, PainActions, Reading, Reason
from edgemon.states.settings import StateSettings

ACTIONS: Final = ("brow_bulge", "eye_squeeze", "nasolabial_furrow")
PRESENT: Final = 0.5  # the mean probability over a second from which an action counts as there

Told = tuple[bool | None, ...]  # of each action: there, not there, or not seen


@dataclass(frozen=True, slots=True)
class _Second:
    """What the looks of one second said of each column: sums of probabilities, and how many there were."""

    index: int
    sums: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def told(self) -> Told:
        return tuple(s / n >= PRESENT if n else None for s, n in zip(self.sums, self.counts, strict=True))


class PainCue:
    """Seconds with each action over a window; a second that is not over counts by what it has shown so far.

    One column for each action, or a single one for a network that tells all of them at once.
    """

    def __init__(self, settings: StateSettings, columns: int = len(ACTIONS)) -> None:
        self._columns = columns
        self._window_s = settings.pain_window_s
        self._coverage, self._hold_s = settings.pain_coverage, settings.expression_hold_s
        self._seconds: deque[_Second] = deque(maxlen=1 + math.ceil(self._window_s or 0.0))
        self._known_since_s: float | None = None
        self._seen_s = self._seen_since_s = -math.inf  # all three actions, and since when without a refusal between
        self._refused_s = self._reason_since_s = -math.inf
        self._reason = Reason.WARMING_UP

    def see(self, seen: Expression, at_s: float) -> None:
        """Take in one look; an action that it does not tell is not seen for now."""
        self.look(tuple(getattr(seen, name) for name in ACTIONS), at_s)

    def look(self, told: tuple[float | None, ...], at_s: float) -> None:
        """The same by its columns, 0..1 each."""
        if self._window_s is None:
            return
        second = _Second(math.floor(at_s), (0.0,) * self._columns, (0,) * self._columns)
        if self._seconds and self._seconds[-1].index == second.index:
            second = self._seconds.pop()
        sums = tuple(s + (p or 0.0) for s, p in zip(second.sums, told, strict=True))
        counts = tuple(n + (p is not None) for n, p in zip(second.counts, told, strict=True))
        self._seconds.append(_Second(second.index, sums, counts))
        if None in told:
            self.refuse(Reason.OCCLUDED, at_s)
            return
        if self._seen_s <= self._refused_s:
            self._seen_since_s = at_s
        self._seen_s = at_s
        self._note(at_s)

    def refuse(self, reason: Reason, at_s: float) -> None:
        """Learn why not all of them can be seen now."""
        if reason is not self._reason or self._seen_s > self._refused_s:
            self._reason_since_s = at_s
        self._reason, self._refused_s = reason, at_s
        self._note(at_s)

    def reading(self, now_s: float) -> Reading[float]:
        """The share of seconds with all three actions at once, among those in which all three were seen."""
        if self._window_s is None:
            return Reading(None, Reason.DISABLED, 0.0, now_s, now_s)
        together = [all(told) for told in self._told(now_s) if None not in told]
        covered = len(together) / self._window_s
        if together and covered >= self._coverage and self._known_since_s is not None:
            share = sum(together) / len(together)
            return Reading(share, None, min(1.0, covered), self._known_since_s, self._seen_s)
        newest_s = max(self._seen_s, self._refused_s)
        if newest_s == -math.inf:
            return Reading(None, Reason.WARMING_UP, 0.0, now_s, now_s)
        if now_s - newest_s > self._hold_s:
            return Reading(None, Reason.STALE, 0.0, newest_s + self._hold_s, newest_s)
        if self._seen_s > self._refused_s:
            return Reading(None, Reason.WARMING_UP, 0.0, self._seen_since_s, newest_s)
        return Reading(None, self._reason, 0.0, self._reason_since_s, newest_s)

    def actions(self, now_s: float, coverage: float) -> PainActions | None:
        """The share of each action among the seconds in which it was seen; None where the cue is off.

        `coverage` is that of the cue that is told, which may come from another network.
        """
        if self._window_s is None:
            return None
        told = self._told(now_s)
        shares: dict[str, float | None] = {}
        for column, name in enumerate(ACTIONS):
            seen = [second[column] for second in told if second[column] is not None]
            enough = seen and len(seen) / self._window_s >= self._coverage
            shares[name] = sum(map(bool, seen)) / len(seen) if enough else None
        return PainActions(self._window_s, coverage, **shares)

    def coverage(self, now_s: float) -> float:
        """The share of the window's seconds in which every column was seen; 0 where the cue is off."""
        if self._window_s is None:
            return 0.0
        return min(1.0, sum(None not in second for second in self._told(now_s)) / self._window_s)

    def _told(self, now_s: float) -> list[Told]:
        assert self._window_s is not None
        first = math.floor(now_s - self._window_s) + 1
        return [second.told for second in self._seconds if second.index >= first]

    def _note(self, at_s: float) -> None:
        """Remember since when enough of the window was seen."""
        if self._window_s is None:
            return
        whole = sum(None not in told for told in self._told(at_s))
        if whole / self._window_s < self._coverage:
            self._known_since_s = None
        elif self._known_since_s is None:
            self._known_since_s = at_s
