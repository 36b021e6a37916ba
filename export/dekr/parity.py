"""`dekr-parity`: our merged network and its graphs against the official network, a branch a joint."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor

from export.arguments import frame_size
from export.dekr.config import CONFIGS, JOINTS
from export.dekr.graph import Turned, frozen, to_onnx
from export.dekr.official import Official, load_official, made_up, read_checkpoint
from export.nfd_parity import pictures

MAX_DIFFERENCE = 1e-5  # of the largest number of the output
MAX_DOUBLE = 1e-12


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest difference of any number, as a share of the largest number of the same output."""

    double: float  # ours and the official in fp64: the conversion itself
    torch: float  # in fp32
    frozen: float  # what is exported, normalisation folded, and the official
    graph: float  # the ONNX graph and ours
    turned: float  # the graph that turns its picture and ours given a turned one

    @property
    def equal(self) -> bool:
        """Whether all are within their limits."""
        return self.double <= MAX_DOUBLE and max(self.torch, self.frozen, self.graph, self.turned) <= MAX_DIFFERENCE


def difference(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """The worst output's largest difference over its largest number."""
    pairs = zip(found, wanted, strict=True)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


@torch.inference_mode()
def parity(state: dict[str, Tensor], config_name: str, images: Tensor) -> Parity:
    """Compares the networks with this official state dict on pictures (B, 3, H, W)."""
    config = CONFIGS[config_name]
    ours, theirs = load_official(state, config), Official(state, config)
    expected = theirs(images)
    doubles = {name: value.double() for name, value in state.items()}
    exact = Official(doubles, config)(images.double())
    size_px = (images.shape[3], images.shape[2])
    plain, turned = (_run(to_onnx(ours, size_px, turned=flag), images) for flag in (False, True))
    return Parity(
        double=difference(load_official(doubles, config).double()(images.double()), exact),
        torch=difference(ours(images), expected),
        frozen=difference(frozen(ours)(images), expected),
        graph=difference(plain, ours(images)),
        turned=difference(turned, Turned(ours)(images)),
    )


def _run(graph: bytes, images: Tensor) -> list[Tensor]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(np.asarray(x)) for x in session.run(None, {"images": images.numpy()})]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `dekr-parity`."""
    parser.add_argument("--configs", nargs="+", choices=tuple(CONFIGS), default=list(CONFIGS))
    parser.add_argument("--size", type=frame_size, default=(192, 128), help="of a picture, WxH in px")
    parser.add_argument("--official", type=Path, help="a checkpoint of the official code (one config); else made-up")
    parser.add_argument("--images", type=int, default=2, help="pictures in the batch")
    parser.add_argument("--seed", type=int, default=1)


def run(args: argparse.Namespace) -> int:
    """Print every difference; 1 where one is above its limit."""
    equal = True
    for name in args.configs:
        began_s = time.monotonic()
        state = read_checkpoint(args.official) if args.official else made_up(CONFIGS[name], args.seed)
        images = pictures(args.images, args.size, torch.Generator().manual_seed(args.seed))
        found = parity(state, name, images)
        equal = equal and found.equal
        print(
            f"{name} at {args.size[0]}x{args.size[1]}, {len(state)} tensors, {JOINTS} joints: of the largest number, "
            f"merged differs from official by {found.double:.1e} in fp64, {found.torch:.1e} in fp32, "
            f"{found.frozen:.1e} folded; ONNX from torch by {found.graph:.1e}, turned {found.turned:.1e}; "
            f"{'equal' if found.equal else 'NOT EQUAL'}; {time.monotonic() - began_s:.1f} s",
            flush=True,
        )
    return int(not equal)
