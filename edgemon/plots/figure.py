"""The whole picture: skeletons, activity of the limbs, hypnogram and heart rate over one axis of time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from edgemon import __version__
from edgemon.movement import formulas, track_of
from edgemon.plots import skeleton, style
from edgemon.plots.recording import Recording, Span, joined

Array = NDArray[np.float64]

WIDE_IN, LEFT, RIGHT = 11.0, 0.085, 0.94
SKELETONS: Final = 9
BINS: Final = 700  # a longer recording is shown as the means of so many parts
TALLEST_TRUNKS_S: Final = 2.0  # a faster limb is cut off, so that a jolt does not flatten the rest
APART_S: Final = 3.0  # rates further apart are not joined by a line
LEAST_MOTION: Final = 0.002  # of the picture: below it noise would fill the row
LEVELS: Final = ("asleep", "awake", "crying")
FOOT: Final = "Information about movement, made by edgemon {}. No diagnosis, and no general-movement assessment."


def write(recording: Recording, path: Path) -> None:
    """Write the picture; PNG or SVG follows from the file's ending.

    Raises:
        OSError: the file cannot be written.
    """
    if recording.seconds <= 0:
        recording = replace(recording, seconds=1.0)  # a video of one frame has a picture too
    with mpl.rc_context(style.RC):
        figure = _figure(recording)
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}  # the same recording, the same bytes
        figure.savefig(path, dpi=160, facecolor=style.PAPER, metadata=metadata)


def _figure(recording: Recording) -> Figure:
    posed = len(recording.poses) > 1
    strip_in = (RIGHT - LEFT) * WIDE_IN / SKELETONS * (skeleton.TALL + skeleton.CAPTION)
    heights_in = ([strip_in] if posed else []) + [1.9 if posed else 0.7, 1.25, 1.35]
    gap_in, head_in, foot_in = 0.34, 0.78 if posed else 0.98, 0.62
    high_in = head_in + sum(heights_in) + gap_in * (len(heights_in) - 1) + foot_in
    figure = Figure(figsize=(WIDE_IN, high_in))
    panels, top_in = [], high_in - head_in
    for height_in in heights_in:
        panels.append(figure.add_axes((LEFT, (top_in - height_in) / high_in, RIGHT - LEFT, height_in / high_in)))
        top_in -= height_in + gap_in
    if posed:
        skeleton.draw(panels.pop(0), recording, SKELETONS)
    activity, states, heart = panels
    _activity(activity, recording, posed)
    _states(states, recording)
    _heart(heart, recording)
    for axes in panels:
        _time_axis(axes, recording.seconds, last=axes is heart)
    _words(figure, recording, high_in)
    return figure


def _words(figure: Figure, recording: Recording, high_in: float) -> None:
    figure.text(0.018, 1 - 0.30 / high_in, recording.title, fontsize=13, fontweight="bold", va="center")
    known = [f"{_clock(recording.seconds)} min", f"{len(recording.poses)} poses"]
    figure.text(0.018, 1 - 0.55 / high_in, "   ".join(known), fontsize=8.5, color=style.QUIET, va="center")
    figure.text(0.018, 0.16 / high_in, FOOT.format(__version__), fontsize=7, color=style.QUIET, va="center")


def _activity(axes: Axes, recording: Recording, posed: bool) -> None:
    """One ridge for each limb, and one for how much of the picture changed."""
    seconds = recording.seconds
    rows: list[tuple[str, str, Array, Array, str]] = []
    if posed:
        track = track_of(
            [t_s for t_s, _ in recording.poses], [pose.keypoints for _, pose in recording.poses], recording.visible
        )
        at_s, step_s, velocity = formulas.steps(track)
        speed = np.linalg.norm(velocity, axis=-1)
        for (name, colour), series in zip(style.LIMBS.items(), speed.T, strict=True):
            rows.append((name, colour, at_s, series / TALLEST_TRUNKS_S, _active(series, step_s)))
    if recording.motion:
        at_s = np.array([m.at_s for m in recording.motion])
        at_s, quantity = _binned(at_s, np.array([m.quantity for m in recording.motion]), seconds)
        most = max(LEAST_MOTION, float(np.nanquantile(quantity, 0.995)))
        rows.append(("picture", style.MOTION, at_s, quantity / most, ""))
    for i, (name, colour, at_s, height, active) in enumerate(rows):
        floor = len(rows) - 1 - i
        x, y = _binned(at_s, np.minimum(height, 1.0), seconds)
        if name != "picture":
            x, y = _to_the_edges(x, y, seconds)
        axes.fill_between(x, floor, floor + 0.92 * y, color=colour, alpha=0.35, linewidth=0)
        axes.plot(x, floor + 0.92 * y, color=colour, linewidth=1.1, solid_joinstyle="round")
        axes.plot((0, seconds), (floor, floor), color=style.FAINT, linewidth=0.8, zorder=0)
        _label(axes, floor + 0.28, name, colour)
        _told(axes, floor + 0.28, active)
        if name != "picture":
            _unseen(axes, x, y, floor)
    axes.set(ylim=(-0.06, max(1, len(rows))), yticks=[])
    heading = "LIMB ACTIVITY" if posed else "MOTION OF THE PICTURE"
    scale = f"speed of wrists and ankles against the trunk; full height {TALLEST_TRUNKS_S:g} trunk lengths a second"
    _heading(
        axes,
        heading,
        scale if posed else "share of pixels that changed; there was no pose to draw",
        "active" if posed else "",
    )


def _active(speed: Array, step_s: Array) -> str:
    """Share of the time seen in which a limb was faster than the threshold."""
    seen_s = step_s[np.isfinite(speed)].sum()
    return f"{step_s[np.nan_to_num(speed) > formulas.MOVING_TRUNKS_S].sum() / seen_s:.0%}" if seen_s > 0 else "–"


def _unseen(axes: Axes, x: Array, y: Array, floor: float) -> None:
    """Hatch where a limb was not seen: around each NaN, from what is known before it to what is known after."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~np.isfinite(y), [False]]).astype(int)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        left = float(x[max(int(start) - 1, 0)])
        wide = float(x[min(int(end), len(x) - 1)]) - left
        if wide > 0:
            axes.broken_barh([(left, wide)], (floor, 0.5), facecolor="none", edgecolor=style.FAINT,
                             hatch="////", linewidth=0)  # fmt: skip


def _to_the_edges(x: Array, y: Array, seconds: float) -> tuple[Array, Array]:
    """The same with NaN at 0 and at the end where nothing is known near them."""
    far = formulas.MAX_STEP_S
    before, after = [0.0] if not len(x) or x[0] > far else [], [seconds] if len(x) and seconds - x[-1] > far else []
    unknown = np.full(len(before), np.nan), np.full(len(after), np.nan)
    return np.concatenate([before, x, after]), np.concatenate([unknown[0], y, unknown[1]])


def _binned(at_s: Array, values: Array, seconds: float) -> tuple[Array, Array]:
    """Middle times and means of at most BINS parts; NaN where nothing is known."""
    if len(at_s) <= BINS:
        return at_s, values
    which = np.minimum((at_s / seconds * BINS).astype(int), BINS - 1)
    known = np.isfinite(values)
    count = np.bincount(which[known], minlength=BINS)
    total = np.bincount(which[known], values[known], minlength=BINS)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return (np.arange(BINS) + 0.5) * seconds / BINS, mean


def _states(axes: Axes, recording: Recording) -> None:
    """The hypnogram's steps between asleep, awake and crying, and below them when the eyes were closed."""
    steps = _levels(recording.lanes["sleep"], recording.lanes["cry"])
    for i, level in enumerate(LEVELS):
        axes.plot((0, recording.seconds), (i, i), color=style.FAINT, linewidth=0.8, zorder=0)
        _label(axes, i, level, style.STATES[level])
        _told(axes, i, _clock(sum(span.end_s - span.start_s for span in steps if span.value == level)))
    for before, after in pairwise(steps):
        if after.start_s - before.end_s < 1e-6:
            levels = (LEVELS.index(before.value), LEVELS.index(after.value))
            axes.plot((after.start_s,) * 2, levels, color=style.QUIET, linewidth=1.0, zorder=1)
    for span in steps:
        y = LEVELS.index(span.value)
        axes.plot((span.start_s, span.end_s), (y, y), color=style.STATES[span.value], linewidth=7,
                  solid_capstyle="butt", zorder=2)  # fmt: skip
    for span in _gaps(steps, recording.seconds):
        axes.broken_barh([(span.start_s, span.end_s - span.start_s)], (-0.3, 2.6), facecolor="none",
                         edgecolor=style.FAINT, hatch="////", linewidth=0, zorder=0)  # fmt: skip
    closed = [(s.start_s, s.end_s - s.start_s) for s in recording.lanes["eyes"] if s.value == "closed"]
    opened = [(s.start_s, s.end_s - s.start_s) for s in recording.lanes["eyes"] if s.value == "open"]
    axes.broken_barh(opened, (-1.18, 0.36), facecolor=style.PAPER, edgecolor=style.QUIET, linewidth=0.8)
    axes.broken_barh(closed, (-1.18, 0.36), facecolor=style.QUIET, edgecolor=style.QUIET, linewidth=0.8)
    _label(axes, -1.0, "eyes", style.QUIET)
    axes.set(ylim=(-1.4, 2.45), yticks=[])
    _heading(axes, "SLEEP, WAKING AND CRYING", "eyes: filled where closed; hatched where unknown")


def _levels(sleep: tuple[Span, ...], cry: tuple[Span, ...]) -> tuple[Span, ...]:
    """Crying where it cried, and else whether it slept, as spans that do not overlap."""
    crying = [span for span in cry if span.value == "crying"]
    edges = sorted({t_s for span in (*sleep, *crying) for t_s in (span.start_s, span.end_s)})
    parts = [
        Span(start_s, end_s, value)
        for start_s, end_s in pairwise(edges)
        if (value := next((s.value for s in (*crying, *sleep) if s.start_s <= start_s < s.end_s), None)) is not None
    ]
    return joined(parts)


def _gaps(steps: tuple[Span, ...], seconds: float) -> list[Span]:
    ends = [0.0, *(span.end_s for span in steps)]
    starts = [*(span.start_s for span in steps), seconds]
    return [Span(end, start, "unknown") for end, start in zip(ends, starts, strict=True) if start - end > 1e-6]


def _heart(axes: Axes, recording: Recording) -> None:
    """Each estimate as a dot, darker and larger the further it can be trusted; the line joins those a second apart."""
    known = [rate for rate in recording.rates if rate.bpm is not None]
    if known:
        at_s, bpm = np.array([rate.at_s for rate in known]), np.array([rate.bpm for rate in known], float)
        quality = np.array([rate.quality for rate in known])
        breaks = np.flatnonzero(np.diff(at_s) > APART_S) + 1
        line = np.insert(at_s, breaks, np.nan), np.insert(bpm, breaks, np.nan)
        axes.plot(*line, color=style.HEART, linewidth=1.2, alpha=0.5)
        colours = [to_rgba(style.HEART, 0.15 + 0.85 * q) for q in quality]
        axes.scatter(at_s, bpm, s=4 + 14 * quality, c=colours, linewidths=0)
        low, high = float(bpm.min()), float(bpm.max())
        room = max(10.0, 0.15 * (high - low))
        axes.set_ylim(max(0.0, low - room), high + room)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(axis="y", color=style.FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    share = f"{len(known) / max(1, len(recording.rates)):.0%} of {len(recording.rates)} estimates could be told"
    _heading(axes, "HEART RATE", f"beats a minute; the stronger the dot the higher its quality; {share}")


def _time_axis(axes: Axes, seconds: float, *, last: bool) -> None:
    axes.set_xlim(0, seconds)
    axes.grid(axis="x", color=style.FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelbottom=last, pad=4)
    axes.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 1.5, 3, 6, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda t_s, _: _clock(t_s)))


def _heading(axes: Axes, name: str, more: str, right: str = "") -> None:
    title = axes.text(0, 1.05, name, transform=axes.transAxes, fontsize=8, fontweight="bold", va="bottom")
    axes.annotate(more, (1, 0), xycoords=title, xytext=(8, 0), textcoords="offset points", fontsize=7.5,
                  color=style.QUIET, va="bottom")  # fmt: skip
    axes.annotate(right, (1, 1.05), xycoords="axes fraction", xytext=(8, 0), textcoords="offset points", fontsize=7.5,
                  color=style.QUIET, va="bottom")  # fmt: skip


def _told(axes: Axes, y: float, what: str) -> None:
    axes.annotate(what, (1, y), xycoords=("axes fraction", "data"), xytext=(8, 0), textcoords="offset points",
                  va="center", fontsize=8, color=style.INK)  # fmt: skip


def _label(axes: Axes, y: float, name: str, colour: str) -> None:
    axes.annotate(name, (0, y), xycoords=("axes fraction", "data"), xytext=(-8, 0), textcoords="offset points",
                  ha="right", va="center", fontsize=8, color=colour, fontweight="bold")  # fmt: skip


def _clock(t_s: float) -> str:
    whole = round(t_s)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
