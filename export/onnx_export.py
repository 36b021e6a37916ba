"""From trained weights to an ONNX graph: one image or clip in, batch normalisation folded, opset 17."""

from __future__ import annotations

import argparse
import pickle
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from edgemon.faces.patch import SIDE
from edgemon.manifest import FRAMES, ModelInput, ModelOutput
from export import babyehanet, pulse_net, retinaface
from export.babyehanet import TARGETS, BabyEHANet, Calibrated, ExpressionConfig
from export.behaviour.weights import restored
from export.pulse_net import PulseNet
from export.recipes import CROP_MEAN, CROP_SCALE, FACE_MEAN, FACE_SCALE
from export.retinaface import FaceConfig, RetinaFace

OPSET = 17
TaskName = Literal["face", "expression", "pulse"]


@dataclass(frozen=True, slots=True)
class Task:
    """A network with the picture or clip it takes and the numbers it gives."""

    network: Callable[[], nn.Module]
    input: ModelInput
    outputs: Mapping[str, str]

    @property
    def told_outputs(self) -> tuple[ModelOutput, ...]:
        """The outputs as the manifest tells them."""
        return tuple(ModelOutput(name=name, meaning=meaning) for name, meaning in self.outputs.items())


def _image(size_px: tuple[int, int], mean: float, scale: float) -> ModelInput:
    width, height = size_px
    return ModelInput(name="image", shape=(1, 3, height, width), colour="RGB", mean=(mean,) * 3, scale=(scale,) * 3)


_CROP = _image((ExpressionConfig().size_px,) * 2, CROP_MEAN, CROP_SCALE)
_PATCHES = ModelInput(
    name="patches", shape=(1, "frames", 3, SIDE, SIDE), colour="RGB", mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0)
)
TASKS: Mapping[TaskName, Task] = {
    "face": Task(RetinaFace, _image(FaceConfig().size_px, FACE_MEAN, FACE_SCALE), retinaface.OUTPUTS),
    "expression": Task(BabyEHANet, _CROP, babyehanet.OUTPUTS),
    "pulse": Task(PulseNet, _PATCHES, pulse_net.OUTPUTS),
}


def load_network(task: TaskName, weights: Path | None) -> nn.Module:
    """The network with these weights, or as initialised, ready to be exported; expression's may be a released graph.

    Raises:
        ValueError: the weights cannot be read or are another network's.
    """
    if weights is not None and weights.suffix == ".onnx" and task == "expression":
        return _released(weights)
    network = TASKS[task].network()
    if weights is not None:
        try:
            network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            line = str(error).splitlines()[0]
            raise ValueError(f"{weights}: not weights of the {task} network: {line}") from error
    return network.eval()


def _released(path: Path) -> nn.Module:
    told = restored(path.read_bytes())
    if told.targets != TARGETS:
        raise ValueError(f"{path}: tells {len(told.targets)} of {len(TARGETS)} scores; a release needs all of them")
    return told.network


def calibrated(network: nn.Module, temperatures: Mapping[str, float]) -> nn.Module:
    """The network with its temperatures; a target that is not named keeps 1, and a network without any stays."""
    if isinstance(network, PulseNet):
        return pulse_net.Calibrated(network, torch.tensor(temperatures.get(pulse_net.RATE, 1.0))).eval()
    if isinstance(network, BabyEHANet):
        return Calibrated(network, torch.tensor([temperatures.get(name, 1.0) for name in TARGETS])).eval()
    return network


def to_onnx(network: nn.Module, task: TaskName) -> bytes:
    """The graph of a network in evaluation mode for one image of the task's size, or one clip of any length."""
    spec = TASKS[task]
    example = (torch.zeros(spec.input.sized()),)
    return traced(network, example, (spec.input.name,), tuple(spec.outputs), _open_axes(task))


def traced(
    network: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str] = ("image",),
    outputs: Sequence[str] = ("scores",),
    axes: Mapping[str, Mapping[int, str]] | None = None,
    *,
    opset: int = OPSET,
) -> bytes:
    """The graph of a network in evaluation mode for inputs of the example's shapes, but for the open axes."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # the newer exporter's graph is neither smaller nor faster here; as_tensor of a tensor traces to nothing
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "torch.as_tensor results are registered as constants")
        # recurrent layers check their input's shape while traced, and warn of batches, which no device has
        warnings.filterwarnings("ignore", "Converting a tensor to a Python boolean")
        warnings.filterwarnings("ignore", "Constant folding - Only steps=1 can be constant folded")
        warnings.filterwarnings("ignore", "Exporting a model to ONNX with a batch_size other than 1")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            network,
            example,
            path,
            opset_version=opset,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            dynamo=False,
        )
        return path.read_bytes()


def _open_axes(task: TaskName) -> dict[str, dict[int, str]]:
    """Where tensors may have any length."""
    spec = TASKS[task]
    return {name: {1: FRAMES} for name in (spec.input.name, pulse_net.WAVE)} if FRAMES in spec.input.shape else {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `export`."""
    parser.add_argument("task", choices=tuple(TASKS))
    parser.add_argument("--weights", type=Path, help="a state dict written by `train`; without it untrained weights")
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file")


def run(args: argparse.Namespace) -> int:
    """Write one graph; `release` does this and everything a device needs beside it."""
    network = load_network(args.task, args.weights)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    data = to_onnx(calibrated(network, {}), args.task)
    args.out.write_bytes(data)
    print(f"{args.out}: {len(data) / 1e6:.2f} MB")
    return 0
