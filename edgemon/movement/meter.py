"""How much of the picture changes from frame to frame, and where: Adde 2009's motion image without the image."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.records import Motion

Share = tuple[float, float, float, float]  # x0, y0, x1, y1 of the picture

STEP_GREY: Final = 15  # of 255: three and a half sigmas of a mean of four pixels in a dim room (sigma 6 each)
STEP_MM: Final = 20  # structured light wavers by less at a cot's distance
WHOLE: Final = 0.6  # more than this share at once is a light, a bumped camera or a hand before it, not the infant


class MotionMeter:
    """Compares each frame of one camera, thinned to about `size` (width, height), with the one before; for one thread.

    Only `region` of the picture counts (shares x0, y0, x1, y1). What changes everywhere alike, as light and exposure
    do, is taken out as the median of all differences. Adde 2009 thresholds by eye; here steps are fixed.
    """

    def __init__(self, size: tuple[int, int] = (80, 60), region: Share = (0.0, 0.0, 1.0, 1.0)) -> None:
        self._size = size
        self._region = region
        self._before: NDArray[np.int16] | NDArray[np.int32] | None = None

    def add(self, image: NDArray[np.uint8] | NDArray[np.uint16], captured_s: float) -> Motion | None:
        """Compare the next frame: RGB uint8 (H, W, 3) or depth uint16 (H, W) in mm.

        None at the first frame, where the frames' size changes, and where nearly the whole picture changes at once.
        """
        thin = self._thin(image)
        before, self._before = self._before, thin
        if before is None or before.shape != thin.shape or before.dtype != thin.dtype:
            return None
        step = thin - before
        if image.ndim == 2:
            changed = (np.abs(step) > STEP_MM) & (thin > 0) & (before > 0)  # 0 is a hole, and holes come and go
        else:
            changed = np.abs(step - _middle(step)) > STEP_GREY
        rows, columns = np.nonzero(changed)
        quantity = len(rows) / changed.size
        if quantity > WHOLE:
            return None
        if not len(rows):
            return Motion(captured_s, 0.0, None, None)
        x0, y0, x1, y1 = self._region
        x = x0 + (x1 - x0) * (float(columns.mean()) + 0.5) / changed.shape[1]
        y = y0 + (y1 - y0) * (float(rows.mean()) + 0.5) / changed.shape[0]
        return Motion(captured_s, quantity, x, y)

    def _thin(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.int16] | NDArray[np.int32]:
        """One number for each cell of the picture: depth at its corner, or green's mean of four of its pixels."""
        high, wide = image.shape[:2]
        x0, y0, x1, y1 = self._region
        top, left = min(round(y0 * high), high - 1), min(round(x0 * wide), wide - 1)
        part = image[top : max(round(y1 * high), top + 1), left : max(round(x1 * wide), left + 1)]
        steps = (max(1, n // cells) for n, cells in zip(image.shape[:2], self._size[::-1], strict=True))
        dy, dx = (min(step, n) for step, n in zip(steps, part.shape[:2], strict=True))
        rows, columns = part.shape[0] // dy * dy, part.shape[1] // dx * dx
        part = part[:rows, :columns]
        if image.ndim == 2:
            return part[::dy, ::dx].astype(np.int32)
        green = part[..., 1]
        corners = [green[y::dy, x::dx] for y in (0, dy // 2) for x in (0, dx // 2)]
        total = corners[0].astype(np.int16)
        for corner in corners[1:]:
            total += corner
        return total >> 2


def _middle(step: NDArray[np.int16] | NDArray[np.int32]) -> int:
    flat = step.ravel()
    return int(np.partition(flat, flat.size // 2)[flat.size // 2])
