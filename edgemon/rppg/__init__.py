"""Pulse from the mean colour of skin (rPPG), as pure mathematics: sampling, methods, slices, spectra and belief.

A trace is cut into slices of 2 s, one a second. A slice holds Fourier sums at the rates of a newborn's heart, so that a
window of any length is a weighted sum of slices: a second costs one slice, whatever the length of the windows.
"""

from edgemon.rppg.belief import PRIOR, follow
from edgemon.rppg.methods import METHODS, Method
from edgemon.rppg.quality import Signs, quality_of
from edgemon.rppg.sampling import MAX_GAP_S, Array, at_times, resample, unbroken_from
from edgemon.rppg.slices import CONTEXT_S, HOP_S, SLICE_S, Slice, Windows, cut, look
from edgemon.rppg.spectra import (
    GRID_BPM,
    HIGH_BPM,
    LOW_BPM,
    combine,
    peak_bpm,
    shares_of,
    snr,
    with_harmonics,
)

__all__ = [
    "CONTEXT_S",
    "GRID_BPM",
    "HIGH_BPM",
    "HOP_S",
    "LOW_BPM",
    "MAX_GAP_S",
    "METHODS",
    "PRIOR",
    "SLICE_S",
    "Array",
    "Method",
    "Signs",
    "Slice",
    "Windows",
    "at_times",
    "combine",
    "cut",
    "follow",
    "look",
    "peak_bpm",
    "quality_of",
    "resample",
    "shares_of",
    "snr",
    "unbroken_from",
    "with_harmonics",
]
