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
    """One face in px: outline (n, 2) from forehead hairline to chin and ear to ear, landmarks (5, 2) as in `Face`.

    The box follows from the outline at any roll. `centre` and `axes` (semi-axes across and along the face) are those of
    the outline's box in the face's own directions.
    """

    outline: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def box(self) -> tuple[float, float, float, float]:
        """The outline's upright bounding box, xyxy px."""
        (x0, y0), (x1, y1) = self.outline.min(axis=0).tolist(), self.outline.max(axis=0).tolist()
        return x0, y0, x1, y1

    @property
    def roll_deg(self) -> float:
        """Clockwise roll in degrees."""
        return roll_of(self.landmarks)

    @property
    def centre(self) -> tuple[float, float]:
        """Midway between the outline's ends across and along the face."""
        low, high = self._extent()
        x, y = ((low + high) / 2 @ self._turn()).tolist()
        return x, y

    @property
    def axes(self) -> tuple[float, float]:
        """Half the outline's extent across and along the face."""
        low, high = self._extent()
        across, along = ((high - low) / 2).tolist()
        return across, along

    @property
    def size_px(self) -> float:
        """Side of the square of the same area as the face's box when upright."""
        return 2 * math.sqrt(self.axes[0] * self.axes[1])

    def moved(self, matrix: NDArray[np.float64]) -> FaceMark:
        """The same face after an affine transform (2, 3)."""
        outline, points = (
            (part @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32) for part in (self.outline, self.landmarks)
        )
        return FaceMark(outline, points)

    def mirrored(self, width_px: int) -> FaceMark:
        """The face in the mirrored picture: left and right change places in the landmarks."""
        flip, end = np.array([-1, 1], np.float32), np.array([width_px - 1, 0], np.float32)
        return FaceMark(self.outline * flip + end, self.landmarks[[1, 0, 2, 4, 3]] * flip + end)

    def _turn(self) -> NDArray[np.float64]:
        angle = math.radians(self.roll_deg)
        c, s = math.cos(angle), math.sin(angle)
        return np.array([[c, s], [-s, c]])  # rows: across and along the face

    def _extent(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        own = self.outline @ self._turn().T
        return own.min(axis=0), own.max(axis=0)


def ellipse(box: tuple[float, ...]) -> NDArray[np.float32]:
    """The outline of a face of which only the upright box xyxy px is known: the ellipse within it."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    x0, y0, x1, y1 = box
    x, y = (x0 + x1) / 2 + (x1 - x0) / 2 * np.cos(angle), (y0 + y1) / 2 + (y1 - y0) / 2 * np.sin(angle)
    return np.stack([x, y], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """RGB uint8 (H, W, 3), the subject's mask (H, W) bool, and the face unless there is none in view."""

    rgb: Image
    subject: NDArray[np.bool_]
    face: FaceMark | None

    def mirrored(self) -> Picture:
        """Left and right changed."""
        face = None if self.face is None else self.face.mirrored(self.rgb.shape[1])
        return Picture(np.ascontiguousarray(self.rgb[:, ::-1]), self.subject[:, ::-1], face)


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
