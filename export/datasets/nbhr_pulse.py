"""Samples in the layout of the NBHR database's heart-rate part: one npz each, of 2 s.

`video` (60, 128, 128, 3) is the face at 30 frames/s, normalised or not; `PPG` (120,) the contact pulse at 60 Hz; `HR`
the rate in Hz, so 120 bpm is 2.0.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.rppg import HIGH_BPM

Floats = NDArray[np.float32]

SMOOTH_FRAMES: Final = 2.0  # of the wave that is to be found in the video
_SLOWEST_HZ: Final = 0.5


@dataclass(frozen=True, slots=True)
class NbhrSample:
    """Video (T, H, W, 3), each channel of mean 0 and spread 1; contact PPG (2 T,); heart rate in Hz."""

    video: Floats
    ppg: Floats
    hr_hz: float

    @property
    def wave(self) -> Floats:
        """The wave (T,) in 0..1 to be found in the video: cubic interpolation, then a Gaussian of two frames."""
        row = cv2.resize(self.ppg[None], (len(self.video), 1), interpolation=cv2.INTER_CUBIC)
        smooth = cv2.GaussianBlur(row, (0, 0), SMOOTH_FRAMES, borderType=cv2.BORDER_REPLICATE)
        return within_one(np.asarray(smooth[0], np.float32))

    @property
    def contact(self) -> Floats:
        """Every second number of the PPG in 0..1, unsmoothed: (T,)."""
        return within_one(self.ppg[::2])

    def slowed(self, factor: float) -> NbhrSample:
        """The first `factor` (0..1) of it, drawn out to the same length: a rate that the database may lack."""
        frames = len(self.video)
        at = np.arange(frames) * factor
        first = np.minimum(at.astype(int), frames - 2)
        share = (at - first).astype(np.float32)[:, None, None, None]
        video = self.video[first] * (1 - share) + self.video[first + 1] * share
        ppg = np.interp(np.arange(2 * frames) * factor, np.arange(2 * frames), self.ppg)
        return NbhrSample(video, ppg.astype(np.float32), self.hr_hz * factor)


def within_one(wave: Floats) -> Floats:
    """Shifted and scaled to 0..1; all 0 where it is flat."""
    return np.asarray((wave - wave.min()) / max(float(np.ptp(wave)), 1e-6), np.float32)


def read_sample(path: Path) -> NbhrSample:
    """One sample.

    Raises:
        ValueError: unreadable, or a part is missing, of another shape or impossible; names file and part.
    """
    parts = _parts(path)
    for name in ("video", "PPG", "HR"):
        if name not in parts:
            raise ValueError(f"{path}: {name}: missing; a sample holds video, PPG and HR")
    video, ppg, hr_hz = parts["video"], parts["PPG"], parts["HR"]
    if video.ndim != 4 or video.shape[1] != video.shape[2] or video.shape[3] != 3:
        raise ValueError(f"{path}: video: must be (frames, side, side, 3), is {video.shape}")
    if ppg.shape != (2 * len(video),):
        raise ValueError(f"{path}: PPG: must be two numbers a frame, ({2 * len(video)},), is {ppg.shape}")
    if hr_hz.size != 1 or not _SLOWEST_HZ <= float(hr_hz.reshape(-1)[0]) <= HIGH_BPM / 60:
        raise ValueError(f"{path}: HR: must be one rate in Hz, 0.5 to 4 (120 bpm is 2.0), is {hr_hz.tolist()}")
    if not (np.isfinite(video).all() and np.isfinite(ppg).all()):
        raise ValueError(f"{path}: a number in it is not finite")
    mean, spread = video.mean(axis=(0, 1, 2)), video.std(axis=(0, 1, 2))
    return NbhrSample((video - mean) / np.maximum(spread, 1e-6), ppg, float(hr_hz.reshape(-1)[0]))


def _parts(path: Path) -> dict[str, Floats]:
    try:
        with np.load(path, allow_pickle=False) as parts:
            return {name: np.asarray(parts[name], np.float32) for name in parts}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read as npz: {error}") from error


def sample_files(folder: Path) -> list[Path]:
    """All samples below a folder, in order.

    Raises:
        ValueError: there are none.
    """
    files = sorted(folder.rglob("*.npz"))
    if not files:
        raise ValueError(f"{folder}: holds no npz samples of the NBHR database")
    return files
