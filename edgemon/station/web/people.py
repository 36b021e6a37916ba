"""Who comes in: login and logout with local accounts, and the accounts, for administrators."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

import anyio
from pydantic import Field, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from edgemon.station.nouns import Auth, Role, Who
from edgemon.station.store.people import Act
from edgemon.station.web.context import Web
from edgemon.station.web.guard import (
    FORM,
    Body,
    body_of,
    bytes_of,
    check_origin,
    cookie_of,
    csrf_of,
    drop_cookie,
    home,
    named,
    note,
    same,
    set_cookie,
    whoever,
)

NOBODY = "-"  # who tried, where that is no account: people type passwords into the field for the name
LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:@+-]{1,64}$")]
Password = Annotated[str, StringConstraints(min_length=8, max_length=256)]


class NewAccount(Body):
    """A local user to be."""

    name: Name
    role: Role
    password: Password = Field(repr=False)


class AccountChange(Body):
    """What is to be different about a local user."""

    role: Role | None = None
    password: Password | None = Field(None, repr=False)
    disabled: bool | None = None


def local_path(target: str) -> str:
    """`target` where it is a path of this station, else the ward page."""
    return target if LOCAL_PATH.fullmatch(target) else "/"


def failed(error: str, target: str) -> Response:
    """Back to the login page, which says what `error` means."""
    return RedirectResponse(f"/login?{urlencode({'error': error, 'next': target})}", 303)


async def enter(request: Request, web: Web, name: str, role: Role, auth: Auth) -> str:
    """Begin a login under a new secret and return it; one that the browser had before ends."""
    now_ms = web.now_ms()
    before = cookie_of(request, web)
    if before:
        await run_in_threadpool(web.store.logout, before)
    expires_ms = now_ms + round(web.settings.session_h * 3_600_000)
    token = await run_in_threadpool(web.store.login, name, role, auth, now_ms, expires_ms)
    await note(web, name, "login", "", f"{auth}, as {role}, from {address(request)}")
    return token


def address(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "unknown"


async def login(request: Request) -> Response:
    """Check name and password; whether the name or the password was wrong is not told, nor which names exist."""
    web: Web = request.app.state.web
    if web.settings.auth != "local":
        raise HTTPException(404, "there are no local logins here")
    check_origin(request, web)
    form = await _form(request)
    target = local_path(form.get("next", "/"))
    person, secret = await whoever(request, web), cookie_of(request, web, FORM)
    wanted = person.csrf if person else csrf_of(secret) if secret else ""
    if not wanted or not same(form.get("csrf", ""), wanted):
        return failed("stale", target)
    name = form.get("name", "")[:128]
    if not await _may_try(request, web, name):
        return failed("limit", target)
    account = await anyio.to_thread.run_sync(
        web.store.verify, name, form.get("password", ""), limiter=web.limits.hashing
    )
    if account is None:
        known = name in {known.name for known in await run_in_threadpool(web.store.accounts)}
        await note(web, name if known else NOBODY, "login failed", "", f"from {address(request)}")
        return failed("refused", target)
    response = RedirectResponse(target, 303)
    token = await enter(request, web, account.name, account.role, "local")
    set_cookie(response, web, token, max_age_s=round(web.settings.session_h * 3600))
    drop_cookie(response, web, FORM)
    return response


async def _form(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise HTTPException(415, "send the login form")
    try:
        text = (await bytes_of(request)).decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=10, errors="strict"))
    except ValueError as error:
        raise HTTPException(422, "this is not the login form") from error


async def _may_try(request: Request, web: Web, name: str) -> bool:
    now_ms, place = web.now_ms(), address(request)
    if web.limits.addresses.allow(place, now_ms) and web.limits.names.allow(name, now_ms):
        return True
    if web.limits.reports.allow(place, now_ms):
        await note(web, NOBODY, "login limited", "", f"too many tries from {place}")
    return False


async def logout(request: Request, web: Web, person: Who) -> Response:
    """End this login."""
    if person.auth != "open":
        await run_in_threadpool(web.store.logout, cookie_of(request, web))
        await note(web, person.name, "logout", "", "")
    leave = await web.provider.logout_url(home(request, web)) if web.provider else None
    response = JSONResponse({"next": leave or ("/" if person.auth == "open" else "/login")})
    drop_cookie(response, web)
    return response


async def accounts(_request: Request, web: Web, _person: Who) -> Response:
    """All local users."""
    return JSONResponse([asdict(account) for account in await run_in_threadpool(web.store.accounts)])


async def add_account(request: Request, web: Web, person: Who) -> Response:
    """A new local user."""
    wish, now_ms = await body_of(request, NewAccount), web.now_ms()
    act = Act(now_ms, person.name, "account added", "", f"{wish.name} as {wish.role}")
    try:
        await anyio.to_thread.run_sync(
            web.store.add_account, wish.name, wish.password, wish.role, now_ms, act, limiter=web.limits.hashing
        )
    except ValueError as error:
        raise HTTPException(409, str(error)) from error
    return JSONResponse({"name": wish.name}, 201)


async def change_account(request: Request, web: Web, person: Who) -> Response:
    """Another role or password for a local user, or no way in any more, or one again."""
    name = named(request, "name")
    wish = await body_of(request, AccountChange)

    def act(what: str, detail: str = name) -> Act:
        return Act(web.now_ms(), person.name, what, "", detail)

    if name == person.name and (wish.disabled or wish.role is not None):
        raise HTTPException(409, "another administrator must do that, so that one remains")
    try:
        if wish.role is not None:
            await run_in_threadpool(web.store.set_role, name, wish.role, act("role changed", f"{name} is {wish.role}"))
        if wish.password is not None:
            changed = act("password changed")
            await anyio.to_thread.run_sync(
                web.store.set_password, name, wish.password, changed, limiter=web.limits.hashing
            )
        if wish.disabled:
            await run_in_threadpool(web.store.disable, name, act("account disabled"))
        elif wish.disabled is False:
            await run_in_threadpool(web.store.enable, name, act("account enabled"))
    except ValueError as error:
        raise HTTPException(409, str(error)) from error
    return JSONResponse({"name": name})
