"""A picture with every face that its annotators marked: the one sample that all annotated sets are read into."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.records import Box
from export.datasets.marks import FaceMark, Image, Picture, ellipse, read_rgb

Points = NDArray[np.float32]
# Where eyes, nose and mouth lie in a box from hairline to chin and ear to ear, in shares of its half sides: means of
# the London training persons (spread 0.03 to 0.06).
TYPICAL = np.array([[-0.47, -0.2], [0.47, -0.2], [0, 0.12], [-0.37, 0.52], [0.37, 0.52]], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class FaceLabel:
    """One face in px: box xyxy, landmarks (5, 2) as in `Face` or None, outline (n, 2) where more than the box is known.

    A face that is not `judged` is one that its annotators exclude: no detector gains or loses by it. `flags` holds
    their other remarks in their words ("heavy blur"), and "clipped" where the box reached over the picture's edge.
    """

    box: Box
    landmarks: Points | None = None
    judged: bool = True
    flags: tuple[str, ...] = ()
    outline: Points | None = None

    @property
    def size_px(self) -> float:
        """Side of the square of the box's area."""
        return math.sqrt((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))

    def mark(self) -> FaceMark:
        """The face as cases and training know it."""
        return mark_of_box(self.box, self.landmarks, self.outline)


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One picture file, whom it shows, and its faces; `size_px` (width, height) where the annotations tell it.

    `dropped` counts rows of no area, which WIDER FACE holds a handful of.
    """

    path: Path
    subject: str
    faces: tuple[FaceLabel, ...]
    size_px: tuple[int, int] | None = None
    dropped: int = 0

    def read(self) -> tuple[Image, tuple[FaceLabel, ...]]:
        """The picture and its faces, each within it.

        Raises:
            ValueError: it cannot be read, is not of the annotated size, or a box lies outside; names the file.
        """
        rgb = read_rgb(self.path)
        size = (rgb.shape[1], rgb.shape[0])
        if self.size_px is not None and self.size_px != size:
            raise ValueError(
                f"{self.path}: is {size[0]}x{size[1]} px, its annotation says {self.size_px[0]}x{self.size_px[1]}; "
                "use the annotations of pictures at this size and turned as these are"
            )
        return rgb, tuple(clipped(face, size, str(self.path)) for face in self.faces)

    def measured(self) -> Labelled:
        """The same with the picture's size, read from the file where the annotations do not tell it."""
        if self.size_px is not None or not self.path.is_file():
            return self
        rgb, faces = self.read()
        return replace(self, faces=faces, size_px=(rgb.shape[1], rgb.shape[0]))

    def picture(self, number: int) -> Picture:
        """What the detector learns from: the picture, one of its faces, and that face's outline with some hair."""
        rgb, faces = self.read()
        return picture_of(rgb, faces[number].mark())


def picture_of(rgb: Image, mark: FaceMark) -> Picture:
    """A picture and one face in it; its mask is the outline grown by an eighth."""
    mask = np.zeros(rgb.shape[:2], np.uint8)
    grown = np.array(mark.centre) + (mark.outline - np.array(mark.centre)) * 1.12
    cv2.fillPoly(mask, [np.rint(grown).astype(np.int32)], 1)
    return Picture(rgb, mask > 0, mark)


def mark_of_box(box: Box, landmarks: Points | None = None, outline: Points | None = None) -> FaceMark:
    """A mark from what is known: for want of an outline the ellipse in the box, of landmarks an upright face's."""
    half, middle = np.array([box[2] - box[0], box[3] - box[1]]) / 2, np.array([box[0] + box[2], box[1] + box[3]]) / 2
    points = (middle + TYPICAL * half).astype(np.float32) if landmarks is None else landmarks
    return FaceMark(ellipse(box) if outline is None else outline, points)


def face_of(numbers: Sequence[float], where: str, size: tuple[int, int] | None = None) -> FaceLabel:
    """A face from x0, y0, x1, y1 and, where there are ten more numbers, its landmarks x, y.

    Raises:
        ValueError: another count of numbers, one that is not finite, no area, or wholly outside a picture of that size.
    """
    if len(numbers) not in (4, 14):
        raise ValueError(f"{where}: {len(numbers)} numbers; a face is x0 y0 x1 y1 and, if known, ten of five landmarks")
    if not all(math.isfinite(v) for v in numbers):
        raise ValueError(f"{where}: {list(numbers)}: a number that is not finite; a face is given in px of the picture")
    x0, y0, x1, y1 = (float(v) for v in numbers[:4])
    if x1 <= x0 or y1 <= y0:
        raise ValueError(f"{where}: box {x0:g} {y0:g} {x1:g} {y1:g} has no area; x1 > x0 and y1 > y0 would be right")
    points = np.array(numbers[4:], np.float32).reshape(5, 2) if len(numbers) == 14 else None
    face = FaceLabel((x0, y0, x1, y1), points)
    return face if size is None else clipped(face, size, where)


def clipped(face: FaceLabel, size: tuple[int, int], where: str) -> FaceLabel:
    """The face with its box cut to the picture, flagged "clipped" where that took more than a pixel away.

    Raises:
        ValueError: the box lies wholly outside.
    """
    x0, y0, x1, y1 = face.box
    width, height = size
    inside = (max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1))
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        raise ValueError(f"{where}: box {x0:g} {y0:g} {x1:g} {y1:g} lies outside its picture of {width}x{height} px")
    cut = max(abs(a - b) for a, b in zip(face.box, inside, strict=True)) > 1
    flags = (*face.flags, "clipped") if cut and "clipped" not in face.flags else face.flags
    return replace(face, box=inside, flags=flags)


def five_of_68(points: Points) -> Points:
    """Our five landmarks (5, 2) from the 68 of the iBUG scheme: means of the lids' points, nose tip, mouth corners."""
    return np.stack(
        [points[36:42].mean(axis=0), points[42:48].mean(axis=0), points[30], points[48], points[54]]
    ).astype(np.float32)


def outline_of_68(points: Points) -> Points:
    """Jaw and forehead (27, 2): the brows lifted to where the hairline is, by the middle third of the face.

    A face has three thirds of about equal height: hairline to brow, brow to the base of the nose, from there to the
    chin. Newborns' foreheads are rather higher than that.
    """
    lift = points[17:27].mean(axis=0) - points[33]
    return np.concatenate([points[:17], (points[17:27] + lift)[::-1]]).astype(np.float32)


def face_of_68(points: Points) -> FaceLabel:
    """A face from 68 landmarks alone: its box is that of its outline."""
    outline = outline_of_68(points)
    (x0, y0), (x1, y1) = outline.min(axis=0).tolist(), outline.max(axis=0).tolist()
    return FaceLabel((x0, y0, x1, y1), five_of_68(points), outline=outline)


def split_by_subject(
    samples: Iterable[Labelled], shares: Sequence[float] = (6, 1, 3), seed: int = 0
) -> tuple[tuple[Labelled, ...], ...]:
    """The samples in as many parts as there are shares, no subject in two of them; the shares are of the subjects.

    Depends on the names of the subjects and the seed alone, not on the order of the samples.

    Raises:
        ValueError: no share is positive, or one is negative.
    """
    if not shares or min(shares) < 0 or sum(shares) <= 0:
        raise ValueError(f"shares {list(shares)}: numbers from nought, not all nought, such as 6 1 3, would be right")
    samples = tuple(samples)
    names = sorted({sample.subject for sample in samples})
    order = np.random.default_rng(seed).permutation(len(names))
    ends = np.rint(np.cumsum(shares) / sum(shares) * len(names)).astype(int)
    part = {names[place]: int(np.searchsorted(ends, rank, side="right")) for rank, place in enumerate(order)}
    return tuple(tuple(s for s in samples if part[s.subject] == number) for number in range(len(shares)))
