"""Infants of any turn and size: found first, then looked at from close by, upright; joints come back to their place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pose_model import LYING, THRESHOLDS, cot, ship

from edgemon.inference import Model
from edgemon.observations.pose import centre_px
from edgemon.observations.pose_network import LOOKS, Mode, PoseNetwork
from edgemon.observations.pose_spots import REACH_PX, ROOM, Spot, cut, put_back, spots
from edgemon.records import KEYPOINTS, Frame, Pose

SIDE_PX = 96
angles = st.floats(-180, 180)


def frame(image: NDArray[np.uint8]) -> Frame:
    return Frame("cot-1", 0, 0.0, image, "test")


@given(angles, st.floats(0.5, 3), st.floats(-20, 20), st.floats(-20, 20))
def test_what_is_told_of_the_square_is_told_of_the_picture(crown: float, zoom: float, x: float, y: float) -> None:
    spot = Spot(120.0, 90.0, SIDE_PX / 2 * zoom, crown, 0.7)
    seen = np.repeat([[SIDE_PX / 2 + x, SIDE_PX / 2 + y, 1]], len(KEYPOINTS), axis=0).astype(np.float32)
    back = put_back(Pose(seen, 0.9, None, None), spot, SIDE_PX)
    radians = math.radians(crown)  # up in the square is the crown's way in the picture
    right, up = np.array([math.cos(radians), math.sin(radians)]), np.array([math.sin(radians), -math.cos(radians)])
    np.testing.assert_allclose(back.keypoints[0, :2], (120, 90) + zoom * (x * right - y * up), atol=1e-3)
    assert back.score == pytest.approx(0.7)  # times the joints' mean, which is 1 here


@given(angles, st.integers(60, 180), st.integers(60, 120))
def test_the_square_shows_what_lies_there_set_upright(crown: float, column: int, row: int) -> None:
    """A disc in the crown's way comes to lie above the middle, to a part of a pixel."""
    image = np.zeros((200, 260, 3), np.uint8)
    way = np.array([math.sin(math.radians(crown)), -math.cos(math.radians(crown))])
    x, y = np.array([column, row]) + 30 * way
    rows, columns = np.mgrid[:200, :260] + 0.5
    image[:] = (250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4**2))).astype(np.uint8)[..., None]
    square = cut(image, Spot(column, row, 60.0, crown, 1.0), SIDE_PX)[..., 0].astype(float)
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX] + 0.5
    seen = np.array([(square * columns).sum(), (square * rows).sum()]) / square.sum()
    np.testing.assert_allclose(seen, (SIDE_PX / 2, SIDE_PX / 2 - 30 * SIDE_PX / 120), atol=0.3)


def test_a_spot_is_read_at_the_centre_in_px_of_the_picture() -> None:
    heatmap, attributes = np.zeros((15, 24, 32), np.float32), np.zeros((9, 24, 32), np.float32)
    assert not list(spots(heatmap, attributes, 0.5, centre_from=THRESHOLDS["centre"]))
    heatmap[14, 10, 20] = 0.8
    attributes[6:, 10, 20] = 3 * math.sin(2), 3 * math.cos(2), -1
    (spot,) = spots(heatmap, attributes, 0.5, centre_from=THRESHOLDS["centre"])
    assert (spot.x_px, spot.y_px, spot.score) == (160, 80, pytest.approx(0.8))
    assert spot.half_px == pytest.approx(ROOM * REACH_PX / 2 / 0.5)
    assert spot.crown_deg == pytest.approx(math.degrees(2), abs=1e-3)


class Compass(PoseNetwork):
    """Says of each picture that it is shown that the crown is turned so far; counts the looks."""

    looks = 0

    def __init__(self, folder: Path, mode: Mode, crowns_deg: Sequence[float]) -> None:
        super().__init__(Model.open(folder, "pose"), mode)
        run, told = self._run, iter(crowns_deg)

        def turned(images: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
            self.looks += len(images)
            heatmap, offset, attributes = run(images)
            for maps in attributes:
                angle = math.radians(next(told))
                maps[6:8] = np.array([math.sin(angle), math.cos(angle)])[:, None, None]
            return heatmap, offset, attributes

        self._run = turned


@pytest.mark.parametrize("crown", [0, 37, 90, 180, -90, -135])
def test_a_turned_infant_is_told_as_it_lies(tmp_path: Path, crown: float) -> None:
    network = Compass(ship(tmp_path), "single", (crown, 0, 0))
    ((pose,),) = network.read([frame(cot((120, 90)))])
    assert network.looks == LOOKS
    assert centre_px(pose) == pytest.approx((120, 90), abs=6)
    head, ankle = (KEYPOINTS.index(name) for name in ("head", "left_ankle"))
    x, y = pose.keypoints[head, :2] - pose.keypoints[ankle, :2]
    upright = LYING[head] - LYING[ankle]
    told = math.degrees(math.atan2(x, -y)) - math.degrees(math.atan2(upright[0], -upright[1]))
    assert (told - crown + 180) % 360 - 180 == pytest.approx(0, abs=3)


def test_in_a_batch_only_infants_are_looked_at_again(tmp_path: Path) -> None:
    network = Compass(ship(tmp_path), "batch", [0.0] * 10)
    poses = network.read([frame(cot(*there)) for there in ([(100, 60)], [], [(150, 100)], [(90, 90)])])
    assert [len(found) for found in poses] == [1, 0, 1, 1]
    assert network.looks == 4 + 3 * (LOOKS - 1)


def test_a_twin_beside_is_not_taken_for_the_infant_in_the_middle(tmp_path: Path) -> None:
    """Both lie in either's square, and one is brighter; each is told where it lies."""
    dim = (cot((100, 96)) * np.array([0.7, 1, 1])).astype(np.uint8)
    both = np.maximum(dim, cot((150, 96)))
    (found,) = PoseNetwork(Model.open(ship(tmp_path), "pose")).read([frame(both)], several=True)
    assert sorted(round(centre_px(pose)[0], -1) for pose in found) == [100, 150]


def test_a_network_that_sees_nothing_anywhere_is_no_error(tmp_path: Path) -> None:
    """Raw heat may be below nought everywhere in a closer look."""

    class Blind(PoseNetwork):
        def __init__(self, folder: Path) -> None:
            super().__init__(Model.open(folder, "pose"))
            run, looks = self._run, iter(range(3))

            def later(images: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
                heatmap, *others = run(images)
                return (heatmap if next(looks) == 0 else heatmap * 0 - 0.1, *others)

            self._run = later

    ((pose,),) = Blind(ship(tmp_path)).read([frame(cot((120, 90)))])
    assert pose.score == 0
