"""N-CNN (Zamzmi, IJCNN 2019, doi 10.1109/IJCNN.2019.8851879) written anew from its published facts, for comparison."""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from export.pain.features import prepared
from export.pain.samples import Samples

SIDE_PX = 120
LR, DECAY, BATCH = 1e-3, 1e-5, 16
SMOOTHING = 0.3  # of the tuned recipe, arXiv 2308.05877


class NCNN(nn.Module):
    """(B, 3, 120, 120) to logits (B,): three branches of different depth that meet at 12x12; 72.6 thousand weights."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.MaxPool2d(10)
        self.centre = nn.Sequential(
            nn.Conv2d(3, 64, 5), nn.LeakyReLU(0.01), nn.MaxPool2d(3),
            nn.Conv2d(64, 64, 2), nn.LeakyReLU(0.01), nn.MaxPool2d(3), nn.Dropout(0.1),
        )  # fmt: skip
        self.right = nn.Sequential(
            nn.Conv2d(3, 64, 5, padding=2), nn.LeakyReLU(0.01), nn.MaxPool2d(10), nn.Dropout(0.1)
        )
        self.merge = nn.Sequential(nn.Conv2d(131, 64, 2), nn.ReLU(), nn.MaxPool2d(2))
        self.decide = nn.Sequential(nn.Linear(64 * 25, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        merged = torch.cat([self.left(x), self.centre(x), self.right(x)], dim=1)
        return torch.as_tensor(self.decide(self.merge(merged).flatten(1))[:, 0])


def _input(crops: NDArray[np.uint8]) -> Tensor:
    image = torch.from_numpy(prepared(crops)) * 0.5 + 0.5
    return F.interpolate(image, (SIDE_PX, SIDE_PX), mode="bilinear", align_corners=False)


def _spoiled(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Turned, scaled, moved, mirrored, brighter or darker, within the published ranges."""
    n = len(image)
    angle = np.deg2rad(rng.uniform(-30, 30, n))
    scale, mirror = rng.uniform(0.8, 1.25, n), rng.choice([-1.0, 1.0], n)
    rows = np.stack([
        np.stack([mirror * np.cos(angle) / scale, -np.sin(angle) / scale, rng.uniform(-0.2, 0.2, n)], axis=1),
        np.stack([mirror * np.sin(angle) / scale, np.cos(angle) / scale, rng.uniform(-0.2, 0.2, n)], axis=1),
    ], axis=1)  # fmt: skip
    grid = F.affine_grid(torch.from_numpy(rows.astype(np.float32)), list(image.shape), align_corners=False)
    gain = torch.from_numpy(rng.uniform(0.8, 1.2, (n, 1, 1, 1)).astype(np.float32))
    return F.grid_sample(image, grid, align_corners=False) * gain


def train(samples: Samples, minutes: float, seed: int = 0) -> NCNN:
    """Train for so long, each class seen as often as the other."""
    torch.manual_seed(seed)
    rng, network = np.random.default_rng(seed), NCNN().train()
    optimizer = torch.optim.RMSprop(network.parameters(), lr=LR, weight_decay=DECAY)
    classes = [np.flatnonzero(samples.pain == label) for label in (False, True)]
    begun_s, done = time.monotonic(), 0.0
    while done < 1:
        for group in optimizer.param_groups:
            group["lr"] = LR * 0.5 * (1 + np.cos(np.pi * done)) + 1e-6
        chosen = np.concatenate([rng.choice(index, BATCH // 2) for index in classes])
        told = torch.from_numpy(samples.pain[chosen].astype(np.float32)) * (1 - SMOOTHING) + SMOOTHING / 2
        loss = F.binary_cross_entropy_with_logits(network(_spoiled(_input(samples.crops[chosen]), rng)), told)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        done = min(1.0, (time.monotonic() - begun_s) / (60 * minutes))
    return network.eval()


def probabilities(network: NCNN, samples: Samples) -> NDArray[np.float64]:
    """Of pain (n,)."""
    with torch.inference_mode():
        told = [torch.sigmoid(network(_input(samples.crops[k : k + 64]))) for k in range(0, len(samples), 64)]
    return torch.cat(told).double().numpy()
