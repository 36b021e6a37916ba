"""What DEKR learns from: persons drawn as heatmaps, offsets and attributes on the stride-4 grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgemon.observations.pose_spots import REACH_PX
from edgemon.records import KEYPOINTS, HeadSide, Posture
from export.dekr.config import HEAD_SIDES, JOINTS, POSTURES, STRIDE

Floats = NDArray[np.float32]
SIGMA_CELLS = 2.0
REACH_CELLS = 4  # offsets are taught from this far left of and above the centre, to one less right of and below it
BACKGROUND = 0.1  # weight of a heatmap's cells that are far from any joint
UNKNOWN = -1
_NECK, *_HIPS = (KEYPOINTS.index(name) for name in ("neck", "left_hip", "right_hip"))
MIRRORED = (1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 12, 13)  # which joint a mirrored picture shows in place of each


class Targets(NamedTuple):
    """One picture's maps at stride 4, or, stacked by a loader, those of a batch (a leading dimension B)."""

    heatmap: Floats  # (15, h, w), 14 joints and the centre
    mask: Floats  # (15, h, w), 1 near joints, BACKGROUND elsewhere
    offset: Floats  # (28, h, w), cell less joint: x0, y0, x1, y1, ...
    weight: Floats  # (14, h, w), 1 / diagonal of the person's box in cells; 0 where no offset is taught
    attributes: NDArray[np.int64]  # (2, h, w), index in POSTURES and HEAD_SIDES at centres, UNKNOWN elsewhere
    spot: Floats  # (3, h, w), sine and cosine of the crown and the reach at centres, NaN elsewhere; see `spot_of`


def encode(
    persons: Floats,
    size_px: tuple[int, int],
    *,
    visible_only: bool = False,
    postures: Sequence[Posture | None] = (),
    head_sides: Sequence[HeadSide | None] = (),
    joints: bool = True,
    sigma_cells: float = SIGMA_CELLS,
) -> Targets:
    """Draw persons (P, 14, 3) of x px, y px and v (0 not labelled, 1 hidden, 2 seen) of a (width, height) picture.

    As DEKR's CrowdPose code does, with sigma 2 for the centre too (its 4 is applied from the 18th map on, which
    CrowdPose lacks), where a person's weight is 1 over the diagonal of its labelled joints' box (eq. 2 of the seed):
    the official code takes that box before it removes unlabelled joints at (0, 0), so that its size is the distance
    from the picture's corner. On overlap of centres the smaller person's offsets are taught. `visible_only` draws
    only joints that are seen, and weighs the places of hidden ones as much, so that a joint's value tells whether it
    is seen. Attributes are taught on the centre's cell and its eight neighbours; persons without any stay UNKNOWN.
    Without `joints` only centres and spots are taught, of pictures in which infants are to be found, lying any way and
    of any size; with them all but spots, of those that show an infant close and upright.
    """
    width, height = size_px[0] // STRIDE, size_px[1] // STRIDE
    targets = Targets(
        np.zeros((JOINTS + 1, height, width), np.float32),
        np.full((JOINTS + 1, height, width), BACKGROUND, np.float32),
        np.zeros((2 * JOINTS, height, width), np.float32),
        np.zeros((JOINTS, height, width), np.float32),
        np.full((2, height, width), UNKNOWN, np.int64),
        np.full((3, height, width), np.nan, np.float32),
    )
    places = persons[..., :2].astype(np.float32) / STRIDE
    inside = np.asarray(((places >= 0) & (places < (width, height))).all(axis=-1))
    labelled = np.asarray(persons[..., 2] > 0)
    drawn = np.asarray(persons[..., 2] > 1) if visible_only else labelled
    diagonal = [diagonal_cells(xy[known]) for xy, known in zip(places, labelled, strict=True)]
    for index in sorted(range(len(persons)), key=lambda i: -diagonal[i]):
        known = labelled[index]
        if not known.any():
            continue
        centre = places[index][known].mean(axis=0)
        here = bool(((centre >= 0) & (centre < (width, height))).all())
        seen = np.append(drawn[index] & inside[index] & joints, here)
        taught = np.append(known & inside[index] & joints, here)
        _draw(targets, np.vstack([places[index], centre]), seen, taught, sigma_cells)
        if here and joints:
            _point(targets, places[index], taught[:-1], centre, diagonal[index])
            posture = postures[index] if postures else None
            side = head_sides[index] if head_sides else None
            _tell(targets, centre, posture, side)
        elif here:
            targets.spot[(slice(None), *_around(centre))] = spot_of(persons[index])[:, None, None]
    if not joints:
        targets.mask[:JOINTS] = 0
    return targets


def diagonal_cells(places: Floats) -> float:
    """Diagonal of the box of joints (n, 2), at least one cell."""
    if not len(places):
        return 1.0
    return max(1.0, float(np.linalg.norm(places.max(axis=0) - places.min(axis=0))))


def _draw(targets: Targets, places: Floats, drawn: NDArray[np.bool_], taught: NDArray[np.bool_], sigma: float) -> None:
    """Gaussians of one person's joints and centre (15, 2), cut at 3 sigma and a margin."""
    _, height, width = targets.heatmap.shape
    low, high = np.floor(places - 3 * sigma - 1), np.ceil(places + 3 * sigma + 2)
    for joint in np.flatnonzero(taught):
        (x0, y0), (x1, y1) = np.maximum(low[joint], 0).astype(int), high[joint].astype(int)
        xs, ys = np.arange(x0, min(x1, width)), np.arange(y0, min(y1, height))
        targets.mask[joint, y0:y1, x0:x1] = 1
        if drawn[joint]:
            x, y = places[joint]
            column, row = np.exp(-((xs - x) ** 2) / (2 * sigma**2)), np.exp(-((ys - y) ** 2) / (2 * sigma**2))
            patch = targets.heatmap[joint, y0:y1, x0:x1]
            np.maximum(patch, row[:, None] * column, out=patch, casting="same_kind")


def _point(targets: Targets, places: Floats, taught: NDArray[np.bool_], centre: Floats, diagonal: float) -> None:
    """Offsets of one person around its centre."""
    _, height, width = targets.weight.shape
    x, y = centre.astype(int)
    x0, y0 = max(0, x - REACH_CELLS), max(0, y - REACH_CELLS)
    x1, y1 = min(width, x + REACH_CELLS), min(height, y + REACH_CELLS)
    xs, ys = np.arange(x0, x1), np.arange(y0, y1)[:, None]
    for joint in np.flatnonzero(taught):
        targets.offset[2 * joint, y0:y1, x0:x1] = xs - places[joint, 0]
        targets.offset[2 * joint + 1, y0:y1, x0:x1] = ys - places[joint, 1]
        targets.weight[joint, y0:y1, x0:x1] = 1 / diagonal


def _tell(targets: Targets, centre: Floats, posture: Posture | None, side: HeadSide | None) -> None:
    around = _around(centre)
    targets.attributes[0][around] = UNKNOWN if posture is None else POSTURES.index(posture)
    targets.attributes[1][around] = UNKNOWN if side is None else HEAD_SIDES.index(side)


def _around(centre: Floats) -> tuple[slice, slice]:
    x, y = centre.astype(int)
    return np.s_[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]


def crown_deg(person: Floats) -> float | None:
    """By how much the way from hips to neck (14, 3) is turned clockwise from up, -180..180; None where not labelled."""
    if not (person[[_NECK, *_HIPS], 2] > 0).all():
        return None
    x, y = person[_NECK, :2] - person[_HIPS, :2].mean(axis=0)
    return float(np.degrees(np.arctan2(x, -y)))


def reach_px(person: Floats) -> float:
    """How far the farthest labelled joint (14, 3) lies from the mean of all."""
    places = person[person[:, 2] > 0, :2]
    return float(np.linalg.norm(places - places.mean(axis=0), axis=1).max())


def spot_of(person: Floats) -> Floats:
    """Sine and cosine of the crown's angle, NaN where unknown, and the reach as octaves of REACH_PX (3,)."""
    crown = crown_deg(person)
    angle = np.nan if crown is None else np.radians(crown)
    return np.array([np.sin(angle), np.cos(angle), np.log2(max(1.0, reach_px(person)) / REACH_PX)], np.float32)
