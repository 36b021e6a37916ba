"""A small OpenID Connect provider on loopback: discovery, authorization code with PKCE, signed ID tokens, userinfo.

It checks what a provider must check and can be told to cheat.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode

import uvicorn
from conftest import eventually, free_port
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "edgemon-ward", "s3cret of the client"


@cache
def a_key(_whose: str) -> RSAKey:
    """A key, made once; all go by the same name."""
    return RSAKey.generate_key(2048, {"kid": "1", "use": "sig"})


@dataclass
class Provider:
    """Who logs in next, and how the provider cheats: claims and signature of the next ID tokens."""

    issuer: str
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "u-17", "preferred_username": "kim"})
    userinfo: dict[str, Any] = field(default_factory=dict)
    forged: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    key: RSAKey = field(default_factory=lambda: a_key("its own"))
    signing_key: RSAKey | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    granted: int = 0

    async def discovery(self, _request: Request) -> Response:
        """What this provider can do."""
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/logout",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "code_challenge_methods_supported": ["S256"],
        }
        return JSONResponse(found | self.metadata)

    async def jwks(self, _request: Request) -> Response:
        """The public key."""
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def authorize(self, request: Request) -> Response:
        """Log in whoever is next, without asking."""
        asked = dict(request.query_params)
        self.asked.append(asked)
        assert asked["client_id"] == CLIENT
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe()
        self.codes[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def token(self, request: Request) -> Response:
        """Give tokens for a code, once, to whoever has the secret and the verifier."""
        form = {key: values[0] for key, values in parse_qs((await request.body()).decode()).items()}
        asked = self.codes.pop(form.get("code", ""), None)
        scheme, _, basic = request.headers.get("authorization", "").partition(" ")
        known = scheme == "Basic" and unquote_plus(base64.b64decode(basic).decode()) == f"{CLIENT}:{SECRET}"
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        same = asked is not None and asked["redirect_uri"] == form["redirect_uri"]
        if asked is None or not known or not same or challenge != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        self.granted += 1
        now = int(time.time())
        about = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        told = {k: v for k, v in (about | self.claims | self.forged).items() if v is not None}
        key = self.signing_key or self.key
        header = {"alg": self.algorithm, "kid": "1"}
        id_token = jwt.encode(header, told, key, algorithms=[self.algorithm])
        return JSONResponse(
            {"access_token": "a-token", "token_type": "Bearer", "expires_in": 300, "id_token": id_token}
        )

    async def about(self, request: Request) -> Response:
        """More about who has logged in."""
        if request.headers.get("authorization") != "Bearer a-token":
            return JSONResponse({"error": "invalid_token"}, 401)
        return JSONResponse({"sub": self.claims["sub"]} | self.userinfo)


@contextmanager
def providing() -> Iterator[Provider]:
    """A provider that runs."""
    port = free_port()
    provider = Provider(f"http://127.0.0.1:{port}")
    app = Starlette(
        routes=[
            Route("/.well-known/openid-configuration", provider.discovery),
            Route("/jwks", provider.jwks),
            Route("/authorize", provider.authorize),
            Route("/token", provider.token, methods=["POST"]),
            Route("/userinfo", provider.about),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, name="provider")
    thread.start()
    try:
        eventually(lambda: server.started, what="the provider")
        yield provider
    finally:
        server.should_exit = True
        thread.join(10)
