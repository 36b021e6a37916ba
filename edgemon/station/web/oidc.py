"""The hospital's login: OpenID Connect, authorization code with PKCE, by authlib.

What must be remembered between the two redirects (state, nonce, PKCE verifier) is in a short-lived cookie of the
browser that began, so any replica of the web can end what another began.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Mapping
from html import escape
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import OAuth
from joserfc.errors import JoseError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from edgemon.messages.credentials import secret
from edgemon.station.nouns import ROLES, Role
from edgemon.station.settings import Oidc
from edgemon.station.web.context import Web
from edgemon.station.web.guard import cookie_of, drop_cookie, home, note, set_cookie
from edgemon.station.web.people import NOBODY, address, enter, failed, local_path

log = logging.getLogger(__name__)

CALLBACK = "/login/oidc/callback"
FLOW, FLOW_S = "edgemon-flow", 600
SIGNATURES = re.compile(r"(RS|PS|ES)(256|384|512)|EdDSA|Ed25519")
NAME = re.compile(r"[A-Za-z0-9_.:@+-]{1,64}")
# what authlib raises, and what it lets through where a provider answers with something else than the protocol says
FAULTS = (
    AuthlibBaseError,
    JoseError,
    httpx2.HTTPError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
)


class Provider:
    """One OpenID Connect provider."""

    def __init__(self, settings: Oidc) -> None:
        self._settings = settings
        self._app: Any = OAuth().register(
            "provider",
            client_id=settings.client_id,
            client_secret=secret(settings.client_secret_file),
            server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256", "timeout": 10.0},
        )

    async def _metadata(self) -> Mapping[str, Any]:
        found: dict[str, Any] = await self._app.load_server_metadata()
        if found.get("issuer") != self._settings.issuer:
            raise ValueError(f"the provider calls itself {found.get('issuer')!r}, not {self._settings.issuer!r}")
        offered = found.get("id_token_signing_alg_values_supported") or ["RS256"]
        found["id_token_signing_alg_values_supported"] = [name for name in offered if SIGNATURES.fullmatch(name)]
        return found

    async def begin(self, request: Request, redirect_uri: str) -> tuple[str, dict[str, Any]]:
        """Where to send the browser, and what it must bring back."""
        await self._metadata()
        request.scope["session"] = {}
        response: Response = await self._app.authorize_redirect(request, redirect_uri)
        return response.headers["location"], request.scope["session"]

    async def end(self, request: Request, session: dict[str, Any]) -> Mapping[str, Any]:
        """The claims about who has logged in, checked: signature, issuer, audience, times and nonce."""
        await self._metadata()
        request.scope["session"] = session
        token = await self._app.authorize_access_token(
            request,
            claims_options={
                "iss": {"essential": True, "values": [self._settings.issuer]},
                "aud": {"essential": True, "values": [self._settings.client_id]},
            },
        )
        claims: dict[str, Any] = dict(token["userinfo"])  # of the ID token; KeyError: there was none
        if self.role(claims) is None and self._app.server_metadata.get("userinfo_endpoint"):
            more = dict(await self._app.userinfo(token=token))
            if more.get("sub") == claims["sub"]:
                claims = more | claims
        return claims

    def role(self, claims: Mapping[str, Any]) -> Role | None:
        """The highest role that a claim names; `a.b` finds b within a."""
        value: Any = claims.get(self._settings.role_claim)
        if value is None:
            value = claims
            for key in self._settings.role_claim.split("."):
                value = value.get(key) if isinstance(value, Mapping) else None
        values = value if isinstance(value, list) else [value]
        named = {one for one in values if isinstance(one, str)}
        held = {role for name, role in self._settings.roles.items() if name in named}
        return max(held, key=ROLES.index, default=None)

    async def logout_url(self, home: str) -> str | None:
        """Where the browser ends its login at the provider too, so that the next person is asked who he is."""
        try:
            metadata = await self._metadata()
            if not metadata.get("end_session_endpoint"):
                return None
            made = await self._app.create_logout_url(f"{home}/login", client_id=self._settings.client_id)
        except FAULTS as error:
            log.warning("no logout at the provider: %s", error)
            return None
        return str(made["url"])


def name_of(claims: Mapping[str, Any]) -> str | None:
    """What to call somebody in alarms and the audit log: a name that fits a payload's token."""
    for key in ("preferred_username", "email", "sub"):
        value = claims.get(key)
        if isinstance(value, str) and NAME.fullmatch(value):
            return value
    return None


async def begin(request: Request) -> Response:
    """Off to the provider."""
    web, provider = _provider(request)
    target = local_path(request.query_params.get("next", "/"))
    try:
        url, session = await provider.begin(request, home(request, web) + CALLBACK)
    except FAULTS as error:
        log.warning("the login's provider cannot be used: %s", error)
        return failed("oidc", target)
    response = RedirectResponse(url, 303)
    value = base64.urlsafe_b64encode(json.dumps({"session": session, "next": target}).encode()).decode()
    set_cookie(response, web, value, FLOW, max_age_s=FLOW_S, samesite="lax")  # the way back begins at another site
    return response


async def callback(request: Request) -> Response:
    """Back from the provider."""
    web, provider = _provider(request)
    target = "/"
    try:
        flow = json.loads(base64.urlsafe_b64decode(cookie_of(request, web, FLOW)))
        target = local_path(flow["next"])
        claims = await provider.end(request, flow["session"])
    except FAULTS as error:
        log.warning("a login by the provider failed: %s", error)
        await note(web, NOBODY, "login failed", "", f"OpenID Connect: {type(error).__name__}")
        return failed("oidc", target)
    name, role = name_of(claims), provider.role(claims)
    if name is None or role is None:
        await note(web, name or NOBODY, "login refused", "", f"no role here; sub {claims.get('sub')}")
        return failed("role", target)
    # a page of our own goes on: a browser sends a strict cookie only where its own site began
    response = HTMLResponse(
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={escape(target)}">'
        f'<title>edgemon</title><a href="{escape(target)}">edgemon</a>'
    )
    token = await enter(request, web, name, role, "oidc")
    set_cookie(response, web, token, max_age_s=round(web.settings.session_h * 3600))
    drop_cookie(response, web, FLOW)
    return response


def _provider(request: Request) -> tuple[Web, Provider]:
    web: Web = request.app.state.web
    if web.provider is None:
        raise HTTPException(404, "there is no login by a provider here")
    if not web.limits.addresses.allow(address(request), web.now_ms()):
        raise HTTPException(429, "that is too often: wait a minute", headers={"Retry-After": "60"})
    return web, web.provider
