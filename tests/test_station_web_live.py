"""The live stream: what changed and nothing else, at once, bounded, and only for those who may see it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from conftest import eventually
from starlette.exceptions import HTTPException
from station_web import PLACE, Station, serving

from edgemon.errors import ConfigError, StoreUnavailable
from edgemon.records import Priority
from edgemon.station import roster
from edgemon.station.nouns import Notice, Pause
from edgemon.station.settings import load
from edgemon.station.web import live
from edgemon.station.web.live import Client, Frame, Hub

OTHER = "site/nicu/cot-pi-2"


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with serving(tmp_path) as running:
        running.online()
        running.state()
        running.online(OTHER)
        running.state("cot-2", OTHER)
        yield running


Event = tuple[str, int | None, dict[str, Any]]


@contextmanager
def watching(browser: httpx2.Client, **headers: str) -> Iterator[Iterator[Event]]:
    """The events of the stream as they come: name, id, data."""
    with browser.stream("GET", "/api/live", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"

        def events() -> Iterator[Event]:
            name, number, data = "", None, ""
            for line in answer.iter_lines():
                key, _, value = line.partition(": ")
                if key == "event":
                    name, number = value, None
                elif key == "id":
                    number = int(value)
                elif key == "data":
                    data = value
                elif not line and name:
                    yield name, number, json.loads(data)
                    name = ""

        yield events()


def places(event: Event) -> list[str]:
    return sorted(card["place"] for card in event[2]["cards"])


def test_a_screen_gets_all_then_what_changes(station: Station) -> None:
    with station.person("nurse") as nurse, watching(nurse) as events:
        first = next(events)
        assert first[0] == "cards"
        assert places(first) == [PLACE, f"{OTHER}/cot-2"]
        assert first[1] == first[2]["change"] == station.store.newest_change()
        assert first[2]["now_ms"] == station.clock.now_ms
        station.alarm()
        second = next(events)
        assert places(second) == [PLACE]
        assert [alarm["condition"] for alarm in second[2]["cards"][0]["alarms"]] == ["hr_high"]
        assert second[1] is not None
        assert second[1] > (first[1] or 0)


def test_an_alarm_is_on_every_screen(station: Station) -> None:
    with (
        station.person("nurse") as nurse,
        station.person("other") as other,
        watching(nurse) as here,
        watching(other) as there,
    ):
        next(here), next(there)
        station.alarm()
        assert [places(next(here)), places(next(there))] == [[PLACE], [PLACE]]


def test_a_screen_that_comes_back_gets_what_it_missed(station: Station) -> None:
    with station.person("nurse") as nurse:
        with watching(nurse) as events:
            seen = next(events)[1]
        station.alarm()
        with watching(nurse, **{"Last-Event-ID": str(seen)}) as events:
            assert places(next(events)) == [PLACE]
        with watching(nurse, **{"Last-Event-ID": str(station.store.newest_change())}) as events:
            assert places(next(events)) == []
        for strange in ("99999999999", "-1", "x", "1e3", "9" * 400):
            with watching(nurse, **{"Last-Event-ID": strange}) as events:
                assert len(places(next(events))) == 2, "what we never sent counts for nothing"


def test_beats_come_and_end_with_the_login(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BEAT_S", 0.05)
    with station.person("nurse") as nurse, watching(nurse) as events:
        next(events)
        station.clock.now_ms += 1000
        name, number, data = next(events)
        assert (name, number) == ("beat", None)
        assert data["change"] == station.store.newest_change()
        token = nurse.cookies["edgemon"]
        station.store.logout(token)
        assert {event[0] for event in events} <= {"beat"}
    eventually(lambda: station.web.hub.clients == 0, what="the end of the stream")


def test_the_server_stops_while_screens_watch(tmp_path: Path) -> None:
    with serving(tmp_path) as station, station.person("nurse") as nurse, watching(nurse) as events:
        next(events)
        assert station.web.hub.clients == 1
        station.web.hub.close()
        assert list(events) == []


def test_nobody_watches_without_a_login(station: Station) -> None:
    with station.browser() as browser:
        assert browser.get("/api/live").status_code == 401
    assert station.web.hub.clients == 0


def frame(change: int, *beds: str) -> Frame:
    return Frame(change, {bed: (change, json.dumps([bed, change])) for bed in beds})


def taken(client: Client) -> list[Any]:
    cards: list[Any] = json.loads(client.take(0))["cards"]
    return cards


def test_a_screen_is_told_of_beds_that_are_gone() -> None:
    client, ab = Client(0), frozenset({"a", "b"})
    client.give(Frame(1, {"a": (1, "1"), "b": (1, "2")}, ab))
    assert json.loads(client.take(5)) == {"now_ms": 5, "change": 1, "cards": [1, 2], "places": ["a", "b"]}
    client.news.clear()
    client.give(Frame(2, {}, ab))
    assert not client.news.is_set()
    client.give(Frame(3, {"a": (3, "3"), "b": (3, "4")}, ab))
    client.give(Frame(4, {}, frozenset({"a"})))
    assert client.news.is_set()
    assert json.loads(client.take(5)) == {"now_ms": 5, "change": 4, "cards": [3], "places": ["a"]}
    client.give(Frame(4, {}))
    assert json.loads(client.take(5)) == {"now_ms": 5, "change": 4, "cards": []}


def test_a_slow_screen_skips_states_and_keeps_none_twice() -> None:
    client = Client(0)
    for change in range(1, 1001):
        client.give(frame(change, "a", f"b{change % 3}"))
    assert len(client.pending) == 4
    assert taken(client) == [["a", 1000], ["b1", 1000], ["b2", 998], ["b0", 999]]
    assert taken(client) == []


def test_what_a_screen_has_is_not_given_again() -> None:
    client = Client(5)
    client.give(Frame(7, {"old": (5, "1"), "new": (6, "2"), "newest": (8, "3")}))
    assert taken(client) == [2, 3]
    client.give(frame(3, "of another store"))
    assert client.change == 3
    assert taken(client) == [["of another store", 3]]


def test_one_reading_of_the_store_serves_all_screens() -> None:
    asked: list[int] = []
    newest = 1

    def read(after: int) -> Frame:
        asked.append(after)
        return frame(newest, "a") if after < newest else Frame(newest, {})

    async def scene() -> None:
        nonlocal newest
        hub = Hub(read)
        following = asyncio.create_task(hub.follow())
        await asyncio.sleep(0)
        assert asked == [], "nobody watches"
        clients = [await hub.join(0) for _ in range(20)]
        for client in clients:
            assert taken(client) == [["a", 1]]
            client.news.clear()
        asked.clear()
        newest = 2
        await asyncio.gather(*(client.news.wait() for client in clients))
        assert [taken(client) for client in clients] == [[["a", 2]]] * 20
        assert asked.count(1) <= 2
        for client in clients:
            hub.leave(client)
        following.cancel()

    asyncio.run(scene())


def test_too_many_screens_are_told_so() -> None:
    async def scene() -> None:
        hub = Hub(lambda after: Frame(after, {}))
        for _ in range(live.MAX_CLIENTS):
            await hub.join(0)
        with pytest.raises(HTTPException, match="503"):
            await hub.join(0)

    asyncio.run(scene())


def test_screens_wait_for_a_store_that_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "AGAIN_S", 0.001)
    faults = [StoreUnavailable("gone"), StoreUnavailable("gone")]
    joined = False

    def read(after: int) -> Frame:
        if joined and faults:
            raise faults.pop()
        return frame(2, "a") if joined and after < 2 else Frame(1, {})

    async def scene() -> None:
        nonlocal joined
        hub = Hub(read)
        client = await hub.join(0)
        client.news.clear()
        joined = True
        following = asyncio.create_task(hub.follow())
        await client.news.wait()
        assert taken(client) == [["a", 2]]
        following.cancel()

    asyncio.run(scene())


def test_no_screen_is_told_that_it_is_live_while_the_store_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "BEAT_S", 0.02)
    monkeypatch.setattr(live, "AGAIN_S", 0.02)
    monkeypatch.setattr(live, "FRESH_S", 0.2)
    beats: list[int] = []
    with serving(tmp_path, auth="open") as station, station.browser() as browser, watching(browser) as events:
        assert next(events)[0] == "cards"
        assert next(events)[0] == "beat"
        read, hub = station.web.hub.read, station.web.hub

        tries: list[int] = []

        def locked(after: int) -> Frame:
            tries.append(after)
            raise StoreUnavailable("locked")

        monkeypatch.setattr(hub, "read", locked)
        eventually(lambda: not hub.sees, what="an old reading")
        station.clock.now_ms += 1000  # this moment no beat may tell
        known = len(tries)
        eventually(lambda: len(tries) > known + 5, what="tries to read")
        station.clock.now_ms += 1000
        monkeypatch.setattr(hub, "read", read)
        while (data := next(events)[2])["now_ms"] < station.clock.now_ms:
            beats.append(data["now_ms"])
    assert station.clock.now_ms - 1000 not in beats


def test_a_large_event_is_sent_in_pieces_that_each_must_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SEND_WITHIN_S", 0.01)
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message["body"])
        if len(sent) == 5:
            await asyncio.Event().wait()

    async def scene() -> None:
        text = "x" * (3 * live.PIECE_BYTES + 1)
        await live.Stream._chunk(send, text)
        assert b"".join(sent) == text.encode()
        assert [len(piece) for piece in sent] == [live.PIECE_BYTES] * 3 + [1]
        with pytest.raises(TimeoutError):
            await live.Stream._chunk(send, text)
        assert len(sent) == 5

    asyncio.run(scene())


def test_a_page_is_told_when_its_login_ends_and_which_zone_the_ward_has(tmp_path: Path) -> None:
    with serving(tmp_path, session_h=2.0, timezone="Europe/Berlin") as station, station.person("nurse") as nurse:
        me = nurse.get("/api/me").json()
        assert (me["expires_ms"], me["timezone"]) == (station.clock.now_ms + 7_200_000, "Europe/Berlin")
        with station.browser() as browser:
            assert "expires_ms" not in browser.get("/api/me").json()
    with serving(tmp_path, auth="open") as station, station.browser() as browser:
        for _ in range(2):
            me = browser.get("/api/me").json()
            assert (me["name"], me["expires_ms"], me["timezone"]) == ("demo", None, None)


@pytest.mark.parametrize("name", ["Moon/Tycho", "localtime", "../UTC", "", "Europe"])
def test_a_zone_that_is_none_is_one_clear_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "station.yaml"
    file.write_text(f"timezone: '{name}'\n")
    with pytest.raises(ConfigError, match="timezone") as told:
        load(file)
    assert "no IANA time zone that this machine knows" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("pause", "stands", "told"),
    [
        ("audio", [], True),
        ("audio", [("physiological", "on")], False),
        ("audio", [("technical", "on"), ("physiological", "audio_paused")], True),
        ("procedure", [("physiological", "on")], False),
        ("procedure", [("physiological", "alarm_paused")], True),
        ("procedure", [("technical", "on")], True),
    ],
)
def test_a_pause_is_told_unless_the_device_says_otherwise(
    station: Station, pause: Literal["audio", "procedure"], stands: list[tuple[str, str]], told: bool
) -> None:
    for n, (kind, activation) in enumerate(stands):
        station.alarm(("hr_high", "hr_low")[n], kind=kind, activation=activation)
    bed = station.store.bed(PLACE)
    assert bed is not None
    asked = Pause(pause, "nina", station.clock.now_ms, station.clock.now_ms + 60_000)
    silent = Notice(PLACE, "no_data", Priority.MEDIUM, station.clock.now_ms)
    shown = roster.card(dataclasses.replace(bed, pause=asked, notices=(silent,)), station.clock.now_ms, 45.0)
    assert shown.pause == (asked if told else None)


def test_a_reader_that_fails_ends_every_stream() -> None:
    ended = []

    def read(after: int) -> Frame:
        if after:
            raise ZeroDivisionError
        return frame(1, "a")

    async def scene() -> None:
        hub = Hub(read)
        hub.ended = lambda: ended.append(True)
        client = await hub.join(0)
        client.news.clear()
        with pytest.raises(ZeroDivisionError):
            await hub.follow()
        assert (hub.closed, client.news.is_set(), ended) == (True, True, [True])
        with pytest.raises(HTTPException, match="503"):
            await hub.join(0)

    asyncio.run(scene())
