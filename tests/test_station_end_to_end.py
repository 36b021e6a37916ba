"""The nurse station as a ward has it: a real browser, mosquitto, station and devices, each a process of its own."""

from __future__ import annotations

import copy
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uplot", reason="needs edgemon[station]")
pytest.importorskip("playwright", reason="needs the development requirements")

from conftest import ROOT, eventually, free_port
from daemon import write_config
from heard import OUTBOX
from mosquitto import Broker
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, Locator, Page, Route, expect, sync_playwright
from pydantic import ValidationError
from station_process import StationProcess
from wire import alarm_event, bout, hour, minute, moved, patient

from edgemon.messages import Composer, Stamp, encode
from edgemon.messages import payloads as p
from edgemon.records import Message, Priority
from edgemon.simulate.device import Device
from edgemon.simulate.device import Ward as Simulated
from edgemon.station.nouns import BedNow, Pulse, to_ts, wall_ms
from edgemon.station.roster import card
from edgemon.station.rules import judge
from edgemon.station.settings import StationConfig

CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PASSWORD = "correct horse battery"  # noqa: S105 - of accounts that live as long as a test
EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
SILENCE_S = 5.0
SIMULATED, QUIET = "sim/ward", "site/nicu/quiet"
RATES = {"high": ("high", "0.5s"), "medium": ("medium", "1.667s")}
FAULTS, FIRST_SEED = 0.4, 508
# when each alarm was first on the page, by its place and condition; and when each was first seen acknowledged
WATCHER = """
window.seen = {}; window.steady = {};
new MutationObserver(() => {
  for (const row of document.querySelectorAll(".card .alarm")) {
    const key = `${row.closest(".card").dataset.place} ${row.dataset.condition}`;
    window.seen[key] ??= Date.now();
    if (row.dataset.look === "steady") window.steady[key] ??= Date.now();
  }
}).observe(document, {subtree: true, childList: true, attributes: true});
"""


class Listener:
    """Alarms with the time of their publication, as another subscriber hears them."""

    def __init__(self, port: int) -> None:
        self.alarms: list[tuple[int, p.Alarm]] = []
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self.client.on_connect = lambda client, *_: client.subscribe("edgemon/v1/+/+/+/+/alarm/+")
        self.client.on_message = self._hear
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _hear(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        if message.retain or not message.payload:
            return
        with suppress(ValidationError):  # of the hostile ones
            self.alarms.append((wall_ms(), p.Alarm.model_validate_json(message.payload)))

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class Ward:
    """Everything that runs."""

    broker: Broker
    url: str
    folder: Path
    listener: Listener
    anna: Page
    ben: Page
    faults: list[str]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """An edgemon command beside us, which ends with the tests."""
        with (self.folder / "devices.log").open("ab") as out:
            self.running.append(subprocess.Popen([sys.executable, "-m", "edgemon", *words], stdout=out, stderr=out))
        return self.running[-1]

    def simulate(self, seed: int) -> subprocess.Popen[bytes]:
        """Three devices on one connection, so that no last will tells of their end; nobody of theirs acknowledges."""
        words = ("--devices", "3", "--faults", f"{FAULTS}", "--nurse-s", "0", "--seed", f"{seed}")
        return self.start("simulate", "--port", f"{self.broker.plain}", *words)

    def refused(self) -> dict[str, int]:
        """Refusals so far by their reason."""
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:  # noqa: S310
            text = answer.read().decode()
        found = re.findall(r'edgemon_ward_messages_refused_total\{reason="(\w+)"\} ([\d.]+)', text)
        return {reason: int(float(count)) for reason, count in found}


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Ward]:
    """A station in which anna and ben have logged in, each in a browser of their own."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium on the PATH")
    folder = tmp_path_factory.mktemp("ward")
    (folder / "broker").mkdir()
    with ExitStack() as stack:
        broker = Broker(folder / "broker", certificates)
        broker.start()
        stack.callback(broker.stop)
        port = free_port()
        settings = {"mqtt": {"port": broker.plain}, "silence_s": SILENCE_S, "http": {"port": port}}
        station = StationProcess(folder, "station", store_url="sqlite:///station.db", **settings)
        stack.callback(station.kill)
        add_people(station)
        eventually(lambda: station.connected and "the station is at" in station.words, 60, "the station")
        listener = Listener(broker.plain)
        stack.callback(listener.stop)
        playwright = stack.enter_context(sync_playwright())
        expect.set_options(timeout=30_000)  # two busy cores
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        stack.callback(browser.close)
        faults: list[str] = []
        url = f"http://127.0.0.1:{port}"
        pages = [enter(browser, url, name, faults) for name in ("anna", "ben")]
        made = Ward(broker, url, folder, listener, *pages, faults)
        yield made
        for process in made.running:
            process.kill()
            process.wait()
        assert station.stop() == 0
        assert faults == []


def add_people(station: StationProcess) -> None:
    secret = station.config.parent / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    words = [sys.executable, "-m", "edgemon", "station", "--config", str(station.config), "user", "add"]
    more = ["--role", "acknowledge", "--password-file", str(secret)]
    adding = [subprocess.Popen([*words, name, *more]) for name in ("anna", "ben")]
    assert [one.wait(60) for one in adding] == [0, 0]


def enter(browser: Browser, url: str, name: str, faults: list[str]) -> Page:
    """Log in by the form; the ward is shown."""
    page = browser.new_context(locale="en-GB", timezone_id="UTC").new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.add_init_script(WATCHER)
    page.goto(url)
    page.locator('input[name="name"]').fill(name)
    page.locator('input[name="password"]').fill(PASSWORD)
    page.get_by_role("button").click()
    expect(page.locator("#foot")).to_contain_text(name)
    return page


def bed(page: Page, place: str) -> Locator:
    return page.locator(f'.card[data-place="{place}"]')


def story() -> tuple[int, str]:
    """A seed by which the bed of device 1 alarms soon and for long while its network and its clock are well."""
    for seed in range(FIRST_SEED, 1000):
        device = Device(Simulated(devices=1, seed=seed, faults=FAULTS, nurse_s=0), 1)
        if device.clock_offset_s:
            continue
        told = [(n, one.payload) for n in range(90) for one in device.step(n + device.phase_s)]
        alarms = [(n, one) for n, one in told if isinstance(one, p.Alarm) and one.priority == Priority.MEDIUM]
        if not alarms or not 2 <= alarms[0][0] <= 10:
            continue
        names = {one.condition for _, one in alarms}
        if len(names) == 1 and alarms[0][1].bed != "_device" and all(one.presence == "on" for _, one in alarms):
            return seed, names.pop()
    raise LookupError("no such seed")


def test_an_alarm_rises_and_is_acknowledged_and_a_device_that_is_killed_goes_grey(ward: Ward) -> None:
    clip = {"id": "cot-1", "source": "clip", "loop": True}
    config = write_config(ward.folder, beds=[clip], mqtt={"port": ward.broker.plain})
    seed, condition = story()
    simulator, daemon = ward.simulate(seed), ward.start("run", "--config", str(config))
    expect(ward.anna.locator('.card[data-place^="sim/"]')).to_have_count(3)

    place = f"{SIMULATED}/sim-0001/cot-1"
    key, row = f"{place} {condition}", f'.alarm[data-condition="{condition}"]'
    for page in (ward.anna, ward.ben):
        expect(bed(page, place).locator(row)).to_have_attribute("data-look", "flash")
    flashing = bed(ward.ben, place).locator(row)
    told = flashing.evaluate("e => { const s = getComputedStyle(e); return [s.animationName, s.animationDuration]; }")
    assert tuple(told) == RATES["medium"]
    heard = [(at_ms, one) for at_ms, one in ward.listener.alarms if one.device == "sim-0001"]
    published_ms, alarm = next((at_ms, one) for at_ms, one in heard if one.condition == condition)
    seen_ms = ward.ben.evaluate("key => window.seen[key]", key)
    print(f"{alarm.condition} ({alarm.priority}) on the screen {seen_ms - published_ms} ms after its publication")  # noqa: T201

    def another_revision(route: Route) -> None:
        body = route.request.post_data_json
        route.continue_(post_data=json.dumps(body | {"revision": body["revision"] + 1}))

    ward.ben.route("**/acknowledge", another_revision)  # a screen that shows another state of the alarm than there is
    flashing.locator(".acknowledge").click()
    expect(bed(ward.ben, place).locator(".told")).to_contain_text("the alarm has changed since. Look again.")
    expect(flashing).to_have_attribute("data-look", "flash")
    bed(ward.anna, place).locator(row).locator(".acknowledge").click()
    clicked_ms = wall_ms()
    expect(bed(ward.anna, place).locator(".told")).to_contain_text("Acknowledged")
    for page in (ward.anna, ward.ben):
        expect(bed(page, place).locator(f"{row} small")).to_contain_text("acknowledged by anna")
        expect(bed(page, place).locator(row)).to_have_attribute("data-look", "steady")
    steady_ms = ward.ben.evaluate("key => window.steady[key]", key)
    print(f"acknowledged by anna, on ben's screen {steady_ms - clicked_ms} ms after the click")  # noqa: T201
    assert any(one.ack and one.ack.by == "anna" for _, one in ward.listener.alarms)  # the device's own word

    own = "site/unit/cot-pi-1/cot-1"
    expect(bed(ward.anna, own)).to_be_visible()
    expect(bed(ward.anna, own).locator(".online")).to_be_hidden()
    for process in (simulator, daemon):
        process.send_signal(signal.SIGKILL)
    killed_s = time.monotonic()
    offline = bed(ward.anna, own)
    expect(offline.locator(".online")).to_contain_text(re.compile(r"offline\. No data since \d\d:\d\d:\d\d \(\d+ s"))
    silent = bed(ward.anna, place)
    expect(silent.locator(".online")).to_contain_text(re.compile(r"^No data since \d\d:\d\d:\d\d \(\d+ s"))
    print(f"grey and dated {time.monotonic() - killed_s:.1f} s after kill -9, silence_s is {SILENCE_S:g}")  # noqa: T201
    for one, condition in ((offline, "device_offline"), (silent, "no_data")):
        expect(one).to_have_attribute("data-silent", "true")
        expect(one.locator(f'.alarm[data-condition="{condition}"]')).to_be_visible()
        expect(one.locator(".heart")).to_have_attribute("data-stale", "true")
        expect(one.locator(".bpm")).to_have_text("– –")
        assert grey(one.locator(".quality"))


def grey(text: Locator) -> bool:
    """Whether it has the colour of what is old."""
    told: bool = text.evaluate(
        "e => { const o = document.createElement('i'); o.style.color = 'var(--old)'; document.body.append(o);"
        " const same = getComputedStyle(o).color === getComputedStyle(e).color; o.remove(); return same; }"
    )
    return told


# --- bad input ---


def spoken(device: Composer, clock: Stamp) -> list[Message]:
    """One message of every kind that a device sends."""
    about: dict[str, Any] = {"beds": ("cot-1",), "models": [], "capabilities": ["sleep"], "alarms": []}
    answer = p.CommandRequest(
        cmd_id="c1", name="pause", by="anna", device=device.device, bed="cot-1", expires=clock.ts, pause="audio",
        duration_s=60,
    )  # fmt: skip
    return [
        device.avail("online", clock, connection=1),
        device.birth(clock, software="edgemon", delivery="receipt", **about),
        device.health(clock, uptime_s=1.0, cameras=[], stages=[], outbox=OUTBOX),
        device.state(patient(), [], clock),
        device.heart_rate("cot-1", patient().heart_rate, clock),
        minute(device),
        device.movement(moved(), clock),
        device.behaviour(bout(), clock),
        device.summary(hour(), clock),
        device.alarm(alarm_event(), clock),
        device.command_response(answer, "refused", clock, reason="no"),
    ]


def spoilt(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where texts are, or could be."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from spoilt(inner, (*path, key))
    elif value is None or isinstance(value, str):
        yield path


def hostile(message: Message) -> Iterator[bytes]:
    """The message with markup in each of its texts in turn, and with what no message may be."""
    data = encode(message)
    whole = json.loads(data)
    for path in spoilt(whole):
        told = copy.deepcopy(whole)
        at = told
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = EVIL
        yield json.dumps(told).encode()
    yield data[:-20]
    yield b"\xff\xfe" + data
    yield b"[]"
    yield EVIL.encode()
    yield json.dumps(whole | {"v": 2}).encode()
    yield json.dumps(whole | {"more": EVIL}).encode()
    yield json.dumps(whole | {"pad": "x" * 65_536}).encode()


def test_bad_input_changes_nothing_but_a_counter_and_a_health_line(ward: Ward) -> None:
    device = Composer("site", "nicu", "quiet", "b00t", 1)
    messages = spoken(device, Stamp(100.0, to_ts(wall_ms()), "ntp"))
    client = ward.listener.client
    for message in messages[:5]:
        client.publish(message.topic, encode(message), message.qos, message.retain)
    quiet = bed(ward.ben, f"{QUIET}/cot-1")
    expect(quiet.locator('.alarm[data-condition="no_data"]')).to_be_visible()  # from here on only its age changes
    expect(quiet.locator(".heart")).to_have_attribute("data-stale", "true")
    before, counted = shown(quiet), ward.refused()

    sent = 0
    for message in messages:
        for data in hostile(message):
            client.publish(message.topic, data, 1)
            sent += 1
    client.publish(f"edgemon/v1/{QUIET}/cot-1/{EVIL}", encode(messages[4]), 1)
    client.publish(f"edgemon/v1/{QUIET}/cot-1/vitals/hr/min/more", b"{}", 1)  # no such topic: nobody asks for it
    client.publish(
        f"edgemon/v1/{QUIET}/cot-1/vitals/hr/min", b"x" * 2**21, 1
    )  # more than the station lets itself be sent
    eventually(lambda: sum(ward.refused().values()) - sum(counted.values()) >= sent, 60, f"{sent} refusals")
    after = ward.refused()
    assert sum(after.values()) - sum(counted.values()) == sent
    assert {"size", "json", "version", "schema"} <= {
        reason for reason in after if after[reason] > counted.get(reason, 0)
    }
    print(f"{sent} hostile messages refused: {after}")  # noqa: T201

    assert shown(quiet) == before
    ward.ben.goto(f"{ward.url}/devices")
    lines = ward.ben.locator("#refused tbody tr").filter(has_text=QUIET)
    expect(lines.first).to_be_visible()
    assert "site/nicu/quiet" in lines.first.inner_text()
    for page in (ward.anna, ward.ben):
        assert page.evaluate("[window.hacked ?? 0, document.querySelectorAll('img, iframe, b').length]") == [0, 0]
        assert "<img" not in page.content().replace("&lt;", "<")


def shown(one: Locator) -> str:
    """A card's text without ages."""
    return re.sub(r"\([^)]*\)|\d+ (s|min) ago", "", one.inner_text())


# --- the default ---


def test_silence_is_an_alarm_after_45_s_unless_told_otherwise() -> None:
    silence_s = StationConfig().silence_s
    assert silence_s == 45.0
    state = BedNow("s/u/d/b", "b", None, None, None, None, None, None, (), (), 1_000_000, None, 1)
    silent = [card(state, 1_000_000 + ms, silence_s).silent for ms in (45_000, 45_001)]
    pulse = Pulse("s/u/d/b", 1_000_000, "online")
    opened = [
        [notice.condition for notice in judge([pulse], [], 1_000_000 + ms, silence_ms=45_000, since_ms=0).opened]
        for ms in (45_000, 45_001)
    ]
    assert (silent, opened) == ([False, True], [[], ["no_data"]])
    assert "const STALE_MS = 45_000" in (ROOT / "edgemon/station/page/card.js").read_text(encoding="utf-8")
