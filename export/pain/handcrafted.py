"""Local binary patterns and histograms of oriented gradients as layers that export to ONNX."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GREY = (0.2125, 0.7154, 0.0721)  # of red, green, blue, as scikit-image weighs them
CELL_PX = 16
_CLIP, _EPS = 0.2, 1e-5
_TIE = 1e-3  # a neighbour as bright as the centre counts as bright, whatever rounding left of it


class Grey(nn.Module):
    """RGB (B, 3, H, W) to luminance (B, 1, H, W)."""

    def forward(self, rgb: Tensor) -> Tensor:
        """Same range out as in."""
        red, green, blue = GREY
        return red * rgb[:, 0:1] + green * rgb[:, 1:2] + blue * rgb[:, 2:3]


class LocalBinaryPatterns(nn.Module):
    """Shares of the ten rotation-invariant uniform patterns in each cell (Ojala 2002; 8 neighbours at radius 1).

    Grey of whole numbers (B, 1, H, W) to (B, 10 * cells); neighbours beyond the edge are 0, as in scikit-image.
    """

    patterns = 10

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", _neighbours())

    def codes(self, grey: Tensor) -> Tensor:
        """Pattern 0..9 of each pixel (B, 1, H, W): bright neighbours, or 9 where they are not in one piece."""
        above = (F.conv2d(F.pad(grey, (1, 1, 1, 1)), self.get_buffer("steps")) >= -_TIE).to(grey.dtype)
        turns = (above - torch.cat([above[:, 1:], above[:, :1]], dim=1)).abs().sum(dim=1, keepdim=True)
        return torch.where(turns <= 2, above.sum(dim=1, keepdim=True), torch.full_like(turns, 9.0))

    def forward(self, grey: Tensor) -> Tensor:
        """See the class."""
        codes = self.codes(grey)
        shares = [F.avg_pool2d((codes == k).to(grey.dtype), CELL_PX) for k in range(self.patterns)]
        return torch.cat(shares, dim=1).flatten(1)


def _neighbours() -> Tensor:
    """Kernels (8, 1, 3, 3) of neighbour minus centre, bilinear between pixels, counted as scikit-image does."""
    kernels = torch.zeros(8, 1, 3, 3)
    for k in range(8):
        angle = 2 * math.pi * k / 8
        row, column = 1 - round(math.sin(angle), 5), 1 + round(math.cos(angle), 5)
        top, left = min(1, math.floor(row)), min(1, math.floor(column))
        dr, dc = row - top, column - left
        for r, c, weight in (
            (top, left, (1 - dr) * (1 - dc)),
            (top, left + 1, (1 - dr) * dc),
            (top + 1, left, dr * (1 - dc)),
            (top + 1, left + 1, dr * dc),
        ):
            kernels[k, 0, r, c] += weight
        kernels[k, 0, 1, 1] -= 1
    return kernels


class OrientedGradients(nn.Module):
    """HOG (Dalal and Triggs 2005): 9 unsigned orientations, cells of 16 px, blocks of 2x2 cells, L2-Hys.

    Grey (B, 1, H, W) to (B, blocks * 36); each pixel votes for one orientation, as in scikit-image.
    """

    orientations = 9

    def __init__(self) -> None:
        super().__init__()
        angles = torch.arange(self.orientations, dtype=torch.float64) * math.pi / self.orientations
        self.register_buffer("sines", torch.sin(angles).float().view(1, -1, 1, 1))
        self.register_buffer("cosines", torch.cos(angles).float().view(1, -1, 1, 1))

    def forward(self, grey: Tensor) -> Tensor:
        """See the class."""
        dy = F.pad(grey[:, :, 2:] - grey[:, :, :-2], (0, 0, 1, 1))
        dx = F.pad(grey[:, :, :, 2:] - grey[:, :, :, :-2], (1, 1, 0, 0))
        lower = (dy < 0) | ((dy == 0) & (dx < 0))
        x, y = torch.where(lower, -dx, dx), torch.where(lower, -dy, dy)
        past = (self.get_buffer("cosines") * y >= self.get_buffer("sines") * x).to(grey.dtype)
        member = past - torch.cat([past[:, 1:], torch.zeros_like(past[:, :1])], dim=1)
        cells = F.avg_pool2d(member * torch.sqrt(dx * dx + dy * dy), CELL_PX)
        corners = (cells[:, :, :-1, :-1], cells[:, :, :-1, 1:], cells[:, :, 1:, :-1], cells[:, :, 1:, 1:])
        blocks = _normal(_normal(torch.cat(corners, dim=1)).clamp(max=_CLIP))
        return blocks.permute(0, 2, 3, 1).flatten(1)


def _normal(blocks: Tensor) -> Tensor:
    return blocks / torch.sqrt((blocks * blocks).sum(dim=1, keepdim=True) + _EPS**2)


class Handcrafted(nn.Module):
    """A prepared image (B, 3, 112, 112) of -1..1 to LBP (490) and HOG (1296) in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.grey, self.lbp, self.hog = Grey(), LocalBinaryPatterns(), OrientedGradients()

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1786)."""
        grey = torch.floor(self.grey(image * 127.5 + 127.5) + 0.5)
        return torch.cat([self.lbp(grey), self.hog(grey / 255)], dim=1)
