"""How often one key may do something: a token bucket a key, in a bounded table (pure: the time is an argument)."""

from __future__ import annotations

from collections import OrderedDict

MAX_KEYS = 10_000


class Limiter:
    """At most `count` at once, and on average one every `window_ms / count` after that.

    It is per process: with N replicas of the web a determined sender gets N times as much.
    """

    def __init__(self, count: int, window_ms: int) -> None:
        self._count, self._refill_ms = count, window_ms / count
        self._spent: OrderedDict[str, tuple[float, int]] = OrderedDict()  # key: (how much is spent, when that was)

    def allow(self, key: str, now_ms: int) -> bool:
        """Whether `key` may once more; if so, it is counted."""
        level, at_ms = self._spent.get(key, (0.0, now_ms))
        level = max(0.0, level - max(0, now_ms - at_ms) / self._refill_ms)
        allowed = level + 1 <= self._count
        self._spent[key] = (level + 1 if allowed else level, now_ms)
        self._spent.move_to_end(key)
        while len(self._spent) > MAX_KEYS:
            self._spent.popitem(last=False)
        return allowed
