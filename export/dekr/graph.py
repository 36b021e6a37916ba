"""`dekr-export`: a network as an ONNX graph, any number of pictures at once, in fp32 or int8.

Adaptive heads become `DeformConv` of opset 19, which ONNX Runtime runs from 1.25 on; the other heads keep to the
opset of all our graphs.
"""

from __future__ import annotations

import argparse
import copy
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgemon.inference import Tensor as Array
from edgemon.manifest import IMAGES, ModelInput, ModelOutput
from export.arguments import frame_size
from export.dekr.adaptive import AdaptiveBlock, FrozenAdaptiveBlock
from export.dekr.config import CONFIGS, OUTPUTS, STRIDE, DekrConfig, named
from export.dekr.network import DEKR
from export.dekr.official import load_official, read_checkpoint
from export.onnx_export import OPSET, traced
from export.quantize import quantized

DEFORM_OPSET = 19
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, of RGB 0..1: what official weights expect
MEANINGS = {
    "heatmap": "14 joints and the centre of an infant at stride 4, raw; high where a joint is seen",
    "offset": "x and y of each of 14 joints at stride 4: joint = cell - offset, in cells",
    "attributes": "logits at an infant's centre: posture supine, side, prone; nose to its left, its right, midline; "
    "sine and cosine of the crown's angle, clockwise from up; how far its joints reach, in octaves of 64 px",
}
_QUANTIZED = ("Conv", "Relu", "Add", "Resize", "Concat")
_KEPT_FLOAT = ("/head_heatmap/head_heatmap.1/", "/head_offset/final/", "/head_attributes/", "/offset/Conv")


class Turned(nn.Module):
    """A network that looks at the picture turned by 180 degrees and tells what it sees as if it had not been.

    The seed turned its pictures so that infants lie as CrowdPose's people stand. Cell x of the turned maps lies at px
    4 x of the turned picture, which is px 4 w - 1 - 4 x of the picture (w cells wide): hence the three quarters.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """As the network's own."""
        heatmap, offset, *attributes = (x.flip(2, 3) for x in self.network(images.flip(2, 3)))
        return (heatmap, -offset - (1 - 1 / STRIDE), *attributes)


@torch.no_grad()
def frozen(network: DEKR) -> DEKR:
    """A copy to run: normalisation folded into convolutions, adaptive blocks with one convolution for their offsets."""
    network = copy.deepcopy(network).eval()
    for module in list(network.modules()):
        children = dict(module.named_children())
        for name, norm in children.items():
            if isinstance(norm, nn.BatchNorm2d):
                before = _convolution_of(name, children)
                convolution = children[before]
                assert isinstance(convolution, nn.Conv2d)
                setattr(module, before, fuse_conv_bn_eval(convolution, norm))
                setattr(module, name, nn.Identity())
    blocks = network.head_offset.blocks
    for index, block in enumerate(blocks):
        if isinstance(block, AdaptiveBlock):
            blocks[index] = FrozenAdaptiveBlock(block)
    return network.requires_grad_(False)


def _convolution_of(norm: str, children: dict[str, nn.Module]) -> str:
    """The sibling that a normalisation follows: 0 of 1 in a row, conv2 of bn2, conv or taps of bn."""
    if norm.isdigit():
        return str(int(norm) - 1)
    found = re.fullmatch(r"bn(\d*)", norm)
    assert found
    return next(name for name in (f"conv{found[1]}", "taps") if name in children)


def model_input(size_px: tuple[int, int]) -> ModelInput:
    """What the network takes: any number of pictures of (width, height), normalised as ImageNet's."""
    width, height = size_px
    r, g, b = MEAN
    x, y, z = (1 / (255 * std) for std in STD)
    mean = (255 * r, 255 * g, 255 * b)
    return ModelInput(name=IMAGES, shape=(IMAGES, 3, height, width), colour="RGB", mean=mean, scale=(x, y, z))


def model_outputs(config: DekrConfig) -> tuple[ModelOutput, ...]:
    """The outputs as a manifest tells them."""
    return tuple(ModelOutput(name=name, meaning=MEANINGS[name]) for name in _outputs(config))


def _outputs(config: DekrConfig) -> tuple[str, ...]:
    return OUTPUTS if config.attributes else OUTPUTS[:2]


def to_onnx(network: DEKR, size_px: tuple[int, int], *, turned: bool = False) -> bytes:
    """The graph of a network for any number of pictures of (width, height).

    Raises:
        ValueError: the size is no multiple of what the branches need.
    """
    width, height = size_px
    multiple = network.config.multiple_px
    if width % multiple or height % multiple:
        raise ValueError(f"width and height must be multiples of {multiple}, got {width}x{height}")
    outputs = _outputs(network.config)
    run = frozen(network)
    opset = DEFORM_OPSET if network.config.head == "adaptive" else OPSET
    example = (torch.zeros(1, 3, height, width),)
    axes = {name: {0: IMAGES} for name in (IMAGES, *outputs)}
    return traced(Turned(run).eval() if turned else run, example, (IMAGES,), outputs, axes, opset=opset)


def to_int8(fp32: bytes, tensors: Iterable[Array]) -> bytes:
    """The int8 graph of an fp32 one by these normalised inputs (n, 3, H, W).

    Last layers stay float, as do moved taps and the convolutions that tell how far they move.
    """
    return quantized(fp32, IMAGES, tensors, _QUANTIZED, _KEPT_FLOAT, unsigned=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `dekr-export`."""
    parser.add_argument("--config", choices=tuple(CONFIGS), default="w32")
    parser.add_argument("--head", choices=("adaptive", "plain", "shared"), default="adaptive")
    parser.add_argument("--attributes", action="store_true", help="with the head of posture and head side")
    parser.add_argument("--weights", type=Path, help="a state dict of ours; without it untrained weights")
    parser.add_argument("--official", type=Path, help="a checkpoint of the official code, whose names are converted")
    parser.add_argument("--size", type=frame_size, default=(512, 512), help="of a picture, WxH in px")
    parser.add_argument("--turned", action="store_true", help="the graph turns pictures by 180 degrees, and back")
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file")


def run(args: argparse.Namespace) -> int:
    """Write one graph and say how large it is."""
    config = named(args.config, args.head, attributes=args.attributes)
    network = load(config, args.weights, args.official)
    data = to_onnx(network, args.size, turned=args.turned)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(data)
    print(f"{args.out}: {len(data) / 1e6:.2f} MB, {args.size[0]}x{args.size[1]}, outputs {', '.join(_outputs(config))}")
    return 0


def load(config: DekrConfig, weights: Path | None = None, official: Path | None = None) -> DEKR:
    """A network with weights of ours, of the official code, or as initialised.

    Raises:
        ValueError: the file cannot be read or is another network's.
    """
    if official:
        return load_official(read_checkpoint(official), replace(config, head="adaptive"))
    network = DEKR(config)
    if weights:
        try:
            network.load_state_dict(read_checkpoint(weights))
        except RuntimeError as error:
            raise ValueError(f"{weights}: not weights of this network: {str(error).splitlines()[0]}") from error
    return network.eval()
