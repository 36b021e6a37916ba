"""Pulse signals of skin colour: published projections of the mean RGB of a region, behind one signature.

A trace is RGB (..., N, 3), N samples on a uniform grid of `fs_hz`; leading axes (regions) go through unchanged, and a
pulse (..., N) comes out, a share of the light where the method has a scale. No method sees the camera's gain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.rppg.sampling import Array

Method = Callable[[Array, float], Array]

_WINDOW_S: Final = 1.6  # of POS and CHROM (Wang 2017, de Haan 2013)
BLOOD: Final[Array] = np.array([0.33, 0.77, 0.53])  # of blood volume in R, G, B (de Haan 2014, sec. 3)
_UNIT: Final = BLOOD / np.linalg.norm(BLOOD)
_GLOSS: Final = np.cross(np.cross(_UNIT, np.ones(3)), _UNIT)  # white light, without its part along blood
_ACROSS: Final = np.stack([_GLOSS / np.linalg.norm(_GLOSS), np.cross(_UNIT, _GLOSS) / np.linalg.norm(_GLOSS)])
_TINY: Final = 1e-12


def pos(rgb: Array, fs_hz: float) -> Array:
    """Plane orthogonal to skin (Wang 2017, doi 10.1109/TBME.2016.2609282, algorithm 1), 1.6 s windows, stride 1.

    The overlap-added windows are summed in closed form: each window's output is linear in the colour with weights from
    its means and covariance, so the sum at a sample is the colour times the summed weights of the windows around it.
    """
    colour, width = _channels(rgb), _width(rgb, fs_hz, _WINDOW_S)
    mean, cov = _moments(colour, width)
    s1 = np.array([[0.0], [1.0], [-1.0]]) / mean
    s2 = np.array([[-2.0], [1.0], [1.0]]) / mean
    alpha = _deviation(cov, s1) / np.maximum(_deviation(cov, s2), 1e-12)
    weights = _spread_back(s1 + alpha[..., None, :] * s2, width)
    return np.asarray((colour * weights).sum(axis=-2))


def chrom(rgb: Array, fs_hz: float) -> Array:
    """Chrominance (de Haan 2013, doi 10.1109/TBME.2013.2266196, eq. 13-15) with the tuning in 1.6 s windows."""
    colour, width = _channels(rgb), _width(rgb, fs_hz, _WINDOW_S)
    mean, cov = _moments(colour, width)
    x = np.array([[3.0], [-2.0], [0.0]]) / mean
    y = np.array([[1.5], [1.0], [-1.5]]) / mean
    alpha = _deviation(cov, x) / np.maximum(_deviation(cov, y), 1e-12)
    weights = _spread_back(x - alpha[..., None, :] * y, width)
    offset = _spread_back(1.0 - alpha, width)  # the projections of white are 1, not 0 as in POS
    return np.asarray((colour * weights).sum(axis=-2) - offset)


def green(rgb: Array, fs_hz: float) -> Array:
    """The green channel over its moving mean (Verkruysse 2008)."""
    return _relative(rgb, fs_hz)[..., 1, :]


def green_red(rgb: Array, fs_hz: float) -> Array:
    """Green minus red, both over their moving mean: what moves all colours alike cancels (Huelsbusch 2008)."""
    relative = _relative(rgb, fs_hz)
    return np.asarray(relative[..., 1, :] - relative[..., 0, :])


def lgi(rgb: Array, fs_hz: float) -> Array:
    """Local group invariance (Pilz 2018, doi 10.1109/CVPRW.2018.00172): green, rid of the main colour.

    That is the first eigenvector of the colours over their moving mean: what moves all colours alike lies along it.
    """
    scaled = _relative(rgb, fs_hz) + 1.0
    inner = scaled @ scaled.swapaxes(-1, -2)
    main = np.linalg.eigh(inner)[1][..., -1]
    onto = np.eye(3)[1] - main[..., 1:2] * main
    return _along(onto, scaled)


def omit(rgb: Array, fs_hz: float) -> Array:
    """Orthogonal matrix image transformation (Alvarez Casado 2023, Face2PPG): LGI by a QR decomposition.

    The first column of Q, the colour of the first sample, stands for the main colour.
    """
    scaled = _relative(rgb, fs_hz) + 1.0
    main = scaled[..., 0] / np.linalg.norm(scaled[..., 0], axis=-1, keepdims=True)
    onto = np.eye(3)[1] - main[..., 1:2] * main
    return _along(onto, scaled)


def pbv(rgb: Array, fs_hz: float) -> Array:
    """The projection in which only blood volume is left (de Haan 2014, doi 10.1088/0967-3334/35/9/1913).

    Its weights are the inverse covariance of the colours times blood's signature, scaled so that a pulse keeps the
    green it has. Where the covariance is singular, as in a grey picture, a small ridge keeps the weights finite.
    """
    relative = _relative(rgb, fs_hz)
    inner = relative @ relative.swapaxes(-1, -2)
    ridge = 1e-4 * np.trace(inner, axis1=-2, axis2=-1) + _TINY
    inner = inner + ridge[..., None, None] * np.eye(3)
    weights = np.linalg.solve(inner, np.broadcast_to(BLOOD, inner.shape[:-1])[..., None])[..., 0]
    weights = weights / (weights @ BLOOD)[..., None]
    return _along(weights, relative)


METHODS: Final[dict[str, Method]] = {
    "GREEN": green,
    "G-R": green_red,
    "CHROM": chrom,
    "POS": pos,
    "LGI": lgi,
    "OMIT": omit,
    "PBV": pbv,
}


def across_blood(rgb: Array, fs_hz: float) -> Array:
    """The colours of regions (R, N, 3) along both directions that a pulse does not move: (2 R, N), shares of the light.

    Blood moves the colour along one direction only (de Haan 2014); across it are movement, shade, gloss and noise.
    """
    relative = _relative(rgb, fs_hz)
    return np.concatenate([_along(direction, relative) for direction in _ACROSS])


def _width(rgb: Array, fs_hz: float, window_s: float) -> int:
    return int(max(2, min(rgb.shape[-2], round(window_s * fs_hz))))


def _channels(rgb: Array) -> Array:
    """(..., N, 3) as (..., 3, N): sums over time are then of neighbours in memory."""
    return np.ascontiguousarray(rgb.swapaxes(-1, -2))


def _along(direction: Array, colour: Array) -> Array:
    """Colours (..., 3, N) along directions (..., 3): (..., N)."""
    return np.asarray((direction[..., None, :] @ colour)[..., 0, :])


def _means(values: Array, first: NDArray[np.int64], stop: NDArray[np.int64]) -> Array:
    """Means of (..., N) over the samples from each `first` (M,) to before each `stop`: (..., M)."""
    total = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    np.cumsum(values, axis=-1, out=total[..., 1:])
    return np.asarray((total.take(stop, axis=-1) - total.take(first, axis=-1)) / (stop - first))


def _moments(colour: Array, width: int) -> tuple[Array, Array]:
    """Mean (..., 3, W) and covariance (..., 3, 3, W) of every window of (..., 3, N)."""
    centre = colour.mean(axis=-1, keepdims=True)
    x = colour - centre  # keeps the sums of squares small beside their differences
    first = np.arange(x.shape[-1] - width + 1)
    mean = _means(x, first, first + width)
    second = _means(x[..., :, None, :] * x[..., None, :, :], first, first + width)
    cov = second - mean[..., :, None, :] * mean[..., None, :, :]
    return np.maximum(mean + centre, 1e-6), cov


def _deviation(cov: Array, weights: Array) -> Array:
    variance = np.einsum("...iw,...ijw,...jw->...w", weights, cov, weights)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def _spread_back(per_window: Array, width: int) -> Array:
    """For each sample, the mean over the windows that hold it: (..., W) -> (..., W + width - 1)."""
    count = per_window.shape[-1]
    place = np.arange(count + width - 1)
    return _means(per_window, np.maximum(place - width + 1, 0), np.minimum(place + 1, count))


def _relative(rgb: Array, fs_hz: float) -> Array:
    """Each channel (..., 3, N) over its centred mean of 1 s, which is narrower at the ends, less 1."""
    colour, half = _channels(rgb), _width(rgb, fs_hz, 1.0) // 2
    place = np.arange(colour.shape[-1])
    mean = _means(colour, np.maximum(place - half, 0), np.minimum(place + half + 1, len(place)))
    return np.asarray(colour / np.maximum(mean, 1e-6) - 1.0)
