"""COCO json with persons' keypoints: CrowdPose's 14, or COCO's 17 such as of SyRIP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgemon.records import KEYPOINTS
from export.datasets.coco import is_coco
from export.datasets.files import json_of, root_of
from export.pose.samples import JOINTS, Floats, Kind, PoseSample

# Of COCO's 17 the twelve of the limbs; COCO marks neither crown nor neck, so both stay unlabelled.
LIMBS_OF_17 = (5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
EASY, HARD = 0.2, 0.8  # CrowdPose's bounds of the crowd index

Row = dict[str, Any]


def has_keypoints(data: object) -> bool:
    """Whether a JSON document is a COCO file whose annotations hold keypoints."""
    return isinstance(data, dict) and is_coco(data) and any("keypoints" in row for row in data["annotations"])


def coco(path: Path, kind: Kind) -> tuple[PoseSample, ...]:
    """Pictures and their persons; each its own subject. Crowds and rows without a labelled joint cost no detection.

    CrowdPose's crowd index is told as group crowd=easy (below 0.2), medium or hard (0.8 and above).

    Raises:
        ValueError: not COCO, or a row is malformed; names the file and the row's id.
    """
    data = json_of(path)
    if not has_keypoints(data):
        raise ValueError(f"{path}: lists `images` and `annotations` with `keypoints` would be right")
    images: dict[Any, Row] = {}
    for row in data["images"]:
        if not {"id", "file_name", "width", "height"} <= row.keys():
            raise ValueError(f"{path}: image {row.get('id')!r}: needs id, file_name, width and height")
        images[row["id"]] = row
    persons: dict[Any, list[tuple[Floats, Floats]]] = {key: [] for key in images}
    for row in data["annotations"]:
        where = f"{path}: annotation {row.get('id')!r}"
        if row.get("image_id") not in images:
            raise ValueError(f"{where}: image_id {row.get('image_id')!r} is not among the images")
        persons[row["image_id"]].append((_joints(row, where), _box(row, where)))
    names = [str(row["file_name"]) for row in images.values()]
    root = root_of(names, [path.parent / inner for inner in ("", "images", "..", "../images")])
    return tuple(_sample(root, row, persons[key], kind) for key, row in images.items())


def _sample(root: Path, row: Row, persons: list[tuple[Floats, Floats]], kind: Kind) -> PoseSample:
    joints = np.array([joints for joints, _ in persons], np.float32).reshape(-1, JOINTS, 3)
    boxes = np.array([box for _, box in persons], np.float32).reshape(-1, 4)
    size, name, crowd = (int(row["width"]), int(row["height"])), str(row["file_name"]), row.get("crowdIndex")
    group = "" if crowd is None else f"crowd={'easy' if crowd < EASY else 'medium' if crowd < HARD else 'hard'}"
    return PoseSample(root / name, kind, size, joints, name, group=group, boxes=boxes)


def _joints(row: Row, where: str) -> Floats:
    values = row.get("keypoints")
    if (
        not isinstance(values, list)
        or len(values) not in (42, 51)
        or not all(isinstance(v, (int, float)) for v in values)
    ):
        raise ValueError(f"{where}: keypoints; 14 (CrowdPose) or 17 (COCO) of x, y, v would be right")
    told = np.array(values, np.float32).reshape(-1, 3)
    if not np.isfinite(told).all() or not set(told[:, 2].tolist()) <= {0, 1, 2}:
        raise ValueError(f"{where}: keypoints; x and y in px and v of 0, 1 or 2 would be right")
    joints = np.zeros((len(KEYPOINTS), 3), np.float32)
    if not row.get("iscrowd"):
        joints[: len(told) if len(told) == JOINTS else 12] = told if len(told) == JOINTS else told[list(LIMBS_OF_17)]
    joints[joints[:, 2] == 0] = 0
    return joints


def _box(row: Row, where: str) -> Floats:
    box = row.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, (int, float)) for v in box):
        raise ValueError(f"{where}: bbox {box!r}; [x, y, width, height] in px would be right")
    x, y, width, height = box
    return np.array([x, y, x + width, y + height], np.float32)
