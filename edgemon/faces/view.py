"""Whether a bed's place can be seen at all: clear, dark, or covered, from a thumbnail of each look.

A look without a face says something about the infant only where the view is clear. The reference is what the place
looked like while the face was found, slowly learnt; all comparisons are free of the light's brightness.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.config import Region
from edgemon.records import Box, Reason

SIZE: Final = (32, 24)  # of the thumbnail of a bed's region
DARK: Final = (12.0, 16.0)  # mean of 0..255: below the first it is dark, until above the second
COVERED_AFTER_S: Final = 1.0  # a hand that passes covers nothing
CLEAR_AFTER_S: Final = 1.0
REFERENCE_KEPT_S: Final = 600.0  # without a face; then what is seen must speak for itself

_ROWS: Final = 120  # of the picture that are read
_BARE: Final = 0.015  # detail as a share of brightness: a wall or a hand on the lens has 0.005-0.01, a cot 0.05-0.11
_FADED: Final = 0.35  # of the reference's detail: fog on the lens leaves 0.17
_OTHER: Final = 0.35  # correlation of detail with the reference: head turns leave 0.8, a cloth or another view 0.0-0.3
_CHANGE: Final = 0.22  # of a cell's log brightness
_PLACE: Final = 0.6  # share of the face's place that a cover changes; a head turned away changes 0.15
_SPREAD: Final = (1.5, 8.0)  # face areas that a cover in one piece has; what is larger and still is a place left empty
_MOVES: Final = 0.03  # mean change of log brightness within a cover since the last look
_STAY: Final = 1.3  # by how much each limit is easier to keep than to reach
_LEARN_S: Final = 10.0

Thumbnail = NDArray[np.float32]


class View:
    """What hides one bed's cot region, judged at every turn of the detector."""

    def __init__(self, region: Region | None = None) -> None:
        self._region = region or Region()
        self._reference: Thumbnail | None = None
        self._last: Thumbnail | None = None
        self._place: Box | None = None  # of the last face found, in shares of the region
        self._found_s = self._at_s = -math.inf
        self._dark = self._covered = False
        self._other_since_s: float | None = None  # since when the evidence speaks against `_covered`

    def judge(self, rgb: NDArray[np.uint8], at_s: float, found: Box | None) -> Reason | None:
        """Why a face could not be seen at `at_s`: dark, obstructed, or None where the view is clear.

        `found` is the infant's face where this very look found it.
        """
        now = self._thumbnail(rgb)
        luma = float(now.mean())
        self._dark = luma < DARK[self._dark]
        if found is not None:
            self._learn(now, at_s, found, rgb.shape[:2])
        elif not self._dark:
            self._weigh(self._hidden(now, luma, at_s), at_s)
        self._last, self._at_s = now, at_s
        if self._dark:
            return Reason.DARK
        return Reason.OBSTRUCTED if self._covered else None

    def _thumbnail(self, rgb: NDArray[np.uint8]) -> Thumbnail:
        height, width = rgb.shape[:2]
        region, step = self._region, max(1, height // _ROWS)
        y0, x0 = int(region.y0 * height), int(region.x0 * width)
        y1, x1 = max(y0 + 1, round(region.y1 * height)), max(x0 + 1, round(region.x1 * width))
        grey = cv2.cvtColor(np.ascontiguousarray(rgb[y0:y1:step, x0:x1:step]), cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)

    def _learn(self, now: Thumbnail, at_s: float, found: Box, shape_hw: tuple[int, ...]) -> None:
        self._covered, self._other_since_s = False, None
        height, width = shape_hw[:2]
        region = self._region
        wide, high = (region.x1 - region.x0) * width, (region.y1 - region.y0) * height
        x0, y0 = region.x0 * width, region.y0 * height
        self._place = ((found[0] - x0) / wide, (found[1] - y0) / high, (found[2] - x0) / wide, (found[3] - y0) / high)
        if not self._dark:
            other = self._reference is None or _correlation(_detail(now), _detail(self._reference)) < _OTHER
            weight = 1.0 if other else -math.expm1(-(at_s - self._found_s) / _LEARN_S)
            self._reference = now if self._reference is None else self._reference + weight * (now - self._reference)
        self._found_s = at_s

    def _weigh(self, hidden: bool, at_s: float) -> None:
        """Change the verdict once the evidence against it has lasted."""
        if hidden is self._covered:
            self._other_since_s = None
            return
        self._other_since_s = at_s if self._other_since_s is None else self._other_since_s
        if at_s - self._other_since_s >= (COVERED_AFTER_S if hidden else CLEAR_AFTER_S):
            self._covered, self._other_since_s = hidden, None

    def _hidden(self, now: Thumbnail, luma: float, at_s: float) -> bool:
        stay = _STAY if self._covered else 1.0
        detail = _detail(now)
        if at_s - self._found_s > REFERENCE_KEPT_S:
            self._reference = None
        share = float(detail.std()) / luma
        if share < _BARE * stay or self._reference is None:
            return share < _BARE * stay
        reference = _detail(self._reference)
        if share < _FADED * stay * float(reference.std()) / float(self._reference.mean()):
            return True
        return _correlation(detail, reference) < _OTHER * stay or self._over_the_place(now, stay)

    def _over_the_place(self, now: Thumbnail, stay: float) -> bool:
        """Whether one thing, larger than a face and not the whole view, lies or moves where the face was."""
        if self._place is None or self._reference is None:
            return False
        ratio = np.log((now + 6) / (self._reference + 6))
        changed = (np.abs(ratio - np.median(ratio)) > _CHANGE).astype(np.uint8)
        place = _cells(self._place)
        if not place.any() or changed[place].mean() < _PLACE / stay:
            return False
        _, pieces = cv2.connectedComponents(changed)
        piece = pieces == np.bincount(pieces[place & (changed > 0)]).argmax()
        faces = piece.sum() / place.sum()
        return faces >= _SPREAD[0] / stay and (faces <= _SPREAD[1] * stay or self._moves(now, piece))

    def _moves(self, now: Thumbnail, piece: NDArray[np.bool_]) -> bool:
        if self._last is None:
            return False
        return float(np.abs(np.log((now[piece] + 6) / (self._last[piece] + 6))).mean()) > _MOVES


def _detail(thumbnail: Thumbnail) -> NDArray[np.float32]:
    """What is left without the brightness around each cell."""
    return np.asarray(thumbnail - cv2.blur(thumbnail, (5, 5)), np.float32)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float((a * b).sum() / math.sqrt(max(float((a * a).sum() * (b * b).sum()), 1e-9)))


def _cells(place: Box) -> NDArray[np.bool_]:
    x0, y0, x1, y1 = (round(v * side) for v, side in zip(place, SIZE * 2, strict=True))
    cells = np.zeros(SIZE[::-1], bool)
    cells[max(0, y0) : max(y0 + 1, y1), max(0, x0) : max(x0 + 1, x1)] = True
    return cells
