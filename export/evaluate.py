"""Measure released models on infants and adults that training did not see: `python -m export evaluate`."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from edgemon.faces.detect import FaceDetector
from edgemon.inference import ExpressionModel, Model
from edgemon.observations.pulse_network import PulseNetwork
from export.behaviour import arguments as behaviour_arguments
from export.behaviour.evaluate import ADULTS, beside_int8, default_renders, evaluate_own
from export.behaviour.report import BehaviourReport
from export.behaviour.sources import is_renders
from export.datasets import Renders
from export.evaluate_face import FaceReport, false_scores, find
from export.evaluate_pulse import PulseReport, evaluate_pulse
from export.face_cases import FREE_KINDS, GROUPS, OPEN_GROUPS, face_free, london_subjects, render_subjects, together
from export.face_precision import Finder, judge
from export.heart_rate.evaluate import HeartRateReport, default_folders, evaluate_heart_rate
from export.nights import arguments as nights_arguments
from export.nights.evaluate import NightsReport, evaluate_nights
from export.pain import arguments as pain_arguments
from export.pain.report import PainReport
from export.pose import evaluate as pose
from export.pose import movement
from export.pose.movement_report import MovementReport
from export.pose.report import PoseReport
from export.respiration.evaluate import RespirationReport, evaluate_respiration

FACE_FREE_FRAMES = 900
Report = (
    FaceReport
    | BehaviourReport
    | HeartRateReport
    | PulseReport
    | PainReport
    | RespirationReport
    | NightsReport
    | PoseReport
    | MovementReport
)


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


def _face(args: argparse.Namespace) -> Report:
    detector = FaceDetector(Model.open(args.models, args.model or "face"))
    shipped = detector.manifest.threshold("score")
    return evaluate_face(detector, shipped, _renders(args), args.photographs, args.limit)


def _behaviour(args: argparse.Namespace) -> Report:
    """Renders get the whole protocol, other folders figures on their labels; without --data the rendered test set."""
    name = args.model or "expression"
    places = args.data or [default_renders()]
    if not all(is_renders(place) for place in places):
        model = ExpressionModel(Model.open(args.models, name))
        finder = FaceDetector(Model.open(args.models, "face"))
        return evaluate_own(model, finder, places, behaviour_arguments.reading_of(args))
    photographs = args.photographs or (ADULTS if ADULTS.is_dir() else None)
    return beside_int8(args.models, name, _one(places, args.task), photographs, limit=args.limit)


def _heart_rate(args: argparse.Namespace) -> Report:
    return evaluate_heart_rate(args.data or default_folders(), args.models, args.model)


def _pulse(args: argparse.Namespace) -> Report:
    network = PulseNetwork(Model.open(args.models, args.model or "pulse"))
    return evaluate_pulse(network, _renders(args), args.limit)


def _pain(args: argparse.Namespace) -> Report:
    from export.pain.evaluate import report_of  # noqa: PLC0415  (scikit-learn is slow to import)

    return report_of(args)


def _respiration(args: argparse.Namespace) -> Report:
    return evaluate_respiration(_renders(args))


def _renders(args: argparse.Namespace) -> Path:
    return _one(args.data, args.task)


def _one(places: Sequence[Path], task: str) -> Path:
    if len(places) != 1:
        raise ValueError(f"evaluate {task}: --data needs one folder of renders")
    return places[0]


def _nights(args: argparse.Namespace) -> Report:
    return evaluate_nights(args.days, args.seed)


REPORTS: Mapping[str, Callable[[argparse.Namespace], Report]] = {
    "face": _face,
    "behaviour": _behaviour,
    "heart-rate": _heart_rate,
    "pulse": _pulse,
    "pain": _pain,
    "respiration": _respiration,
    "nights": _nights,
    "pose": pose.report_of,
    "movement": movement.report_of,
}
PICTURES = ("face", "heart-rate", "behaviour", "pose")


def as_json(report: Report) -> str:
    """The figures with the machine they were measured on."""
    rows = [metric.model_dump() for metric in report.metrics()]
    told: dict[str, object] = {"machine": platform.platform(), "metrics": rows}
    if isinstance(report, BehaviourReport):
        told["intervals"] = report.intervals()
        told["goals"] = [asdict(goal) for goal in report.goals()]
    return json.dumps(told, indent=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `evaluate`."""
    parser.add_argument("task", choices=tuple(REPORTS))
    parser.add_argument("--models", type=Path, default=Path("models"), help="the folder of released models")
    parser.add_argument(
        "--model",
        help="the model's name there, such as face-int8; the task's by default (heart-rate: none); "
        "of pose also FOLDER/NAME, or none; of movement also FOLDER/NAME",
    )
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        default=[],
        help="renders of infants that training did not see; of heart rates any folders of recordings, "
        "by default all; of behaviour also labelled faces in any layout, by default the rendered test set; "
        "of pulse also clips of `synthesize pulses`; of pain also a csv path,subject,label; "
        "of respiration clips of `breaths`; of pose renders, babyPose, babymoves or COCO json",
    )
    parser.add_argument("--photographs", type=Path, help="the faces_london folder")
    parser.add_argument("--limit", type=int, help="judge only so many renders (a condition: face) or windows (pulse)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--plot", type=Path, help="draw the curves there (face, heart-rate, behaviour, pose)")
    behaviour_arguments.add_reading_arguments(parser)
    pain_arguments.add_arguments(parser)
    nights_arguments.add_arguments(parser)
    pose.add_arguments(parser)
    movement.add_arguments(parser)


def _draw(report: Report, path: Path) -> None:
    """Matplotlib is slow to import, so only here."""
    if isinstance(report, FaceReport):
        from export.plot_face import plot  # noqa: PLC0415

        plot(report, path)
    elif isinstance(report, HeartRateReport):
        from export.heart_rate.plots import plot as plot_heart_rate  # noqa: PLC0415

        plot_heart_rate(report, path)
    elif isinstance(report, BehaviourReport):
        from export.behaviour.plot import plot as plot_behaviour  # noqa: PLC0415

        plot_behaviour({crop: reads for crop, (reads, _) in report.reads.items()}, path)
    elif isinstance(report, PoseReport):
        from export.pose.plot import plot as plot_pose  # noqa: PLC0415

        plot_pose(report, path)


def run(args: argparse.Namespace) -> int:
    """Print the table; write the same figures as JSON and as a picture.

    Raises:
        ValueError: a picture is asked for a task that has none.
    """
    if args.plot is not None and args.task not in PICTURES:
        raise ValueError(f"--plot: there is no picture of {args.task}; only of {', '.join(PICTURES)}")
    report = REPORTS[args.task](args)
    if args.plot is not None:
        _draw(report, args.plot)
    for line in report.lines():
        print(line)
    if args.json is not None:
        args.json.write_text(as_json(report) + "\n", encoding="utf-8")
    return 0
