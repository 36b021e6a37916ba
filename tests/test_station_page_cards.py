"""What one may trust on cards, strip and curves: nothing unseen is acknowledged, nothing seen is lost."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("uplot", reason="needs edgemon[station]")
pytest.importorskip("playwright", reason="needs the development requirements")

from playwright.sync_api import Locator, Page, expect
from station_browser import Open, bed, labels, until
from station_fake import NOW_MS, Fake, Json, alarm, card, heart_rate, history, reading

CAMERA_LOST = alarm("camera_lost", "medium", kind="technical")
AUTOMATIC = "localStorage.removeItem('density')"
LOOK_AGAIN = "The alarm has changed. Look again."


def conditions(page: Page, n: int = 1) -> list[str | None]:
    return [row.get_attribute("data-condition") for row in bed(page, n).locator(".alarm").all()]


def click_when_renewed(button: Locator) -> None:
    """A click in the very moment in which a row is drawn anew."""
    button.evaluate("""button => new MutationObserver((_, watch) => { watch.disconnect(); button.click(); })
      .observe(button, {attributes: true, attributeFilter: ['aria-disabled']})""")


# --- acknowledging ---


def test_no_row_comes_under_the_hand(fake: Fake, visit: Open) -> None:
    fake.push(card(1, (CAMERA_LOST,)))
    page = visit()
    button = bed(page).locator(".acknowledge")
    expect(button).to_be_enabled()
    button.hover()
    before = button.bounding_box()
    assert before is not None
    fake.push(card(1, (CAMERA_LOST, alarm())))
    expect(bed(page).locator(".alarm")).to_have_count(2)
    assert conditions(page) == ["camera_lost", "hr_low"]
    page.mouse.click(before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    expect(bed(page).locator(".told")).to_have_text("Acknowledged: Camera lost")
    assert [one[2] for one in fake.asked] == [{"alarm_id": CAMERA_LOST["alarm_id"], "revision": 3}]
    page.mouse.move(2, 2)
    expect(bed(page).locator(".alarm").first).to_have_attribute("data-condition", "hr_low")  # the worst, once it is off


@pytest.mark.parametrize(
    "after",
    [
        (alarm(revision=4),),
        (alarm(alarm_id="nicu-07/6f0c/other"),),
        (alarm("hr_high", presence="latched"), alarm(priority="medium")),
    ],
    ids=["revision", "occurrence", "priority"],
)
def test_an_alarm_that_changed_in_this_moment_is_not_acknowledged(
    fake: Fake, visit: Open, after: tuple[Json, ...]
) -> None:
    fake.push(card(1, (alarm(),)))
    page = visit()
    button = bed(page).locator('[data-condition="hr_low"] .acknowledge')
    expect(button).to_be_enabled()
    click_when_renewed(button)
    fake.push(card(1, after))
    expect(bed(page).locator(".told")).to_have_text(LOOK_AGAIN)
    expect(page.locator('[role="status"].unseen')).to_contain_text(f"Bed 1: {LOOK_AGAIN}")
    assert fake.asked == []
    button.click()
    expect(bed(page).locator(".told")).to_contain_text("Acknowledged")


def test_an_alarm_that_another_card_moved_is_not_acknowledged(fake: Fake, visit: Open) -> None:
    fake.push(card(1, (alarm(),)), card(2, (CAMERA_LOST,)))
    page = visit(size=(390, 1200))
    button = bed(page, 2).locator(".acknowledge")
    expect(button).to_be_enabled()
    click_when_renewed(button)
    fake.push(card(1, (alarm(), alarm("hr_high"))))
    expect(bed(page, 2).locator(".told")).to_have_text(LOOK_AGAIN)
    assert fake.asked == []


def test_what_was_read_when_the_finger_went_down_is_what_is_acknowledged(fake: Fake, visit: Open) -> None:
    fake.push(card(1, (alarm(),)))
    page = visit()
    button = bed(page).locator(".acknowledge")
    expect(button).to_be_enabled()
    button.dispatch_event("pointerdown")
    fake.push(card(1, (alarm("hr_low", "medium", revision=4),)))
    expect(bed(page).locator(".alarm")).to_have_attribute("data-priority", "medium")
    expect(button).to_be_enabled()
    button.dispatch_event("click", {"detail": 1})
    expect(bed(page).locator(".told")).to_have_text(LOOK_AGAIN)
    assert fake.asked == []


def test_a_tick_is_for_alarms_that_somebody_acknowledged(fake: Fake, visit: Open) -> None:
    fake.push(card(1, (alarm(presence="ack", ack_by="ben", ack_ms=NOW_MS),)))
    fake.push(card(2, (alarm(activation="alarm_paused"),)))
    page = visit()
    expect(bed(page, 1).locator(".alarm .mark")).to_have_text("✓")
    expect(bed(page, 2).locator(".alarm .mark")).to_have_text("❚❚")
    expect(bed(page, 2).locator(".acknowledge")).to_be_visible()


def test_the_order_waits_for_a_keyboard_30_s_and_no_longer(fake: Fake, visit: Open) -> None:
    fake.push(card(1), card(2), card(3))
    page = visit(clock=True)
    bed(page, 2).get_by_role("link", name="Bed 2").focus()
    fake.push(card(3, (alarm(),)))
    page.clock.run_for(5_000)
    expect(page.get_by_text("Another bed is worse now.")).to_be_visible()
    assert labels(page) == ["Bed 1", "Bed 2", "Bed 3"]
    page.clock.run_for(30_000)
    assert labels(page) == ["Bed 3", "Bed 1", "Bed 2"]
    expect(bed(page, 2).get_by_role("link", name="Bed 2")).to_be_focused()


# --- what is old, unknown or bad ---


def test_a_cameras_condition_is_dated_and_ages(fake: Fake, visit: Open) -> None:
    told = card()["camera"]
    old = {"at_ms": NOW_MS - 300_000, "stale": True}
    fake.push(card(1, camera=told | old), card(2, camera=told | old | {"frozen_s": 10.0}), card(3, camera=None))
    fake.push(card(4, camera=told | {"frame_age_s": 10.0, "at_ms": NOW_MS - 20_000}))
    page = visit()
    for n, text in enumerate(("was 30/s at 04:07:31", "picture frozen for 5 min", "not reported"), 1):
        expect(bed(page, n).locator('[data-fact="camera"] dd')).to_have_text(text)
    expect(bed(page, 4).locator('[data-fact="camera"] dd')).to_have_text(re.compile(r"last picture 3\d s ago"))
    expect(bed(page, 1).locator('[data-fact="camera"]')).to_have_attribute("data-stale", "true")


@pytest.mark.parametrize("density", ["close", "compact"])
def test_small_cards_leave_out_only_what_is_well(fake: Fake, visit: Open, density: str) -> None:
    readings = card()["readings"]
    bad = {"fps": None, "frame_age_s": None, "frozen_s": 0.0, "at_ms": NOW_MS, "stale": False}
    fake.push(card(1), card(2, camera=bad, readings=readings | {"face": reading(False)}))
    fake.push(card(3, readings=readings | {"face": reading(None, 1, "occluded"), "eyes": reading("closed", 99)}))
    fake.push(
        card(4, (alarm(presence="ack", ack_by="ben", ack_ms=NOW_MS - 5000),)), card(5, (alarm("hr_high", "low"),))
    )
    page = visit(init=f"localStorage.setItem('density', '{density}')")
    expect(page.locator("#grid")).to_have_attribute("data-density", density)
    for fact in ("face", "camera"):
        expect(bed(page, 1).locator(f'[data-fact="{fact}"]')).to_be_hidden()
        expect(bed(page, 2).locator(f'[data-fact="{fact}"] dt')).to_be_visible()
    expect(bed(page, 2).locator('[data-fact="camera"] dd')).to_have_text("no picture")
    expect(bed(page, 3).locator('[data-fact="face"] dd')).to_have_text("unknown, face covered")
    eyes = bed(page, 3).locator('[data-fact="eyes"]')
    assert eyes.locator("dt").evaluate("e => e.textContent + getComputedStyle(e, '::after').content") == 'Eyes" –"'
    assert eyes.locator("dd").evaluate("e => e.offsetWidth") == 1  # the old value is for screen readers, with its time
    expect(bed(page, 4).locator(".alarm small")).to_contain_text("acknowledged by ben at 04:12:26")
    assert bed(page, 4).locator(".alarm small").is_visible()
    bed(page, 5).locator(".acknowledge").click()
    expect(bed(page, 5).locator(".told")).to_contain_text("Acknowledged")


# --- room ---


@pytest.mark.parametrize(("beds", "density"), [(12, "full"), (16, "close"), (30, "close"), (39, "compact")])
def test_a_wall_screen_shows_every_bed(fake: Fake, visit: Open, beds: int, density: str) -> None:
    fake.push(*(card(n) for n in range(1, beds + 1)))
    page = visit(size=(1920, 1080), init=AUTOMATIC)
    expect(page.locator(".card")).to_have_count(beds)
    expect(page.locator("#grid")).to_have_attribute("data-density", density)
    assert page.locator("#grid").evaluate("e => e.getBoundingClientRect().bottom") <= 1080
    expect(page.locator(".below")).to_be_hidden()


def test_beds_below_the_fold_are_told_of_with_their_alarms(fake: Fake, visit: Open) -> None:
    fake.push(*(card(n, (alarm(presence="ack"),) if n > 58 else (), rank=n) for n in range(1, 61)))
    page = visit(size=(1280, 720), init=AUTOMATIC)
    below = page.locator(".below")
    expect(below).to_have_text(re.compile(r"Beds below: \d+, of which with alarms: 2"))
    box = below.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] == pytest.approx(720, abs=1)
    hidden = (
        "edge => [...document.querySelectorAll('.card')].filter(e => e.getBoundingClientRect().bottom > edge).length"
    )
    expect(below).to_contain_text(f"Beds below: {page.evaluate(hidden, box['y'])},")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(below).to_be_hidden()


@pytest.mark.parametrize("density", ["full", "close", "compact"])
def test_on_a_wall_whose_bed_and_what_is_wrong_are_as_large_as_the_rate(fake: Fake, visit: Open, density: str) -> None:
    fake.push(card(1, (alarm(),)), card(2))
    page = visit(size=(1920, 1080), init=f"localStorage.setItem('density', '{density}')")
    expect(bed(page).locator(".alarm")).to_be_visible()
    sizes = [
        bed(page).locator(name).evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
        for name in (".bpm", "h2", ".alarm strong")
    ]
    assert sizes[0] >= 30
    assert len(set(sizes)) == 1


# --- the strip ---


@pytest.mark.parametrize("size", [(390, 844), (820, 1180)])
def test_the_worst_has_a_line_of_its_own_on_every_screen(fake: Fake, visit: Open, size: tuple[int, int]) -> None:
    fake.push(*(card(n) for n in range(1, 7)))
    page = visit("/bed/site/nicu/nicu-06/cot", size=size)
    watch = page.locator(".watch")
    expect(page.locator(".tally").first).to_be_visible()
    before = watch.bounding_box()
    assert before is not None
    fake.push(card(1, (CAMERA_LOST,)), *(card(n, (alarm(onset_ms=NOW_MS - n),)) for n in range(2, 6)))
    chip = page.locator(".chip:visible")
    expect(chip).to_have_text("high Bed 2: Heart rate low".replace("high ", "!!!high "))
    box, after = chip.bounding_box(), watch.bounding_box()
    assert box is not None
    assert after is not None
    assert after["height"] == pytest.approx(before["height"], abs=1)  # nothing below jumps
    assert box["width"] > 0.7 * size[0]
    more = page.get_by_role("link", name="and 4 more")
    expect(more).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    tally = page.locator(".tally").first
    tally.click()
    page.wait_for_url(lambda url: url.endswith("/") and "/bed/" not in url)


def test_counts_flash_at_the_rates_of_their_priorities_while_somebody_is_needed(fake: Fake, visit: Open) -> None:
    fake.push(card(1, (alarm(),)), card(2, (CAMERA_LOST,)), card(3, (alarm("hr_high", "low"),)))
    page = visit()
    look = "e => { const s = getComputedStyle(e); return [s.animationName, s.animationDuration]; }"
    expect(bed(page)).to_be_visible()
    rates = [page.locator(".tally").nth(n).evaluate(look) for n in range(3)]
    assert rates == [["high", "0.5s"], ["medium", "1.667s"], ["none", "0s"]]
    fake.push(card(1, (alarm(presence="ack"),)), card(2, (CAMERA_LOST | {"presence": "latched"},)))
    expect(page.locator(".tally").first).to_have_attribute("data-none", "")
    assert [page.locator(".tally").nth(n).evaluate(look)[0] for n in range(2)] == ["none", "none"]


def test_more_than_three_that_wait_are_counted(fake: Fake, visit: Open) -> None:
    fake.push(*(card(n, (alarm(),)) for n in range(1, 6)))
    page = visit(size=(1920, 1080))
    expect(page.locator(".chip:visible")).to_have_count(3)
    expect(page.locator(".more:visible")).to_have_text("+2")
    fake.push(*(card(n) for n in range(4, 6)))
    expect(page.locator(".more:visible")).to_have_count(0)


# --- curves ---

RUNS = """([chart, from, to]) => { const canvas = document.querySelectorAll('.chart canvas')[chart];
  const {width, height} = canvas, {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
  const over = canvas.parentElement.querySelector('.u-over'), ratio = width / canvas.clientWidth;
  const left = over.offsetLeft * ratio, top = over.offsetTop * ratio, tall = over.clientHeight * ratio;
  const inked = x => { for (let y = Math.floor(top + from * tall); y <= top + to * tall; y += 1) {
    const at = 4 * (y * width + x); if (data[at + 3] > 100 && data[at + 2] - data[at] > 60) return true; } };
  let runs = 0, before = false;
  for (let x = Math.floor(left) - 2; x < width; x += 1) {
    const now = Boolean(inked(x)); runs += now && !before; before = now; }
  return runs; }"""


def runs(page: Page, chart: int, share: float) -> int:
    """How many separate marks there are on a chart around a height, from 0 (above) to 1."""
    return int(page.evaluate(RUNS, [chart, share - 0.03, share + 0.03]))


def test_minutes_and_seconds_that_stand_alone_are_drawn(fake: Fake, visit: Open) -> None:
    lone = [NOW_MS - n * 600_000 for n in range(143, 0, -1)]
    seconds = [NOW_MS - n * 20_000 for n in range(44, 0, -1)]
    told = history() | {
        "heart_rate": {name: [bpm] * 143 for name, bpm in (("min", 100.0), ("median", 140.0), ("max", 180.0))}
        | {"at_ms": lone, "valid": [1.0] * 143},
        "movement": {"at_ms": lone, "index": [0.25] * 143, "coverage": [0.75] * 143},
    }
    fake.push(card(1, heart_rate=heart_rate(140)))
    fake.answers = {"history": told}
    page = visit("/bed/site/nicu/nicu-01/cot", size=(1300, 1200))
    page.emulate_media(color_scheme="light")
    expect(page.get_by_role("img", name="Heart rate chart")).to_be_visible()
    until(page, "document.querySelectorAll('.chart canvas').length === 3")
    low, high = 75.0, 205.0
    until(page, f"chart => ({RUNS})(chart) > 0", [2, 0.7, 0.8])
    assert [runs(page, 0, (high - bpm) / (high - low)) for bpm in (180, 140, 100)] == [143] * 3
    assert runs(page, 2, 0.75) == 143
    fake.answers["history"] = told | {
        "heart_rate": {name: column[-1:] for name, column in told["heart_rate"].items()},
        "raw": {"at_ms": seconds, "bpm": [140.0] * 44},
    }
    page.get_by_role("button", name="15 min", exact=True).click()
    expect(page.get_by_text("Heart rate, each second")).to_be_visible()
    until(page, f"chart => ({RUNS})(chart) > 40", [0, 0.4, 0.6])


def test_what_no_line_shows_is_told_point_by_point(page_js: Page) -> None:
    call = "async args => (await import('/static/series.js')).lone(...args)"
    at_px = [0, 1, 5, 9, 10, 11, 12, 20]
    assert page_js.evaluate(call, [at_px, [7, None, 8, None, 1, 2, None, 3], 3]) == [0, 2, 4, 5, 7]
    assert page_js.evaluate(call, [at_px, [7, None, 8, None, 1, 2, None, 3], 1]) == [0, 2, 7]
    assert page_js.evaluate(call, [at_px, [1] * 8, 3]) == []
