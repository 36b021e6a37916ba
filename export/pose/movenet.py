"""A peer: MoveNet Lightning (Google, Apache-2.0), of adults who mostly stand upright; its file is a yardstick only."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.inference import Image
from edgemon.records import Pose
from export.pose.coco import LIMBS_OF_17
from export.pose.finders import Finder
from export.pose.oks import judge
from export.pose.samples import JOINTS, PoseSample

FILE: Final = Path("movenet") / "movenet_single_pose_lightning_ptq.tflite"
SIDE_PX: Final = 192
Floats = NDArray[np.float64]
Choice = Callable[[PoseSample, list[Pose]], Pose]


class Interpreter(Protocol):
    """What is used of ai_edge_litert's."""

    def set_tensor(self, index: int, value: NDArray[np.uint8]) -> None: ...
    def get_tensor(self, index: int) -> NDArray[np.float32]: ...
    def invoke(self) -> None: ...


class MoveNet:
    """The network on one square picture: 17 COCO keypoints, of which the twelve of the limbs are kept."""

    def __init__(self, folder: Path) -> None:
        """Open the file below the folder of peers.

        Raises:
            ValueError: it is not there, or ai-edge-litert is not installed.
        """
        path = folder / FILE
        if not path.is_file():
            raise ValueError(f"--peers {folder}: holds no {FILE}")
        try:
            litert: Any = importlib.import_module("ai_edge_litert.interpreter")
        except ImportError as error:
            raise ValueError(f"--peers needs ai-edge-litert: pip install 'edgemon[export]' ({error})") from error
        made = litert.Interpreter(str(path), num_threads=1)
        made.allocate_tensors()
        self._input, self._output = made.get_input_details()[0]["index"], made.get_output_details()[0]["index"]
        self._net: Interpreter = made

    def read(self, picture: Image) -> Pose:
        """The one person's limbs in the picture's px; head and neck, which COCO lacks, at 0 with score 0.

        The picture is fitted into a black square, in the middle, as the model's own preprocessing does.
        """
        height, width = picture.shape[:2]
        scale = SIDE_PX / max(height, width)
        inner = (round(width * scale), round(height * scale))
        left, top = (SIDE_PX - inner[0]) // 2, (SIDE_PX - inner[1]) // 2
        square = np.zeros((1, SIDE_PX, SIDE_PX, 3), np.uint8)
        square[0, top : top + inner[1], left : left + inner[0]] = cv2.resize(
            picture, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        )
        self._net.set_tensor(self._input, square)
        self._net.invoke()
        y, x, score = self._net.get_tensor(self._output).reshape(17, 3)[list(LIMBS_OF_17)].T
        joints = np.zeros((JOINTS, 3), np.float32)
        joints[: len(x)] = np.column_stack(
            [(x * SIDE_PX - left) / scale, (y * SIDE_PX - top) / scale, score.clip(0, 1)]
        )
        return Pose(joints, float(joints[: len(x), 2].mean()), None, None)


class Turned:
    """MoveNet on the picture turned by 0, 90, 180 and 270 degrees; `choose` takes one of the four poses.

    Infants lie at any angle and the network was taught people who stand: one upright look alone would not be fair.
    """

    def __init__(self, name: str, net: MoveNet, turns: int, choose: Choice) -> None:
        self.name = name
        self._net, self._turns, self._choose = net, turns, choose

    def __call__(self, sample: PoseSample) -> tuple[Pose, ...]:
        """The chosen pose."""
        picture = sample.read()
        poses = [
            turned_back(self._net.read(np.ascontiguousarray(np.rot90(picture, turn))), turn, sample.size)
            for turn in range(self._turns)
        ]
        return (self._choose(sample, poses),)


def turned_back(pose: Pose, turns: int, size: tuple[int, int]) -> Pose:
    """A pose told in a picture that was turned counterclockwise so many quarters, in the picture of this size."""
    width, height = (size[0] - 1, size[1] - 1)
    x, y, score = pose.keypoints.T
    places = {0: (x, y), 1: (width - y, x), 2: (width - x, height - y), 3: (y, height - x)}[turns % 4]
    return Pose(np.column_stack([*places, score]).astype(np.float32), pose.score, None, None)


def _surest(_: PoseSample, poses: list[Pose]) -> Pose:
    return max(poses, key=lambda pose: pose.score)


def _truest(sample: PoseSample, poses: list[Pose]) -> Pose:
    return max(poses, key=lambda pose: float(judge(sample, [pose]).oks.max(initial=0)))


def peers(folder: Path) -> tuple[Finder, ...]:
    """MoveNet upright, by the surest of four turns, and by that of four turns that the truth picks: its upper bound.

    Raises:
        ValueError: a peer cannot be run.
    """
    net = MoveNet(folder)
    return (
        Turned("MoveNet Lightning", net, 1, _surest),
        Turned("MoveNet, surest of 4 turns", net, 4, _surest),
        Turned("MoveNet, best of 4 turns by the truth", net, 4, _truest),
    )
