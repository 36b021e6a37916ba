"""Losses of the face detector."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgemon.faces.detect import CENTRE_VARIANCE, SIZE_VARIANCE
from export.face_data import encode


def decode(deltas: Tensor, priors: Tensor) -> Tensor:
    """Boxes xyxy (n, 4) from deltas; `edgemon.faces.detect.decode_boxes` in torch."""
    centre = priors[:, :2] + deltas[:, :2] * CENTRE_VARIANCE * priors[:, 2:]
    half = priors[:, 2:] * torch.exp((deltas[:, 2:] * SIZE_VARIANCE).clamp(-4, 4)) / 2
    return torch.cat([centre - half, centre + half], dim=1)


def diou(a: Tensor, b: Tensor) -> Tensor:
    """IoU - rho^2 / c^2 of paired boxes (n, 4) (AAAI 2020, eq. 7)."""
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(dim=1)
    union = (a[:, 2:] - a[:, :2]).prod(dim=1) + (b[:, 2:] - b[:, :2]).prod(dim=1) - shared
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    rho2 = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) ** 2).sum(dim=1) / 4
    return shared / union.clamp(min=1e-6) - rho2 / (hull**2).sum(dim=1).clamp(min=1e-6)


def focal(logits: Tensor, label: Tensor, *, alpha: float = 0.5, gamma: float = 2.0) -> Tensor:
    """Focal loss (arXiv 1708.02002, eq. 5), summed over anchors that are not ignored (label -1)."""
    keep = label >= 0
    logits, target = logits[keep], label[keep].float()
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p_true = torch.exp(-cross)
    weight = alpha * target + (1 - alpha) * (1 - target)
    return (weight * (1 - p_true) ** gamma * cross).sum()


def face_loss(outputs: tuple[Tensor, Tensor, Tensor], targets: tuple[Tensor, ...], priors: Tensor) -> dict[str, Tensor]:
    """Class, box, landmark and quality terms, each per face anchor.

    The predicted DIoU learns the clamped DIoU of the decoded box (MICCAI 2024, eq. 4, which prints the loss where the
    target must be meant), on face anchors alone.
    """
    logits, deltas, point_deltas = (output.float() for output in outputs)
    label, boxes, points = targets
    positive = label == 1
    count = positive.sum().clamp(min=1)
    anchors = priors.expand(label.shape[0], -1, -1)[positive]
    box_target, point_target = encode(boxes[positive], points[positive], anchors)
    overlap = diou(decode(deltas[positive], anchors), boxes[positive])
    quality = F.binary_cross_entropy_with_logits(
        logits[..., 1][positive], overlap.detach().clamp(0, 1), reduction="sum"
    )
    return {
        "class": focal(logits[..., 0], label) / count * 4,
        "box": ((1 - overlap).sum() + 0.5 * F.smooth_l1_loss(deltas[positive], box_target, reduction="sum")) / count,
        "landmarks": 0.6 * F.smooth_l1_loss(point_deltas[positive], point_target, reduction="sum") / count,
        "quality": quality / count,
    }
