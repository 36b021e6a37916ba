"""How the drawn newborns' angles and proportions compare with annotated infants' (`babymoves_labels`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
MARKS = (
    *("LShoulder", "RShoulder", "LElbow", "RElbow", "LHand", "RHand"),
    *("LHip", "RHip", "LKnee", "RKnee", "LHeel", "RHeel", "Crown", "Chin"),
)  # the labels' names in CrowdPose order; hand and heel stand a little beyond wrist and ankle
LEVELS = (10, 25, 50, 75, 90)
BONES = {"upper arm": (0, 2), "forearm": (2, 4), "thigh": (6, 8), "shank": (8, 10)}
HINGES = {"elbow": (0, 2, 4), "knee": (6, 8, 10)}
REACHES = {"elbow": (0, 2), "hand": (0, 4), "knee": (6, 8), "heel": (6, 10)}


@dataclass(frozen=True, slots=True)
class Row:
    """One measure: percentiles LEVELS of the labels and of the drawn, and their Wasserstein distance in label SDs."""

    name: str
    labelled: Doubles
    drawn: Doubles
    apart: float


def read_labels(folder: Path) -> Doubles:
    """Joints (n, 14, 2) px of labels.npz in CrowdPose order, NaN where a joint has no label."""
    path = folder / "labels.npz"
    if not path.is_file():
        raise ValueError(f"{path}: not there; it holds the labels to compare with")
    try:
        with np.load(path, allow_pickle=False) as data:
            names, joints = [str(name) for name in data["names"]], data["joints"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise ValueError(f"{path}: not the labels of babymoves: {error}") from error
    missing = [mark for mark in MARKS if mark not in names]
    if missing:
        raise ValueError(f"{path}: no joint {missing[0]}")
    chosen: Doubles = joints[:, [names.index(mark) for mark in MARKS]].astype(np.float64)
    return chosen


def measures(joints: Doubles) -> dict[str, Doubles]:
    """2D measures of joints (n, 14, 2): lengths and reaches in trunk lengths, angles in degrees; both sides pooled."""
    shoulders, hips = joints[:, :2].mean(axis=1), joints[:, 6:8].mean(axis=1)
    trunk = np.linalg.norm(shoulders - hips, axis=1)
    up = (shoulders - hips) / trunk[:, None]
    left = np.stack([-up[:, 1], up[:, 0]], axis=1)  # the subject's left in a picture seen from the front
    out = {
        "shoulder width": np.linalg.norm(joints[:, 0] - joints[:, 1], axis=1) / trunk,
        "hip width": np.linalg.norm(joints[:, 6] - joints[:, 7], axis=1) / trunk,
        "crown to shoulders": np.linalg.norm(joints[:, 12] - shoulders, axis=1) / trunk,
    }
    for name, (a, b) in BONES.items():
        sides = [np.linalg.norm(joints[:, a + s] - joints[:, b + s], axis=1) / trunk for s in (0, 1)]
        out[name] = np.concatenate(sides)
    for name, (a, b, c) in HINGES.items():
        out[f"{name} angle deg"] = np.concatenate([_angle_deg(joints, a + s, b + s, c + s) for s in (0, 1)])
    for name, (a, b) in REACHES.items():
        ways = [(joints[:, b + s] - joints[:, a + s]) / trunk[:, None] for s in (0, 1)]
        out[f"{name} outward"] = np.concatenate([(w * left).sum(axis=1) * (1 - 2 * s) for s, w in enumerate(ways)])
        out[f"{name} upward"] = np.concatenate([(w * up).sum(axis=1) for w in ways])
    return {name: values[np.isfinite(values)] for name, values in out.items()}


def _angle_deg(joints: Doubles, a: int, b: int, c: int) -> Doubles:
    first, second = joints[:, a] - joints[:, b], joints[:, c] - joints[:, b]
    cosine = (first * second).sum(axis=1) / (np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1))
    out: Doubles = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return out


def compare(labelled: Doubles, drawn: Doubles) -> list[Row]:
    """Rows of every measure of two sets of joints (n, 14, 2)."""
    ours, theirs = measures(drawn), measures(labelled)
    along = np.linspace(1, 99, 99)
    return [
        Row(
            name,
            np.percentile(values, LEVELS),
            np.percentile(ours[name], LEVELS),
            float(np.abs(np.percentile(values, along) - np.percentile(ours[name], along)).mean() / values.std()),
        )
        for name, values in theirs.items()
    ]


def table(rows: list[Row]) -> str:
    """The rows as text: median (10th-90th percentile) of labels and drawings, and how far they are apart."""

    def told(values: Doubles) -> str:
        digits = 0 if values[2] > 10 else 2
        return f"{values[2]:.{digits}f} ({values[0]:.{digits}f} to {values[4]:.{digits}f})"

    lines = [f"{'measure':20} {'labels: median (10-90 %)':>28} {'drawn':>28} {'apart, SD':>10}"]
    lines += [f"{row.name:20} {told(row.labelled):>28} {told(row.drawn):>28} {row.apart:10.2f}" for row in rows]
    return "\n".join(lines)
