"""Who gets in and what for: hosts, headers, logins, cookies, roles, CSRF, bodies, limits."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import httpx2
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event
from starlette.responses import PlainTextResponse
from station_web import PASSWORD, PLACE, Station, log_in, serving
from uvicorn.server import ServerState

from edgemon.station.store import Unfit
from edgemon.station.web import serve
from edgemon.station.web.guard import host_is_known
from edgemon.station.web.limits import MAX_KEYS, Limiter
from edgemon.station.web.people import local_path

ACK = f"/api/beds/{PLACE}/acknowledge"
WISH = {"alarm_id": "cot-pi-1/b00t/hr_high", "revision": 1}
PUBLIC = ("/healthz", "/readyz", "/metrics", "/login", "/static/login.js", "/api/me")
VIEW = ("/api/beds", "/api/devices", "/api/assignments", "/api/live", f"/api/beds/{PLACE}/history", "/api/commands/x")
ADMINISTER = ("/api/accounts", "/api/audit")


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with serving(tmp_path) as running:
        running.online()
        running.state()
        running.alarm()
        yield running


def audited(station: Station) -> list[tuple[str, str]]:
    return [(row.who, row.what) for row in station.store.audit_rows()]


def test_every_answer_has_the_headers(station: Station) -> None:
    with station.browser() as browser:
        for path in (*PUBLIC, *VIEW, "/", "/nothing", "/static/nothing.js"):
            headers = browser.get(path).headers
            assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'"), path
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert "permissions-policy" in headers
            assert headers["cache-control"] in ("no-store", "no-cache")
            assert "server" not in headers
            assert "strict-transport-security" not in headers
        assert browser.get("/api/beds").headers["cache-control"] == "no-store"


def test_foreign_hosts_are_refused(station: Station) -> None:
    with station.browser() as browser:
        for host in (
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "a b",
            "127.0.0.1@evil.com",
        ):
            answer = browser.get("/api/me", headers={"Host": host})
            assert answer.status_code in (400, 421), host
        assert browser.get("/healthz", headers={"Host": "localhost:8080"}).status_code == 200


@given(st.text())
def test_any_host_header_has_an_answer(host: str) -> None:
    assert host_is_known(host, ["ward.example"]) in (True, False)
    assert not host_is_known(f"{host}x.example", ["ward.example"])


@given(st.text())
def test_only_paths_of_this_station_follow_a_login(target: str) -> None:
    chosen = local_path(target)
    assert chosen.startswith("/")
    assert chosen in (target, "/")
    assert httpx2.URL("http://ward.example/").join(chosen).host == "ward.example"


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "/\t/evil.example", "https://evil.example", ""]
)
def test_no_login_leads_elsewhere(target: str) -> None:
    assert local_path(target) == "/"


def test_a_limit_refills_with_time_and_is_bounded() -> None:
    limiter = Limiter(3, 30_000)
    assert [limiter.allow("a", 0) for _ in range(5)] == [True, True, True, False, False]
    assert limiter.allow("b", 0)
    assert [limiter.allow("a", 9_999), limiter.allow("a", 10_000), limiter.allow("a", 10_000)] == [False, True, False]
    for n in range(2 * MAX_KEYS):
        limiter.allow(str(n), 20_000)
    assert len(limiter._spent) == MAX_KEYS


def test_nothing_but_the_public_parts_without_a_login(station: Station) -> None:
    with station.browser() as browser:
        for path in VIEW + ADMINISTER:
            answer = browser.get(path)
            assert answer.status_code == 401, path
            assert set(answer.json()) == {"error"}
        for path in ("/", f"/bed/{PLACE}", "/devices", "/admin"):
            answer = browser.get(path)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/login?next=%2F")
        assert browser.post(ACK, json=WISH).status_code == 401
        me = browser.get("/api/me")
        assert me.status_code == 401
        assert set(me.json()) == {"error", "csrf", "auth", "station", "now_ms", "silence_ms", "language"}
    assert station.published == []


def test_roles_rise_from_view_to_administer(station: Station) -> None:
    with station.person("viewer", "view") as viewer, station.person("nurse") as nurse:
        for path in set(VIEW) - {"/api/live", "/api/commands/x"}:
            assert viewer.get(path).status_code == 200, path
        assert viewer.post(ACK, json=WISH).status_code == 403
        assert viewer.post(f"/api/beds/{PLACE}/pause", json={"pause": "audio", "duration_s": 60}).status_code == 403
        for browser in (viewer, nurse):
            for path in ADMINISTER:
                assert browser.get(path).status_code == 403
            assert browser.post("/api/assignments", json={"label": "7", "place": PLACE}).status_code == 403
            assert browser.delete(f"/api/assignments/{PLACE}").status_code == 403
            new = {"name": "me2", "role": "administer", "password": PASSWORD}
            assert browser.post("/api/accounts", json=new).status_code == 403
            assert browser.patch("/api/accounts/viewer", json={"role": "administer"}).status_code == 403
        assert nurse.post(ACK, json=WISH).status_code == 202
    with station.person("chief", "administer") as chief:
        for path in (*ADMINISTER, "/api/beds"):
            assert chief.get(path).status_code == 200
    assert ("viewer", "refused") in audited(station)


def test_a_change_needs_the_token_of_its_own_login(station: Station) -> None:
    with station.person("nurse") as nurse, station.person("other") as other:
        token = nurse.headers.pop("X-CSRF-Token")
        for wrong in ("", "x", token[:-1], token.upper() + "x", other.headers["X-CSRF-Token"], "ü"):
            answer = nurse.post(ACK, json=WISH, headers={"X-CSRF-Token": wrong.encode()})
            assert answer.status_code == 403, wrong
        good = {"X-CSRF-Token": token}
        assert nurse.post(ACK, json=WISH, headers=good | {"Origin": "https://evil.example"}).status_code == 403
        assert nurse.post(ACK, json=WISH, headers=good | {"Origin": "null"}).status_code == 403
        assert nurse.post(ACK, json=WISH, headers=good | {"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert station.published == []
        assert nurse.post(ACK, json=WISH, headers=good | {"Origin": station.url}).status_code == 202


def test_a_login_needs_its_form(station: Station) -> None:
    station.store.add_account("nurse", PASSWORD, "view", station.clock.now_ms)
    fields = {"name": "nurse", "password": PASSWORD}
    with station.browser() as browser:
        assert "error=stale" in browser.post("/login", data=fields).headers["location"]
        csrf = browser.get("/api/me").json()["csrf"]
        browser.cookies.clear()
        assert "error=stale" in browser.post("/login", data=fields | {"csrf": csrf}).headers["location"]
        assert browser.post("/login", json=fields).status_code == 415
        assert browser.post("/login", data=fields, headers={"Origin": "https://evil.example"}).status_code == 403
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for body in (b"\xff\xfe", b"name=%ff", b"&".join(b"a=1" for _ in range(50))):
            assert browser.post("/login", content=body, headers=form).status_code == 422
        assert browser.get("/api/beds").status_code == 401


def test_cookies_are_for_this_site_only(station: Station) -> None:
    station.store.add_account("nurse", PASSWORD, "view", station.clock.now_ms)
    with station.browser() as browser:
        before = browser.get("/api/me").headers["set-cookie"].lower()
        csrf = browser.get("/api/me").json()["csrf"]
        answer = browser.post("/login", data={"name": "nurse", "password": PASSWORD, "csrf": csrf, "next": "/devices"})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/devices"
        for cookie in (before, *(value.lower() for value in answer.headers.get_list("set-cookie"))):
            assert "httponly" in cookie
            assert "samesite=strict" in cookie
            assert "path=/" in cookie
            assert "domain" not in cookie


def test_under_tls_cookies_are_bound_to_the_host(tmp_path: Path) -> None:
    with serving(tmp_path, http={"public_url": "https://ward.example"}) as station, station.browser() as browser:
        answer = browser.get("/api/me", headers={"Host": "ward.example"})
        assert answer.headers["set-cookie"].startswith("__Host-edgemon-form=")
        assert "Secure" in answer.headers["set-cookie"]
        assert "strict-transport-security" in answer.headers
        assert browser.get("/api/me", headers={"Host": "other.example"}).status_code == 421


def test_over_tls_itself(tmp_path: Path, certificates: Path) -> None:
    files = {"cert_file": certificates / "localhost.crt", "key_file": certificates / "localhost.key"}
    with serving(tmp_path, http=files) as station:
        station.trusted = ssl.create_default_context(cafile=certificates / "ca.crt")
        with station.person("nurse") as nurse:
            assert station.url.startswith("https://")
            assert list(nurse.cookies) == ["__Host-edgemon"]
            assert nurse.get("/api/beds").status_code == 200


def test_a_login_never_goes_on_under_a_secret_from_before(station: Station) -> None:
    station.store.add_account("nurse", PASSWORD, "view", station.clock.now_ms)
    with station.browser() as browser, station.browser() as attacker:
        browser.cookies.set("edgemon", "chosen-by-an-attacker", domain="127.0.0.1", path="/")
        assert log_in(browser, "nurse").headers["location"] == "/"
        first = browser.cookies["edgemon"]
        assert first != "chosen-by-an-attacker"
        attacker.cookies.set("edgemon", "chosen-by-an-attacker")
        assert attacker.get("/api/beds").status_code == 401
        log_in(browser, "nurse")
        assert browser.cookies["edgemon"] != first
        attacker.cookies.clear()
        attacker.cookies.set("edgemon", first)
        assert attacker.get("/api/beds").status_code == 401


def test_logins_end(station: Station) -> None:
    with station.person("nurse") as nurse:
        secret = nurse.cookies["edgemon"]
        assert nurse.post("/logout", json={}).json() == {"next": "/login"}
        nurse.cookies.set("edgemon", secret)
        assert nurse.get("/api/beds").status_code == 401
        nurse.cookies.clear()
        log_in(nurse, "nurse")
        assert nurse.get("/api/beds").status_code == 200
        station.clock.now_ms += 12 * 3_600_000 + 1
        assert nurse.get("/api/beds").status_code == 401
    assert [what for _who, what in audited(station)] == ["login", "logout", "login"]


def test_failed_logins_tell_nothing_and_are_limited(station: Station) -> None:
    station.store.add_account("nurse", PASSWORD, "view", station.clock.now_ms)
    told = {}
    for name in ("nurse", "nobody"):
        with station.browser() as browser:
            told[name] = [log_in(browser, name, "wrong password").headers["location"] for _ in range(7)]
    assert told["nurse"] == told["nobody"]
    assert ["error=limit" in where for where in told["nurse"]] == [False] * 5 + [True] * 2
    with station.browser() as browser:
        assert "error=limit" in log_in(browser, "nurse").headers["location"]
        station.clock.now_ms += 60_000
        assert log_in(browser, "nurse").headers["location"] == "/"
    rows = audited(station)
    assert rows.count(("nurse", "login failed")) == 5
    assert rows.count(("-", "login failed")) == 5
    assert rows.count(("-", "login limited")) == 2, "refused tries must not fill the log"
    assert "nobody" not in repr(station.store.audit_rows()), "what was typed may be a password"


def test_one_address_cannot_try_many_names(station: Station) -> None:
    for _ in range(18):
        assert station.web.limits.addresses.allow("127.0.0.1", station.clock.now_ms)
    with station.browser() as browser:
        told = [log_in(browser, f"n{n}", "wrong password").headers["location"] for n in range(4)]
    assert ["error=limit" in where for where in told] == [False, False, True, True]


BODIES = [
    (b'{"alarm_id":"a","revision":1}', "text/plain", 415),
    (b'{"alarm_id":"a","revision":1}', "", 415),
    (b"", "application/json", 422),
    (b"<script>alert(1)</script>", "application/json", 422),
    (b"\xff\xfe", "application/json", 422),
    (b"[" * 5000, "application/json", 422),
    (b'{"alarm_id":"a","revision":NaN}', "application/json", 422),
    (b'{"alarm_id":"a","revision":1e400}', "application/json", 422),
    (b'{"alarm_id":"<img src=x>","revision":1}', "application/json", 422),
    (b'{"alarm_id":"a"}', "application/json", 422),
    (b'{"alarm_id":"a","revision":1,"condition":"x"}', "application/json", 422),
    (b'{"alarm_id":"a","revision":1,"<img src=x onerror=alert(1)>":2}', "application/json", 422),
    (b'{"alarm_id":"' + b"a" * 9000 + b'","revision":1}', "application/json", 413),
]


def test_bodies_that_are_not_right(station: Station) -> None:
    with station.person("nurse") as nurse:
        for body, kind, status in BODIES:
            answer = nurse.post(ACK, content=body, headers={"Content-Type": kind})
            assert answer.status_code == status, body[:80]
            assert set(answer.json()) == {"error"}
            line = answer.json()["error"]
            assert line
            assert "\n" not in line
            assert len(line) < 300
            assert answer.headers["content-type"] == "application/json"
    assert station.published == []


def test_a_body_without_a_length_is_bounded_too(station: Station) -> None:
    with station.person("nurse") as nurse:
        endless = (b" " * 1000 for _ in range(100))
        answer = nurse.post(ACK, content=endless, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


NO_PLACES = (
    "..", "../../etc/passwd", "%2e%2e/%2e%2e", "site/nicu/+/cot-1", "site/nicu/cot-pi-1/%23", "%00", "a" * 3000,
    "site/nicu/cot-pi-1/cot-1%2F..", "site//cot-pi-1/cot-1", "%3Cscript%3E",
)  # fmt: skip


def test_places_that_are_none(station: Station) -> None:
    with station.person("nurse") as nurse:
        for place in NO_PLACES:
            for method, path, body in (
                ("POST", f"/api/beds/{place}/acknowledge", WISH),
                ("POST", f"/api/beds/{place}/pause", {"pause": "audio", "duration_s": 60}),
                ("GET", f"/api/beds/{place}/history", None),
            ):
                answer = nurse.request(method, path, json=body)
                assert answer.status_code == 404, path
                assert "script" not in answer.text
    assert station.published == []


@pytest.fixture
def strict(station: Station) -> Station:
    """A station whose store takes no NUL, as PostgreSQL."""

    def refuse(*words: object) -> None:
        if "\\x00" in repr(words[3]):
            raise OverflowError("text fields cannot contain NUL (0x00) bytes")

    event.listen(station.store.engine, "before_cursor_execute", refuse)
    return station


@pytest.mark.parametrize("sign", ["%00", "%0a", "%1b", "%7f"])
def test_names_with_control_characters_are_nobodys(strict: Station, sign: str) -> None:
    place = f"{PLACE}{sign}"
    with strict.person("chief", "administer") as chief, strict.person("viewer", "view") as viewer:
        for method, path, body in (
            ("POST", f"/api/beds/{place}/acknowledge", WISH),
            ("POST", f"/api/beds/{place}/pause", {"pause": "audio", "duration_s": 60}),
            ("GET", f"/api/beds/{place}/history", None),
            ("GET", f"/api/beds/{place}/export", None),
            ("GET", f"/api/commands/x{sign}", None),
            ("DELETE", f"/api/devices/{place}", None),
            ("DELETE", f"/api/assignments/{place}", None),
            ("PATCH", f"/api/accounts/nurse{sign}", {"role": "view"}),
            ("GET", f"/fhir/Observation/x{sign}", None),
        ):
            answer = chief.request(method, path, json=body)
            assert answer.status_code == 404, path
            assert viewer.request(method, path, json=body).status_code in (403, 404), path
        for body in ({"label": "a\0", "place": PLACE}, {"label": "a", "place": f"{PLACE}\0"}):
            assert chief.post("/api/assignments", json=body).status_code == 422
        half = b'{"password":"' + 9 * rb"\ud800" + b'"}'  # of a pair of UTF-16
        answer = chief.patch("/api/accounts/viewer", content=half, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
    assert ("viewer", "refused") in audited(strict)


def test_a_name_with_a_nul_is_a_failed_login(strict: Station) -> None:
    with strict.browser() as browser:
        told = [log_in(browser, name, "wrong password").headers["location"] for name in ("nobody", "no\0body")]
    assert told[0] == told[1]
    assert audited(strict) == [("-", "login failed"), ("-", "login failed")]


def test_what_the_store_cannot_hold_is_said_in_one_line(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise Unfit("value too long for type of secret column")

    with station.person("nurse") as nurse:
        monkeypatch.setattr(type(station.store), "devices", fail)
        answer = nurse.get("/api/devices")
    assert (answer.status_code, set(answer.json())) == (422, {"error"})
    assert "secret" not in answer.text


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nHost: local"])
def test_who_asks_nothing_is_hung_up_on(station: Station, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(serve, "HEADER_WITHIN_S", 0.2)
    url = httpx2.URL(station.url)
    with socket.create_connection((url.host, url.port or 0), timeout=10) as connection:
        connection.sendall(said)
        assert _hung_up(connection)


def _hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_patience_is_for_headers_only_and_not_for_their_pieces() -> None:
    async def talk() -> None:
        config = uvicorn.Config(PlainTextResponse("ok"), log_config=None)
        protocol = serve.Prompt(config, ServerState(), {})
        transport = mock.Mock(spec=asyncio.Transport)
        ends = {"getpeername.return_value": ("127.0.0.1", 2), "getsockname.return_value": ("127.0.0.1", 1)}
        transport.get_extra_info.side_effect = lambda name: mock.Mock(**ends) if name == "socket" else None
        transport.is_closing.return_value = False
        protocol.connection_made(transport)
        first = protocol._patience
        assert first is not None
        protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\n")
        assert protocol._patience is first, "a piece earns no more time"
        protocol.data_received(b"Content-Length: 2\r\n\r\na")
        assert protocol._patience is None
        assert first.cancelled()
        protocol.data_received(b"b")
        await asyncio.gather(*protocol.tasks)
        assert protocol._patience is not None, "the next request has its own time"
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert protocol._patience is None
        while protocol.tasks:
            await asyncio.gather(*protocol.tasks)
        last = protocol._patience
        assert last is not None
        protocol.connection_lost(None)
        assert last.cancelled()
        transport.close.assert_called_once_with()

    asyncio.run(talk())


NO_FILES = (
    "/static/../settings.py", "/static/%2e%2e/settings.py", "/static/..%2fsettings.py", "/static//etc/passwd",
    "/static/uplot/__init__.py", "/static/uplot/%00.js", "/static/" + "a" * 3000 + ".js", "/static/ward.html",
)  # fmt: skip


def test_only_the_pages_own_files_are_served(station: Station) -> None:
    with station.browser() as browser:
        for path in NO_FILES:
            assert browser.get(path).status_code == 404, path
        assert browser.get("/static/uplot/uPlot.iife.js").status_code == 200
        style = browser.get("/static/style.css")
        assert style.headers["cache-control"] == "no-cache"
        again = browser.get("/static/style.css", headers={"If-None-Match": style.headers["etag"]})
        assert again.status_code == 304


def test_accounts_are_for_administrators(station: Station) -> None:
    with station.person("chief", "administer") as chief:
        new = {"name": "nurse", "role": "acknowledge", "password": PASSWORD}
        assert chief.post("/api/accounts", json=new).status_code == 201
        assert chief.post("/api/accounts", json=new).status_code == 409
        assert chief.post("/api/accounts", json=new | {"name": "<b>"}).status_code == 422
        short = chief.post("/api/accounts", json=new | {"name": "n2", "password": "hunter2"})
        assert short.status_code == 422
        assert "hunter2" not in short.text
        with station.browser() as nurse:
            log_in(nurse, "nurse")
            assert nurse.get("/api/me").json()["role"] == "acknowledge"
            assert chief.patch("/api/accounts/nurse", json={"role": "view"}).status_code == 200
            assert nurse.get("/api/me").json()["role"] == "view"
            assert chief.patch("/api/accounts/nurse", json={"disabled": True}).status_code == 200
            assert nurse.get("/api/me").status_code == 401
            assert "error=refused" in log_in(nurse, "nurse").headers["location"]
        assert chief.patch("/api/accounts/ghost", json={"role": "view"}).status_code == 409
        assert chief.patch("/api/accounts/chief", json={"disabled": True}).status_code == 409
        assert chief.patch("/api/accounts/chief", json={"role": "view"}).status_code == 409
        names = {row["name"]: row["disabled_ms"] is None for row in chief.get("/api/accounts").json()}
        assert names == {"chief": True, "nurse": False}
        assert PASSWORD not in chief.get("/api/accounts").text + chief.get("/api/audit").text
        whats = [row["what"] for row in chief.get("/api/audit").json()]
    assert whats[:3] == ["login failed", "account disabled", "role changed"]


def test_an_account_is_enabled_again_by_an_administrator(station: Station) -> None:
    with station.person("nurse") as nurse, station.person("chief", "administer") as chief:
        account = "/api/accounts/nurse"
        assert chief.patch(account, json={"disabled": True}).status_code == 200
        assert chief.patch(account, json={"role": "view", "password": PASSWORD[::-1]}).status_code == 200
        assert chief.get("/api/accounts").json()[1]["disabled_ms"] is not None, "what is not named stays"
        assert chief.patch(account, json={"disabled": False}).status_code == 200
        assert nurse.get("/api/beds").status_code == 401, "he logs in anew"
        assert log_in(nurse, "nurse", PASSWORD[::-1]).headers["location"] == "/"
        assert nurse.get("/api/me").json()["role"] == "view"
        assert nurse.patch("/api/accounts/chief", json={"disabled": False}).status_code == 403
        new = {"name": "nora", "role": "view", "password": PASSWORD}
        assert chief.post("/api/accounts", json=new).status_code == 201
    told = [(row.who, row.what, row.place, row.detail) for row in station.store.audit_rows() if row.what != "login"]
    assert told == [
        ("chief", "account added", "", "nora as view"),
        ("nurse", "refused", "/api/accounts/chief", "PATCH needs the role administer"),
        ("chief", "account enabled", "", "nurse"),
        ("chief", "password changed", "", "nurse"),
        ("chief", "role changed", "", "nurse is view"),
        ("chief", "account disabled", "", "nurse"),
    ]


def test_an_open_station_needs_no_login_and_still_its_token(tmp_path: Path) -> None:
    with serving(tmp_path, auth="open") as station, station.browser() as browser:
        station.online()
        station.state()
        station.alarm()
        assert browser.get("/").status_code == 200
        assert browser.post(ACK, json=WISH).status_code == 403
        me = browser.get("/api/me").json()
        assert (me["name"], me["role"], me["auth"]) == ("demo", "acknowledge", "open")
        assert browser.post(ACK, json=WISH, headers={"X-CSRF-Token": me["csrf"]}).status_code == 202
        assert browser.get("/api/me").json()["csrf"] == me["csrf"]
        assert browser.get("/api/audit").status_code == 403
        assert browser.post("/login", data={"name": "a", "password": "b", "csrf": "c"}).status_code == 404


def test_a_fault_of_ours_tells_nothing(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LookupError("secret detail")

    with station.person("nurse") as nurse:
        monkeypatch.setattr(type(station.store), "devices", fail)
        answer = nurse.get("/api/devices")
    assert answer.status_code == 500
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "secret" not in answer.text
    assert set(answer.json()) == {"error"}
