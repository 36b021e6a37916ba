"""From trained weights to a fixed ONNX graph: one image in, batch normalisation folded, opset 17."""

from __future__ import annotations

import argparse
import pickle
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from edgemon.manifest import ModelInput, ModelOutput
from export import babyehanet, retinaface
from export.babyehanet import TARGETS, BabyEHANet, Calibrated, ExpressionConfig
from export.recipes import CROP_MEAN, CROP_SCALE, FACE_MEAN, FACE_SCALE
from export.retinaface import FaceConfig, RetinaFace

OPSET = 17
TaskName = Literal["face", "expression"]


@dataclass(frozen=True, slots=True)
class Task:
    """A network with the picture it takes and the numbers it gives."""

    network: Callable[[], nn.Module]
    size_px: tuple[int, int]
    mean: float
    scale: float
    outputs: Mapping[str, str]

    @property
    def input(self) -> ModelInput:
        """The input as the manifest tells it."""
        width, height = self.size_px
        mean, scale = (self.mean,) * 3, (self.scale,) * 3
        return ModelInput(name="image", shape=(1, 3, height, width), colour="RGB", mean=mean, scale=scale)

    @property
    def told_outputs(self) -> tuple[ModelOutput, ...]:
        """The outputs as the manifest tells them."""
        return tuple(ModelOutput(name=name, meaning=meaning) for name, meaning in self.outputs.items())


TASKS: Mapping[TaskName, Task] = {
    "face": Task(RetinaFace, FaceConfig().size_px, FACE_MEAN, FACE_SCALE, retinaface.OUTPUTS),
    "expression": Task(BabyEHANet, (ExpressionConfig().size_px,) * 2, CROP_MEAN, CROP_SCALE, babyehanet.OUTPUTS),
}


def load_network(task: TaskName, weights: Path | None) -> nn.Module:
    """The network with these weights, or as initialised, ready to be exported.

    Raises:
        ValueError: the weights cannot be read or are another network's.
    """
    network = TASKS[task].network()
    if weights is not None:
        try:
            network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            line = str(error).splitlines()[0]
            raise ValueError(f"{weights}: not weights of the {task} network: {line}") from error
    return network.eval()


def calibrated(network: nn.Module, temperatures: Mapping[str, float]) -> nn.Module:
    """The expression network with its temperatures and the sigmoid; a target that is not named keeps 1."""
    assert isinstance(network, BabyEHANet)
    return Calibrated(network, torch.tensor([temperatures.get(name, 1.0) for name in TARGETS])).eval()


def to_onnx(network: nn.Module, task: TaskName) -> bytes:
    """The graph of a network in evaluation mode for one image of the task's size."""
    spec = TASKS[task]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # the newer exporter's graph is neither smaller nor faster here; as_tensor of a tensor traces to nothing
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "torch.as_tensor results are registered as constants")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            network,
            (torch.zeros(spec.input.shape),),
            path,
            opset_version=OPSET,
            input_names=[spec.input.name],
            output_names=list(spec.outputs),
            dynamo=False,
        )
        return path.read_bytes()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `export`."""
    parser.add_argument("task", choices=tuple(TASKS))
    parser.add_argument("--weights", type=Path, help="a state dict written by `train`; without it untrained weights")
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file")


def run(args: argparse.Namespace) -> int:
    """Write one graph; `release` does this and everything a device needs beside it."""
    network = load_network(args.task, args.weights)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    data = to_onnx(calibrated(network, {}) if args.task == "expression" else network, args.task)
    args.out.write_bytes(data)
    print(f"{args.out}: {len(data) / 1e6:.2f} MB")
    return 0
