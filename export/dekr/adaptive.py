"""DEKR's adaptive blocks (arXiv 2104.02300, eq. 3-4) of all joints' branches at once, in grouped convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TAPS = 9  # of a 3x3 convolution
NUMBERS = 6  # that move them: a matrix 2x2 and a shift y, x


class PlainBlock(nn.Module):
    """A 3x3 convolution around a shortcut, each group for itself: the adaptive block with taps that stay."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return F.relu(self.bn(self.conv(x)) + x)


class AdaptiveBlock(nn.Module):
    """The same with taps that move by what one more convolution reads: a matrix and a shift a group and cell.

    The 18 offsets M R - R + t are linear in the six numbers, so one convolution gives them: its weights are T times
    those of `numbers`, its bias T times theirs less R. The official code has 28 such blocks, one a joint and layer.
    """

    transform: Tensor
    regular: Tensor

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.groups = groups
        self.numbers = nn.Conv2d(groups * channels, groups * NUMBERS, 3, 1, 1, groups=groups)
        self.taps = nn.Conv2d(groups * channels, groups * channels, 3, 1, 1, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(groups * channels)
        regular = regular_taps()
        transform = torch.zeros(TAPS, 2, NUMBERS)
        transform[:, 0, 0:2], transform[:, 1, 2:4] = regular, regular
        transform[:, 0, 4], transform[:, 1, 5] = 1, 1
        self.register_buffer("transform", transform.flatten(0, 1), persistent=False)
        self.register_buffer("regular", regular.flatten(), persistent=False)
        self.start()

    @torch.no_grad()
    def start(self) -> None:
        """All taps on the centre, as the official code starts: a 1x1 convolution."""
        nn.init.zeros_(self.numbers.weight)
        assert self.numbers.bias is not None
        nn.init.zeros_(self.numbers.bias)

    def offsets(self) -> tuple[Tensor, Tensor]:
        """Weights (groups * 18, channels, 3, 3) and bias of the convolution from features to the taps' offsets."""
        assert self.numbers.bias is not None
        weight = self.numbers.weight.reshape(self.groups, NUMBERS, -1, 3, 3)
        merged = torch.einsum("ts,gscij->gtcij", self.transform, weight).flatten(0, 1)
        bias = self.numbers.bias.view(self.groups, NUMBERS) @ self.transform.T - self.regular
        return merged, bias.flatten()

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        offset = F.conv2d(x, *self.offsets(), padding=1, groups=self.groups)
        return F.relu(self.bn(deform(x, offset, self.taps.weight, None)) + x)


class FrozenAdaptiveBlock(nn.Module):
    """What is run of an adaptive block: the offsets' one convolution, and the taps with their normalisation folded."""

    def __init__(self, block: AdaptiveBlock) -> None:
        """`block` has its normalisation folded into its taps."""
        super().__init__()
        weight, bias = block.offsets()
        groups, channels = block.groups, block.numbers.in_channels
        self.offset = nn.Conv2d(channels, len(weight), 3, 1, 1, groups=groups)
        self.offset.weight, self.offset.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.taps = block.taps

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return F.relu(deform(x, self.offset(x), self.taps.weight, self.taps.bias) + x)


def regular_taps() -> Tensor:
    """y, x of the taps of a 3x3 convolution around its centre (9, 2)."""
    steps = torch.arange(-1.0, 2.0)
    return torch.cartesian_prod(steps, steps)


def deform(x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Grouped 3x3 convolution with moved taps: the sum over k of W_k x(p + R_k + offset_k(p)), bilinear.

    x (B, groups * C, H, W); offset (B, groups * 18, H, W), dy and dx of each tap in cells; weight (groups * C, C, 3,
    3); outside is nought. In an ONNX graph it is `DeformConv`.
    """
    if torch.onnx.is_in_onnx_export():
        return _Deform.apply(x, offset, weight, weight.new_zeros(len(weight)) if bias is None else bias)  # type: ignore[no-any-return, no-untyped-call]
    batch, _, height, width = x.shape
    groups = len(weight) // weight.shape[1]
    maps = x.reshape(batch * groups, -1, height, width)
    moved = offset.reshape(batch * groups, TAPS, 2, height, width)
    ys = torch.arange(height, device=x.device, dtype=x.dtype)[:, None] + regular_taps().to(x)[:, 0, None, None]
    xs = torch.arange(width, device=x.device, dtype=x.dtype) + regular_taps().to(x)[:, 1, None, None]
    grid_y, grid_x = (moved[:, :, 0] + ys) * (2 / (height - 1)) - 1, (moved[:, :, 1] + xs) * (2 / (width - 1)) - 1
    grid = torch.stack([grid_x, grid_y], dim=-1).flatten(1, 2)
    sampled = F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    columns = sampled.reshape(batch, groups, -1, height * width)
    kernel = weight.reshape(groups, weight.shape[1], -1)
    y = (kernel @ columns).reshape(batch, -1, height, width)
    return y if bias is None else y + bias[:, None, None]


class _Deform(torch.autograd.Function):
    """What the exporter sees of `deform`: one node."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], weight.shape[0], *x.shape[2:])

    @staticmethod
    def symbolic(g: Any, x: Any, offset: Any, weight: Any, bias: Any) -> Any:
        """`DeformConv` of opset 19."""
        out, per_group, *_ = weight.type().sizes()
        groups = out // per_group
        told = {"kernel_shape_i": [3, 3], "pads_i": [1, 1, 1, 1], "group_i": groups, "offset_group_i": groups}
        return g.op("DeformConv", x, weight, offset, bias, **told)
