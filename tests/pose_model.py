"""A pose network without learning: red marks an infant's centre, green what can be seen, blue how it lies."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LYING = np.array(
    [[-6, -8], [6, -8], [-10, -3], [10, -3], [-12, 2], [12, 2], [-4, 6], [4, 6], [-6, 12], [6, 12], [-5, 18], [5, 18],
     [0, -18], [0, -8]], float,
)  # fmt: skip
LYING -= LYING.mean(axis=0)
LYING *= 20 / np.linalg.norm(LYING, axis=1).max()
"""Where the joints lie from the centre, in cells of 4 px of the network's input: as large as closer looks show them
(squares of 192 px, 1.2 times its reach), so that all looks say the same."""
THRESHOLDS = {"centre": 0.3, "visible": 0.4, "posture": 0.6}


def graph(size_px: tuple[int, int], images: int | str, attributes: bool) -> bytes:
    """One convolution of 4x4 px: means of the colours, and the joints' places as its bias."""
    from onnx import TensorProto, helper, numpy_helper

    parts = {"heatmap": 15, "offset": 28, "attributes": 9}
    if not attributes:
        del parts["attributes"]
    weight = np.zeros((sum(parts.values()), 3, 4, 4), np.float32)
    bias = np.zeros(len(weight), np.float32)
    weight[:14, 1] = weight[14, 0] = 1 / (16 * 255)
    bias[15:43] = -LYING.reshape(-1)
    if attributes:
        weight[[43, 46], 2], bias[[43, 46]] = 20 / (16 * 255), -10  # supine and head left where blue is bright
        bias[[50, 51]] = 1, np.log2(80 / 64)  # always upright, and of a reach of 20 cells
    width, height = size_px
    nodes = [
        helper.make_node("Conv", ["images", "weight", "bias"], ["all"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Split", ["all", "parts"], list(parts), axis=1),
    ]
    shape = [images, 3, height, width]
    made = helper.make_graph(
        nodes,
        "pose",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [images, n, height // 4, width // 4])
            for name, n in parts.items()
        ],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(bias, "bias"),
            numpy_helper.from_array(np.array(list(parts.values()), np.int64), "parts"),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def ship(
    folder: Path, name: str = "pose", *, size_px: tuple[int, int] = (256, 192), images: int | str = "images",
    attributes: bool = True, colour: str = "RGB", **told: object,
) -> Path:  # fmt: skip
    """Write NAME.onnx and its manifest into a folder."""
    onnx = graph(size_px, images, attributes)
    head = {
        "id": name, "version": "0.1.0", "sha256": hashlib.sha256(onnx).hexdigest(), "precision": "fp32",
        "task": "pose", "intended_use": "tests", **told,
    }  # fmt: skip
    outputs = ("heatmap", "offset", "attributes")[: 3 if attributes else 2]
    lines = [f"{key} = {json.dumps(value)}" for key, value in head.items()]
    thresholds = THRESHOLDS | ({"visible": 0.2} if colour == "depth" else {})  # a mattress is dark grey there
    lines += ["[thresholds]", *(f"{key} = {value}" for key, value in thresholds.items())]
    lines += ["[input]", 'name = "images"', f"shape = {json.dumps([images, 3, size_px[1], size_px[0]])}"]
    lines += [f'colour = "{colour}"', "mean = [0.0, 0.0, 0.0]", "scale = [1.0, 1.0, 1.0]"]
    for output in outputs:
        lines += ["[[outputs]]", f'name = "{output}"', 'meaning = "test"']
    lines += ["[[origins]]", 'data = "none"', 'licence = "CC0-1.0"']
    lines += ["[[metrics]]", 'name = "AP"', 'data = "none"', 'condition = "all"', "value = 1.0"]
    (folder / f"{name}.onnx").write_bytes(onnx)
    (folder / f"{name}.toml").write_text("\n".join(lines) + "\n")
    return folder


def cot(
    *centres: tuple[float, float], size_px: tuple[int, int] = (256, 192), seen: int = 200, supine: bool = True
) -> NDArray[np.uint8]:
    """A picture (H, W, 3) of infants with these centres, in px."""
    width, height = size_px
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 1], image[..., 2] = seen, 255 if supine else 0
    rows, columns = np.mgrid[:height, :width]
    for x, y in centres:
        bump = 240 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (height / 20) ** 2))
        image[..., 0] = np.maximum(image[..., 0], bump.astype(np.uint8))
    return image
