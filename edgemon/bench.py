"""How long every stage and every model takes on this machine, over frames of the bundled clip."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from edgemon import catalogue, manifest
from edgemon.config import Bed, Config, Models
from edgemon.frames import open_source
from edgemon.health import BoardReader, Latency
from edgemon.inference import Model
from edgemon.pipeline import build_sights
from edgemon.records import Frame

MODEL_RUNS = 100
HEADINGS = ("what", "p50 ms", "p95 ms", "p99 ms", "runs")


@dataclass(frozen=True, slots=True)
class Report:
    """What `edgemon bench` found."""

    machine: str
    latency: dict[str, Latency]
    cpu_share: float  # of one core, to keep up with the clip in real time
    memory_mb: float | None
    temperature_c: tuple[float | None, float | None]  # before and after
    throttled: int | None


def bench(seconds: float, models: Path | None, *, json_file: Path | None) -> int:
    """Print the table, and write it as JSON where asked.

    Raises:
        EdgemonError: the clip or a model cannot be used.
    """
    report = measure(seconds, models or manifest.default_folder())
    for line in table(report):
        sys.stdout.write(line + "\n")
    if json_file:
        json_file.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    return 0


def measure(seconds: float, folder: Path) -> Report:
    """Run the clip through the pipeline and each model by itself, one after another."""
    board = BoardReader(Path.cwd())
    before = board.read()
    taken: dict[str, list[float]] = {"source: read": [], "faces: skin means": [], "pipeline: look": []}
    (sight,) = build_sights(Config(models=Models(folder=folder)))
    frames, cpu_s = 0, 0.0
    for frame in tqdm(_frames(seconds, taken["source: read"]), desc="clip", unit=" frames", leave=False, disable=None):
        begun_s = time.process_time()
        _timed(taken["faces: skin means"], partial(sight.sample, frame))
        _timed(taken["pipeline: look"], partial(sight.look, frame))
        cpu_s += time.process_time() - begun_s
        frames += 1
    for name in catalogue.names(folder):
        model = Model.open(folder, name)
        tensor = np.zeros(model.manifest.input.shape, np.float32)
        took = taken[f"model: {name}"] = []
        for _ in range(MODEL_RUNS):
            _timed(took, partial(model, tensor))
    after = board.read()
    return Report(
        machine=f"{platform.machine()}, {platform.system()} {platform.release()}, Python {platform.python_version()}",
        latency={what: found for what, durations_s in taken.items() if (found := Latency.of(durations_s))},
        cpu_share=cpu_s / (frames / 30.0),
        memory_mb=None if after.memory_bytes is None else after.memory_bytes / 1e6,
        temperature_c=(before.temperature_c, after.temperature_c),
        throttled=after.throttled,
    )


def table(report: Report) -> Iterator[str]:
    """The report as lines for a person."""
    yield report.machine
    yield f"{HEADINGS[0]:<24}" + "".join(f"{heading:>9}" for heading in HEADINGS[1:])
    for what, took in report.latency.items():
        yield f"{what:<24}{took.p50_ms:9.2f}{took.p95_ms:9.2f}{took.p99_ms:9.2f}{took.count:9d}"
    yield f"CPU at 30 fps: {100 * report.cpu_share:.0f} % of one core"
    yield f"memory: {_or_unknown(report.memory_mb, 'MB')}"
    before, after = report.temperature_c
    yield f"temperature: {_or_unknown(before, 'C')} before, {_or_unknown(after, 'C')} after"
    yield f"throttled: {'the board does not tell' if report.throttled is None else hex(report.throttled)}"


def _frames(seconds: float, took: list[float]) -> Iterator[Frame]:
    source = open_source(Bed(id="bench", source="clip", loop=True), paced=False)
    source.open()
    try:
        while True:
            begun_s = time.perf_counter()
            frame = source.read()
            took.append(time.perf_counter() - begun_s)
            if frame is None or frame.captured_s > seconds:
                return
            yield frame
    finally:
        source.close()


def _timed(took: list[float], work: Callable[[], object]) -> None:
    begun_s = time.perf_counter()
    work()
    took.append(time.perf_counter() - begun_s)


def _or_unknown(value: float | None, unit: str) -> str:
    return "the board does not tell" if value is None else f"{value:.1f} {unit}"
