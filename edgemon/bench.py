"""How long every stage and every model takes on this machine, and which precision of each model is best on it."""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
from tqdm import tqdm

from edgemon import catalogue, manifest
from edgemon.config import Bed, Config, Models
from edgemon.errors import ModelError
from edgemon.frames import open_source
from edgemon.health import BoardReader, Latency
from edgemon.inference import Model
from edgemon.manifest import IMAGES, Manifest
from edgemon.pipeline import build_sights
from edgemon.records import Frame

MODEL_RUNS = 100
CAMERAS = 4  # as many as a device has at most: a batch of so many pictures
ROUNDS, RUNS_A_ROUND = 40, 5
MUST_TAKE_AT_MOST = 0.9  # of the time of fp32, else int8 does not earn its place
MAX_MEAN_LOSS, MAX_WORST_LOSS = 1.0, 5.0  # percentage points
QUALITY = ("recall", "AUC", "balanced accuracy", "AP ")  # figures 0..1 of which more is better, by how they begin
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
        tensor = np.zeros(model.manifest.input.sized(), np.float32)
        took = taken[f"model: {name}"] = []
        for _ in range(MODEL_RUNS):
            _timed(took, partial(model, tensor))
        if IMAGES in model.manifest.input.shape:
            tensor = np.zeros(model.manifest.input.sized(images=CAMERAS), np.float32)
            took = taken[f"model: {name} x{CAMERAS}"] = []
            for _ in range(MODEL_RUNS // CAMERAS):
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


@dataclass(frozen=True, slots=True)
class Choice:
    """The two precisions of one task: int8 time over fp32 time, and what int8 loses by condition, in points."""

    task: str
    fp32: str | None
    int8: str | None
    time_ratio: float | None = None
    losses: Mapping[str, float] | None = None
    unmatched: int = 0  # figures of fp32 that the int8 manifest lacks

    @property
    def mean_loss(self) -> float | None:
        """Over all conditions."""
        return statistics.fmean(self.losses.values()) if self.losses else None

    @property
    def worst(self) -> tuple[str, float] | None:
        """The condition that loses most."""
        return max(self.losses.items(), key=lambda item: item[1]) if self.losses else None

    @property
    def verdict(self) -> tuple[str, str]:
        """The model to use, and why."""
        if self.int8 is None or self.fp32 is None:
            return self.fp32 or self.int8 or "", f"only {'fp32' if self.fp32 else 'int8'} is shipped"
        mean, worst, ratio = self.mean_loss, self.worst, self.time_ratio
        if mean is None or worst is None or ratio is None or self.unmatched:
            return self.fp32, f"int8 was not measured under {self.unmatched or 'any'} of the conditions of fp32"
        if ratio > MUST_TAKE_AT_MOST:
            return self.fp32, f"int8 takes {ratio:.2f} of the time here; at most {MUST_TAKE_AT_MOST:.2f} would pay"
        if worst[1] > MAX_WORST_LOSS:
            return self.fp32, f"int8 loses {worst[1]:.1f} points at worst; {MAX_WORST_LOSS:.0f} are allowed: {worst[0]}"
        if mean > MAX_MEAN_LOSS:
            return self.fp32, f"int8 loses {mean:.2f} points on average; {MAX_MEAN_LOSS:.0f} is allowed"
        return self.int8, f"int8 takes {ratio:.2f} of the time and loses {mean:.2f} points on average"


def select(models: Path | None, *, json_file: Path | None) -> int:
    """Measure both precisions of every task on this machine; print which to use, and the lines for the configuration.

    Raises:
        EdgemonError: a model cannot be used, or is not what its name says.
    """
    folder = models or manifest.default_folder()
    choices = choose(folder)
    for line in [*selection(choices), "", *config_lines(choices, models)]:
        sys.stdout.write(line + "\n")
    if json_file:
        told = [
            {**asdict(choice), "mean_loss": choice.mean_loss, "chosen": choice.verdict[0], "why": choice.verdict[1]}
            for choice in choices
        ]
        json_file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 0


def choose(folder: Path) -> tuple[Choice, ...]:
    """What is found for each task that is on by default: the file TASK in fp32 and TASK-int8 beside it."""
    present = catalogue.names(folder)
    choices = []
    for task in get_args(Manifest.model_fields["task"].annotation):
        names = [name if name in present else None for name in (task, f"{task}-int8")]
        if any(names) and getattr(Models(), task) is not None:
            choices.append(_choice(folder, task, *names))
    return tuple(choices)


def _choice(folder: Path, task: str, fp32: str | None, int8: str | None) -> Choice:
    models = {name: Model.open(folder, name) for name in (fp32, int8) if name is not None}
    for name, model in models.items():
        expected = "fp32" if name == fp32 else "int8"
        if (model.manifest.task, model.manifest.precision) != (task, expected):
            raise ModelError(
                f"{folder / name}.toml: is a {model.manifest.precision} {model.manifest.task} model, its name says "
                f"{expected} {task}; name it otherwise"
            )
    if fp32 is None or int8 is None:
        return Choice(task, fp32, int8)
    calls = [partial(models[name], np.zeros(models[name].manifest.input.sized(), np.float32)) for name in (fp32, int8)]
    losses, unmatched = compare(models[fp32].manifest, models[int8].manifest)
    return Choice(task, fp32, int8, time_ratio(*calls), losses, unmatched)


def time_ratio(fp32: Callable[[], object], int8: Callable[[], object]) -> float:
    """Time of int8 over that of fp32: the median over short rounds in which they take turns, so that a busy machine
    slows them alike.
    """
    ratios = []
    for _ in range(ROUNDS):
        took: tuple[list[float], list[float]] = ([], [])
        for _ in range(RUNS_A_ROUND):
            _timed(took[0], fp32)
            _timed(took[1], int8)
        ratios.append(statistics.median(took[1]) / statistics.median(took[0]))
    return statistics.median(ratios)


def compare(fp32: Manifest, int8: Manifest) -> tuple[dict[str, float], int]:
    """What int8 loses in each figure that both manifests tell, in percentage points, and how many it does not tell."""
    figures, others = (
        {f"{m.name}, {m.data}, {m.condition}": m.value for m in told.metrics if m.name.startswith(QUALITY)}
        for told in (fp32, int8)
    )
    losses = {what: 100 * (value - others[what]) for what, value in figures.items() if what in others}
    return losses, len(figures) - len(losses)


def selection(choices: Sequence[Choice]) -> Iterator[str]:
    """The choices as lines for a person."""
    yield f"{'task':<14}{'int8 / fp32 time':>18}{'mean loss':>12}{'worst loss':>12}   use"
    for choice in choices:
        worst = choice.worst
        cells = (
            _digits(choice.time_ratio).rjust(18),
            _digits(choice.mean_loss).rjust(12),
            _digits(worst and worst[1]).rjust(12),
        )
        name, why = choice.verdict
        yield f"{choice.task:<14}{''.join(cells)}   {name}: {why}"
        if worst is not None:
            yield f"{'':<14}worst: {worst[0]}"
    yield "losses in percentage points of the figures that both manifests tell"


def config_lines(choices: Sequence[Choice], folder: Path | None) -> Iterator[str]:
    """What belongs into the configuration."""
    yield "models:"
    if folder is not None:
        yield f"  folder: {json.dumps(str(folder.resolve()))}"
    for choice in choices:
        yield f"  {choice.task}: {choice.verdict[0]}"


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


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
