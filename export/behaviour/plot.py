"""Reliability: how often it is so when the model says with such a probability that it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from export.behaviour.reads import Column, Reads
from export.expression_data import JUDGED
from export.metrics import calibration_error

mpl.use("Agg")
BINS = 10


def plot(reads: Mapping[str, Reads], path: Path) -> None:
    """Write a panel for each judged target: observed over told probability for each set of reads, and where scores lie.

    Raises:
        ValueError: no target holds both classes, or matplotlib cannot write such a file.
    """
    columns = {t: {name: r.of(t) for name, r in reads.items() if r.of(t).judged} for t in JUDGED}
    shown = {target: told for target, told in columns.items() if told}
    if not shown:
        raise ValueError(f"{path}: nothing to draw; no target has faces of both classes")
    figure = Figure(figsize=(3.4 * len(shown), 4.4), layout="constrained")
    grid = figure.subplots(2, len(shown), height_ratios=(3, 1), squeeze=False)
    for (target, told), (curve, counts) in zip(shown.items(), grid.T, strict=True):
        curve.plot((0, 1), (0, 1), color="grey", linewidth=1)
        for name, column in told.items():
            said, seen = reliability(column)
            ece = calibration_error(column.scores, column.truth)
            curve.plot(said, seen, marker="o", markersize=4, label=f"{name}: ECE {ece:.3f}")
            counts.hist(column.scores, bins=20, range=(0, 1), histtype="step")
        curve.set(title=target.replace("_", " "), xlim=(0, 1), ylim=(0, 1), ylabel="share that is so")
        curve.legend(fontsize=6, loc="upper left")
        curve.grid(alpha=0.3)
        counts.set(xlim=(0, 1), xlabel="probability told", ylabel="faces")
    figure.savefig(path, dpi=110)


def reliability(column: Column) -> tuple[list[float], list[float]]:
    """Mean score and share of positives in up to ten bins that hold equally many faces."""
    order = np.argsort(column.scores, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if part.size]
    return [float(column.scores[b].mean()) for b in bins], [float(column.truth[b].mean()) for b in bins]
