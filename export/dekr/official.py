"""The official DEKR (HRNet/DEKR, MIT) by the names of its tensors: a reference, and how its checkpoints become ours.

Written from the list of tensors in a checkpoint and apart from our modules, so that neither can hide a mistake of the
other; a branch for every joint, as the official code has it. Nothing of ours is trained from its weights.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from export.dekr.config import JOINTS, W32, DekrConfig
from export.dekr.network import DEKR

State = Mapping[str, Tensor]
Shape = tuple[int, ...]
Sampling = Callable[[Tensor, Tensor], Tensor]
_NORM = ("weight", "bias", "running_mean", "running_var")
_NUMBERS = ("transform_matrix_conv", "translation_conv")
_REGULAR = torch.tensor([[-1.0, -1, -1, 0, 0, 0, 1, 1, 1], [-1, 0, 1, -1, 0, 1, -1, 0, 1]])


def _conv(conv: str, norm: str, c_in: int, c_out: int, kernel: int = 3) -> Iterator[tuple[str, Shape]]:
    yield f"{conv}.weight", (c_out, c_in, kernel, kernel)
    yield from ((f"{norm}.{name}", (c_out,)) for name in _NORM)
    yield f"{norm}.num_batches_tracked", ()


def _basic(at: str, channels: int) -> Iterator[tuple[str, Shape]]:
    for number in (1, 2):
        yield from _conv(f"{at}.conv{number}", f"{at}.bn{number}", channels, channels)


def shapes(config: DekrConfig = W32) -> dict[str, Shape]:
    """Every tensor of an official checkpoint, 2,192 of them for the published sizes."""
    return dict([*_backbone(config), *_heads(config)])


def _backbone(config: DekrConfig) -> Iterator[tuple[str, Shape]]:
    yield from _conv("conv1", "bn1", 3, config.stem)
    yield from _conv("conv2", "bn2", config.stem, config.stem)
    narrow, wide, c_in = config.bottleneck, 4 * config.bottleneck, config.stem
    for block in range(config.bottlenecks):
        at = f"layer1.{block}"
        yield from _conv(f"{at}.conv1", f"{at}.bn1", c_in, narrow, 1)
        yield from _conv(f"{at}.conv2", f"{at}.bn2", narrow, narrow)
        yield from _conv(f"{at}.conv3", f"{at}.bn3", narrow, wide, 1)
        if block == 0:
            yield from _conv(f"{at}.downsample.0", f"{at}.downsample.1", c_in, wide, 1)
        c_in = wide
    widths = config.channels
    yield from _conv("transition1.0.0", "transition1.0.1", wide, widths[0])
    for stage in range(2, len(widths) + 1):
        new = f"transition{stage - 1}.{stage - 1}.0"
        yield from _conv(f"{new}.0", f"{new}.1", wide if stage == 2 else widths[stage - 2], widths[stage - 1])
        for module in range(config.modules[stage - 2]):
            yield from _module(f"stage{stage}.{module}", widths[:stage], config.blocks)


def _module(at: str, widths: tuple[int, ...], blocks: int) -> Iterator[tuple[str, Shape]]:
    for branch, channels in enumerate(widths):
        for block in range(blocks):
            yield from _basic(f"{at}.branches.{branch}.{block}", channels)
    for to, target in enumerate(widths):
        for source, channels in enumerate(widths):
            fuse = f"{at}.fuse_layers.{to}.{source}"
            if source > to:
                yield from _conv(f"{fuse}.0", f"{fuse}.1", channels, target, 1)
            for step in range(to - source):
                last = step == to - source - 1
                yield from _conv(f"{fuse}.{step}.0", f"{fuse}.{step}.1", channels, target if last else channels)


def _heads(config: DekrConfig) -> Iterator[tuple[str, Shape]]:
    total, heat, own = sum(config.channels), config.heatmap_channels, config.per_joint
    yield from _conv("transition_heatmap.0", "transition_heatmap.1", total, heat, 1)
    yield from _conv("transition_offset.0", "transition_offset.1", total, JOINTS * own, 1)
    yield from _basic("head_heatmap.0.0", heat)
    yield from (("head_heatmap.1.weight", (JOINTS + 1, heat, 1, 1)), ("head_heatmap.1.bias", (JOINTS + 1,)))
    for joint in range(JOINTS):
        for block in range(config.offset_blocks):
            at = f"offset_feature_layers.{joint}.{block}"
            yield f"{at}.regular_matrix", (2, 9)
            for name, numbers in (("transform_matrix_conv", 4), ("translation_conv", 2)):
                yield from ((f"{at}.{name}.weight", (numbers, own, 3, 3)), (f"{at}.{name}.bias", (numbers,)))
            yield from _conv(f"{at}.adapt_conv", f"{at}.bn", own, own)
        final = f"offset_final_layer.{joint}"
        yield from ((f"{final}.weight", (2, own, 1, 1)), (f"{final}.bias", (2,)))


def by_grid_sample(x: Tensor, place: Tensor) -> Tensor:
    """Maps (B, C, H, W) at places y, x (B, H, W, 2) in cells, bilinear, nought outside: as deformable convolutions."""
    last = x.new_tensor([x.shape[3] - 1.0, x.shape[2] - 1.0])
    return F.grid_sample(x, place.flip(3) * (2 / last) - 1, "bilinear", "zeros", align_corners=True)


def by_gathering(x: Tensor, place: Tensor) -> Tensor:
    """The same in gathers, corner by corner, as stand-ins for torchvision's operator are written."""
    batch, channels, height, width = x.shape
    low = place.floor()
    total = x.new_zeros(batch, channels, *place.shape[1:3])
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        corner = low + low.new_tensor([dy, dx])
        row, column = corner.long().unbind(dim=-1)
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        share = (1 - (place - corner).abs()).prod(dim=-1) * inside
        index = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).flatten(1)
        value = x.flatten(2).gather(2, index[:, None].expand(-1, channels, -1))
        total += value.view_as(total) * share[:, None]
    return total


class Official:
    """The official network in evaluation mode: pictures (B, 3, H, W) to heatmap and offset, tensor by tensor."""

    def __init__(self, state: State, config: DekrConfig = W32, sample: Sampling | None = None) -> None:
        """Raises ValueError where the state dict is not this network's; `sample` reads maps between their cells."""
        self.state, self.config, self.sample = checked(state, config), config, sample or by_grid_sample

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (B, 15, H/4, W/4) and (B, 28, H/4, W/4)."""
        x = self._unit(self._unit(images, "conv1", "bn1", 2), "conv2", "bn2", 2)
        for block in range(self.config.bottlenecks):
            x = self._bottleneck(x, f"layer1.{block}")
        maps = [x]
        for stage in range(2, len(self.config.channels) + 1):
            transition = f"transition{stage - 1}"
            fresh = self._unit(maps[-1], f"{transition}.{stage - 1}.0.0", f"{transition}.{stage - 1}.0.1", 2)
            if stage == 2:
                maps = [self._unit(maps[0], "transition1.0.0", "transition1.0.1")]
            maps = [*maps, fresh]
            for module in range(self.config.modules[stage - 2]):
                maps = self._module(maps, f"stage{stage}.{module}")
        size = maps[0].shape[2:]
        up = [F.interpolate(each, size=size, mode="bilinear", align_corners=False) for each in maps[1:]]
        features = torch.cat([maps[0], *up], dim=1)
        heat = self._basic(self._unit(features, "transition_heatmap.0", "transition_heatmap.1"), "head_heatmap.0.0")
        heatmap = F.conv2d(heat, self.state["head_heatmap.1.weight"], self.state["head_heatmap.1.bias"])
        parts = self._unit(features, "transition_offset.0", "transition_offset.1").chunk(JOINTS, dim=1)
        return heatmap, torch.cat([self._branch(part, joint) for joint, part in enumerate(parts)], dim=1)

    def _unit(self, x: Tensor, conv: str, norm: str, stride: int = 1, *, relu: bool = True) -> Tensor:
        weight = self.state[f"{conv}.weight"]
        x = self._norm(F.conv2d(x, weight, None, stride, weight.shape[-1] // 2), norm)
        return F.relu(x) if relu else x

    def _norm(self, x: Tensor, norm: str) -> Tensor:
        weight, bias, mean, var = (self.state[f"{norm}.{name}"] for name in _NORM)
        return F.batch_norm(x, mean, var, weight, bias)

    def _bottleneck(self, x: Tensor, at: str) -> Tensor:
        y = self._unit(self._unit(x, f"{at}.conv1", f"{at}.bn1"), f"{at}.conv2", f"{at}.bn2")
        y = self._unit(y, f"{at}.conv3", f"{at}.bn3", relu=False)
        if f"{at}.downsample.0.weight" in self.state:
            x = self._unit(x, f"{at}.downsample.0", f"{at}.downsample.1", relu=False)
        return F.relu(y + x)

    def _basic(self, x: Tensor, at: str) -> Tensor:
        y = self._unit(x, f"{at}.conv1", f"{at}.bn1")
        return F.relu(self._unit(y, f"{at}.conv2", f"{at}.bn2", relu=False) + x)

    def _module(self, maps: list[Tensor], at: str) -> list[Tensor]:
        for branch in range(len(maps)):
            for block in range(self.config.blocks):
                maps = [*maps]
                maps[branch] = self._basic(maps[branch], f"{at}.branches.{branch}.{block}")
        fused = []
        for to in range(len(maps)):
            parts = [self._brought(x, f"{at}.fuse_layers.{to}.{source}", to - source) for source, x in enumerate(maps)]
            fused.append(F.relu(torch.stack(parts).sum(dim=0)))
        return fused

    def _brought(self, x: Tensor, at: str, down: int) -> Tensor:
        if down < 0:
            narrow = self._unit(x, f"{at}.0", f"{at}.1", relu=False)
            return F.interpolate(narrow, scale_factor=float(2**-down), mode="nearest")
        for step in range(down):
            x = self._unit(x, f"{at}.{step}.0", f"{at}.{step}.1", 2, relu=step < down - 1)
        return x

    def _branch(self, x: Tensor, joint: int) -> Tensor:
        for block in range(self.config.offset_blocks):
            x = self._adapt(x, f"offset_feature_layers.{joint}.{block}")
        final = f"offset_final_layer.{joint}"
        return F.conv2d(x, self.state[f"{final}.weight"], self.state[f"{final}.bias"])

    def _adapt(self, x: Tensor, at: str) -> Tensor:
        batch, _, height, width = x.shape

        def read(name: str) -> Tensor:
            return F.conv2d(x, self.state[f"{at}.{name}.weight"], self.state[f"{at}.{name}.bias"], padding=1)

        regular = self.state[f"{at}.regular_matrix"]
        matrix = read("transform_matrix_conv").permute(0, 2, 3, 1).reshape(batch, height, width, 2, 2)
        moved = matrix @ regular - regular + read("translation_conv").permute(0, 2, 3, 1)[..., None]
        place = moved + regular  # y, x from the cell (B, H, W, 2, 9)
        cell = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), dim=-1)
        place = place + cell[:, :, :, None]
        taps = [self.sample(x, place[..., k]) for k in range(9)]
        weight = self.state[f"{at}.adapt_conv.weight"].flatten(2)
        sampled = torch.stack(taps, dim=2)  # (B, C, 9, H, W)
        y = F.conv2d(sampled.flatten(1, 2), weight.flatten(1)[:, :, None, None])
        return F.relu(self._norm(y, f"{at}.bn") + x)


def checked(state: State, config: DekrConfig) -> State:
    """The state dict without the prefix of `DataParallel`, if it holds exactly what the official one does.

    Raises:
        ValueError: a tensor is missing, not known or of another shape.
    """
    state = {name.removeprefix("module."): value for name, value in state.items()}
    wanted = shapes(config)
    for what, names in (("lacks", wanted.keys() - state.keys()), ("has an unknown", state.keys() - wanted.keys())):
        if names:
            raise ValueError(f"not this size of the official DEKR: it {what} {min(names)} ({len(names)} such)")
    for name, shape in wanted.items():
        if tuple(state[name].shape) != shape:
            raise ValueError(f"not this size of the official DEKR: {name} is {tuple(state[name].shape)}, not {shape}")
        if name.endswith("regular_matrix") and not torch.equal(state[name].float(), _REGULAR):
            raise ValueError(f"not the official DEKR: {name} is not a 3x3 grid of rows y, x")
    return state


def converted(state: State, config: DekrConfig = W32) -> dict[str, Tensor]:
    """An official state dict under our names: branches side by side in groups, all else as it is.

    Raises:
        ValueError: the state dict is not this network's.
    """
    state = checked(state, config)
    ours = {name: value for name, value in state.items() if not name.startswith("offset_f")}

    def side_by_side(name: str) -> Tensor:
        return torch.cat([state[name.format(joint)] for joint in range(JOINTS)])

    for block in range(config.offset_blocks):
        theirs, own = f"offset_feature_layers.{{}}.{block}", f"head_offset.blocks.{block}"
        for kind in ("weight", "bias"):
            pairs = [
                torch.cat([state[f"{theirs.format(j)}.{part}.{kind}"] for part in _NUMBERS]) for j in range(JOINTS)
            ]
            ours[f"{own}.numbers.{kind}"] = torch.cat(pairs)
        ours[f"{own}.taps.weight"] = side_by_side(f"{theirs}.adapt_conv.weight")
        ours |= {f"{own}.bn.{name}": side_by_side(f"{theirs}.bn.{name}") for name in _NORM}
        ours[f"{own}.bn.num_batches_tracked"] = state[f"{theirs.format(0)}.bn.num_batches_tracked"]
    ours |= {
        f"head_offset.final.{kind}": side_by_side(f"offset_final_layer.{{}}.{kind}") for kind in ("weight", "bias")
    }
    return ours


def load_official(state: State, config: DekrConfig = W32) -> DEKR:
    """Our network with an official state dict, strictly, in evaluation mode.

    Raises:
        ValueError: the state dict is not this network's, or the config has another head.
    """
    if config.head != "adaptive" or config.attributes:
        raise ValueError("an official checkpoint has adaptive heads and no attributes")
    network = DEKR(config)
    network.load_state_dict(converted(state, config))
    return network.eval()


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """A state dict out of a file, without its wrapper.

    Raises:
        ValueError: the file cannot be read or holds no state dict.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, LookupError, pickle.UnpicklingError) as error:  # text is a LookupError
        line = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: no checkpoint: {line}") from error
    state = saved.get("state_dict", saved) if isinstance(saved, dict) else saved
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: holds no state dict")
    return state


def made_up(config: DekrConfig, seed: int) -> dict[str, Tensor]:
    """Weights under which every part works and moved taps lie some cells away, between cells and beyond the edge.

    Residual branches and joined branches are weak, as trained ones are, so that no number grows with depth.
    """
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, shape in shapes(config).items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(0)
        elif name.endswith("regular_matrix"):
            state[name] = _REGULAR.clone()
        elif len(shape) == 4:
            fan = shape[1] * shape[2] * shape[3]
            state[name] = torch.randn(shape, generator=generator) * fan**-0.5
        elif name.endswith("running_var"):
            state[name] = torch.rand(shape, generator=generator) + 0.5
        else:
            gain = 0.3 if "fuse_layers" in name or name.split(".")[-2] in ("bn2", "bn3") else 1.0
            one = gain if name.endswith("weight") else 0.0
            state[name] = torch.randn(shape, generator=generator) * 0.2 * gain + one
    return state
