"""A bed's minute of movement, filled by two threads and told by one."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.movement.body import VISIBLE, track_of
from edgemon.movement.summary import summarize
from edgemon.records import Motion, MovementSummary, Pose

WINDOW_S: Final = 60.0
_MOST: Final = 8_000  # of each kind: over two minutes at 60 a second, so that memory is bounded whoever stops asking


class MovementWindow:
    """Gathers poses and motion of one bed, times increasing within each, and tells a minute once it is over.

    `motion` may be called from another thread than the rest. Minutes in which nothing came are not told.
    """

    def __init__(self, bed: str, visible: float = VISIBLE) -> None:
        self._bed = bed
        self._visible = visible
        self._poses: deque[tuple[float, NDArray[np.float32]]] = deque(maxlen=_MOST)
        self._motion: deque[Motion] = deque(maxlen=_MOST)
        self._start_s: float | None = None

    def pose(self, pose: Pose, at_s: float) -> None:
        """Take in the pose of the frame captured at `at_s`; where there was none, nothing is to be called."""
        if not self._poses or at_s > self._poses[-1][0]:
            self._poses.append((at_s, pose.keypoints))

    def motion(self, motion: Motion) -> None:
        """Take in what changed from one frame to the next."""
        if not self._motion or motion.at_s > self._motion[-1].at_s:
            self._motion.append(motion)

    def summary(self, now_s: float) -> MovementSummary | None:
        """The oldest minute that is over and was not told; None while there is none. To be asked now and then."""
        first_s = [held[0].at_s for held in (self._motion,) if held] + [held[0][0] for held in (self._poses,) if held]
        if not first_s:
            return None
        start_s = self._begun(min(first_s))
        end_s = start_s + WINDOW_S
        if now_s < end_s:
            return None
        poses, motion = [], []
        while self._poses and self._poses[0][0] < end_s:
            poses.append(self._poses.popleft())
        while self._motion and self._motion[0].at_s < end_s:
            motion.append(self._motion.popleft())
        self._start_s = end_s
        track = track_of([at_s for at_s, _ in poses], [keypoints for _, keypoints in poses], self._visible)
        return summarize(self._bed, start_s, end_s, track, motion)

    def _begun(self, first_s: float) -> float:
        """When the minute that holds `first_s` began; minutes follow one another from the first that was ever taken."""
        if self._start_s is None:
            self._start_s = first_s
        self._start_s += max(0.0, (first_s - self._start_s) // WINDOW_S) * WINDOW_S
        return self._start_s
