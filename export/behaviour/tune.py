"""Fine-tuning the released network on few infants: its last layer first, then every weight a little."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edgemon.inference import Image
from export.augment import Painter, expose
from export.babyehanet import BabyEHANet
from export.behaviour.arguments import Options
from export.behaviour.faces import Array, Faces
from export.behaviour.weights import Restored
from export.expression_data import JUDGED
from export.metrics import temperature
from export.recipes import CROP_MEAN, CROP_SCALE, SMOOTHING

KEPT_WEIGHT = 0.5  # of what the released network says where a face has no label (arXiv 1606.09282)
PULL = 1e-3  # of the last layer towards the released one (arXiv 1802.01483)
CALIBRATED_FROM = 20  # validation faces of each class, below which the released temperature stays
_BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """The network, its temperatures, and the masked loss on validation faces after each stage; the best one's kept."""

    network: BabyEHANet
    temperatures: Tensor
    stage: str
    losses: dict[str, float]

    def probabilities(self, faces: Faces) -> Array:
        """Calibrated scores (n, k)."""
        return probabilities(Restored(self.network, self.temperatures), faces)


def probabilities(model: Restored, faces: Faces) -> Array:
    """Calibrated scores (n, k) of the network as it is."""
    return torch.sigmoid(_logits(model.network, faces) / model.temperatures).double().numpy()


def tune(start: Restored, train: Faces, validation: Faces, options: Options) -> Tuned:
    """The network after the stage that is best on `validation`: as released, its last layer taught, or all of it.

    Normalisation stays as it is, so every pass is in evaluation mode. Where a face has no label for a target, what the
    released network says of it is held on to.

    Raises:
        ValueError: no face to train on or to choose by has a label of a target that the network tells.
    """
    count = len(start.targets)
    for name, faces in (("train on", train), ("choose by", validation)):
        if not faces.weight[:, :count].any():
            raise ValueError(f"no face to {name} is labelled with any of {', '.join(start.targets)}")
    torch.manual_seed(options.seed)
    best, stage, losses = start.network, "as released", {"as released": _loss(start.network, validation)}
    for name, teach in (("last layer", _head), ("all", _all)):
        network = copy.deepcopy(best)
        for number in teach(network, start, train, options):
            label = f"{name} {number}"
            losses[label] = _loss(network, validation)
            if losses[label] < losses[stage]:
                best, stage = copy.deepcopy(network), label
    return Tuned(best, _temperatures(best, start, validation), stage, losses)


def _head(network: BabyEHANet, start: Restored, faces: Faces, options: Options) -> Iterator[int]:
    """Teach the last layer on fixed features of the faces and their mirror images."""
    crops = np.concatenate([faces.crops, faces.crops[:, :, ::-1]])
    with torch.inference_mode():
        features = torch.cat([network.features(part).mean(dim=(2, 3)) for part in _batches(crops)])
    features = features.clone()
    layer = network.classifier[1]
    assert isinstance(layer, nn.Linear)
    told, weight = (labels.repeat(2, 1) for labels in _labels(faces, len(start.targets)))
    first = [p.detach().clone() for p in layer.parameters()]
    optimizer = torch.optim.AdamW(layer.parameters(), lr=3e-3, weight_decay=0)
    for _ in range(options.head_steps):
        far = torch.stack([((p - q) ** 2).sum() for p, q in zip(layer.parameters(), first, strict=True)]).sum()
        loss = masked(layer(features), told, weight) + PULL * far
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
    yield 1


def _all(network: BabyEHANet, start: Restored, faces: Faces, options: Options) -> Iterator[int]:
    """Teach every weight on varied crops, one pass at a time."""
    rng = np.random.default_rng(options.seed)
    painter = Painter(rng)
    told, weight = _labels(faces, len(start.targets))
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.lr, weight_decay=1e-3)
    per_pass = math.ceil(len(faces) / options.batch)
    for number in range(options.epochs):
        order = rng.permutation(len(faces))
        for step in range(per_pass):
            chosen = order[step * options.batch : (step + 1) * options.batch]
            done = (number + step / per_pass) / options.epochs
            optimizer.param_groups[0]["lr"] = options.lr * 0.5 * (1 + math.cos(math.pi * done))
            x = _tensor(np.stack([varied(painter, faces.crops[i]) for i in chosen]))
            with torch.inference_mode():
                said = torch.sigmoid(start.network(x))
            given = weight[chosen]
            logits = network(x)
            loss = masked(logits, told[chosen], given) + KEPT_WEIGHT * masked(logits, said.clone(), 1 - given)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        yield number + 1


def masked(logits: Tensor, told: Tensor, weight: Tensor) -> Tensor:
    """Mean cross entropy of each target over the faces that have its label, summed over the targets."""
    smoothed = told * (1 - SMOOTHING) + SMOOTHING / 2
    each = F.binary_cross_entropy_with_logits(logits, smoothed, reduction="none") * weight
    return (each.sum(dim=0) / weight.sum(dim=0).clamp(min=1)).sum()


def varied(painter: Painter, crop: Image) -> Image:
    """The crop mirrored, a little turned, moved and scaled as a detector's are, in another light."""
    rng, side = painter.rng, crop.shape[0]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2,) * 2, rng.normal(0, 5), rng.uniform(0.9, 1.12))
    matrix[:, 2] += rng.normal(0, 0.025, 2) * side
    moved = cv2.warpAffine(crop, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.5:
        moved = moved[:, ::-1]
    return expose(painter, np.ascontiguousarray(moved, np.uint8))


def _temperatures(network: BabyEHANet, start: Restored, validation: Faces) -> Tensor:
    out, logits = start.temperatures.clone(), _logits(network, validation).double().numpy()
    for column, name in enumerate(start.targets):
        keep = validation.weight[:, column] > 0
        positive = validation.told[keep, column] >= 0.5
        if name in JUDGED and min(positive.sum(), (~positive).sum()) >= CALIBRATED_FROM:
            out[column] = temperature(logits[keep, column], positive)
    return out


def _loss(network: BabyEHANet, faces: Faces) -> float:
    logits = _logits(network, faces)
    return float(masked(logits, *_labels(faces, logits.shape[1])))


def _labels(faces: Faces, count: int) -> tuple[Tensor, Tensor]:
    told, weight = (torch.from_numpy(part[:, :count]).float() for part in (faces.told, faces.weight))
    return told, weight


def _logits(network: BabyEHANet, faces: Faces) -> Tensor:
    with torch.inference_mode():
        return torch.cat([network(part) for part in _batches(faces.crops)])


def _batches(crops: NDArray[np.uint8]) -> Iterator[Tensor]:
    return (_tensor(crops[start : start + _BATCH]) for start in range(0, len(crops), _BATCH))


def _tensor(crops: NDArray[np.uint8]) -> Tensor:
    x = torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2))).float()
    return (x - CROP_MEAN) * CROP_SCALE
