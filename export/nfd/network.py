"""The seed's network: RetinaFace on P2-P6 with three anchors a cell, sigmoid classes, HCC and the DIoU branch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from export.nfd.anchors import PYRAMID
from export.nfd.backbones import Backbone, make_backbone
from export.nfd.blocks import LEAK, Context, Head, Pyramid
from export.nfd.context import SecondStep, kept_cells
from export.nfd.official import WIDTHS

THETA = 0.9  # the first step drops what it is this sure to be background
REACH = (3, 5)  # M
HCC_LEVELS = 3  # P2-P4
MODULES = ("DIoUHead.", "second.")  # prefixes of the names in a state dict that a network without them lacks
PRIOR = 0.01  # of the focal loss at the start (arXiv 1708.02002, sec. 3.3)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Which network; `channels` of the pyramid are the official ones unless given."""

    backbone: Backbone = "resnet50"
    hcc: bool = True
    dan: bool = True
    channels: int | None = None

    @property
    def width(self) -> int:
        """Channels of the pyramid."""
        return self.channels or WIDTHS[self.backbone]


class Outputs(NamedTuple):
    """Logits and deltas of all anchors, levels fine to coarse."""

    first: Tensor  # (B, N) logits of the only classifier, or of the first step
    deltas: Tensor  # (B, N, 4)
    landmarks: Tensor  # (B, N, 10)
    second: Tensor | None  # (B, M) logits of the second step on P2-P4, the first M anchors
    quality: Tensor | None  # (B, N) logits of the predicted DIoU


class Network(nn.Module):
    """Image (B, 3, H, W), scaled to about -1..1, to `Outputs`."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        channels = self.config.width
        leak = LEAK if channels <= 64 else 0.0
        self.body = make_backbone(self.config.backbone)
        self.fpn = Pyramid(self.body.channels, channels, leak)
        self.p6 = nn.Conv2d(self.body.channels[-1], channels, 3, 2, 1)
        nn.init.xavier_uniform_(self.p6.weight)
        self.ssh = nn.ModuleList(Context(channels, leak) for _ in PYRAMID)
        counts = [len(sides) for _, sides in PYRAMID]
        self.ClassHead = nn.ModuleList(Head(channels, n, 1) for n in counts)
        self.BboxHead = nn.ModuleList(Head(channels, n, 4) for n in counts)
        self.LandmarkHead = nn.ModuleList(Head(channels, n, 10) for n in counts)
        # both modules start at constants and come last: with one seed all rows of the ablation start from equal weights
        if self.config.dan:
            self.DIoUHead = nn.ModuleList(nn.Conv2d(channels, n, 3, padding=1) for n in counts)
        if self.config.hcc:
            pairs = list(zip(self.body.channels, counts, strict=False))[:HCC_LEVELS]
            self.second = nn.ModuleList(SecondStep(c, channels, n, REACH) for c, n in pairs)
        for name, module in self.named_modules():
            if name.startswith(("ClassHead.", "DIoUHead.")) or name.endswith("classify.conv1x1"):
                _start(module, 0.0 if name.startswith("DIoUHead.") else -math.log((1 - PRIOR) / PRIOR))

    def forward(self, x: Tensor) -> Outputs:
        """See the class."""
        maps = self.body(x)
        pyramid = [*self.fpn(maps), self.p6(maps[-1])]
        levels = [layer(level) for layer, level in zip(self.ssh, pyramid, strict=True)]
        first = _each(self.ClassHead, levels)
        return Outputs(
            first=torch.cat(first, dim=1).squeeze(2),
            deltas=torch.cat(_each(self.BboxHead, levels), dim=1),
            landmarks=torch.cat(_each(self.LandmarkHead, levels), dim=1),
            second=self._second(levels, maps, first) if self.config.hcc else None,
            quality=self._quality(levels) if self.config.dan else None,
        )

    def _second(self, levels: list[Tensor], maps: tuple[Tensor, ...], first: list[Tensor]) -> Tensor:
        logits = []
        for step, level, backbone, seen in zip(self.second, levels, maps, first, strict=False):
            kept = kept_cells(seen, (level.shape[2], level.shape[3]), LIMIT)
            logits.append(step(level, backbone, kept))
        return torch.cat(logits, dim=1).squeeze(2)

    def _quality(self, levels: list[Tensor]) -> Tensor:
        flat = [y.permute(0, 2, 3, 1).reshape(y.shape[0], -1) for y in _each(self.DIoUHead, levels)]
        return torch.cat(flat, dim=1)


LIMIT = math.log((1 - THETA) / THETA)  # an anchor stays whose logit reaches this: negative confidence at most theta


def _each(heads: nn.ModuleList, levels: list[Tensor]) -> list[Tensor]:
    return [head(level) for head, level in zip(heads, levels, strict=True)]


def _start(module: nn.Module, bias: float) -> None:
    """A head that says the same of every anchor."""
    if isinstance(module, nn.Conv2d) and module.bias is not None:
        nn.init.zeros_(module.weight)
        nn.init.constant_(module.bias, bias)


class Scored(nn.Module):
    """What is deployed: face probability (B, N), predicted DIoU (B, N) unless without DAN, box and landmark deltas."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        out: Outputs = self.network(x)
        found = probability(out)
        quality = () if out.quality is None else (out.quality.sigmoid(),)
        return found, *quality, out.deltas, out.landmarks


def probability(out: Outputs) -> Tensor:
    """p (B, N): the second step's where there is one and the first step kept the anchor, else 0."""
    if out.second is None:
        return out.first.sigmoid()
    count = out.second.shape[1]
    fine, coarse = out.first[:, :count], out.first[:, count:]
    kept = (fine >= LIMIT).to(out.second.dtype)
    return torch.cat([out.second.sigmoid() * kept, coarse.sigmoid()], dim=1)
