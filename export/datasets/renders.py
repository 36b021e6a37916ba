"""Renders of the synthetic newborn, as `synthesize images` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from export.datasets.marks import FaceMark, Image, Picture, read_rgb


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

    def advance(self) -> bool:
        """Nothing new comes by itself."""
        return False

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
        return FaceMark(np.array(row["face_outline"], np.float32), np.array(row["landmarks"], np.float32))

    def picture(self, index: int) -> Picture:
        """Everything that the face detector learns from."""
        return Picture(self.rgb(index), self.labels(index) > 0, self.mark(index))
