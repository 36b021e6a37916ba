"""A station's web over a real store, served by a real uvicorn on loopback; and devices that say things to it."""

from __future__ import annotations

import itertools
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2
from argon2 import PasswordHasher
from conftest import eventually

from edgemon.errors import DeliveryError
from edgemon.messages import address
from edgemon.messages import payloads as p
from edgemon.station.nouns import Heard, Role, to_ts
from edgemon.station.settings import Http, StationConfig
from edgemon.station.store import Store
from edgemon.station.store import people as store_people
from edgemon.station.web.app import build
from edgemon.station.web.context import Web
from edgemon.station.web.serve import server

BASE = "site/nicu/cot-pi-1"
PLACE = f"{BASE}/cot-1"
START_MS = 1_767_225_600_000
PASSWORD = "correct horse battery"  # noqa: S105 - of accounts that live as long as a test


class Clock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Station:
    """The store, the clock, what was published, and where the server is."""

    store: Store
    clock: Clock
    url: str = ""
    published: list[tuple[str, p.CommandRequest]] = field(default_factory=list)
    connected: bool = True
    trusted: ssl.SSLContext | bool = True
    reasons: list[str] = field(default_factory=list)
    web: Web = None  # type: ignore[assignment]
    _seq: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def publish(self, place: str, request: p.CommandRequest) -> None:
        """What the ingest role would do."""
        if not self.connected:
            raise DeliveryError("there is no connection to the broker")
        self.published.append((place, request))

    def say(self, name: str, bed: str = "_device", base: str = BASE, /, **fields: Any) -> None:
        """Let a device say something now, which is committed."""
        topic = address(f"edgemon/v1/{base}/{bed}/{name}")
        device, seq, ts = base.rpartition("/")[2], next(self._seq), to_ts(self.clock.now_ms)
        header = {
            "id": f"{device}/b00t/{seq}", "device": device, "bed": bed, "boot": "b00t", "session": 1, "seq": seq,
            "ts": ts, "ts_src": "ntp", "mono_ms": seq,
        }  # fmt: skip
        payload = topic.topic.model.model_validate(header | fields)
        assert isinstance(payload, p.Header)
        heard = Heard(topic, f"{base}/{bed}", base, payload, payload.model_dump_json(), self.clock.now_ms, False)
        self.store.commit([heard])

    def online(self, base: str = BASE, status: str = "online") -> None:
        """Say that a device is there."""
        self.say("avail", "_device", base, status=status, connection=1, will_seq=None)

    def state(self, bed: str = "cot-1", base: str = BASE, **readings: Any) -> None:
        """Say what is believed of a bed."""
        ts = to_ts(self.clock.now_ms)
        off = {"value": None, "reason": "disabled", "quality": 0, "since": ts, "age_s": 0}
        on = {"reason": None, "quality": 1, "since": ts, "age_s": 1}
        believed: dict[str, Any] = {
            "face": on | {"value": True}, "eyes": on | {"value": "closed"},
            "sleep": on | {"value": "asleep", "code": None}, "cry": on | {"value": "quiet"},
            "heart_rate": on | {"value": 141.0, "window_s": 10, "method": "rPPG"}, "pain_cue": off, "movement": off,
            "posture": on | {"value": "supine"}, "head_side": off, "coverage": 1, "active_alarms": (),
        }  # fmt: skip
        self.say("state", bed, base, **(believed | readings))

    def alarm(self, condition: str = "hr_high", revision: int = 1, bed: str = "cot-1", **fields: Any) -> None:
        """Say that an alarm stands."""
        ts = to_ts(self.clock.now_ms)
        standing = {
            "condition": condition, "kind": "physiological", "priority": "medium", "phase": "start", "presence": "on",
            "activation": "on", "latching": True, "alarm_id": f"cot-pi-1/b00t/{condition}", "revision": revision,
            "onset": ts, "at": ts, "value": 214, "limit": 200, "unit": "/min", "signal_delay_ms": 10400,
            "text_key": f"alarm.{condition}", "ack": None,
        }  # fmt: skip
        self.say(f"alarm/{condition}", bed, **(standing | fields))

    def browser(self, **headers: str) -> httpx2.Client:
        """A browser that knows nobody yet."""
        return httpx2.Client(base_url=self.url, headers=headers, timeout=10, verify=self.trusted)

    @contextmanager
    def person(self, name: str, role: Role = "acknowledge") -> Iterator[httpx2.Client]:
        """A browser in which a new account has logged in."""
        self.store.add_account(name, PASSWORD, role, self.clock.now_ms)
        with self.browser() as browser:
            assert log_in(browser, name).headers["location"] == "/"
            yield browser


def log_in(browser: httpx2.Client, name: str, password: str = PASSWORD, **more: str) -> httpx2.Response:
    """Fill in the login form; then the browser sends its CSRF token by itself."""
    csrf = browser.get("/api/me").json()["csrf"]
    answer = browser.post("/login", data={"name": name, "password": password, "csrf": csrf} | more)
    me = browser.get("/api/me")
    if me.status_code == 200:
        browser.headers["X-CSRF-Token"] = me.json()["csrf"]
    return answer


@contextmanager
def serving(folder: Path, *, clock: Clock | None = None, **settings: Any) -> Iterator[Station]:
    """A station's web that runs."""
    url = f"sqlite:///{folder / 'station.db'}"
    # a login takes half a second on purpose; here it takes a millisecond, for a name that is none as for one that is
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with mock.patch.multiple(store_people, HASHER=cheap, NOBODYS_HASH=cheap.hash("nobody")):
        yield from _serving(url, clock or Clock(), settings)


def _serving(url: str, clock: Clock, settings: dict[str, Any]) -> Iterator[Station]:
    store = Store.open(url)
    station = Station(store, clock)
    http = Http(port=0, **settings.pop("http", {}))
    config = StationConfig(store_url=url, http=http, **settings)
    app = build(store, config, station.publish, unready=lambda: station.reasons, now_ms=station.clock)
    station.web = app.state.web
    uvicorn = server(app, http)
    thread = threading.Thread(target=uvicorn.run, name="web")
    thread.start()
    try:
        eventually(lambda: uvicorn.started or not thread.is_alive(), what="the server")
        port = uvicorn.servers[0].sockets[0].getsockname()[1]
        station.url = f"http{'s' if http.cert_file else ''}://127.0.0.1:{port}"
        yield station
    finally:
        uvicorn.should_exit = True
        thread.join(10)
        store.close()
