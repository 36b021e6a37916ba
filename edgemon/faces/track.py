"""The infant's face followed between detections: the same id through short occlusion, and not the carer's."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edgemon.config import Region
from edgemon.records import Box, Face

SHOWN_S: Final = 3.0  # a face is shown for so long after its last detection
KNOWN_AGAIN_S: Final = 30.0  # and for so long it is known again, at once and by its id, near where it was

_CONFIRM_HITS: Final = 2  # one lone detection is no face
_MATCH_DIOU: Final = 0.1
_SURE_DIOU: Final = 0.3  # a detection less like its track must be borne out by the next: a hand may have spoilt it
_STRAYS: Final = (0.15, -0.2)  # how much that falls per unseen second, and to what: a centre one face's size away
_MATCH_RATIO: Final = 1.5  # of sizes; a carer bending over the cot is no infant that grew
_SWITCH_AFTER_S: Final = 3.0  # how long another face must be preferred before the track moves to it
_SWITCH_RATIO: Final = 1.5
_PERSISTENCE_S: Final = 10.0
_SETTLED_S: Final = 2.0  # a newcomer takes a lost infant's part after so long in one place
_SETTLED_SPEED: Final = 0.3  # in sizes a second
_TRUST_S: Final = 5.0  # of following, after which the infant's size tells it from a carer
_SIZE_KEPT_S: Final = 120.0  # for so long without the infant no larger face is taken for it; then the camera was moved
_BORDER: Final = 0.02  # of the picture: a face first seen so near its border has come in
_CAME_IN: Final = 0.7  # and is the less likely the infant
_INSIDE_PX: Final = 1e-3
_HOME: Final = 0.2  # of where a face usually lies, per detection: one that a hand has spoilt moves it little
_LEARN: Final = 0.002  # of the infant's size per detection: a visitor of seconds teaches nothing
_GLIDE_S: Final = 0.8  # time constant of a face at rest
_COAST_S: Final = 0.4  # a move goes on for so long (time constant) after the detection that showed it
_MOVES: Final = 0.5  # sizes a second, from where on it is one; jitter and the jolts of crying stay below
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


def _centre(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((points[:2] + points[2:4]) / 2)


def _points(box: Iterable[float], landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(tuple(box), np.float64), landmarks.astype(np.float64).ravel()])


@dataclass(slots=True, eq=False)
class _Track:
    """One face; box and landmarks glide from `start` at `seen_s` towards `target`, so they never jump.

    A move that two detections in turn agree on goes on, ever slower, until the next; at rest nothing moves by itself.
    """

    track_id: int
    first_s: float
    seen_s: float
    start: NDArray[np.float64]  # (14,) box, then landmarks
    target: NDArray[np.float64]
    home: NDArray[np.float64]  # the mean of the last detections
    score: float
    place: float
    came_in: bool
    still_since_s: float
    glide_s: float = _GLIDE_S
    hits: int = 1
    doubted: Box | None = None  # the last detection, where it was not trusted alone
    step: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))  # of the centre, between two detections
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))  # px a second

    def points(self, at_s: float) -> NDArray[np.float64]:
        since_s = max(0.0, at_s - self.seen_s)
        coasted = self.velocity * (_COAST_S * -math.expm1(-since_s / _COAST_S))
        return self.target + (self.start - self.target) * math.exp(-since_s / self.glide_s) + np.tile(coasted, 7)

    def likeness(self, box: Box, at_s: float) -> float:
        """How well a detection goes with where the face should be, where it usually is, or where it may have leapt."""
        places = [_box(self.points(at_s)), _box(self.home), *([self.doubted] if self.doubted else [])]
        return max(_likeness(place, box) for place in places)

    def trusts(self, box: Box, at_s: float) -> bool:
        """Whether this detection counts; one that leaps only where the one before it leapt there too."""
        doubted, self.doubted = self.doubted, None
        borne_out = doubted is not None and _likeness(doubted, box) >= _MATCH_DIOU
        if self.hits < _CONFIRM_HITS or at_s - self.seen_s > SHOWN_S or borne_out:
            return True
        if self.likeness(box, at_s) >= _SURE_DIOU:
            return True
        self.doubted = box
        return False

    @property
    def size_px(self) -> float:
        return math.sqrt(_area(_box(self.target)))

    @property
    def speed(self) -> float:
        """In sizes a second."""
        return float(np.hypot(*self.velocity)) / self.size_px

    def hit(self, found: Detection, place: float, at_s: float) -> None:
        shown, target = self.points(at_s), _points(found.box, found.landmarks)
        moved = float(np.sqrt(np.mean((target - shown) ** 2))) / math.sqrt(_area(found.box))
        self._learn_velocity(_centre(target) - _centre(self.target), at_s - self.seen_s)
        if moved > 2 * _JITTER:
            self.still_since_s = at_s
        self.start, self.target, self.seen_s = shown, target, at_s
        self.home = self.home + _HOME * (target - self.home)
        self.glide_s = _GLIDE_S / (1 + (moved / _JITTER) ** 2)
        self.score += 0.5 * (found.score - self.score)
        self.place = place
        self.hits += 1

    def _learn_velocity(self, step: NDArray[np.float64], elapsed_s: float) -> None:
        speed = float(np.hypot(*step)) / self.size_px / max(elapsed_s, 1e-3)
        goes_on = float(step @ self.step) > 0 and 0 < elapsed_s <= SHOWN_S / 2
        sure = (speed / _MOVES) ** 4
        self.velocity = step / elapsed_s * (sure / (1 + sure)) if goes_on else np.zeros(2)
        self.step = step


class FaceTracker:
    """Follows every face and returns the infant's: in the cot region, there for long, of the known size and place."""

    def __init__(self, cot_region: Region | None = None) -> None:
        self._cot = cot_region or Region()
        self._tracks: list[_Track] = []
        self._infant: _Track | None = None
        self._size_px: float | None = None  # of the infant's face, slowly learnt
        self._size_trusted = False
        self._infant_s = self._began_s = self._now_s = -math.inf  # when it was last detected; first and newest time
        self._rival_since: tuple[int, float] | None = None
        self._shape_hw = (1, 1)
        self._next_id = 1

    def update(self, detections: Iterable[Detection], at_s: float, shape_hw: tuple[int, int]) -> Face | None:
        """The infant's face after a detector's run at `at_s` on an image of `shape_hw` px.

        Box and landmarks are smoothed causally: a time constant of 0.8 s at rest (the detector's jitter would otherwise
        be read as colour), falling with the square of the move. A face that comes back within 30 s, not more than its
        own size from where it was, is the same track; later it is a new one, whose heart rate begins anew.
        """
        self._now_s = at_s = max(at_s, self._now_s)
        self._began_s = at_s if self._began_s == -math.inf else self._began_s
        self._shape_hw = shape_hw
        self._tracks = [t for t in self._tracks if at_s - t.seen_s <= self._kept_s(t)]
        placed = [(d, self._place(d.box)) for d in detections]
        for found, place in self._match([(d, place) for d, place in placed if place > 0], at_s):
            points = _points(found.box, found.landmarks)
            came_in = at_s - self._began_s > _SETTLED_S and self._at_border(found.box)
            track = _Track(self._next_id, at_s, at_s, points, points, points, found.score, place, came_in, at_s)
            self._tracks.append(track)
            self._next_id += 1
        self._choose(at_s)
        return self.predict(at_s)

    def predict(self, at_s: float) -> Face | None:
        """The infant's face between detections; None before two detections agree and 3 s after the last one."""
        infant, at_s = self._infant, max(at_s, self._now_s)
        if infant is None or at_s - infant.seen_s > SHOWN_S:
            return None
        points = self._kept_in(infant.points(at_s))
        landmarks = points[4:].reshape(5, 2).astype(np.float32)
        return Face(infant.track_id, _box(points), landmarks, infant.score, at_s, infant.seen_s)

    def still_s(self, at_s: float) -> float:
        """For how long the infant's face has been found at every turn, in one place, and no other face with it."""
        infant = self._infant
        if infant is None or infant.seen_s < self._now_s or len(self._tracks) > 1:
            return 0.0
        return max(0.0, at_s - infant.still_since_s)

    def _kept_s(self, track: _Track) -> float:
        return KNOWN_AGAIN_S if track is self._infant else SHOWN_S

    def _match(self, placed: list[tuple[Detection, float]], at_s: float) -> list[tuple[Detection, float]]:
        """Give each track its detection, the likest pair first, and return the detections that are left."""
        pairs = [
            (t.likeness(d.box, at_s), i, j)
            for i, t in enumerate(self._tracks)
            for j, (d, _) in enumerate(placed)
            if not (t is self._infant and self._too_large(math.sqrt(_area(d.box)), at_s))
        ]
        matched: set[int] = set()
        taken: set[int] = set()
        found: set[int] = set()
        for likeness, i, j in sorted(pairs, reverse=True):
            track = self._tracks[i]
            least = max(_MATCH_DIOU - _STRAYS[0] * (at_s - track.seen_s), _STRAYS[1])
            if likeness >= least and i not in taken and j not in found:
                taken.add(i)
                found.add(j)
                if track.trusts(placed[j][0].box, at_s):
                    track.hit(*placed[j], at_s)
                    matched.add(i)
        for i, track in enumerate(self._tracks):
            if i not in matched:
                track.still_since_s = at_s
        return [pair for j, pair in enumerate(placed) if j not in found]

    def _place(self, box: Box) -> float:
        """1 at the centre of the cot region, 0.5 at its edge, 0 outside; an edge two regions share is of the second."""
        x, y = (box[0] + box[2]) / 2 / self._shape_hw[1], (box[1] + box[3]) / 2 / self._shape_hw[0]
        cot = self._cot
        if not (cot.x0 <= x < cot.x1 and cot.y0 <= y < cot.y1):
            return 0.0
        dx = abs(2 * x - cot.x0 - cot.x1) / (cot.x1 - cot.x0)
        dy = abs(2 * y - cot.y0 - cot.y1) / (cot.y1 - cot.y0)
        return 1 - max(dx, dy) / 2

    def _kept_in(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The points moved so far that their centre lies in the cot region: a prediction does not leave it."""
        size = np.array([self._shape_hw[1], self._shape_hw[0]], np.float64)
        low, high = np.array([self._cot.x0, self._cot.y0]) * size, np.array([self._cot.x1, self._cot.y1]) * size
        centre = _centre(points)
        return np.asarray(points + np.tile(np.clip(centre, low, high - _INSIDE_PX) - centre, 7))

    def _at_border(self, box: Box) -> bool:
        height, width = self._shape_hw
        near = _BORDER * height
        return min(box[0], box[1], width - box[2], height - box[3]) < near

    def _too_large(self, size_px: float, at_s: float) -> bool:
        """Whether this is a carer's face by its size, so near the camera."""
        if self._size_px is None or not self._size_trusted or at_s - self._infant_s > _SIZE_KEPT_S:
            return False
        return size_px > _MATCH_RATIO * self._size_px

    def _preference(self, track: _Track, at_s: float) -> float:
        ratio = 1.0 if self._size_px is None else track.size_px / self._size_px
        known = min(1.0, 1 / ratio, 2 * ratio) * (_CAME_IN if track.came_in else 1.0)
        lasting = min(1.0, 0.1 + (track.seen_s - track.first_s) / _PERSISTENCE_S)
        fresh = math.exp(-(at_s - track.seen_s))
        return track.score * track.place * known * lasting * fresh

    def _choose(self, at_s: float) -> None:
        others = [t for t in self._tracks if t is not self._infant and t.hits >= _CONFIRM_HITS]
        others = [t for t in others if not self._too_large(t.size_px, at_s)]
        best = max(others, key=lambda t: self._preference(t, at_s), default=None)
        if self._infant not in self._tracks:
            self._infant = None
        if best is not None and (self._infant is None or self._gives_way(self._infant, best, at_s)):
            self._infant, self._rival_since = best, None
            if self._size_px is None or not 1 / _MATCH_RATIO <= best.size_px / self._size_px <= _MATCH_RATIO:
                self._size_px, self._size_trusted = best.size_px, False
        if self._infant is not None and self._infant.seen_s == at_s:
            self._learn(self._infant, at_s)

    def _learn(self, infant: _Track, at_s: float) -> None:
        assert self._size_px is not None
        self._infant_s = at_s
        self._size_trusted = self._size_trusted or at_s - infant.first_s >= _TRUST_S
        weight = _LEARN if self._size_trusted else 1 / infant.hits
        self._size_px += weight * (infant.size_px - self._size_px)

    def _gives_way(self, infant: _Track, best: _Track, at_s: float) -> bool:
        """Whether another face is the infant: settled while the infant is lost, or long preferred to it."""
        if at_s - infant.seen_s > SHOWN_S:
            settled = best.seen_s - best.first_s >= _SETTLED_S and best.speed <= _SETTLED_SPEED
            return settled and not best.came_in
        if self._preference(best, at_s) < _SWITCH_RATIO * self._preference(infant, at_s):
            self._rival_since = None
            return False
        if self._rival_since is None or self._rival_since[0] != best.track_id:
            self._rival_since = (best.track_id, at_s)
        return at_s - self._rival_since[1] >= _SWITCH_AFTER_S
