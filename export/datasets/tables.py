"""Boxes in csv files: the plain layout for one's own photographs, and that of the COPE annotations."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from export.datasets.files import numbers_of, root_of, text_of
from export.datasets.labelled import FaceLabel, Labelled, face_of

PLAIN = ("file", "x0", "y0", "x1", "y1")
COPE = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
_COPE_SUBJECT = re.compile(r"(S\d+)_")


def header(path: Path) -> tuple[str, ...]:
    """The names of a table's columns; none where it is empty."""
    lines = text_of(path).splitlines()
    return tuple(word.strip() for word in lines[0].split(",")) if lines else ()


def plain(path: Path) -> tuple[Labelled, ...]:
    """`file,x0,y0,x1,y1[,ten numbers]`: a row for each face in px, its five landmarks x, y in the order of `Face`.

    A row with nothing but the file is a picture without faces; landmarks may be left empty. Each picture is its own
    subject, or the folder that it lies in.

    Raises:
        ValueError: a row is malformed; names file and line.
    """
    faces: dict[str, list[FaceLabel]] = {}
    for where, row in _rows(path):
        words = [word for word in row[1:] if word]
        found = faces.setdefault(row[0], [])
        if words:
            found.append(face_of(numbers_of(words, where), where))
    root = root_of(list(faces), [path.parent, path.parent / "images"])
    return tuple(Labelled(root / name, Path(name).parent.name or name, tuple(found)) for name, found in faces.items())


def cope(path: Path) -> tuple[Labelled, ...]:
    """`filename,width,height,class,xmin,ymin,xmax,ymax`, as NICUface annotates COPE; the subject is the prefix S04.

    The set was photographed sideways: the original file is of those pictures, the rotated one of the same turned by 90
    degrees clockwise, under the same names. Other names are each their own subject.

    Raises:
        ValueError: a row is malformed; names file and line.
    """
    faces: dict[str, list[FaceLabel]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for where, row in _rows(path):
        if len(row) != len(COPE):
            raise ValueError(f"{where}: {len(row)} columns; {','.join(COPE)} would be right")
        width, height, *box = numbers_of([*row[1:3], *row[4:]], where)
        sizes[row[0]] = (int(width), int(height))
        faces.setdefault(row[0], []).append(face_of(box, where, sizes[row[0]]))
    root = root_of(list(faces), [path.parent, path.parent / "images"])
    return tuple(Labelled(root / name, _cope_subject(name), tuple(found), sizes[name]) for name, found in faces.items())


def _cope_subject(name: str) -> str:
    match = _COPE_SUBJECT.match(name)
    return match[1] if match else name


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    reader = csv.reader(text_of(path).splitlines())
    next(reader, None)
    for row in reader:
        cells = [word.strip() for word in row]
        if any(cells):
            where = f"{path}:{reader.line_num}"
            if not cells[0]:
                raise ValueError(f"{where}: no file; the name of a picture would be right in the first column")
            yield where, cells
