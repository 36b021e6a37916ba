"""Breaths a minute from the least motions of a body: what of its cells swings narrowly about one rate.

As wanted of a device: causal, bounded, numpy alone, and silent rather than wrong. A window of cells is freed of its
light and its slow drift; of the few ways in which the cells beside and below a face vary most, that mixture is sought
whose power is most concentrated near one rate (the largest generalized eigenvalue of band and total covariance, as in
spectral contrast maximisation: Sameni 2008, "Multichannel ECG decomposition using periodic component analysis").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.faces.patch import similarity
from edgemon.records import Reason

Array = NDArray[np.float64]

WINDOW_S: Final = 20.0
LOW, HIGH = 24.0, 90.0  # breaths a minute
GRID: Final = np.arange(LOW, HIGH + 0.5, 1.0)

_SLOWEST_HZ: Final = 4.0  # two samples and a half to the fastest breath
_MAX_GAP_S: Final = 1.0
_DRIFT_HZ: Final = 0.28  # below it nothing is a breath
_NOISE_HZ: Final = 2.2  # above it little is
_HALF_BAND_HZ: Final = 0.09  # a breath's length varies from one to the next
_WAYS: Final = 5  # of variation that may be mixed
_FEWEST: Final = 60  # cells of a body in view
_STRAYS: Final = 0.5  # eye distances that a face may move by within a window
_FLICKER: Final = 5e-4  # of the light's variation, above which no cell may follow it
_RIDGE: Final = 0.02

# Where an answer is given; set on the clips of `breaths --split val --seed 1`, of other identities than are judged.
_RIGID: Final = 0.6  # a picture in a hand has 0.85 and more, a breathing body 0.41 at most
_FOCUS: Final = 0.6  # noise has 0.45 at most
_SLOW, _MORE = 42.0, 0.03  # below this rate limbs that move at random may look like breaths: so much more a breath
_HALVES: Final = 0.3
_STRENGTH: Final = 3.0  # noise has 1.6
_EDGE: Final = 2.0  # a rhythm beside the edge may be a slower one


@dataclass(frozen=True, slots=True)
class Signs:
    """Of a window: the rate per minute, and what speaks for it.

    `focus` is the share of the mixture's power near the rate and its double, `halves` the same in the worse half of
    the window; `rigid` the share of its pattern that a shift, turn and zoom of the whole body explains; `strength` its
    power per cell, 1 where there is nothing but white noise and nothing was sought.
    """

    rate: float
    focus: float
    halves: float
    rigid: float
    strength: float


def places(landmarks: NDArray[np.float32], shape: tuple[int, int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which cells (rows, columns) may be of the body, head and all, and which are far from it; landmarks in cells."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    centre, unit = similarity(landmarks)
    at = (columns + 1j * rows - centre) / unit
    across, down = np.abs(at.real), at.imag
    body = (across <= 2.6) & (down >= -1.8) & (down <= 6.5)
    far = (across > 3.4) | (down < -2.6) | (down > 7.5)
    return body, far


def look(t_s: Array, cells: NDArray[np.float32], landmarks: NDArray[np.float32]) -> Signs | Reason:
    """What a window (N,) of cells (N, rows, columns) and landmarks (N, 5, 2) in cells shows, or why nothing."""
    even = _even(t_s, cells)
    if even is None:
        return Reason.GAP
    seen = np.isfinite(landmarks[:, 0, 0])
    if seen.mean() < 0.8 or not seen[-1]:
        return Reason.NO_FACE
    middles = landmarks[seen].mean(axis=1)
    usual = np.median(landmarks[seen], axis=0).astype(np.float32)
    unit = abs(similarity(usual)[1])
    if np.hypot(*np.ptp(middles, axis=0)) > _STRAYS * unit:
        return Reason.MOTION
    body, far = places(usual, cells.shape[1:])
    if body.sum() < _FEWEST:
        return Reason.TURNED_AWAY
    values, fs_hz = even
    mean = values.mean(axis=0)
    calm = _calm(values, far if far.sum() >= _FEWEST else ~body, fs_hz)
    return _signs(calm, mean, body, usual, fs_hz)


def tell(signs: Signs) -> float | Reason:
    """Breaths a minute, or why nothing is said."""
    if signs.rigid > _RIGID:
        return Reason.MOTION
    wanted = min(_FOCUS + _MORE * max(0.0, _SLOW - signs.rate), 0.9)
    clear = signs.focus >= wanted and signs.halves >= _HALVES and signs.strength >= _STRENGTH
    inside = LOW + _EDGE <= signs.rate <= HIGH - _EDGE
    return signs.rate if clear and inside else Reason.LOW_SNR


def _even(t_s: Array, cells: NDArray[np.float32]) -> tuple[Array, float] | None:
    """Cells at even times and their rate; None where samples lack."""
    steps = np.diff(t_s)
    fs_hz = round(1 / float(np.median(steps)), 1)
    if fs_hz < _SLOWEST_HZ or steps.max() > _MAX_GAP_S or t_s[-1] - t_s[0] < WINDOW_S - 2 / fs_hz:
        return None
    grid = t_s[-1] - np.arange(round(WINDOW_S * fs_hz) - 1, -1, -1) / fs_hz
    after = np.clip(np.searchsorted(t_s, grid), 1, len(t_s) - 1)
    share = ((grid - t_s[after - 1]) / (t_s[after] - t_s[after - 1])).clip(0, 1)[:, None, None]
    return (1 - share) * cells[after - 1] + share * cells[after], fs_hz


def _calm(values: Array, far: NDArray[np.bool_], fs_hz: float) -> Array:
    """Cells (N, rows, columns) without drift and without what the light far from the body does."""
    count = len(values)
    flat = values.reshape(count, -1)
    means = flat.mean(axis=0)
    lit = means > 4.0
    usable = far.ravel() & lit
    light = np.median(flat[:, usable] / means[usable], axis=1) - 1 if usable.any() else np.zeros(count)
    modes = int(2 * _DRIFT_HZ * count / fs_hz)
    drift = np.cos(np.pi * np.outer(np.arange(count) + 0.5, np.arange(modes + 1)) / count)
    flat = flat - np.outer(light, means)
    moves = light.std() > _FLICKER  # a calm light is moved by what the breath reflects
    basis, _ = np.linalg.qr(np.column_stack([drift, light]) if moves else drift)
    calm = flat - basis @ (basis.T @ flat)
    return np.asarray(calm.reshape(values.shape))


def _signs(calm: Array, mean: Array, body: NDArray[np.bool_], landmarks: NDArray[np.float32], fs_hz: float) -> Signs:
    x = calm[:, body]
    noise = _noise(x, fs_hz)
    x = x / noise
    power, left = np.linalg.eigh(x @ x.T)
    ways = left[:, : -_WAYS - 1 : -1] * np.sqrt(power[: -_WAYS - 1 : -1].clip(0))
    focus, mixtures = contrast(ways, fs_hz)
    best = int(focus.argmax())
    wave = ways @ mixtures[best]
    wave /= np.linalg.norm(wave)
    half = len(wave) // 2
    parts = [_focus_at(part, GRID[best], fs_hz) for part in (wave[:half], wave[half:])]
    rate = _refined(wave, float(GRID[best]), fs_hz)
    pattern = np.zeros(mean.shape)
    pattern[body] = (wave @ x) * noise
    strength = float(np.sum((wave @ x) ** 2)) / x.shape[1]
    rigid = rigid_share(pattern, mean, body)
    return Signs(rate, float(focus[best]), min(parts), rigid, strength)


def _noise(x: Array, fs_hz: float) -> Array:
    """Standard deviation (C,) of each column's noise, from its quickest variation; never far below the usual."""
    power = np.abs(np.fft.rfft(x, axis=0)) ** 2
    quick = np.fft.rfftfreq(len(x), 1 / fs_hz) >= _NOISE_HZ
    level = np.sqrt(power[quick].mean(axis=0) / len(x))
    return np.asarray(np.maximum(level, 0.5 * np.median(level)) + 1e-3)


def contrast(ways: Array, fs_hz: float) -> tuple[Array, Array]:
    """For each rate of GRID the largest share (B,) of power near it that a mixture of `ways` (N, K) has, and it (B, K).

    A mixture cannot live from a way that hardly varies: a little of the mean power is added to each.
    """
    count = len(ways)
    spectrum = np.fft.rfft(ways * np.hanning(count)[:, None], 4 * count, axis=0)
    hz = np.fft.rfftfreq(4 * count, 1 / fs_hz)
    inside = (hz >= _DRIFT_HZ) & (hz <= _NOISE_HZ)
    spectrum, hz = spectrum[inside] * hz[inside, None], hz[inside]
    total = np.real(spectrum.conj().T @ spectrum)
    total += _RIDGE * np.trace(total) / len(total) * np.eye(len(total))
    root = np.linalg.inv(np.linalg.cholesky(total))
    white = spectrum @ root.T
    shares, mixtures = [], []
    for rate in GRID / 60:
        near = np.abs(hz - rate) <= _HALF_BAND_HZ
        twice = (np.abs(hz - 2 * rate) <= _HALF_BAND_HZ) & ~near
        value, vector = np.linalg.eigh(np.real(white[near].conj().T @ white[near]))
        again = float(np.sum(np.abs(white[twice] @ vector[:, -1]) ** 2))
        shares.append(float(value[-1]) + min(again, 0.3 * float(value[-1])))
        mixtures.append(root.T @ vector[:, -1])
    return np.array(shares), np.array(mixtures)


def _focus_at(wave: Array, rate: float, fs_hz: float) -> float:
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 8 * len(wave))) ** 2
    hz = np.fft.rfftfreq(8 * len(wave), 1 / fs_hz)
    power *= hz**2 * (hz <= _NOISE_HZ)
    near = (np.abs(hz - rate / 60) <= 1.5 * _HALF_BAND_HZ) | (np.abs(hz - rate / 30) <= 1.5 * _HALF_BAND_HZ)
    return float(power[near].sum() / power.sum())


def _refined(wave: Array, rate: float, fs_hz: float) -> float:
    """The middle of the wave's power near a rate."""
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 8 * len(wave))) ** 2
    hz = np.fft.rfftfreq(8 * len(wave), 1 / fs_hz)
    near = np.abs(hz - rate / 60) <= 1.5 * _HALF_BAND_HZ
    return float(60 * (power[near] @ hz[near]) / power[near].sum())


def rigid_share(pattern: Array, mean: Array, body: NDArray[np.bool_]) -> float:
    """Share 0..1 of a pattern (rows, columns) that a shift, turn and zoom of the picture explains within the body."""
    down, across = np.asarray(np.gradient(mean, axis=0)), np.asarray(np.gradient(mean, axis=1))
    rows, columns = np.mgrid[0 : mean.shape[0], 0 : mean.shape[1]]
    y, x = rows - rows[body].mean(), columns - columns[body].mean()
    moves = np.column_stack([m[body] for m in (across, down, x * down - y * across, x * across + y * down)])
    said = pattern[body]
    fit, *_ = np.linalg.lstsq(moves, said, rcond=None)
    left = said - moves @ fit
    return float(1 - left @ left / max(float(said @ said), 1e-12))
