"""Hybrid attention: a gate over channels and one over places in a row, each with or without its own identity path.

What BabyEHANet's README calls a dual-residual enhanced hybrid attention block (DR-EHA) is read as both with residuals:
y = x + x * A_c(x), z = y + y * A_s(y); the plain gates of CBAM (arXiv 1807.06521) are x * A(x).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Attention:
    """Which gates a block has, and their form."""

    channel: bool = True
    spatial: bool = True
    residual: bool = True
    reduction: int | None = None  # of a perceptron over channels; without it a convolution along them
    kernel_px: int = 7  # of the spatial gate

    def gates(self, channels: int) -> Iterator[nn.Module]:
        """Two layers for maps of so many channels; a gate that is left out passes its input on."""
        kind = ChannelGate(self.residual) if self.reduction is None else self._perceptron(channels)
        yield kind if self.channel else nn.Identity()
        yield SpatialGate(self.residual, self.kernel_px) if self.spatial else nn.Identity()

    def _perceptron(self, channels: int) -> PerceptronGate:
        assert self.reduction is not None
        return PerceptronGate(channels, self.reduction, self.residual)


DR_EHA = Attention()
NO_ATTENTION = Attention(channel=False, spatial=False)


class Gate(nn.Module, ABC):
    """x + x * sigmoid(logit(x)), or without the identity x * sigmoid(logit(x))."""

    def __init__(self, residual: bool) -> None:
        super().__init__()
        self.residual = residual

    @abstractmethod
    def logit(self, x: Tensor) -> Tensor:
        """A map that broadcasts to that of x (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        gated = x * torch.sigmoid(self.logit(x))
        return x + gated if self.residual else gated


class ChannelGate(Gate):
    """ECA (arXiv 1910.03151): a convolution along the channels of the mean."""

    def __init__(self, residual: bool = True, kernel: int = 5) -> None:
        super().__init__(residual)
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2)
        nn.init.zeros_(self.conv.weight)

    def logit(self, x: Tensor) -> Tensor:
        """(B, C, 1, 1)."""
        mean = x.mean(dim=(2, 3)).unsqueeze(1)
        return torch.as_tensor(self.conv(mean)).transpose(1, 2).unsqueeze(-1)


class PerceptronGate(Gate):
    """CBAM's channel gate (arXiv 1807.06521, eq. 2): one perceptron on the mean and on the maximum, added."""

    def __init__(self, channels: int, reduction: int, residual: bool = True) -> None:
        super().__init__(residual)
        hidden = max(4, channels // reduction)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.conv = nn.Conv2d(hidden, channels, 1)
        nn.init.zeros_(self.conv.weight)

    def logit(self, x: Tensor) -> Tensor:
        """(B, C, 1, 1)."""
        pooled = (x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True))
        mean, most = (torch.as_tensor(self.conv(torch.relu(self.squeeze(p)))) for p in pooled)
        return mean + most


class SpatialGate(Gate):
    """CBAM's spatial gate (arXiv 1807.06521, eq. 3): a convolution of the mean and the maximum over channels."""

    def __init__(self, residual: bool = True, kernel_px: int = 7) -> None:
        super().__init__(residual)
        self.conv = nn.Conv2d(2, 1, kernel_px, padding=kernel_px // 2)
        nn.init.zeros_(self.conv.weight)

    def logit(self, x: Tensor) -> Tensor:
        """(B, 1, H, W)."""
        pooled = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return torch.as_tensor(self.conv(pooled))
