"""ONNX Runtime sessions, and the one preprocessing that training, parity checks and the device share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from edgemon.errors import ModelError
from edgemon.manifest import Manifest, ModelFile, ModelInput, load
from edgemon.records import Box

Image = NDArray[np.uint8]  # RGB (H, W, 3)
Tensor = NDArray[np.float32]

FACE_MARGIN = 0.25  # share of the face size added on each side, so that brow and chin stay in the crop
_ORT_ERRORS = tuple(
    getattr(ort_errors, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
)


class Model:
    """One network on the CPU, warmed up, its threads asleep between runs.

    The shape of its input is fixed but for the length of a clip or the number of images.
    """

    def __init__(self, file: ModelFile, threads: int = 1) -> None:
        """Build the session from the verified bytes.

        Raises:
            ModelError: ONNX Runtime refuses the bytes, or the graph is not what the manifest says.
        """
        self.manifest: Manifest = file.manifest
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(file.onnx, options, providers=["CPUExecutionProvider"])
        except _ORT_ERRORS as error:
            line = str(error).splitlines()[0]
            raise ModelError(f"model {self.manifest.label}: not a usable ONNX graph: {line}") from error
        self._outputs = [output.name for output in self.manifest.outputs]
        self._check_graph()
        self(np.zeros(self.manifest.input.sized(), np.float32))

    @classmethod
    def open(cls, folder: Path, name: str, threads: int = 1) -> Model:
        """Load, verify and warm up NAME from a folder."""
        return cls(load(folder, name), threads)

    def __call__(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Run the network on prepared images (N, 3, H, W) or a clip (1, T, 3, H, W); outputs in the manifest's order.

        N is 1 but for a network whose manifest takes any number.

        Raises:
            ModelError: ONNX Runtime fails on it, or a number that comes out is not finite.
        """
        try:
            outputs: list[Tensor] = self._session.run(self._outputs, {self.manifest.input.name: tensor})
        except _ORT_ERRORS as error:
            raise ModelError(f"model {self.manifest.label}: failed on a frame: {str(error).splitlines()[0]}") from error
        if not all(np.isfinite(output).all() for output in outputs):
            raise ModelError(f"model {self.manifest.label}: an output is not finite")
        return tuple(outputs)

    def _check_graph(self) -> None:
        inputs = {node.name: tuple(node.shape) for node in self._session.get_inputs()}
        expected = {self.manifest.input.name: self.manifest.input.shape}
        if inputs != expected:
            raise ModelError(f"model {self.manifest.label}: graph takes {inputs}, its manifest says {expected}")
        missing = set(self._outputs) - {node.name for node in self._session.get_outputs()}
        if missing:
            raise ModelError(f"model {self.manifest.label}: graph lacks the outputs {sorted(missing)}")


def prepare(image: Image, spec: ModelInput) -> Tensor:
    """RGB uint8 (H, W, 3) of exactly the network's size to its NCHW float32 input."""
    width, height = spec.size_px
    if image.shape != (height, width, 3):
        raise ValueError(f"image must be RGB ({height}, {width}, 3), got {image.shape}")
    scaled = (image.astype(np.float32) - np.array(spec.mean, np.float32)) * np.array(spec.scale, np.float32)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None], np.float32)


def letterbox(image: Image, size_px: tuple[int, int]) -> tuple[Image, float]:
    """Fit an image into (width, height) with its aspect kept, at the top left on grey; with the scale that was used."""
    width, height = size_px
    scale = min(width / image.shape[1], height / image.shape[0])
    if scale == 1.0 and image.shape[:2] == (height, width):
        return image, 1.0
    inner = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = np.asarray(cv2.resize(image, inner, interpolation=shrink), np.uint8)
    if inner == size_px:
        return resized, scale
    canvas = np.full((height, width, 3), 114, np.uint8)
    canvas[: inner[1], : inner[0]] = resized
    return canvas, scale


def roll_deg(landmarks: Tensor) -> float:
    """In-plane roll from all five landmarks (5, 2): 0 upright, clockwise positive, -180..180.

    The line of the eyes and the line from eyes to mouth vote together, so that a turned head (short eye line) and a
    nodding one (short face axis) both keep a steady angle.
    """
    across = landmarks[1] - landmarks[0]
    down = (landmarks[3] + landmarks[4] - landmarks[0] - landmarks[1]) / 2
    return math.degrees(math.atan2(float(across[1] - down[0]), float(across[0] + down[1])))


def aligned_crop(image: Image, box: Box, landmarks: Tensor, size_px: int, margin: float = FACE_MARGIN) -> Image:
    """The face turned upright: RGB (size_px, size_px, 3), the box's centre in the middle, outside the picture black.

    The side is sqrt(box area) * (1 + 2 * margin); the angle is `roll_deg` of the landmarks.
    """
    x0, y0, x1, y1 = box
    side = math.sqrt((x1 - x0) * (y1 - y0)) * (1 + 2 * margin)
    centre = ((x0 + x1) / 2, (y0 + y1) / 2)
    matrix = np.asarray(cv2.getRotationMatrix2D(centre, roll_deg(landmarks), size_px / side), np.float64)
    matrix[:, 2] += (size_px - 1) / 2 - np.array(centre, np.float64)
    return np.asarray(cv2.warpAffine(image, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True, slots=True)
class ExpressionScores:
    """Calibrated probabilities and how much of each region can be seen, each 0..1, in the order of a network's output.

    A network that was not taught the facial actions of pain tells the first five only.
    """

    eyes_closed: float
    crying: float
    yawning: float
    eyes_visible: float
    mouth_visible: float
    brow_bulge: float | None = None
    eye_squeeze: float | None = None
    nasolabial_furrow: float | None = None
    brow_visible: float | None = None
    cheeks_visible: float | None = None


class ExpressionModel:
    """Reads eyes, cry, yawn and, where it was taught them, the facial actions of pain from one face.

    Raises:
        ModelError: another task's model, or neither 5 nor 10 scores.
    """

    def __init__(self, model: Model) -> None:
        if model.manifest.task != "expression":
            raise ModelError(f"model {model.manifest.label} is a {model.manifest.task} model, not an expression model")
        self.manifest = model.manifest
        self._run: Callable[[Tensor], tuple[Tensor, ...]] = model
        count = model(np.zeros(model.manifest.input.sized(), np.float32))[0].size
        if count not in (5, 10):
            raise ModelError(f"model {model.manifest.label} tells {count} scores; an expression model tells 5 or 10")
        needed = {"eyes_visible", "brow_visible", "cheeks_visible"}  # without its threshold a region is never seen
        self.tells_actions = count == 10 and needed <= model.manifest.thresholds.keys()

    def read(self, image: Image, box: Box, landmarks: Tensor) -> ExpressionScores:
        """The scores of the face with this box and these landmarks (px of the image)."""
        return self.read_crop(aligned_crop(image, box, landmarks, self.manifest.input.size_px[1]))

    def read_crop(self, crop: Image) -> ExpressionScores:
        """The scores of a face that is upright and of the network's size, as `aligned_crop` gives it."""
        (scores,) = self._run(prepare(crop, self.manifest.input))
        return ExpressionScores(*(min(1.0, max(0.0, float(v))) for v in scores.reshape(-1)))


class PainModel:
    """Says how much one face resembles faces with the facial actions of pain.

    Raises:
        ModelError: another task's model, or one that tells anything but one number.
    """

    def __init__(self, model: Model) -> None:
        if model.manifest.task != "pain":
            raise ModelError(f"model {model.manifest.label} is a {model.manifest.task} model, not a pain model")
        self.manifest = model.manifest
        self._run: Callable[[Tensor], tuple[Tensor, ...]] = model
        count = sum(output.size for output in model(np.zeros(model.manifest.input.sized(), np.float32)))
        if count != 1:
            raise ModelError(f"model {model.manifest.label} tells {count} numbers; a pain model tells one")

    def read(self, image: Image, box: Box, landmarks: Tensor) -> float:
        """The probability 0..1 of the face with this box and these landmarks (px of the image)."""
        return self.read_crop(aligned_crop(image, box, landmarks, self.manifest.input.size_px[1]))

    def read_crop(self, crop: Image) -> float:
        """The same of a face that is upright and of the network's size, as `aligned_crop` gives it."""
        (score,) = self._run(prepare(crop, self.manifest.input))
        return min(1.0, max(0.0, float(score.item())))
