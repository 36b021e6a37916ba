"""The study of ways to show n cots on one sheet: accuracy, time, memory, and what neighbours do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.pose_grid_table import Row, Study
from benchmarks.pose_grid_ways import ALONE, BATCH, GRID, LARGE_GRID, SMALL_BATCH

mpl.use("Agg")
STYLES = {  # colours of Okabe and Ito, which the colour-blind tell apart; markers and lines for grey prints
    ALONE.name: {"color": "#000000", "marker": "o", "linestyle": "-"},
    BATCH.name: {"color": "#0072B2", "marker": "s", "linestyle": "--"},
    GRID.name: {"color": "#D55E00", "marker": "D", "linestyle": "-"},
    SMALL_BATCH.name: {"color": "#009E73", "marker": "^", "linestyle": "-."},
    LARGE_GRID.name: {"color": "#CC79A7", "marker": "v", "linestyle": ":"},
}
LEAST_TRUNKS = 0.002  # what the axis of crosstalk begins with
SHADES = ("#E69F00", "#D55E00", "#7A2E00")  # of the grid: the more tiles, the darker


def plot(study: Study, path: Path) -> None:
    """Write the sheet; its kind follows from the file's ending.

    Raises:
        ValueError: matplotlib cannot write such a file.
    """
    figure = Figure(figsize=(11, 7.6), layout="constrained")
    figure.suptitle(f"n cots and one network: {study.model}, {study.pictures} pictures of {study.data}", fontsize=11)
    (precision, time), (memory, cross) = figure.subplots(2, 2)
    _over_counts(precision, study.rows, [row.accuracy.ap for row in study.rows])
    precision.set(title="accuracy: OKS AP", ylim=(-0.02, 1.02))
    _over_counts(time, study.rows, [row.to_one_by_one for row in study.rows])
    _multiplications(time, study.rows)
    time.set(title="processor time per cot, one by one = 1", yscale="log")
    time.set_yticks((0.1, 0.2, 0.5, 1, 2), labels=("0.1", "0.2", "0.5", "1", "2"))
    time.minorticks_off()
    _over_counts(memory, study.rows, [row.memory_mib for row in study.rows])
    memory.set(title="memory: growth of a process's peak, MiB")
    memory.set_ylim(bottom=0)
    _crosstalk(cross, study)
    precision.legend(fontsize=8, loc="lower left")
    for axes in (precision, time, memory, cross):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def _over_counts(axes: Axes, rows: Sequence[Row], values: Sequence[float]) -> None:
    """One line a way over the number of cots; one cot alone is where all begin."""
    counts = sorted({row.count for row in rows})
    for name, style in STYLES.items():
        points = [(r.count, v) for r, v in zip(rows, values, strict=True) if r.way == name or r.count == 1]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, markersize=6, **style)
    axes.set(xscale="log", xlabel="cots")
    axes.set_xticks(counts, labels=[str(n) for n in counts])
    axes.minorticks_off()


def _multiplications(axes: Axes, rows: Sequence[Row]) -> None:
    alone = {row.count: row.multiplications_millions for row in rows if row.way == ALONE.name}
    shares = [(row.count, row.multiplications_millions / alone[row.count]) for row in rows]
    axes.scatter(*zip(*shares, strict=True), s=170, facecolors="none", edgecolors="grey", label="multiplications")
    axes.legend(handles=[axes.collections[-1]], fontsize=8, loc="lower left", labelspacing=1)


def _crosstalk(axes: Axes, study: Study) -> None:
    """The share of joints that move farther than so much."""
    of_grid = [cross for cross in study.crosses if cross.way == GRID.name]
    counts = sorted({cross.count for cross in of_grid})
    shares = 1 - np.linspace(0, 1, 101)
    for cross in of_grid:
        empty = cross.neighbours == "empty cots"
        axes.plot(
            np.maximum(cross.curve, LEAST_TRUNKS),
            100 * shares,
            color=SHADES[counts.index(cross.count) % len(SHADES)],
            linestyle=":" if empty else "-",
            linewidth=1.8,
            label=f"{cross.count} cots, neighbours become {cross.neighbours}",
        )
    axes.set(
        title="crosstalk in the grid when neighbours change",
        xlabel="a joint moves farther than, in trunk lengths",
        ylabel="% of joints",
        xscale="log",
        xlim=(LEAST_TRUNKS, 3),
        ylim=(0, 100),
    )
    axes.set_xticks((0.01, 0.1, 1), labels=("0.01", "0.1", "1"))
    if of_grid:
        axes.legend(fontsize=7, loc="upper right")
