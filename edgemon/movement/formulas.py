"""The numbers of a movement summary, each with its source; pure functions of tracks and series. NaN is not seen."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from edgemon.movement.body import Array, Track

FAST_HZ: Final = 9.5  # rhythm, correlation and onsets need 10 poses a second, less what a camera wavers
MOVING_TRUNKS_S: Final = 0.25  # about 3 cm/s in a newborn; twice what a pixel of noise makes of a limb at rest
SMOOTH_S: Final = 0.25  # as the derivatives of Chambers 2020
STEP_S: Final = 0.45  # slow poses are compared over at least this, lest noise look like speed
MAX_STEP_S: Final = 2.5  # two poses further apart say nothing of what was between
MAX_GAP_S: Final = 0.5  # fast tracks are bridged over gaps up to this
BAND_HZ: Final = (0.3, 5.0)
SEGMENT_S: Final = 8.0
ENTROPY_CELL: Final = 0.1  # trunk lengths
TOGETHER_S: Final = 0.3
TOGETHER_LIMBS: Final = 3
MIN_COMMON_S: Final = 10.0


def steps(track: Track) -> tuple[Array, Array, Array]:
    """Times (m,), lengths in s (m,) and velocities (m, 4, 2) in trunk lengths a second of the steps of a track.

    From FAST_HZ on the ends are put on an even grid, smoothed by median and mean (Chambers 2020, there 0.5 s; here
    0.25 s, for a kick lasts no longer) and so are the velocities; a swing at 1 Hz is told about a third too slow.
    Below it a step is the way between two poses, which is less than the limb's path: a lower bound.
    """
    if track.hz >= FAST_HZ:
        even = even_track(track)
        width = odd(SMOOTH_S * even.hz)
        smooth = rolling_mean(rolling_median(even.ends, width), width)
        step_s = np.diff(even.at_s)
        return even.at_s[1:], step_s, rolling_mean(np.diff(smooth, axis=0) / step_s[:, None, None], width)
    kept = _thinned(track.at_s)
    at_s, ends = track.at_s[kept], track.ends[kept]
    step_s = np.diff(at_s)
    velocity = np.diff(ends, axis=0) / step_s[:, None, None]
    velocity[step_s > MAX_STEP_S] = np.nan
    return at_s[1:], step_s, velocity


def even_track(track: Track) -> Track:
    """The track at even times of its own rate; gaps up to MAX_GAP_S are bridged by a straight line."""
    hz = track.hz
    at_s = track.at_s[0] + np.arange(int((track.at_s[-1] - track.at_s[0]) * hz + 1e-6) + 1) / hz
    flat = track.ends.reshape(len(track.at_s), -1)
    columns = [bridged(at_s, track.at_s, column, max(MAX_GAP_S, 1.5 / hz)) for column in flat.T]
    return Track(at_s, np.stack(columns, axis=1).reshape(len(at_s), *track.ends.shape[1:]))


def bridged(at_s: Array, known_s: Array, values: Array, max_gap_s: float) -> Array:
    """Values (n,) at other times, linear between those seen; NaN in longer gaps and outside."""
    seen = np.isfinite(values)
    if seen.sum() < 2:
        return np.full(len(at_s), np.nan)
    known_s, values = known_s[seen], values[seen]
    after = np.clip(np.searchsorted(known_s, at_s), 1, len(known_s) - 1)
    near = known_s[after] - known_s[after - 1] <= max_gap_s + 1e-9
    inside = (at_s >= known_s[0]) & (at_s <= known_s[-1])
    itself = np.minimum(np.abs(at_s - known_s[after]), np.abs(at_s - known_s[after - 1])) < 1e-6
    return np.where((near & inside) | itself, np.interp(at_s, known_s, values), np.nan)


def _thinned(at_s: Array) -> list[int]:
    kept: list[int] = []
    for i, t_s in enumerate(at_s):
        if not kept or t_s - at_s[kept[-1]] >= STEP_S:
            kept.append(i)
    return kept


def odd(samples: float) -> int:
    """The nearest odd width, so that a window has a middle."""
    return max(1, 2 * round((samples - 1) / 2) + 1)


def rolling_median(values: Array, width: int) -> Array:
    """Median over a centred window of odd width along axis 0; ends are repeated, NaN spreads over its window."""
    return np.asarray(np.median(_windows(values, width), axis=-1))


def rolling_mean(values: Array, width: int) -> Array:
    """Mean over a centred window of odd width along axis 0; ends are repeated, NaN spreads over its window."""
    return np.asarray(_windows(values, width).mean(axis=-1))


def _windows(values: Array, width: int) -> Array:
    if not len(values):
        return values[..., None]
    sides = [(width // 2, width // 2)] + [(0, 0)] * (values.ndim - 1)
    return np.asarray(sliding_window_view(np.pad(values, sides, mode="edge"), width, axis=0))


def position_entropy_bits(track: Track) -> float:
    """Shannon entropy in bits of where an end lies on a grid of a tenth of the trunk, mean of the ends; NaN if unseen.

    Chambers 2020 takes the entropy of rounded x and of rounded y, and their mean; here of the cell that both make, and
    of one pose a second, for entropy grows with the number of samples and minutes must compare.
    """
    _, first = np.unique(np.floor(track.at_s), return_index=True)
    cells = np.round(track.ends[first] / ENTROPY_CELL)
    bits = [_entropy_bits(end[np.isfinite(end).all(axis=-1)]) for end in np.moveaxis(cells, 1, 0)]
    known = [b for b in bits if np.isfinite(b)]
    return float(np.mean(known)) if known else float("nan")


def _entropy_bits(cells: Array) -> float:
    if len(cells) < 2:
        return float("nan")
    _, counts = np.unique(cells, axis=0, return_counts=True)
    share = counts / counts.sum()
    return max(0.0, float(-(share * np.log2(share)).sum()))


def rhythm(values: Array, hz: float) -> tuple[float, float]:
    """Dominant frequency in Hz and spectral entropy 0..1 of columns (n, k) at even times, within BAND_HZ.

    Welch 1967 with Hann windows of 8 s, half overlapping, each without its mean, of all columns together; segments
    with a gap are left out. Entropy is Shannon's of the shares of power over its greatest value (Inouye 1991).
    NaN, NaN where no segment is whole or none has power.
    """
    size = round(SEGMENT_S * hz)
    window = np.hanning(size + 1)[:-1]
    frequency = np.fft.rfftfreq(size, 1 / hz)
    band = (frequency >= BAND_HZ[0] - 1e-9) & (frequency <= BAND_HZ[1] + 1e-9)
    total = np.zeros(int(band.sum()))
    for start in range(0, len(values) - size + 1, max(1, size // 2)):
        for column in values[start : start + size].T:
            if np.isfinite(column).all():
                total += np.abs(np.fft.rfft((column - column.mean()) * window))[band] ** 2
    if total.sum() <= 1e-12:
        return float("nan"), float("nan")
    share = total / total.sum()
    entropy = -(share * np.log(np.maximum(share, 1e-30))).sum() / np.log(len(share))
    return float(frequency[band][share.argmax()]), float(np.clip(entropy, 0.0, 1.0))


def correlation(a: Array, b: Array, hz: float) -> float:
    """Pearson's of two series (n,) where both are known; NaN below 10 s in common, or where one never changes."""
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < MIN_COMMON_S * hz:
        return float("nan")
    x, y = a[both] - a[both].mean(), b[both] - b[both].mean()
    power = float(np.sqrt((x @ x) * (y @ y)))
    return float(np.clip(x @ y / power, -1.0, 1.0)) if power > 1e-12 else float("nan")


def onsets(at_s: Array, speed: Array) -> list[tuple[float, int]]:
    """When each limb began to move: (time, limb), in order; it had been seen at rest for TOGETHER_S before.

    `speed` is (n, 4) in trunk lengths a second at even times.
    """
    if len(at_s) < 2:
        return []
    rest = max(1, round(TOGETHER_S / float(at_s[1] - at_s[0])))
    found = []
    for limb, series in enumerate(speed.T):
        above = series > MOVING_TRUNKS_S
        below = series <= MOVING_TRUNKS_S  # NaN is neither
        found += [(float(at_s[i]), limb) for i in range(rest, len(series)) if above[i] and below[i - rest : i].all()]
    return sorted(found)


def synchrony(begun: list[tuple[float, int]]) -> float:
    """Share 0..1 of onsets that lie within TOGETHER_S of those of two other limbs; NaN without onsets.

    Simultaneous onset of the limbs is one sign of cramped-synchronised movement (Prechtl 1997; Ferrari 2002). No rule
    on keypoints has been validated for it: this share is a description, and no more.
    """
    if not begun:
        return float("nan")
    together: set[int] = set()
    for i, (start_s, _) in enumerate(begun):
        group = [j for j in range(i, len(begun)) if begun[j][0] <= start_s + TOGETHER_S + 1e-9]
        if len({begun[j][1] for j in group}) >= TOGETHER_LIMBS:
            together.update(group)
    return len(together) / len(begun)


def unbroken(at_s: Array, values: Array, hz: float) -> Array:
    """Series (n, k) at even times of rate `hz`, from (n,) times that may lack some; gaps of two steps are bridged."""
    even_s = at_s[0] + np.arange(int((at_s[-1] - at_s[0]) * hz + 1e-6) + 1) / hz
    return np.stack([bridged(even_s, at_s, column, 2.5 / hz) for column in values.T], axis=1)
