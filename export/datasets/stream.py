"""Renders that are drawn while training goes on: no folder, and never the same picture for long."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from export.datasets.marks import FaceMark, Image, Picture
from export.infant.sample import render_sample
from export.synthesize import identity_of


class RenderSource(Protocol):
    """Where training takes its renders from: a folder, or drawn on the way."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The truth of each picture at hand."""
        ...

    def rgb(self, index: int) -> Image:
        """One picture."""
        ...

    def picture(self, index: int) -> Picture:
        """One picture with its face."""
        ...

    def advance(self) -> bool:
        """Called once a training frame; whether other pictures are at hand since."""
        ...


class StreamedRenders:
    """A pool of renders in memory; every `draw_every` frames one more is drawn, in the place of the oldest.

    Drawing one costs about as much as thirty training frames. Pictures are kept as JPEG, labels as PNG.
    """

    def __init__(self, seed: int, *, split: str = "train", pool: int = 4000, first: int = 64, draw_every: int = 12):
        self.rows: list[dict[str, Any]] = []
        self._files: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
        self._rng = np.random.default_rng([seed, 77])
        self._split, self._pool, self._first, self._draw_every = split, pool, first, draw_every
        self._drawn, self._frames = 0, 0

    def advance(self) -> bool:
        """Draw what is due; the first call draws the pool that training starts with."""
        due = self._frames % self._draw_every == 0
        self._frames += 1
        if not due:
            return False
        self._draw()
        while len(self.rows) < self._first:
            self._draw()
        return True

    def rgb(self, index: int) -> Image:
        """One picture."""
        bgr = np.asarray(cv2.imdecode(self._files[index][0], cv2.IMREAD_COLOR), np.uint8)
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    def picture(self, index: int) -> Picture:
        """One picture with its face."""
        row = self.rows[index]
        labels = np.asarray(cv2.imdecode(self._files[index][1], cv2.IMREAD_UNCHANGED), np.uint8)
        face = None
        if row["face_box"] is not None:
            face = FaceMark(np.array(row["face_outline"], np.float32), np.array(row["landmarks"], np.float32))
        return Picture(self.rgb(index), labels > 0, face)

    def _draw(self) -> None:
        sample = render_sample(self._rng, identity=identity_of(self._split, self._rng))
        picture = cv2.imencode(".jpg", cv2.cvtColor(sample.rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        files = (np.asarray(picture, np.uint8), np.asarray(cv2.imencode(".png", sample.labels)[1], np.uint8))
        row = asdict(sample.truth)
        if len(self.rows) < self._pool:
            self.rows.append(row)
            self._files.append(files)
        else:
            place = self._drawn % self._pool
            self.rows[place], self._files[place] = row, files
        self._drawn += 1
