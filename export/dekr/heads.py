"""DEKR's heads: where joints and centres are, how far each joint lies from the centre, and what the infant does."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export.dekr.adaptive import AdaptiveBlock, PlainBlock
from export.dekr.config import HEAD_SIDES, JOINTS, POSTURES, SPOT, DekrConfig
from export.dekr.hrnet import BasicBlock, conv_bn


def heatmap_head(config: DekrConfig) -> nn.Sequential:
    """One block and a 1x1 convolution to 14 joints and the centre, last; raw, without a sigmoid."""
    channels = config.heatmap_channels
    return nn.Sequential(nn.Sequential(BasicBlock(channels)), nn.Conv2d(channels, JOINTS + 1, 1))


def attributes_head(width: int, config: DekrConfig) -> nn.Sequential:
    """1x1 convolutions to the logits of posture and head side and to the spot, read at the centre's cell.

    The coarsest branch, which has seen the whole picture, is among the features.
    """
    count = len(POSTURES) + len(HEAD_SIDES) + SPOT
    return nn.Sequential(*conv_bn(width, config.heatmap_channels, 1), nn.Conv2d(config.heatmap_channels, count, 1))


class OffsetHead(nn.Module):
    """All joints' branches at once: blocks in groups, then two numbers x, y a joint."""

    def __init__(self, config: DekrConfig) -> None:
        super().__init__()
        shared = config.head == "shared"
        self.channels = config.offset_channels if shared else JOINTS * config.per_joint
        groups = 1 if shared else JOINTS
        self.blocks = nn.Sequential(*(_block(config, self.channels) for _ in range(config.offset_blocks)))
        self.final = nn.Conv2d(self.channels, 2 * JOINTS, 1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, 28, H, W): x0, y0, x1, y1, ..., position less joint in cells."""
        y: Tensor = self.final(self.blocks(x))
        return y


def _block(config: DekrConfig, channels: int) -> nn.Module:
    if config.head == "adaptive":
        return AdaptiveBlock(JOINTS, config.per_joint)
    return PlainBlock(channels, JOINTS if config.head == "plain" else 1)


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """Weights to train from scratch; the official code's 0.001 everywhere is for a backbone that was trained before.

    The taps of adaptive blocks begin at the centre, as the official code's do; the last layers begin near nought.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.normal_(module.weight, std=0.001)
                nn.init.zeros_(module.bias)
    for block in network.modules():
        if isinstance(block, AdaptiveBlock):
            block.start()
