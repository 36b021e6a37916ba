"""The station's web application: every route with the role that it needs."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from edgemon.errors import ConfigError, StoreUnavailable
from edgemon.station.meters import Meters
from edgemon.station.nouns import Publish
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store, Unfit
from edgemon.station.web import acts, api, fhir, files, health, people
from edgemon.station.web.context import Recent, Web
from edgemon.station.web.guard import (
    Guard,
    needs,
    on_any_error,
    on_http_error,
    on_store_error,
    on_unfit,
    whoever,
)
from edgemon.station.web.live import Hub, live

if TYPE_CHECKING:
    from edgemon.station.web.oidc import Provider

PAGE = Path(__file__).parent.parent / "page"


def build(
    store: Store,
    settings: StationConfig,
    publish: Publish,
    *,
    meters: Meters | None = None,
    unready: Callable[[], Sequence[str]] = tuple,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Starlette:
    """The application over `store`; `app.state.web` is what its handlers share.

    Raises:
        ConfigError: the package that carries the charts is not installed.
        DeliveryError: the secret for the login's provider cannot be read.
    """
    meters = meters or Meters()
    hub = Hub(meters.poll.time()(api.reader(store, settings.silence_s, now_ms)))
    provider, login = _provider(settings)
    web = Web(
        store=store,
        settings=settings,
        publish=publish,
        hub=hub,
        meters=meters,
        provider=provider,
        now_ms=now_ms,
        unready=unready,
        faults=Recent(lambda: health.faults(store), health.READY_FOR_MS, now_ms),
        ward=Recent(lambda: run_in_threadpool(health.ward, store), health.WARD_FOR_MS, now_ms),
    )
    app = Starlette(
        routes=[*routes(), *login],
        middleware=[Middleware(Guard, names=names_of(settings), tls=settings.http.tls)],
        exception_handlers={
            HTTPException: on_http_error,
            StoreUnavailable: on_store_error,
            Unfit: on_unfit,
            Exception: on_any_error,
        },
        lifespan=_lifespan,
    )
    app.state.web = web
    return app


def routes() -> list[BaseRoute]:
    """Every address; the order matters where one ends with a free path."""
    return [
        Route("/", page("ward.html")),
        Route("/bed/{place:path}", page("bed.html")),
        Route("/devices", page("health.html")),
        Route("/admin", page("admin.html")),
        Route("/login", page("login.html", public=True), methods=["GET"]),
        Route("/login", people.login, methods=["POST"]),
        Route("/logout", needs("view", people.logout), methods=["POST"]),
        Route("/api/me", api.me),
        Route("/api/beds", needs("view", api.beds)),
        Route("/api/live", needs("view", live)),
        Route("/api/beds/{place:path}/history", needs("view", api.history)),
        Route("/api/beds/{place:path}/export", needs("view", files.export)),
        Route("/api/beds/{place:path}/acknowledge", needs("acknowledge", acts.acknowledge), methods=["POST"]),
        Route("/api/beds/{place:path}/pause", needs("acknowledge", acts.pause), methods=["POST"]),
        Route("/api/commands/{cmd_id}", needs("view", acts.command)),
        Route("/api/devices", needs("view", api.devices)),
        Route("/api/devices/{base:path}", needs("administer", api.retire), methods=["DELETE"]),
        Route("/api/assignments", needs("view", api.assignments), methods=["GET"]),
        Route("/api/assignments", needs("administer", api.assign), methods=["POST"]),
        Route("/api/assignments/{place:path}", needs("administer", api.unassign), methods=["DELETE"]),
        Route("/api/accounts", needs("administer", people.accounts), methods=["GET"]),
        Route("/api/accounts", needs("administer", people.add_account), methods=["POST"]),
        Route("/api/accounts/{name}", needs("administer", people.change_account), methods=["PATCH"]),
        Route("/api/audit", needs("administer", api.audit)),
        *fhir.routes(),
        Route("/healthz", health.healthz),
        Route("/readyz", health.readyz),
        Route("/metrics", health.metrics),
        Mount("/static/uplot", Files(directory=charts())),
        Mount("/static", Files(directory=PAGE)),
    ]


def _provider(settings: StationConfig) -> tuple[Provider | None, list[BaseRoute]]:
    """The login's provider and the way to it and back, where there is one."""
    if settings.auth != "oidc" or settings.oidc is None:
        return None, []
    from edgemon.station.web import oidc  # noqa: PLC0415  (authlib is large, and only this needs it)

    return oidc.Provider(settings.oidc), [Route("/login/oidc", oidc.begin), Route(oidc.CALLBACK, oidc.callback)]


def charts() -> Path:
    """Where the installed package has the charts' script.

    Raises:
        ConfigError: it is not installed.
    """
    spec = importlib.util.find_spec("uplot")
    if spec is None or spec.origin is None:
        raise ConfigError("the package uplot-python is missing: install edgemon[station]")
    return Path(spec.origin).parent / "static"


def names_of(settings: StationConfig) -> list[str]:
    """The names under which browsers may ask for this station; addresses go without saying."""
    names = ["localhost", settings.http.host, socket.gethostname()]
    if settings.http.public_url:
        names.append(urlsplit(settings.http.public_url).hostname or "")
    return [name for name in names if name]


class Files(StaticFiles):
    """Files that a browser asks for again each time, and gets only if they have changed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file; nothing but scripts, styles, strings and pages is told."""
        if Path(path).suffix not in (".js", ".css", ".json", ".svg"):
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def page(name: str, *, public: bool = False) -> Callable[[Request], object]:
    """The endpoint of one page; people who have not logged in are sent to do so first."""

    async def endpoint(request: Request) -> Response:
        web: Web = request.app.state.web
        if not public and await whoever(request, web) is None:
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(here, safe='')}", 303)
        return FileResponse(PAGE / name, headers={"Cache-Control": "no-cache"})

    return endpoint


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    following = asyncio.create_task(app.state.web.hub.follow())
    yield
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
