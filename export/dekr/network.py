"""DEKR (arXiv 2104.02300): HRNet, a heatmap of joints and centres, and the joints' offsets at each cell."""

from __future__ import annotations

from torch import Tensor, nn

from export.dekr.config import DekrConfig
from export.dekr.heads import OffsetHead, attributes_head, heatmap_head, initialise
from export.dekr.hrnet import HRNet, conv_bn


class DEKR(HRNet):
    """Pictures (B, 3, H, W), normalised, to maps at stride 4.

    Heatmap (B, 15, h, w), 14 joints and the centre, raw; offset (B, 28, h, w), x0, y0, x1, y1, ..., where joint =
    cell - offset; and, if the config says so, attributes (B, 9, h, w), logits of POSTURES and HEAD_SIDES, and the spot.
    """

    def __init__(self, config: DekrConfig | None = None) -> None:
        super().__init__(config or DekrConfig())
        self.config = config = config or DekrConfig()
        self.transition_heatmap = conv_bn(self.width, config.heatmap_channels, 1)
        self.head_heatmap = heatmap_head(config)
        self.head_offset = OffsetHead(config)
        self.transition_offset = conv_bn(self.width, self.head_offset.channels, 1)
        self.head_attributes = attributes_head(self.width, config) if config.attributes else None
        initialise(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]  # the backbone's is one map
        """Heatmap, offset and, where the config says so, attributes."""
        features = super().forward(images)
        heatmap = self.head_heatmap(self.transition_heatmap(features))
        offset = self.head_offset(self.transition_offset(features))
        return (heatmap, offset) if self.head_attributes is None else (heatmap, offset, self.head_attributes(features))


def parameters_millions(network: nn.Module) -> float:
    """How many numbers a network learns, in millions."""
    return sum(p.numel() for p in network.parameters()) / 1e6
