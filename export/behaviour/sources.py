"""Which layout a folder of labelled faces has, and its samples."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from export.babyehanet import TARGETS
from export.behaviour.folders import folders, has_label_folders
from export.behaviour.sample import Place, Reading, Sample
from export.behaviour.tables import header_of, tables
from export.datasets import Renders
from export.expression_data import labels_of

EXPECTED = "renders (truth.jsonl), a csv of file, subject and label, one of clip intervals, or folders such as sleep/"


def open_all(places: Iterable[Path], reading: Reading) -> tuple[Sample, ...]:
    """The samples of several sets; what one does not label may be what another labels."""
    return tuple(sample for place in places for sample in open_one(place, reading))


def open_one(place: Path, reading: Reading) -> tuple[Sample, ...]:
    """The samples of one folder or one csv.

    Raises:
        ValueError: it is not there, has no known layout, holds no label, or is malformed; names file and line.
    """
    if not place.exists():
        raise ValueError(f"{place}: no such folder or csv; expected: {EXPECTED}")
    samples = _read(place, reading)
    if not samples:
        raise ValueError(f"{place}: holds no labelled face; expected: {EXPECTED}")
    return samples


def is_renders(place: Path) -> bool:
    """Whether `synthesize images` wrote it."""
    return (place / "truth.jsonl").is_file()


def of_renders(folder: Path, limit: int | None = None) -> tuple[Sample, ...]:
    """Rendered faces with identity, light, true place and every label that can be judged."""
    renders, samples = Renders(folder), []
    for line, row in enumerate(renders.rows, 1):
        if row["face_box"] is None:
            continue
        told, weight = labels_of(row)
        labels = {name: float(told[i]) for i, name in enumerate(TARGETS) if weight[i]}
        place = Place(tuple(row["face_box"]), np.array(row["landmarks"], np.float32))
        path, where = folder / f"{row['name']}.jpg", f"{folder / 'truth.jsonl'}:{line}"
        subject = f"render {row['identity']}" if "identity" in row else f"{folder.name}/{row['name']}"
        samples.append(Sample(path, labels, "scene", where, subject, stratum=row["light"], place=place))
    return tuple(samples[:limit])


def _read(place: Path, reading: Reading) -> tuple[Sample, ...]:
    if place.is_file():
        return tables(place, reading)
    if is_renders(place):
        return of_renders(place)
    every = sorted(place.glob("*.csv"))
    found = [path for path in every if header_of(path, reading).known]
    if not found and has_label_folders(place, reading):
        return folders(place, reading)
    if every:
        return tuple(sample for path in found or every for sample in tables(path, reading))
    names = ", ".join(sorted(p.name for p in place.iterdir())[:8]) or "nothing"
    raise ValueError(f"{place}: holds {names}; expected: {EXPECTED}")
