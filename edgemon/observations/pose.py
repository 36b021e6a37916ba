"""The joints, the posture and the head's side of infants in pictures of whole cots, with a reason where there are none.

`decode` reads the maps of a pose network (DEKR); the observer says what they mean for each bed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edgemon.config import Bed
from edgemon.errors import ModelError
from edgemon.observations.expression import DARK, Promise
from edgemon.records import KEYPOINTS, Frame, HeadSide, Observation, Pose, Posture, Reason

Image = NDArray[np.uint8]  # RGB (H, W, 3)
Tensor = NDArray[np.float32]
Scene = tuple[Frame, tuple[Bed, ...]]  # the newest frame of one camera, and the beds that it shows

CELL_PX: Final = 4.0  # of the maps, in pixels of the network's input
POSTURES: Final = (Posture.SUPINE, Posture.SIDE, Posture.PRONE)  # the order of the attributes' logits
HEAD_SIDES: Final = (HeadSide.LEFT, HeadSide.RIGHT, HeadSide.MIDLINE)
TRUNK: Final = tuple(map(KEYPOINTS.index, ("left_shoulder", "right_shoulder", "left_hip", "right_hip", "neck")))
HEAD: Final = tuple(map(KEYPOINTS.index, ("head", "neck")))
TRUNK_JOINTS: Final = 2  # of TRUNK that must be seen for a posture, with one of HEAD for the head's side

SEEN_JOINTS: Final = 4  # with fewer the infant is covered
HOLES: Final = 0.8  # share of a depth frame without depth above which something is before the lens

PEAK_CELLS: Final = 5  # how far from the place told a joint's peak is looked for
STANDS_OUT: Final = 1.02  # by how much a peak must exceed the place told

_JOINTS: Final = len(KEYPOINTS)
_MOST: Final = 30  # centres that are looked at; this and the two below are the official decoder's
_SAME_JOINTS: Final = 7  # two poses with more joints than this in the same places are one infant's
_SAME_PLACE: Final = 0.05  # of the diagonal of the better pose


class PoseReader(Protocol):
    """A pose network; see `edgemon.observations.pose_network.PoseNetwork`."""

    @property
    def manifest(self) -> Promise: ...
    @property
    def takes_depth(self) -> bool: ...
    def read(self, frames: Sequence[Frame], *, several: bool) -> list[tuple[Pose, ...]]: ...


class PoseObserver:
    """Reads the pose of the infant in each bed; remembers nothing, so one serves all.

    `several`: pictures may show more infants than those of the camera's beds, such as a neighbour's. Then, as where
    beds share a camera, each bed takes the surest infant whose centre lies in its region.

    Raises:
        ModelError: the manifest lacks the threshold visible.
    """

    name = "pose"

    def __init__(self, network: PoseReader, *, several: bool = False) -> None:
        self._network, self._several = network, several
        self._visible_from = network.manifest.threshold("visible")

    def observe(self, scenes: Sequence[Scene]) -> tuple[Observation, ...]:
        """One observation for each bed of each camera; the network is shown all pictures at once."""
        why = [self._why_not(frame) for frame, _ in scenes]
        clear = [scene for scene, reason in zip(scenes, why, strict=True) if reason is None]
        several = self._several or any(len(beds) > 1 for _, beds in clear)
        try:
            found = iter(self._network.read([frame for frame, _ in clear], several=several) if clear else ())
        except ModelError:
            found, why = iter(()), [reason or Reason.MODEL_FAILED for reason in why]
        seen: list[Observation] = []
        for (frame, beds), reason in zip(scenes, why, strict=True):
            poses = next(found) if reason is None else ()
            seen += [self._judge(bed, frame, poses, reason) for bed in beds]
        return tuple(seen)

    def refuse(self, scenes: Sequence[Scene], reason: Reason) -> tuple[Observation, ...]:
        """The same without a look."""
        return tuple(self._told(bed, frame, reason, 0.0) for frame, beds in scenes for bed in beds)

    def _why_not(self, frame: Frame) -> Reason | None:
        depth = frame.image.ndim == 2
        if depth is not self._network.takes_depth:
            return Reason.DISABLED
        if depth:
            return Reason.OBSTRUCTED if covered(frame.image) else None
        return Reason.DARK if float(frame.image[::8, ::8].mean()) < DARK else None

    def _judge(self, bed: Bed, frame: Frame, poses: tuple[Pose, ...], reason: Reason | None) -> Observation:
        if reason is not None:
            return self._told(bed, frame, reason, 0.0)
        pose = next((pose for pose in poses if _lies_in(bed, frame, pose)), None)
        if pose is None:
            return self._told(bed, frame, Reason.NO_INFANT, 0.0)
        scores = pose.keypoints[:, 2]
        seen = scores[scores >= self._visible_from]
        if len(seen) < SEEN_JOINTS:
            return self._told(bed, frame, Reason.OCCLUDED, float(scores.mean()))
        return self._told(bed, frame, pose, min(pose.score, float(seen.mean())))

    def _told(self, bed: Bed, frame: Frame, what: Pose | Reason, quality: float) -> Observation:
        value, reason = (None, what) if isinstance(what, Reason) else (what, None)
        label = self._network.manifest.label
        return Observation(bed.id, self.name, frame.captured_s, value, reason, quality, label)


def covered(depth_mm: NDArray[np.generic]) -> bool:
    """Whether a frame of depth (H, W) is so empty that something must be before the lens."""
    return float((depth_mm[::4, ::4] == 0).mean()) > HOLES


def _lies_in(bed: Bed, frame: Frame, pose: Pose) -> bool:
    """Whether the centre lies in the bed's region; whose region is the whole picture takes it wherever it is."""
    height, width = frame.image.shape[:2]
    x, y = centre_px(pose)
    x, y = min(1.0, max(0.0, x / width)), min(1.0, max(0.0, y / height))
    region = bed.cot_region
    return bool(region.x0 <= x <= region.x1 and region.y0 <= y <= region.y1)


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
    the centre; `attributes` (9, h, w): logits of posture and head side, read there too, and the spot, which
    `pose_spots` reads. Geng et al., Bottom-Up Human Pose Estimation via Disentangled Keypoint Regression, CVPR 2021.
    Where we depart from its code: a joint's score is the heatmap around its place (there times the centre's), 0 outside
    the picture; poses are not rescored; and a joint that is seen lies where its heatmap is highest near the place that
    the centre tells, as a small network tells far joints from there less exactly.
    """
    found = []
    for row, column in centres(heatmap[-1], centre_from, several):
        told = (column, row) - offset[:, row, column].reshape(_JOINTS, 2)
        joints = np.array([_peak(m, xy, visible_from) for m, xy in zip(heatmap[:_JOINTS], told, strict=True)])
        scores = _scores(heatmap[:_JOINTS], joints)
        posture, head_side = _attributes(attributes, row, column, scores >= visible_from, posture_from)
        keypoints = np.column_stack([joints * CELL_PX, scores]).astype(np.float32)
        found.append(Pose(keypoints, float(np.clip(heatmap[-1, row, column], 0, 1)), posture, head_side))
    return distinct(found) if several else tuple(found)


def centre_px(pose: Pose) -> tuple[float, float]:
    """The mean of all joints: the centre by which the network finds an infant."""
    x, y = pose.keypoints[:, :2].astype(float).mean(axis=0)
    return float(x), float(y)


def centres(centre: Tensor, at_least: float, several: bool) -> Iterator[tuple[int, int]]:
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


def _peak(heatmap: Tensor, told: NDArray[np.floating], visible_from: float) -> NDArray[np.floating]:
    """The peak within PEAK_CELLS of the place told, by its neighbours to a part of a cell; else the place itself.

    A peak must reach `visible_from` and stand out: a farther one weighs less, and a plateau has none.
    """
    height, width = heatmap.shape
    x, y = told
    left, right = (int(np.clip(x + step, 0, width)) for step in (-PEAK_CELLS, PEAK_CELLS + 1))
    top, bottom = (int(np.clip(y + step, 0, height)) for step in (-PEAK_CELLS, PEAK_CELLS + 1))
    around = heatmap[top:bottom, left:right]
    if not around.size:
        return told
    rows, columns = np.arange(top, bottom)[:, None], np.arange(left, right)
    near = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * PEAK_CELLS**2))
    row, column = (int(n) for n in np.unravel_index(int((around * near).argmax()), around.shape))
    row, column = row + top, column + left
    here = heatmap[int(np.clip(round(y), 0, height - 1)), int(np.clip(round(x), 0, width - 1))]
    if heatmap[row, column] < max(visible_from, STANDS_OUT * here):
        return told
    return np.array([column + _part(heatmap[row], column), row + _part(heatmap[:, column], row)])


def _part(line: Tensor, cell: int) -> float:
    """How far beside its highest cell a bell's top lies, -0.5..0.5: the top of the parabola through three logarithms.

    Exact for the Gaussians that heatmaps are taught as.
    """
    if not 0 < cell < len(line) - 1:
        return 0.0
    before, here, after = np.log(np.maximum(line[cell - 1 : cell + 2], 1e-3).astype(float))
    bend = before - 2 * here + after
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0


def _scores(heatmaps: Tensor, joints: NDArray[np.floating]) -> NDArray[np.floating]:
    """The highest of the nine cells around each joint, 0..1; what lies outside the maps counts 0."""
    _, height, width = heatmaps.shape
    columns, rows = np.clip(np.rint(joints), -2, (width + 1, height + 1)).astype(int).T + 3
    padded = np.pad(heatmaps, ((0, 0), (3, 3), (3, 3)))
    which = np.arange(len(joints))
    around = [padded[which, rows + down, columns + right] for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return np.asarray(np.clip(np.max(around, axis=0), 0.0, 1.0))


def _attributes(
    logits: Tensor | None, row: int, column: int, seen: NDArray[np.bool_], at_least: float
) -> tuple[Posture | None, HeadSide | None]:
    """Posture and head side where enough of the trunk and of the head is seen, and the network is sure enough."""
    if logits is None or seen[list(TRUNK)].sum() < TRUNK_JOINTS:
        return None, None
    posture = _likeliest(logits[:3, row, column], at_least)
    head_side = _likeliest(logits[3:6, row, column], at_least) if seen[list(HEAD)].any() else None
    return (
        None if posture is None else POSTURES[posture],
        None if head_side is None else HEAD_SIDES[head_side],
    )


def _likeliest(logits: Tensor, at_least: float) -> int | None:
    raised = np.exp(logits.astype(np.float64) - float(logits.max()))
    best = int(raised.argmax())
    return best if raised[best] / raised.sum() >= at_least else None


def distinct(poses: list[Pose]) -> tuple[Pose, ...]:
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
    return bool((apart_px < near_px).sum() > _SAME_JOINTS)
