"""The `expression` network: a light inverted-residual net with dual-residual hybrid attention (DR-EHA).

An own reading of the idea published for BabyEHANet (its README names the parts, not their form): a channel gate and
a spatial gate in a row, each with its own identity path, so that a closed gate leaves the features as they are.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from export.attention import DR_EHA, Attention

TARGETS = (
    *("eyes_closed", "crying", "yawning", "eyes_visible", "mouth_visible"),
    *("brow_bulge", "eye_squeeze", "nasolabial_furrow", "brow_visible", "cheeks_visible"),
)


@dataclass(frozen=True, slots=True)
class ExpressionConfig:
    """Hyper-parameters; the defaults cost 20 MMACs at 112 px."""

    size_px: int = 112
    stem: int = 16
    stages: tuple[tuple[int, int, int, int], ...] = (  # channels, stride, blocks, expansion
        (24, 2, 1, 3),
        (40, 2, 2, 3),
        (80, 2, 3, 3),
        (128, 2, 3, 3),
    )
    head: int = 256
    dropout: float = 0.2
    attention: Attention = DR_EHA


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1 (arXiv 1801.04381)."""

    def __init__(self, c_in: int, c_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        c = c_in * expansion
        self.layers = nn.Sequential(
            nn.Conv2d(c_in, c, 1, bias=False),
            nn.BatchNorm2d(c),
            nn.ReLU6(inplace=True),
            nn.Conv2d(c, c, 3, stride, 1, groups=c, bias=False),
            nn.BatchNorm2d(c),
            nn.ReLU6(inplace=True),
            nn.Conv2d(c, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out),
        )
        self.skip = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) to (B, c_out, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.skip else y


class BabyEHANet(nn.Module):
    """Upright face (B, 3, 112, 112) to logits (B, 10) in the order of `TARGETS`."""

    def __init__(self, config: ExpressionConfig | None = None) -> None:
        super().__init__()
        self.config = config or ExpressionConfig()
        channels = self.config.stem
        layers: list[nn.Module] = [
            nn.Conv2d(3, channels, 3, 2, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU6(inplace=True),
        ]
        for c, stride, blocks, expansion in self.config.stages:
            for block in range(blocks):
                layers.append(InvertedResidual(channels, c, stride if block == 0 else 1, expansion))
                channels = c
            layers += self.config.attention.gates(channels)
        layers += [
            nn.Conv2d(channels, self.config.head, 1, bias=False),
            nn.BatchNorm2d(self.config.head),
            nn.ReLU6(inplace=True),
        ]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(self.config.dropout), nn.Linear(self.config.head, len(TARGETS)))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.as_tensor(self.classifier(self.features(x).mean(dim=(2, 3))))


class Calibrated(nn.Module):
    """The network with temperature scaling (arXiv 1706.04599) and the sigmoid inside the graph."""

    def __init__(self, network: BabyEHANet, temperatures: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("temperatures", temperatures)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 112, 112) to probabilities (B, 10)."""
        return torch.sigmoid(self.network(x) / self.get_buffer("temperatures"))


OUTPUTS: OrderedDict[str, str] = OrderedDict(
    scores="(1, 10) calibrated 0..1: " + ", ".join(name.replace("_", " ") for name in TARGETS),
)
