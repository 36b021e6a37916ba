"""Heart rate from the colour of the skin (rPPG), with a reason wherever there is no pulse to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edgemon import rppg
from edgemon.errors import ModelError
from edgemon.observations.pulse_network import PulseReading
from edgemon.observations.slice_line import SliceLine
from edgemon.observations.telling import Telling
from edgemon.records import HeartRate, Observation, Reason, SkinSample

WARM_UP_S: Final = 6.0
MODEL: Final = "rppg@2"
METHOD: Final = "rPPG-POS+PBV"
NETWORK: Final = "network"
MIN_QUALITY: Final = 0.7

_STALE_S: Final = 1.0  # a trace that ended longer ago belongs to a face that is gone
_JERKY: Final = 0.05  # above which a poor signal is laid to motion
_FAINTEST: Final = 1e-4  # of the light, RMS: recorded pulses are above 3e-4, a picture that sways below 0.8e-4
_UNCLEAR_SNR: Final = 1.0  # up to which the belief alone is told
_CLEAR_SNR: Final = 1.5  # signal-to-noise power ratio from which a window speaks alone
_FLOOR: Final = 0.02
_MAX_SAY: Final = 4.0
_SAY: Final = 0.6  # weight of a second's look: windows of 10 s overlap
_OCTAVE_BPM: Final = 10.0
_CLEAR_SHARE: Final = 0.35  # of the power, about twice what the highest peak of noise has
_DOUBLE_BPM: Final = 2.0
_DOUBLED: Final = 1.5
_EDGE_BPM: Final = 5.0
_CONSULT_S: Final = 6.2  # of patches that a network is shown
_RECENT: Final = 9  # slices that must not be too faint or grey: 10 s


class Labelled(Protocol):
    """What a model says of itself."""

    @property
    def label(self) -> str: ...


class PulseReader(Protocol):
    """Reads patches of the last seconds; `edgemon.observations.pulse_network.PulseNetwork` is one."""

    @property
    def manifest(self) -> Labelled: ...
    def read(self, t_s: rppg.Array, patches: NDArray[np.float32]) -> PulseReading | None: ...


class HeartRateObserver:
    """Reads one bed's heart rate; keeps slices of the trace and a belief about the rate from second to second.

    A pulse network, where there is one, speaks alone in the first seconds, which are too short for a spectrum; then
    its probabilities are heard beside the spectra, by its own quality.
    """

    name = "heart_rate"

    def __init__(self, bed: str, min_quality: float = MIN_QUALITY, network: PulseReader | None = None) -> None:
        self._bed = bed
        self._telling = Telling(min_quality)
        self._network = network
        self._model = f"{MODEL}+{network.manifest.label}" if network else MODEL
        self._line = SliceLine()
        self._belief = rppg.PRIOR
        self._unheard_s = 0.0  # since the belief was last moved on
        self.signs: rppg.Signs | None = None  # of the newest estimate
        self.estimate: tuple[float, float] | None = None  # its rate in bpm and quality, even where they are not told

    @property
    def reads_patches(self) -> bool:
        """Whether the samples of the trace should hold patches."""
        return self._network is not None

    def observe(self, trace: Sequence[SkinSample], now_s: float) -> Observation:
        """Heart rate over the last 2 to 20 s of `trace` (times rising; may be longer), or why there is none."""
        self.signs = self.estimate = None
        if not trace or now_s - trace[-1].captured_s > _STALE_S:
            return self._abstain(Reason.NO_FACE, now_s)
        line, had = self._line, len(self._line.slices)
        self._unheard_s += line.feed(trace) * rppg.HOP_S
        if len(line.slices) < had:
            self._belief = rppg.PRIOR
            self._telling.forget()
        if (why := self._why_not()) is not None:
            return self._abstain(why, now_s)
        try:
            reading = self._consult(trace)
        except ModelError:
            return self._abstain(Reason.MODEL_FAILED, now_s)
        windows = rppg.look(list(line.slices), line.fs_hz)
        if windows is None:
            return self._early(reading, now_s)
        return self._read(windows, reading, now_s)

    def _why_not(self) -> Reason | None:
        kept = [s for s in list(self._line.slices)[-_RECENT:] if s is not None]
        if not self._line.slices:
            return Reason.WARMING_UP
        if self._line.slices[-1] is None:
            return self._line.why
        faint = any(s.grey for s in kept) or min(s.amplitude for s in kept) < _FAINTEST
        return Reason.LOW_SNR if faint else None

    def _consult(self, trace: Sequence[SkinSample]) -> PulseReading | None:
        if self._network is None:
            return None
        newest = trace[-1]
        recent: list[tuple[float, NDArray[np.float32]]] = []
        for sample in reversed(trace):
            if sample.patch is None or sample.track_id != newest.track_id:
                break
            if newest.captured_s - sample.captured_s > _CONSULT_S:
                break
            recent.append((sample.captured_s, sample.patch))
        if not recent:
            return None
        times, patches = zip(*reversed(recent), strict=True)
        return self._network.read(np.array(times), np.stack(patches))

    def _early(self, reading: PulseReading | None, now_s: float) -> Observation:
        """Too few slices for a window: the network's word, where it is sure enough."""
        warming = len(self._line.slices) < round(WARM_UP_S / rppg.HOP_S) - 1
        why = Reason.WARMING_UP if warming else self._line.why
        if reading is None:
            return self._abstain(why, now_s)
        self.estimate = (reading.bpm, reading.quality)
        if not self._telling.tells(reading.bpm, reading.quality, now_s):
            return self._abstain(why, now_s, reading.quality)
        value = HeartRate(reading.bpm, reading.seconds, NETWORK)
        return Observation(self._bed, self.name, now_s, value, None, reading.quality, self._model)

    def _read(self, windows: rppg.Windows, reading: PulseReading | None, now_s: float) -> Observation:
        said, window_s = _say(windows)
        if reading is not None:
            said = said + reading.quality * np.log(reading.probabilities * len(said) + _FLOOR)
        unheard_s, self._unheard_s = self._unheard_s, 0.0
        belief = rppg.follow(self._belief, said, _SAY, unheard_s)
        clear = min(_MAX_SAY, max(0.0, windows.snr[0] - _UNCLEAR_SNR))
        bpm = rppg.peak_bpm(belief * np.exp(clear * (said - said.max())))  # a clear window has no belief's lag
        if _may_be_half(bpm, windows.shares) or _may_be_slower(bpm, windows):
            self._belief = rppg.follow(self._belief, np.zeros(len(said)), _SAY, unheard_s)
            return self._abstain(Reason.LOW_SNR, now_s)
        self._belief, self.signs = belief, rppg.Signs.of(bpm, belief, windows)
        quality = rppg.quality_of(self.signs)
        self.estimate = (bpm, quality)
        if not self._telling.tells(bpm, quality, now_s):
            recent = [s.restless for s in list(self._line.slices)[-_RECENT:] if s is not None]
            why = Reason.MOTION if float(np.mean(recent)) > _JERKY else Reason.LOW_SNR
            return self._abstain(why, now_s, quality)
        value = HeartRate(bpm, window_s, METHOD if reading is None else f"{METHOD}+{NETWORK}")
        return Observation(self._bed, self.name, now_s, value, None, quality, self._model)

    def _abstain(self, reason: Reason, captured_s: float, quality: float = 0.0) -> Observation:
        return Observation(self._bed, self.name, captured_s, None, reason, quality, self._model)


def _may_be_half(bpm: float, shares: rppg.Array) -> bool:
    """Whether any signal (K, B) has a clear peak at twice the rate: no harmonic of a pulse outdoes its fundamental."""
    peaks = rppg.GRID_BPM[shares.argmax(axis=-1)]
    near = np.abs(rppg.GRID_BPM - peaks[:, None]) <= _OCTAVE_BPM
    clear = np.where(near, shares, 0.0).sum(axis=-1) >= _CLEAR_SHARE
    return bool((clear & (np.abs(peaks - 2 * bpm) <= _OCTAVE_BPM)).any())


def _may_be_slower(bpm: float, windows: rppg.Windows) -> bool:
    """Whether it may be a heart below the band: its harmonic lies at the rate, or its peak beside the band's edge."""
    double = float(windows.halved[np.abs(rppg.GRID_BPM - bpm) <= _DOUBLE_BPM].min()) > _DOUBLED
    return double or (bpm < rppg.LOW_BPM + _EDGE_BPM and windows.outside > 1.0)


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
