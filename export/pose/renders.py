"""Whole bodies of the synthetic newborn, as `synthesize images --view body` writes them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgemon.records import HeadSide, Posture
from export.datasets.renders import Renders
from export.pose.samples import JOINTS, Floats, Kind, PoseSample, size_of

ENDINGS: dict[Kind, str] = {"rgb": ".jpg", "depth": ".depth.png"}
GROUPED_BY = ("cover", "outfit", "light", "shifted")
Name = TypeVar("Name", bound=StrEnum)


def renders(folder: Path, kind: Kind) -> tuple[PoseSample, ...]:
    """A folder of renders: pictures or depth, one infant each; all pictures are of the first one's size.

    Raises:
        ValueError: the folder holds no truth, or a row is malformed; names file and line.
    """
    rows = Renders(folder).rows
    samples: list[PoseSample] = []
    for number, row in enumerate(rows, 1):
        where = f"{folder / 'truth.jsonl'}:{number}"
        image = folder / f"{row.get('name')}{ENDINGS[kind]}"
        size = samples[0].size if samples else size_of(image, (320, 240))
        samples.append(
            PoseSample(
                image,
                kind,
                size,
                joints_of(row.get("keypoints"), where),
                str(row.get("identity", row.get("name"))),
                _named(Posture, row.get("posture"), where),
                _named(HeadSide, row.get("head_side"), where),
                " ".join(f"{key}={_word(row[key])}" for key in GROUPED_BY if row.get(key) is not None),
                _boxes(row.get("box"), where),
            )
        )
    return tuple(samples)


def joints_of(rows: Any, where: str) -> Floats:
    """One person's 14 rows x, y, v as (1, 14, 3); none at all as (0, 14, 3).

    Raises:
        ValueError: anything else; names where.
    """
    if rows == []:
        return np.zeros((0, JOINTS, 3), np.float32)
    right = isinstance(rows, list) and all(
        isinstance(row, list) and len(row) == 3 and all(isinstance(v, (int, float)) for v in row) for row in rows
    )
    if not right or len(rows) != JOINTS:
        raise ValueError(f"{where}: keypoints; {JOINTS} rows [x, y, v] would be right (view body)")
    joints = np.array(rows, np.float32)
    if not np.isfinite(joints).all() or not set(joints[:, 2].tolist()) <= {0, 1, 2}:
        raise ValueError(f"{where}: keypoints; x and y in px and v of 0, 1 or 2 would be right")
    joints[joints[:, 2] == 0] = 0
    return joints[None]


def _boxes(row: Any, where: str) -> Floats | None:
    if row is None:
        return None
    try:
        return np.array(row, np.float32).reshape(1, 4)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: box {row!r}; [x0, y0, x1, y1] in px would be right") from error


def _named(kind: type[Name], value: Any, where: str) -> Name | None:
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError as error:
        raise ValueError(f"{where}: {value!r}; one of {', '.join(kind)} would be right") from error


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-".join(str(value).split()) or "none"
