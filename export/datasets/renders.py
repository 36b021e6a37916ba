"""Renders of the synthetic newborn, as `synthesize images` writes them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from export.datasets.marks import FaceMark, Image, Picture, read_rgb, roll_of


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
        return read_rgb(self.folder / f"{self.rows[index]['name']}.jpg")

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
        return _mark_of(tuple(row["face_box"]), points, roll_of(points))

    def picture(self, index: int) -> Picture:
        """Everything that the face detector learns from."""
        return Picture(self.rgb(index), self.labels(index) > 0, self.mark(index))


def _mark_of(box: tuple[float, ...], points: NDArray[np.float32], roll_deg: float) -> FaceMark:
    """The ellipse of the face's usual shape (1 : 1.15) whose upright box has the area of the given one."""
    x0, y0, x1, y1 = box
    across = math.sqrt(((x1 - x0) ** 2 + (y1 - y0) ** 2) / (4 * (1 + 1.15**2)))
    return FaceMark(((x0 + x1) / 2, (y0 + y1) / 2), (across, 1.15 * across), roll_deg, points)
