"""Graphs against the network they come from: torch = fp32 within 1e-4, and what int8 costs in the metric."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from edgemon.faces.detect import FaceDetector
from edgemon.inference import ExpressionModel, Model, Tensor
from edgemon.manifest import load
from edgemon.observations.pulse_network import PulseNetwork
from export.babyehanet import TARGETS
from export.behaviour.evaluate import evaluate_behaviour
from export.behaviour.report import BehaviourReport
from export.calibration import real_inputs
from export.evaluate import evaluate_face
from export.evaluate_face import FaceReport
from export.evaluate_pulse import PulseReport, evaluate_pulse
from export.metrics import threshold_at
from export.onnx_export import TASKS, calibrated, load_network
from export.pulse_net import RATE

Judged = FaceReport | BehaviourReport | PulseReport
MAX_DIFFERENCE = 1e-4
INPUTS = 40
MAX_LOSS_POINTS: Mapping[str, float] = {"mean": 1.0, "worst": 5.0}  # of what int8 may lose, in percentage points


def difference(network: nn.Module, model: Model, inputs: Iterable[Tensor]) -> float:
    """The largest difference of any output number, as a share of its output's largest where that is above 1."""
    worst = 0.0
    with torch.inference_mode():
        for tensor in inputs:
            expected = network(torch.from_numpy(tensor))
            expected = expected if isinstance(expected, tuple) else (expected,)
            pairs = zip(expected, model(tensor), strict=True)
            worst = max(
                [worst, *(float(np.abs(a.numpy() - b).max()) / max(1.0, float(a.abs().max())) for a, b in pairs)]
            )
    return worst


def check_difference(network: nn.Module, model: Model, inputs: Iterable[Tensor]) -> float:
    """The largest difference.

    Raises:
        ValueError: it is above 1e-4.
    """
    worst = difference(network, model, inputs)
    if worst > MAX_DIFFERENCE:
        raise ValueError(f"{model.manifest.label}: differs from its network by {worst:.1e}, at most 1e-4 is allowed")
    return worst


def temperatures_in(graph: bytes) -> dict[str, float]:
    """The temperatures that an expression or a pulse graph was released with."""
    for tensor in onnx.load_from_string(graph).graph.initializer:
        if tensor.name == "temperatures":
            values = numpy_helper.to_array(tensor).tolist()
            names = (RATE,) if len(values) == 1 else TARGETS[: len(values)]
            return dict(zip(names, values, strict=True))
    raise ValueError("the graph holds no temperatures; it is neither an expression nor a pulse model")


@dataclass(frozen=True, slots=True)
class Loss:
    """What int8 loses by condition, in percentage points of what `figures` tells."""

    points: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Over all conditions."""
        return float(np.mean(list(self.points.values())))

    @property
    def worst(self) -> tuple[str, float]:
        """The condition that loses most."""
        return max(self.points.items(), key=lambda item: item[1])

    @property
    def within(self) -> bool:
        """Whether int8 may be shipped."""
        return self.mean <= MAX_LOSS_POINTS["mean"] and self.worst[1] <= MAX_LOSS_POINTS["worst"]

    def lines(self) -> Iterator[str]:
        """The verdict and every loss above half a point."""
        name, worst = self.worst
        verdict = "within" if self.within else "ABOVE"
        yield (
            f"int8 loses {self.mean:.2f} points on average, {worst:.2f} at worst ({name}); {verdict} the limit of "
            f"{MAX_LOSS_POINTS['mean']:.1f} and {MAX_LOSS_POINTS['worst']:.1f}"
        )
        for condition, points in self.points.items():
            if points > 0.5:
                yield f"  {condition}: {points:.2f}"


def figures(report: Judged) -> dict[str, float]:
    """What int8 is judged by: recall at 2 % false frames, AUC and balanced accuracy, or rates within 5 bpm."""
    if isinstance(report, FaceReport):
        at = threshold_at(report.false)
        return {f"{f.data}, {c}": f.recall(c, at) for f in report.finds for c in f.conditions}
    if isinstance(report, PulseReport):
        return {f"{seconds} s, within 5 bpm": reads.near for seconds, reads in report.reads.items()}
    assert isinstance(report, BehaviourReport)
    return report.figures()


def loss(fp32: Judged, int8: Judged) -> Loss:
    """The int8 model against the fp32 one on the same pictures, each at its own threshold."""
    ours, theirs = figures(int8), figures(fp32)
    return Loss({name: 100 * (theirs[name] - ours[name]) for name in theirs})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `parity`."""
    parser.add_argument("task", choices=tuple(TASKS))
    parser.add_argument("--weights", type=Path, required=True, help="the state dict that was released")
    parser.add_argument("--models", type=Path, default=Path("models"), help="the folder of released models")
    parser.add_argument("--data", type=Path, required=True, help="renders that training did not see")
    parser.add_argument("--photographs", type=Path, help="the faces_london folder")
    parser.add_argument("--limit", type=int, help="judge only so many renders a condition (face) or windows (pulse)")


def run(args: argparse.Namespace) -> int:
    """Print both comparisons; 1 where int8 loses more than is allowed."""
    fp32 = Model.open(args.models, args.task)
    network = load_network(args.task, args.weights)
    if args.task != "face":
        network = calibrated(network, temperatures_in(load(args.models, args.task).onnx))
    worst = check_difference(network, fp32, real_inputs(args.task, args.data, args.photographs, INPUTS))
    print(f"torch and fp32 differ by at most {worst:.1e} on {INPUTS} inputs")
    lost = loss(*(_report(args, name) for name in (args.task, f"{args.task}-int8")))
    for line in lost.lines():
        print(line)
    return 0 if lost.within else 1


def _report(args: argparse.Namespace, name: str) -> Judged:
    model = Model.open(args.models, name)
    if args.task == "face":
        score = model.manifest.threshold("score")
        return evaluate_face(FaceDetector(model), score, args.data, args.photographs, args.limit)
    if args.task == "pulse":
        return evaluate_pulse(PulseNetwork(model), args.data, args.limit)
    finder = FaceDetector(Model.open(args.models, "face"))
    return evaluate_behaviour(ExpressionModel(model), finder, args.data, args.photographs)
