"""A ward on the station: does anything get lost or doubled, and how late is the screen?

`python benchmarks/station.py [--devices 1000] [--duration-s 60] [--store sqlite|postgresql] [--json FILE]` starts
mosquitto, the station and `edgemon simulate` as processes and follows the event stream as a page does. With SQLite the
station is one process; with PostgreSQL it is two that share the ingest, of which one is killed -9 at half time, and one
for web and rules. A heart rate's lag runs from its `ts` to the arrival of the whole event with its card; that of an
alarm from its publication. Exits 1 if anything durable is lost or doubled. All of it shares this machine's cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from conftest import eventually, free_port
from postgres import Server
from station_process import StationProcess
from station_screen import Json, Listener, Published, Screen, lags, ledger, percentiles, wrong_clocks

from edgemon.station.settings import StationConfig
from edgemon.station.store import Store

GRACE_S = 60.0
BROKER = """
listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 10000
{user}
"""


class Usage:
    """CPU seconds and the largest resident memory of processes with their children, since they were added."""

    def __init__(self) -> None:
        self._watched: dict[str, psutil.Process] = {}
        self._begun: dict[str, float] = {}
        self.cpu_s: dict[str, float] = {}
        self.rss_mb: dict[str, float] = {}

    def add(self, name: str, pid: int) -> None:
        """Begin to watch one."""
        self._watched[name] = psutil.Process(pid)
        self._begun[name] = self._cpu_s(self._watched[name])

    def sample(self) -> None:
        """Look at all that live."""
        for name, process in self._watched.items():
            try:
                self.cpu_s[name] = self._cpu_s(process) - self._begun[name]
                self.rss_mb[name] = max(self.rss_mb.get(name, 0.0), process.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue

    @staticmethod
    def _cpu_s(process: psutil.Process) -> float:
        times = process.cpu_times()
        now = sum(sum(child.cpu_times()[:2]) for child in process.children(recursive=True))
        return float(sum(times[:4]) + now)  # of itself, of children that ended, of those that run


@contextmanager
def mosquitto(folder: Path, port: int) -> Iterator[int]:
    """A broker; yields its process."""
    config = folder / "mosquitto.conf"
    config.write_text(BROKER.format(port=port, user="user root" if Path("/root").owner() == "root" else ""))
    with (folder / "mosquitto.log").open("wb") as out:
        process = subprocess.Popen(["mosquitto", "-c", str(config)], stdout=out, stderr=out)
    try:
        eventually(lambda: "running" in (folder / "mosquitto.log").read_text(), 10, "mosquitto")
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def stations(folder: Path, url: str, broker: int, web: int, *, split: bool) -> dict[str, StationProcess]:
    """The processes of the station, ready."""
    common: Json = {"mqtt": {"port": broker}, "store_url": url, "auth": "open", "http": {"port": web}}
    if url.startswith("sqlite") and split:
        made = {"web+rules": StationProcess(folder, "web", roles=["web", "rules"], **common)}
        made["ingest"] = StationProcess(folder, "ingest", roles=["ingest"], **common)
    elif url.startswith("sqlite"):
        made = {"station": StationProcess(folder, "station", **common)}
    else:
        share = common | {"share": True}
        made = {"web+rules": StationProcess(folder, "web", roles=["web", "rules"], **share)}
        made |= {f"ingest-{n}": StationProcess(folder, f"ingest-{n}", roles=["ingest"], **share) for n in (1, 2)}
    for name, one in made.items():
        if name != "web+rules":
            eventually(lambda one=one: one.connected, 60, name)  # type: ignore[misc]
    eventually(lambda: any("the station is at" in one.words for one in made.values()), 60, "the page")
    return made


def play(args: argparse.Namespace, folder: Path, broker: int, usage: Usage, half: Any) -> tuple[Json, float]:
    """Run the simulator to its end; its report, and when its time began. `half` is called at half of the time."""
    report, whole_s = folder / "report.json", args.warm_up_s + args.duration_s
    words = ["simulate", "--port", str(broker), "--devices", str(args.devices), "--seed", str(args.seed)]
    words += ["--duration-s", str(whole_s), "--grace-s", str(GRACE_S), "--json-report", str(report)]
    with subprocess.Popen([sys.executable, "-m", "edgemon", *words]) as process:
        usage.add("simulate", process.pid)
        half_s = time.time() + args.warm_up_s + args.duration_s / 2
        while process.poll() is None:
            usage.sample()
            if half is not None and time.time() >= half_s:
                half()
                half = None
            time.sleep(0.5)
    told: Json = json.loads(report.read_text())
    return told, told["settings"]["epoch_ms"] / 1000 + told["settings"]["begun_late_s"]


def run(args: argparse.Namespace, folder: Path) -> Json:
    """One run; all figures of it."""
    broker, web, usage = free_port(), free_port(), Usage()
    with ExitStack() as stack:
        usage.add("mosquitto", stack.enter_context(mosquitto(folder, broker)))
        url = f"sqlite:///{folder / 'station.db'}"
        if args.store == "postgresql":
            server = Server(fsync=True)
            stack.callback(server.stop)
            url = server.database()
            usage.add("postgresql", server.pid)
        store = Store.open(StationConfig(store_url=url).store)
        stack.callback(store.close)
        processes = stations(folder, url, broker, web, split=args.split)
        for name, one in processes.items():
            stack.callback(one.kill)
            usage.add(name, one.process.pid)
        listener = Listener(broker, folder / "published")
        stack.callback(listener.stop)
        screen = Screen(web)
        stack.callback(screen.stop)
        report, began_s = play(args, folder, broker, usage, processes["ingest-2"].kill if args.kill else None)
        listener.stop()
        screen.stop()
        published = Published.of(listener.heard())
        from_ms = round(1000 * (began_s + args.warm_up_s))
        wrong = wrong_clocks(report["settings"])
        late = lags(published, screen.cards(), (from_ms, from_ms + round(1000 * args.duration_s)), wrong)
        kept = ledger(store, report["durable"]["ids"], published.copies)
        alive = [one for one in processes.values() if one.process.poll() is None]
        stopped = [one.stop() for one in alive]
    return {
        "devices": args.devices, "store": args.store, "split": args.split,
        "duration_s": args.duration_s, "warm_up_s": args.warm_up_s,
        "messages": report["messages"], "messages_per_s": report["messages_per_s"],
        "simulator_lag_ms": report["lag_ms"], "unreceipted": len(report["durable"]["unreceipted"]),
        "resent": report["durable"]["sent_again"],
        "lag_ms": percentiles(late.since_ts), "lag_since_published_ms": percentiles(late.since_published),
        "alarm_lag_ms": percentiles(late.alarms), "rates_never_shown": late.never_shown,
        "wrong_clocks": len(wrong), "screen_mb": round(screen.received_mb, 1),
        "exit_codes": stopped, "killed": "ingest-2" if args.kill else None,
        "cpu_s": {name: round(s, 1) for name, s in usage.cpu_s.items()},
        "rss_mb": {name: round(mb) for name, mb in usage.rss_mb.items()},
    } | kept  # fmt: skip


def show(told: Json) -> None:
    """Print the figures."""
    lag = "; ".join(
        f"{what} " + " / ".join(f"{told[name][key]}" for key in ("p50", "p95", "p99", "max")) + f" of {told[name]['n']}"
        for what, name in (
            ("heart rate since its ts", "lag_ms"),
            ("since published", "lag_since_published_ms"),
            ("alarm since published", "alarm_lag_ms"),
        )
    )
    wide_s = told["duration_s"] + told["warm_up_s"]
    print(
        f"{told['devices']} devices, {told['store']}, {wide_s:g} s: {told['messages']} messages,"
        f" {told['messages_per_s']}/s; split: {told['split']}; killed: {told['killed']}"
    )
    print(f"screen lag p50 / p95 / p99 / max ms (first {told['warm_up_s']:g} s left out): {lag}")
    print(
        f"  {told['rates_never_shown']} heart rates overtaken by newer ones, {told['wrong_clocks']} devices with wrong"
        f" clocks left out, {told['screen_mb']} MB to the screen; simulator's own lag {told['simulator_lag_ms']}"
    )
    print(
        f"durable: {told['durable_made']} made, {told['durable_stored']} stored, {len(told['lost'])} lost,"
        f" {len(told['doubled'])} doubled; {told['unreceipted']} unreceipted, {told['resent']} sent again,"
        f" {told['repeats_dropped']} repeats dropped"
    )
    print(
        f"heart rates by the second (QoS 0): {told['rates_published']} published, {told['rates_stored']} stored (one a"
        f" millisecond), {told['rates_doubled']} doubled; {told['numbers_missing']} sequence numbers missing"
    )
    for name, cpu_s in told["cpu_s"].items():
        print(f"  {name:10} {cpu_s:6.1f} s CPU ({100 * cpu_s / wide_s:3.0f} % of a core), {told['rss_mb'][name]} MB")


def main() -> int:
    """Exit code 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--duration-s", type=float, default=60.0)
    parser.add_argument("--warm-up-s", type=float, default=15.0, help="births and first states, left out of the lags")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--no-kill", action="store_true", help="leave both ingest processes alive")
    parser.add_argument("--split", action="store_true", help="with SQLite: ingest and web in processes of their own")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="a new folder for logs, what was published, and the store of SQLite")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.kill = args.store == "postgresql" and not args.no_kill
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        if args.keep is not None:
            args.keep.mkdir(parents=True)
        told = run(args, folder)
    show(told)
    if args.json is not None:
        args.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return int(bool(told["lost"] or told["doubled"] or told["rates_doubled"] or told["unreceipted"]))


if __name__ == "__main__":
    sys.exit(main())
