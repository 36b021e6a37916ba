"""From the maps of a pose network to joints: where they lie, how far they are seen, how many infants there are."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgemon.manifest import ModelInput
from edgemon.observations.pose import CELL_PX, centre_px, decode
from edgemon.records import KEYPOINTS, HeadSide, Pose, Posture

H, W = 48, 64
LYING = np.array(
    [[-6, -8], [6, -8], [-10, -3], [10, -3], [-12, 2], [12, 2], [-4, 6], [4, 6], [-6, 12], [6, 12], [-5, 18], [5, 18],
     [0, -18], [0, -10]], float,
)  # fmt: skip
LEVELS = {"centre_from": 0.3, "visible_from": 0.4, "posture_from": 0.6}


@dataclass
class Maps:
    heatmap: NDArray[np.float32]
    offset: NDArray[np.float32]
    attributes: NDArray[np.float32]

    def decode(self, *, several: bool = False) -> tuple[Pose, ...]:
        return decode(self.heatmap, self.offset, self.attributes, several=several, **LEVELS)


def lying(x: float, y: float) -> NDArray[np.float64]:
    """An infant whose middle is about here, in cells."""
    return np.asarray(LYING + np.array([x, y]))


def blank() -> Maps:
    return Maps(*(np.zeros((n, H, W), np.float32) for n in (15, 28, 9)))


def draw(maps: Maps, joints: NDArray[np.float64], peak: float = 0.9, seen: tuple[bool, ...] = (True,) * 14) -> None:
    """What a network says of an infant whose joints (14, 2) lie here, in cells."""
    rows, columns = np.mgrid[:H, :W]
    places = [*joints, joints.mean(axis=0)]
    for n, (x, y) in enumerate(places):
        if n == 14 or seen[n]:
            bump = (peak if n == 14 else 0.9) * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4.5)
            np.maximum(maps.heatmap[n], bump, out=maps.heatmap[n])
    x, y = (int(v) for v in places[14])
    around = np.s_[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
    maps.offset[(slice(None), *around)] = (
        np.stack([columns, rows])[None, :, *around] - joints[:, :, None, None]
    ).reshape(28, *rows[around].shape)
    maps.attributes[(slice(None), *around)] = np.array([0, 4, 0, 0, 0, 4, 0, 1, 0], np.float32)[:, None, None]


@given(st.floats(14, 50), st.floats(19, 29), st.floats(0.4, 1.0))
@settings(deadline=None, max_examples=50)
def test_joints_are_found_where_they_lie(x: float, y: float, size: float) -> None:
    """To a part of a pixel, wherever the infant lies, as offsets are real numbers and so are the tops of bells."""
    maps, joints = blank(), LYING * size + (x, y)
    draw(maps, joints)
    (pose,) = maps.decode()
    np.testing.assert_allclose(pose.keypoints[:, :2], joints * CELL_PX, atol=1e-3)
    inside = (joints >= 0).all(axis=1) & (joints[:, 0] < W) & (joints[:, 1] < H)
    assert (pose.keypoints[inside, 2] > 0.8).all()
    assert centre_px(pose) == pytest.approx(joints.mean(axis=0) * CELL_PX, abs=1e-2)
    assert (pose.posture, pose.head_side) == (Posture.SIDE, HeadSide.MIDLINE)


def test_an_empty_cot_has_no_pose() -> None:
    assert blank().decode() == ()
    assert blank().decode(several=True) == ()


def test_a_joint_that_is_seen_lies_where_its_heatmap_is_highest_nearby() -> None:
    maps, joints = blank(), lying(32, 24)
    draw(maps, joints)
    maps.offset += 2.5  # the centre tells all joints two and a half cells beside
    (pose,) = maps.decode()
    np.testing.assert_allclose(pose.keypoints[:, :2], joints * CELL_PX, atol=0.05)


def test_a_covered_joint_has_a_place_and_no_score() -> None:
    maps, covered = blank(), tuple(name.endswith(("hip", "knee", "ankle")) for name in KEYPOINTS)
    draw(maps, lying(32, 24), seen=tuple(not c for c in covered))
    (pose,) = maps.decode()
    assert (pose.keypoints[list(covered), 2] == 0).all()
    np.testing.assert_allclose(pose.keypoints[:, :2], (lying(32, 24)) * CELL_PX, atol=1e-3)
    assert pose.posture is Posture.SIDE


def test_a_joint_outside_the_picture_keeps_its_place_and_is_not_seen() -> None:
    maps, joints = blank(), lying(32, 10)
    draw(maps, joints)
    (pose,) = maps.decode()
    head = pose.keypoints[KEYPOINTS.index("head")]
    assert head[1] == pytest.approx(-8 * CELL_PX)
    assert head[2] == 0


def test_no_posture_is_told_of_a_covered_trunk_or_by_an_unsure_network() -> None:
    head_only = tuple(name == "head" for name in KEYPOINTS)
    covered, unsure = blank(), blank()
    draw(covered, lying(32, 24), seen=head_only)
    draw(unsure, lying(32, 24))
    unsure.attributes *= 0.1
    for maps in (covered, unsure):
        (pose,) = maps.decode()
        assert (pose.posture, pose.head_side) == (None, None)


def test_a_graph_without_attributes_tells_joints_only() -> None:
    maps = blank()
    draw(maps, lying(32, 24))
    (pose,) = decode(maps.heatmap, maps.offset, **LEVELS)
    assert (pose.posture, pose.head_side) == (None, None)


def test_of_two_infants_the_surer_one_is_told_or_both() -> None:
    maps = blank()
    for x, peak in ((16, 0.6), (48, 0.9)):
        draw(maps, lying(x, 24), peak)
    (best,) = maps.decode()
    assert centre_px(best)[0] == pytest.approx(48 * CELL_PX, abs=0.5)
    both = maps.decode(several=True)
    assert [round(centre_px(p)[0] / CELL_PX) for p in both] == [48, 16]
    assert [p.score for p in both] == pytest.approx([0.9, 0.6], abs=0.01)


def test_two_centres_of_one_infant_give_one_pose() -> None:
    """Both point at the same joints; the one whose joints are seen is the infant."""
    maps, joints = blank(), lying(32, 24)
    draw(maps, joints)
    rows, columns = np.mgrid[:H, :W]
    x, y = (int(v) for v in joints.mean(axis=0))
    maps.heatmap[14, y + 8, x] = 0.5
    maps.offset[:, y + 8, x] = ((columns[y + 8, x], rows[y + 8, x]) - joints).reshape(28)
    assert len(maps.decode(several=True)) == 1


@given(
    hnp.arrays(np.float32, (15, 6, 8), elements=st.floats(-2, 2, width=32)),
    hnp.arrays(np.float32, (28, 6, 8), elements=st.floats(-100, 100, width=32)),
    hnp.arrays(np.float32, (6, 6, 8), elements=st.floats(-50, 50, width=32)),
)
@settings(deadline=None, max_examples=60)
def test_whatever_a_network_says_is_a_pose_or_none(
    heatmap: NDArray[np.float32], offset: NDArray[np.float32], attributes: NDArray[np.float32]
) -> None:
    """A noun that is checked when built; and the best infant is among all of them."""
    one = decode(heatmap, offset, attributes, **LEVELS)
    several = decode(heatmap, offset, attributes, several=True, **LEVELS)
    assert len(one) <= 1
    assert len(several) >= len(one)
    assert all(a.score >= b.score for a, b in itertools.pairwise(several))


def test_a_network_may_take_any_number_of_images() -> None:
    spec = ModelInput(name="images", shape=("images", 3, 192, 256), colour="RGB", mean=(0, 0, 0), scale=(1, 1, 1))
    assert spec.sized() == (1, 3, 192, 256)
    assert spec.sized(images=4) == (4, 3, 192, 256)
    assert spec.size_px == (256, 192)
