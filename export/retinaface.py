"""The `face` network: RetinaFace's pyramid, context and heads (arXiv 1905.00641) on a backbone made for one small core.

A newborn's face is 48-240 px wide in a 320x240 frame, so strides 16 and 32 suffice; stride 8 is most of the usual
cost. Down to stride 8 few channels and dense convolutions, from stride 16 on residual depthwise 3x3 blocks, plain
ReLU: 0.7 of the time of MobileNetV1 0.25 with leaky ReLU in the same place (docs/decisions/0005). A
fourth head predicts the DIoU of each box.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgemon.faces.detect import LEVELS
from export.nfd.blocks import Context, Head, Pyramid, conv_bn


@dataclass(frozen=True, slots=True)
class FaceConfig:
    """Hyper-parameters of the network."""

    stem: tuple[int, int, int] = (16, 16, 32)  # channels at strides 2, 4, 8; multiples of 16 fill a SIMD register
    channels: tuple[int, int] = (96, 128)  # at strides 16 and 32
    blocks: tuple[int, int, int] = (1, 7, 3)  # residual blocks at strides 8, 16, 32
    pyramid_channels: int = 64
    size_px: tuple[int, int] = (320, 240)


PLAIN = 0.0  # leak of a plain ReLU


class Block(nn.Module):
    """Depthwise and pointwise convolution beside an identity path."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        self.pointwise = conv_bn(channels, channels, 1, leak=None)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return F.relu(x + self.pointwise(self.depthwise(x)))


class Backbone(nn.Module):
    """Image to features at strides 16 and 32."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        (s2, s4, s8), (c16, c32), (n8, n16, n32) = config.stem, config.channels, config.blocks
        self.stage1 = nn.Sequential(
            conv_bn(3, s2, stride=2, leak=PLAIN),
            conv_bn(s2, s4, stride=2, leak=PLAIN),
            conv_bn(s4, s8, stride=2, leak=PLAIN),
            *(Block(s8) for _ in range(n8)),
        )
        self.stage2 = nn.Sequential(conv_bn(s8, c16, stride=2, leak=PLAIN), *(Block(c16) for _ in range(n16)))
        down = nn.Sequential(
            nn.Conv2d(c16, c16, 3, 2, 1, groups=c16, bias=False), nn.BatchNorm2d(c16), nn.ReLU(inplace=True)
        )
        self.stage3 = nn.Sequential(down, conv_bn(c16, c32, 1, leak=PLAIN), *(Block(c32) for _ in range(n32)))
        self.channels = config.channels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) to (B, C16, H/16, W/16) and (B, C32, H/32, W/32)."""
        s16 = self.stage2(self.stage1(x))
        return s16, self.stage3(s16)


class RetinaFace(nn.Module):
    """Image (B, 3, H, W) to logits (B, N, 2: class, DIoU), boxes (B, N, 4) and landmarks (B, N, 10), raw deltas."""

    def __init__(self, config: FaceConfig | None = None) -> None:
        super().__init__()
        self.config = config or FaceConfig()
        channels = self.config.pyramid_channels
        self.body = Backbone(self.config)
        self.fpn = Pyramid(self.body.channels, channels, PLAIN)
        self.ssh1, self.ssh2 = Context(channels, PLAIN), Context(channels, PLAIN)
        counts = [len(sides) for _, sides in LEVELS]
        self.ClassHead = nn.ModuleList(Head(channels, n, 1) for n in counts)
        self.QualityHead = nn.ModuleList(Head(channels, n, 1) for n in counts)
        self.BboxHead = nn.ModuleList(Head(channels, n, 4) for n in counts)
        self.LandmarkHead = nn.ModuleList(Head(channels, n, 10) for n in counts)
        for head in self.ClassHead:
            assert isinstance(head, Head)
            nn.init.zeros_(head.conv1x1.weight)
            assert head.conv1x1.bias is not None
            nn.init.constant_(head.conv1x1.bias, -4.6)  # the focal loss' prior of 0.01 (arXiv 1708.02002, sec. 3.3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class; levels fine to coarse."""
        fine, coarse = self.fpn(self.body(x))
        levels = (self.ssh1(fine), self.ssh2(coarse))

        def gather(heads: nn.ModuleList) -> Tensor:
            return torch.cat([head(level) for head, level in zip(heads, levels, strict=True)], dim=1)

        logits = torch.cat([gather(self.ClassHead), gather(self.QualityHead)], dim=2)
        return logits, gather(self.BboxHead), gather(self.LandmarkHead)


OUTPUTS: OrderedDict[str, str] = OrderedDict(
    logits="(1, N, 2) logits of: is a face; predicted DIoU of its box",
    boxes="(1, N, 4) deltas of centre and log size to the anchors, variances 0.1 and 0.2",
    landmarks="(1, N, 10) deltas of right eye, left eye, nose tip, right and left mouth corner, variance 0.1",
)
