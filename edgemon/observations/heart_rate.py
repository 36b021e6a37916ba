"""Heart rate from the colour of the skin (rPPG), with a reason wherever there is no pulse to read."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon import rppg
from edgemon.records import HeartRate, Observation, Reason, SkinSample

WINDOW_S: Final = 20.0
WARM_UP_S: Final = 6.0
MODEL: Final = "rppg@2"
METHOD: Final = "rPPG-POS+PBV"
MIN_QUALITY: Final = 0.75

_STALE_S: Final = 1.0  # a trace that ended longer ago belongs to a face that is gone
_DARK: Final = 12.0  # of 255: below it one step of the sensor is more than a pulse
_SLOWEST_HZ: Final = 12.0  # three samples to a beat at 240/min
_FASTEST_HZ: Final = 60.0
_WHOLE: Final = 0.9  # share of a slice in which a region must have been in view
_RESTLESS: Final = 0.4  # share of a slice with such jumps above which it is not looked at
_JERKY: Final = 0.05  # above which a poor signal is laid to motion
_FAINTEST: Final = 1e-4  # of the light, RMS: recorded pulses are above 3e-4, a picture that sways below 0.8e-4
_CLEAR_SNR: Final = 1.5  # signal-to-noise power ratio from which a window speaks alone
_FLOOR: Final = 0.02
_MAX_SAY: Final = 4.0
_SAY: Final = 0.6  # weight of a second's look: windows of 10 s overlap
_NEAR_BPM: Final = 10.0
_FASTEST_BPM_S: Final = 2.5  # a heart rate that climbs into crying stays below
_HOLD_S: Final = 10.0
_RECENT: Final = 9  # slices that must not be too faint or grey: 10 s
_NONE_TOLD: Final = (0.0, -math.inf)  # rate and time: any rate may follow


class SliceLine:
    """Cuts one face's trace into slices, one a second, each once; the newest WINDOW_S of them are kept."""

    def __init__(self) -> None:
        self.slices: deque[rppg.Slice | None] = deque(maxlen=round(WINDOW_S / rppg.HOP_S) - 1)
        self.fs_hz = 0.0
        self._ends_s = 0.0
        self._shape: tuple[int, ...] = ()
        self._track_id: int | None = None
        self.why = Reason.WARMING_UP  # the newest second was left out

    def feed(self, trace: Sequence[SkinSample]) -> int:
        """Cut what is new; how many slices that makes, 0 when none is complete."""
        newest = trace[-1]
        if self._is_new(newest):
            self.slices.clear()
            self._track_id, self._shape, self.fs_hz = newest.track_id, newest.rgb.shape, 0.0
            self._ends_s = -math.inf
        kept = self._back_to(trace, self._ends_s - rppg.SLICE_S - rppg.CONTEXT_S)
        t_s = np.array([s.captured_s for s in kept])
        if self.fs_hz == 0.0:
            if t_s[-1] - t_s[0] < rppg.SLICE_S:
                return 0
            self.fs_hz = _rate_hz(t_s)
            self._ends_s = float(t_s[0]) + rppg.SLICE_S - rppg.HOP_S
        due = int((t_s[-1] - self._ends_s) / rppg.HOP_S + 1e-6)
        for _ in range(due):
            self._ends_s += rppg.HOP_S
            self.slices.append(self._cut(kept, t_s))
        return due

    def _is_new(self, newest: SkinSample) -> bool:
        other = newest.track_id != self._track_id or newest.rgb.shape != self._shape
        return other or newest.captured_s < self._ends_s

    def _back_to(self, trace: Sequence[SkinSample], from_s: float) -> list[SkinSample]:
        """The newest samples of this face from shortly before `from_s` on, oldest first."""
        kept: list[SkinSample] = []
        for sample in reversed(trace):
            if sample.track_id != self._track_id or sample.rgb.shape != self._shape:
                break
            kept.append(sample)
            if sample.captured_s < from_s:
                break
        return kept[::-1]

    def _cut(self, kept: list[SkinSample], t_s: rppg.Array) -> rppg.Slice | None:
        start = int(np.searchsorted(t_s, self._ends_s - rppg.SLICE_S - rppg.CONTEXT_S - 1e-6))
        stop = min(len(t_s), int(np.searchsorted(t_s, self._ends_s + 1e-6, side="right")) + 1)
        t_s, rgb = t_s[start:stop], np.array([s.rgb for s in kept[start:stop]], np.float64)
        whole = self._whole(t_s, rgb)
        if isinstance(whole, Reason):
            self.why = whole
            return None
        even = _even(t_s, _filled(rgb), self.fs_hz, self._ends_s)
        even[:, ~whole] = np.nan
        found = rppg.cut(even.transpose(1, 0, 2), self.fs_hz, self._ends_s)
        if found.restless > _RESTLESS or found.stepped:
            self.why = Reason.MOTION
            return None
        return found

    def _whole(self, t_s: rppg.Array, rgb: rppg.Array) -> Reason | NDArray[np.bool_]:
        """The regions (R,) that are in view through the slice, or why it cannot be cut."""
        inside = t_s >= self._ends_s - rppg.SLICE_S
        if inside.sum() < _SLOWEST_HZ * rppg.SLICE_S or np.diff(t_s[inside]).max() > rppg.MAX_GAP_S:
            return Reason.GAP
        whole = np.isfinite(rgb[inside, :, 1]).mean(axis=0) >= _WHOLE
        if not whole.any():
            return Reason.OCCLUDED
        return Reason.DARK if np.nanmean(rgb[:, whole]) < _DARK else whole


class HeartRateObserver:
    """Reads one bed's heart rate; keeps slices of the trace and a belief about the rate from second to second."""

    name = "heart_rate"

    def __init__(self, bed: str, min_quality: float = MIN_QUALITY) -> None:
        self._bed = bed
        self._min_quality = min_quality
        self._line = SliceLine()
        self._belief = rppg.PRIOR
        self._told = _NONE_TOLD
        self._leapt_s: float | None = None
        self._unheard_s = 0.0  # since the belief was last moved on
        self.signs: rppg.Signs | None = None  # of the newest estimate
        self.estimate: tuple[float, float] | None = None  # its rate in bpm and quality, even where they are not told

    def observe(self, trace: Sequence[SkinSample], now_s: float) -> Observation:
        """Heart rate over the last 6 to 20 s of `trace` (times rising; may be longer), or why there is none."""
        if not trace or now_s - trace[-1].captured_s > _STALE_S:
            self.signs = self.estimate = None
            return self._abstain(Reason.NO_FACE, now_s)
        line, had = self._line, len(self._line.slices)
        self._unheard_s += line.feed(trace) * rppg.HOP_S
        if len(line.slices) < had:
            self._belief, self._told, self._leapt_s = rppg.PRIOR, _NONE_TOLD, None
        self.signs = self.estimate = None
        if len(line.slices) < round(WARM_UP_S / rppg.HOP_S) - 1:
            return self._abstain(Reason.WARMING_UP, now_s)
        kept = [s for s in list(line.slices)[-_RECENT:] if s is not None]
        if line.slices[-1] is None:
            return self._abstain(line.why, now_s)
        faint = any(s.grey for s in kept) or min(s.amplitude for s in kept) < _FAINTEST
        windows = None if faint else rppg.look(list(line.slices), line.fs_hz)
        if windows is None:
            return self._abstain(Reason.LOW_SNR if faint else line.why, now_s)
        return self._read(windows, kept, now_s)

    def _read(self, windows: rppg.Windows, kept: list[rppg.Slice], now_s: float) -> Observation:
        said, window_s = _say(windows)
        self._belief, self._unheard_s = rppg.follow(self._belief, said, _SAY, self._unheard_s), 0.0
        clear = min(_MAX_SAY, max(0.0, windows.snr[0] - 1.0))
        bpm = rppg.peak_bpm(self._belief * np.exp(clear * (said - said.max())))  # a clear window has no belief's lag
        self.signs = rppg.Signs.of(bpm, self._belief, windows)
        quality = rppg.quality_of(self.signs)
        self.estimate = (bpm, quality)
        if quality < self._min_quality or self._leaps(bpm, now_s):
            restless = float(np.mean([s.restless for s in kept])) > _JERKY
            why = Reason.MOTION if restless else Reason.LOW_SNR
            return self._abstain(why, now_s, quality)
        value = HeartRate(bpm, window_s, METHOD)
        return Observation(self._bed, self.name, now_s, value, None, quality, MODEL)

    def _leaps(self, bpm: float, now_s: float) -> bool:
        """Whether the rate is further from the last one told than a heart gets, and has not yet held for a window."""
        last_bpm, told_s = self._told
        if abs(bpm - last_bpm) <= _NEAR_BPM + _FASTEST_BPM_S * (now_s - told_s):
            self._told, self._leapt_s = (bpm, now_s), None
        elif self._leapt_s is None:
            self._leapt_s = now_s
        elif now_s - self._leapt_s >= _HOLD_S:
            self._told, self._leapt_s = (bpm, now_s), None
        return self._leapt_s is not None

    def _abstain(self, reason: Reason, captured_s: float, quality: float = 0.0) -> Observation:
        return Observation(self._bed, self.name, captured_s, None, reason, quality, MODEL)


def _say(windows: rppg.Windows) -> tuple[rppg.Array, float]:
    """Log-likelihoods (B,) of the rates, and the length of window that they come from on average.

    The shortest window that is clear speaks; what it leaves unsaid the next longer one says.
    """
    left, said, length_s = 1.0, np.zeros(len(rppg.GRID_BPM)), 0.0
    for spectrum, snr, seconds in zip(windows.spectra, windows.snr, windows.seconds, strict=True):
        share = left if seconds == windows.seconds[-1] else left * min(1.0, snr / _CLEAR_SNR)
        still = spectrum * windows.stillness
        said += share * np.log(still / still.sum() * len(said) + _FLOOR)
        left, length_s = left - share, length_s + share * seconds
    return said, length_s


def _rate_hz(t_s: rppg.Array) -> float:
    """Frames a second, whole; a camera's own rate is kept up to 60."""
    return min(_FASTEST_HZ, max(1.0, float(round(1 / float(np.median(np.diff(t_s)))))))


def _even(t_s: rppg.Array, rgb: rppg.Array, fs_hz: float, end_s: float) -> rppg.Array:
    """(N, R, 3) at irregular times on a grid that ends at `end_s` and reaches back as far as there are samples."""
    count = int((end_s - t_s[0]) * fs_hz + 1e-6) + 1
    count = max(round(rppg.SLICE_S * fs_hz), min(count, round((rppg.SLICE_S + rppg.CONTEXT_S) * fs_hz)))
    grid = end_s - np.arange(count - 1, -1, -1) / fs_hz
    return rppg.at_times(grid, t_s, rgb.reshape(len(t_s), -1)).reshape(count, -1, 3)


def _filled(rgb: rppg.Array) -> rppg.Array:
    """Short absences of a region (N, R, 3) take its last colour."""
    seen = np.isfinite(rgb[..., 1])
    if seen.all():
        return rgb
    index = np.where(seen, np.arange(len(rgb))[:, None], 0)
    last = np.maximum.accumulate(index, axis=0)
    last = np.where(np.take_along_axis(seen, last, axis=0), last, seen.argmax(axis=0))
    return np.asarray(np.take_along_axis(rgb, last[..., None], axis=0))
