"""A nurse station without a store: the pages, the JSON of the design, and an event stream that a test writes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uplot
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
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
        "camera": {"fps": 29.8, "frame_age_s": 0.1, "frozen_s": 0.0},
        "clock_offset_ms": 12,
        "alarms": list(alarms),
        "pauses": [],
        "rank": min((RANKS.get(a["priority"], 0) for a in alarms), default=90),
    } | changes


class Fake:
    """What a test scripts, and what the page asked."""

    def __init__(self) -> None:
        self.me: Json | None = {
            "name": "anna",
            "role": "acknowledge",
            "csrf": "token-1",
            "auth": "local",
            "station": "Neonatal ward 2",
            "now_ms": NOW_MS,
            "language": "en",
        }
        self.now_ms = NOW_MS
        self.cards: dict[str, Json] = {}
        self.asked: list[tuple[str, str, Json, str]] = []
        self.command: Json = {"status": "done", "reason": None}
        self.refuse: tuple[int, str] | None = None
        self.answers: dict[str, object] = {}
        self.beating = True
        self._queues: set[asyncio.Queue[str | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._change = 0

    def push(self, *cards: Json, told: bool = True) -> None:
        """Change beds, and tell the streams unless a test lets them miss it."""
        for one in cards:
            self._change += 1
            self.cards[one["place"]] = one | {"change": self._change}
        if told:
            self._send(self._event("cards", list(cards)))

    def beat(self, now_ms: int) -> None:
        """The station's time goes on."""
        self.now_ms = now_ms
        self._send(self._event("beat"))

    def _event(self, name: str, cards: list[Json] | None = None) -> str:
        data: Json = {"now_ms": self.now_ms, "change": self._change} | ({} if cards is None else {"cards": cards})
        mark = "" if cards is None else f"id: {self._change}\n"
        return f"event: {name}\n{mark}data: {json.dumps(data)}\n\n"

    def _send(self, event: str | None) -> None:
        if self._loop is not None:
            for queue in list(self._queues):
                self._loop.call_soon_threadsafe(queue.put_nowait, event)

    def close(self) -> None:
        """End every stream."""
        self._send(None)

    async def _live(self, request: Request) -> Response:
        self._loop = asyncio.get_running_loop()
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._queues.add(queue)

        async def events() -> AsyncIterator[str]:
            try:
                if "last-event-id" not in request.headers:
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
        return JSONResponse({"error": "log in first"}, 401) if self.me is None else JSONResponse(self.me)

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
            return lambda _request: FileResponse(PAGES / name)

        async def command(_request: Request) -> Response:
            return JSONResponse(self.command)

        routes = [
            Route("/", page("ward.html")),
            Route("/bed/{place:path}", page("bed.html")),
            Route("/devices", page("health.html")),
            Route("/admin", page("admin.html")),
            Route("/login", page("login.html")),
            Route("/api/me", self._me),
            Route("/api/live", self._live),
            Route("/api/commands/{cmd_id}", command),
            Route("/api/beds/{rest:path}", self._act, methods=["POST"]),
            Route("/api/{path:path}", self._other, methods=["GET", "POST", "DELETE", "PATCH", "PUT"]),
            Mount("/static/uplot", StaticFiles(directory=Path(uplot.__file__).parent / "static")),
            Mount("/static", StaticFiles(directory=PAGES)),
        ]
        return _Headers(Starlette(routes=routes))


class _Headers:
    """The headers of the real station."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", CSP.encode())]
                message["headers"] += [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-cache")]
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
