"""Sleep in epochs of 30 s."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edgemon.records import Reading, Reason, Sleep
from edgemon.states.settings import StateSettings


@dataclass(frozen=True, slots=True)
class _Epoch:
    """What was seen in one epoch, and, once it is over, its score."""

    index: int
    asleep_s: float = 0.0
    awake_s: float = 0.0
    woke_s: float | None = None  # since when awake, where that came before the epoch's end
    updated_s: float = 0.0
    value: Sleep | None = None
    since_s: float = 0.0
    wavers: bool = False  # by its majority the other state: the first such, still told as the one before


class Epochs:
    """Sleep scored over epochs that start with the first observation."""

    def __init__(self, settings: StateSettings) -> None:
        self._settings = settings
        self._anchor_s: float | None = None
        self._open = self._done = _Epoch(-1)

    def add(self, from_s: float, to_s: float, asleep: bool | None, woke_s: float | None) -> None:
        """Count the time from one observation to the next as asleep, awake or (None) unknown.

        `woke_s` is since when the infant is surely awake.
        """
        if self._anchor_s is None:
            self._anchor_s = to_s
        index = self._index(to_s)
        border_s = self._start(index)
        if index > self._open.index:
            self._tally(max(0.0, border_s - from_s), asleep)
            self._done = self._completed(index - 1)
            self._open = _Epoch(index)
            from_s = max(from_s, border_s)
        self._tally(to_s - from_s, asleep)
        known_s = self._open.woke_s
        self._open = replace(self._open, updated_s=to_s, woke_s=woke_s if known_s is None else known_s)

    def reading(self, now_s: float, reason: Reason | None) -> Reading[Sleep]:
        """The last completed epoch's score, or awake where the open epoch already shows it."""
        if self._anchor_s is None:
            return Reading(None, reason or Reason.WARMING_UP, 0.0, now_s, now_s)
        index = self._index(now_s)
        if index == 0 and self._open.woke_s is None:
            return Reading(None, reason or Reason.WARMING_UP, 0.0, self._anchor_s, self._open.updated_s)
        done = self._completed(index - 1)
        if index == self._open.index and self._open.woke_s is not None:
            since_s = done.since_s if done.value is Sleep.AWAKE else self._open.woke_s
            return Reading(Sleep.AWAKE, None, self._share(self._open, now_s), since_s, self._open.updated_s)
        if done.value is None:
            return Reading(None, reason or Reason.GAP, 0.0, done.since_s, done.updated_s)
        return Reading(done.value, None, self._share(done, self._start(index)), done.since_s, done.updated_s)

    def _tally(self, span_s: float, asleep: bool | None) -> None:
        if asleep is True:
            self._open = replace(self._open, asleep_s=self._open.asleep_s + span_s)
        elif asleep is False:
            self._open = replace(self._open, awake_s=self._open.awake_s + span_s)

    def _completed(self, index: int) -> _Epoch:
        """The score of epoch `index`, which lies before the one of the time asked for."""
        if index == self._done.index:
            return self._done
        scored = self._score(self._done, self._open)
        if index == scored.index:
            return scored
        since_s = scored.since_s if scored.value is None else self._start(scored.index + 1)
        return _Epoch(index, since_s=since_s, updated_s=scored.updated_s)

    def _score(self, before: _Epoch, epoch: _Epoch) -> _Epoch:
        """An epoch's state; one epoch of the other majority is a stir or a nod, two in a row are a change."""
        start_s = self._start(epoch.index)
        if epoch.woke_s is not None:  # what was published as awake is not taken back by the majority
            return replace(epoch, value=Sleep.AWAKE, since_s=self._since(before, Sleep.AWAKE, epoch.woke_s))
        known_s = epoch.asleep_s + epoch.awake_s
        if known_s < self._settings.epoch_coverage * self._settings.epoch_s:
            return replace(epoch, value=None, since_s=self._since(before, None, start_s))
        share = 0.5 if before.value is Sleep.ASLEEP else self._settings.asleep_share
        value = Sleep.ASLEEP if epoch.asleep_s > share * known_s else Sleep.AWAKE
        if before.value not in (None, value) and before.index == epoch.index - 1:
            if not before.wavers:
                return replace(epoch, value=before.value, wavers=True, since_s=before.since_s)
            start_s = self._start(before.index)
        return replace(epoch, value=value, since_s=self._since(before, value, start_s))

    @staticmethod
    def _since(before: _Epoch, value: Sleep | None, start_s: float) -> float:
        return before.since_s if before.index >= 0 and before.value is value else start_s

    def _share(self, epoch: _Epoch, until_s: float) -> float:
        span_s = min(self._settings.epoch_s, until_s - self._start(epoch.index))
        return min(1.0, (epoch.asleep_s + epoch.awake_s) / span_s) if span_s > 0 else 0.0

    def _index(self, at_s: float) -> int:
        assert self._anchor_s is not None
        return math.floor((at_s - self._anchor_s) / self._settings.epoch_s)

    def _start(self, index: int) -> float:
        assert self._anchor_s is not None
        return self._anchor_s + index * self._settings.epoch_s
