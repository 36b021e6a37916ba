"""The infant's face followed between detections: the same id through short occlusion, and not the carer's."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edgemon.config import Region
from edgemon.records import Box, Face

MAX_OCCLUSION_S: Final = 3.0  # a track without a detection for longer ends

_CONFIRM_HITS: Final = 2  # one lone detection is no face
_MATCH_DIOU: Final = 0.1
_MATCH_RATIO: Final = 1.7  # of sizes; a carer bending over the cot is no infant that grew
_SWITCH_AFTER_S: Final = 3.0  # how long another face must be preferred before the track moves to it
_SWITCH_RATIO: Final = 1.5
_PERSISTENCE_S: Final = 10.0
_LEARN: Final = 0.002  # of the infant's size per detection: a visitor of seconds teaches nothing
_GLIDE_S: Final = 0.8  # time constant of a face at rest
_JITTER: Final = 0.03  # moves below this share of the face's size are the detector's jitter


class Detection(Protocol):
    """What a face detector found."""

    @property
    def box(self) -> Box: ...
    @property
    def landmarks(self) -> NDArray[np.float32]: ...
    @property
    def score(self) -> float: ...


def diou(a: Box, b: Box) -> float:
    """Distance-IoU of two boxes, -1..1 (Zheng 2020, eq. 7)."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    union = _area(a) + _area(b) - shared
    dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    hull_x, hull_y = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    return shared / union - (dx**2 + dy**2) / (hull_x**2 + hull_y**2)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _likeness(a: Box, b: Box) -> float:
    sizes = math.sqrt(_area(a) / _area(b))
    return diou(a, b) if 1 / _MATCH_RATIO <= sizes <= _MATCH_RATIO else -1.0


def _box(points: NDArray[np.float64]) -> Box:
    x0, y0, x1, y1 = (float(v) for v in points[:4])
    return x0, y0, x1, y1


def _points(box: Iterable[float], landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(tuple(box), np.float64), landmarks.astype(np.float64).ravel()])


@dataclass(slots=True, eq=False)
class _Track:
    """One face; box and landmarks glide from `start` at `seen_s` towards `target`, so they never jump."""

    track_id: int
    first_s: float
    seen_s: float
    start: NDArray[np.float64]  # (14,) box, then landmarks
    target: NDArray[np.float64]
    score: float
    place: float
    glide_s: float = _GLIDE_S
    hits: int = 1

    def points(self, at_s: float) -> NDArray[np.float64]:
        left = math.exp(-max(0.0, at_s - self.seen_s) / self.glide_s)
        return self.target + (self.start - self.target) * left

    @property
    def last_box(self) -> Box:
        return _box(self.target)

    @property
    def size_px(self) -> float:
        return math.sqrt(_area(self.last_box))

    def hit(self, found: Detection, place: float, at_s: float) -> None:
        shown, target = self.points(at_s), _points(found.box, found.landmarks)
        moved = float(np.sqrt(np.mean((target - shown) ** 2))) / math.sqrt(_area(found.box))
        self.start, self.target, self.seen_s = shown, target, at_s
        self.glide_s = _GLIDE_S / (1 + (moved / _JITTER) ** 2)
        self.score += 0.5 * (found.score - self.score)
        self.place = place
        self.hits += 1

    def face(self, at_s: float) -> Face:
        points = self.points(at_s)
        landmarks = points[4:].reshape(5, 2).astype(np.float32)
        at_s = max(at_s, self.seen_s)
        return Face(self.track_id, _box(points), landmarks, self.score, at_s, self.seen_s)


class FaceTracker:
    """Follows every face and returns the infant's: in the cot region, there for long, of the known size and place."""

    def __init__(self, cot_region: Region | None = None) -> None:
        self._cot = cot_region or Region()
        self._tracks: list[_Track] = []
        self._infant: _Track | None = None
        self._size_px: float | None = None  # of the infant's face, slowly learnt
        self._rival_since: tuple[int, float] | None = None
        self._next_id = 1

    def update(self, detections: Iterable[Detection], at_s: float, shape_hw: tuple[int, int]) -> Face | None:
        """The infant's face after a detector's run at `at_s` on an image of `shape_hw` px.

        Box and landmarks are smoothed causally: a time constant of 0.8 s at rest (the detector's jitter would otherwise
        be read as colour), falling with the square of the move.
        """
        self._tracks = [t for t in self._tracks if at_s - t.seen_s <= MAX_OCCLUSION_S]
        placed = [(d, self._place(d.box, shape_hw)) for d in detections]
        for found, place in self._match([(d, place) for d, place in placed if place > 0], at_s):
            points = _points(found.box, found.landmarks)
            self._tracks.append(_Track(self._next_id, at_s, at_s, points, points, found.score, place))
            self._next_id += 1
        self._choose(at_s)
        return self.predict(at_s)

    def predict(self, at_s: float) -> Face | None:
        """The infant's face between detections; None before two detections agree and 3 s after the last one."""
        infant = self._infant
        if infant is None or at_s - infant.seen_s > MAX_OCCLUSION_S:
            return None
        return infant.face(at_s)

    def _match(self, placed: list[tuple[Detection, float]], at_s: float) -> list[tuple[Detection, float]]:
        """Give each track its detection, the likest pair first, and return the detections that are left."""
        pairs = [
            (_likeness(t.last_box, d.box), i, j) for i, t in enumerate(self._tracks) for j, (d, _) in enumerate(placed)
        ]
        matched: set[int] = set()
        found: set[int] = set()
        for likeness, i, j in sorted(pairs, reverse=True):
            if likeness >= _MATCH_DIOU and i not in matched and j not in found:
                self._tracks[i].hit(*placed[j], at_s)
                matched.add(i)
                found.add(j)
        return [pair for j, pair in enumerate(placed) if j not in found]

    def _place(self, box: Box, shape_hw: tuple[int, int]) -> float:
        """1 at the centre of the cot region, 0.5 at its edge, 0 outside."""
        x, y = (box[0] + box[2]) / 2 / shape_hw[1], (box[1] + box[3]) / 2 / shape_hw[0]
        cot = self._cot
        dx = abs(2 * x - cot.x0 - cot.x1) / (cot.x1 - cot.x0)
        dy = abs(2 * y - cot.y0 - cot.y1) / (cot.y1 - cot.y0)
        return 1 - max(dx, dy) / 2 if max(dx, dy) <= 1 else 0.0

    def _preference(self, track: _Track, at_s: float) -> float:
        known = 1.0 if self._size_px is None else math.exp(-abs(math.log(track.size_px / self._size_px)))
        lasting = min(1.0, 0.1 + (track.seen_s - track.first_s) / _PERSISTENCE_S)
        fresh = math.exp(-(at_s - track.seen_s))
        return track.score * track.place * known * lasting * fresh

    def _choose(self, at_s: float) -> None:
        confirmed = [t for t in self._tracks if t.hits >= _CONFIRM_HITS]
        best = max(confirmed, key=lambda t: self._preference(t, at_s), default=None)
        if self._infant not in self._tracks or (best is not None and self._outdone(self._infant, best, at_s)):
            self._infant = best
        if self._infant is not None and self._infant.seen_s == at_s:
            size_px = self._infant.size_px
            self._size_px = size_px if self._size_px is None else self._size_px + _LEARN * (size_px - self._size_px)

    def _outdone(self, infant: _Track | None, best: _Track, at_s: float) -> bool:
        if infant is None or self._preference(best, at_s) < _SWITCH_RATIO * self._preference(infant, at_s):
            self._rival_since = None
            return infant is None
        if self._rival_since is None or self._rival_since[0] != best.track_id:
            self._rival_since = (best.track_id, at_s)
        return at_s - self._rival_since[1] >= _SWITCH_AFTER_S
