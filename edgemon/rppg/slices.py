"""Two seconds of skin colour as Fourier sums, and windows of 6 to 20 s as weighted sums of such slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.rppg.methods import METHODS, across_blood
from edgemon.rppg.sampling import Array
from edgemon.rppg.spectra import BELOW_BPM, GRID_BPM, combine, shares_of, snr

Sums = NDArray[np.float32]

_BPM: Final = np.concatenate([BELOW_BPM, GRID_BPM])
_BAND: Final = slice(len(BELOW_BPM), None)

SLICE_S: Final = 2.0
HOP_S: Final = 1.0  # Hann slices at half their length sum to one
CONTEXT_S: Final = 1.6  # before a slice, so that a method's windows are full in it
LENGTHS: Final = (5, 9, 19)  # slices in a window: 6, 10 and 20 s
LEAST: Final = 0.6  # share of a window's slices that must be there

COLOUR: Final = ("POS", "PBV")
GREY: Final = ("GREEN",)  # all that one channel leaves
_GREY_BELOW: Final = 3e-4  # spread of the channels' change

_RIDGE: Final = 5e-4  # of the light: what moves less than this is left alone
_FLOOR: Final = 1e-2
_ACROSS: Final = 0.1  # weight of colour across blood against the pulses
_STEP_S: Final = 0.2
_RESTLESS: Final = 0.03  # of brightness within 0.2 s: ten times a pulse
_EDGE: Final = 10  # rates on either side of the band's lower edge: a window's main lobe
_ABRUPT_S: Final = 0.1
_ALIKE: Final = 0.25  # of a step, by which regions may differ in it
_LASTING: Final = 0.015  # change of the level through a step of the exposure or the white balance


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Fourier sums of SLICE_S at BELOW_BPM and GRID_BPM, cosines then sines, phases by time 0.

    `sums` (K + J, 2 C) are of the pulses, methods times regions and their mean, and then of the colour across blood;
    regions out of view are zero. `common` (K + J, J) are the inner products of all with the latter. `amplitude` is the
    least RMS of the first method's pulse over the regions in view, a share of the light; `restless` the share of the
    slice in which brightness changes far more than a pulse can; `stepped` tells a change of exposure, `grey` a picture
    without colour.
    """

    sums: Sums
    common: Sums
    amplitude: float
    restless: float
    stepped: bool
    grey: bool


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """What the newest slices say: a spectrum (B,) for each of LENGTHS that is full enough, and who says so.

    `shares` are the signals' spectra (K, B) in the 10 s window (6 s before there are 10), `halves` those of its older
    and newer half together, `before` that of the window before it, where there is one. `stillness` (B,) is the pulses'
    share 0..1 of all power at each rate, `snr` the signal-to-noise power ratio by window, `halved` (B,) the power at
    half of each rate over that at the rate, of the first method in the longest window, and `outside` the highest power
    just below the band over the highest at its lower edge.
    """

    spectra: tuple[Array, ...]
    snr: tuple[float, ...]
    seconds: tuple[float, ...]
    shares: Array
    halves: tuple[Array, Array]
    before: Array | None
    stillness: Array
    halved: Array
    outside: float


def cut(rgb: Array, fs_hz: float, end_s: float) -> Slice:
    """The slice at the end of RGB (R, N, 3) on a grid of `fs_hz` that ends at `end_s`; NaN where a region is absent.

    N is SLICE_S and up to CONTEXT_S more.
    """
    count = round(SLICE_S * fs_hz)
    seen = np.isfinite(rgb[..., 1]).all(axis=1)
    regions = rgb[seen]
    levels = np.log(np.maximum(regions, 1.0))
    grey = _grey(levels)
    every = np.concatenate([regions, regions.mean(axis=0, keepdims=True)]) if len(regions) > 1 else regions
    found = [METHODS[name](every, fs_hz) for name in (GREY if grey else COLOUR)]
    signals = np.concatenate([*found, across_blood(regions, fs_hz)])[:, -count:]
    told = np.append(seen, len(regions) > 1)
    pulses = np.concatenate([told, told & (not grey)])
    sums = np.zeros((len(pulses) + 2 * len(rgb), 2 * len(_BPM)), np.float32)
    sums[np.concatenate([pulses, seen, seen])] = _fourier(signals, fs_hz, end_s)
    energy = _energy(sums[: len(told)][told])
    return Slice(
        sums,
        sums @ sums[len(pulses) :].T,
        math.sqrt(energy.min() / _unit_energy(fs_hz)),
        _restless(levels[:, -count:].mean(axis=(0, 2)), fs_hz),
        _stepped(levels[:, -count:], fs_hz),
        grey,
    )


def look(slices: Sequence[Slice | None], fs_hz: float) -> Windows | None:
    """The windows that end with the newest of `slices`, one a hop, oldest first, None where there was none to cut.

    What follows the colour across that of blood (movement, shade, gloss, of all regions) is taken out by least squares;
    each slice then counts by its own power, so that a jerk weighs no more than a beat. None when
    the shortest is not full enough.
    """
    slices = slices[-LENGTHS[-1] :]
    kept = [s for s in slices if s is not None]
    back = np.array([len(slices) - i for i, s in enumerate(slices) if s is not None])  # 1 for the newest
    full = tuple(n for n in LENGTHS if n <= len(slices) and (back <= n).sum() >= LEAST * n)
    if LENGTHS[0] not in full:
        return None
    sums, follows = np.array([s.sums for s in kept]), _follows(kept, fs_hz)
    pulses, moved = np.split(sums, [len(follows)], axis=1)
    clean = pulses - follows @ moved
    energy = _energy(clean)
    there = energy.sum(axis=0) > 0
    if not there.any():
        return None
    main, tapers, seconds = _spans(full)
    size = np.sqrt(energy + _FLOOR * energy.mean(axis=0) + 1e-30)
    weights = (tapers[:, back - 1] / size.T[:, None]).astype(np.float32)  # (K, S, slices)
    power = _power(weights @ clean.transpose(1, 0, 2)).transpose(1, 0, 2)
    shares = shares_of(power[:, there][..., _BAND].astype(np.float64))
    spectra = combine(shares, seconds)
    *said, _, newer, older, past = spectra
    longest = power[len(full) - 1, : len(follows) // len(COLOUR)].sum(axis=0, dtype=np.float64)
    ratios = snr(spectra, GRID_BPM[spectra.argmax(axis=-1)], seconds)
    return Windows(
        tuple(said),
        tuple(ratios[: len(full)].tolist()),
        tuple(seconds[: len(full)].tolist()),
        shares[len(full)],
        (newer, older),
        past if (back > main).sum() >= LEAST * main else None,
        _stillness(clean, moved),
        _halved(longest),
        _outside(longest),
    )


@lru_cache(maxsize=8)
def _spans(full: tuple[int, ...]) -> tuple[int, Array, Array]:
    """The main window's slices, and of all windows the weights (S, LENGTHS[-1]) by age and the seconds (S,).

    Windows are the full ones, the main one, its newer and its older half, and the one before it.
    """
    main = min(LENGTHS[1], full[-1])
    half = (main + 1) // 2
    spans = [*((0, n) for n in full), (0, main), (0, half), (main - half, half), (main, main)]
    age = np.arange(LENGTHS[-1])
    place = np.stack([(age - newest + 0.5) / count for newest, count in spans])
    tapers = np.where((place > 0) & (place < 1), np.sin(np.pi * place) ** 2, 0.0)
    return main, tapers, np.array([(count + 1) * HOP_S for _, count in spans])


def _grey(levels: Array) -> bool:
    """Whether the log colours (R, N, 3) change alike in all channels."""
    apart = levels - levels.mean(axis=2, keepdims=True)
    return bool(apart.var(axis=1).mean() < (_GREY_BELOW * 0.05) ** 2)


def _fourier(signals: Array, fs_hz: float, end_s: float) -> Sums:
    count = signals.shape[-1]
    cosines, sines = np.split(signals @ _waves(count, fs_hz), 2, axis=1)
    phase = 2 * np.pi / 60 * (end_s - count / fs_hz) * _BPM
    c, s = np.cos(phase), np.sin(phase)
    return np.concatenate([cosines * c - sines * s, sines * c + cosines * s], axis=1).astype(np.float32)


@lru_cache(maxsize=8)
def _waves(count: int, fs_hz: float) -> Array:
    """Cosines and sines (N, 2 C) at all rates under a Hann weight, each without what it would find in a constant."""
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(count) + 0.5) / count)[:, None]
    phase = 2 * np.pi / 60 * np.arange(count)[:, None] / fs_hz * _BPM
    waves = taper * np.hstack([np.cos(phase), np.sin(phase)])
    return np.asarray(waves - taper / taper.sum() * waves.sum(axis=0))


def _energy(sums: Sums) -> Array:
    return np.asarray(np.einsum("...b,...b->...", sums, sums), np.float64)


def _power(sums: Sums) -> Sums:
    squares = sums**2
    return squares[..., : len(_BPM)] + squares[..., len(_BPM) :]


def _unit_energy(fs_hz: float) -> float:
    """The energy that a signal of RMS 1 has in a slice (Parseval, with a Hann slice's mean square of 3/8)."""
    return 60 * fs_hz / 2 * SLICE_S * fs_hz * 0.375


def _follows(kept: list[Slice], fs_hz: float) -> Sums:
    """Weights (K, J) with which the pulses follow what moved; a ridge spares what is fainter than a pulse."""
    common = np.array([s.common for s in kept]).sum(axis=0, dtype=np.float64)
    count = len(common) - common.shape[1]
    ridge = _RIDGE**2 * len(kept) * _unit_energy(fs_hz)
    inner = common[count:] + ridge * np.eye(common.shape[1])
    return np.asarray(np.linalg.solve(inner, common[:count].T).T, np.float32)


def _stillness(clean: Sums, moved: Sums) -> Array:
    """At each rate (B,), the share of power 0..1 that does not lie across blood."""
    blood, across = (np.einsum("skc,skc->c", x, x).reshape(2, -1).sum(axis=0) / x.shape[1] for x in (clean, moved))
    return np.asarray(blood / (blood + _ACROSS * across + 1e-30), np.float64)[_BAND]


def _halved(power: Array) -> Array:
    """Of powers (C,), the one at half of each rate over the one at the rate (B,)."""
    half = np.interp(GRID_BPM / 2, _BPM, power)
    return np.asarray(half / (power[_BAND] + 1e-30))


def _outside(power: Array) -> float:
    return float(power[len(BELOW_BPM) - _EDGE : len(BELOW_BPM)].max() / (power[_BAND][:_EDGE].max() + 1e-30))


def _restless(luma: Array, fs_hz: float) -> float:
    apart = max(1, round(_STEP_S * fs_hz))
    return float((np.abs(luma[apart:] - luma[:-apart]) > _RESTLESS).mean())


def _stepped(levels: Array, fs_hz: float) -> bool:
    """Whether log colours (R, N, 3) change within 0.1 s, stay changed, and do so in all regions alike.

    So do exposure, gain and white balance; what moves changes each region in its own way.
    """
    apart, side = max(1, round(_ABRUPT_S * fs_hz)), round(0.4 * fs_hz)
    mean = levels.mean(axis=0)
    at = int(np.abs(mean[apart:] - mean[:-apart]).max(axis=1).argmax())
    before, after = levels[:, max(0, at - side) : at + 1], levels[:, at + apart : at + apart + side]
    steps = after.mean(axis=1) - before.mean(axis=1)
    step = steps.mean(axis=0)
    size = np.abs(step)
    if size.max() <= _LASTING or np.abs(steps - step).max() >= _ALIKE * size.max():
        return False
    around = np.maximum(before.mean(axis=0).std(axis=0), after.mean(axis=0).std(axis=0))
    return bool(((size > _LASTING) & (size > 4 * around)).any())
