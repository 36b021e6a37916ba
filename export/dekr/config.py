"""Widths and depths of HRNet and of DEKR's heads: the published ones, smaller ones, and any other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from edgemon.records import KEYPOINTS, HeadSide, Posture

Head = Literal["adaptive", "plain", "shared"]
JOINTS = len(KEYPOINTS)
STRIDE = 4  # px a cell of the outputs
POSTURES = (Posture.SUPINE, Posture.SIDE, Posture.PRONE)
HEAD_SIDES = (HeadSide.LEFT, HeadSide.RIGHT, HeadSide.MIDLINE)
SPOT = 3  # sine and cosine of the crown's angle, and the reach, of an infant that is to be looked at closely
OUTPUTS = ("heatmap", "offset", "attributes")


@dataclass(frozen=True, slots=True)
class DekrConfig:
    """A network; as it stands W32 of DEKR's CrowdPose experiment (w32_4x_reg03_bs10_512).

    Branch b has `channels[b]` channels at stride 4 * 2^b; stage s joins s + 1 branches, `modules[s - 1]` times, each
    module with `blocks` blocks a branch. Width and height of a picture must be multiples of 2^(branches + 1).

    The head of the offsets: "adaptive" is DEKR's, a branch of `per_joint` channels for each joint in which the taps of
    a convolution move; "plain" is the same with taps that stay; "shared" has one trunk of `offset_channels` for all
    joints, for CPUs on which convolutions in groups are slow.
    """

    stem: int = 64
    bottleneck: int = 64  # of the four-fold width that leaves the first layer
    bottlenecks: int = 4
    channels: tuple[int, ...] = (32, 64, 128, 256)
    modules: tuple[int, ...] = (1, 4, 3)
    blocks: int = 4
    heatmap_channels: int = 32
    per_joint: int = 15
    offset_channels: int = 32
    offset_blocks: int = 2
    head: Head = "adaptive"
    attributes: bool = False

    def __post_init__(self) -> None:
        if len(self.modules) != len(self.channels) - 1 or len(self.channels) < 2:
            raise ValueError(f"{len(self.channels)} branches need as many stages less one, got {self.modules}")
        if self.head not in ("adaptive", "plain", "shared"):
            raise ValueError(f"no head {self.head!r}: adaptive, plain or shared")

    @property
    def multiple_px(self) -> int:
        """What width and height of a picture must be multiples of."""
        return int(STRIDE * 2 ** (len(self.channels) - 1))


W32 = DekrConfig()
W48 = DekrConfig(channels=(48, 96, 192, 384), heatmap_channels=48)
W18 = DekrConfig(channels=(18, 36, 72, 144))
W16S = DekrConfig(channels=(16, 32, 64, 128), modules=(1, 2, 1), per_joint=8)
W16T = DekrConfig(  # the device's
    stem=24,
    bottleneck=16,
    bottlenecks=1,
    channels=(16, 32, 64, 128),
    modules=(1, 1, 1),
    blocks=2,
    heatmap_channels=24,
    offset_channels=32,
    head="shared",
    attributes=True,
)
CONFIGS = {"w48": W48, "w32": W32, "w18": W18, "w16s": W16S}


def named(name: str, head: Head = "adaptive", *, attributes: bool = False) -> DekrConfig:
    """One of CONFIGS with this head.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in CONFIGS:
        raise ValueError(f"no network {name!r}: {', '.join(CONFIGS)}")
    return replace(CONFIGS[name], head=head, attributes=attributes)
