"""What one reading of a face costs: our expression network beside published ones, in one process, in turns.

`python benchmarks/expression.py [--models DIR] [--rounds N] [--json FILE]`

Ours are the released graphs; the others are written anew from their publications and have random weights, which cost
the same. All are ONNX graphs of one image in the same kind of session, one thread; times are of the processor.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `export` is not installed

from edgemon.errors import ModelError
from edgemon.manifest import load
from export.attention import NO_ATTENTION
from export.babyehanet import TARGETS, BabyEHANet
from export.cost import call_of, in_turns_ms, multiplications
from export.onnx_export import traced
from export.pain import ncnn
from export.pain.ncnn import NCNN
from export.published_babyehanet import PublishedBabyEHANet, PublishedConfig

OURS, INT8 = "edgemon fp32", "edgemon int8"
RELEASED = {OURS: "expression", INT8: "expression-int8"}
UNIT = OURS
STAGES = (  # of MobileNetV2: expansion, channels, blocks, stride (arXiv 1801.04381, table 2)
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


def convolution(c_in: int, c_out: int, kernel_px: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """With batch normalisation and ReLU6."""
    conv = nn.Conv2d(c_in, c_out, kernel_px, stride, kernel_px // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU6())


class Block(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1 without activation."""

    def __init__(self, c_in: int, c_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        c = c_in * expansion
        self.layers = nn.Sequential(
            *([convolution(c_in, c)] if expansion > 1 else []),
            convolution(c, c, 3, stride, groups=c),
            *convolution(c, c_out)[:2],
        )
        self.skip = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) to (B, c_out, H / stride, W / stride)."""
        return x + self.layers(x) if self.skip else self.layers(x)


class MobileNetV2(nn.Module):
    """MobileNetV2-1.0 (arXiv 1801.04381)."""

    def __init__(self, classes: int = len(TARGETS)) -> None:
        super().__init__()
        layers: list[nn.Module] = [convolution(3, 32, 3, 2)]
        channels = 32
        for expansion, c, blocks, stride in STAGES:
            for block in range(blocks):
                layers.append(Block(channels, c, expansion, stride if block == 0 else 1))
                channels = c
        self.features = nn.Sequential(*layers, convolution(channels, 1280))
        self.classifier = nn.Linear(1280, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, classes)."""
        return self.classifier(self.features(x).mean(dim=(2, 3)))


PEERS: Mapping[str, tuple[Callable[[], nn.Module], int]] = {
    "BabyEHANet as published": (PublishedBabyEHANet, 112),
    "BabyEHANet as published, 224": (PublishedBabyEHANet, 224),
    "MobileNetV3-Small": (lambda: PublishedBabyEHANet(PublishedConfig(NO_ATTENTION)), 112),
    "MobileNetV2-1.0": (MobileNetV2, 112),
    "MobileNetV2-1.0, 224": (MobileNetV2, 224),
    "N-CNN": (NCNN, ncnn.SIDE_PX),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A network: its input, its size, and the processor time of a call with its ratio to ours in fp32."""

    name: str
    size_px: int
    weights: int
    mmacs: float
    kilobytes: int
    ms: float
    ratio: float | None


def graphs(models: Path) -> Iterator[tuple[str, int, nn.Module, bytes]]:
    """Name, input, network and graph of each; ours where they are released."""
    light = BabyEHANet().eval()
    for name, file in RELEASED.items():
        try:
            yield name, light.config.size_px, light, load(models, file).onnx
        except ModelError as error:
            sys.stderr.write(f"{error}; {name} is left out\n")
    for name, (build, size_px) in PEERS.items():
        network = build().eval()
        yield name, size_px, network, traced(network, (torch.zeros(1, 3, size_px, size_px),))


def measured(models: Path, rounds: int) -> list[Row]:
    """All networks, timed in turns."""
    found = list(graphs(models))
    spent = in_turns_ms({name: call_of(graph) for name, _, _, graph in found}, rounds)
    rows = []
    for name, size_px, network, graph in found:
        mmacs = multiplications(network, torch.zeros(1, 3, size_px, size_px)) / 1e6
        weights = sum(weight.numel() for weight in network.parameters())
        ms = round(statistics.median(spent[name]), 3)
        rows.append(Row(name, size_px, weights, round(mmacs, 1), len(graph) // 1000, ms, ratio(spent, name)))
    return rows


def ratio(spent: Mapping[str, Sequence[float]], name: str) -> float | None:
    """Time against ours in fp32, where that was timed: the median over rounds."""
    if UNIT not in spent:
        return None
    return round(statistics.median(a / b for a, b in zip(spent[name], spent[UNIT], strict=True)), 2)


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """The table."""
    yield f"one face, one thread, processor time ({platform.machine()}, {platform.system()})"
    yield f"  {'':<30}{'input px':>9}{'weights':>11}{'MMACs':>8}{'kB':>7}{'ms':>8}{'ratio':>7}"
    for row in rows:
        size = f"{row.size_px:>9}{row.weights:>11,}{row.mmacs:>8.1f}{row.kilobytes:>7}"
        yield f"  {row.name:<30}{size}{row.ms:>8.2f}{row.ratio or '-':>7}"


def main(words: Sequence[str] | None = None) -> int:
    """Print the table; write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(words)
    rows = measured(args.models, args.rounds)
    print("\n".join(lines(rows)))
    if args.json is not None:
        told = {"machine": platform.platform(), "ratio_to": UNIT, "rows": [asdict(row) for row in rows]}
        args.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
