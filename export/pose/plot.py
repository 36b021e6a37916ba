"""Recall over OKS, errors by joint, visibility's reliability and the confusions, on one sheet."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgemon.records import KEYPOINTS
from export.metrics import calibration_error
from export.pose.oks import THRESHOLDS
from export.pose.report import PoseReport, Trust
from export.pose.told import UNKNOWN, Confusion, Visibility

mpl.use("Agg")
BINS = 10


def plot(report: PoseReport, path: Path) -> None:
    """Write the sheet; without a model only the recalls.

    Raises:
        ValueError: matplotlib cannot write such a file.
    """
    trust = report.trust
    figure = Figure(figsize=(12, 7.4) if trust else (5.2, 4), layout="constrained")
    figure.suptitle(f"{report.data}, {report.kind}", fontsize=10)
    panels = figure.subplots(2, 3 if trust else 1, squeeze=False) if trust else figure.subplots(1, 1, squeeze=False)
    for name, recall in report.recalls.items():
        panels[0, 0].plot(THRESHOLDS, recall, marker="o", markersize=3, label=name)
    panels[0, 0].set(title="infants found", xlabel="OKS at least", ylabel="share", ylim=(-0.02, 1.02))
    panels[0, 0].legend(fontsize=6)
    panels[0, 0].grid(alpha=0.3)
    if trust is not None:
        _joints(panels[0, 1], trust)
        _visibility(panels[0, 2], trust)
        _groups(panels[1, 0], report)
        for axes, confusion in zip(panels[1, 1:], trust.confusions, strict=True):
            _confusion(axes, confusion)
    figure.savefig(path, dpi=110)


def _joints(axes: Axes, trust: Trust) -> None:
    errors = [column[np.isfinite(column)] for column in trust.joined.errors().T]
    axes.boxplot(
        errors, orientation="horizontal", showfliers=False, tick_labels=[k.replace("_", " ") for k in KEYPOINTS]
    )
    axes.set(title="error of visible joints", xlabel="trunk lengths")
    axes.invert_yaxis()
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)


def _visibility(axes: Axes, trust: Trust) -> None:
    told = trust.visibility
    axes.plot((0, 1), (0, 1), color="grey", linewidth=1)
    axes.plot(*_reliability(told), marker="o", markersize=4)
    axes.axvline(told.threshold, color="grey", linestyle=":")
    ece = calibration_error(told.scores, told.visible)
    axes.set(title=f"visibility, ECE {ece:.3f}", xlabel="joint's score", ylabel="share that is visible", xlim=(0, 1))
    axes.grid(alpha=0.3)


def _reliability(told: Visibility) -> tuple[list[float], list[float]]:
    """Mean score and share of visible joints in up to ten bins that hold equally many joints."""
    bins = [part for part in np.array_split(np.argsort(told.scores, kind="stable"), BINS) if part.size]
    return [float(told.scores[b].mean()) for b in bins], [float(told.visible[b].mean()) for b in bins]


def _groups(axes: Axes, report: PoseReport) -> None:
    rows = [row for row in report.rows if row.method == report.rows[0].method]
    axes.barh([f"{row.group} ({row.figures.infants})" for row in rows], [row.figures.precision.ap for row in rows])
    axes.set(title="OKS AP", xlim=(0, 1))
    axes.invert_yaxis()
    axes.tick_params(labelsize=7)


def _confusion(axes: Axes, confusion: Confusion) -> None:
    counts = np.array(confusion.counts, float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        shown = f"{share:.0%}\n{int(counts[row, column])}"
        axes.text(column, row, shown, ha="center", va="center", fontsize=7, color="white" if share > 0.6 else "black")
    names = [*confusion.names, UNKNOWN]
    axes.set_xticks(range(len(names)), names, fontsize=7)
    axes.set_yticks(range(len(confusion.names)), confusion.names, fontsize=7)
    axes.set(title=confusion.what, xlabel="told", ylabel="true")
