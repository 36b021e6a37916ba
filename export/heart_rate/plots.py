"""Heart rate as a picture: Bland-Altman, risk over coverage, and how far the quality can be believed."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from export.heart_rate.answers import OURS_ALL, OURS_TRUSTED
from export.heart_rate.evaluate import ALL, HeartRateReport
from export.heart_rate.scores import calibration, risk_coverage

mpl.use("Agg")
SPAN_S = 10.0


def plot(report: HeartRateReport, path: Path) -> None:
    """Write the picture; its kind follows from the file's ending.

    Raises:
        ValueError: matplotlib cannot write such a file.
    """
    figure = Figure(figsize=(16, 5), layout="constrained")
    differences, risks, qualities = figure.subplots(1, 3)
    _differences(differences, report)
    _risks(risks, report)
    _qualities(qualities, report)
    for axes in (differences, risks, qualities):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def _differences(axes: Axes, report: HeartRateReport) -> None:
    """Bland-Altman of the trusted values, with bias and 95 % limits of agreement of all of them."""
    every = []
    for name, answers in report.data.items():
        windows = report.windows(answers, OURS_TRUSTED, SPAN_S)
        both = windows.judged & windows.answered
        bpm, truth = windows.bpm[both], windows.truth[both]
        if name != ALL and len(bpm):
            axes.plot((bpm + truth) / 2, bpm - truth, ".", markersize=3, alpha=0.5, label=name)
            every.append(bpm - truth)
    if every:
        off = np.concatenate(every)
        for place in (off.mean(), off.mean() - 1.96 * off.std(), off.mean() + 1.96 * off.std()):
            axes.axhline(float(place), linewidth=0.8, color="black")
        axes.set_title(f"trusted: bias {off.mean():.2f}, limits of agreement ±{1.96 * off.std():.1f} bpm")
    axes.set(xlabel="mean of value and reference in bpm", ylabel="value - reference in bpm")


def _risks(axes: Axes, report: HeartRateReport) -> None:
    for name, answers in report.data.items():
        coverage, risk = risk_coverage(report.windows(answers, OURS_ALL, SPAN_S))
        if len(risk):
            axes.plot(coverage, risk, label=name)
    axes.set(xlabel="share of windows, best quality first", ylabel="MAE in bpm", title="risk over coverage, 10 s")


def _qualities(axes: Axes, report: HeartRateReport) -> None:
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    for name, answers in report.data.items():
        windows = report.windows(answers, OURS_ALL, SPAN_S)
        error, rows = calibration(windows.where(windows.quality > 0))
        if rows:
            _, _, quality, right = zip(*rows, strict=True)
            axes.plot(quality, right, marker="o", markersize=3, label=f"{name}: ECE {error:.3f}")
    axes.set(xlabel="quality", ylabel="share right within 5 bpm", title="every estimate, by tenths of quality")
