"""One bed, devices, administration, words and accessibility, in a real browser."""

from __future__ import annotations

import json
import re

import pytest

pytest.importorskip("uplot", reason="needs edgemon[station]")
pytest.importorskip("playwright", reason="needs the development requirements")

from axe_playwright_python.sync_playwright import Axe
from conftest import eventually
from playwright.sync_api import Page, expect
from station_browser import Open, bed
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
)

from edgemon.events.conditions import CONDITIONS
from edgemon.records import Activation, Cry, Eyes, Posture, Presence, Priority, Reason, Sleep


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
    assert span_of(asked.value.url) == pytest.approx(12 * 3_600_000, abs=2)  # rounded outwards
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
    assert span_of(asked.value.url) == pytest.approx(24 * 3_600_000, abs=2)
    saves = page.get_by_role("link", name="heart rate").get_attribute("href") or ""
    assert saves.startswith("/api/beds/site/nicu/nicu-01/cot/export?what=heart_rate&")
    assert span_of(saves) == pytest.approx(24 * 3_600_000, abs=2)
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
    assert gapped == {"at_ms": [0, 60_000, 150_000, 240_000], "columns": [[1, 2, None, 3]]}
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
    expect(bed(page).locator(".acknowledge")).to_be_enabled()  # it was there for long enough to be read
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
