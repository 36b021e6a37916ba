"""ResNet-50 and MobileNetV1, module names as in the published state dicts; both give C2 to C5 (strides 4 to 32)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from export.nfd.blocks import conv_bn, conv_dw

Backbone = Literal["resnet50", "mobilenet"]
Maps = tuple[Tensor, Tensor, Tensor, Tensor]


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution around a shortcut; the stride is the 3x3's (torchvision's ResNet)."""

    def __init__(self, c_in: int, c_mid: int, stride: int = 1) -> None:
        super().__init__()
        c_out = 4 * c_mid
        self.conv1 = nn.Conv2d(c_in, c_mid, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_mid)
        self.conv2 = nn.Conv2d(c_mid, c_mid, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_mid)
        self.conv3 = nn.Conv2d(c_mid, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) to (B, 4 c_mid, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        return F.relu(self.bn3(self.conv3(y)) + shortcut, inplace=True)


def _layer(c_in: int, c_mid: int, blocks: int, stride: int) -> nn.Sequential:
    rest = (Bottleneck(4 * c_mid, c_mid) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(c_in, c_mid, stride), *rest)


class ResNet50(nn.Module):
    """Without the classifier."""

    channels = (256, 512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _layer(64, 64, 3, 1)
        self.layer2 = _layer(256, 128, 4, 2)
        self.layer3 = _layer(512, 256, 6, 2)
        self.layer4 = _layer(1024, 512, 3, 2)

    def forward(self, x: Tensor) -> Maps:
        """(B, 3, H, W) to C2-C5."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        c2 = self.layer1(F.max_pool2d(x, 3, 2, 1))
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return c2, c3, c4, self.layer4(c4)


class MobileNet(nn.Module):
    """MobileNetV1 in the three stages of the official RetinaFace; C2 is taken within the first."""

    def __init__(self, width: float = 0.25) -> None:
        super().__init__()
        c = [round(width * n) for n in (32, 64, 128, 256, 512, 1024)]
        self.stage1 = nn.Sequential(
            conv_bn(3, c[0], stride=2),
            conv_dw(c[0], c[1]),
            conv_dw(c[1], c[2], 2),
            conv_dw(c[2], c[2]),
            conv_dw(c[2], c[3], 2),
            conv_dw(c[3], c[3]),
        )
        self.stage2 = nn.Sequential(conv_dw(c[3], c[4], 2), *(conv_dw(c[4], c[4]) for _ in range(5)))
        self.stage3 = nn.Sequential(conv_dw(c[4], c[5], 2), conv_dw(c[5], c[5]))
        self.channels = (c[2], c[3], c[4], c[5])

    def forward(self, x: Tensor) -> Maps:
        """(B, 3, H, W) to C2-C5."""
        c2 = self.stage1[:4](x)
        c3 = self.stage1[4:](c2)
        c4 = self.stage2(c3)
        return c2, c3, c4, self.stage3(c4)


def make_backbone(name: Backbone) -> ResNet50 | MobileNet:
    """Untrained."""
    return ResNet50() if name == "resnet50" else MobileNet()
