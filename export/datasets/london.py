"""Photographs of adults who consented (Face Research Lab London Set, CC BY 4.0); split by person."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from export.datasets.marks import FaceMark, Picture, read_rgb

LONDON_SCALE = 512 / 1350  # the landmark files are in px of the original photographs
LONDON_TEST_EVERY = 4  # persons 4, 8, 12, ... in order of their number are never trained on
_OUTLINE = (*range(134, 145), *range(133, 124, -1))  # hairline from ear to ear, then along the jaw and back


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
        rgb = read_rgb(self.path)
        p = self.points
        five = np.stack([p[0], p[1], (p[54] + p[60]) / 2, p[87], p[93]]).astype(np.float32)
        outline = p[list(_OUTLINE)]
        mark = FaceMark(outline, five)
        head = np.zeros(rgb.shape[:2], np.uint8)
        grown = np.array(mark.centre) + (outline - np.array(mark.centre)) * 1.12
        cv2.fillPoly(head, [np.rint(grown).astype(np.int32)], 1)
        return Picture(rgb, head > 0, mark)


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
