"""The whole pipeline as one ONNX graph, and its parity with scikit-learn."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from export.pain.classifiers import Fitted
from export.pain.features import INPUT, Features, prepared
from export.pain.graphs import IMAGE, Part, session, together, traced
from export.pain.heads import Decision, used
from export.pain.network import HANDCRAFTED, FaceNetwork, features

SCORE = "pain"
MAX_DIFFERENCE = 1e-5


def to_onnx(network: FaceNetwork, fitted: Fitted, widths: dict[str, int]) -> bytes:
    """From the prepared crop to the probability of pain; `widths` of the views."""
    views = used(tuple(branch.views for branch in fitted.branches))
    example = tuple(torch.zeros(1, widths[view]) for view in views)
    parts = [p for p in features(network) if (p.makes == HANDCRAFTED) <= (HANDCRAFTED in views)]
    if len(views) == 1 and views[0] == HANDCRAFTED:
        parts = [p for p in parts if p.makes == HANDCRAFTED]
    decision = Part("decision", traced(Decision(fitted), example), views, SCORE)
    graph = together([*parts, decision], INPUT.sized(), (SCORE,))
    graph.graph.output[0].type.tensor_type.shape.CopyFrom(
        onnx.helper.make_tensor_value_info(SCORE, onnx.TensorProto.FLOAT, [1, 1]).type.tensor_type.shape
    )
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString())


def probabilities(graph: bytes, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the graph says of crops (n, 112, 112, 3), (n,)."""
    run = session(graph)
    return np.array([run.run([SCORE], {IMAGE: prepared(crop[None])})[0].item() for crop in crops])


def check_parity(graph: bytes, fitted: Fitted, features_of: Features, crops: NDArray[np.uint8]) -> float:
    """The largest difference between the graph and scikit-learn.

    Raises:
        ValueError: it is above 1e-5.
    """
    worst = float(np.abs(probabilities(graph, crops) - fitted.probability(features_of)).max())
    if worst > MAX_DIFFERENCE:
        raise ValueError(f"the graph differs from scikit-learn by {worst:.1e}; at most {MAX_DIFFERENCE:g} is allowed")
    return worst
