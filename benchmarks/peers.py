"""Published face detectors behind one interface; yardsticks only: nothing of ours is made from them.

Each takes the frame as it is (320x240), decodes its own outputs and goes through our NMS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from edgemon.faces.detect import Detection, nms
from edgemon.inference import Image, Tensor, letterbox
from export.cost import session
from export.face_cases import FRAME_PX

Array = NDArray[np.float32]
NMS_DIOU = 0.4


def merged(found: Sequence[Detection]) -> tuple[Detection, ...]:
    """Without those that another one covers, best first."""
    boxes = np.array([d.box for d in found], np.float32).reshape(-1, 4)
    return tuple(found[i] for i in nms(boxes, np.array([d.score for d in found], np.float32), NMS_DIOU))


class Peer:
    """A published detector: its own input, its own decoding, our NMS."""

    frame_px = FRAME_PX

    def __init__(self, model: Path | bytes) -> None:
        self.session = session(model)
        self.input = self.session.get_inputs()[0].name

    def prepare(self, image: Image) -> Tensor:
        """NCHW input."""
        raise NotImplementedError

    def decode(self, outputs: Sequence[Array]) -> tuple[Array, Array, Array]:
        """Scores (n,), boxes xyxy (n, 4), landmarks (n, 5, 2)."""
        raise NotImplementedError

    def run(self, tensor: Tensor) -> list[Array]:
        """The bare network."""
        return self.session.run(None, {self.input: tensor})

    def bare(self, image: Image) -> Callable[[], object]:
        """A call of the bare network on one frame, for timing."""
        return partial(self.run, self.prepare(image))

    def detect(self, image: Image, threshold: float | None = None) -> tuple[Detection, ...]:
        """The faces, best first."""
        fitted, scale = letterbox(image, self.frame_px)
        scores, boxes, points = self.decode(self.run(self.prepare(fitted)))
        chosen = np.flatnonzero(scores >= (0.5 if threshold is None else threshold))
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")[:100]]
        return merged(
            [Detection(tuple(map(float, boxes[i] / scale)), points[i] / scale, float(scores[i])) for i in chosen]
        )


class YuNet(Peer):
    """YuNet (libfacedetection.train, Apache-2.0) at 320x256, or turned: BGR 0-255, the frame padded."""

    strides = (8, 16, 32)

    def __init__(self, path: Path, *, turned: bool = False) -> None:
        """`turned` takes frames of 240x320; the same weights at the input of 256x320."""
        self.size_px = (256, 320) if turned else (320, 256)
        self.frame_px = FRAME_PX[::-1] if turned else FRAME_PX
        super().__init__(_at_size(path, self.size_px) if turned else path)

    def prepare(self, image: Image) -> Tensor:
        """Pad with black, below and on the right, to a size that its pyramid divides."""
        padded = np.zeros((self.size_px[1], self.size_px[0], 3), np.float32)
        padded[: image.shape[0], : image.shape[1]] = image[..., ::-1]
        return np.ascontiguousarray(padded.transpose(2, 0, 1)[None])

    def decode(self, outputs: Sequence[Array]) -> tuple[Array, Array, Array]:
        """score = sqrt(cls * obj); offsets in strides from the cell's corner."""
        named = {node.name: value for node, value in zip(self.session.get_outputs(), outputs, strict=True)}
        scores, boxes, points = [], [], []
        for stride in self.strides:
            cls, obj, box, kps = (
                named[f"{kind}_{stride}"].reshape(-1, size)
                for kind, size in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
            )
            y, x = np.divmod(np.arange(len(cls)), self.size_px[0] // stride)
            cell = np.stack([x, y], axis=1).astype(np.float32)
            centre, size = (cell + box[:, :2]) * stride, np.exp(np.clip(box[:, 2:], -10, 10)) * stride
            scores.append(np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1)))
            boxes.append(np.concatenate([centre - size / 2, centre + size / 2], axis=1))
            points.append((cell[:, None] + kps.reshape(-1, 5, 2)) * stride)
        return np.concatenate(scores), np.concatenate(boxes), np.concatenate(points)


def _at_size(path: Path, size_px: tuple[int, int]) -> bytes:
    """The graph with another input size; its shapes follow, as it is fully convolutional."""
    model = onnx.load(str(path))
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[2].dim_value, dims[3].dim_value = size_px[1], size_px[0]
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model.SerializeToString()


class ThreeRotations:
    """A detector run on the frame as it is and turned a quarter to either side, merged by NMS."""

    def __init__(self, upright: Peer, sideways: Peer) -> None:
        self.upright, self.sideways = upright, sideways

    def bare(self, image: Image) -> Callable[[], object]:
        """All three runs."""
        calls = [self.upright.bare(image), *(self.sideways.bare(np.rot90(image, quarters)) for quarters in (1, 3))]
        return lambda: [call() for call in calls]

    def detect(self, image: Image, threshold: float | None = None) -> tuple[Detection, ...]:
        """The faces, best first, in px of the frame as it is."""
        height, width = image.shape[:2]
        found = list(self.upright.detect(image, threshold))
        for quarters, linear, shift in ((1, ((0, -1), (1, 0)), (width, 0)), (3, ((0, 1), (-1, 0)), (0, height))):
            turned = self.sideways.detect(np.ascontiguousarray(np.rot90(image, quarters)), threshold)
            found += [_moved(d, np.array(linear, np.float32), np.array(shift, np.float32)) for d in turned]
        return merged(sorted(found, key=lambda d: -d.score))


def _moved(found: Detection, linear: Array, shift: Array) -> Detection:
    corners = np.array(found.box, np.float32).reshape(2, 2) @ linear.T + shift
    (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return Detection((x0, y0, x1, y1), found.landmarks @ linear.T + shift, found.score)


class RetinaFaceMnet(Peer):
    """RetinaFace on MobileNetV1 0.25 (biubug6, MIT) at 320x240: BGR less its mean.

    The graph equals the published checkpoint, anchors and softmax included (3e-5 on its raw outputs). Its scores fall
    steeply with noise: London faces of 106 px, dark at 90 degrees, score 0.06 in the median under our noise, which is
    the same in all three channels, as that of a grey sensor is; 0.34 where each channel has its own; 0.84 without. So
    its recall there says most about the threshold, which spoiled faces alone lift from 0.02 to 0.7.
    """

    sides = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        width, height = FRAME_PX
        self.anchors = np.array(
            [
                ((j + 0.5) * stride, (i + 0.5) * stride, side, side)
                for stride, sides in self.sides
                for i in range(math.ceil(height / stride))
                for j in range(math.ceil(width / stride))
                for side in sides
            ],
            np.float32,
        )

    def prepare(self, image: Image) -> Tensor:
        """As its authors do."""
        bgr = image[..., ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
        return np.ascontiguousarray(bgr.transpose(2, 0, 1)[None])

    def decode(self, outputs: Sequence[Array]) -> tuple[Array, Array, Array]:
        """SSD's variances; the outputs are known by their widths: 4 box, 2 class, 10 landmarks."""
        by_width = {output.shape[-1]: output[0] for output in outputs}
        a, box, logits = self.anchors, by_width[4], by_width[2]
        scores = logits[:, 1]
        if logits.min() < 0 or not np.allclose(logits.sum(axis=1), 1, atol=1e-3):
            scores = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
        centre, half = a[:, :2] + box[:, :2] * 0.1 * a[:, 2:], a[:, 2:] * np.exp(box[:, 2:] * 0.2) / 2
        points = a[:, None, :2] + by_width[10].reshape(-1, 5, 2) * 0.1 * a[:, None, 2:]
        return scores.astype(np.float32), np.concatenate([centre - half, centre + half], axis=1), points


class Haar:
    """OpenCV's cascade, scored by how many windows agree; no landmarks, so its roll is nought."""

    def __init__(self) -> None:
        self.cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def detect(self, image: Image, threshold: float | None = None) -> tuple[Detection, ...]:
        """The faces, best first."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        boxes, _, weights = self.cascade.detectMultiScale3(grey, 1.1, 3, minSize=(44, 44), outputRejectLevels=True)
        scores = [1 / (1 + math.exp(-float(w) / 5)) for w in np.ravel(weights)]
        found = [(s, b) for s, b in zip(scores, boxes, strict=True) if s >= (threshold or 0.0)]
        upright = np.array([[-1, -1], [1, -1], [0, 0], [-1, 1], [1, 1]], np.float32)
        return tuple(
            Detection((float(x), float(y), float(x + w), float(y + h)), upright, s)
            for s, (x, y, w, h) in sorted(found, key=lambda item: -item[0])
        )
