"""The whole flow on one machine: an embedded broker, the real daemon and station as processes, a subscriber's table."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from edgemon.broker import EmbeddedBroker
from edgemon.config import Bed, Mqtt
from edgemon.errors import EdgemonError, WorkerStuck
from edgemon.frames import open_source
from edgemon.signals import stopped_by_signals
from edgemon.watch import watch

STOP_WITHIN_S = 15.0
STATION_PORT = 8080


class DemoFailed(EdgemonError):
    """A process of the demo ended by itself; the text is its last words."""


def demo(source: str, *, duration_s: float | None) -> int:
    """Show `source` ("clip", a webcam's number, a file, an rtsp address) until Ctrl-C or for `duration_s`.

    Raises:
        SourceError: there is no such source; the daemon itself would wait for it to come.
        DemoFailed: the daemon ended by itself.
    """
    camera = open_source(Bed(id="cot-1", source=source), paced=True)
    camera.open()
    camera.close()
    stop = threading.Event()
    with (
        stopped_by_signals(stop),
        tempfile.TemporaryDirectory(prefix="edgemon-demo-") as folder,
        EmbeddedBroker() as broker,
    ):
        daemon, station = Path(folder) / "edgemon.yaml", Path(folder) / "station.yaml"
        daemon.write_text(yaml.safe_dump(_settings(source, broker.port)), encoding="utf-8")
        port = _port()
        station.write_text(yaml.safe_dump(_station(broker.port, port)), encoding="utf-8")
        with (
            _process("station", ["station", "--config", str(station)], Path(folder), stop),
            _process("daemon", ["run", "--config", str(daemon)], Path(folder), stop),
        ):
            print(f"nurse station: http://localhost:{port}\n")
            watch(
                Mqtt(port=broker.port, protocol="3.1.1"),
                site="demo", unit="demo", device="demo-pi", as_json=False, receipts=False,
                duration_s=duration_s, out=sys.stdout, stop_event=stop,
            )  # fmt: skip
    return 0


def _settings(source: str, port: int) -> dict[str, object]:
    is_file = Path(source).is_file()
    bed = {"id": "cot-1", "source": str(Path(source).resolve()) if is_file else source}
    bed_loop = {"loop": True} if is_file or source.startswith("clip") else {}
    return {
        "site": "demo",
        "unit": "demo",
        "device": "demo-pi",
        "state_dir": "state",
        "beds": [bed | bed_loop],
        "mqtt": {"port": port, "protocol": "3.1.1", "delivery": "receipt"},
    }


def _station(broker_port: int, port: int) -> dict[str, object]:
    return {
        "name": "demo-station",
        "store_url": "sqlite:///station.db",
        "auth": "open",
        "http": {"port": port},
        "mqtt": {"port": broker_port, "protocol": "3.1.1"},
    }


def _port() -> int:
    """STATION_PORT, or any that is free where that is taken."""
    for port in (STATION_PORT, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as probe:
                return int(probe.getsockname()[1])
        except OSError:
            continue
    raise DemoFailed("no port of 127.0.0.1 is free")


@contextmanager
def _process(name: str, words: Sequence[str], folder: Path, stop: threading.Event) -> Iterator[None]:
    """Run `edgemon WORDS` beside us; its end ends all."""
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgemon", *words],
            stdout=out, stderr=out, start_new_session=True,  # Ctrl-C comes to us alone; we stop it in order
        )  # fmt: skip
    watcher = threading.Thread(target=_stop_when_ended, args=(process, stop), name=f"demo-{name}")
    watcher.start()
    try:
        yield
    finally:
        died = process.poll() is not None
        process.terminate()
        watcher.join(STOP_WITHIN_S)
        if watcher.is_alive():
            process.kill()
            watcher.join()
            raise WorkerStuck(f"the {name} did not stop within {STOP_WITHIN_S:.0f} s of SIGTERM")
    stopped = (0, -signal.SIGTERM)  # by itself, or before it had begun to listen for the signal
    if died or process.returncode not in stopped:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        failure = DemoFailed(
            f"the {name} ended with exit code {process.returncode}: " + " | ".join(last or ["(it said nothing)"])
        )
        failure.exit_code = process.returncode or 1
        raise failure


def _stop_when_ended(process: subprocess.Popen[bytes], stop: threading.Event) -> None:
    process.wait()
    stop.set()
