"""Any ONNX network of images as a maker of features: the tensor of one of its layers, from our upright crop."""

from __future__ import annotations

import argparse
import tomllib
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper, version_converter
from torch import Tensor, nn
from torch.nn import functional as F

from export.onnx_export import OPSET
from export.pain.graphs import Part, model_of, shape_of, together, traced
from export.pain.handcrafted import Handcrafted
from export.pain.samples import SIDE_PX

IMAGE, DEEP, HANDCRAFTED, STRAIN = "image", "deep", "handcrafted", "strain"
VIEWS = (DEEP, HANDCRAFTED)
GREY = 114.0 / 255  # what `edgemon.inference.letterbox` pads with
POOL = 2  # a map of features becomes the means of its quarters
_DENSE = ("Gemm", "MatMul")
_NAMED = 12  # of the layers that could be meant, in a message


@dataclass(frozen=True, slots=True)
class Taking:
    """What a network takes: height and width in px, layout, order of colours, (x - mean) * scale of 0..255."""

    height: int
    width: int
    channels_last: bool = False
    bgr: bool = False
    mean: tuple[float, ...] = (127.5,) * 3
    scale: tuple[float, ...] = (1 / 127.5,) * 3


@dataclass(frozen=True, slots=True)
class FaceNetwork:
    """The graph up to the layer whose tensor is taken, for one image."""

    name: str
    layer: str
    graph: onnx.ModelProto
    taking: Taking

    @property
    def input(self) -> str:
        """Its input's name."""
        return str(self.graph.graph.input[0].name)


def read(path: Path, layer: str | None = None, taking: Taking | None = None) -> FaceNetwork:
    """A network from FILE.onnx, cut at a layer; by default at what its last dense layer takes.

    Preprocessing comes from FILE.toml where there is one, as of all our models, else from `taking`, else it is
    RGB (x - 127.5) / 127.5 of the size that the graph tells.

    Raises:
        ValueError: no ONNX graph of one image, or there is no such layer; names what could be meant.
    """
    try:
        model = onnx.load(str(path))
    except (OSError, DecodeError) as error:
        raise ValueError(f"{path}: cannot be read as an ONNX graph: {error}") from error
    taking = taking or _taking(path, model)
    cut = layer or _last_dense(path, model)
    made = {name for node in model.graph.node for name in node.output}
    if cut not in made:
        raise ValueError(f"{path}: no layer makes {cut!r}; {_candidates(model)}")
    return FaceNetwork(path.stem, cut, _cut(model, cut), taking)


def _taking(path: Path, model: onnx.ModelProto) -> Taking:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [node for node in model.graph.input if node.name not in weights]
    shape = [axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim] if inputs else []
    if len(inputs) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise ValueError(f"{path}: takes {[node.name for node in inputs]} of {shape}; one RGB image is expected")
    last = shape[1] != 3
    height, width = (shape[1], shape[2]) if last else (shape[2], shape[3])
    if not (height and width):
        raise ValueError(f"{path}: its input has no fixed size; say it with --network-size WIDTHxHEIGHT")
    manifest = path.with_suffix(".toml")
    if not manifest.is_file():
        return Taking(height, width, channels_last=last)
    told = tomllib.loads(manifest.read_text(encoding="utf-8"))["input"]
    return Taking(height, width, mean=tuple(told["mean"]), scale=tuple(told["scale"]), channels_last=last)


def _last_dense(path: Path, model: onnx.ModelProto) -> str:
    dense = [node for node in model.graph.node if node.op_type in _DENSE]
    if not dense:
        raise ValueError(f"{path}: has no dense layer; name a tensor with --layer: {_candidates(model)}")
    return str(dense[-1].input[0])


def _candidates(model: onnx.ModelProto) -> str:
    kinds = ("Relu", "Clip", "PRelu", "ReduceMean", "GlobalAveragePool", "Flatten", "Add")
    names = [node.output[0] for node in model.graph.node if node.op_type in kinds]
    return f"such as {', '.join(names[-_NAMED:])}"


def _cut(model: onnx.ModelProto, layer: str) -> onnx.ModelProto:
    """Only what leads to the layer, with its tensor as the one output, at our opset."""
    if next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")) != OPSET:
        model = version_converter.convert_version(model, OPSET)
    makers = {name: node for node in model.graph.node for name in node.output}
    wanted, queue = set[str](), [layer]
    while queue:
        name = queue.pop()
        if name in wanted:
            continue
        wanted.add(name)
        queue += list(makers[name].input) if name in makers else []
    nodes = [node for node in model.graph.node if wanted & set(node.output)]
    weights = [tensor for tensor in model.graph.initializer if tensor.name in wanted]
    held = {tensor.name for tensor in weights}
    inputs = [node for node in model.graph.input if node.name in wanted and node.name not in held]
    output = helper.make_tensor_value_info(layer, onnx.TensorProto.FLOAT, None)
    return model_of(helper.make_graph(nodes, "network", inputs, [output], weights))


class _Adapter(nn.Module):
    """Our prepared crop to what the network takes, fitted at the top left as the device letterboxes."""

    def __init__(self, taking: Taking) -> None:
        super().__init__()
        self.taking = taking
        self.register_buffer("mean", torch.tensor(taking.mean).view(1, -1, 1, 1))
        self.register_buffer("scale", torch.tensor(taking.scale).view(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """(1, 3, 112, 112) of -1..1 to the network's size, range, colour and layout."""
        t, x = self.taking, image * 127.5 + 127.5
        side = min(t.height, t.width)
        if side != SIDE_PX:
            x = F.interpolate(x, (side, side), mode="bilinear", align_corners=False)
        if t.height != t.width:
            x = F.pad(x, (0, t.width - side, 0, t.height - side), value=255 * GREY)
        x = (x.flip(1) if t.bgr else x) - self.get_buffer("mean")
        x = x * self.get_buffer("scale")
        return x.permute(0, 2, 3, 1) if t.channels_last else x


class _Pool(nn.Module):
    """A vector as it is; of maps the means of their four quarters."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank

    def forward(self, layer: Tensor) -> Tensor:
        """(1, C) or (1, C, H, W) to (1, D)."""
        if self.rank < 4:
            return layer.flatten(1)
        rows, columns = layer.shape[2] // POOL, layer.shape[3] // POOL
        return F.avg_pool2d(layer, (rows, columns), (rows, columns)).flatten(1)


def features(network: FaceNetwork) -> tuple[Part, ...]:
    """The parts of a graph from the prepared crop `image` to `deep` and `handcrafted`.

    Raises:
        ValueError: ONNX Runtime refuses the network, or the layer's tensor is neither a vector nor a map.
    """
    image = torch.zeros(1, 3, SIDE_PX, SIDE_PX)
    crafted = Part("handcrafted", traced(Handcrafted(), (image,)), (IMAGE,), HANDCRAFTED)
    adapter = Part("adapter", traced(_Adapter(network.taking), (image,)), (IMAGE,), "adapted")
    body = Part("network", network.graph, ("adapted",), "layer")
    shape = shape_of(together((adapter, body), image.shape, ("layer",)), "layer", image.shape)
    if len(shape) not in (2, 4) or shape[0] != 1:
        raise ValueError(f"{network.name}: layer {network.layer} is {shape}; (1, C) or (1, C, H, W) is needed")
    pool = Part("pool", traced(_Pool(len(shape)), (torch.zeros(shape),)), ("layer",), DEEP)
    return adapter, body, pool, crafted


def network_of(args: argparse.Namespace, models: Path) -> FaceNetwork:
    """The network that the arguments name.

    Raises:
        ValueError: it cannot be read, or has no such layer.
    """
    path = args.network or models / "expression.onnx"
    if args.network_size is None:
        return read(path, args.layer)
    words = args.network_size.split("x")
    if len(words) != 2 or not all(word.isdigit() and int(word) for word in words):
        raise ValueError(f"--network-size {args.network_size}: WIDTHxHEIGHT in px, such as 224x224, would be right")
    taking = Taking(
        int(words[1]),
        int(words[0]),
        channels_last=args.channels_last,
        bgr=args.bgr,
        mean=tuple(args.network_mean),
        scale=tuple(args.network_scale),
    )
    return read(path, args.layer, taking)
