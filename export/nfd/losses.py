"""What the seed's network learns from: anchors matched to faces, and the losses of the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from export.detection_metrics import iou_table
from export.nfd.decode import CENTRE_VARIANCE, SIZE_VARIANCE
from export.nfd.network import LIMIT, Outputs

POSITIVE_IOU, NEGATIVE_IOU = 0.45, 0.3
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0  # arXiv 1708.02002, table 1
GAMMA = 1.0  # of equation 1
BOX_WEIGHT, LANDMARK_WEIGHT = 0.25, 0.1  # beside the class (arXiv 1905.00641, eq. 1)
BoxLoss = Literal["smooth-l1", "diou"]
Quality = Literal["diou", "iou"]


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Of every anchor: label (B, N) -1 ignored, 0 background, 1 face; box (B, N, 4) and landmarks (B, N, 10) px."""

    label: Tensor
    boxes: Tensor
    landmarks: Tensor


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Which loss moves the boxes, and what the quality branch predicts (Table 5 compares DIoU with IoU)."""

    box: BoxLoss = "smooth-l1"
    quality: Quality = "diou"


Floats = NDArray[np.float32]


def match(boxes: Floats, landmarks: Floats, anchors: Floats) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Label, box and landmarks of the anchors (N, 4) of one frame with faces (m, 4) and (m, 10).

    A face has the anchors that overlap it by more than 0.45 and most of all faces, and at least its best one;
    background is what overlaps every face by less than 0.3.
    """
    label = np.zeros(len(anchors), np.int64)
    if not len(boxes):
        return label, np.zeros((len(anchors), 4), np.float32), np.zeros((len(anchors), 10), np.float32)
    half = anchors[:, 2:] / 2
    overlap = iou_table(np.concatenate([anchors[:, :2] - half, anchors[:, :2] + half], axis=1), boxes)
    nearest, most = overlap.argmax(axis=1), overlap.max(axis=1)
    label[most >= NEGATIVE_IOU] = -1
    label[most > POSITIVE_IOU] = 1
    best = overlap.argmax(axis=0)
    label[best], nearest[best] = 1, np.arange(len(boxes))
    return label, boxes[nearest], landmarks[nearest]


def losses(out: Outputs, targets: Targets, anchors: Tensor, config: LossConfig | None = None) -> dict[str, Tensor]:
    """The terms of the loss by name, each per face anchor; their sum is minimised.

    Landmarks that are not known (NaN) teach nothing.
    """
    config = config or LossConfig()
    out = Outputs(*(None if value is None else value.float() for value in out))  # type: ignore[arg-type]
    positive = targets.label == 1
    count = positive.sum().clamp(min=1)
    prior = anchors.expand(len(positive), -1, -1)[positive]
    box, deltas = targets.boxes[positive], out.deltas[positive]
    overlap = similarity(decode(deltas, prior), box)
    box_target, point_target = encode(box, targets.landmarks[positive], prior)
    known = point_target.isfinite().all(dim=1)
    by_point = F.smooth_l1_loss(out.landmarks[positive][known], point_target[known], reduction="sum")
    by_delta = F.smooth_l1_loss(deltas, box_target, reduction="sum")
    by_overlap = (1 - overlap["diou"]).sum()
    terms = {
        "first": focal(out.first, targets.label) / count,
        "box": BOX_WEIGHT * (by_delta if config.box == "smooth-l1" else by_overlap) / count,
        "landmarks": LANDMARK_WEIGHT * by_point / count,
    }
    if out.second is not None:
        terms["second"] = GAMMA * second_step(out.first, out.second, targets.label)
    if out.quality is not None:
        wanted = overlap[config.quality].detach().clamp(0, 1)
        terms["quality"] = (
            F.binary_cross_entropy_with_logits(out.quality[positive], wanted, reduction="sum") / count
        )  # eq. 3
    return terms


def second_step(first: Tensor, second: Tensor, label: Tensor) -> Tensor:
    """The second half of equation 1: the focal loss of the anchors that the first step keeps, and of all face anchors.

    Background that the first step drops is ignored (see the package).
    """
    label = label[:, : second.shape[1]]
    dropped = first[:, : second.shape[1]].detach() < LIMIT
    label = torch.where(dropped & (label == 0), -1, label)
    return focal(second, label) / (label == 1).sum().clamp(min=1)


def focal(logits: Tensor, label: Tensor) -> Tensor:
    """Sigmoid focal loss (arXiv 1708.02002, eq. 5), summed over the anchors that are not ignored."""
    keep = label >= 0
    logits, target = logits[keep], label[keep].float()
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weight = FOCAL_ALPHA * target + (1 - FOCAL_ALPHA) * (1 - target)
    return (weight * (1 - torch.exp(-cross)) ** FOCAL_GAMMA * cross).sum()


def encode(boxes: Tensor, points: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """The deltas (n, 4) and (n, 10) that decode to boxes xyxy (n, 4) and landmarks (n, 10) px."""
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    shift = (centre - anchors[:, :2]) / (CENTRE_VARIANCE * anchors[:, 2:])
    grow = torch.log(size / anchors[:, 2:]) / SIZE_VARIANCE
    around, scale = anchors[:, :2].repeat(1, 5), CENTRE_VARIANCE * anchors[:, 2:].repeat(1, 5)
    return torch.cat([shift, grow], dim=1), (points - around) / scale


def decode(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Boxes xyxy (n, 4) px from deltas; `export.nfd.decode.decode_boxes` in torch."""
    centre = anchors[:, :2] + deltas[:, :2] * CENTRE_VARIANCE * anchors[:, 2:]
    half = anchors[:, 2:] * torch.exp((deltas[:, 2:] * SIZE_VARIANCE).clamp(-4, 4)) / 2
    return torch.cat([centre - half, centre + half], dim=1)


def similarity(a: Tensor, b: Tensor) -> dict[Quality, Tensor]:
    """IoU, and IoU - rho^2 / c^2 (what equation 4 must mean), of paired boxes (n, 4)."""
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(dim=1)
    union = (a[:, 2:] - a[:, :2]).prod(dim=1) + (b[:, 2:] - b[:, :2]).prod(dim=1) - shared
    iou = shared / union.clamp(min=1e-6)
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    rho2 = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) ** 2).sum(dim=1) / 4
    return {"iou": iou, "diou": iou - rho2 / (hull**2).sum(dim=1).clamp(min=1e-6)}
