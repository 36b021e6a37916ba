"""Pulse signals of skin colour: published projections of the mean RGB of a region, behind one signature.

A trace is RGB (..., N, 3), N samples on a uniform grid of `fs_hz`; leading axes (regions) go through unchanged, and a
pulse (..., N) comes out, a share of the light where the method has a scale. No method sees the camera's gain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

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
    width = _width(rgb, fs_hz, _WINDOW_S)
    mean, cov = _moments(rgb, width)
    s1 = np.array([0.0, 1.0, -1.0]) / mean
    s2 = np.array([-2.0, 1.0, 1.0]) / mean
    alpha = _deviation(cov, s1) / np.maximum(_deviation(cov, s2), 1e-12)
    weights = _spread_back(s1 + alpha[..., None] * s2, width)
    return np.asarray((rgb * weights).sum(axis=-1))


def chrom(rgb: Array, fs_hz: float) -> Array:
    """Chrominance (de Haan 2013, doi 10.1109/TBME.2013.2266196, eq. 13-15) with the tuning in 1.6 s windows."""
    width = _width(rgb, fs_hz, _WINDOW_S)
    mean, cov = _moments(rgb, width)
    x = np.array([3.0, -2.0, 0.0]) / mean
    y = np.array([1.5, 1.0, -1.5]) / mean
    alpha = _deviation(cov, x) / np.maximum(_deviation(cov, y), 1e-12)
    weights = _spread_back(x - alpha[..., None] * y, width)
    offset = _spread_back((1.0 - alpha)[..., None], width)[..., 0]  # the projections of white are 1, not 0 as in POS
    return np.asarray((rgb * weights).sum(axis=-1) - offset)


def green(rgb: Array, fs_hz: float) -> Array:
    """The green channel over its moving mean (Verkruysse 2008)."""
    return _relative(rgb, fs_hz)[..., 1]


def green_red(rgb: Array, fs_hz: float) -> Array:
    """Green minus red, both over their moving mean: what moves all colours alike cancels (Huelsbusch 2008)."""
    relative = _relative(rgb, fs_hz)
    return np.asarray(relative[..., 1] - relative[..., 0])


def lgi(rgb: Array, fs_hz: float) -> Array:
    """Local group invariance (Pilz 2018, doi 10.1109/CVPRW.2018.00172): green, rid of the main colour.

    That is the first eigenvector of the colours over their moving mean: what moves all colours alike lies along it.
    """
    scaled = _relative(rgb, fs_hz) + 1.0
    inner = np.einsum("...ni,...nj->...ij", scaled, scaled)
    main = np.linalg.eigh(inner)[1][..., -1]
    onto = np.eye(3)[1] - main[..., 1:2] * main
    return np.asarray(np.einsum("...ni,...i->...n", scaled, onto))


def omit(rgb: Array, fs_hz: float) -> Array:
    """Orthogonal matrix image transformation (Alvarez Casado 2023, Face2PPG): LGI by a QR decomposition.

    The first column of Q, the colour of the first sample, stands for the main colour.
    """
    scaled = _relative(rgb, fs_hz) + 1.0
    main = scaled[..., 0, :] / np.linalg.norm(scaled[..., 0, :], axis=-1, keepdims=True)
    onto = np.eye(3)[1] - main[..., 1:2] * main
    return np.asarray(np.einsum("...ni,...i->...n", scaled, onto))


def pbv(rgb: Array, fs_hz: float) -> Array:
    """The projection in which only blood volume is left (de Haan 2014, doi 10.1088/0967-3334/35/9/1913).

    Its weights are the inverse covariance of the colours times blood's signature, scaled so that a pulse keeps the
    green it has. Where the covariance is singular, as in a grey picture, a small ridge keeps the weights finite.
    """
    relative = _relative(rgb, fs_hz)
    inner = np.einsum("...ni,...nj->...ij", relative, relative)
    ridge = 1e-4 * np.trace(inner, axis1=-2, axis2=-1) + _TINY
    inner = inner + ridge[..., None, None] * np.eye(3)
    weights = np.linalg.solve(inner, np.broadcast_to(BLOOD, inner.shape[:-1])[..., None])[..., 0]
    weights = weights / (weights @ BLOOD)[..., None]
    return np.asarray(np.einsum("...ni,...i->...n", relative, weights))


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
    colour = np.moveaxis(_relative(rgb, fs_hz), -1, 0)
    return np.asarray(np.tensordot(_ACROSS, colour, 1).reshape(-1, rgb.shape[-2]))


def _width(rgb: Array, fs_hz: float, window_s: float) -> int:
    return int(max(2, min(rgb.shape[-2], round(window_s * fs_hz))))


def _moving_sum(values: Array, width: int) -> Array:
    """Sums over each full window along the last axis but one: (..., N, C) -> (..., N - width + 1, C)."""
    total = np.cumsum(values, axis=-2)
    total = np.concatenate([np.zeros_like(total[..., :1, :]), total], axis=-2)
    return np.asarray(total[..., width:, :] - total[..., :-width, :])


def _moments(rgb: Array, width: int) -> tuple[Array, Array]:
    """Mean (..., W, 3) and covariance (..., W, 3, 3) of every window."""
    centre = rgb.mean(axis=-2, keepdims=True)
    x = rgb - centre  # keeps the sums of squares small beside their differences
    products = (x[..., :, None] * x[..., None, :]).reshape(*x.shape[:-1], 9)
    sums = _moving_sum(np.concatenate([x, products], axis=-1), width) / width
    mean, second = sums[..., :3], sums[..., 3:].reshape(*sums.shape[:-1], 3, 3)
    cov = second - mean[..., :, None] * mean[..., None, :]
    return np.maximum(mean + centre, 1e-6), cov


def _deviation(cov: Array, weights: Array) -> Array:
    variance = np.einsum("...i,...ij,...j->...", weights, cov, weights)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def _spread_back(per_window: Array, width: int) -> Array:
    """For each sample, the mean over the windows that hold it: (..., W, C) -> (..., W + width - 1, C)."""
    pad = np.zeros((*per_window.shape[:-2], width - 1, per_window.shape[-1]))
    total = _moving_sum(np.concatenate([pad, per_window, pad], axis=-2), width)
    held = np.minimum(np.arange(1, total.shape[-2] + 1), per_window.shape[-2])
    return np.asarray(total / np.minimum(np.minimum(held, held[::-1]), width)[:, None])


def _moving_mean(values: Array, width: int) -> Array:
    """Centred mean of (..., N, C), narrower at the ends."""
    half = width // 2
    pad = np.zeros((*values.shape[:-2], half, values.shape[-1]))
    total = _moving_sum(np.concatenate([pad, values, pad], axis=-2), 2 * half + 1)
    ones = np.convolve(np.ones(values.shape[-2]), np.ones(2 * half + 1), "full")[half : half + values.shape[-2]]
    return np.asarray(total / ones[:, None])


def _relative(rgb: Array, fs_hz: float) -> Array:
    return np.asarray(rgb / np.maximum(_moving_mean(rgb, _width(rgb, fs_hz, 1.0)), 1e-6) - 1.0)
