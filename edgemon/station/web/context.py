"""What the handlers of one web process share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio

from edgemon.station.meters import Meters
from edgemon.station.nouns import Publish
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store
from edgemon.station.web.limits import Limiter

if TYPE_CHECKING:
    from edgemon.station.web.live import Hub
    from edgemon.station.web.oidc import Provider

MINUTE_MS = 60_000
T = TypeVar("T")


class Recent(Generic[T]):
    """What `make` gave or raised, made again for whoever asks after `for_ms`; those who ask meanwhile share it."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]], for_ms: int, now_ms: Callable[[], int]) -> None:
        self._make, self._for_ms, self._now_ms = make, for_ms, now_ms
        self._making: asyncio.Task[T] | None = None
        self._since_ms = 0

    async def get(self) -> T:
        """The newest."""
        now_ms = self._now_ms()
        old = not 0 <= now_ms - self._since_ms < self._for_ms  # a clock may be set back
        if self._making is None or (old and self._making.done()):
            self._making, self._since_ms = asyncio.create_task(self._make()), now_ms
        return await asyncio.shield(self._making)


@dataclass(frozen=True, slots=True)
class Limits:
    """How often what may be tried; `reports` bounds what refused tries add to the audit log."""

    names: Limiter = field(default_factory=lambda: Limiter(5, MINUTE_MS))
    addresses: Limiter = field(default_factory=lambda: Limiter(20, MINUTE_MS))
    acts: Limiter = field(default_factory=lambda: Limiter(60, MINUTE_MS))
    reports: Limiter = field(default_factory=lambda: Limiter(2, MINUTE_MS))
    hashing: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(2))  # argon2: 64 MiB each


@dataclass(frozen=True, slots=True)
class Web:
    """The store, the way to the devices, the clock and the limits.

    `unready` names what else this process waits for, such as its broker; `faults` what keeps the store from working,
    and `ward` is the store's part of the metrics: anybody may ask for them as often as he likes.
    """

    store: Store
    settings: StationConfig
    publish: Publish
    hub: Hub
    meters: Meters
    provider: Provider | None
    now_ms: Callable[[], int]
    unready: Callable[[], Sequence[str]]
    faults: Recent[Sequence[str]]
    ward: Recent[bytes]
    limits: Limits = field(default_factory=Limits)

    @property
    def tls(self) -> bool:
        """Whether browsers speak https."""
        return self.settings.http.tls
