"""A real browser on a scripted station: fixtures of the tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from conftest import eventually

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator, Page
    from station_fake import Fake

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
Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium on the PATH")
    pytest.importorskip("playwright", reason="needs the development requirements")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # two busy cores
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched.new_context(locale="en-GB", timezone_id="UTC", has_touch=True)
        launched.close()


@pytest.fixture(scope="module")
def station() -> Iterator[tuple[Fake, str]]:
    pytest.importorskip("uplot", reason="needs edgemon[station]")
    from station_fake import Fake, serving

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


@pytest.fixture
def page_js(fake: Fake, visit: Open) -> Page:
    """A page whose modules a test calls as functions."""
    return visit("/login")


def until(page: Page, script: str, arg: object = None) -> None:
    """Wait until a script is true; `Page.wait_for_function` evaluates strings, which the pages' CSP forbids."""
    eventually(lambda: page.evaluate(script, arg), 30, script)


def bed(page: Page, n: int = 1) -> Locator:
    return page.locator(f'.card[data-place="site/nicu/nicu-{n:02d}/cot"]')


def labels(page: Page) -> list[str]:
    return page.locator(".card h2").all_inner_texts()
