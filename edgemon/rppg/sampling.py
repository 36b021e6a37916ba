"""From irregular samples to a uniform grid."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MAX_GAP_S: Final = 0.5


def unbroken_from(t_s: Array, max_gap_s: float = MAX_GAP_S) -> int:
    """Index of the first sample after the last gap longer than `max_gap_s`."""
    gaps = np.flatnonzero(np.diff(t_s) > max_gap_s)
    return int(gaps[-1]) + 1 if gaps.size else 0


def at_times(grid_s: Array, t_s: Array, values: Array) -> Array:
    """`values` (N, C) at increasing times, linearly interpolated at `grid_s`; held beyond both ends."""
    right = np.clip(np.searchsorted(t_s, grid_s), 1, len(t_s) - 1)
    share = (grid_s - t_s[right - 1]) / (t_s[right] - t_s[right - 1])
    left = values[right - 1]
    return np.asarray(left + np.clip(share, 0.0, 1.0)[:, None] * (values[right] - left))


def resample(t_s: Array, values: Array, fs_hz: float) -> Array:
    """`values` (N, C) at irregular, increasing times, linearly interpolated to (M, C); the grid ends at t_s[-1]."""
    count = int((t_s[-1] - t_s[0]) * fs_hz + 1e-6) + 1
    return at_times(t_s[-1] - np.arange(count - 1, -1, -1) / fs_hz, t_s, values)
