"""From trained weights to what a device loads: graph, calibration, int8, figures, manifest and card in one command."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgemon.faces.detect import FaceDetector
from edgemon.inference import ExpressionModel, Model, aligned_crop, prepare
from edgemon.manifest import ModelFile
from edgemon.observations.pulse_network import PulseNetwork
from export import cost
from export.babyehanet import TARGETS, BabyEHANet
from export.behaviour.evaluate import evaluate_behaviour
from export.behaviour.judge import TRUE_CROP, read_renders, visible_from
from export.behaviour.report import BehaviourReport
from export.calibration import CALIBRATION_COUNT, named, real_inputs
from export.datasets import Renders
from export.describe import NOTES, Notes, Precision, card, draft, finished, read_notes, write
from export.evaluate import FACE_FREE_FRAMES, evaluate_face
from export.evaluate_face import by_kind, false_scores
from export.evaluate_pulse import evaluate_pulse
from export.evaluate_pulse import temperature as temperature_of_odds
from export.expression_data import JUDGED, labels_of
from export.face_cases import FREE_KINDS, OPEN_GROUPS, face_free, london_subjects, render_subjects, together
from export.face_precision import judge
from export.metrics import temperature, threshold_at
from export.onnx_export import TASKS, TaskName, calibrated, load_network, to_onnx
from export.parity import INPUTS, Judged, check_difference, loss
from export.pose.release import KINDS as POSE_KINDS
from export.pose.release import add_arguments as add_pose_arguments
from export.pose.release import run as release_pose
from export.pulse_net import RATE, PulseNet
from export.quantize import to_int8

ALPHAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Sources:
    """The splits of a release: thresholds, temperatures and int8 ranges come from `val`, figures from `test`."""

    val: Path
    test: Path
    photographs: Path | None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is released, where to, and what is said of it."""

    task: TaskName
    version: str
    folder: Path
    notes: Notes
    sources: Sources

    def draft(self, precision: Precision, onnx: bytes, thresholds: Mapping[str, float]) -> ModelFile:
        """A model of this release that is not measured yet."""
        return draft(self.task, precision, onnx, version=self.version, thresholds=thresholds, notes=self.notes)

    def measure(self, precision: Precision, onnx: bytes) -> tuple[ModelFile, Judged]:
        """Choose the thresholds that data must choose, on `val`; measure on `test`."""
        return {"face": self._face, "expression": self._expression, "pulse": self._pulse}[self.task](precision, onnx)

    def _pulse(self, precision: Precision, onnx: bytes) -> tuple[ModelFile, Judged]:
        file = self.draft(precision, onnx, {})
        return file, evaluate_pulse(PulseNetwork(Model(file)), self.sources.test, self.sources.limit)

    def _expression(self, precision: Precision, onnx: bytes) -> tuple[ModelFile, Judged]:
        s = self.sources
        chosen = visibility_thresholds(ExpressionModel(Model(self.draft(precision, onnx, {}))), s.val)
        file = self.draft(precision, onnx, chosen)
        finder = FaceDetector(Model.open(self.folder, "face"))
        return file, evaluate_behaviour(ExpressionModel(Model(file)), finder, s.test, s.photographs, limit=s.limit)

    def _face(self, precision: Precision, onnx: bytes) -> tuple[ModelFile, Judged]:
        s = self.sources
        alpha = self._alpha(precision, onnx)
        score = score_threshold(self._detector(precision, onnx, alpha), s)
        file = self.draft(precision, onnx, {"score": score, "alpha": alpha})
        return file, evaluate_face(FaceDetector(Model(file)), score, s.test, s.photographs, s.limit)

    def _detector(self, precision: Precision, onnx: bytes, alpha: float) -> FaceDetector:
        return FaceDetector(Model(self.draft(precision, onnx, {"score": 0.5, "alpha": alpha})))

    def _alpha(self, precision: Precision, onnx: bytes) -> float:
        """The weight of the class in the score (MICCAI 2024, eq. 2) with the highest mean AP on `val`."""
        val = Renders(self.sources.val)
        groups = [render_subjects(val, self.sources.limit, group) for group in OPEN_GROUPS]
        everyone = together(groups, "validation")
        without = list(face_free(val, groups[:1], FACE_FREE_FRAMES // 4))
        means = {a: judge(self._detector(precision, onnx, a), everyone, without).mean for a in ALPHAS}
        print(f"{precision}, mean AP on validation by alpha:", {a: round(100 * m, 2) for a, m in means.items()})
        return max(means, key=lambda a: means[a])


def score_threshold(detector: FaceDetector, sources: Sources) -> float:
    """The score that at most 2 % of the renders of `val` without a face reach.

    Textures are easier than any ward, and spoiled faces do not occur there.
    """
    val = Renders(sources.val)
    subjects = [render_subjects(val)]
    if sources.photographs is not None:
        subjects.append(london_subjects(sources.photographs, "train"))
    scores = by_kind(false_scores(detector, face_free(val, subjects, FACE_FREE_FRAMES)))
    return round(threshold_at(scores[FREE_KINDS[0]]) + 5e-5, 4)


def visibility_thresholds(model: ExpressionModel, val: Path) -> dict[str, float]:
    """Below these a region counts as hidden."""
    reads = read_renders(model, val)
    return {region: visible_from(reads, region) for region in TARGETS if region not in JUDGED}


def temperatures(network: nn.Module, folder: Path) -> dict[str, float]:
    """The temperatures of what a network tells as probabilities, from a split that training did not see."""
    if isinstance(network, PulseNet):
        return {RATE: temperature_of_odds(network, folder)}
    return _temperatures_of_scores(network, Renders(folder)) if isinstance(network, BabyEHANet) else {}


def _temperatures_of_scores(network: nn.Module, val: Renders) -> dict[str, float]:
    spec = TASKS["expression"].input
    logits, told, judged = [], [], []
    for index, row in enumerate(val.rows):
        if row["face_box"] is None:
            continue
        points = np.array(row["landmarks"], np.float32)
        crop = aligned_crop(val.rgb(index), tuple(row["face_box"]), points, spec.size_px[1])
        with torch.inference_mode():
            logits.append(network(torch.from_numpy(prepare(crop, spec))).numpy()[0])
        truth, weight = labels_of(row)
        told.append(truth)
        judged.append(weight > 0)
    columns = zip(TARGETS, np.array(logits).T, np.array(told).T, np.array(judged).T, strict=True)
    return {name: temperature(x[keep], y[keep]) for name, x, y, keep in columns if name in JUDGED and keep.any()}


def release(plan: Plan, weights: Path) -> None:
    """Make, check and write everything; int8 only where it loses little enough and is smaller.

    Raises:
        ValueError: the graph differs from its network, or the manifest would lack something.
    """
    network, s = load_network(plan.task, weights), plan.sources
    network = calibrated(network, temperatures(network, s.val))
    fp32 = to_onnx(network, plan.task)
    probe = Model(plan.draft("fp32", fp32, {"score": 0.5}))
    worst = check_difference(network, probe, real_inputs(plan.task, s.val, s.photographs, INPUTS))
    print(f"{plan.task}: torch and fp32 differ by at most {worst:.1e} on {INPUTS} inputs")
    int8 = to_int8(fp32, plan.task, real_inputs(plan.task, s.val, s.photographs))
    graphs: tuple[tuple[Precision, bytes], ...] = (("fp32", fp32), ("int8", int8))
    measured = {precision: plan.measure(precision, graph) for precision, graph in graphs}
    file, report = measured["fp32"]
    other = measured["int8"][1]
    lost = loss(report, other)
    if isinstance(report, BehaviourReport) and isinstance(other, BehaviourReport):
        measured["fp32"] = file, report.beside(other.reads[TRUE_CROP][0])
    shipped = [finished(file, report.metrics()) for file, report in measured.values()]
    smaller = len(int8) < len(fp32)
    if not (lost.within and smaller):
        shipped = shipped[:1]
    tables = {f"{precision} on unseen infants": tuple(r.lines()) for precision, (_, r) in measured.items()}
    tables[f"int8, its ranges from {named(plan.task, CALIBRATION_COUNT)}"] = (
        *lost.lines(),
        *(() if smaller else ("int8 saves no bytes, since few of this network's are weights; fp32 is shipped alone",)),
    )
    tables["cost"] = tuple(cost.lines(network, probe))
    _write(plan, shipped, tables)


def _write(plan: Plan, shipped: list[ModelFile], tables: Mapping[str, tuple[str, ...]]) -> None:
    for suffix in (".onnx", ".toml"):
        (plan.folder / f"{plan.task}-int8{suffix}").unlink(missing_ok=True)
    for file in shipped:
        write(file, plan.folder)
    cards = plan.folder / "cards"
    cards.mkdir(exist_ok=True)
    (cards / f"{plan.task}.md").write_text(card(plan.notes, tuple(shipped), tables), encoding="utf-8")
    for name, table in tables.items():
        print(name, *table, sep="\n")
    print("released", ", ".join(f"{file.manifest.label}" for file in shipped), "into", plan.folder)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `release`."""
    parser.add_argument("task", choices=(*TASKS, *POSE_KINDS, "pain"))
    parser.add_argument(
        "--weights", type=Path, required=True, help="a state dict written by `train`; of pain its folder"
    )
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--val", type=Path, help="renders: thresholds, temperatures and int8 ranges")
    parser.add_argument("--data", type=Path, required=True, help="renders: the figures")
    parser.add_argument("--photographs", type=Path, help="the faces_london folder")
    parser.add_argument("--notes", type=Path, help="use, data, licence and limits; export/notes/TASK.toml by default")
    parser.add_argument("--folder", type=Path, default=Path("models"), help="written to; expression needs face there")
    parser.add_argument("--limit", type=int, help="judge only so many renders a condition (face) or windows (pulse)")
    add_pose_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Release one task: fp32, int8 where it is good enough, and the card."""
    if args.task == "pain":
        from export.pain.release import run as release_pain  # noqa: PLC0415  (scikit-learn is slow to import)

        return release_pain(args)
    if args.task in POSE_KINDS:
        return release_pose(args)
    if args.val is None:
        raise ValueError(f"release {args.task}: --val: missing; renders that training did not see set its thresholds")
    notes = read_notes(args.notes or NOTES / f"{args.task}.toml")
    torch.set_num_threads(1)
    sources = Sources(args.val, args.data, args.photographs, args.limit)
    release(Plan(args.task, args.version, args.folder, notes, sources), args.weights)
    return 0
