"""The joints, the posture and the head's side of infants, from the maps of a pose network (DEKR)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.records import KEYPOINTS, HeadSide, Pose, Posture

Tensor = NDArray[np.float32]

CELL_PX: Final = 4.0  # of the maps, in pixels of the network's input
POSTURES: Final = (Posture.SUPINE, Posture.SIDE, Posture.PRONE)  # the order of the attributes' logits
HEAD_SIDES: Final = (HeadSide.LEFT, HeadSide.RIGHT, HeadSide.MIDLINE)
TRUNK: Final = tuple(map(KEYPOINTS.index, ("left_shoulder", "right_shoulder", "left_hip", "right_hip", "neck")))
HEAD: Final = tuple(map(KEYPOINTS.index, ("head", "neck")))
TRUNK_JOINTS: Final = 2  # of TRUNK that must be seen for a posture, with one of HEAD for the head's side

_JOINTS: Final = len(KEYPOINTS)
_MOST: Final = 30  # centres that are looked at; this and the two below are the official decoder's
_SAME_JOINTS: Final = 7  # two poses with more joints than this in the same places are one infant's
_SAME_PLACE: Final = 0.05  # of the diagonal of the better pose


def decode(
    heatmap: Tensor,
    offset: Tensor,
    attributes: Tensor | None = None,
    *,
    centre_from: float,
    visible_from: float,
    posture_from: float,
    several: bool = False,
) -> tuple[Pose, ...]:
    """The infants in one picture, best first, in pixels of the network's input; at most one unless `several`.

    `heatmap` (15, h, w): 14 joints, then the centre; `offset` (28, h, w): x and y of (cell - joint) in cells, read at
    the centre; `attributes` (6, h, w): logits of posture and head side, read there too. Geng et al., Bottom-Up Human
    Pose Estimation via Disentangled Keypoint Regression, CVPR 2021. Where we depart from its code: a joint's score is
    the heatmap around its place (there times the centre's), 0 outside the picture; poses are not rescored.
    """
    found = []
    for row, column in _centres(heatmap[-1], centre_from, several):
        joints = (column, row) - offset[:, row, column].reshape(_JOINTS, 2)
        scores = _scores(heatmap[:_JOINTS], joints)
        posture, head_side = _attributes(attributes, row, column, scores >= visible_from, posture_from)
        keypoints = np.column_stack([joints * CELL_PX, scores]).astype(np.float32)
        found.append(Pose(keypoints, min(1.0, float(heatmap[-1, row, column])), posture, head_side))
    return _distinct(found) if several else tuple(found)


def centre_px(pose: Pose) -> tuple[float, float]:
    """The mean of all joints: the centre by which the network finds an infant."""
    x, y = pose.keypoints[:, :2].astype(float).mean(axis=0)
    return float(x), float(y)


def _centres(centre: Tensor, at_least: float, several: bool) -> Iterator[tuple[int, int]]:
    """Rows and columns of the highest cell, or of all that are highest among their eight neighbours, best first."""
    width = centre.shape[1]
    if not several:
        best = int(centre.argmax())
        if centre.flat[best] >= at_least:
            yield divmod(best, width)
        return
    padded = np.pad(centre, 1, constant_values=-np.inf)
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).max(axis=(2, 3))
    peaks = np.flatnonzero((centre == around) & (centre >= at_least))
    for peak in peaks[np.argsort(-centre.flat[peaks], kind="stable")][:_MOST]:
        yield divmod(int(peak), width)


def _scores(heatmaps: Tensor, joints: NDArray[np.floating]) -> NDArray[np.floating]:
    """The highest of the four cells around each joint, 0..1; what lies outside the maps counts 0."""
    _, height, width = heatmaps.shape
    left_top = np.clip(np.floor(joints), -2, (width, height)).astype(int)
    padded = np.pad(heatmaps, ((0, 0), (2, 2), (2, 2)))
    columns, rows = (left_top + 2).T
    which = np.arange(len(joints))
    corners = [padded[which, rows + down, columns + right] for down in (0, 1) for right in (0, 1)]
    return np.asarray(np.clip(np.max(corners, axis=0), 0.0, 1.0))


def _attributes(
    logits: Tensor | None, row: int, column: int, seen: NDArray[np.bool_], at_least: float
) -> tuple[Posture | None, HeadSide | None]:
    """Posture and head side where enough of the trunk and of the head is seen, and the network is sure enough."""
    if logits is None or seen[list(TRUNK)].sum() < TRUNK_JOINTS:
        return None, None
    posture = _likeliest(logits[:3, row, column], at_least)
    head_side = _likeliest(logits[3:, row, column], at_least) if seen[list(HEAD)].any() else None
    return (
        None if posture is None else POSTURES[posture],
        None if head_side is None else HEAD_SIDES[head_side],
    )


def _likeliest(logits: Tensor, at_least: float) -> int | None:
    raised = np.exp(logits.astype(np.float64) - float(logits.max()))
    best = int(raised.argmax())
    return best if raised[best] / raised.sum() >= at_least else None


def _distinct(poses: list[Pose]) -> tuple[Pose, ...]:
    """One pose for each infant: the one whose joints are seen best on the mean; best first."""
    kept: list[Pose] = []
    for pose in sorted(poses, key=lambda one: -float(one.keypoints[:, 2].mean())):
        if not any(_same(better, pose) for better in kept):
            kept.append(pose)
    return tuple(sorted(kept, key=lambda one: -one.score))


def _same(better: Pose, other: Pose) -> bool:
    places = better.keypoints[:, :2].astype(float)
    near_px = _SAME_PLACE * math.hypot(*np.ptp(places, axis=0))
    apart_px = np.linalg.norm(places - other.keypoints[:, :2], axis=1)
    return int((apart_px < near_px).sum()) > _SAME_JOINTS
