"""How each network is trained: one row a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgemon.faces.detect import anchors
from export.babyehanet import TARGETS, BabyEHANet
from export.dekr import DEKR, W16T, LossConfig
from export.dekr import losses as dekr_losses
from export.expression_data import JUDGED, ExpressionCrops
from export.face_data import FaceScenes
from export.losses import face_loss
from export.pose.samples import Kind
from export.pose.stream import SIZE_PX, Cots
from export.pulse_losses import pulse_losses
from export.pulse_net import PulseNet
from export.pulse_stream import PulseWindows
from export.retinaface import RetinaFace
from export.train import Losses, Phase, Recipe

FACE_MEAN, FACE_SCALE = 127.5, 1 / 127.5
CROP_MEAN, CROP_SCALE = 127.5, 1 / 127.5
COT_MEAN, COT_SCALE = 127.5, 1 / 127.5
COT_LOSSES = LossConfig(offset=0.1, attributes=0.006, spot=0.02)  # offsets tell joints here, so they weigh more
SMOOTHING = 0.02
_IMPORTANCE: Mapping[str, float] = {name: 2.0 if name in ("eyes_closed", "crying") else 1.0 for name in JUDGED}


def face(data: Sequence[Path], photographs: Path | None, seed: int) -> Recipe:
    """160x120 with small faces first, four times as fast; then the whole frame."""
    phases = []
    for size, batch, share in (((160, 120), 48, 0.2), ((320, 240), 24, 0.8)):
        stream = FaceScenes(_at_most_one(data), photographs, size, seed + size[0])
        phases.append(Phase(stream, batch, share, _face_losses(size)))
    return Recipe(RetinaFace(), tuple(phases))


def _face_losses(size: tuple[int, int]) -> Losses:
    priors = torch.from_numpy(np.array(anchors(size)))

    def losses(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        image, *targets = batch
        x = ((image.float() - FACE_MEAN) * FACE_SCALE).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = model(x)
        return face_loss(outputs, tuple(targets), priors)

    return losses


def expression(data: Sequence[Path], photographs: Path | None, seed: int) -> Recipe:
    """Crops without end, at one size."""
    if not data:
        raise ValueError("--data: missing; expression learns from a folder of renders (python -m export synthesize)")
    network = BabyEHANet()
    stream = ExpressionCrops(data, photographs, network.config.size_px, seed)
    return Recipe(network, (Phase(stream, 64, 1.0, expression_losses),), peak_lr=2.5e-3)


def expression_losses(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Cross-entropy of each target over what can be told, of crops (B, 3, H, W) of 0..255."""
    image, told, weight = batch
    x = ((image.float() - CROP_MEAN) * CROP_SCALE).to(memory_format=torch.channels_last)
    logits = model(x)
    smoothed = told * (1 - SMOOTHING) + SMOOTHING / 2
    each = F.binary_cross_entropy_with_logits(logits, smoothed, reduction="none") * weight
    mean = each.sum(dim=0) / weight.sum(dim=0).clamp(min=1)
    return dict(zip(TARGETS, mean * torch.tensor([_IMPORTANCE.get(name, 0.5) for name in TARGETS]), strict=True))


def pulse(data: Sequence[Path], photographs: Path | None, seed: int) -> Recipe:
    """Windows of 6 s without end, cut to 2-6 s; photographs hold no pulse and teach nothing."""
    folder = _at_most_one(data)
    if folder is None:
        raise ValueError("--data: missing; pulse learns from a folder of renders (python -m export synthesize)")
    if photographs is not None:
        raise ValueError("--photographs: pulse learns from renders alone")
    return Recipe(PulseNet(), (Phase(PulseWindows(folder, seed), 16, 1.0, pulse_losses),))


def pose(data: Sequence[Path], photographs: Path | None, seed: int) -> Recipe:
    """Whole cots in colour."""
    return _pose("rgb", data, photographs, seed)


def pose_depth(data: Sequence[Path], photographs: Path | None, seed: int) -> Recipe:
    """Whole cots in depth."""
    return _pose("depth", data, photographs, seed)


def _pose(kind: Kind, data: Sequence[Path], photographs: Path | None, seed: int) -> Recipe:
    if not data:
        raise ValueError("--data: missing; pose learns from folders of renders (synthesize images --view body)")
    if photographs is not None:
        raise ValueError("--photographs: pose learns from renders alone")
    sizes = ((96, 96), 0.55), (SIZE_PX, 0.45)  # small first, twice as fast
    phases = (Phase(Cots(data, kind, seed, size), 16, share, pose_losses) for size, share in sizes)
    return Recipe(DEKR(W16T), tuple(phases), peak_lr=1.5e-3)


def pose_losses(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """DEKR's, of cots (B, 3, H, W) of 0..255 and `export.dekr.Targets`."""
    image, *targets = batch
    x = ((image.float() - COT_MEAN) * COT_SCALE).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(x)
    return dekr_losses(outputs, targets, COT_LOSSES)


def _at_most_one(data: Sequence[Path]) -> Path | None:
    if len(data) > 1:
        raise ValueError(f"--data: {len(data)} folders; this network learns from one folder of renders")
    return next(iter(data), None)


RECIPES: Mapping[str, Callable[[Sequence[Path], Path | None, int], Recipe]] = {
    "face": face,
    "expression": expression,
    "pulse": pulse,
    "pose": pose,
    "pose-depth": pose_depth,
}
