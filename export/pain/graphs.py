"""ONNX graphs put together from parts: torch modules and networks that others made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from onnx import compose, helper
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from torch import Tensor, nn

from export import cost, onnx_export
from export.onnx_export import OPSET

IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Part:
    """A graph of one output: which tensors of the whole it takes, in order, and what its output is called there."""

    name: str
    graph: onnx.ModelProto
    takes: tuple[str, ...]
    makes: str


def traced(module: nn.Module, example: tuple[Tensor, ...]) -> onnx.ModelProto:
    """A torch module as a graph for just these shapes."""
    names = [f"in{number}" for number in range(len(example))]
    return onnx.load_from_string(onnx_export.traced(module.eval(), example, names, ("out",)))


def model_of(graph: onnx.GraphProto) -> onnx.ModelProto:
    """A graph as a model of our opset."""
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def together(parts: Sequence[Part], image: Sequence[int], outputs: Sequence[str]) -> onnx.ModelProto:
    """One graph of an image of this shape; every name within a part gets the part's as a prefix."""
    nodes, weights = [], []
    for part in parts:
        graph = compose.add_prefix(part.graph, f"{part.name}/").graph
        held = {tensor.name for tensor in graph.initializer}
        inputs = [node.name for node in graph.input if node.name not in held]
        nodes += [helper.make_node("Identity", [a], [b]) for a, b in zip(part.takes, inputs, strict=True)]
        nodes += [*graph.node, helper.make_node("Identity", [graph.output[0].name], [part.makes])]
        weights += list(graph.initializer)
    given = helper.make_tensor_value_info(IMAGE, onnx.TensorProto.FLOAT, list(image))
    told = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
    return model_of(helper.make_graph(nodes, "pain", [given], told, weights))


def session(model: onnx.ModelProto | bytes) -> ort.InferenceSession:
    """The graph on one thread.

    Raises:
        ValueError: ONNX Runtime refuses it.
    """
    try:
        return cost.session(model if isinstance(model, bytes) else model.SerializeToString())
    except (ort_errors.Fail, ort_errors.InvalidGraph, ort_errors.NotImplemented, ort_errors.RuntimeException) as error:
        raise ValueError(f"ONNX Runtime refuses the network: {str(error).splitlines()[0]}") from error


def shape_of(model: onnx.ModelProto, name: str, image: Sequence[int]) -> tuple[int, ...]:
    """The shape of an output, seen on a black image."""
    (made,) = session(model).run([name], {IMAGE: np.zeros(image, np.float32)})
    return tuple(made.shape)
