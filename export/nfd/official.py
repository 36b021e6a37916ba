"""The official RetinaFace of biubug6/Pytorch_Retinaface: three levels, two anchors a cell, softmax classes.

It is here to read its published checkpoints as yardsticks; nothing of ours starts from them.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export.nfd.anchors import OFFICIAL
from export.nfd.backbones import Backbone, make_backbone
from export.nfd.blocks import LEAK, Context, Head, Pyramid

MEAN_BGR = (104.0, 117.0, 123.0)  # subtracted from 0..255; there is no scale
WIDTHS: dict[Backbone, int] = {"mobilenet": 64, "resnet50": 256}


class OfficialRetinaFace(nn.Module):
    """BGR less the mean (B, 3, H, W) to box deltas (B, N, 4), probabilities (B, N, 2: none, face), landmark deltas."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        channels = WIDTHS[backbone]
        leak = LEAK if channels <= 64 else 0.0
        self.body = make_backbone(backbone)
        self.fpn = Pyramid(self.body.channels[1:], channels, leak)
        self.ssh1, self.ssh2, self.ssh3 = (Context(channels, leak) for _ in OFFICIAL)
        counts = [len(sides) for _, sides in OFFICIAL]
        self.ClassHead = nn.ModuleList(Head(channels, n, 2) for n in counts)
        self.BboxHead = nn.ModuleList(Head(channels, n, 4) for n in counts)
        self.LandmarkHead = nn.ModuleList(Head(channels, n, 10) for n in counts)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Levels fine to coarse, anchors in the order of `priors(OFFICIAL, ...)`."""
        fine, middle, coarse = self.fpn(self.body(x)[1:])
        levels = (self.ssh1(fine), self.ssh2(middle), self.ssh3(coarse))

        def gather(heads: nn.ModuleList) -> Tensor:
            return torch.cat([head(level) for head, level in zip(heads, levels, strict=True)], dim=1)

        return gather(self.BboxHead), gather(self.ClassHead).softmax(dim=-1), gather(self.LandmarkHead)


def load_official(path: Path, backbone: Backbone) -> OfficialRetinaFace:
    """The network with a published checkpoint, in evaluation mode.

    Raises:
        ValueError: the file cannot be read or holds another network's weights.
    """
    network = OfficialRetinaFace(backbone)
    try:
        network.load_state_dict(plain(torch.load(path, map_location="cpu", weights_only=True)))
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        line = str(error).splitlines()[0]
        raise ValueError(f"{path}: not weights of the official RetinaFace on {backbone}: {line}") from error
    return network.eval()


def plain(saved: dict[str, Any]) -> dict[str, Tensor]:
    """A state dict out of its wrapper, without the prefix of `DataParallel`."""
    state = saved.get("state_dict", saved)
    return {name.removeprefix("module."): value for name, value in state.items()}
