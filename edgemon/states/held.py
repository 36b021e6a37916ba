"""A value that stands for a while after it was last confirmed, and then the reason for its lack."""

from __future__ import annotations

import math
from typing import Generic, TypeVar

from edgemon.records import Reading, Reason

T = TypeVar("T")


class Held(Generic[T]):
    """The newest value, believed for `hold_s` after it was last confirmed, and after that the reason for its lack."""

    def __init__(self, hold_s: float) -> None:
        self.hold_s = hold_s
        self.value: T | None = None
        self._quality = 0.0
        self._since_s = self._seen_s = self._refused_s = self._reason_since_s = -math.inf
        self._reason = Reason.WARMING_UP

    def alive(self, at_s: float) -> bool:
        """Whether the value still stands."""
        return self.value is not None and at_s - self._seen_s <= self.hold_s

    def confirm(self, value: T, quality: float, at_s: float, since_s: float | None) -> None:
        """See the value now; `since_s` None keeps the start of the unbroken run of such values."""
        flag_changed = isinstance(value, bool) and value is not self.value
        if since_s is not None or flag_changed or not self.alive(at_s):
            self._since_s = at_s if since_s is None else since_s
        self.value, self._quality, self._seen_s = value, quality, at_s

    def refuse(self, reason: Reason, at_s: float) -> None:
        """Learn why there is no value now."""
        first = self._refused_s == -math.inf
        if first or reason is not self._reason or self._seen_s > self._refused_s:
            self._reason_since_s = at_s
        self._reason, self._refused_s = reason, at_s

    def reading(self, now_s: float) -> Reading[T]:
        """The value or the reason, as of `now_s`."""
        if self.alive(now_s):
            return Reading(self.value, None, self._quality, self._since_s, self._seen_s)
        newest_s = max(self._seen_s, self._refused_s)
        if newest_s == -math.inf:
            return Reading(None, Reason.WARMING_UP, 0.0, now_s, now_s)
        if now_s - newest_s > self.hold_s:
            return Reading(None, Reason.STALE, 0.0, newest_s + self.hold_s, newest_s)
        since_s = max(self._reason_since_s, self._seen_s + self.hold_s)
        return Reading(None, self._reason, 0.0, min(since_s, now_s), newest_s)


def named(fact: Reading[bool], yes: T, no: T) -> Reading[T]:
    """The fact in words."""
    value = None if fact.value is None else yes if fact.value else no
    return Reading(value, fact.reason, fact.quality, fact.since_s, fact.updated_s)
