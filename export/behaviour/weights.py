"""A released ONNX graph back as the network that it was made from, so that a clone alone can be trained further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from export.babyehanet import TARGETS, BabyEHANet

Tensors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """The network with as many outputs as the graph tells, and the temperature of each.

    The graph's convolutions hold the batch normalisation that followed them; here those layers do nothing but add the
    bias, so the network must stay in evaluation mode while it is trained.
    """

    network: BabyEHANet
    temperatures: torch.Tensor

    @property
    def targets(self) -> tuple[str, ...]:
        """What the network tells."""
        return TARGETS[: len(self.temperatures)]


def restored(graph: bytes) -> Restored:
    """The fp32 expression graph as a network.

    Every convolution and dense layer goes by its place in the graph's names, with its weights as they are.

    Raises:
        ValueError: it is no such graph, or of another network.
    """
    told = onnx.load_from_string(graph).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in told.initializer}
    for node in told.node:  # tensors that are the same are kept once
        if node.op_type == "Identity" and node.input[0] in tensors:
            tensors[node.output[0]] = tensors[node.input[0]]
    layers = {_place(node.name): node.input for node in told.node if node.op_type in ("Conv", "Gemm")}
    held = all(name in tensors for given in layers.values() for name in given[1:])
    if "temperatures" not in tensors or "classifier.1" not in layers or not held:
        raise ValueError("the graph is not of the expression network in fp32")
    count = len(tensors["temperatures"])
    network = BabyEHANet()
    network.classifier[1] = nn.Linear(network.config.head, count)
    modules = [(name, m) for name, m in network.named_modules() if isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Linear))]
    if {name for name, _ in modules} != set(layers):
        differ = sorted({name for name, _ in modules} ^ set(layers))
        raise ValueError(f"the graph is of another network: {', '.join(differ[:4])} is in one of them only")
    norms = _norms(network)
    for name, layer in modules:
        _fill(name, layer, [tensors[given] for given in layers[name][1:]], norms.get(name))
    return Restored(network.eval(), torch.from_numpy(tensors["temperatures"].copy()))


def _place(node: str) -> str:
    """`/network/features/features.3/layers/layers.0/Conv` is `features.3.layers.0`."""
    parts = [part for part in node.split("/") if part][:-1]
    return ".".join(part.rpartition(".")[2] for part in (parts[1:] if parts[:1] == ["network"] else parts))


def _norms(network: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """The normalisation right after each convolution, by the convolution's name."""
    names = list(network.named_modules())
    pairs = pairwise(names)
    return {name: after for (name, _), (_, after) in pairs if isinstance(after, nn.BatchNorm2d)}


def _fill(name: str, layer: nn.Module, values: list[NDArray[np.float32]], norm: nn.BatchNorm2d | None) -> None:
    weight, bias = (torch.from_numpy(np.array(value)) for value in values)
    assert isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear))
    if layer.weight.shape != weight.shape:
        raise ValueError(f"the graph is of another network: {name} is {tuple(weight.shape)} there")
    with torch.no_grad():
        layer.weight.copy_(weight)
        if norm is None:
            assert layer.bias is not None
            layer.bias.copy_(bias)
            return
        norm.weight.fill_(1.0)
        norm.bias.copy_(bias)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
