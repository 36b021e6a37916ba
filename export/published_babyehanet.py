"""BabyEHANet as far as it is published: MobileNetV3-Small with the dual-residual hybrid attention block (DR-EHA).

Its README (github.com/mugishastanley/BabyEHANet at 9cc4311) tells the backbone, channel and spatial attention, and that
each has its own residual; there is no code, and no paper was found. It leaves open, and
`python -m export ablate-attention --network published` decides on renders:

- where the block sits: after each resolution of the backbone (ours), or once, before the pooling;
- the channel gate and its reduction ratio: a convolution along channels without one (ours), or a perceptron of 1/8 or
  1/16;
- the kernel of the spatial gate: 7 px (ours, as CBAM's), or 3 px;
- whether the backbone's own squeeze-and-excite stays beside the block: it does (ours), or the block replaces it;
- the input's size: 112 px (ours, as the device crops), or 224 px.

The head is the backbone's; one pass answers all of `TARGETS`, where the original trains a network a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from export import mobilenet_v3
from export.attention import DR_EHA, Attention
from export.babyehanet import TARGETS

RESOLUTIONS = (1, 3, 8, 11)  # the last layers at 1/4, 1/8, 1/16 and 1/32 of the input
BEFORE_POOLING = (12,)


@dataclass(frozen=True, slots=True)
class PublishedConfig:
    """What the source leaves open."""

    attention: Attention = DR_EHA
    places: tuple[int, ...] = RESOLUTIONS  # layers of the backbone that a block follows
    squeeze: bool = True
    size_px: int = 112
    classes: int = len(TARGETS)


class PublishedBabyEHANet(nn.Module):
    """Upright face (B, 3, 112, 112), or of another size, to logits (B, 10) in the order of `TARGETS`."""

    def __init__(self, config: PublishedConfig | None = None) -> None:
        super().__init__()
        self.config = config or PublishedConfig()
        self.features = mobilenet_v3.features(squeeze=self.config.squeeze)
        widths = (mobilenet_v3.STEM, *(row.channels for row in mobilenet_v3.ROWS), mobilenet_v3.LAST)
        self.attention = nn.ModuleDict(
            {str(place): nn.Sequential(*self.config.attention.gates(widths[place])) for place in self.config.places}
        )
        self.classifier = mobilenet_v3.classifier(self.config.classes)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for name, layer in self.features.named_children():
            x = layer(x)
            if name in self.attention:
                x = self.attention[name](x)
        y: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return y

    def load_backbone(self, state: Mapping[str, Tensor]) -> None:
        """Take the backbone from a checkpoint of torchvision's MobileNetV3-Small; its classes are left.

        Raises:
            ValueError: it lacks a layer, or one has another shape.
        """
        backbone = {name.removeprefix("features."): v for name, v in state.items() if name.startswith("features.")}
        try:
            self.features.load_state_dict(backbone)
        except RuntimeError as error:
            raise ValueError(f"not a checkpoint of MobileNetV3-Small: {str(error).splitlines()[1].strip()}") from error
