"""Pascal VOC xml: any beside its pictures, and the newborn face layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

from export.datasets.coco import patient_of
from export.datasets.files import numbers_of, picture_beside, xml_of
from export.datasets.labelled import FaceLabel, Labelled, face_of

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def voc(folder: Path) -> tuple[Labelled, ...]:
    """Every `*.xml` of a folder, its picture beside it or in `images` or `JPEGImages` next to the folder.

    Of several kinds of object only those named "face" are read; difficult ones are not judged. Each picture is its own
    subject.

    Raises:
        ValueError: a file is malformed; names it and the object.
    """
    beside = [folder.parent / inner for inner in ("images", "JPEGImages")]
    files = sorted(folder.glob("*.xml"))
    kinds = {kind for path in files for kind in _kinds(xml_of(path))}
    return tuple(
        _sample(path, picture_beside(path, beside), only="face" if "face" in kinds else None) for path in files
    )


def _kinds(root: ET.Element) -> list[str]:
    return [item.findtext("name", "") for item in root.iter("object")]


def _sample(path: Path, picture: Path, only: str | None) -> Labelled:
    root = xml_of(path)
    if root.tag != "annotation":
        raise ValueError(f"{path}:1: <{root.tag}>; <annotation> of a VOC file would be right")
    words = [root.findtext(f"size/{side}") for side in ("width", "height")]
    told = numbers_of((word for word in words if word), f"{path}: size")
    size = (int(told[0]), int(told[1])) if len(told) == 2 and min(told) > 0 else None
    faces = tuple(
        _face(item, f"{path}: object {number}", size)
        for number, item in enumerate(root.iter("object"), 1)
        if only is None or item.findtext("name") == only
    )
    return Labelled(picture, path.stem, faces, size)


def _face(item: ET.Element, where: str, size: tuple[int, int] | None) -> FaceLabel:
    words = [item.findtext(f"bndbox/{side}") for side in _SIDES]
    if None in words:
        raise ValueError(f"{where}: <bndbox> with {', '.join(_SIDES)} would be right")
    face = face_of(numbers_of((word for word in words if word is not None), where), where, size)
    return replace(face, judged=item.findtext("difficult", "0").strip() != "1")


def newborns(folder: Path) -> tuple[Labelled, ...]:
    """The layout in which we read the newborn face data of MICCAI 2024 (NFD), with `nfd_annotations/*.xml`.

    The paper tells 5000 pictures of 1000 newborns, five of each, boxes from forehead to chin and ear to ear, split
    6:1:3 by patient; its release cannot be had, so this layout is ours: pictures `images/PATIENT_N.jpg` and either
    `nfd_annotations.json` (COCO) or `nfd_annotations/PATIENT_N.xml` (VOC) beside `images`; or pictures `PATIENT/N.jpg`
    with the COCO file. `split_by_subject` with its default shares is the paper's split.

    Raises:
        ValueError: as `voc`, or a name that tells no patient.
    """
    pictures = folder.parent / "images"
    return tuple(
        replace(sample, path=pictures / sample.path.name, subject=patient_of(sample.path.name, str(folder)))
        for sample in voc(folder)
    )
