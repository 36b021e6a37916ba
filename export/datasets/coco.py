"""COCO json: any, the NBHR annotations, and the newborn face layout."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from export.datasets.files import json_of, root_of
from export.datasets.labelled import FaceLabel, Labelled, face_of

Row = dict[str, Any]
_NBHR = re.compile(r"(\d{8})\d{6}_")
_NFD = re.compile(r"(?:images/)?(?:(?P<folder>[^/]+)/\d+|(?P<prefix>[^/]+)_\d+)\.\w+")


def coco(path: Path, subject: Callable[[str, str], str] | None = None) -> tuple[Labelled, ...]:
    """Pictures, their boxes `x y w h` and, where a face has five keypoints, its landmarks; each its own subject.

    Of several categories only those named "face" are read. Crowds are not judged. `subject` names whom a file shows.

    Raises:
        ValueError: not COCO, or a row is malformed; names the file and the row's id.
    """
    data = json_of(path)
    if not is_coco(data):
        raise ValueError(f"{path}: lists `images` and `annotations` of a COCO file would be right")
    wanted = _categories(data, path)
    sizes: dict[Any, tuple[int, int]] = {}
    names: dict[Any, str] = {}
    for row in data["images"]:
        where = f"{path}: image {row.get('id')!r}"
        try:
            names[row["id"]] = str(row["file_name"])
            sizes[row["id"]] = (int(row["width"]), int(row["height"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{where}: needs id, file_name, width and height; {error!r}") from error
    faces: dict[Any, list[FaceLabel]] = {key: [] for key in names}
    for row in data["annotations"]:
        if row.get("category_id") in wanted:
            where = f"{path}: annotation {row.get('id')!r}"
            if row.get("image_id") not in names:
                raise ValueError(f"{where}: image_id {row.get('image_id')!r} is not among the images")
            faces[row["image_id"]].append(_face(row, sizes[row["image_id"]], where))
    root = root_of(list(names.values()), [path.parent / inner for inner in ("", "images", "..", "../images")])
    return tuple(
        Labelled(root / name, subject(name, str(path)) if subject else name, tuple(faces[key]), sizes[key])
        for key, name in names.items()
    )


def is_coco(data: object) -> bool:
    """Whether a JSON document has a COCO file's two lists of objects."""
    return isinstance(data, dict) and all(
        isinstance(data.get(key), list) and all(isinstance(row, dict) for row in data[key])
        for key in ("images", "annotations")
    )


def _categories(data: Row, path: Path) -> set[Any]:
    rows = data.get("categories") or []
    used = {row.get("category_id") for row in data["annotations"]}
    faces = {row.get("id") for row in rows if str(row.get("name", "")).lower() == "face"}
    if not faces and len(used) > 1:
        raise ValueError(f"{path}: {len(used)} categories, none named face; name the one of faces so")
    return faces or used


def _face(row: Row, size: tuple[int, int], where: str) -> FaceLabel:
    box, keypoints = row.get("bbox"), row.get("keypoints") or []
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, (int, float)) for v in box):
        raise ValueError(f"{where}: bbox {box!r}; [x, y, width, height] in px would be right")
    x, y, w, h = box
    known = len(keypoints) == 15 and all(keypoints[2::3])
    marks = [v for k in range(5) for v in keypoints[3 * k : 3 * k + 2]] if known else []
    flags = tuple(key for key, value in (row.get("attributes") or {}).items() if value is True)
    face = face_of([x, y, x + w, y + h, *marks], where, size)
    return replace(face, judged=not row.get("iscrowd"), flags=(*flags, *face.flags))


def nbhr(path: Path) -> tuple[Labelled, ...]:
    """The NBHR annotations of NICUface: file names are the time of a recording, `20200929095554_1.0.jpeg`.

    Who is in it they do not tell. Infants were recorded again within minutes, so the day stands for the subject: one
    session never falls into two splits, though an infant that was filmed on two days may.

    Raises:
        ValueError: as `coco`, or a name that holds no time.
    """
    return coco(path, _nbhr_day)


def _nbhr_day(name: str, where: str) -> str:
    match = _NBHR.match(Path(name).name)
    if match is None:
        raise ValueError(f"{where}: {name!r}; YYYYMMDDhhmmss_N would be right")
    return match[1]


def is_nbhr(data: Row) -> bool:
    """Whether every picture's name is a time."""
    names = [Path(str(row.get("file_name", ""))).name for row in data["images"]]
    return bool(names) and all(_NBHR.match(name) for name in names)


def newborns(path: Path) -> tuple[Labelled, ...]:
    """`nfd_annotations.json`: COCO of `images/PATIENT_N.jpg` or `PATIENT/N.jpg`; see `voc.newborns` for the layout.

    Raises:
        ValueError: as `coco`, or a name that tells no patient.
    """
    return coco(path, patient_of)


def patient_of(name: str, where: str) -> str:
    """The patient that a picture's name tells.

    Raises:
        ValueError: it tells none.
    """
    match = _NFD.fullmatch(name)
    if match is None:
        raise ValueError(f"{where}: {name!r} tells no patient; images/PATIENT_N.jpg or PATIENT/N.jpg would be right")
    return match["folder"] or match["prefix"]
