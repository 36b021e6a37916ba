"""Server-sent events: one poller of the store for all clients of this process, and a bounded queue for each.

A client's queue holds at most one card a bed, the newest, so a slow screen skips states and never gets old ones late.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edgemon.errors import StoreUnavailable
from edgemon.station.nouns import Who
from edgemon.station.web.context import Web
from edgemon.station.web.guard import whoever

log = logging.getLogger(__name__)

POLL_S = 0.15
BEAT_S = 5.0
SEND_WITHIN_S = 10.0  # a screen that takes nothing for so long is gone
PIECE_BYTES = 16_384  # each piece of an event has that time: a slow link may take long for a whole ward, but must take
FRESH_S = 3.0  # a reading of the store that is older vouches for nothing
RETRY_MS = 2000
MAX_CLIENTS = 256
AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Beds that changed: by place, the change and the card as JSON text; `change` is what they bring a client to.

    `places` are all beds that there are; None says that nothing changed at all.
    """

    change: int
    cards: Mapping[str, tuple[int, str]]
    places: frozenset[str] | None = None


@dataclass(eq=False, slots=True)
class Client:
    """What one screen has still to be sent."""

    change: int
    pending: dict[str, str] = field(default_factory=dict)
    places: frozenset[str] | None = None
    counted: bool = True  # whether the screen knows which beds there are
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def give(self, frame: Frame) -> None:
        """Add what is new to this client; a bed's newer card takes the place of the older."""
        if frame.change < self.change:  # the store is not the one that this client saw
            self.change = 0
        self.pending.update((place, text) for place, (change, text) in frame.cards.items() if change > self.change)
        self.change = frame.change
        if frame.places is not None and frame.places != self.places:
            self.places, self.counted = frame.places, False
            self.pending = {place: text for place, text in self.pending.items() if place in frame.places}
        if self.pending or not self.counted:
            self.news.set()

    def take(self, now_ms: int) -> str:
        """The JSON of what waits: cards and, where a bed came or went, the places of all; none waits afterwards."""
        places = "" if self.counted else f',"places":{json.dumps(sorted(self.places or ()))}'
        told = f'{{"now_ms":{now_ms},"change":{self.change},"cards":[{",".join(self.pending.values())}]{places}}}'
        self.pending.clear()
        self.counted = True
        return told


class Hub:
    """Follows the store while somebody watches, and hands each client what changed.

    `read(after)` gives the beds that changed after `after`, all where that is beyond the newest change; it runs in a
    thread and may raise StoreUnavailable.
    """

    def __init__(self, read: Callable[[int], Frame]) -> None:
        self.read = read
        self._clients: set[Client] = set()
        self._watched = asyncio.Event()
        self._read_s = -FRESH_S
        self.closed = False
        self.ended: Callable[[], None] = lambda: None

    @property
    def clients(self) -> int:
        """How many screens watch."""
        return len(self._clients)

    @property
    def sees(self) -> bool:
        """Whether the store was read just now; if not, no screen may be told that it is live."""
        return time.monotonic() - self._read_s < FRESH_S

    async def _reading(self, after: int) -> Frame:
        begun_s = time.monotonic()  # what a long reading gives is as old as its begin
        frame = await run_in_threadpool(self.read, after)
        self._read_s = begun_s
        return frame

    async def join(self, after: int) -> Client:
        """A client that has seen everything up to `after` (0: nothing), with what it missed.

        Raises:
            HTTPException: 503, too many watch, or nobody reads any more.
        """
        if self.closed:
            raise HTTPException(503, "the station is stopping")
        if len(self._clients) >= MAX_CLIENTS:
            raise HTTPException(503, f"{MAX_CLIENTS} screens watch already", headers={"Retry-After": "10"})
        client = Client(after)
        client.give(await self._reading(after))
        client.news.set()  # an empty list too tells a new screen where it stands
        self._clients.add(client)
        self._watched.set()
        return client

    def leave(self, client: Client) -> None:
        """A screen has gone."""
        self._clients.discard(client)
        if not self._clients:
            self._watched.clear()

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self.closed = True
        for client in self._clients:
            client.news.set()

    async def follow(self) -> None:
        """Poll the store until cancelled; one read serves all clients.

        A fault that ends it ends all streams too: no screen is told that it is live while nothing is read.
        """
        try:
            await self._follow()
        finally:
            self.close()
            self.ended()

    async def _follow(self) -> None:
        while True:
            await self._watched.wait()
            if not self._clients:  # the only one left while this was about to go on
                continue
            try:
                frame = await self._reading(min(client.change for client in self._clients))
            except StoreUnavailable as error:
                log.warning("screens wait for the store: %s", error)
                await asyncio.sleep(AGAIN_S)
                continue
            for client in self._clients:
                client.give(frame)
            await asyncio.sleep(POLL_S)


class Stream(Response):
    """The answer that lasts: events until the screen or its login goes, or the server stops."""

    media_type = "text/event-stream"

    def __init__(self, web: Web, client: Client, stands: Callable[[], Awaitable[object]]) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._web, self._client, self._stands = web, client, stands

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end."""
        gone = asyncio.ensure_future(_disconnected(receive))
        sending = asyncio.ensure_future(self._send(send))
        try:
            await asyncio.wait((gone, sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._web.hub.leave(self._client)
            gone.cancel()
            sending.cancel()
            ends = await asyncio.gather(gone, sending, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, OSError):  # of the connection, the store, the time
                raise end

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self._chunk(send, f"retry: {RETRY_MS}\n\n")
        client, hub = self._client, self._web.hub
        beat_at = time.monotonic() + BEAT_S
        while not hub.closed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(client.news.wait(), max(0.0, beat_at - time.monotonic()))
            if hub.closed:
                break
            if client.news.is_set():
                client.news.clear()
                data = client.take(self._web.now_ms())
                await self._chunk(send, f"event: cards\nid: {client.change}\ndata: {data}\n\n")
            if time.monotonic() >= beat_at:
                if not await self._stands():
                    break
                if hub.sees:
                    beat = f'{{"now_ms":{self._web.now_ms()},"change":{client.change}}}'
                    await self._chunk(send, f"event: beat\ndata: {beat}\n\n")
                beat_at = time.monotonic() + (BEAT_S if hub.sees else min(AGAIN_S, BEAT_S))
        await send({"type": "http.response.body", "body": b""})

    @staticmethod
    async def _chunk(send: Send, text: str) -> None:
        data = text.encode()
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            message = {"type": "http.response.body", "body": piece, "more_body": True}
            await asyncio.wait_for(send(message), SEND_WITHIN_S)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def live(request: Request, web: Web, _person: Who) -> Response:
    """The stream, from the event that the screen saw last."""
    seen = request.headers.get("last-event-id", "")
    after = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 19 else 0
    client = await web.hub.join(after)
    return Stream(web, client, lambda: whoever(request, web))
