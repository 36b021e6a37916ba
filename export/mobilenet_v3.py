"""MobileNetV3-Small (arXiv 1905.02244, table 2), layer by layer under the names of torchvision's checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

STEM, LAST, HIDDEN = 16, 576, 1024


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """A row of the table."""

    kernel_px: int
    expanded: int
    channels: int
    squeeze: bool
    hard_swish: bool
    stride: int


ROWS = (
    Bottleneck(3, 16, 16, squeeze=True, hard_swish=False, stride=2),
    Bottleneck(3, 72, 24, squeeze=False, hard_swish=False, stride=2),
    Bottleneck(3, 88, 24, squeeze=False, hard_swish=False, stride=1),
    Bottleneck(5, 96, 40, squeeze=True, hard_swish=True, stride=2),
    Bottleneck(5, 240, 40, squeeze=True, hard_swish=True, stride=1),
    Bottleneck(5, 240, 40, squeeze=True, hard_swish=True, stride=1),
    Bottleneck(5, 120, 48, squeeze=True, hard_swish=True, stride=1),
    Bottleneck(5, 144, 48, squeeze=True, hard_swish=True, stride=1),
    Bottleneck(5, 288, 96, squeeze=True, hard_swish=True, stride=2),
    Bottleneck(5, 576, 96, squeeze=True, hard_swish=True, stride=1),
    Bottleneck(5, 576, 96, squeeze=True, hard_swish=True, stride=1),
)


def divisible(channels: float, by: int = 8) -> int:
    """The nearest multiple, no more than a tenth below (arXiv 1801.04381)."""
    near = max(by, int(channels + by / 2) // by * by)
    return near + by if near < 0.9 * channels else near


def convolution(
    c_in: int, c_out: int, kernel_px: int = 1, stride: int = 1, *, groups: int = 1, activation: type[nn.Module] | None
) -> nn.Sequential:
    """Convolution, batch normalisation with the constants of the paper's training, activation."""
    layers: list[nn.Module] = [
        nn.Conv2d(c_in, c_out, kernel_px, stride, kernel_px // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.01),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class Squeeze(nn.Module):
    """Squeeze-and-excite (arXiv 1709.01507) to a quarter, with a hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = divisible(channels / 4)
        self.fc1, self.fc2 = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        hidden = nn.functional.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True)))
        return x * nn.functional.hardsigmoid(self.fc2(hidden))


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, squeeze-and-excite, project 1x1."""

    def __init__(self, c_in: int, row: Bottleneck, *, squeeze: bool) -> None:
        super().__init__()
        activation: type[nn.Module] = nn.Hardswish if row.hard_swish else nn.ReLU
        c = row.expanded
        layers: list[nn.Module] = [] if c == c_in else [convolution(c_in, c, activation=activation)]
        layers.append(convolution(c, c, row.kernel_px, row.stride, groups=c, activation=activation))
        if row.squeeze and squeeze:
            layers.append(Squeeze(c))
        layers.append(convolution(c, row.channels, activation=None))
        self.block = nn.Sequential(*layers)
        self.skip = row.stride == 1 and c_in == row.channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) to (B, row.channels, H / row.stride, W / row.stride)."""
        y: Tensor = self.block(x)
        return x + y if self.skip else y


def features(*, squeeze: bool = True) -> nn.Sequential:
    """Thirteen layers from RGB (B, 3, H, W) to (B, 576, H / 32, W / 32)."""
    layers: list[nn.Module] = [convolution(3, STEM, 3, 2, activation=nn.Hardswish)]
    channels = STEM
    for row in ROWS:
        layers.append(InvertedResidual(channels, row, squeeze=squeeze))
        channels = row.channels
    return nn.Sequential(*layers, convolution(channels, LAST, activation=nn.Hardswish))


def classifier(classes: int) -> nn.Sequential:
    """The mean of the last map (B, 576) to logits (B, classes)."""
    return nn.Sequential(nn.Linear(LAST, HIDDEN), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(HIDDEN, classes))
