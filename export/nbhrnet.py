"""NBHRnet (Huang 2021, doi 10.1016/j.engappai.2021.104447) whole: infant video to the pulse wave and the heart rate.

Written anew from facts about the published network, whose code bears no licence. Layers, widths and their order
(convolution, PReLU, batch normalisation) are the published ones, with 2,744,886 numbers in Keras' count. Where the
published code slips, we depart:

- Its third dilated branch is named dilation 3 and has 2; `third_dilation` gives either.
- Its Pearson loss takes means over the batch and sums over all of it, so it compares infants; ours takes each window.
- Its rate is told in Hz less 1.2 with a ReLU, and its labels bear no unit: 120 bpm must be stored as 2.0. Below 72 bpm
  the ReLU neither answers nor learns; `rate="odds"` tells logits over the grid of `edgemon.rppg` instead.
- Its variables are named attention, of which there is none; its scripts import modules and classes by other names than
  they have, and compile two losses for a network with one output, so it does not run as published.
- One PReLU slope for each pixel is 42 % of its numbers; `prelu="channel"` has one for each channel (1,586,982 in all).
- Keras pads strided layers at the lower right only; ours on all sides, which moves the picture by half a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from edgemon.rppg import GRID_BPM

FLOOR_HZ = 1.2


@dataclass(frozen=True, slots=True)
class NBHRConfig:
    """The published network is the default; `frames` and `size_px` are those of its input."""

    frames: int = 60
    size_px: int = 128
    prelu: Literal["element", "channel"] = "element"
    third_dilation: int = 2
    rate: Literal["hz", "odds"] = "hz"


class ElementwisePReLU(nn.Module):
    """x where positive, else a learnt slope of its own for every element of (C, H, W), zero at first."""

    def __init__(self, channels: int, size_px: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(channels, size_px, size_px))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return x.clamp(min=0) + self.slope * x.clamp(max=0)


class _Layers:
    """Builds the layers of one configuration."""

    def __init__(self, config: NBHRConfig) -> None:
        self._elementwise = config.prelu == "element"

    def prelu(self, channels: int, size_px: int) -> nn.Module:
        return ElementwisePReLU(channels, size_px) if self._elementwise else nn.PReLU(channels, init=0.0)

    def conv(
        self, c_in: int, c_out: int, size_px: int, stride: int = 1, *, dilation: int = 1, norm: bool = True
    ) -> nn.Module:
        """Convolution 3x3, PReLU and normalisation; `size_px` is that of what comes out."""
        layers = [nn.Conv2d(c_in, c_out, 3, stride, dilation, dilation), self.prelu(c_out, size_px)]
        return nn.Sequential(*layers, *([nn.BatchNorm2d(c_out)] if norm else []))


class ParallelDilated(nn.Module):
    """Three branches of other dilations, each halved, then normalised and joined by a 1x1 convolution."""

    def __init__(self, layers: _Layers, c_in: int, branch: int, c_out: int, *, size_px: int, third: int) -> None:
        super().__init__()
        half = size_px // 2
        self.branches = nn.ModuleList(
            nn.Sequential(
                layers.conv(c_in, branch, size_px, dilation=d), layers.conv(branch, branch, half, 2, norm=False)
            )
            for d in (1, 2, third)
        )
        self.join = nn.Sequential(
            nn.BatchNorm2d(3 * branch), nn.Conv2d(3 * branch, c_out, 1), layers.prelu(c_out, half)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) to (N, c_out, H / 2, W / 2)."""
        joined: Tensor = self.join(torch.cat([branch(x) for branch in self.branches], dim=1))
        return joined


class Recurrent(nn.Module):
    """LSTM layers one after the other, each with its width, direction and dropout; one bias, as Keras has."""

    def __init__(self, c_in: int, widths: tuple[tuple[int, bool], ...], dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for width, both_ways in widths:
            layer = nn.LSTM(c_in, width, batch_first=True, bidirectional=both_ways)
            for name, bias in layer.named_parameters():
                if name.startswith("bias_hh"):  # the same as bias_ih twice over
                    nn.init.zeros_(bias)
                    bias.requires_grad = False
            self.layers.append(layer)
            c_in = width * (2 if both_ways else 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, last width); dropout after all layers but the last."""
        for number, layer in enumerate(self.layers):
            x = layer(x)[0]
            x = self.dropout(x) if number < len(self.layers) - 1 else x
        return x


class PPGExtractor(nn.Module):
    """Video (B, T, 3, H, W), each clip's channels normalised, to the pulse wave (B, T)."""

    def __init__(self, config: NBHRConfig | None = None) -> None:
        super().__init__()
        config = config or NBHRConfig()
        make, s = _Layers(config), config.size_px
        self.frame = nn.Sequential(
            make.conv(3, 32, s),
            make.conv(32, 32, s // 2, 2),
            ParallelDilated(make, 32, 16, 48, size_px=s // 2, third=config.third_dilation),
            ParallelDilated(make, 48, 32, 96, size_px=s // 4, third=config.third_dilation),
            make.conv(96, 128, s // 8),
            make.conv(128, 192, s // 16, 2),
            make.conv(192, 192, s // 16),
            make.conv(192, 256, s // 32, 2, norm=False),
        )
        self.pooled = nn.BatchNorm1d(256)
        self.time = Recurrent(256, ((96, True), (32, True), (8, False)), dropout=0.25)
        self.wave = nn.Sequential(nn.BatchNorm1d(8), nn.Conv1d(8, 1, 3, padding=1), nn.ReLU())

    def forward(self, video: Tensor) -> Tensor:
        """See the class."""
        batch, frames = video.shape[:2]
        seen = self.frame(video.flatten(0, 1)).mean(dim=(2, 3))
        features = self.time(self.pooled(seen).reshape(batch, frames, -1))
        wave: Tensor = self.wave(features.transpose(1, 2))[:, 0]
        return wave


class HRExtractor(nn.Module):
    """Pulse wave (B, frames) to its rate: Hz - 1.2 (B,), or logits over GRID_BPM (B, 169)."""

    def __init__(self, config: NBHRConfig | None = None) -> None:
        super().__init__()
        config = config or NBHRConfig()
        self.rate = config.rate
        self.time = Recurrent(1, ((32, True), (24, True), (8, True), (1, False)))
        self.dense = nn.Linear(config.frames, 32)
        self.dropout = nn.Dropout(0.25)
        self.out = nn.Linear(32, 1 if config.rate == "hz" else len(GRID_BPM))

    def forward(self, wave: Tensor) -> Tensor:
        """See the class."""
        beats = self.time(wave.unsqueeze(2))[..., 0]
        told: Tensor = self.out(self.dropout(torch.tanh(self.dense(beats))))
        return torch.relu(told[:, 0]) if self.rate == "hz" else told


class NBHRnet(nn.Module):
    """Video (B, frames, 3, H, W) to the wave (B, frames) and what HRExtractor tells of it."""

    def __init__(self, config: NBHRConfig | None = None) -> None:
        super().__init__()
        self.ppg = PPGExtractor(config)
        self.between = nn.BatchNorm1d(1)
        self.hr = HRExtractor(config)

    def forward(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        wave = self.ppg(video)
        return wave, self.hr(self.between(wave.unsqueeze(1))[:, 0])


def count(network: nn.Module) -> int:
    """Numbers in the network as Keras counts them: weights, and the statistics of the normalisations."""
    learnt = sum(p.numel() for p in network.parameters() if p.requires_grad)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    return learnt + sum(2 * norm.num_features for norm in norms)


def told_bpm(told: Tensor) -> Tensor:
    """Rates in bpm (B,) from what a network tells: (B,) in Hz - 1.2, or logits (B, 169)."""
    if told.ndim == 1:
        return (told + FLOOR_HZ) * 60
    return torch.softmax(told, dim=1) @ torch.from_numpy(GRID_BPM).to(told.dtype)
