"""The published methods behind one and the same simple estimator: the highest peak of the spectrum, without memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from edgemon.rppg import HIGH_BPM, LOW_BPM, METHODS, Method
from export.heart_rate.peers import Estimate, windowed_peak_bpm
from export.heart_rate.traces import Array


def peak_of(method: Method, rgb: Array, fs_hz: float) -> float:
    """The rate at the highest peak within 72-240/min of what a method makes of (N, 3): no tracker and no harmonics."""
    return windowed_peak_bpm(method(rgb, fs_hz), fs_hz, (LOW_BPM / 60, HIGH_BPM / 60))


PEAKS: Mapping[str, Estimate] = {f"{name}, peak": partial(peak_of, method) for name, method in METHODS.items()}
