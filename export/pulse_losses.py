"""What the pulse networks learn by: the wave's Pearson correlation, window by window, and the odds of the rate."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgemon.rppg import GRID_BPM

SIGMA_BPM: Final = 2.0
LENGTHS: Final = (60, 90, 120, 180)  # frames, and how often each is trained
_OFTEN: Final = (0.4, 0.2, 0.2, 0.2)


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Correlation (B,) of waves (B, T), each window by itself: over the batch it would compare infants."""
    a, b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
    spread = a.square().sum(dim=1) * b.square().sum(dim=1)
    return (a * b).sum(dim=1) / torch.sqrt(spread + 1e-6)


def target_odds(bpm: Tensor) -> Tensor:
    """Probabilities (B, 169) about mean rates (B,): a Gaussian of 2 bpm; all alike where there is no pulse (0)."""
    grid = torch.from_numpy(GRID_BPM).float()
    near = torch.softmax(-0.5 * ((grid - bpm[:, None]) / SIGMA_BPM) ** 2, dim=1)
    return torch.where(bpm[:, None] > 0, near, torch.full_like(near, 1 / len(grid)))


def cut(batch: tuple[Tensor, ...], frames: int) -> tuple[Tensor, ...]:
    """The windows cut into as many of `frames` as they hold."""
    pieces = batch[0].shape[1] // frames
    return tuple(x[:, : pieces * frames].reshape(-1, frames, *x.shape[2:]) for x in batch)


def pulse_losses(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """At a random length of LENGTHS: 1 - Pearson where there is a pulse, and the cross entropy of the rate."""
    frames = LENGTHS[int(torch.multinomial(torch.tensor(_OFTEN), 1))]
    patches, wave, bpm = cut(batch, frames)
    found, logits = model(patches)
    rate = bpm.mean(dim=1)
    alive = (rate > 0).float()
    shape = ((1 - pearson(found, wave)) * alive).sum() / alive.sum().clamp(min=1)
    odds = F.cross_entropy(logits, target_odds(rate))
    return {"wave": 0.5 * shape, "rate": odds}
