"""Infants of any turn: the network is shown them upright, and joints come back where they are in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pose_model import THRESHOLDS, cot, ship

from edgemon.inference import Model
from edgemon.observations.pose import centre_px
from edgemon.observations.pose_network import Mode, PoseNetwork
from edgemon.observations.pose_turns import turn_of, turned_back, upright
from edgemon.records import KEYPOINTS, Frame, Pose

SIZE_PX = (256, 192)


class Compass(PoseNetwork):
    """Says of each picture that it is shown that the crown is turned so many quarters; counts the looks."""

    looks = 0

    def __init__(self, folder: Path, mode: Mode, turns: Sequence[int]) -> None:
        super().__init__(Model.open(folder, "pose"), mode)
        run, told = self._run, iter(turns)

        def turned(images: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
            self.looks += len(images)
            heatmap, offset, attributes = run(images)
            for maps in attributes:
                maps[6:] = np.eye(4, dtype=np.float32)[next(told)][:, None, None]
            return heatmap, offset, attributes

        self._run = turned


def lying(turn: int) -> NDArray[np.uint8]:
    """A cot turned clockwise so many times."""
    return np.ascontiguousarray(np.rot90(cot((100, 60), size_px=SIZE_PX), -turn))


def a_pose(joints: NDArray[np.float32]) -> Pose:
    return Pose(np.column_stack([joints, np.ones(len(joints))]).astype(np.float32), 0.9, None, None)


@given(st.integers(0, 3), st.integers(0, SIZE_PX[0] - 1), st.integers(0, SIZE_PX[1] - 1))
def test_what_is_told_of_a_turned_picture_is_told_of_the_picture(turn: int, column: int, row: int) -> None:
    picture = np.zeros((SIZE_PX[1], SIZE_PX[0], 3), np.uint8)
    picture[row, column] = 255
    rows, columns = np.nonzero(upright(picture, turn)[..., 0])
    seen = np.repeat([[columns[0] + 0.5, rows[0] + 0.5]], len(KEYPOINTS), axis=0).astype(np.float32)
    back = turned_back(a_pose(seen), turn, SIZE_PX)
    np.testing.assert_allclose(back.keypoints[:, :2], np.repeat([[column + 0.5, row + 0.5]], len(KEYPOINTS), axis=0))


@pytest.mark.parametrize("turn", range(4))
def test_a_turned_infant_is_looked_at_twice_and_told_where_it_lies(tmp_path: Path, turn: int) -> None:
    network = Compass(ship(tmp_path), "single", (turn, 0))
    ((pose,),) = network.read([Frame("cot-1", 0, 0.0, lying(turn), "test")])
    assert network.looks == 1 + bool(turn)
    there = [(100, 60), (192 - 60, 100), (256 - 100, 192 - 60), (60, 256 - 100)][turn]
    assert centre_px(pose) == pytest.approx(there, abs=6)
    crown, ankle = (pose.keypoints[KEYPOINTS.index(name), :2] for name in ("head", "left_ankle"))
    way = np.array([(0, -1), (1, 0), (0, 1), (-1, 0)][turn])
    assert float((crown - ankle) @ way) > 40


def test_in_a_batch_only_turned_pictures_are_looked_at_again(tmp_path: Path) -> None:
    turns = (0, 2, 0, 2)
    network = Compass(ship(tmp_path), "batch", (*turns, 0, 0))
    frames = [Frame("cot-1", n, 0.0, lying(turn), "test") for n, turn in enumerate(turns)]
    assert [len(poses) for poses in network.read(frames)] == [1, 1, 1, 1]
    assert network.looks == 6


def test_an_empty_cot_has_no_turn() -> None:
    heatmap, attributes = np.zeros((15, 4, 4), np.float32), np.zeros((10, 4, 4), np.float32)
    attributes[8] = 1
    assert turn_of(heatmap, attributes, THRESHOLDS["centre"]) == 0
    assert turn_of(heatmap, None, 0.0) == 0
    heatmap[14, 1, 2] = 0.9
    assert turn_of(heatmap, attributes, THRESHOLDS["centre"]) == 2
