"""Skeletons side by side, each over the time it was seen at: a bold one, and faint ones of the moments around it."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle, Polygon
from numpy.typing import NDArray

from edgemon.plots import style
from edgemon.plots.recording import Recording, Span

Array = NDArray[np.float64]

BONES: Final = {"left arm": (0, 2, 4), "right arm": (1, 3, 5), "left leg": (6, 8, 10), "right leg": (7, 9, 11)}
TRUNK: Final = (0, 1, 7, 6)  # around
HEAD, NECK = 12, 13
GHOSTS: Final = 9
TALL: Final = 1.3  # a cell's height in its widths
CAPTION: Final = 0.16  # and of the words below it
FILL: Final = 0.9  # of a cell that the infant takes at its widest


def draw(axes: Axes, recording: Recording, count: int) -> None:
    """`count` moments of the recording, the infant turned so that its head is up on the whole."""
    axes.set(xlim=(0, count), ylim=(-TALL / 2 - CAPTION, TALL / 2), aspect="equal", anchor="W")
    axes.axis("off")
    at_s = np.array([t_s for t_s, _ in recording.poses])
    joints = _upright(np.array([pose.keypoints for _, pose in recording.poses], float), recording.visible)
    edges = np.linspace(0, recording.seconds, count + 1)
    for i in range(count):
        posture = _at(recording.lanes["posture"], (edges[i] + edges[i + 1]) / 2)
        axes.text(i + 0.5, -TALL / 2, posture, ha="center", va="top", color=style.QUIET, fontsize=7)
        inside = np.flatnonzero((at_s >= edges[i]) & (at_s < edges[i + 1]))
        if not len(inside):
            axes.text(i + 0.5, 0, "not seen", ha="center", va="center", color=style.QUIET, fontsize=7)
            continue
        middle = inside[len(inside) // 2]
        shift = np.array([i + 0.5, 0.0])
        for ghost in inside[np.linspace(0, len(inside) - 1, min(GHOSTS, len(inside))).astype(int)]:
            _limbs(axes, joints[ghost], shift, recording.visible, alpha=0.18, width=2.0)
        _trunk(axes, joints[middle], shift)
        _limbs(axes, joints[middle], shift, recording.visible, alpha=1.0, width=4.2)


def _at(spans: tuple[Span, ...], t_s: float) -> str:
    return next((span.value for span in spans if span.start_s <= t_s < span.end_s), "")


def _upright(joints: Array, visible: float) -> Array:
    """Joints (n, 14, 3) turned by one angle and scaled by one factor for all, about the trunk's middle, y upwards."""
    places = joints[..., :2] * (1, -1)
    trunk = np.median(places[:, :2].mean(axis=1) - places[:, 6:8].mean(axis=1), axis=0)
    along = trunk / max(float(np.linalg.norm(trunk)), 1e-9)
    turn = np.array([[along[1], along[0]], [-along[0], along[1]]])
    places = (places - np.median(places[:, TRUNK].mean(axis=1), axis=0)) @ turn
    seen = joints[..., 2] > visible
    if seen.any():
        low, high = np.percentile(places[seen], (0.5, 99.5), axis=0)
        places = (places - (low + high) / 2) * FILL / max(float(((high - low) / (1.0, TALL)).max()), 1e-9)
    return np.concatenate([places, joints[..., 2:]], axis=-1)


def _limbs(axes: Axes, joints: Array, shift: Array, visible: float, *, alpha: float, width: float) -> None:
    for name, chain in BONES.items():
        known = [joint for joint in chain if joints[joint, 2] > visible]
        if len(known) < 2:
            continue
        line = joints[known, :2] + shift
        axes.add_collection(
            LineCollection(
                [list(map(tuple, line))], colors=style.LIMBS[name], linewidths=width, alpha=alpha, capstyle="round",
                joinstyle="round", zorder=3 if alpha == 1 else 2,
            )
        )  # fmt: skip
        if alpha == 1:
            axes.plot(*line[-1], "o", color=style.LIMBS[name], markersize=width * 1.75, zorder=4, clip_on=False)


def _trunk(axes: Axes, joints: Array, shift: Array) -> None:
    """Trunk and head, drawn wherever the network puts them: a blanket hides them and does not take them away."""
    body = joints[list(TRUNK), :2] + shift
    axes.add_patch(Polygon(body, closed=True, facecolor=style.FAINT, edgecolor=style.FAINT, linewidth=9,
                           joinstyle="round", zorder=2.5))  # fmt: skip
    crown, neck = joints[HEAD, :2] + shift, joints[NECK, :2] + shift
    throat = np.stack([joints[:2, :2].mean(axis=0) + shift, (crown + neck) / 2])
    axes.plot(*throat.T, color=style.FAINT, linewidth=9, solid_capstyle="round", zorder=2.5)
    radius = 0.54 * float(np.linalg.norm(crown - neck))
    axes.add_patch(Circle(tuple((crown + neck) / 2), radius, facecolor=style.FAINT, edgecolor=style.PAPER,
                          linewidth=1.2, zorder=2.6))  # fmt: skip
