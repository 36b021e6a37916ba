"""Losses of DEKR (arXiv 2104.02300; the seed's eq. 1-3) and of the attributes at the centres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from export.dekr.config import HEAD_SIDES, POSTURES, SPOT
from export.dekr.targets import UNKNOWN

BETA = 1 / 9  # cells below which an offset's error counts by its square


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Weights beside the heatmap's; 0.03 is the official lambda, which the seed does not print."""

    offset: float = 0.03
    attributes: float = 0.01
    spot: float = 0.01


def losses(outputs: Sequence[Tensor], targets: Sequence[Tensor], config: LossConfig | None = None) -> dict[str, Tensor]:
    """The weighted terms by name; their sum is minimised. `outputs` are DEKR's, `targets` a batch of Targets.

    Heatmaps: mean over all cells of the masked square error (the official code; eq. 3 of the seed sums). Offsets:
    smooth L1 over the diagonal (eq. 2), summed over the taught cells and divided by their number, as the official
    code does and eq. 2 does not. Attributes: cross-entropy, mean over the cells where each is known. Spots: mean square
    error of the numbers that are known.
    """
    config = config or LossConfig()
    heatmap, mask, offset, weight, attributes, spot = targets
    told, moved = outputs[0].float(), outputs[1].float()
    weights = weight.repeat_interleave(2, dim=1)
    apart = F.smooth_l1_loss(moved, offset, beta=BETA, reduction="none") * weights
    terms = {
        "heatmap": ((told - heatmap) ** 2 * mask).mean(),
        "offset": config.offset * apart.sum() / (weights > 0).sum().clamp(min=1),
    }
    if len(outputs) > 2:
        logits = outputs[2].float()
        posture, side, told_spot = torch.split(logits, [len(POSTURES), len(HEAD_SIDES), SPOT], dim=1)
        classes = _classes(posture, attributes[:, 0]) + _classes(side, attributes[:, 1])
        terms["attributes"] = config.attributes * classes
        known = torch.isfinite(spot)
        apart = (told_spot - torch.where(known, spot, told_spot)) ** 2
        terms["spot"] = config.spot * apart.sum() / known.sum().clamp(min=1)
    return terms


def _classes(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of (B, C, h, w) with classes (B, h, w), over known cells; nought where there is none."""
    total = F.cross_entropy(logits, target, ignore_index=UNKNOWN, reduction="sum")
    return total / (target != UNKNOWN).sum().clamp(min=1)
