"""babyPose: depth videos of preterm infants (Migliorelli et al., Data in Brief 33:106329, Zenodo 3891404).

Its authors' code keeps one table for each infant, `annotations/result_pzN.csv`: columns `image;head;right_hand;...`
with "x,y" in px, "-1,-1" where a joint is occluded, and the frames `pzN/00000_16bit.png` and `pzN/00000_8bit.png`.
The published sheet has twelve joints; saved as such a table it is read too: a joint without a column is not labelled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from edgemon.records import KEYPOINTS
from export.datasets.files import numbers_of, text_of
from export.pose.samples import Floats, Kind, PoseSample, size_of

SIZE = (640, 480)
BITS: dict[Kind, str] = {"rgb": "8bit", "depth": "16bit"}
_TABLE = re.compile(r"result_(pz\w+)\.csv")
_JOINTS = {name.replace("wrist", "hand").replace("ankle", "foot"): number for number, name in enumerate(KEYPOINTS)} | {
    name: number for number, name in enumerate(KEYPOINTS)
}


def tables_in(folder: Path) -> Iterable[Path]:
    """The infants' tables."""
    return sorted(p for place in (folder, folder / "annotations") for p in place.glob("*.csv") if _TABLE.match(p.name))


def babypose(folder: Path, kind: Kind) -> tuple[PoseSample, ...]:
    """All frames of all infants; of kind rgb the 8-bit pictures.

    Raises:
        ValueError: there is no table, or a row is malformed; names file and line.
    """
    tables = list(tables_in(folder))
    if not tables:
        raise ValueError(f"{folder}: holds no annotations/result_pzN.csv")
    return tuple(sample for table in tables for sample in _infant(table, kind))


def _infant(table: Path, kind: Kind) -> Iterable[PoseSample]:
    match = _TABLE.match(table.name)
    assert match is not None
    subject = match[1]
    lines = text_of(table).splitlines()
    columns = lines[0].strip().split(";") if lines else []
    unknown = set(columns[1:]) - _JOINTS.keys()
    if columns[:1] != ["image"] or unknown or len(columns) < 2:
        raise ValueError(
            f"{table}:1: {';'.join(columns)[:60]!r}; image;{';'.join(list(_JOINTS)[:3])};... would be right"
        )
    root = next(
        (p for p in (table.parent / subject, table.parent.parent / subject) if p.is_dir()), table.parent / subject
    )
    size: tuple[int, int] | None = None
    for number, line in enumerate(lines[1:], 2):
        cells = line.strip().split(";")
        if len(cells) != len(columns):
            raise ValueError(f"{table}:{number}: {len(cells)} columns, the heading has {len(columns)}")
        image = root / re.sub(r"\d+bit", BITS[kind], cells[0])
        size = size or size_of(image, SIZE)
        persons = _joints(dict(zip(columns[1:], cells[1:], strict=True)), f"{table}:{number}")[None]
        yield PoseSample(image, kind, size, persons, subject)


def _joints(cells: dict[str, str], where: str) -> Floats:
    joints = np.zeros((len(KEYPOINTS), 3), np.float32)
    for name, cell in cells.items():
        place = numbers_of(cell.split(","), where)
        if len(place) != 2 or not np.isfinite(place).all():
            raise ValueError(f"{where}: {name} {cell!r}; x,y in px or -1,-1 would be right")
        if place != [-1, -1]:
            joints[_JOINTS[name]] = (*place, 2)
    return joints
