"""The best peers' estimators, re-created from their published descriptions: a rate for every window, never none.

Their zero-phase Butterworth filters are applied as the square of their gain to the oddly reflected signal: the same as
filtering it forwards and backwards but for the start-up of the filter. Linear steps are cached as matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from edgemon.rppg import resample
from export.heart_rate.traces import Array, Recording

Estimate = Callable[[Array, float], float]
_WINDOW_S = 1.6


def rppg_toolbox_pos(rgb: Array, fs_hz: float) -> float:
    """POS of rPPG-Toolbox with its defaults.

    POS, detrended (lambda 100), order 1 0.75-3 Hz; then its evaluation: detrended again, order 1 and the highest bin
    of a periodogram within 0.6-3.3 Hz, zero-padded to the next power of two.
    """
    pulse = butterworth(detrended(pos(rgb, fs_hz)), fs_hz, (0.75, 3.0), 1)
    pulse = butterworth(detrended(pulse), fs_hz, (0.6, 3.3), 1)
    return _peak_bpm(pulse, fs_hz, (0.6, 3.3), 1 << (len(pulse) - 1).bit_length())


def pyvhr_pos(rgb: Array, fs_hz: float) -> float:
    """POS of pyVHR with its defaults: order 6 0.65-4 Hz, Welch of 256 samples by 56 with 2048 bins."""
    pulse = butterworth(pos(rgb, fs_hz), fs_hz, (0.65, 4.0), 6)
    length, overlap = (256, 200) if len(pulse) >= 256 else (len(pulse), int(0.8 * len(pulse)))
    parts = np.lib.stride_tricks.sliding_window_view(pulse, length)[:: length - overlap]
    parts = (parts - parts.mean(axis=1, keepdims=True)) * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length))
    shown = (np.abs(np.fft.rfft(parts, max(2048, length), axis=1)) ** 2).mean(axis=0)
    return _highest(shown, fs_hz, (0.65, 4.0))


def pos_fft(rgb: Array, fs_hz: float) -> float:
    """POS and the highest bin within 1.5-4 Hz, without tracking."""
    return windowed_peak_bpm(pos(rgb, fs_hz), fs_hz, (1.5, 4.0))


def chrom_fft(rgb: Array, fs_hz: float) -> float:
    """CHROM and the highest bin within 1.5-4 Hz, without tracking."""
    return windowed_peak_bpm(chrom(rgb, fs_hz), fs_hz, (1.5, 4.0))


PEERS: Mapping[str, Estimate] = {
    "rPPG-Toolbox POS": rppg_toolbox_pos,
    "pyVHR POS": pyvhr_pos,
    "POS 1.5-4 Hz": pos_fft,
    "CHROM 1.5-4 Hz": chrom_fft,
}


def window_rgb(recording: Recording, now_s: float, window_s: float) -> tuple[Array, float] | None:
    """The mean colour (N, 3) of the regions on an even grid that ends at `now_s`; None where none was seen.

    Frames in which nothing was seen are bridged by a line, as peers do that know no gaps.
    """
    stop = int(np.searchsorted(recording.t_s, now_s, side="right"))
    start = int(np.searchsorted(recording.t_s, now_s - window_s))
    t_s, rgb = recording.t_s[start:stop], recording.rgb[start:stop]
    seen = np.isfinite(rgb[..., 1])
    count = seen.sum(axis=1)
    if (count > 0).sum() < 2:
        return None
    mean = np.where(seen[..., None], rgb, 0.0).sum(axis=1)[count > 0] / count[count > 0, None]
    fs_hz = float(round(recording.fs_hz))
    even = resample(t_s[count > 0], mean, fs_hz)
    wanted = round(window_s * fs_hz)
    if len(even) < wanted:
        even = np.concatenate([np.repeat(even[:1], wanted - len(even), axis=0), even])
    return even[-wanted:], fs_hz


def pos(rgb: Array, fs_hz: float) -> Array:
    """Plane orthogonal to skin of (N, 3) (Wang 2017, algorithm 1): windows of 1.6 s, each frame, overlap-added."""
    s1, s2 = _projected(rgb, fs_hz, np.array([[0.0, 1.0, -1.0], [-2.0, 1.0, 1.0]]))
    return _overlap_added(s1 + _ratio(s1, s2) * s2, len(rgb))


def chrom(rgb: Array, fs_hz: float) -> Array:
    """Chrominance of (N, 3) (de Haan 2013, eq. 15) in the same windows."""
    x, y = _projected(rgb, fs_hz, np.array([[3.0, -2.0, 0.0], [1.5, 1.0, -1.5]]))
    return _overlap_added(x - _ratio(x, y) * y, len(rgb))


def _projected(rgb: Array, fs_hz: float, onto: Array) -> Array:
    """(2, windows, samples) of every window over its mean."""
    width = min(len(rgb), int(np.ceil(_WINDOW_S * fs_hz)))
    windows = np.lib.stride_tricks.sliding_window_view(rgb, width, axis=0)  # (W, 3, L)
    even = windows / np.maximum(windows.mean(axis=2, keepdims=True), 1e-6)
    return np.asarray(np.einsum("kc,wcl->kwl", onto, even))


def _ratio(first: Array, second: Array) -> Array:
    return np.asarray(first.std(axis=1, keepdims=True) / np.maximum(second.std(axis=1, keepdims=True), 1e-9))


def _overlap_added(windows: Array, count: int) -> Array:
    windows = windows - windows.mean(axis=1, keepdims=True)
    out = np.zeros(count)
    for offset in range(windows.shape[1]):
        out[offset : offset + len(windows)] += windows[:, offset]
    return out


def detrended(signal: Array) -> Array:
    """Without its slow trend by smoothness priors (Tarvainen 2002, lambda 100)."""
    return np.asarray(_detrend(len(signal)) @ signal)


@lru_cache(maxsize=8)
def _detrend(count: int) -> Array:
    second = np.diff(np.eye(count), 2, axis=0)
    return np.asarray(np.eye(count) - np.linalg.inv(np.eye(count) + 100**2 * second.T @ second))


def butterworth(signal: Array, fs_hz: float, band_hz: tuple[float, float], order: int) -> Array:
    """Band-passed forwards and backwards by a digital Butterworth filter of an order (bilinear transform)."""
    count = len(signal)
    long = np.concatenate([2 * signal[0] - signal[:0:-1], signal, 2 * signal[-1] - signal[-2::-1]])
    gain = _gain(len(long), fs_hz, band_hz, order)
    return np.asarray(np.fft.irfft(np.fft.rfft(long) * gain, len(long))[count - 1 : 2 * count - 1])


@lru_cache(maxsize=32)
def _gain(count: int, fs_hz: float, band_hz: tuple[float, float], order: int) -> Array:
    warped = np.tan(np.pi * np.minimum(np.fft.rfftfreq(count), 0.5 - 1e-9))
    low, high = (np.tan(np.pi * min(hz / fs_hz, 0.499)) for hz in band_hz)
    off = (warped**2 - low * high) / np.maximum(warped * (high - low), 1e-12)
    return np.asarray(1 / (1 + off ** (2 * order)))


def windowed_peak_bpm(pulse: Array, fs_hz: float, band_hz: tuple[float, float]) -> float:
    """The highest bin within the band of a Hann window's spectrum, zero-padded to 8192 samples."""
    return _peak_bpm((pulse - pulse.mean()) * np.hanning(len(pulse)), fs_hz, band_hz, 8192)


def _peak_bpm(pulse: Array, fs_hz: float, band_hz: tuple[float, float], bins: int) -> float:
    return _highest(np.abs(np.fft.rfft(pulse, max(bins, len(pulse)))) ** 2, fs_hz, band_hz)


def _highest(power: Array, fs_hz: float, band_hz: tuple[float, float]) -> float:
    hz = np.arange(len(power)) * fs_hz / (2 * (len(power) - 1))
    return float(60 * hz[np.argmax(np.where((hz >= band_hz[0]) & (hz <= band_hz[1]), power, -1.0))])
