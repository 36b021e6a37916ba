"""The web server of one process: uvicorn, bounded, and stopped without waiting for pages that watch."""

from __future__ import annotations

import socket

import uvicorn
from starlette.applications import Starlette

from edgemon.station.settings import Http
from edgemon.station.web.context import Web

CONNECTIONS = 1000
STOP_WITHIN_S = 3


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
