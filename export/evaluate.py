"""Measure released models on infants and adults that training did not see: `python -m export evaluate`."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Mapping
from pathlib import Path

from edgemon.faces.detect import FaceDetector
from edgemon.inference import ExpressionModel, Model
from edgemon.observations.pulse_network import PulseNetwork
from export.datasets import Renders
from export.evaluate_expression import ExpressionReport, read_adults, read_covered, read_renders
from export.evaluate_face import FaceReport, false_scores, find
from export.evaluate_pulse import PulseReport, evaluate_pulse
from export.face_cases import FREE_KINDS, GROUPS, OPEN_GROUPS, face_free, london_subjects, render_subjects, together
from export.face_precision import Finder, judge
from export.heart_rate.evaluate import HeartRateReport, default_folders, evaluate_heart_rate

FACE_FREE_FRAMES = 900
TRUE_CROP, FOUND_CROP = "true boxes", "the detector's boxes"
Report = FaceReport | ExpressionReport | HeartRateReport | PulseReport


def evaluate_face(
    finder: Finder, shipped: float, data: Path, photographs: Path | None, limit: int | None
) -> FaceReport:
    """The protocol of the face benchmark on one detector, and its average precision."""
    renders = Renders(data)
    groups = {group: render_subjects(renders, limit, group) for group in GROUPS}
    everyone = together([groups[g] for g in OPEN_GROUPS], f"renders {data.name}, front, side and evening")
    subjects = [s for s in groups.values() if s.pictures]
    if photographs is not None:
        subjects.append(london_subjects(photographs, "test"))
    without = list(face_free(renders, subjects, FACE_FREE_FRAMES))
    false = false_scores(finder, without)
    honest = [frame for n, frame in enumerate(without) if n % len(FREE_KINDS) != FREE_KINDS.index("spoiled faces")]
    precision = tuple(judge(finder, s, honest) for s in (everyone, *subjects))
    return FaceReport(tuple(find(finder, s) for s in subjects), false, shipped, precision)


def evaluate_expression(
    model: ExpressionModel, finder: Finder, data: Path, photographs: Path | None
) -> ExpressionReport:
    """Crops made by true boxes and by the detector's own."""
    renders = Renders(data)
    reads = {TRUE_CROP: read_renders(model, renders, None), FOUND_CROP: read_renders(model, renders, finder)}
    abstentions = read_covered(model, render_subjects(renders))
    return ExpressionReport(reads, abstentions, read_adults(model, photographs, finder) if photographs else None)


def _face(args: argparse.Namespace) -> Report:
    detector = FaceDetector(Model.open(args.models, args.model or "face"))
    shipped = detector.manifest.threshold("score")
    return evaluate_face(detector, shipped, _renders(args), args.photographs, args.limit)


def _expression(args: argparse.Namespace) -> Report:
    model = ExpressionModel(Model.open(args.models, args.model or "expression"))
    detector = FaceDetector(Model.open(args.models, "face"))
    return evaluate_expression(model, detector, _renders(args), args.photographs)


def _heart_rate(args: argparse.Namespace) -> Report:
    return evaluate_heart_rate(args.data or default_folders(), args.models, args.model)


def _pulse(args: argparse.Namespace) -> Report:
    network = PulseNetwork(Model.open(args.models, args.model or "pulse"))
    return evaluate_pulse(network, _renders(args), args.limit)


def _renders(args: argparse.Namespace) -> Path:
    if len(args.data) != 1:
        raise ValueError(f"evaluate {args.task}: --data needs one folder of renders")
    folder: Path = args.data[0]
    return folder


REPORTS: Mapping[str, Callable[[argparse.Namespace], Report]] = {
    "face": _face,
    "expression": _expression,
    "heart-rate": _heart_rate,
    "pulse": _pulse,
}
PICTURES = ("face", "heart-rate")


def as_json(report: Report) -> str:
    """The figures with the machine they were measured on."""
    rows = [metric.model_dump() for metric in report.metrics()]
    return json.dumps({"machine": platform.platform(), "metrics": rows}, indent=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `evaluate`."""
    parser.add_argument("task", choices=tuple(REPORTS))
    parser.add_argument("--models", type=Path, default=Path("models"), help="the folder of released models")
    parser.add_argument(
        "--model",
        help="the model's name there, such as face-int8; the task's by default (heart-rate: none)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        default=[],
        help="renders of infants that training did not see; of heart rates any folders of recordings, "
        "by default all; of pulse also clips of `synthesize pulses`",
    )
    parser.add_argument("--photographs", type=Path, help="the faces_london folder")
    parser.add_argument("--limit", type=int, help="judge only so many renders a condition (face) or windows (pulse)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--plot", type=Path, help="draw the curves there (face, heart-rate)")


def _draw(report: Report, path: Path) -> None:
    """Matplotlib is slow to import, so only here."""
    if isinstance(report, FaceReport):
        from export.plot_face import plot  # noqa: PLC0415

        plot(report, path)
    elif isinstance(report, HeartRateReport):
        from export.heart_rate.plots import plot as plot_heart_rate  # noqa: PLC0415

        plot_heart_rate(report, path)


def run(args: argparse.Namespace) -> int:
    """Print the table; write the same figures as JSON and as a picture.

    Raises:
        ValueError: a picture is asked for a task that has none.
    """
    if args.plot is not None and args.task not in PICTURES:
        raise ValueError(f"--plot: there is no picture of {args.task}; only of {' and '.join(PICTURES)}")
    report = REPORTS[args.task](args)
    if args.plot is not None:
        _draw(report, args.plot)
    for line in report.lines():
        print(line)
    if args.json is not None:
        args.json.write_text(as_json(report) + "\n", encoding="utf-8")
    return 0
