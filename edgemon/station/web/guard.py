"""What every request must pass: known host, bounded body, login, role, CSRF token; and the headers of every answer."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgemon.station.nouns import Role, Who
from edgemon.station.web.context import Web

MAX_BODY_BYTES = 8 * 1024
TOO_LARGE = f"a body is at most {MAX_BODY_BYTES} bytes"
BODY_WITHIN_S = 10.0
LOGIN, FORM = "edgemon", "edgemon-form"  # cookies: of a login, and of a browser that is about to log in
DEMO = "demo"  # whom an open station takes everybody for
SAFE = ("GET", "HEAD")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer browsers tell the login form's own origin as null
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
NO_STORE = "no-store"

log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)


class Body(BaseModel):
    """Base of all JSON bodies: unknown keys and NaN refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def csrf_of(secret: str) -> str:
    """The CSRF token that belongs to a cookie's secret, from which the secret cannot be found."""
    return hashlib.sha256(b"edgemon csrf " + secret.encode()).hexdigest()


def same(a: str, b: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(a.encode(), b.encode())


def cookie_name(web: Web, name: str = LOGIN) -> str:
    """The cookie's name; under TLS with the prefix by which browsers keep other hosts from setting it."""
    return f"__Host-{name}" if web.tls else name


def cookie_of(request: Request, web: Web, name: str = LOGIN) -> str:
    """What the browser brought; empty where it brought none."""
    return request.cookies.get(cookie_name(web, name), "")


def set_cookie(
    response: Response,
    web: Web,
    value: str,
    name: str = LOGIN,
    *,
    max_age_s: int | None = None,
    samesite: Literal["strict", "lax"] = "strict",
) -> None:
    """Give the browser a secret that no script and no other site can use."""
    response.set_cookie(
        cookie_name(web, name), value, max_age=max_age_s, path="/", secure=web.tls, httponly=True, samesite=samesite
    )


def drop_cookie(response: Response, web: Web, name: str = LOGIN) -> None:
    """Take a secret back."""
    response.delete_cookie(cookie_name(web, name), path="/", secure=web.tls, httponly=True, samesite="strict")


def new_secret() -> str:
    """256 random bits for a cookie."""
    return secrets.token_urlsafe(32)


async def whoever(request: Request, web: Web) -> Who | None:
    """Who asks, or None without a login that stands."""
    token = cookie_of(request, web)[:128]
    if web.settings.auth == "open":
        return Who(DEMO, "acknowledge", csrf_of(token) if token else "", "open", 2**53)
    return await run_in_threadpool(web.store.who, token, web.now_ms()) if token else None


Handler = Callable[[Request, Web, Who], Awaitable[Response]]


def needs(role: Role, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that lets only people with `role` through to `handler`, and changes only with their CSRF token."""

    async def endpoint(request: Request) -> Response:
        web: Web = request.app.state.web
        person = await whoever(request, web)
        if person is None:
            raise HTTPException(401, "log in first")
        changes = request.method not in SAFE
        if changes:
            check_origin(request, web)
            if not person.csrf or not same(request.headers.get("x-csrf-token", ""), person.csrf):
                raise HTTPException(403, "the X-CSRF-Token header is missing or not this login's: load the page again")
            await _not_too_often(request, web, person)
        if not person.may(role):
            if changes:
                await note(web, person.name, "refused", request.url.path, f"{request.method} needs the role {role}")
            raise HTTPException(403, f"your role is {person.role}; this needs {role}")
        return await handler(request, web, person)

    return endpoint


async def _not_too_often(request: Request, web: Web, person: Who) -> None:
    now_ms = web.now_ms()
    if not web.limits.acts.allow(person.name, now_ms):
        if web.limits.reports.allow(person.name, now_ms):
            await note(web, person.name, "limited", request.url.path, "too many changes within a minute")
        raise HTTPException(429, "that is too often: wait some seconds", headers={"Retry-After": "5"})


def check_origin(request: Request, web: Web) -> None:
    """Refuse what a browser says that another site began.

    Raises:
        HTTPException: 403.
    """
    origin = request.headers.get("origin")
    ours = {request.headers.get("host", "").lower(), urlsplit(web.settings.http.public_url or "").netloc} - {""}
    foreign = origin is not None and urlsplit(origin).netloc.lower() not in ours
    if foreign or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "this request comes from another site")


async def note(web: Web, who: str, what: str, place: str, detail: str) -> None:
    """Write one row of the audit log."""
    await run_in_threadpool(web.store.audit, who, what, place, detail, web.now_ms())


def named(request: Request, name: str) -> str:
    """What the path names there.

    Raises:
        HTTPException: 404, no name has control characters; PostgreSQL would not even look for a NUL.
    """
    text: str = request.path_params[name]
    if not text.isprintable():
        raise HTTPException(404, "there is no such name")
    return text


async def body_of(request: Request, model: type[M]) -> M:
    """The JSON body as `model`.

    Raises:
        HTTPException: 408, 413, 415 or 422, with one line that repeats nothing of the body.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "send application/json")
    try:
        return model.model_validate_json(await bytes_of(request))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        at = ".".join(str(part) for part in first["loc"])[:80]
        message = first["msg"].removeprefix("Value error, ")
        raise HTTPException(422, f"{at}: {message}" if at else message) from error


async def bytes_of(request: Request) -> bytes:
    """The body, which must have come within 10 s.

    Raises:
        HTTPException: 408 or, by the middleware that bounds bodies, 413.
    """
    try:
        with anyio.fail_after(BODY_WITHIN_S):
            return await request.body()
    except TimeoutError as error:
        raise HTTPException(408, "the body did not come in time") from error


def problem(status: int, line: str) -> JSONResponse:
    """An error in one line."""
    return JSONResponse({"error": line}, status, headers=HEADERS | {"Cache-Control": NO_STORE})


async def on_http_error(_request: Request, error: Exception) -> Response:
    """An expected refusal as JSON."""
    assert isinstance(error, HTTPException)
    response = problem(error.status_code, error.detail)
    response.headers.update(error.headers or {})
    return response


async def on_store_error(_request: Request, error: Exception) -> Response:
    """The store is away: nothing can be told, and nothing was done."""
    log.warning("a request needed the store: %s", error)
    return problem(503, "the station's store cannot be reached now")


async def on_unfit(_request: Request, error: Exception) -> Response:
    """The store will never take what this brought; nothing was done."""
    log.warning("a request did not fit the store: %s", error)
    return problem(422, "the station's store cannot hold what this brought")


async def on_any_error(_request: Request, _error: Exception) -> Response:
    """Anything else tells nobody outside why; the log has the traceback."""
    return problem(500, "the station failed to answer this; its log says why")


def home(request: Request, web: Web) -> str:
    """How browsers address this station; the Host header was checked before."""
    return web.settings.http.public_url or f"{request.url.scheme}://{request.headers['host']}"


def host_is_known(host: str, names: Sequence[str]) -> bool:
    """Whether a Host header is one of ours: a name given, or an address.

    An address cannot be pointed elsewhere, a name can (DNS rebinding), and an open station trusts who reaches it.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name in names:
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware: refuses foreign hosts and large bodies, and gives every answer its headers."""

    def __init__(self, app: ASGIApp, names: Sequence[str], tls: bool) -> None:
        self._app, self._names = app, [name.lower() for name in names]
        self._headers = HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if tls else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers.setdefault("Cache-Control", NO_STORE)
            await send(message)

        told = Headers(scope=scope)
        length = told.get("content-length", "0")
        if not host_is_known(told.get("host", ""), self._names):
            answer = problem(421, "this station does not go by that name: set http.public_url")
            await answer(scope, receive, with_headers)
        elif not length.isdigit() or int(length) > MAX_BODY_BYTES:
            await problem(413, TOO_LARGE)(scope, receive, with_headers)
        else:
            await self._app(scope, _bounded(receive), with_headers)


def _bounded(receive: Receive) -> Receive:
    """Count a body whose length nobody told."""
    left = MAX_BODY_BYTES

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, TOO_LARGE)
        return message

    return bounded
