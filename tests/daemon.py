"""The real `edgemon run` as a process, for tests that watch it from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from edgemon.messages import decode
from edgemon.messages import payloads as p


def edgemon(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run one edgemon command to its end."""
    command = [sys.executable, "-m", "edgemon", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload,no-any-return]


def write_config(folder: Path, **settings: object) -> Path:
    """A configuration file with its state directory beside it."""
    path = folder / "edgemon.yaml"
    path.write_text(yaml.safe_dump({"device": "cot-pi-1", "state_dir": "state", **settings}), encoding="utf-8")
    return path


@contextmanager
def running(config: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The daemon while the block lasts; then SIGTERM, and it must end with exit code 0."""
    log = (config.parent / "daemon.log").open("w+")
    command = [sys.executable, "-m", "edgemon", "run", "--config", str(config), *words]
    process = subprocess.Popen(command, stdout=log, stderr=log, text=True, env=os.environ | {"PYTHONFAULTHANDLER": "1"})
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        code = process.wait(30)
        log.seek(0)
        told = log.read()
        log.close()
    assert code == 0, told


@contextmanager
def heard(words: list[str]) -> Iterator[Iterator[tuple[str, p.Payload]]]:
    """What a mosquitto_sub with these words hears, one message after another."""
    command = ["mosquitto_sub", *words, "-F", '{"topic":"%t","payload":%p}']
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield (
            (row["topic"], decode(row["topic"], json.dumps(row["payload"]).encode()))
            for row in map(json.loads, process.stdout)
        )
    finally:
        process.terminate()
        process.stdout.close()
        process.wait(10)
