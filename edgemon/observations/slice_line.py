"""One face's skin trace, cut into slices of its colour second by second."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon import rppg
from edgemon.records import Reason, SkinSample

WINDOW_S: Final = 20.0

_DARK: Final = 12.0  # of 255: below it one step of the sensor is more than a pulse
_SLOWEST_HZ: Final = 12.0  # three samples to a beat at 240/min
_FASTEST_HZ: Final = 60.0
_WHOLE: Final = 0.9  # share of a slice in which a region must have been in view
_EARLY: Final = 0.1  # of a hop: a look that comes a few frames early need not wait for the next
_RESTLESS: Final = 0.4  # share of a slice with jumps of brightness above which it is not looked at


class SliceLine:
    """Cuts one face's trace into slices, about one a second, each once, the last one ending with the newest sample.

    WINDOW_S of them are kept.
    """

    def __init__(self) -> None:
        self.slices: deque[rppg.Slice | None] = deque(maxlen=round(WINDOW_S / rppg.HOP_S) - 1)
        self.fs_hz = 0.0
        self._ends_s = 0.0
        self._shape: tuple[int, ...] = ()
        self._track_id: int | None = None
        self.why = Reason.WARMING_UP  # the newest second was left out

    def feed(self, trace: Sequence[SkinSample]) -> int:
        """Cut what is new; how many slices that makes, 0 when none is complete."""
        newest = trace[-1]
        if self._is_new(newest):
            self.slices.clear()
            self._track_id, self._shape, self.fs_hz = newest.track_id, newest.rgb.shape, 0.0
            self._ends_s = -math.inf
        kept = self._back_to(trace, self._ends_s - rppg.SLICE_S - rppg.CONTEXT_S)
        t_s = np.array([s.captured_s for s in kept])
        if self.fs_hz == 0.0:
            if t_s[-1] - t_s[0] < rppg.SLICE_S:
                return 0
            self.fs_hz = _rate_hz(t_s)
            self._ends_s = float(t_s[0]) + rppg.SLICE_S - rppg.HOP_S
        due = int((t_s[-1] - self._ends_s) / rppg.HOP_S + _EARLY)
        for ago in range(due - 1, -1, -1):
            self._ends_s = float(t_s[-1]) - ago * rppg.HOP_S
            self.slices.append(self._cut(kept, t_s))
        return due

    def _is_new(self, newest: SkinSample) -> bool:
        other = newest.track_id != self._track_id or newest.rgb.shape != self._shape
        return other or newest.captured_s < self._ends_s

    def _back_to(self, trace: Sequence[SkinSample], from_s: float) -> list[SkinSample]:
        """The newest samples of this face from shortly before `from_s` on, oldest first."""
        kept: list[SkinSample] = []
        for sample in reversed(trace):
            if sample.track_id != self._track_id or sample.rgb.shape != self._shape:
                break
            kept.append(sample)
            if sample.captured_s < from_s:
                break
        return kept[::-1]

    def _cut(self, kept: list[SkinSample], t_s: rppg.Array) -> rppg.Slice | None:
        start = int(np.searchsorted(t_s, self._ends_s - rppg.SLICE_S - rppg.CONTEXT_S - 1e-6))
        stop = min(len(t_s), int(np.searchsorted(t_s, self._ends_s + 1e-6, side="right")) + 1)
        t_s, shape = t_s[start:stop], (stop - start, *self._shape)
        rgb = np.concatenate([s.rgb for s in kept[start:stop]]).reshape(shape).astype(np.float64)
        whole = self._whole(t_s, rgb)
        if isinstance(whole, Reason):
            self.why = whole
            return None
        even = _even(t_s, _filled(rgb), self.fs_hz, self._ends_s)
        even[:, ~whole] = np.nan
        found = rppg.cut(even.transpose(1, 0, 2), self.fs_hz, self._ends_s)
        if found.restless > _RESTLESS or found.stepped:
            self.why = Reason.MOTION
            return None
        return found

    def _whole(self, t_s: rppg.Array, rgb: rppg.Array) -> Reason | NDArray[np.bool_]:
        """The regions (R,) that are in view through the slice, or why it cannot be cut."""
        begins_s = self._ends_s - rppg.SLICE_S
        first = int(np.searchsorted(t_s, begins_s))
        edges_s = np.concatenate([[begins_s], t_s[first:], [self._ends_s]])
        if len(t_s) - first < _SLOWEST_HZ * rppg.SLICE_S or np.diff(edges_s).max() > rppg.MAX_GAP_S:
            return Reason.GAP
        seen = np.isfinite(rgb[..., 1])
        whole = seen[first:].mean(axis=0) >= _WHOLE
        if not whole.any():
            return Reason.OCCLUDED
        return Reason.DARK if rgb[seen & whole].mean() < _DARK else whole


def _rate_hz(t_s: rppg.Array) -> float:
    """Frames a second, whole; a camera's own rate is kept up to 60."""
    return min(_FASTEST_HZ, max(1.0, float(round(1 / float(np.median(np.diff(t_s)))))))


def _even(t_s: rppg.Array, rgb: rppg.Array, fs_hz: float, end_s: float) -> rppg.Array:
    """(N, R, 3) at irregular times on a grid that ends at `end_s` and reaches back as far as there are samples."""
    count = int((end_s - t_s[0]) * fs_hz + 1e-6) + 1
    count = max(round(rppg.SLICE_S * fs_hz), min(count, round((rppg.SLICE_S + rppg.CONTEXT_S) * fs_hz)))
    grid = end_s - np.arange(count - 1, -1, -1) / fs_hz
    return rppg.at_times(grid, t_s, rgb.reshape(len(t_s), -1)).reshape(count, -1, 3)


def _filled(rgb: rppg.Array) -> rppg.Array:
    """Short absences of a region (N, R, 3) take its last colour."""
    seen = np.isfinite(rgb[..., 1])
    if seen.all():
        return rgb
    index = np.where(seen, np.arange(len(rgb))[:, None], 0)
    last = np.maximum.accumulate(index, axis=0)
    last = np.where(np.take_along_axis(seen, last, axis=0), last, seen.argmax(axis=0))
    return np.asarray(np.take_along_axis(rgb, last[..., None], axis=0))
