"""What one call of a network costs: multiplications counted in torch, milliseconds of processor time on its graph."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from edgemon.inference import Model

_RUNS = 30
_ROUNDS, _WARM_UP, _TIMED = 12, 3, 12


def multiplications(network: nn.Module, example: Tensor) -> int:
    """Of all convolutions, dense and recurrent layers in one call."""
    total = 0

    def count(module: nn.Module, given: tuple[Tensor, ...], made: object) -> None:
        nonlocal total
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            assert isinstance(made, Tensor)
            total += made.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            assert isinstance(made, Tensor)
            total += made.numel() * module.in_features
        elif isinstance(module, nn.RNNBase):
            steps = given[0].shape[0] * given[0].shape[1]
            total += steps * sum(p.numel() for p in module.parameters() if p.ndim == 2)

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    with torch.inference_mode():
        network(example)
    for hook in hooks:
        hook.remove()
    return total


def lines(network: nn.Module, model: Model) -> Iterator[str]:
    """Millions of multiplications and the median processor time of a call; of clips at 60 and 180 frames."""
    for shape in dict.fromkeys(model.manifest.input.sized(frames) for frames in (60, 180)):
        example = np.zeros(shape, np.float32)
        took = []
        for _ in range(_RUNS):
            begun_s = time.thread_time()
            model(example)
            took.append(time.thread_time() - begun_s)
        millions = multiplications(network, torch.from_numpy(example)) / 1e6
        size = "x".join(map(str, shape))
        yield f"{size}: {millions:.1f} million multiplications, {1e3 * statistics.median(took):.2f} ms of one core"


def session(model: Path | bytes) -> ort.InferenceSession:
    """The options of `edgemon.inference.Model`: one thread, asleep between runs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def call_of(onnx: bytes) -> Callable[[], object]:
    """A call of a graph of one image, with random pixels."""
    opened = session(onnx)
    (image,) = opened.get_inputs()
    pixels = np.random.default_rng(0).uniform(-1, 1, image.shape).astype(np.float32)
    return partial(opened.run, None, {image.name: pixels})


def in_turns_ms(calls: Mapping[str, Callable[[], object]], rounds: int = _ROUNDS) -> dict[str, list[float]]:
    """Median processor time of each call in every round; they take turns, so that a busy machine slows them alike."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            took = []
            for turn in range(_WARM_UP + _TIMED):
                begun_s = time.thread_time()
                call()
                if turn >= _WARM_UP:
                    took.append(1e3 * (time.thread_time() - begun_s))
            spent[name].append(statistics.median(took))
    return spent
