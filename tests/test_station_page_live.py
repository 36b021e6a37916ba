"""What a page shows is of now or says that it is not: slow links, silent beds, ended logins, hidden tabs, and zones."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("uplot", reason="needs edgemon[station]")
pytest.importorskip("playwright", reason="needs the development requirements")

from conftest import eventually
from playwright.sync_api import Page, expect
from station_browser import Open, bed, labels, until
from station_fake import NOW_MS, Fake, alarm, card, history

LOST = "No connection to the station. Nothing on this page is current"
ENDED = "The login has ended. Nothing on this page is current."
HIDE = """(hidden) => {
  Object.defineProperty(document, 'hidden', { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange')); }"""


def listening(page: Page) -> None:
    """Turn sound on, and note the pitches that are played from then on."""
    page.evaluate("""() => {
      const start = OscillatorNode.prototype.start;
      OscillatorNode.prototype.start = function (...at) {
        window.bursts.push(this.frequency.value);
        return start.apply(this, at); };
      window.bursts = [];
    }""")
    page.locator(".sound").click()
    expect(page.locator(".sound")).to_have_text("Sound is on")
    page.evaluate("() => { window.bursts = []; }")


MEDIUM_HZ = 523


def expect_medium(page: Page) -> None:
    until(page, f"() => window.bursts.some((hz) => Math.abs(hz - {MEDIUM_HZ}) < 1)")


def test_an_event_of_long_ago_neither_sets_the_time_back_nor_counts_as_heard(fake: Fake, visit: Open) -> None:
    fake.push(card(1))
    page = visit(clock=True)
    expect(page.locator(".state")).to_have_text("live")
    fake.beat(NOW_MS + 120_000)
    expect(page.locator(".clock")).to_contain_text("04:14:3")
    expect(bed(page).locator(".bpm")).to_have_text("– –")
    fake.lag_ms = 117_000
    for _ in range(3):
        fake.push(card(1))
        page.clock.run_for(1000)
    expect(bed(page).locator(".bpm")).to_have_text("– –")
    expect(page.locator(".clock")).to_contain_text("04:14:3")
    page.clock.run_for(8000)
    expect(page.locator(".lost-bar")).to_contain_text(LOST)
    expect(page.locator(".lost-bar")).to_contain_text("Last heard at 21 Nov, 04:14:3")


def test_a_stream_that_lags_from_its_start_is_never_live(fake: Fake, visit: Open) -> None:
    fake.push(card(1))
    fake.lag_ms = 30_000
    page = visit(clock=True)
    expect(bed(page).locator(".bpm")).to_have_text("129")
    fake.push(card(1))
    page.clock.run_for(3000)
    expect(page.locator(".state")).to_have_text("connecting")
    page.clock.run_for(8000)
    expect(page.locator(".lost-bar")).to_contain_text(LOST)
    fake.lag_ms = 0
    page.clock.run_for(11_000)
    expect(page.locator(".state")).to_have_text("live")
    expect(page.locator(".lost-bar")).to_be_hidden()


def test_a_stream_that_falls_behind_is_found_by_asking(fake: Fake, visit: Open) -> None:
    """A page whose own clocks stood still for as long as the stream lags sees nothing strange in it."""
    fake.push(card(1))
    page = visit(clock=True)
    expect(page.locator(".state")).to_have_text("live")
    page.evaluate("async () => { window.live = await import('/static/live.js'); }")
    fake.lag_ms = 40_000
    jumped = f"live.now() > {NOW_MS + 90_000}"

    def on() -> None:
        """Four seconds of the page pass; then comes what is of 40 s ago, and in time by the page's clock."""
        page.clock.run_for(4000)
        fake.beat(page.evaluate("Math.round(live.now())") + 40_000)
        until(page, f"() => live.now() - live.heardAt() < 3000 || {jumped}")

    for _ in range(12):
        on()
    expect(page.locator(".state")).to_have_text("live")
    assert not page.evaluate(jumped)
    for _ in range(5):
        on()
    until(page, f"() => {jumped} || live.isLost()")
    assert not page.evaluate("live.isLost()"), "it was asked before anything seemed wrong"
    for _ in range(3):
        fake.push(card(1))
        page.clock.run_for(4000)
    expect(page.locator(".lost-bar")).to_contain_text(LOST)


def test_a_clock_that_is_set_back_at_the_station_is_followed_once_the_stream_is_opened_again(
    fake: Fake, visit: Open
) -> None:
    fake.push(card(1))
    page = visit(clock=True)
    expect(page.locator(".clock")).to_contain_text("04:12:3")
    fake.beat(NOW_MS - 3_600_000)
    page.clock.run_for(3000)
    expect(page.locator(".clock")).to_contain_text("04:12:")
    page.clock.run_for(9000)
    expect(page.locator(".state")).to_have_text("live")
    page.clock.run_for(1100)
    expect(page.locator(".clock")).to_contain_text("03:12:")
    expect(bed(page).locator(".heart")).to_have_attribute(
        "data-stale", "true"
    )  # heard in the future: nobody knows when


def test_a_bed_that_is_silent_while_nobody_says_so_is_an_alarm_of_the_page(fake: Fake, visit: Open) -> None:
    said = alarm("no_data", "medium", source="station", alarm_id=None, revision=None)
    fake.push(card(1), card(2), card(3, (said,)))
    page = visit(clock=True)
    expect(page.locator(".state")).to_have_text("live")
    listening(page)
    fake.push(card(2, last_heard_ms=NOW_MS + 60_000), card(3, (said | {"presence": "ack"},)))
    fake.beat(NOW_MS + 60_000)
    expect(bed(page, 1)).to_have_attribute("data-silent", "true")
    row = bed(page, 1).locator(".alarm[data-condition=no_data]")
    expect(row).to_have_count(0)  # the station itself gets a moment to say so
    page.clock.run_for(6500)
    assert row.count() == 1
    expect(page.locator(".state")).to_have_text("live")
    expect(row).to_have_attribute("data-priority", "medium")
    expect(page.locator(".tally").nth(1)).to_have_text("!!1 medium")
    expect(page.locator(".chip")).to_contain_text("Bed 1: No data")
    expect(page.locator('[role="status"].unseen')).to_contain_text("medium alarm, Bed 1: No data")
    expect(bed(page, 3).locator(".alarm")).to_have_count(1)
    assert labels(page)[-1] != "Bed 1"
    expect_medium(page)
    assert fake.asked == []
    fake.push(card(1, last_heard_ms=NOW_MS + 61_000))
    expect(row).to_have_count(0)
    expect(page.locator(".tally").nth(1)).to_have_text("!!0 medium")


def test_the_pages_own_alarm_is_acknowledged_by_nobody(fake: Fake, page_js: Page) -> None:
    ask = """async (card) => {
      const { isSaid, mayAcknowledge, sound, withNoData } = await import('/static/alarms.js');
      const own = withNoData(card, 5).alarms.at(-1);
      return [own.condition, mayAcknowledge(own), sound(own), isSaid(withNoData(card, 5)), isSaid(card)]; }"""
    told = page_js.evaluate(ask, card(1))
    assert told == ["no_data", False, "medium", True, False]


@pytest.mark.parametrize(
    ("changes", "silent"),
    [
        ({}, False),
        ({"silent": True}, True),
        ({"last_heard_ms": None}, True),
        ({"last_heard_ms": NOW_MS - 45_001}, True),
        ({"last_heard_ms": NOW_MS + 10_001}, True),
        ({"last_heard_ms": NOW_MS - 45_000}, False),
    ],
)
def test_which_beds_are_silent(page_js: Page, changes: dict[str, object], silent: bool) -> None:
    ask = "async ([card, now]) => (await import('/static/alarms.js')).isSilent(card, now, 45_000)"
    assert page_js.evaluate(ask, [card(1, **changes), NOW_MS]) is silent


def test_a_login_that_ends_on_a_page_that_has_begun_is_an_alarm_and_no_form(fake: Fake, visit: Open) -> None:
    fake.push(card(1))
    page = visit(clock=True)
    expect(page.locator(".state")).to_have_text("live")
    listening(page)
    fake.me = None
    fake.close()
    eventually(lambda: fake.streams == 0, what="the end of the stream")
    page.clock.run_for(6000)
    expect(page.locator(".lost-bar")).to_contain_text(ENDED)
    expect(page.locator("body")).to_have_class("lost")
    expect_medium(page)
    assert page.url.endswith("/")
    expect(page.locator(".lost-bar").get_by_role("link", name="Log in")).to_have_attribute("href", "/login?next=%2F")


def test_a_login_that_ends_soon_is_told_before(fake: Fake, visit: Open) -> None:
    fake.me = fake.me and fake.me | {"expires_ms": NOW_MS + 31 * 60_000}
    fake.push(card(1))
    page = visit()
    expect(page.locator(".state")).to_have_text("live")
    ending = page.get_by_text("This login ends at 04:43. Log in again before.")
    expect(ending).to_be_hidden()
    fake.beat(NOW_MS + 61_000)
    expect(ending).to_be_visible()


def test_a_pause_that_the_device_has_ended_is_told_no_longer(fake: Fake, visit: Open) -> None:
    fake.push(card(1, (alarm(),)))
    page = visit()
    paused = bed(page).locator(".paused")
    bed(page).get_by_role("button", name="Pause alarms of Bed 1").click()
    page.get_by_role("button", name="Procedure for 5 min").click()
    expect(paused).to_contain_text("Alarms paused for a procedure by anna")
    told = {"pause": "procedure", "by": "anna", "at_ms": NOW_MS, "until_ms": NOW_MS + 300_000}
    quiet = alarm(activation="alarm_paused", revision=4)
    fake.push(card(1, (quiet,), pauses=["alarm_paused"], pause=told))
    expect(bed(page).locator(".alarm")).to_have_attribute("data-look", "steady")
    expect(paused).to_contain_text("until 04:17:31")
    fake.push(card(1, (alarm(revision=5),), pause=None))
    expect(bed(page).locator(".alarm")).to_have_attribute("data-look", "flash")
    expect(paused).to_be_hidden()


@pytest.mark.parametrize("path", ["/", "/bed/site/nicu/nicu-01/cot", "/devices", "/admin"])
def test_a_station_that_does_not_answer_at_first_is_asked_until_it_does(fake: Fake, visit: Open, path: str) -> None:
    fake.push(card(1, (alarm(),)))
    fake.answers = {"history": history(), "devices": []}
    fake.unready = 2
    page = visit(path, clock=True)
    expect(page.get_by_text("Not connected: nothing is shown.")).to_be_visible()
    expect(page.get_by_text("Not a medical device. Not a primary alarm system.")).to_be_visible()
    page.clock.run_for(3100)
    eventually(lambda: fake.unready == 0, what="the second question")
    page.clock.run_for(3100)
    expect(page.locator(".tally").first).to_have_text("!!!1 high")
    expect(page.get_by_text("Not connected: nothing is shown.")).to_have_count(0)
    expect(page.get_by_text("Not a medical device. Not a primary alarm system.")).to_have_count(1)


def test_a_tab_that_nobody_sees_or_hears_gives_its_connection_back(fake: Fake, visit: Open) -> None:
    fake.push(card(1))
    page = visit()
    expect(page.locator(".state")).to_have_text("live")
    assert fake.streams == 1
    page.evaluate(HIDE, True)
    expect(page.locator("body")).to_have_class("lost")
    eventually(lambda: fake.push(card(2), told=True) or fake.streams == 0, what="the end of the stream")
    fake.push(card(1, (alarm(),)))
    page.evaluate(HIDE, False)
    expect(page.locator(".state")).to_have_text("live")
    expect(bed(page).locator(".alarm")).to_have_attribute("data-priority", "high")
    listening(page)
    page.evaluate(HIDE, True)
    fake.push(card(1, (alarm("camera_lost", "medium"),)))
    expect_medium(page)
    expect(page.locator(".state")).to_have_text("live")


def test_an_alarm_that_comes_again_is_said_again(fake: Fake, visit: Open) -> None:
    fake.push(card(1))
    page = visit()
    expect(bed(page)).to_be_visible()
    page.evaluate("""() => {
      const voice = document.querySelector('[role=alert].unseen');
      window.said = [];
      new MutationObserver(() => voice.textContent && window.said.push(voice.textContent))
        .observe(voice, {childList: true, subtree: true, characterData: true}); }""")
    for n in range(3):
        fake.push(card(1, (alarm(alarm_id=f"a{n}", onset_ms=NOW_MS + n),)))
        until(page, f"() => window.said.length === {n + 1}")
        fake.push(card(1))
        expect(bed(page).locator(".alarm")).to_have_count(0)
    assert page.evaluate("() => new Set(window.said).size") == 1


def test_alarms_are_said_while_the_dialog_of_a_pause_is_open(fake: Fake, visit: Open) -> None:
    fake.push(card(1), card(2))
    page = visit()
    bed(page, 1).get_by_role("button", name="Pause alarms of Bed 1").click()
    dialog = page.get_by_role("dialog")
    fake.push(card(2, (alarm(),)))
    expect(dialog.get_by_role("alert")).to_contain_text("high alarm, Bed 2: Heart rate low")
    page.keyboard.press("Escape")
    expect(page.locator("body > [role=alert]")).to_have_count(1)
    expect(page.locator("body > [role=status].unseen")).to_have_count(1)


def test_times_are_told_in_the_wards_zone(fake: Fake, visit: Open) -> None:
    fake.me = fake.me and fake.me | {"timezone": "Europe/Berlin"}
    fake.push(card(1, (alarm(),)))
    page = visit()
    expect(bed(page).locator(".alarm small")).to_contain_text("since 05:12:09")
    expect(page.locator(".clock")).to_have_text(re.compile(r"05:1\d:\d\d"))
    ask = """async (s) => {
      const date = (await import('/static/words.js')).wardDate(s);
      return [date.getHours(), date.getMinutes()]; }"""
    assert page.evaluate(ask, NOW_MS / 1000) == [5, 12]


def test_a_zone_that_a_browser_does_not_know_is_said(fake: Fake, visit: Open) -> None:
    fake.me = fake.me and fake.me | {"timezone": "Moon/Tycho"}
    fake.push(card(1, (alarm(),)))
    page = visit()
    expect(bed(page).locator(".alarm small")).to_contain_text("since 04:12:09")
    expect(page.get_by_text("This browser does not know the time zone Moon/Tycho")).to_be_visible()


@pytest.mark.parametrize(
    "target", ["/.//evil.example/x", "//evil.example/", "http://evil.example/", "http://[", "\\\\evil.example"]
)
def test_only_a_page_of_this_station_is_a_place_to_go_on_to(fake: Fake, visit: Open, target: str) -> None:
    fake.me = None
    page = visit(f"/login?next={target}")
    expect(page.get_by_label("Name")).to_be_visible()
    assert page.locator("#next").get_attribute("value") == "/"
