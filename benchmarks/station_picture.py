"""Pictures of the nurse station for the README: a simulated ward, of which two cots have a day behind them.

`python benchmarks/station_picture.py [--out docs/img]` writes `station_ward.png` and `station_bed.png`. The day is told
to the store without a broker, each message at its own time, so that it takes minutes; then the ward lives on for the
seconds that the browser looks.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from conftest import eventually, free_port
from station_browser import FLAGS
from station_process import StationProcess

from edgemon.messages import encode
from edgemon.messages import payloads as p
from edgemon.messages.commands import Reply
from edgemon.records import Message
from edgemon.simulate.device import Device, Ward
from edgemon.station.inbox import read
from edgemon.station.nouns import Heard, wall_ms
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store

DAY_S, QUARTER_S, BATCH_S = 86_400, 900, 30
SIZES = {"ward": (1280, 800), "bed": (1280, 1180)}


class Told:
    """Devices whose words go into the store as if they came over a network without delay."""

    def __init__(self, store: Store, ward: Ward, numbers: Sequence[int], ahead_s: int) -> None:
        self._store, self._epoch_ms = store, wall_ms() - 1000 * ahead_s
        ward = replace(ward, epoch_ms=self._epoch_ms)
        self._devices = [Device(ward, number) for number in numbers]
        self._now_s = 0
        self._put([message for device in self._devices for message in device.greet()])

    def go_on(self) -> None:
        """Live on to now."""
        while self._now_s < (wall_ms() - self._epoch_ms) // 1000:
            batch: list[Heard] = []
            for _ in range(BATCH_S):
                self._now_s += 1
                if 1000 * self._now_s + self._epoch_ms > wall_ms():
                    break
                for device in self._devices:
                    said = [told for one in device.step(float(self._now_s)) for told in answered(device, one)]
                    batch += [] if device.offline else self._heard(said)
            self._store.commit(batch)

    def _put(self, said: Sequence[Message]) -> None:
        self._store.commit(self._heard(said))

    def _heard(self, said: Sequence[Message]) -> list[Heard]:
        at_ms = self._epoch_ms + 1000 * self._now_s
        found = [read(message.topic, encode(message), retained=False, now_ms=at_ms) for message in said]
        return [one for one in found if isinstance(one, Heard)]


def answered(device: Device, message: Message) -> Sequence[Message]:
    """What a device says; where its staff ask something of it, its answer."""
    if isinstance(message.payload, p.CommandRequest):
        return device.obey(message.payload, message.topic, Reply(None, None))
    return (message,)


def main() -> int:
    """Write both pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/img"))
    parser.add_argument("--seed", type=int, default=12)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, port = Path(temporary), free_port()
        url = f"sqlite:///{folder / 'station.db'}"
        store = Store.open(StationConfig(store_url=url).store)
        ward = Ward(devices=8, seed=args.seed, faults=0.02, site="hospital", unit="ward-2")
        told = [Told(store, ward, (1, 2), DAY_S), Told(store, ward, range(3, 9), QUARTER_S)]
        for n in range(1, 9):
            store.assign(f"Bed {n}", f"hospital/ward-2/sim-{n:04d}/cot-1", "ada", wall_ms() - 1000 * DAY_S)
        for some in told:
            some.go_on()
        station = StationProcess(
            folder, "web", roles=["web"], store_url=url, auth="open", http={"port": port},
            mqtt={"port": free_port()},
        )  # fmt: skip
        try:
            eventually(lambda: "the station is at" in station.words, 30, "the page")
            look(f"http://127.0.0.1:{port}", args.out, told)
        finally:
            station.stop()
            store.close()
    return 0


def look(url: str, out: Path, told: Sequence[Told]) -> None:
    """Open both pages and keep what they show."""
    pages = {"ward": "/", "bed": "/bed/hospital/ward-2/sim-0001/cot-1"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        context = browser.new_context(color_scheme="dark", locale="en-GB", timezone_id="UTC")
        for name, path in pages.items():
            page = context.new_page()
            page.set_viewport_size(dict(zip(("width", "height"), SIZES[name], strict=True)))
            page.goto(url + path)
            until_s = time.monotonic() + 8
            while time.monotonic() < until_s:
                for some in told:
                    some.go_on()
                page.wait_for_timeout(500)
            page.screenshot(path=out / f"station_{name}.png")
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
