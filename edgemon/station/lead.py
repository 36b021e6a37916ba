"""Once a second one process applies the rules, and once a minute it forgets what is old."""

from __future__ import annotations

import logging
import threading
import time

from edgemon.errors import StoreUnavailable
from edgemon.station.nouns import wall_ms
from edgemon.station.rules import Steady, judge
from edgemon.station.settings import StationConfig
from edgemon.station.store import Leadership, Store

log = logging.getLogger(__name__)
EVERY_S = 1.0
PRUNE_EVERY_S = 60.0
HOUR_MS = 3_600_000


class Lead:
    """The rules of one process: they are applied where it leads, and wait where another does."""

    def __init__(self, settings: StationConfig, store: Store) -> None:
        self._settings, self._store = settings, store
        self._leadership = Leadership(store)
        self._since_ms = wall_ms()
        self._steady = Steady()
        self._pruned_s = float("-inf")  # monotonic; when the last of it ended
        self._fault = ""
        self.leads = False

    def run(self, stop: threading.Event) -> None:
        """Apply the rules until told to stop."""
        try:
            while not stop.wait(EVERY_S):
                self._turn(wall_ms())
        finally:
            self._leadership.give_up()

    def _turn(self, now_ms: int) -> None:
        try:
            self.leads = self._leadership.held()
            if self.leads:
                self.apply(now_ms)
        except StoreUnavailable as error:
            self.leads = False
            if str(error) != self._fault:
                self._fault = str(error)
                log.error("the rules rest: %s", error)
            return
        self._fault = ""

    def apply(self, now_ms: int) -> None:
        """Compare what should stand with what does, once."""
        silence_ms = round(1000 * self._settings.silence_s)
        found = judge(
            self._steady.aged(self._store.pulses(), now_ms, round(1000 * time.monotonic())),
            self._store.notices(),
            now_ms,
            silence_ms=silence_ms,
            since_ms=self._since_ms,
        )
        self._store.change_notices(found.opened, found.closed, now_ms)
        if time.monotonic() - self._pruned_s >= PRUNE_EVERY_S:
            self._prune(now_ms)

    def _prune(self, now_ms: int) -> None:
        """Forget what is old; while some of it is left the next turn goes on."""
        raw_ms, history_ms = self._settings.raw_h * HOUR_MS, self._settings.history_days * 24 * HOUR_MS
        done = True  # so that what fails is not tried every second
        try:
            done = self._store.prune(now_ms, round(raw_ms), round(history_ms))
        finally:
            if done:
                self._pruned_s = time.monotonic()
