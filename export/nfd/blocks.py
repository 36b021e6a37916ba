"""What the networks are built from, module names as in the published state dicts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAK = 0.1


def conv_bn(c_in: int, c_out: int, kernel: int = 3, stride: int = 1, leak: float | None = LEAK) -> nn.Sequential:
    """Convolution, batch normalisation and, unless `leak` is None, leaky ReLU; of no leak the plain one."""
    layers: list[nn.Module] = [nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(c_out)]
    if leak is not None:
        layers.append(nn.LeakyReLU(leak, inplace=True) if leak else nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def conv_dw(c_in: int, c_out: int, stride: int = 1) -> nn.Sequential:
    """Depthwise 3x3 and pointwise 1x1, each with batch normalisation and leaky ReLU."""
    depthwise = nn.Conv2d(c_in, c_in, 3, stride, 1, groups=c_in, bias=False)
    activation = nn.LeakyReLU(LEAK, inplace=True)
    return nn.Sequential(depthwise, nn.BatchNorm2d(c_in), activation, *conv_bn(c_in, c_out, kernel=1))


class Head(nn.Module):
    """One 1x1 convolution: `size` numbers per anchor."""

    def __init__(self, channels: int, count: int, size: int) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(channels, count * size, 1)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, H * W * count, size), anchors in the order of `priors`."""
        y: Tensor = self.conv1x1(x)
        return y.permute(0, 2, 3, 1).reshape(x.shape[0], -1, self.size)


class Pyramid(nn.Module):
    """Top-down pathway: `output{i}` narrows level i, `merge{i}` smooths it once the coarser one is added."""

    def __init__(self, channels: Sequence[int], out: int, leak: float) -> None:
        super().__init__()
        self.levels = len(channels)
        for number, c in enumerate(channels, 1):
            self.add_module(f"output{number}", conv_bn(c, out, kernel=1, leak=leak))
            if number < self.levels:
                self.add_module(f"merge{number}", conv_bn(out, out, leak=leak))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps fine to coarse, to as many of `out` channels; the coarsest is not smoothed."""
        found = [self.get_submodule(f"output{n}")(x) for n, x in enumerate(maps, 1)]
        for n in range(self.levels - 1, 0, -1):
            fine, coarse = found[n - 1], found[n]
            up = F.interpolate(coarse, size=[fine.shape[2], fine.shape[3]], mode="nearest")
            found[n - 1] = self.get_submodule(f"merge{n}")(fine + up)
        return found


class Context(nn.Module):
    """SSH: receptive fields of 3, 5 and 7 side by side (arXiv 1708.03979)."""

    def __init__(self, channels: int, leak: float) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.conv3X3 = conv_bn(channels, half, leak=None)
        self.conv5X5_1 = conv_bn(channels, quarter, leak=leak)
        self.conv5X5_2 = conv_bn(quarter, quarter, leak=None)
        self.conv7X7_2 = conv_bn(quarter, quarter, leak=leak)
        self.conv7x7_3 = conv_bn(quarter, quarter, leak=None)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        shared = self.conv5X5_1(x)
        parts = [self.conv3X3(x), self.conv5X5_2(shared), self.conv7x7_3(self.conv7X7_2(shared))]
        return F.relu(torch.cat(parts, dim=1))
