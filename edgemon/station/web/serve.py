"""The web server of one process: uvicorn, bounded, and stopped without waiting for pages that watch."""

from __future__ import annotations

import asyncio
import socket

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgemon.station.settings import Http
from edgemon.station.web.context import Web

CONNECTIONS = 1000
HEADER_WITHIN_S = 10.0
STOP_WITHIN_S = 3
BACKLOG_BYTES = 16_384  # what a slow screen has not taken yet is old: little of it may wait


class Prompt(H11Protocol):
    """uvicorn's protocol, which itself waits for ever for a request's header; this hangs up in time.

    Else a thousand connections that say nothing would keep everybody out.
    """

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait, and keep little in buffers."""
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BACKLOG_BYTES)
        transport.set_write_buffer_limits(high=BACKLOG_BYTES)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on, or no more if this was the header's end."""
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._patience is None:
            self._patience = self.loop.call_later(HEADER_WITHIN_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class Server(uvicorn.Server):
    """uvicorn that ends the live streams when it is told to stop."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; requests that run get a few seconds."""
        app = self.config.app
        assert isinstance(app, Starlette)
        web: Web = app.state.web
        web.hub.close()
        await super().shutdown(sockets)


def server(app: Starlette, http: Http) -> Server:
    """The server for `app`; `run()` it in the main thread, `should_exit = True` stops it.

    A proxy before it must be on this machine to be believed about whom it speaks for.
    """
    return Server(
        uvicorn.Config(
            app,
            http=Prompt,
            host=http.host,
            port=http.port,
            ssl_certfile=http.cert_file,
            ssl_keyfile=http.key_file,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            proxy_headers=http.public_url is not None,
            forwarded_allow_ips="127.0.0.1,::1",
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
    )
