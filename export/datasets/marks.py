"""A picture with the one face that is known in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


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


def read_rgb(path: Path) -> Image:
    """A picture file as RGB.

    Raises:
        ValueError: not a picture that can be read; names the file.
    """
    bgr = cv2.imread(str(path))
    if bgr is None:
        raise ValueError(f"{path}: not a picture that can be read")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def roll_of(points: NDArray[np.float32]) -> float:
    """Clockwise roll in degrees of landmarks (5, 2), from the line of the eyes and the line to the mouth together."""
    across = points[1] - points[0]
    down = (points[3] + points[4] - points[0] - points[1]) / 2
    return math.degrees(math.atan2(float(across[1] - down[0]), float(across[0] + down[1])))
