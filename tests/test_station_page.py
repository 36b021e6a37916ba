"""The nurse's pages in a real browser, against a scripted station: what is shown, said, heard and asked."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("uplot", reason="needs edgemon[station]")
pytest.importorskip("playwright", reason="needs the development requirements")

from axe_playwright_python.sync_playwright import Axe
from conftest import eventually
from playwright.sync_api import BrowserContext, Locator, Page, expect, sync_playwright
from station_fake import (
    NOW_MS,
    PAGES,
    Fake,
    administration,
    alarm,
    card,
    devices,
    heart_rate,
    history,
    reading,
    serving,
)

from edgemon.events.conditions import CONDITIONS
from edgemon.records import Activation, Cry, Eyes, Posture, Presence, Priority, Reason, Sleep

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EVIL = '<img src=x onerror="window.hacked=1"><b>\'&amp;'
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium on the PATH")
    expect.set_options(timeout=30_000)  # two busy cores
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched.new_context(locale="en-GB", timezone_id="UTC", has_touch=True)
        launched.close()


@pytest.fixture(scope="module")
def station() -> Iterator[tuple[Fake, str]]:
    fake = Fake()
    with serving(fake) as url:
        yield fake, url


@pytest.fixture
def fake(station: tuple[Fake, str]) -> Fake:
    station[0].reset()
    return station[0]


@pytest.fixture
def visit(browser: BrowserContext, station: tuple[Fake, str], fake: Fake) -> Iterator[Open]:
    """Opens pages; none may ask for an outside address, break the CSP, or lack a word."""
    url = station[1]
    pages, asked, faults = [], [], []

    def opened(path: str = "/", *, init: str = "", clock: bool = False, size: tuple[int, int] = (1280, 900)) -> Page:
        page = browser.new_page()
        pages.append(page)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if "Security" in message.text else None)
        if clock:
            page.clock.install()
        if init:
            page.add_init_script(init)
        page.goto(url + path)
        return page

    yield opened
    missing = [page.evaluate("document.documentElement.dataset.missing ?? ''") for page in pages]
    for page in pages:
        page.close()
    assert faults == []
    assert [one for one in asked if not one.startswith((url, "data:"))] == []
    assert not any(missing) or (fake.me is not None and fake.me["language"] != "en")


def bed(page: Page, n: int = 1) -> Locator:
    return page.locator(f'.card[data-place="site/nicu/nicu-{n:02d}/cot"]')


def labels(page: Page) -> list[str]:
    return page.locator(".card h2").all_inner_texts()


# --- what is shown ---


def test_worst_comes_first(fake: Fake, visit: Open) -> None:
    fake.push(card(2), card(10), card(3, (alarm("camera_lost", "medium"),)), card(7, (alarm(),)))
    page = visit()
    expect(bed(page, 10)).to_be_visible()
    assert labels(page) == ["Bed 7", "Bed 3", "Bed 2", "Bed 10"]
    expect(page.get_by_text("Not a medical device. Not a primary alarm system.")).to_be_visible()
    expect(bed(page, 2).locator(".bpm")).to_have_text("130")
    expect(bed(page, 2).locator(".notes")).to_contain_text("good signal")
    expect(bed(page, 2).locator('[data-fact="eyes"] dd')).to_have_text("closed")
    expect(bed(page, 2).locator('[data-fact="camera"] dd')).to_have_text("30/s")
    expect(page.locator(".tally").first).to_have_text("!!!1 high")


def test_what_is_unknown_says_why_and_shows_no_number(fake: Fake, visit: Open) -> None:
    readings = card()["readings"] | {"eyes": reading(None, 1, "turned_away")}
    fake.push(card(1, heart_rate=heart_rate(None, 2, 0.1, "low_snr"), readings=readings))
    page = visit()
    expect(bed(page).locator(".quality")).to_have_text("unknown, signal too weak")
    expect(bed(page).locator(".bpm")).to_have_text("– –")
    expect(bed(page).locator('[data-fact="eyes"] dd')).to_have_text("unknown, face turned away")


def test_a_value_older_than_45_s_is_grey_and_dated(fake: Fake, visit: Open) -> None:
    fake.push(card(1, heart_rate=heart_rate(142)))
    page = visit()
    expect(bed(page).locator(".bpm")).to_have_text("142")
    fake.beat(NOW_MS + 43_000)
    expect(bed(page).locator(".age")).to_contain_text("44 s ago")
    expect(bed(page).locator(".bpm")).to_have_text("142")
    fake.beat(NOW_MS + 60_000)
    expect(bed(page).locator(".heart")).to_have_attribute("data-stale", "true")
    expect(bed(page).locator(".bpm")).to_have_text("– –")
    expect(bed(page).locator(".quality")).to_contain_text("was 142 /min at 04:12:30, 1 min ago")
    expect(bed(page).locator('[data-fact="sleep"] dd')).to_have_text("was asleep at 04:12:30")
    expect(bed(page).locator(".online")).to_contain_text("No data since 04:12:30")
    grey = bed(page).locator(".quality").evaluate("e => getComputedStyle(e).color")
    old = page.evaluate("() => { const e = document.createElement('i'); e.style.color = 'var(--old)';"
                        " document.body.append(e); return getComputedStyle(e).color; }")  # fmt: skip
    assert grey == old


def test_a_reading_that_the_station_calls_stale_is_never_shown_as_new(fake: Fake, visit: Open) -> None:
    fake.push(card(1, heart_rate=heart_rate(142) | {"stale": True}), card(2, heart_rate=heart_rate(150, -30)))
    page = visit()
    for n in (1, 2):  # the second is of the future
        expect(bed(page, n).locator(".heart")).to_have_attribute("data-stale", "true")
        expect(bed(page, n).locator(".bpm")).to_have_text("– –")


def test_hostile_strings_appear_as_text(fake: Fake, visit: Open) -> None:
    evil = alarm(EVIL, "high", unit=EVIL, ack_by=EVIL, presence="ack", ack_ms=NOW_MS, alarm_id=EVIL)
    odd = alarm("hr_low", EVIL, kind=EVIL, presence=EVIL, activation=EVIL)
    readings = {name: reading(EVIL) for name in ("face", "eyes", "sleep", "cry", "posture")}
    hostile = card(1, (evil, odd), label=EVIL, device=EVIL, online=EVIL, pauses=[EVIL], readings=readings)
    fake.push(hostile, card(2, heart_rate=heart_rate(None, 1, 0, EVIL)))
    log = history()
    log["alarms"] = [row | {"condition": EVIL, "ack_by": EVIL, "phase": EVIL} for row in log["alarms"]]
    refused = [{"reason": EVIL, "count": 1, "last_ms": NOW_MS, "text": EVIL}]
    fake.answers = {"history": log, "devices": [devices()[1] | {"base": EVIL, "software": EVIL, "refused": refused}]}
    fake.me = fake.me and fake.me | {"name": EVIL, "station": EVIL}
    page = visit()
    for text in (page.locator(".card h2").first, bed(page).locator(".alarm strong").last, page.locator(".station")):
        expect(text).to_have_text(EVIL)
    for fact in ("eyes", "sleep", "cry"):
        expect(bed(page).locator(f'[data-fact="{fact}"] dd')).to_have_text(EVIL)
    expect(bed(page, 2).locator(".quality")).to_contain_text(EVIL)
    for path, text in (("/bed/site/nicu/nicu-01/cot", "#log"), ("/devices", "#refused")):
        page = visit(path)
        expect(page.locator(text)).to_contain_text(EVIL)
        assert page.evaluate("[window.hacked, document.querySelectorAll('img, main b').length]") == [None, 0]


# --- alarms ---


def test_alarms_flash_at_the_rates_of_their_priorities(fake: Fake, visit: Open) -> None:
    rates = {"high": ("!!!", "high", "0.5s"), "medium": ("!!", "medium", "1.667s"), "low": ("!", "none", "0s")}
    fake.push(*(card(n, (alarm("camera_lost", priority),)) for n, priority in enumerate(rates, 1)))
    page = visit()
    for n, (priority, (sign, name, duration)) in enumerate(rates.items(), 1):
        row = bed(page, n).locator(".alarm")
        told = row.evaluate("e => { const s = getComputedStyle(e); return [s.animationName, s.animationDuration]; }")
        assert told == [name, duration]
        expect(row.locator(".mark")).to_have_text(sign)
        expect(row).to_contain_text(f"{priority}, since 04:12:09")
    page.emulate_media(reduced_motion="reduce")
    assert bed(page, 1).locator(".alarm").evaluate("e => getComputedStyle(e).animationName") == "none"
    assert bed(page, 1).locator(".alarm").evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


def test_acknowledged_latched_and_paused_alarms_are_steady(fake: Fake, visit: Open) -> None:
    acknowledged = alarm(presence="ack", ack_by="ben", ack_ms=NOW_MS - 5000)
    fake.push(card(1, (acknowledged,)), card(2, (alarm(presence="latched"),)))
    fake.push(card(3, (alarm(activation="alarm_paused"),), pauses=["alarm_paused"]))
    page = visit()
    for n, text in ((1, "acknowledged by ben at 04:12:26"), (2, "waits for somebody"), (3, "paused for a procedure")):
        expect(bed(page, n).locator(".alarm small")).to_contain_text(text)
        assert bed(page, n).locator(".alarm").evaluate("e => getComputedStyle(e).animationName") == "none"
    expect(bed(page, 1).locator(".acknowledge")).to_be_hidden()
    assert bed(page, 2).locator(".alarm").evaluate("e => getComputedStyle(e).borderTopStyle") == "double"


def test_acknowledged_by_one_and_seen_by_another(fake: Fake, visit: Open) -> None:
    fake.push(card(1, (alarm(),)))
    one, other = visit(), visit()
    expect(bed(other).locator(".alarm")).to_have_attribute("data-look", "flash")
    bed(one).get_by_role("button", name="Acknowledge Bed 1: Heart rate low").click()
    expect(bed(one).locator(".told")).to_have_text("Acknowledged: Heart rate low")
    body = {"alarm_id": "nicu-07/6f0c/hr_low", "revision": 3}
    assert fake.asked == [("acknowledge", "site/nicu/nicu-01/cot", body, "token-1")]
    fake.push(card(1, (alarm(presence="ack", ack_by="anna", ack_ms=NOW_MS),)))
    expect(bed(other).locator(".alarm")).to_have_attribute("data-look", "steady")
    expect(bed(other).locator(".alarm small")).to_contain_text("acknowledged by anna at 04:12:31")


def test_a_bed_that_is_gone_leaves_every_screen(fake: Fake, visit: Open) -> None:
    fake.push(card(1), card(2))
    page = visit("/")
    expect(page.locator(".card")).to_have_count(2)
    fake.remove(card(2)["place"])
    expect(page.locator(".card")).to_have_count(1)


def test_the_stations_own_alarm_is_acknowledged_by_its_condition(fake: Fake, visit: Open) -> None:
    fake.push(card(1, (alarm("no_data", "medium", source="station", alarm_id=None, revision=None),)))
    page = visit()
    bed(page).locator(".acknowledge").click()
    expect(bed(page).locator(".told")).to_contain_text("Acknowledged")
    assert fake.asked[0][2] == {"condition": "no_data"}


def test_refusals_are_told_in_words(fake: Fake, visit: Open) -> None:
    fake.push(card(1, (alarm(),)))
    page = visit()
    fake.command = {"status": "refused", "reason": "hr_low is at revision 4, not 3: look again"}
    bed(page).locator(".acknowledge").click()
    expect(bed(page).locator(".told")).to_contain_text("the alarm has changed since. Look again.")
    fake.command = {"status": "expired", "reason": None}
    bed(page).locator(".acknowledge").click()
    expect(bed(page).locator(".told")).to_contain_text("did not answer within 30 s")
    fake.refuse = (409, "the device is not online: nothing can be asked of it")
    bed(page).locator(".acknowledge").click()
    expect(bed(page).locator(".told")).to_contain_text("Not done: the device is offline.")
    expect(page.locator('[role="status"].unseen')).to_contain_text("Bed 1: Not done")


def test_a_pause_says_who_and_until_when(fake: Fake, visit: Open) -> None:
    fake.push(card(1, (alarm(),)))
    page = visit()
    bed(page).get_by_role("button", name="Pause alarms of Bed 1").click()
    dialog = page.get_by_role("dialog", name="Pause alarms of Bed 1")
    dialog.get_by_role("button", name="Sound off for 2 min").click()
    expect(bed(page).locator(".told")).to_have_text("Sound is paused for 2 min")
    assert fake.asked[0][:3] == ("pause", "site/nicu/nicu-01/cot", {"pause": "audio", "duration_s": 120})
    expect(bed(page).locator(".paused")).to_contain_text(
        re.compile(r"Sound paused by anna at 04:12:3\d, until 04:14:3")
    )
    told = {"pause": "procedure", "by": "ben", "at_ms": NOW_MS - 60_000, "until_ms": NOW_MS + 240_000}
    fake.push(card(2, (alarm(activation="alarm_paused"),), pauses=["alarm_paused"], pause=told))
    expect(bed(page, 2).locator(".paused")).to_have_text(
        "Alarms paused for a procedure by ben at 04:11:31, until 04:16:31"
    )


def test_who_may_only_look_is_offered_nothing_else(fake: Fake, visit: Open) -> None:
    fake.me = fake.me and fake.me | {"role": "view"}
    fake.push(card(1, (alarm(),)))
    page = visit()
    expect(bed(page)).to_be_visible()
    expect(bed(page).get_by_role("button")).to_have_count(0)


def test_new_high_alarms_are_announced_at_once_others_politely(fake: Fake, visit: Open) -> None:
    fake.push(card(1))
    page = visit()
    expect(bed(page)).to_be_visible()
    fake.push(card(1, (alarm("camera_lost", "medium"),)))
    expect(page.get_by_role("status").last).to_have_text("medium alarm, Bed 1: Camera lost ")
    expect(page.locator('[role="alert"]')).to_have_text("")
    fake.push(card(1, (alarm(),)))
    expect(page.locator('[role="alert"]')).to_have_text("high alarm, Bed 1: Heart rate low 88 /min (limit 100)")
    fake.push(card(2, (alarm("hr_high", "medium"),)))
    expect(page.get_by_role("status").last).to_contain_text("Bed 2")
    expect(page.locator('[role="alert"]')).to_contain_text("Bed 1")  # not said again


# --- sound ---

SPY = """
window.heard = {contexts: 0, tones: [], gains: []};
const Real = window.AudioContext;
window.AudioContext = class extends Real { constructor(...args) { super(...args); window.heard.contexts += 1; } };
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (at) { window.heard.tones.push(at); return start.call(this, at); };
"""


def test_sound_starts_only_after_a_click(fake: Fake, visit: Open) -> None:
    fake.push(card(1, (alarm(),)))
    page = visit(init=SPY)
    off = page.get_by_role("button", name="Sound is off: click to hear alarms")
    expect(off).to_be_visible()
    expect(bed(page)).to_be_visible()
    assert page.evaluate("window.heard") == {"contexts": 0, "tones": [], "gains": []}
    off.click()
    expect(page.get_by_role("button", name="Sound is on")).to_be_visible()
    tones = page.evaluate("window.heard.tones")
    assert len(tones) == 10
    assert tones == sorted(tones)
    fake.push(card(1, (alarm(presence="ack", ack_by="anna", ack_ms=NOW_MS),)))
    expect(bed(page).locator(".alarm")).to_have_attribute("data-look", "steady")
    fake.push(card(1, (alarm("camera_lost", "medium"),)))
    page.wait_for_function("window.heard.tones.length === 13")
    page.get_by_role("button", name="Sound is on").click()
    expect(off).to_be_visible()


def test_which_sound_an_alarm_asks_for(page_js: Page) -> None:
    asked: list[tuple[dict[str, object], str | None]] = [
        ({}, "high"),
        ({"priority": "medium"}, "medium"),
        ({"priority": "nonsense"}, "high"),
        ({"presence": "latched"}, "low"),
        ({"presence": "ack"}, None),
        ({"activation": "audio_paused"}, None),
        ({"activation": "alarm_paused"}, None),
    ]
    ask = "async (alarms) => { const { sound } = await import('/static/alarms.js'); return alarms.map(sound); }"
    told = page_js.evaluate(ask, [alarm(**changes) for changes, _ in asked])
    assert told == [heard for _, heard in asked]


def test_bursts_keep_within_the_standards_bounds(page_js: Page) -> None:
    bursts = page_js.evaluate("async () => (await import('/static/sound.js')).BURSTS")
    for name, pulses, shortest, longest in (
        ("high", 10, 0.075, 0.2),
        ("medium", 3, 0.125, 0.25),
        ("low", 2, 0.125, 0.25),
    ):
        burst = bursts[name]
        assert len(burst["starts_s"]) == pulses
        assert shortest <= burst["pulse_s"] <= longest
        assert 150 <= burst["hz"] <= 1000
        rest = burst["every_s"] - burst["starts_s"][-1] - burst["pulse_s"]
        assert {"high": 2.5, "medium": 2.5, "low": 15}[name] <= rest <= {"high": 15, "medium": 30, "low": 60}[name]


@pytest.fixture
def page_js(fake: Fake, visit: Open) -> Page:
    """A page whose modules a test calls as functions."""
    return visit("/login")


# --- order, loss, many beds ---


def test_order_waits_while_something_is_focused(fake: Fake, visit: Open) -> None:
    fake.push(card(1), card(2), card(3))
    page = visit()
    bed(page, 2).get_by_role("link", name="Bed 2").focus()
    fake.push(card(3, (alarm(),)))
    expect(page.get_by_text("Another bed is worse now.")).to_be_visible()
    assert labels(page) == ["Bed 1", "Bed 2", "Bed 3"]
    expect(page.locator(".strip")).to_contain_text("Bed 3: Heart rate low")  # it is told all the same
    page.get_by_role("button", name="Sort now").click()
    expect(page.locator(".card h2").first).to_have_text("Bed 3")
    expect(page.get_by_text("Another bed is worse now.")).to_be_hidden()


def test_order_waits_while_a_finger_is_down_and_no_longer(fake: Fake, visit: Open) -> None:
    fake.push(card(1), card(2))
    page = visit(clock=True)
    expect(bed(page, 2)).to_be_visible()
    bed(page, 1).dispatch_event("pointerdown")
    fake.push(card(2, (alarm(),)))
    expect(bed(page, 2).locator(".alarm")).to_be_visible()
    page.clock.fast_forward(6000)
    assert labels(page) == ["Bed 1", "Bed 2"]
    bed(page, 1).dispatch_event("pointerup")
    page.clock.run_for(4000)
    assert labels(page) == ["Bed 2", "Bed 1"]


def test_a_stream_gone_for_10_s_is_told_and_nothing_looks_current(fake: Fake, visit: Open) -> None:
    fake.push(card(1))
    page = visit(clock=True)
    expect(bed(page)).to_be_visible()
    expect(page.locator(".state")).to_have_text("live")
    fake.mute = True
    page.clock.fast_forward(11_000)
    expect(page.get_by_text("No connection to the station. Nothing on this page is current")).to_be_visible()
    expect(page.locator(".lost-bar")).to_contain_text("Last heard at 21 Nov, 04:12:")
    assert bed(page).evaluate("e => getComputedStyle(e).filter") == "grayscale(1)"
    assert bed(page).locator(".bpm").evaluate("e => getComputedStyle(e).fontWeight") == "400"
    fake.mute = False
    page.clock.run_for(12_000)
    expect(page.locator("body")).not_to_have_class("lost")
    expect(page.locator(".lost-bar")).to_be_hidden()


def test_a_login_that_ended_leads_to_the_login_page(fake: Fake, visit: Open) -> None:
    fake.me = None
    page = visit("/devices?x=1")
    page.wait_for_url("**/login?next=%2Fdevices%3Fx%3D1")
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Name or password is wrong.")).to_be_visible()
    form = {"name": "anna", "password": "correct horse", "csrf": "form-1", "next": "/devices?x=1"}
    assert fake.asked == [("POST", "/login", form, "")]


def test_a_thousand_beds_are_paged_and_only_what_changed_is_drawn(fake: Fake, visit: Open) -> None:
    fake.push(*(card(n, (alarm(),) if n == 900 else ()) for n in range(1, 1001)), told=False)
    page = visit(size=(1920, 1080))
    expect(page.locator("#count")).to_have_text("Beds 1 to 160 of 1,000, worst first.")
    assert page.locator(".card").count() == 160
    assert labels(page)[:2] == ["Bed 900", "Bed 1"]
    page.evaluate("""() => { window.touched = new Set(); new MutationObserver((all) => { for (const one of all) {
      const node = one.target.nodeType === 1 ? one.target : one.target.parentElement;
      if (!node.closest('.age')) window.touched.add(node.closest('.card')?.dataset.place ?? 'grid'); } })
      .observe(document.getElementById('grid'),
        {subtree: true, childList: true, characterData: true, attributes: true}); }""")
    fake.push(card(5, heart_rate=heart_rate(181)), card(700, heart_rate=heart_rate(99)))
    expect(bed(page, 5).locator(".bpm")).to_have_text("181")
    assert page.evaluate("[...window.touched]") == ["site/nicu/nicu-05/cot"]
    page.get_by_role("button", name="Beds, page 2.").click()
    expect(page.locator("#count")).to_contain_text("Beds 161 to 320")
    page.get_by_label("Find a bed").fill("bed 777")
    expect(page.locator("#count")).to_have_text("Beds 1 to 1 of 1, worst first. 999 more are hidden by your filter.")
    expect(page.locator(".strip")).to_contain_text("Bed 900: Heart rate low")  # no filter hides an alarm


# --- one bed ---


def test_a_beds_day_by_mouse_and_keys(fake: Fake, visit: Open) -> None:
    fake.push(card(1))
    fake.answers = {"history": history()}
    page = visit("/bed/site/nicu/nicu-01/cot", size=(1300, 1200))
    expect(page.locator(".chart canvas")).to_have_count(3)
    chart = page.get_by_role("img", name="Heart rate chart")
    expect(chart).to_have_accessible_name(re.compile("lowest 124, median 133, highest 142"))
    expect(page.locator("#coverage")).to_contain_text(re.compile(r"Asleep (9 h 59|10 h 0) min, awake 13 h 0 min"))
    expect(page.locator("#log tbody tr").nth(1)).to_contain_text("acknowledged")
    charts = page.locator("#charts")
    charts.focus()
    with page.expect_request("**/history?*") as asked:
        charts.press("+")
    assert span_of(asked.value.url) == 12 * 3_600_000
    expect(chart).to_have_accessible_name(re.compile(r"10:12:\d\d to .*22:12:\d\d"))
    box = page.locator(".u-over").first.bounding_box()
    assert box is not None
    with page.expect_request("**/history?*") as asked:
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 3 / 4, box["y"] + 60)
        page.mouse.up()
    assert span_of(asked.value.url) == pytest.approx(3 * 3_600_000, rel=0.02)
    with page.expect_request("**/history?*") as asked:
        page.get_by_role("button", name="24 h").click()
    assert span_of(asked.value.url) == 24 * 3_600_000
    saves = page.get_by_role("link", name="heart rate").get_attribute("href") or ""
    assert saves.startswith("/api/beds/site/nicu/nicu-01/cot/export?what=heart_rate&")
    assert span_of(saves) == 24 * 3_600_000
    page.get_by_text("The same numbers as a table").click()
    expect(page.locator("#table tbody tr")).to_have_count(25)
    unseen = page.locator("#table tbody tr").nth(11)
    expect(unseen).to_contain_text("15:00")
    page.get_by_label("One row per").select_option("10")
    expect(page.locator("#table tbody tr", has_text="14:20").first.locator("td").nth(1)).to_have_text("not known")


def span_of(url: str) -> int:
    found = re.search(r"from_ms=(\d+)&to_ms=(\d+)", url)
    assert found is not None
    return int(found[2]) - int(found[1])


def test_two_fingers_zoom(fake: Fake, visit: Open) -> None:
    fake.push(card(1))
    fake.answers = {"history": history()}
    page = visit("/bed/site/nicu/nicu-01/cot", size=(400, 900))
    expect(page.locator(".chart canvas")).to_have_count(3)
    with page.expect_request("**/history?*") as asked:
        page.locator(".u-over").first.evaluate("""over => { const box = over.getBoundingClientRect();
          const fire = (kind, id, x) => over.dispatchEvent(new PointerEvent(kind, {pointerId: id, pointerType: 'touch',
            clientX: box.left + x, clientY: box.top + 20, bubbles: true}));
          fire('pointerdown', 1, 100); fire('pointerdown', 2, 150); fire('pointermove', 2, 200); }""")
    assert span_of(asked.value.url) == pytest.approx(12 * 3_600_000, rel=0.02)


def test_gaps_stay_gaps(page_js: Page) -> None:
    call = "async ([name, ...args]) => (await import('/static/series.js'))[name](...args)"
    gapped = page_js.evaluate(call, ["gapped", [0, 60_000, 240_000], [[1, 2, 3]], 100_000])
    assert gapped == {"at_ms": [0, 60_000, 60_001, 240_000], "columns": [[1, 2, None, 3]]}
    lane = [{"from_ms": 0, "to_ms": 10, "level": 1}, {"from_ms": 20, "to_ms": 30, "level": 0}]
    assert page_js.evaluate(call, ["steps", [lane]]) == {"at_ms": [0, 9, 15, 20, 29], "columns": [[1, 1, None, 0, 0]]}
    line = {"source": "device", "condition": "hr_low", "onset_ms": 10, "priority": "medium"}
    log = [
        line | {"phase": "start", "presence": "on", "at_ms": 15},
        line | {"phase": "escalate", "presence": "on", "at_ms": 40, "priority": "high"},
        line | {"phase": "end", "presence": "off", "at_ms": 60, "priority": "high"},
    ]
    assert page_js.evaluate(call, ["standing", log, "medium", 0, 100]) == [{"from_ms": 10, "to_ms": 40}]
    assert page_js.evaluate(call, ["standing", log, "high", 0, 100]) == [{"from_ms": 40, "to_ms": 60}]


# --- devices, administration ---


def test_devices_with_trouble_come_first(fake: Fake, visit: Open) -> None:
    fake.answers = {"devices": devices()}
    page = visit("/devices")
    first = page.locator("#devices tbody tr").first
    expect(first).to_contain_text("site/nicu/nicu-09")
    for text in ("The device is offline", "17 (0.02 %)", "-92.00 s"):
        expect(first).to_contain_text(text)
    expect(page.locator("#refused")).to_contain_text("heart_rate.value: not a number")
    expect(page.get_by_role("button", name="Retire")).to_have_count(0)


def test_an_administrator_retires_a_device_that_is_gone(fake: Fake, visit: Open) -> None:
    fake.me = fake.me and fake.me | {"role": "administer"}
    fake.answers = {"devices": devices()}
    page = visit("/devices")
    page.get_by_role("button", name="Retire: site/nicu/nicu-09").click()
    page.get_by_role("button", name="Press again to do it: Retire: site/nicu/nicu-09").click()
    eventually(lambda: fake.asked != [], what="the request")
    assert [one[:2] for one in fake.asked] == [("DELETE", "/api/devices/site/nicu/nicu-09")]


def test_administration(fake: Fake, visit: Open) -> None:
    fake.me = fake.me and fake.me | {"role": "administer"}
    fake.push(card(1))
    fake.answers = administration()
    page = visit("/admin")
    page.get_by_label("Bed", exact=True).fill("Bed 9")
    page.get_by_label("Device and its bed").fill("site/nicu/nicu-09/cot")
    page.get_by_role("button", name="Assign").click()
    expect(page.get_by_text("Bed 9 is now site/nicu/nicu-09/cot.")).to_be_visible()
    page.get_by_role("button", name="End: Bed 1").click()
    page.get_by_role("button", name="Press again to do it: End: Bed 1").click()
    expect(page.get_by_text("Bed 1 is no longer assigned.")).to_be_visible()
    page.get_by_label("Role of ben").select_option("view")
    expect(page.get_by_text("The role of ben was changed.")).to_be_visible()
    assert [one[:3] for one in fake.asked] == [
        ("POST", "/api/assignments", {"label": "Bed 9", "place": "site/nicu/nicu-09/cot"}),
        ("DELETE", "/api/assignments/site/nicu/nicu-01/cot", {}),
        ("PATCH", "/api/accounts/ben", {"role": "view"}),
    ]
    expect(page.locator("#audit")).to_contain_text("hr_low")


# --- accessibility, words, files ---

EVERY = ["/", "/bed/site/nicu/nicu-01/cot", "/devices", "/admin", "/login"]


@pytest.mark.parametrize("path", EVERY)
def test_axe_finds_no_serious_fault(fake: Fake, visit: Open, path: str) -> None:
    fake.me = fake.me and fake.me | {"role": "administer"}
    ranks = [
        ("high", "on"),
        ("medium", "on"),
        ("low", "on"),
        ("high", "latched"),
        ("medium", "ack"),
        ("low", "latched"),
    ]
    for n, (priority, presence) in enumerate(ranks, 1):
        fake.push(card(n, (alarm("hr_low", priority, presence=presence),)))
    fake.push(
        card(8), card(9, heart_rate=heart_rate(120, 99), silent=True, online="offline", last_heard_ms=NOW_MS - 99_000)
    )
    fake.answers = {"history": history(), "devices": devices()} | administration()
    page = visit(path)
    ready = {"/": ".card", "/devices": "#devices table", "/admin": "#audit table", "/login": "#form"}
    page.locator(ready.get(path, ".chart canvas")).first.wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(scheme, one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == []


def test_the_keyboard_reaches_everything_and_the_skip_link_works(fake: Fake, visit: Open) -> None:
    fake.push(card(1, (alarm(),)))
    page = visit()
    expect(bed(page)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    for _ in range(7):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('acknowledge')"):
            break
    page.keyboard.press("Enter")
    expect(bed(page).locator(".told")).to_contain_text("Acknowledged")
    expect(bed(page).get_by_role("link", name="Bed 1")).to_be_focused()  # the button may vanish, the focus may not


def test_a_translation_that_lacks_a_word_says_it_in_english_and_tells(fake: Fake, visit: Open) -> None:
    fake.me = fake.me and fake.me | {"language": "de"}
    fake.push(card(1))
    german = (PAGES / "strings" / "en.json").read_text(encoding="utf-8")
    words = json.loads(german) | {"sleep.asleep": "schläft"}
    del words["fact.sleep"]
    page = visit("/login")
    page.route("**/strings/de.json", lambda route: route.fulfill(json=words))
    page.goto(page.url.replace("/login", "/"))
    expect(bed(page).locator('[data-fact="sleep"]')).to_have_text("Sleepschläft")
    assert page.evaluate("document.documentElement.dataset.missing") == "fact.sleep"
    assert page.evaluate("document.documentElement.lang") == "de"


def test_every_word_that_is_used_is_written_down() -> None:
    words = json.loads((PAGES / "strings" / "en.json").read_text(encoding="utf-8"))
    text = "\n".join(file.read_text(encoding="utf-8") for file in PAGES.iterdir() if file.suffix in (".js", ".html"))
    used = set(re.findall(r'data-t(?:-label)?="([^"]+)"', text)) | set(re.findall(r'\bt\("([a-z0-9._]+)"', text))
    groups = {"reason": Reason, "eyes": Eyes, "sleep": Sleep, "cry": Cry, "posture": Posture, "priority": Priority}
    told = {f"{group}.{value}" for group, values in groups.items() for value in values}
    told |= {f"condition.{row.name}" for row in CONDITIONS} | {"condition.no_data", "condition.device_offline"}
    told |= {f"paused.{value}" for value in set(Activation) - {Activation.ON}}
    assert (used | told) - words.keys() == set()
    assert {"ack", "latched", "on", "off"} == set(Presence)  # what alarms.js knows


def test_pages_load_nothing_from_outside_and_parse_no_markup() -> None:
    for file in PAGES.iterdir():
        if file.suffix not in (".js", ".html", ".css"):
            continue
        text = file.read_text(encoding="utf-8")
        for forbidden in (
            "http://",
            "https://",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            ' style="',
            "eval(",
        ):
            assert forbidden not in text, f"{file.name} has {forbidden}"
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), f"{file.name} has an inline script"
        assert not re.search(r'(?:src|href)="(?!/|#|data:,)', text), f"{file.name} leaves this station"
