"""Static int8: weights per channel, activations by the ranges seen on a named calibration set (QDQ)."""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgemon.inference import Tensor
from edgemon.manifest import load
from export.calibration import CALIBRATION_COUNT, named, real_inputs
from export.onnx_export import TASKS, TaskName

_PICTURE_LAYERS = ("Conv", "LeakyRelu", "Relu", "Clip", "Add", "Resize")
QUANTIZED: Mapping[TaskName, tuple[str, ...]] = {
    "face": _PICTURE_LAYERS,
    "expression": _PICTURE_LAYERS,
    "pulse": ("Conv",),
}
# In int8 the first stage costs most of the recall and saves no time; heads and gates scale all that follows.
# Of the pulse network only the layers of each frame are many; all others hold waves fainter than a step of int8.
KEPT_FLOAT: Mapping[TaskName, tuple[str, ...]] = {
    "face": ("stage1", "Head."),
    "expression": ("classifier", "/conv/"),
    "pulse": ("/mask/", "/frame/frame.0/", "/enter/", "/time/", "/waves/", "/spectra/", "/rate/", "/odds/"),
}


class _Inputs(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    def __init__(self, name: str, tensors: Iterable[Tensor]) -> None:
        self._feeds: Iterator[dict[str, Tensor]] = ({name: tensor} for tensor in tensors)

    def get_next(self) -> dict[str, Tensor] | None:
        return next(self._feeds, None)


def to_int8(fp32: bytes, task: TaskName, tensors: Iterable[Tensor]) -> bytes:
    """The int8 graph of an fp32 one; what KEPT_FLOAT names stays float."""
    return quantized(fp32, TASKS[task].input.name, tensors, QUANTIZED[task], KEPT_FLOAT[task])


def quantized(
    fp32: bytes,
    name: str,
    tensors: Iterable[Tensor],
    kinds: Sequence[str],
    kept: Sequence[str],
    *,
    unsigned: bool = False,
) -> bytes:
    """The int8 graph of an fp32 one with the input `name`: nodes of these kinds but those whose names hold a `kept`.

    Activations are signed unless `unsigned`: behind plain ReLU only then does ONNX Runtime join a convolution and its
    ReLU into one int8 layer; signed, most convolutions of such a network are computed in fp32 after all.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, clean, target = (Path(folder) / name for name in ("fp32.onnx", "clean.onnx", "int8.onnx"))
        source.write_bytes(fp32)
        quant_pre_process(str(source), str(clean), skip_symbolic_shape=True)
        names = [node.name for node in onnx.load(str(clean)).graph.node]
        logging.getLogger().setLevel(logging.ERROR)
        quantize_static(
            str(clean),
            str(target),
            _Inputs(name, tensors),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8 if unsigned else QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=list(kinds),
            nodes_to_exclude=[node for node in names if any(part in node for part in kept)],
        )
        return target.read_bytes()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `quantize`."""
    parser.add_argument("task", choices=tuple(TASKS))
    parser.add_argument("--models", type=Path, default=Path("models"), help="the folder of released models")
    parser.add_argument("--data", type=Path, required=True, help="renders for calibration (the validation split)")
    parser.add_argument("--photographs", type=Path, help="the faces_london folder")
    parser.add_argument("--count", type=int, default=CALIBRATION_COUNT, help="inputs in the calibration set")
    parser.add_argument("--out", type=Path, required=True, help="the int8 ONNX file")


def run(args: argparse.Namespace) -> int:
    """Quantize a released fp32 model; `release` does this and measures what it costs."""
    fp32 = load(args.models, args.task).onnx
    int8 = to_int8(fp32, args.task, real_inputs(args.task, args.data, args.photographs, args.count))
    args.out.write_bytes(int8)
    print(f"{args.out}: {len(fp32) / 1e6:.2f} -> {len(int8) / 1e6:.2f} MB; {named(args.task, args.count)}")
    return 0
