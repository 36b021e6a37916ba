"""Which layout a place has, and its samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from export.datasets.files import json_of
from export.pose.babymoves import babymoves
from export.pose.babypose import babypose, tables_in
from export.pose.coco import coco, has_keypoints
from export.pose.renders import renders
from export.pose.samples import Kind, PoseSample


def read_poses(place: Path, kind: Kind) -> tuple[PoseSample, ...]:
    """The samples of a folder of renders, of babyPose or of babymoves, or of a COCO json or the folder that holds one.

    Raises:
        ValueError: no layout fits, or it is malformed; names file and line.
    """
    if not place.exists():
        raise ValueError(f"{place}: no such file or folder")
    samples = _read(place, kind)
    if not samples:
        raise ValueError(f"{place}: holds no pictures yet")
    return samples


def read_all(places: Sequence[Path], kind: Kind, limit: int | None = None) -> tuple[PoseSample, ...]:
    """Several places together, so many samples of each; which one a sample is of is told as its group `data`."""
    parts = {place: read_poses(place, kind)[:limit] for place in places}
    if len(parts) == 1:
        return next(iter(parts.values()))
    return tuple(
        replace(sample, group=f"{sample.group} data={place.name.replace(' ', '-')}".strip())
        for place, samples in parts.items()
        for sample in samples
    )


def _read(place: Path, kind: Kind) -> tuple[PoseSample, ...]:
    if (place / "truth.jsonl").is_file():
        return renders(place, kind)
    if place.suffix == ".npz" or (place / "labels.npz").is_file():
        return babymoves(place, kind)
    if place.is_dir() and list(tables_in(place)):
        return babypose(place, kind)
    if place.suffix == ".json":
        return coco(place, kind)
    for file in (*sorted(place.glob("*.json")), *sorted(place.glob("annotations/*.json"))):
        if has_keypoints(json_of(file)):
            return coco(file, kind)
    raise ValueError(
        f"{place}: none of truth.jsonl (renders), labels.npz (babymoves), annotations/result_pzN.csv (babyPose) "
        "or a COCO json with keypoints"
    )
