"""The detector's figures as a picture: precision over recall, and recall over roll."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from export.evaluate_face import ROLLS, FaceReport
from export.face_cases import CONDITIONS
from export.metrics import threshold_at

mpl.use("Agg")


def plot(report: FaceReport, path: Path) -> None:
    """Write the picture; its kind follows from the file's ending.

    Raises:
        ValueError: matplotlib cannot write such a file.
    """
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    curves, rolls = figure.subplots(1, 2)
    for p in report.precision:
        precision, recall = zip(*p.curve, strict=True)
        curves.plot(recall, precision, label=f"{p.data}: AP {100 * p.ap[0.5]:.1f}")
    curves.set(xlabel="recall", ylabel="precision", xlim=(0.5, 1.005), ylim=(0.5, 1.005), title="IoU 0.5, any roll")
    at = threshold_at(report.false)
    degrees = [CONDITIONS[name].roll_deg for name in ROLLS]
    for f in report.finds:
        rolls.plot(degrees, [100 * f.recall(name, at) for name in ROLLS], marker="o", label=f.data)
    rolls.set(xlabel="roll in degrees", ylabel="recall in %", xticks=degrees, title="at 2 % false frames")
    for axes in (curves, rolls):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="lower left")
    figure.savefig(path, dpi=110)
