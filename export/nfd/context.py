"""Hierarchical Contextual Classification: the second look at what the first step keeps (MICCAI 2024, sec. 4.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.nfd.blocks import Head


class SecondStep(nn.Module):
    """One level: features of the backbone around the kept anchors, added to the pyramid's, and a classifier on both."""

    def __init__(self, backbone_channels: int, channels: int, count: int, reach: tuple[int, ...]) -> None:
        super().__init__()
        self.reach = reach
        self.encode = nn.ModuleList(nn.Conv2d(backbone_channels, channels, 1, bias=False) for _ in reach)
        for layer in self.encode:
            assert isinstance(layer, nn.Conv2d)
            nn.init.zeros_(layer.weight)
        self.classify = Head(channels, count, 1)

    def forward(self, pyramid: Tensor, backbone: Tensor, kept: Tensor) -> Tensor:
        """Features (B, C, H, W), C_l of the backbone, and the kept cells (B, 1, H, W) 0 or 1, to logits (B, N, 1)."""
        mixed = pyramid
        for side, layer in zip(self.reach, self.encode, strict=True):
            mixed = mixed + layer(backbone) * neighbours(kept, side).to(pyramid.dtype)
        logits: Tensor = self.classify(mixed)
        return logits


def neighbours(kept: Tensor, side: int) -> Tensor:
    """The kept cells (B, 1, H, W) with all cells of the side x side squares around them."""
    return F.max_pool2d(kept, side, stride=1, padding=side // 2)


def kept_cells(first: Tensor, rows_columns: tuple[int, int], limit: float) -> Tensor:
    """Cells (B, 1, H, W) float 0 or 1 of which any anchor's first-step logit (B, H * W * count, 1) reaches `limit`."""
    rows, columns = rows_columns
    best = first.detach().reshape(first.shape[0], rows, columns, -1).amax(dim=3).unsqueeze(1)
    return (best >= limit).to(torch.float32)
