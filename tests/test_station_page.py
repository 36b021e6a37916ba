"""The nurse's pages in a real browser, against a scripted station: what is shown, said, heard and asked."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("uplot", reason="needs edgemon[station]")
pytest.importorskip("playwright", reason="needs the development requirements")

from playwright.sync_api import Page, expect
from station_browser import Open, bed, labels, until
from station_fake import (
    NOW_MS,
    Fake,
    alarm,
    card,
    devices,
    heart_rate,
    history,
    reading,
)

EVIL = '<img src=x onerror="window.hacked=1"><b>\'&amp;'


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
    until(page, "window.heard.tones.length === 13")
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
    expect(bed(page, 900).locator(".acknowledge")).to_be_enabled()
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
