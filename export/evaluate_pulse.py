"""How well the pulse network tells the rate of windows of 2, 4 and 6 s of infants that training did not see."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from edgemon import rppg
from edgemon.manifest import Metric
from edgemon.observations.pulse_network import PulseNetwork, evenly
from export.metrics import calibration_error
from export.pulse_losses import target_odds
from export.pulse_stream import FS_HZ, Faces, Window, make_window

Array = NDArray[np.float64]

SECONDS: Final = (2, 4, 6)
WINDOWS: Final = 600
LOW_BPM, HIGH_BPM = 90.0, 220.0  # a newborn's rates; those beyond are made too, but not judged
NEAR_BPM, FAR_BPM = 5.0, 10.0
SURE: Final = 0.8
SHOWN: Final = ("asleep", "awake", "crying", "infrared")
INFRARED: Final = SHOWN[-1]
_SKIN: Final = (slice(3, 13), slice(4, 12))  # rows and columns of the patch that are skin on most faces
_PADDED: Final = 3600  # of the FFT: 0.5 bpm at FS_HZ


@dataclass(frozen=True, slots=True)
class Reads:
    """Of every window (n,): its true rate in bpm (0: no pulse), the network's and POS's, the quality, what it shows."""

    truth: Array
    found: Array
    quality: Array
    classical: Array
    shown: NDArray[np.str_]

    def judged(self, shown: str | None = None) -> NDArray[np.bool_]:
        """Which windows (n,) have a pulse at 90 to 220 bpm and show this; unless told, all in colour."""
        right = self.shown != INFRARED if shown is None else self.shown == shown
        return np.asarray(right & (self.truth >= LOW_BPM) & (self.truth <= HIGH_BPM))

    def errors(self, shown: str | None = None, *, classical: bool = False) -> Array:
        """Absolute errors in bpm of what is judged."""
        told = self.classical if classical else self.found
        return np.asarray(np.abs(told - self.truth)[self.judged(shown)])

    @property
    def near(self) -> float:
        """Share of the windows in colour within 5 bpm."""
        return float((self.errors() <= NEAR_BPM).mean())

    @property
    def false(self) -> Array:
        """Qualities told of windows without a pulse."""
        return np.asarray(self.quality[self.truth == 0])

    def figures(self) -> Iterator[tuple[str, str, float]]:
        """Name, condition and value."""
        errors, theirs = self.errors(), self.errors(classical=True)
        quality = self.quality[self.judged()]
        yield "MAE bpm", "in colour", float(errors.mean())
        for shown in SHOWN:
            if (part := self.errors(shown)).size:
                yield "MAE bpm", shown, float(part.mean())
        yield "MAE bpm", "POS and FFT", float(theirs.mean())
        yield "within 5 bpm", "in colour", self.near
        yield "within 5 bpm", "POS and FFT", float((theirs <= NEAR_BPM).mean())
        yield "ECE", "quality is the chance to be within 5 bpm", calibration_error(quality, errors <= NEAR_BPM)
        sure = quality >= SURE
        yield "coverage", "quality 0.8", float(sure.mean())
        if sure.any():
            yield "MAE bpm", "quality 0.8", float(errors[sure].mean())
            yield "beyond 10 bpm", "quality 0.8", float((errors[sure] > FAR_BPM).mean())
        if self.false.size:
            yield "quality 0.8 told", "no pulse to see", float((self.false >= SURE).mean())


@dataclass(frozen=True, slots=True)
class PulseReport:
    """Reads by the window's length in seconds."""

    data: str
    reads: Mapping[int, Reads]

    def metrics(self) -> tuple[Metric, ...]:
        """Everything as named figures."""
        return tuple(
            Metric(name=name, data=self.data, condition=f"{seconds} s; {condition}", value=round(value, 4))
            for seconds, reads in self.reads.items()
            for name, condition, value in reads.figures()
        )

    def lines(self) -> Iterator[str]:
        """The table."""
        yield f"{self.data}; rates of {LOW_BPM:.0f} to {HIGH_BPM:.0f} bpm"
        yield f"  {'':<60}" + "".join(f"{seconds:>7} s" for seconds in self.reads)
        table = {s: {(n, c): v for n, c, v in reads.figures()} for s, reads in self.reads.items()}
        for name, condition in dict.fromkeys(key for column in table.values() for key in column):
            cells = (table[s].get((name, condition), float("nan")) for s in self.reads)
            yield f"  {name + ', ' + condition:<60}" + "".join(f"{value:>9.3f}" for value in cells)


def windows(folder: Path, count: int, seed: int = 17) -> Iterator[Window]:
    """The same windows of 6 s of a folder of renders each time."""
    faces, rng = Faces(folder), np.random.default_rng([seed, 9])
    for _ in range(count):
        yield make_window(rng, faces)


def of_clips(folder: Path) -> Iterator[Window]:
    """Windows of 6 s that end at every second of the clips of `synthesize pulses`, in which the face is in view.

    Raises:
        ValueError: truth and clips do not agree; names file and line.
    """
    truth = folder / "truth.jsonl"
    for line, text in enumerate(truth.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(text)
            with np.load(folder / f"{row['name']}.npz", allow_pickle=False) as clip:
                t_s, patches, bpm = clip["t_s"], clip["patches"], clip["bpm"]
            shown = row["motion"] if row["pulse"] else "lifeless"
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(f"{truth}:{line}: no clip of `synthesize pulses`: {error}") from error
        for end_s in np.arange(7.0, t_s[-1], 1.0):
            kept = (t_s <= end_s) & (t_s > end_s - SECONDS[-1] - 0.1)
            even = evenly(t_s[kept], patches[kept])
            if len(even) == SECONDS[-1] * FS_HZ:
                grid_s = t_s[kept][-1] - np.arange(len(even) - 1, -1, -1) / FS_HZ
                rates = np.interp(grid_s, t_s, np.nan_to_num(bpm)).astype(np.float32)
                yield Window(even, np.zeros_like(rates), rates, shown)


def evaluate_pulse(network: PulseNetwork, folder: Path, count: int | None = None) -> PulseReport:
    """The last 2, 4 and 6 s of windows made of a folder of renders, or of clips of `synthesize pulses`."""
    rendered = any(folder.glob("*.npz"))
    rows: dict[int, list[tuple[float, float, float, float]]] = {seconds: [] for seconds in SECONDS}
    shown = []
    for window in islice(of_clips(folder) if rendered else windows(folder, WINDOWS), count):
        shown.append(window.shown)
        for seconds, row in rows.items():
            patches = window.patches[-round(seconds * FS_HZ) :]
            reading = network.read(np.arange(len(patches)) / FS_HZ, patches)
            assert reading is not None
            truth = float(window.bpm[-len(patches) :].mean())
            row.append((truth, reading.bpm, reading.quality, peak_bpm(patches)))
    what = "clips" if rendered else "windows made of renders"
    data = f"{what} {folder.name} ({len(shown)} windows)"
    return PulseReport(data, {s: _reads(np.array(row), np.array(shown)) for s, row in rows.items()})


def _reads(rows: Array, shown: NDArray[np.str_]) -> Reads:
    truth, found, quality, classical = rows.T
    return Reads(truth, found, quality, classical, shown)


def temperature(network: nn.Module, folder: Path) -> float:
    """The temperature of the odds (0.3..3) with the least cross entropy over windows of 2, 4 and 6 s."""
    logits, rates = [], []
    for window in windows(folder, WINDOWS // 2, seed=5):
        clip = torch.from_numpy(window.patches.transpose(0, 3, 1, 2)[None].copy())
        for seconds in SECONDS:
            frames = round(seconds * FS_HZ)
            with torch.inference_mode():
                logits.append(network(clip[:, -frames:])[1][0])
            rates.append(float(window.bpm[-frames:].mean()))
    odds, wanted = torch.stack(logits), target_odds(torch.tensor(rates))
    grid = np.geomspace(0.3, 3, 93)
    entropy = [float(F.cross_entropy(odds / t, wanted)) for t in grid]
    return float(grid[int(np.argmin(entropy))])


def peak_bpm(patches: NDArray[np.float32]) -> float:
    """The rate at the highest peak of the Fourier spectrum of POS on the mean of the middle: the classical way."""
    trace = patches[(slice(None), *_SKIN)].astype(np.float64).mean(axis=(1, 2))
    pulse = rppg.METHODS["POS"](trace, FS_HZ)
    power = np.abs(np.fft.rfft((pulse - pulse.mean()) * np.hanning(len(pulse)), _PADDED)) ** 2
    bpm = np.fft.rfftfreq(_PADDED, 1 / FS_HZ) * 60
    inside = (bpm >= rppg.LOW_BPM) & (bpm <= rppg.HIGH_BPM)
    return float(bpm[inside][np.argmax(power[inside])])
