"""`nfd-parity`: the seed's network as a fixed ONNX graph, compared with the network it was made from."""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from export.nfd import HCC_LEVELS, PYRAMID, Network, NetworkConfig, Scored
from export.nfd.anchors import cells
from export.nfd.backbones import Backbone, Bottleneck
from export.nfd.context import neighbours
from export.nfd.network import LIMIT, REACH
from export.nfd_training import frame_size
from export.onnx_export import OPSET

MAX_DIFFERENCE = 1e-4
NEAR_LIMIT = 1e-4  # of a first-step logit: rounding alone may decide here whether the anchor is kept
BACKBONES: Sequence[Backbone] = ("mobilenet", "resnet50")


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest difference of any number, the share of anchors kept on P2-P4, and the share not compared."""

    difference: float
    kept: float
    undecided: float


def to_onnx(network: Scored, size_px: tuple[int, int], path: Path) -> None:
    """Write the graph of a network in evaluation mode for one frame of (width, height)."""
    width, height = size_px
    quality = ["quality"] if network.network.config.dan else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs a further package
        warnings.filterwarnings("ignore", "torch.as_tensor results are registered as constants")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, height, width),),
            path,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["probability", *quality, "boxes", "landmarks"],
            dynamo=False,
        )


def parity(network: Scored, path: Path, image: Tensor) -> Parity:
    """Compares graph and network on one image (1, 3, H, W).

    Whether an anchor is kept is a step function of its first logit; the probability of an anchor within reach of a
    logit that is closer to the step than rounding is left out, and counted.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = session.run(None, {"image": image.numpy()})
    with torch.inference_mode():
        expected = [output.numpy() for output in network(image)]
        first = network.network(image).first[0]
    unsure, kept = np.zeros(len(first), bool), 1.0
    if network.network.config.hcc:
        unsure = undecided(first, (image.shape[3], image.shape[2]))
        kept = float((first[: _fine_anchors(image)] >= LIMIT).float().mean())
    gaps = [np.abs(a - b)[0] for a, b in zip(expected, found, strict=True)]
    gaps[0] = gaps[0][~unsure]
    return Parity(max(float(gap.max()) for gap in gaps), kept, float(unsure.mean()))


def _fine_anchors(image: Tensor) -> int:
    size_px = (image.shape[3], image.shape[2])
    return sum(int(np.prod(cells(size_px, stride))) * len(sides) for stride, sides in PYRAMID[:HCC_LEVELS])


def undecided(first: Tensor, size_px: tuple[int, int]) -> NDArray[np.bool_]:
    """Anchors (N,) whose second step a logit near the step may turn."""
    parts, start = [], 0
    for stride, sides in PYRAMID[:HCC_LEVELS]:
        rows, columns = cells(size_px, stride)
        count = rows * columns * len(sides)
        near = (first[start : start + count] - LIMIT).abs() < NEAR_LIMIT
        cell = near.reshape(1, rows, columns, len(sides)).any(dim=3)[None].float()
        reached = neighbours(cell, max(REACH)).flatten() > 0
        parts.append(reached.repeat_interleave(len(sides)).numpy())
        start += count
    return np.concatenate([*parts, np.zeros(len(first) - start, bool)])


def pictures(count: int, size_px: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Blobs of all sizes (B, 3, H, W), about -1..1, of (width, height); mere noise looks the same to deep layers."""
    width, height = size_px
    total = torch.zeros(count, 3, height, width)
    for side in (4, 12, 40, 120):
        blobs = torch.randn(count, 3, side, side, generator=generator) * 0.3
        total += F.interpolate(blobs, size=(height, width), mode="bilinear")
    return total


@torch.no_grad()
def stir(network: Network, seed: int) -> Network:
    """Untrained weights that use every part: the first step keeps some anchors, every head and context says something.

    Batch normalisation takes the statistics of made-up pictures, so that features are neither faint nor overflowing.
    Residual branches are weak, as trained ones are: at full strength sixteen of them in a row magnify rounding until
    fp32 itself is 1e-4 off fp64.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
        if isinstance(module, Bottleneck):
            nn.init.constant_(module.bn3.weight, 0.3)
    network.train()(pictures(4, (256, 256), generator))
    for name, weight in network.named_parameters():
        if name.startswith(("ClassHead", "DIoUHead", "second")) and weight.ndim == 4:
            weight.normal_(0, 0.5 * weight[0].numel() ** -0.5, generator=generator)
        if name.startswith("ClassHead") and weight.ndim == 1:
            weight.fill_(LIMIT)
    return network.eval()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nfd-parity`."""
    parser.add_argument("--size", type=frame_size, default=frame_size("640x640"), help="of a frame, WxH in px")
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    parser.add_argument("--weights", type=Path, help="a state dict of `nfd-train` (one backbone); else made-up weights")
    parser.add_argument("--out", type=Path, help="keep the graphs in this folder")
    parser.add_argument("--seed", type=int, default=1)


def run(args: argparse.Namespace) -> int:
    """Print the difference of every backbone; 1 where one is above 1e-4."""
    worst = 0.0
    for backbone in args.backbones:
        torch.manual_seed(args.seed)
        network = stir(Network(NetworkConfig(backbone)), args.seed)
        if args.weights:
            network.load_state_dict(torch.load(args.weights, map_location="cpu", weights_only=True))
        image = pictures(1, args.size, torch.Generator().manual_seed(args.seed))
        scored = Scored(network).eval()
        with tempfile.TemporaryDirectory() as folder:
            path = (args.out or Path(folder)) / f"nfd-{backbone}.onnx"
            path.parent.mkdir(parents=True, exist_ok=True)
            to_onnx(scored, args.size, path)
            began = time.monotonic()
            found = parity(scored, path, image)
            print(
                f"{backbone} at {args.size[0]}x{args.size[1]}: differs by at most {found.difference:.1e}; "
                f"the first step keeps {found.kept:.1%} of P2-P4, {found.undecided:.2%} of all are undecided; "
                f"{path.stat().st_size / 1e6:.1f} MB, compared in {time.monotonic() - began:.1f} s"
            )
        worst = max(worst, found.difference)
    return int(worst > MAX_DIFFERENCE)
