"""Figures of merit of heart rates, their qualities and their abstentions, as pure functions of windows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgemon.rppg import HIGH_BPM, LOW_BPM
from export.heart_rate.traces import Array
from export.metrics import calibration_error

RIGHT_BPM, FAR_BPM, SURE = 5.0, 10.0, 0.8
BEST_SHARE = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Answers (N,) in bpm, NaN for none, against the truth (N,), NaN where unknown, and the qualities 0..1 (N,).

    `pulse` (N,) is False where there is none to be read, so that every answer is wrong.
    """

    bpm: Array
    truth: Array
    quality: Array
    pulse: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not len(self.bpm) == len(self.truth) == len(self.quality) == len(self.pulse):
            raise ValueError("answers, truths and qualities must be as many")

    def __len__(self) -> int:
        return len(self.bpm)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """(N,)"""
        return np.isfinite(self.bpm)

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Windows (N,) with a known true rate that the band can hold: outside it to abstain is right."""
        return np.isfinite(self.truth) & (self.truth >= LOW_BPM) & (self.truth <= HIGH_BPM)

    @property
    def out_of_band(self) -> NDArray[np.bool_]:
        """Windows (N,) whose true rate the band cannot hold."""
        return np.isfinite(self.truth) & ~self.judged

    @property
    def error_bpm(self) -> Array:
        """Absolute errors (N,): infinite where there is no pulse, NaN without an answer or a known truth."""
        wrong = np.where(self.pulse, np.abs(self.bpm - self.truth), np.inf)
        return np.where(self.answered, wrong, np.nan)

    def where(self, kept: NDArray[np.bool_]) -> Windows:
        """Some of them."""
        return Windows(self.bpm[kept], self.truth[kept], self.quality[kept], self.pulse[kept])

    def at_least(self, quality: float) -> Windows:
        """The same windows, silent below a quality."""
        told = np.where(self.quality >= quality, self.bpm, np.nan)
        return Windows(told, self.truth, self.quality, self.pulse)

    def best(self, share: float = BEST_SHARE) -> Windows:
        """The same windows, silent but for this share of those that are judged, by quality."""
        rank = np.argsort(np.where(self.judged & self.answered, -self.quality, np.inf), kind="stable")
        told = np.full(len(self), np.nan)
        kept = rank[: int(share * self.judged.sum())]
        told[kept] = self.bpm[kept]
        return Windows(told, self.truth, self.quality, self.pulse)


def pooled(parts: Iterable[Windows]) -> Windows:
    """All windows together."""
    found = list(parts)
    bpm, truth, quality = (np.concatenate([getattr(p, n) for p in found]) for n in ("bpm", "truth", "quality"))
    return Windows(bpm, truth, quality, np.concatenate([p.pulse for p in found]))


@dataclass(frozen=True, slots=True)
class Score:
    """Errors in bpm over the judged windows that have an answer; NaN where there are none."""

    windows: int  # judged
    coverage: float  # share of them with an answer
    mae: float
    rmse: float
    mape: float  # per cent
    pearson: float
    within_5: float


def score(windows: Windows) -> Score:
    """The figures of one method on some windows."""
    judged, both = windows.judged, windows.judged & windows.answered
    bpm, truth = windows.bpm[both], windows.truth[both]
    if not both.any():
        return Score(int(judged.sum()), 0.0 if judged.any() else np.nan, *[float("nan")] * 5)
    error = np.abs(bpm - truth)
    varied = len(bpm) > 2 and bpm.std() > 1e-9 and truth.std() > 1e-9
    return Score(
        int(judged.sum()),
        float(both.sum() / judged.sum()),
        float(error.mean()),
        float(np.sqrt((error**2).mean())),
        float(100 * (error / truth).mean()),
        float(np.corrcoef(bpm, truth)[0, 1]) if varied else float("nan"),
        float((error <= RIGHT_BPM).mean()),
    )


def risk_coverage(windows: Windows) -> tuple[Array, Array]:
    """MAE of the best windows by quality over their share of the judged ones: coverage (K,) and risk in bpm (K,)."""
    both = windows.judged & windows.answered
    order = np.argsort(-windows.quality[both], kind="stable")
    error = windows.error_bpm[both][order]
    count = np.arange(1, len(error) + 1)
    return count / max(1, int(windows.judged.sum())), np.cumsum(error) / count


def risk_area(windows: Windows) -> float:
    """Mean risk in bpm over all coverages that are reached: 0 is best."""
    _, risk = risk_coverage(windows)
    return float(risk.mean()) if len(risk) else float("nan")


def calibration(windows: Windows) -> tuple[float, list[tuple[float, int, float, float]]]:
    """Error of the quality as a chance to be right within 5 bpm, and by tenths: edge, windows, quality, share right.

    Answers where there is no pulse are wrong ones; windows of unknown truth are left out.
    """
    known = windows.answered & (np.isfinite(windows.truth) | ~windows.pulse)
    quality, right = windows.quality[known], windows.error_bpm[known] <= RIGHT_BPM
    if not known.any():
        return float("nan"), []
    tenth = np.minimum((quality * 10 + 1e-9).astype(int), 9)
    rows = [
        (k / 10, int(of.sum()), float(quality[of].mean()), float(right[of].mean()))
        for k in range(10)
        if (of := tenth == k).any()
    ]
    return calibration_error(quality, right), rows


def far_though_sure(windows: Windows) -> tuple[int, int]:
    """Answers of quality 0.8 and more, and how many of them are more than 10 bpm off or have no pulse at all."""
    sure = windows.answered & (windows.quality >= SURE) & (np.isfinite(windows.truth) | ~windows.pulse)
    return int(sure.sum()), int((windows.error_bpm[sure] > FAR_BPM).sum())
