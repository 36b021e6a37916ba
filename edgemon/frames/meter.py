"""What can be told of a camera from its frames alone: rate, age, brightness, and whether its picture is frozen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from edgemon.records import Frame

_WINDOW_S = 5.0
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_STEP_PX = 8  # every 8th pixel tells a moving picture from a still one, and its brightness


class Meter:
    """Measures the frames of one camera; not thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._arrived_s: deque[float] = deque(maxlen=1000)
        self._newest: Frame | None = None
        self._changed_s = 0.0
        self.frames = 0

    def add(self, frame: Frame) -> None:
        """Measure the next frame."""
        now_s = self._clock()
        if self._newest is None or not _same(self._newest, frame):
            self._changed_s = now_s
        self._newest = frame
        self._arrived_s.append(now_s)
        self.frames += 1

    @property
    def captured_s(self) -> float | None:
        """The newest frame's time."""
        return None if self._newest is None else self._newest.captured_s

    def age_s(self) -> float | None:
        """Seconds since the newest frame arrived."""
        return self._clock() - self._arrived_s[-1] if self._arrived_s else None

    def fps(self) -> float:
        """Frames per second over the last 5 s."""
        since_s = self._clock() - _WINDOW_S
        times_s = [t for t in self._arrived_s if t >= since_s]
        span_s = times_s[-1] - times_s[0] if times_s else 0.0
        return (len(times_s) - 1) / span_s if span_s > 0 else 0.0

    def frozen_s(self) -> float:
        """From the first of the frames equal bit for bit to the newest, to the arrival of the newest."""
        return self._arrived_s[-1] - self._changed_s if self._arrived_s else 0.0

    def luma(self) -> float | None:
        """Mean brightness 0..255 of the newest frame; None before it, or of depth."""
        if self._newest is None or self._newest.image.ndim != 3:
            return None
        sampled = self._newest.rgb[::_STEP_PX, ::_STEP_PX]
        return float(sampled.reshape(-1, 3).mean(axis=0) @ _LUMA)


def _same(a: Frame, b: Frame) -> bool:
    every = np.s_[::_STEP_PX, ::_STEP_PX]
    return np.array_equal(a.image[every], b.image[every]) and np.array_equal(a.image, b.image)
