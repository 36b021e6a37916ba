"""A nurse station without a store: the pages, the JSON of the design, and an event stream that a test writes."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import uplot
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import edgemon.station

PAGES = Path(edgemon.station.__file__).parent / "page"
NOW_MS = 1_795_234_351_000  # 2026-11-21T04:12:31Z
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
Json = dict[str, Any]


def reading(value: object, age_s: float = 1.0, reason: str | None = None) -> Json:
    """A reading as the station tells it."""
    return {
        "value": value,
        "reason": reason,
        "at_ms": NOW_MS - int(1000 * age_s),
        "age_ms": int(1000 * age_s),
        "stale": age_s > 45,
    }


def heart_rate(bpm: float | None, age_s: float = 1.0, quality: float = 0.9, reason: str | None = None) -> Json:
    """A heart rate as the station tells it."""
    told = reading(bpm, age_s, reason)
    return {"bpm": told.pop("value"), "quality": quality} | told


def alarm(condition: str = "hr_low", priority: str = "high", **changes: object) -> Json:
    """A standing alarm of a device."""
    return {
        "source": "device",
        "condition": condition,
        "priority": priority,
        "kind": "physiological",
        "presence": "on",
        "activation": "on",
        "alarm_id": f"nicu-07/6f0c/{condition}",
        "revision": 3,
        "onset_ms": NOW_MS - 22_000,
        "value": 88.0 if condition == "hr_low" else None,
        "limit": 100.0 if condition == "hr_low" else None,
        "unit": "/min" if condition == "hr_low" else None,
        "ack_by": None,
        "ack_ms": None,
    } | changes


RANKS = {"high": 0, "medium": 10, "low": 20}


def card(n: int = 1, alarms: tuple[Json, ...] = (), **changes: object) -> Json:
    """A quiet sleeping infant in bed `n`, unless changed."""
    return {
        "place": f"site/nicu/nicu-{n:02d}/cot",
        "label": f"Bed {n}",
        "device": f"nicu-{n:02d}",
        "bed": "cot",
        "change": n,
        "online": "online",
        "last_heard_ms": NOW_MS - 1000,
        "silent": False,
        "readings": {
            "face": reading(True),
            "eyes": reading("closed"),
            "sleep": reading("asleep"),
            "cry": reading("quiet"),
            "posture": reading("supine"),
            "movement": reading(0.12),
        },
        "heart_rate": heart_rate(128 + n % 30),
        "camera": {"fps": 29.8, "frame_age_s": 0.1, "frozen_s": 0.0, "at_ms": NOW_MS - 1000, "stale": False},
        "clock_offset_ms": 12,
        "alarms": list(alarms),
        "pauses": [],
        "rank": min((RANKS.get(a["priority"], 0) for a in alarms), default=90),
    } | changes


class Fake:
    """What a test scripts, and what the page asked."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[str | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._change = 0
        self.reset()

    def reset(self) -> None:
        """As at the start, for the next test."""
        self.me: Json | None = {
            "name": "anna",
            "role": "acknowledge",
            "csrf": "token-1",
            "auth": "local",
            "station": "Neonatal ward 2",
            "expires_ms": None,
            "timezone": None,
            "language": "en",
        }
        self.lag_ms = 0
        self._set(NOW_MS)
        self.cards: dict[str, Json] = {}
        self.asked: list[tuple[str, str, Json, str]] = []
        self.command: Json = {"status": "done", "reason": None}
        self.refuse: tuple[int, str] | None = None
        self.answers: dict[str, object] = {}
        self.mute = False
        self.unready = 0

    def _set(self, now_ms: int) -> None:
        self._now_ms, self._set_s = now_ms, time.monotonic()

    @property
    def now_ms(self) -> int:
        """The station's time, which goes on."""
        return self._now_ms + int(1000 * (time.monotonic() - self._set_s))

    def push(self, *cards: Json, told: bool = True) -> None:
        """Change beds, and tell the streams unless a test lets them miss it."""
        for one in cards:
            self._change += 1
            self.cards[one["place"]] = one | {"change": self._change}
        if told:
            self._send(self._event("cards", [self.cards[one["place"]] for one in cards]))

    def remove(self, place: str) -> None:
        """A bed goes."""
        self._change += 1
        del self.cards[place]
        self._send(self._event("cards", []))

    def beat(self, now_ms: int) -> None:
        """The station's time jumps, and a beat tells so."""
        self._set(now_ms)
        self._send(self._event("beat"))

    def _event(self, name: str, cards: list[Json] | None = None) -> str:
        data: Json = {"now_ms": self.now_ms - self.lag_ms, "change": self._change} | (
            {} if cards is None else {"cards": cards, "places": sorted(self.cards)}
        )
        mark = "" if cards is None else f"id: {self._change}\n"
        return f"event: {name}\n{mark}data: {json.dumps(data)}\n\n"

    def _send(self, event: str | None) -> None:
        if self._loop is not None:
            for queue in list(self._queues):
                self._loop.call_soon_threadsafe(queue.put_nowait, event)

    def close(self) -> None:
        """End every stream."""
        self._send(None)

    @property
    def streams(self) -> int:
        """How many screens follow."""
        return len(self._queues)

    async def _live(self, request: Request) -> Response:
        if self.me is None:
            return JSONResponse({"error": "log in first"}, 401)
        self._loop = asyncio.get_running_loop()
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._queues.add(queue)

        async def events() -> AsyncIterator[str]:
            try:
                if "last-event-id" not in request.headers and not self.mute:
                    yield self._event("cards", list(self.cards.values()))
                while (event := await queue.get()) is not None:
                    yield event
            finally:
                self._queues.discard(queue)

        return StreamingResponse(events(), media_type="text/event-stream")

    async def _act(self, request: Request) -> Response:
        body = await request.json()
        place, _, act = request.path_params["rest"].rpartition("/")
        self.asked.append((act, place, body, request.headers.get("x-csrf-token", "")))
        if self.refuse is not None:
            return JSONResponse({"error": self.refuse[1]}, self.refuse[0])
        return JSONResponse({"cmd_id": "c1" if "condition" not in body else None}, 202)

    async def _me(self, _request: Request) -> Response:
        if self.unready > 0:
            self.unready -= 1
            return JSONResponse({"error": "the store cannot be reached"}, 503)
        before = {
            "error": "log in first",
            "csrf": "form-1",
            "auth": "local",
            "station": "Neonatal ward 2",
            "language": "en",
        }
        return JSONResponse(before, 401) if self.me is None else JSONResponse(self.me | {"now_ms": self.now_ms})

    async def _login(self, request: Request) -> Response:
        self.asked.append(("POST", "/login", dict(parse_qsl((await request.body()).decode())), ""))
        return RedirectResponse("/login?error=refused", 303)

    async def _other(self, request: Request) -> Response:
        """What a test laid down for a path; changes are noted."""
        if request.method != "GET":
            body = await request.json() if await request.body() else {}
            self.asked.append((request.method, request.url.path, body, request.headers.get("x-csrf-token", "")))
            return JSONResponse({}, 201)
        path = request.path_params["path"]
        found = next((a for name, a in self.answers.items() if path.endswith(name)), None)
        return JSONResponse({"error": "no such thing"}, 404) if found is None else JSONResponse(found)

    def app(self) -> ASGIApp:
        """The whole fake as an ASGI application."""

        def page(name: str) -> Any:
            async def endpoint(_request: Request) -> Response:
                return _file(PAGES / name)

            return endpoint

        def static(folder: Path) -> Any:
            async def endpoint(request: Request) -> Response:
                return _file(folder / request.path_params["name"])

            return endpoint

        async def command(_request: Request) -> Response:
            return JSONResponse(self.command)

        routes = [
            Route("/", page("ward.html")),
            Route("/bed/{place:path}", page("bed.html")),
            Route("/devices", page("health.html")),
            Route("/admin", page("admin.html")),
            Route("/login", page("login.html"), methods=["GET"]),
            Route("/login", self._login, methods=["POST"]),
            Route("/api/me", self._me),
            Route("/api/live", self._live),
            Route("/api/commands/{cmd_id}", command),
            Route("/api/beds/{rest:path}", self._act, methods=["POST"]),
            Route("/api/{path:path}", self._other, methods=["GET", "POST", "DELETE", "PATCH", "PUT"]),
            Route("/static/uplot/{name}", static(Path(uplot.__file__).parent / "static")),
            Route("/static/{name:path}", static(PAGES)),
        ]
        return _Headers(Starlette(routes=routes))


TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json"}


def _file(path: Path) -> Response:
    """A file, read here and now: a thread would outlive its test."""
    if not path.is_file():
        return JSONResponse({"error": "no such file"}, 404)
    return Response(path.read_bytes(), media_type=TYPES[path.suffix])


class _Headers:
    """The headers of the real station."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cache = b"max-age=3600" if scope.get("path", "").startswith("/static/") else b"no-store"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", CSP.encode())]
                message["headers"] += [(b"x-content-type-options", b"nosniff"), (b"cache-control", cache)]
            await send(message)

        await self._app(scope, receive, with_headers)


@contextmanager
def serving(fake: Fake) -> Iterator[str]:
    """The fake's address, for as long as the block runs."""
    config = uvicorn.Config(fake.app(), "127.0.0.1", 0, log_config=None, timeout_graceful_shutdown=1, ws="none")
    server = uvicorn.Server(config)
    ready = threading.Event()
    startup = server.startup

    async def started(sockets: Any = None) -> None:
        await startup(sockets)
        ready.set()

    server.startup = started  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, name="fake station")
    thread.start()
    try:
        assert ready.wait(20), "the fake station did not start"
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        fake.close()
        server.should_exit = True
        thread.join(10)


def history() -> Json:
    """A day: asleep, awake and crying, an hour in which nothing was seen, and one alarm."""
    minute = 60_000
    start = NOW_MS - 1440 * minute
    ago = lambda n: NOW_MS - n * minute  # noqa: E731
    known = [i for i in range(1440) if not 600 <= i < 660]
    at_ms = [start + i * minute for i in known]
    bpm = [130.0 + i % 7 for i in known]
    line = {
        "source": "device", "condition": "hr_low", "priority": "high", "kind": "physiological", "onset_ms": ago(90),
        "value": 91.0, "limit": 100.0, "unit": "/min", "alarm_id": "nicu-01/6f0c/1", "ack_by": None, "ack_ms": None,
        "replay": False,
    }  # fmt: skip
    acked = {"ack_by": "anna", "ack_ms": ago(88)}
    return {
        "heart_rate": {
            "at_ms": at_ms, "min": [b - 6 for b in bpm], "median": bpm, "max": [b + 6 for b in bpm],
            "valid": [0.9] * len(bpm),
        },
        "raw": None,
        "sleep": [
            {"from_ms": start, "to_ms": start + 600 * minute, "value": "asleep", "reason": None},
            {"from_ms": start + 600 * minute, "to_ms": start + 660 * minute, "value": None, "reason": "no_face"},
            {"from_ms": start + 660 * minute, "to_ms": NOW_MS, "value": "awake", "reason": None},
        ],
        "eyes": [{"from_ms": start, "to_ms": start + 600 * minute, "value": "closed", "reason": None}],
        "crying": [{"from_ms": ago(30), "to_ms": ago(25), "peak": 0.9}],
        "movement": {"at_ms": at_ms, "index": [0.1] * len(bpm), "coverage": [0.8] * len(bpm)},
        "alarms": [
            line | {"phase": "start", "presence": "on", "at_ms": ago(90), "revision": 1},
            line | {"phase": "update", "presence": "ack", "at_ms": ago(88), "revision": 2} | acked,
            line | {"phase": "end", "presence": "off", "at_ms": ago(80), "revision": 3} | acked,
        ],
        "coverage": {"from_ms": start, "sleep": 0.95, "heart_rate": 0.95},
        "summaries": [],
    }  # fmt: skip


def devices() -> list[Json]:
    """One device that is well, and one with every trouble."""
    well: Json = {
        "base": "site/nicu/nicu-01", "online": "online", "last_heard_ms": NOW_MS - 900, "clock_offset_ms": 14,
        "received": 80123, "repeats": 3, "missing": 0, "refused": [], "software": "edgemon 0.9.0", "beds": ["cot"],
        "outbox": {"waiting": 0, "bytes": 0, "oldest_s": 0.0, "dropped": 0}, "temperature_c": 61.2,
    }  # fmt: skip
    refused = [{"reason": "schema", "count": 12, "last_ms": NOW_MS - 5000, "text": "heart_rate.value: not a number"}]
    trouble = {"base": "site/nicu/nicu-09", "online": "offline", "missing": 17, "clock_offset_ms": -92_000}
    return [well, well | trouble | {"refused": refused, "outbox": None, "temperature_c": None, "software": None}]


def administration() -> dict[str, object]:
    """What the administration page asks for."""
    place = "site/nicu/nicu-01/cot"
    return {
        "assignments": [
            {"n": 1, "label": "Bed 1", "place": place, "from_ms": NOW_MS - 9_000_000, "to_ms": None, "by": "anna"}
        ],
        "accounts": [
            {"name": "anna", "role": "administer", "created_ms": NOW_MS - 900_000_000, "disabled_ms": None},
            {"name": "ben", "role": "acknowledge", "created_ms": NOW_MS - 900_000_000, "disabled_ms": None},
        ],
        "audit": [
            {"n": 5, "at_ms": NOW_MS - 4000, "who": "anna", "what": "acknowledge", "place": place, "detail": "hr_low"}
        ],
    }
