"""HRNet (arXiv 1908.07919): branches of several resolutions side by side, joined again and again.

Modules are named as in the official DEKR's state dicts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.dekr.config import DekrConfig


def conv_bn(c_in: int, c_out: int, kernel: int = 3, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    """Convolution without bias, batch normalisation and, if asked, ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(c_out)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; `groups` keeps the channels of each joint apart."""

    def __init__(self, channels: int, groups: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, groups=groups, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + x)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 to four times the width, around a shortcut."""

    def __init__(self, c_in: int, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample = conv_bn(c_in, 4 * width, 1, relu=False) if c_in != 4 * width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) to (B, 4 * width, H, W)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + self.downsample(x))


def _fuse(channels: Sequence[int], to: int, source: int) -> nn.Module:
    """Branch `source` brought to the width and resolution of branch `to`."""
    if source == to:
        return nn.Identity()
    if source > to:
        up = nn.Upsample(scale_factor=2 ** (source - to), mode="nearest")
        return nn.Sequential(*conv_bn(channels[source], channels[to], 1, relu=False), up)
    steps = [conv_bn(channels[source], channels[source], stride=2) for _ in range(to - source - 1)]
    return nn.Sequential(*steps, conv_bn(channels[source], channels[to], stride=2, relu=False))


class Module(nn.Module):
    """Blocks on each branch, then every branch gets the sum of all."""

    def __init__(self, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        count = range(len(channels))
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(c) for _ in range(blocks))) for c in channels)
        self.fuse_layers = nn.ModuleList(nn.ModuleList(_fuse(channels, i, j) for j in count) for i in count)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """As many maps, of the same shapes."""
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for layers in self.fuse_layers:
            assert isinstance(layers, nn.ModuleList)
            parts = [layer(x) for layer, x in zip(layers, maps, strict=True)]
            fused.append(F.relu(_total(parts)))
        return fused


def _total(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


class HRNet(nn.Module):
    """A picture (B, 3, H, W) to the maps of all branches at stride 4, side by side (B, sum of channels, H/4, W/4)."""

    def __init__(self, config: DekrConfig) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, config.stem, 3, 2, 1, bias=False), nn.BatchNorm2d(config.stem)
        self.conv2, self.bn2 = nn.Conv2d(config.stem, config.stem, 3, 2, 1, bias=False), nn.BatchNorm2d(config.stem)
        wide = 4 * config.bottleneck
        widths = [config.stem, *[wide] * config.bottlenecks]
        self.layer1 = nn.Sequential(*(Bottleneck(c, config.bottleneck) for c in widths[:-1]))
        before, channels = [widths[-1]], config.channels
        for stage, count in enumerate(config.modules, 2):
            after = list(channels[:stage])
            self.add_module(f"transition{stage - 1}", nn.ModuleList(_transition(before, after)))
            modules = (Module(after, config.blocks) for _ in range(count))
            self.add_module(f"stage{stage}", nn.ModuleList(modules))
            before = after
        self.stages = range(2, 2 + len(config.modules))
        self.width = sum(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Width and height must be multiples of the config's `multiple_px`."""
        x = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(images))))))
        maps = [self.layer1(x)]
        for stage in self.stages:
            transition, modules = self.get_submodule(f"transition{stage - 1}"), self.get_submodule(f"stage{stage}")
            assert isinstance(transition, nn.ModuleList)
            assert isinstance(modules, nn.ModuleList)
            maps = [step(maps[min(i, len(maps) - 1)]) for i, step in enumerate(transition)]
            for module in modules:
                maps = module(maps)
        finest = maps[0]
        up = [F.interpolate(x, scale_factor=2**b, mode="bilinear") for b, x in enumerate(maps[1:], 1)]
        return torch.cat([finest, *up], dim=1)


def _transition(before: Sequence[int], after: Sequence[int]) -> list[nn.Module]:
    """Steps to one branch more: the last of `after` is made of the last of `before`, others keep their resolution."""
    kept: list[nn.Module] = [nn.Identity() if a == b else conv_bn(b, a) for b, a in zip(before, after, strict=False)]
    return [*kept, nn.Sequential(conv_bn(before[-1], after[-1], stride=2))]
