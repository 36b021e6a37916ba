"""Heart rate from the colour of the skin (rPPG), with a reason wherever there is no pulse to read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgemon import rppg
from edgemon.records import HeartRate, Observation, Reason, SkinSample

WINDOW_S: Final = 10.0
WARM_UP_S: Final = 6.0
MODEL: Final = "rppg@1"
MIN_QUALITY: Final = 0.75  # at which under 1 % of the windows of made photographs pass

_METHODS: Final = ("POS", "CHROM", "G-R")
_STALE_S: Final = 1.0  # a trace that ended longer ago belongs to a face that is gone
_DARK: Final = 12.0  # of 255: below it one step of the sensor is more than a pulse
_SLOWEST_HZ: Final = 12.0  # three samples to a beat at 240/min
_FASTEST_HZ: Final = 60.0
_SPARE_S: Final = 0.2  # beyond the window, so that every full window has the same number of samples
_WHOLE: Final = 0.9  # share of a window in which a region must have been in view
_STEP: Final = 0.03  # of brightness within 0.2 s: ten times a pulse
_RESTLESS: Final = 0.4  # share of such samples above which nothing is tried
_JERKY: Final = 0.05  # above which a poor signal is laid to motion
_OCTAVE_BPM: Final = 10.0
_CLEAR: Final = 0.35  # share of the power, about twice what the highest peak of noise has
_NEAR_BPM: Final = 10.0
_FASTEST_BPM_S: Final = 2.5  # a heart rate that climbs into crying stays below
_NONE_TOLD: Final = (0.0, -math.inf)  # rate and time: any rate may follow
_SAME_BPM: Final = 8.0
_MOVED: Final = 0.1  # weight of colour across the pulse's own against the pulses left after it was taken out
_FAINTEST: Final = 1e-4  # of the light, RMS by POS: recorded pulses are above 3e-4, a picture that sways below 0.8e-4


@dataclass(frozen=True, slots=True)
class _Window:
    """A gapless piece of the trace on a uniform grid: RGB (R, N, 3) of the regions in view."""

    rgb: rppg.Array
    fs_hz: float

    @property
    def seconds(self) -> float:
        return float(self.rgb.shape[1] - 1) / self.fs_hz


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a rate, each 0..1."""

    belief: float  # of the forward filter, within 6 bpm
    agreement: float  # share of the signals, of all regions and methods, that peak within 8 bpm
    steadiness: float  # power within 12 bpm in both halves of the window, as their geometric mean

    @property
    def quality(self) -> float:
        """Chance 0..1 that the rate is right within 5 bpm.

        A logistic fit over made traces and photographs (docs/heart_rate.md).
        """
        score = -6.24 + 7.1 * self.belief + 7.18 * self.steadiness + 1.96 * self.agreement
        return 1.0 / (1.0 + math.exp(-score))


class HeartRateObserver:
    """Reads one bed's heart rate; keeps a belief about the rate from estimate to estimate."""

    name = "heart_rate"

    def __init__(self, bed: str, min_quality: float = MIN_QUALITY) -> None:
        self._bed = bed
        self._min_quality = min_quality
        self._belief = rppg.PRIOR
        self._track_id: int | None = None
        self._last_s: float | None = None
        self._told = _NONE_TOLD
        self._leapt_s: float | None = None
        self.evidence: Evidence | None = None  # of the newest window, where it had any
        self.estimate: tuple[float, float] | None = None  # its rate in bpm and quality, even where they are not told

    def observe(self, trace: Sequence[SkinSample], now_s: float) -> Observation:
        """Heart rate over the last 6 to 10 s of `trace` (times rising; may be longer), or why there is none."""
        self.evidence = self.estimate = None
        samples = _newest(trace, now_s)
        window = _window(samples) if samples else Reason.NO_FACE
        if isinstance(window, Reason):
            return self._abstain(window, now_s)
        if (restless := _restless(window)) > _RESTLESS:
            return self._abstain(Reason.MOTION, now_s)
        pulses = _pulses(window)
        if float(pulses[0].std(axis=-1).min()) < _FAINTEST:
            return self._abstain(Reason.LOW_SNR, now_s)
        moved = rppg.across_blood(window.rgb, window.fs_hz)
        pulses = rppg.without(pulses.reshape(-1, pulses.shape[-1]), moved)
        stillness = _stillness(pulses, moved, window.fs_hz)
        pulses = rppg.equalise(pulses, window.fs_hz)
        shares = rppg.spectrum(pulses, window.fs_hz)
        together = rppg.combine(shares, window.seconds)
        together *= stillness
        together /= together.sum()
        self._follow(together, samples[-1])
        bpm = rppg.believed_bpm(self._belief, together, window.seconds)
        if _may_be_half(bpm, shares[: len(shares) // len(_METHODS)]):
            self._belief = rppg.PRIOR
            return self._abstain(Reason.LOW_SNR, now_s)
        agreement = float((np.abs(rppg.GRID_BPM[shares.argmax(axis=-1)] - bpm) <= _SAME_BPM).mean())
        self.evidence = _evidence(self._belief, pulses, bpm, window, agreement)
        quality = self.evidence.quality
        self.estimate = (bpm, quality)
        if quality < self._min_quality or self._leaps(bpm, now_s):
            return self._abstain(Reason.MOTION if restless > _JERKY else Reason.LOW_SNR, now_s, quality)
        value = HeartRate(bpm, window.seconds, "rPPG-" + "+".join(_METHODS))
        return Observation(self._bed, self.name, now_s, value, None, quality, MODEL)

    def _follow(self, shares: rppg.Array, newest: SkinSample) -> None:
        if newest.track_id != self._track_id or self._last_s is None or newest.captured_s < self._last_s:
            self._belief, elapsed_s = rppg.PRIOR, 1.0
            self._told, self._leapt_s = _NONE_TOLD, None
        else:
            elapsed_s = newest.captured_s - self._last_s
        self._belief = rppg.follow(self._belief, shares, elapsed_s)
        self._track_id, self._last_s = newest.track_id, newest.captured_s

    def _leaps(self, bpm: float, now_s: float) -> bool:
        """Whether the rate is further from the last one told than a heart gets, and has not yet held for a window."""
        last_bpm, told_s = self._told
        if abs(bpm - last_bpm) <= _NEAR_BPM + _FASTEST_BPM_S * (now_s - told_s):
            self._told, self._leapt_s = (bpm, now_s), None
        elif self._leapt_s is None:
            self._leapt_s = now_s
        elif now_s - self._leapt_s >= WINDOW_S:
            self._told, self._leapt_s = (bpm, now_s), None
        return self._leapt_s is not None

    def _abstain(self, reason: Reason, captured_s: float, quality: float = 0.0) -> Observation:
        return Observation(self._bed, self.name, captured_s, None, reason, quality, MODEL)


def _newest(trace: Sequence[SkinSample], now_s: float) -> list[SkinSample]:
    """The last WINDOW_S of one face's samples, oldest first; empty when the face is gone."""
    kept: list[SkinSample] = []
    for sample in reversed(trace):
        newest = kept[0] if kept else sample
        if sample.track_id != newest.track_id or newest.captured_s - sample.captured_s > WINDOW_S + _SPARE_S:
            break
        kept.append(sample)
    return kept[::-1] if kept and now_s - kept[0].captured_s <= _STALE_S else []


def _window(samples: list[SkinSample]) -> _Window | Reason:
    t_s = np.array([s.captured_s for s in samples])
    first = rppg.unbroken_from(t_s)
    t_s, rgb = t_s[first:], np.array([s.rgb for s in samples[first:]], np.float64)
    if t_s[-1] - t_s[0] < WARM_UP_S:
        return Reason.GAP if first else Reason.WARMING_UP
    rate_hz = 1.0 / float(np.median(np.diff(t_s)))
    if rate_hz < _SLOWEST_HZ:
        return Reason.GAP
    whole = np.isfinite(rgb[..., 1]).mean(axis=0) >= _WHOLE
    if not whole.any():
        return Reason.OCCLUDED
    rgb = _filled(rgb[:, whole])
    if rgb.mean() < _DARK:
        return Reason.DARK
    fs_hz = min(_FASTEST_HZ, float(round(rate_hz)))
    even = rppg.resample(t_s, rgb.reshape(len(t_s), -1), fs_hz)[-round(WINDOW_S * fs_hz) :]
    return _Window(even.reshape(len(even), -1, 3).transpose(1, 0, 2), fs_hz)


def _filled(rgb: rppg.Array) -> rppg.Array:
    """Short absences of a region (N, R, 3) take its last colour."""
    seen = np.isfinite(rgb[..., 1])
    if seen.all():
        return rgb
    index = np.where(seen, np.arange(len(rgb))[:, None], 0)
    last = np.maximum.accumulate(index, axis=0)
    last = np.where(np.take_along_axis(seen, last, axis=0), last, seen.argmax(axis=0))
    return np.asarray(np.take_along_axis(rgb, last[..., None], axis=0))


def _restless(window: _Window) -> float:
    """Share of the window in which brightness changes within 0.2 s far more than a pulse can."""
    luma = np.log(np.maximum(window.rgb.mean(axis=(0, 2)), 1.0))
    apart = max(1, round(0.2 * window.fs_hz))
    return float((np.abs(luma[apart:] - luma[:-apart]) > _STEP).mean())


def _pulses(window: _Window) -> rppg.Array:
    """Pulse signals (methods, regions, N) of every method on every region and on their mean."""
    rgb = window.rgb
    if len(rgb) > 1:
        rgb = np.concatenate([rgb, rgb.mean(axis=0, keepdims=True)])
    return rppg.bandpass(np.stack([rppg.METHODS[name](rgb, window.fs_hz) for name in _METHODS]), window.fs_hz)


def _evidence(belief: rppg.Array, pulses: rppg.Array, bpm: float, window: _Window, agreement: float) -> Evidence:
    off_bpm = np.abs(rppg.GRID_BPM - bpm)
    half = pulses.shape[1] // 2
    halves = [rppg.spectrum(part, window.fs_hz) for part in (pulses[:, :half], pulses[:, -half:])]
    first, last = (float(rppg.combine(part, window.seconds / 2)[off_bpm <= 12.0].sum()) for part in halves)
    return Evidence(min(1.0, float(belief[off_bpm <= 6.0].sum())), agreement, math.sqrt(first * last))


def _stillness(pulses: rppg.Array, moved: rppg.Array, fs_hz: float) -> rppg.Array:
    """At each rate (B,), the pulses' share of all power, 0..1."""
    blood, other = (rppg.power(x, fs_hz).mean(axis=0) for x in (pulses, moved))
    return np.asarray(blood / (blood + _MOVED * other))


def _may_be_half(bpm: float, shares: rppg.Array) -> bool:
    """Whether any signal (K, B) has a clear peak at twice the rate: no harmonic of a pulse outdoes its fundamental."""
    peaks = rppg.GRID_BPM[shares.argmax(axis=-1)]
    near = np.abs(rppg.GRID_BPM - peaks[:, None]) <= _OCTAVE_BPM
    clear = np.where(near, shares, 0.0).sum(axis=-1) >= _CLEAR
    return bool((clear & (np.abs(peaks - 2 * bpm) <= _OCTAVE_BPM)).any())
