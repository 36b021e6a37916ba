"""Landmark files: dlib's imglab xml, and 300-W style .pts beside the pictures."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from export.datasets.files import numbers_of, picture_beside, text_of, xml_of
from export.datasets.labelled import FaceLabel, Labelled, Points, face_of, face_of_68, five_of_68


def imglab(path: Path) -> tuple[Labelled, ...]:
    """`<dataset><images><image file><box top left width height><part name x y>`; boxes to be ignored are not judged.

    A box with the 68 points of iBUG gives our five landmarks; other schemes give none. Each picture is its own subject.

    Raises:
        ValueError: the file is malformed; names it and the picture.
    """
    samples = []
    for number, item in enumerate(xml_of(path).iter("image"), 1):
        name = item.get("file")
        if not name:
            raise ValueError(f"{path}: image {number}: no `file`; the name of a picture would be right")
        where = f"{path}: image {number} ({name})"
        faces = tuple(_box(box, where) for box in item.iter("box"))
        samples.append(Labelled(path.parent / name, name, faces))
    return tuple(samples)


def _box(box: ET.Element, where: str) -> FaceLabel:
    words = [box.get(side) for side in ("left", "top", "width", "height")]
    if None in words:
        raise ValueError(f"{where}: <box> needs left, top, width and height")
    x, y, w, h = numbers_of((word for word in words if word is not None), where)
    face = face_of((x, y, x + w, y + h), where)
    parts = {part.get("name", ""): (part.get("x", ""), part.get("y", "")) for part in box.iter("part")}
    marks = None
    if len(parts) == 68 and all(name.isdigit() for name in parts):
        numbers = numbers_of((v for name in sorted(parts, key=int) for v in parts[name]), where)
        marks = five_of_68(np.array(numbers, np.float32).reshape(68, 2))
    return replace(face, landmarks=marks, judged=box.get("ignore") != "1")


def pts(folder: Path) -> tuple[Labelled, ...]:
    """Every `*.pts` of a folder with 68 points, and the picture of its name beside it; each its own subject.

    `NAME_2.pts` and the like beside NAME.jpg are further faces of that picture. Coordinates are counted from 1, as
    300-W does.

    Raises:
        ValueError: a file is malformed; names file and line.
    """
    faces: dict[Path, list[FaceLabel]] = {}
    for path in sorted(folder.glob("*.pts")):
        picture = picture_beside(path)
        base = re.sub(r"_\d+$", "", path.stem)
        if not picture.is_file() and base != path.stem:
            picture = picture_beside(path.with_name(f"{base}.pts"))
        faces.setdefault(picture, []).append(face_of_68(_points(path)))
    return tuple(Labelled(picture, picture.stem, tuple(found)) for picture, found in faces.items())


def _points(path: Path) -> Points:
    lines = text_of(path).splitlines()
    opened = next((n for n, line in enumerate(lines) if line.strip() == "{"), None)
    closed = next((n for n, line in enumerate(lines) if line.strip() == "}"), None)
    if opened is None or closed is None:
        raise ValueError(f"{path}:1: no block of points; `n_points: 68` and a block in braces would be right")
    rows = []
    for number, line in enumerate(lines[opened + 1 : closed], opened + 2):
        row = numbers_of(line.split(), f"{path}:{number}")
        if len(row) != 2:
            raise ValueError(f"{path}:{number}: {line.strip()!r}; x and y would be right")
        rows.append(row)
    if len(rows) != 68:
        raise ValueError(f"{path}:{opened + 1}: {len(rows)} points; the 68 of iBUG would be right")
    return np.array(rows, np.float32) - 1
