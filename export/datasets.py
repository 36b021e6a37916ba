"""Pictures with known faces: renders of the synthetic newborn, and photographs of adults (London set, CC BY 4.0).

Every source gives the same typed `Picture`. Splits are by infant and by person, never by picture.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
LONDON_SCALE = 512 / 1350  # the landmark files are in px of the original photographs
LONDON_TEST_EVERY = 4  # persons 4, 8, 12, ... in order of their number are never trained on
_OUTLINE = (*range(134, 145), *range(133, 124, -1))  # hairline from ear to ear, then along the jaw and back


@dataclass(frozen=True, slots=True, eq=False)
class FaceMark:
    """One face: its ellipse (forehead hairline to chin, ear to ear) and landmarks, in px.

    `axes` are the semi-axes across and along the face; `roll_deg` is clockwise. `landmarks` (5, 2) as in `Face`.
    """

    centre: tuple[float, float]
    axes: tuple[float, float]
    roll_deg: float
    landmarks: NDArray[np.float32]

    def box(self) -> tuple[float, float, float, float]:
        """The ellipse's upright bounding box, xyxy px."""
        c, s = math.cos(math.radians(self.roll_deg)), math.sin(math.radians(self.roll_deg))
        half_x, half_y = math.hypot(self.axes[0] * c, self.axes[1] * s), math.hypot(self.axes[0] * s, self.axes[1] * c)
        x, y = self.centre
        return x - half_x, y - half_y, x + half_x, y + half_y

    @property
    def size_px(self) -> float:
        """Side of the square of the same area as the face's box when upright."""
        return 2 * math.sqrt(self.axes[0] * self.axes[1])

    def moved(self, matrix: NDArray[np.float64]) -> FaceMark:
        """The same face after a similarity transform (2, 3)."""
        scale = math.hypot(matrix[0, 0], matrix[1, 0])
        turn = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
        x, y = matrix[:, :2] @ np.array(self.centre) + matrix[:, 2]
        points = (self.landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        axes = (self.axes[0] * scale, self.axes[1] * scale)
        return FaceMark((float(x), float(y)), axes, self.roll_deg + turn, points)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """RGB uint8 (H, W, 3), the subject's mask (H, W) bool, and the face unless there is none in view."""

    rgb: Image
    subject: NDArray[np.bool_]
    face: FaceMark | None


def _read_rgb(path: Path) -> Image:
    bgr = cv2.imread(str(path))
    if bgr is None:
        raise ValueError(f"{path}: not a picture that can be read")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


class Renders:
    """A folder written by `synthesize images`; rows that are appended later are found by `refresh`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        self.refresh()

    def refresh(self) -> int:
        """Read the truth again; the number of pictures.

        Raises:
            ValueError: the folder holds no truth, or a row is malformed; names file and line.
        """
        path = self.folder / "truth.jsonl"
        if not path.is_file():
            raise ValueError(f"{path}: missing; make it with `python -m export synthesize images --out {self.folder}`")
        rows = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}:{number}: not a JSON object: {error}") from error
        self.rows = rows
        return len(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def rgb(self, index: int) -> Image:
        """One picture."""
        return _read_rgb(self.folder / f"{self.rows[index]['name']}.jpg")

    def labels(self, index: int) -> Image:
        """Its label mask."""
        mask = cv2.imread(str(self.folder / f"{self.rows[index]['name']}.labels.png"), cv2.IMREAD_UNCHANGED)
        return np.asarray(mask, np.uint8)

    def mark(self, index: int) -> FaceMark | None:
        """Its face."""
        row = self.rows[index]
        if row["face_box"] is None:
            return None
        points = np.array(row["landmarks"], np.float32)
        return _mark_of(tuple(row["face_box"]), points, _roll(points))

    def picture(self, index: int) -> Picture:
        """Everything that the face detector learns from."""
        return Picture(self.rgb(index), self.labels(index) > 0, self.mark(index))


def _roll(points: NDArray[np.float32]) -> float:
    across = points[1] - points[0]
    down = (points[3] + points[4] - points[0] - points[1]) / 2
    return math.degrees(math.atan2(float(across[1] - down[0]), float(across[0] + down[1])))


def _mark_of(box: tuple[float, ...], points: NDArray[np.float32], roll_deg: float) -> FaceMark:
    """The ellipse of the face's usual shape (1 : 1.15) whose upright box has the area of the given one."""
    x0, y0, x1, y1 = box
    across = math.sqrt(((x1 - x0) ** 2 + (y1 - y0) ** 2) / (4 * (1 + 1.15**2)))
    return FaceMark(((x0 + x1) / 2, (y0 + y1) / 2), (across, 1.15 * across), roll_deg, points)


@dataclass(frozen=True)
class LondonPerson:
    """One adult: the neutral photograph with its landmarks."""

    name: str
    path: Path
    template: Path

    @cached_property
    def points(self) -> NDArray[np.float32]:
        """189 template points in px of the 512 px photograph."""
        lines = self.template.read_text(encoding="utf-8").splitlines()
        rows = [[float(v) for v in line.split()[:2]] for line in lines[1 : int(lines[0]) + 1]]
        return np.array(rows, np.float32) * np.float32(LONDON_SCALE)

    def picture(self) -> Picture:
        """The photograph; its mask is the face's outline with some hair."""
        rgb = _read_rgb(self.path)
        p = self.points
        five = np.stack([p[0], p[1], (p[54] + p[60]) / 2, p[87], p[93]]).astype(np.float32)
        outline = p[list(_OUTLINE)]
        lower, upper = outline.min(axis=0), outline.max(axis=0)
        axes = (float(upper[0] - lower[0]) / 2, float(upper[1] - lower[1]) / 2)
        centre = (float(lower[0] + upper[0]) / 2, float(lower[1] + upper[1]) / 2)
        head = np.zeros(rgb.shape[:2], np.uint8)
        grown = np.array(centre) + (outline - np.array(centre)) * 1.12
        cv2.fillPoly(head, [np.rint(grown).astype(np.int32)], 1)
        return Picture(rgb, head > 0, FaceMark(centre, axes, _roll(five), five))


def london(folder: Path, split: str) -> tuple[LondonPerson, ...]:
    """The persons of one split ("train" or "test") of `faces_london`.

    Raises:
        ValueError: the folder lacks photographs or landmarks.
    """
    templates = sorted((folder / "tem").glob("*.tem"))
    if not templates:
        raise ValueError(f"{folder / 'tem'}: no landmark files; the London set is expected in {folder}")
    persons = [LondonPerson(t.stem, folder / "neutral" / f"{t.stem}.jpg", t) for t in templates]
    return tuple(q for n, q in enumerate(persons, 1) if (n % LONDON_TEST_EVERY == 0) == (split == "test"))
