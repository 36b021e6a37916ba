"""What the handlers of one web process share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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

    `unready` names what else this process waits for, such as its broker.
    """

    store: Store
    settings: StationConfig
    publish: Publish
    hub: Hub
    meters: Meters
    provider: Provider | None
    now_ms: Callable[[], int]
    unready: Callable[[], Sequence[str]]
    limits: Limits = field(default_factory=Limits)

    @property
    def tls(self) -> bool:
        """Whether browsers speak https."""
        return self.settings.http.tls
