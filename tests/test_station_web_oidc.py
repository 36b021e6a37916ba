"""Logging in by the hospital's provider, against a real one on loopback, honest and not."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from oidc_provider import CLIENT, SECRET, Provider, a_key, providing
from station_web import Station, serving

from edgemon.station.settings import Oidc
from edgemon.station.web import oidc


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing() as running:
        running.claims["roles"] = ["acknowledge", "something-else"]
        yield running


@contextmanager
def ward(tmp_path: Path, provider: Provider, **more: Any) -> Iterator[Station]:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    settings = Oidc(issuer=provider.issuer, client_id=CLIENT, client_secret_file=secret, **more)
    with serving(tmp_path, auth="oidc", oidc=settings) as running:
        yield running


@pytest.fixture
def station(tmp_path: Path, provider: Provider) -> Iterator[Station]:
    with ward(tmp_path, provider) as running:
        yield running


def through(browser: httpx2.Client, target: str = "/devices") -> httpx2.Response:
    """There and back again, as a browser would; returns the answer of the station's callback."""
    away = browser.get("/login/oidc", params={"next": target})
    assert away.status_code == 303
    back = httpx2.get(away.headers["location"])
    assert back.status_code == 302
    return browser.get(back.headers["location"])


def test_there_and_back_again(station: Station, provider: Provider) -> None:
    with station.browser() as browser:
        answer = through(browser)
        assert answer.status_code == 200, "a page of our own: a redirect would not carry a strict cookie"
        assert 'content="0;url=/devices"' in answer.text
        cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("edgemon="))
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        me = browser.get("/api/me").json()
        assert (me["name"], me["role"], me["auth"]) == ("kim", "acknowledge", "oidc")
        [asked] = provider.asked
        assert len(asked["code_challenge"]) == 43
        assert asked["redirect_uri"] == f"{station.url}/login/oidc/callback"
        leave = browser.post("/logout", json={}, headers={"X-CSRF-Token": me["csrf"]}).json()["next"]
        assert leave.startswith(f"{provider.issuer}/logout?")
        assert browser.get("/api/me").status_code == 401
    assert [(row.who, row.what) for row in station.store.audit_rows()] == [("kim", "logout"), ("kim", "login")]


def test_the_secret_on_the_way_is_short_lived_and_goes(station: Station) -> None:
    with station.browser() as browser:
        flow = browser.get("/login/oidc").headers["set-cookie"]
        assert "HttpOnly" in flow
        assert "SameSite=lax" in flow
        assert "Max-Age=600" in flow
        through(browser)
        assert "edgemon-flow" not in browser.cookies


FORGED = (
    {"aud": "another-client"},
    {"aud": None},
    {"iss": "http://127.0.0.1:1"},
    {"iss": None},
    {"nonce": "of another login"},
    {"nonce": None},
    {"exp": int(time.time()) - 3600},
    {"exp": None},
    {"sub": None},
)


def refused(station: Station, provider: Provider) -> bool:
    """Whether a token that the provider gave was not taken."""
    granted = provider.granted
    station.clock.now_ms += 60_000
    with station.browser() as browser:
        answer = through(browser)
        assert provider.granted == granted + 1
        if answer.status_code == 200:
            return False
        assert answer.headers["location"] == "/login?error=oidc&next=%2Fdevices"
        assert browser.get("/api/me").status_code == 401
    return station.store.audit_rows()[0].what == "login failed"


def test_a_token_that_is_not_for_us_is_refused(station: Station, provider: Provider) -> None:
    for forged in FORGED:
        provider.forged = forged
        assert refused(station, provider), forged
    provider.forged = {}
    assert not refused(station, provider), "the honest one is taken"


def test_a_token_that_the_provider_did_not_sign_is_refused(station: Station, provider: Provider) -> None:
    provider.signing_key = a_key("another's")
    assert refused(station, provider)
    provider.signing_key, provider.algorithm = None, "none"
    assert refused(station, provider)


def test_a_provider_that_calls_itself_otherwise_is_refused(station: Station, provider: Provider) -> None:
    provider.metadata = {"issuer": "http://127.0.0.1:1"}
    with station.browser() as browser:
        assert browser.get("/login/oidc").headers["location"].startswith("/login?error=oidc")


@pytest.mark.parametrize("missing", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
def test_a_provider_that_lacks_something_is_refused(station: Station, provider: Provider, missing: str) -> None:
    provider.metadata = {missing: None}
    with station.browser() as browser:
        away = browser.get("/login/oidc")
        answer = away if "error" in away.headers["location"] else through(browser)
        assert "error=oidc" in answer.headers["location"]


def test_a_provider_that_is_away_is_said(tmp_path: Path) -> None:
    with providing() as provider:
        pass
    with ward(tmp_path, provider) as station, station.browser() as browser:
        assert browser.get("/login/oidc").headers["location"] == "/login?error=oidc&next=%2F"
        assert browser.get("/login/oidc/callback?code=x&state=y").headers["location"].startswith("/login?error=oidc")


def test_an_answer_belongs_to_the_browser_that_asked(station: Station, provider: Provider) -> None:
    with station.browser() as attacker, station.browser() as victim:
        away = attacker.get("/login/oidc")
        back = httpx2.get(away.headers["location"]).headers["location"]
        assert "error=oidc" in victim.get(back).headers["location"], "no cookie of this login"
        victim.get("/login/oidc")
        assert "error=oidc" in victim.get(back).headers["location"], "the cookie of another login"
        assert attacker.get(back).status_code == 200
        assert "error=oidc" in attacker.get(back).headers["location"], "a code is good once"
        assert victim.get("/api/me").status_code == 401


def test_a_cookie_that_we_did_not_make(station: Station) -> None:
    for made in (None, [], {}, {"session": 1, "next": "/"}, {"session": {"_state_provider_y": "z"}, "next": "/"}):
        with station.browser() as browser:
            browser.cookies.set("edgemon-flow", base64.urlsafe_b64encode(json.dumps(made).encode()).decode())
            assert "error=oidc" in browser.get("/login/oidc/callback?code=x&state=y").headers["location"], made
    with station.browser() as browser:
        browser.cookies.set("edgemon-flow", "x")
        assert "error=oidc" in browser.get("/login/oidc/callback?code=x&state=y").headers["location"]


def test_the_provider_says_no(station: Station) -> None:
    with station.browser() as browser:
        browser.get("/login/oidc")
        answer = browser.get("/login/oidc/callback?error=access_denied&error_description=<script>&state=x")
        assert "error=oidc" in answer.headers["location"]
        assert "script" not in answer.headers["location"]


def test_without_a_role_nobody_comes_in(station: Station, provider: Provider) -> None:
    provider.claims["roles"] = ["cleaner"]
    with station.browser() as browser:
        assert "error=role" in through(browser).headers["location"]
        assert browser.get("/api/me").status_code == 401
    assert [(row.who, row.what) for row in station.store.audit_rows()] == [("kim", "login refused")]


def test_a_role_may_be_told_by_userinfo_of_the_same_person(station: Station, provider: Provider) -> None:
    del provider.claims["roles"]
    provider.userinfo = {"roles": "administer", "sub": "somebody else"}
    with station.browser() as browser:
        assert "error=role" in through(browser).headers["location"]
        del provider.userinfo["sub"]
        assert through(browser).status_code == 200
        assert browser.get("/api/me").json()["role"] == "administer"


def test_roles_lie_where_the_settings_say(tmp_path: Path, provider: Provider) -> None:
    provider.claims |= {"realm_access": {"roles": ["ward-nurse", "ward-chief"]}, "preferred_username": "Kim <b>"}
    named = {"ward-nurse": "acknowledge", "ward-chief": "administer"}
    with (
        ward(tmp_path, provider, role_claim="realm_access.roles", roles=named) as station,
        station.browser() as browser,
    ):
        assert through(browser).status_code == 200
        me = browser.get("/api/me").json()
        assert (me["name"], me["role"]) == ("u-17", "administer"), (
            "a name that fits no payload gives way to the subject"
        )


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"roles": "view"}, "view"),
        ({"roles": ["view", "administer"]}, "administer"),
        ({"roles": [{"a": 1}, 3, None]}, None),
        ({"roles": 3}, None),
        ({"roles": {}}, None),
        ({}, None),
    ],
)
def test_what_a_claim_is_worth(tmp_path: Path, claims: dict[str, Any], role: str | None) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o600)
    settings = Oidc(issuer="https://login.example", client_id="x", client_secret_file=tmp_path / "secret")
    assert oidc.Provider(settings).role(claims) == role
