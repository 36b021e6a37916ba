"""Reading annotation files so that whatever is wrong is named with file and line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def text_of(path: Path) -> str:
    """A UTF-8 text file.

    Raises:
        ValueError: it cannot be read; names the file.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def numbers_of(words: Iterable[str], where: str) -> list[float]:
    """Words as numbers.

    Raises:
        ValueError: one is none; names where.
    """
    out = []
    for word in words:
        try:
            out.append(float(word))
        except ValueError as error:
            raise ValueError(f"{where}: {word!r} is not a number; coordinates in px would be right") from error
    return out


def json_of(path: Path) -> Any:
    """A JSON document.

    Raises:
        ValueError: it is none; names file and line.
    """
    try:
        return json.loads(text_of(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error


def xml_of(path: Path) -> ET.Element:
    """The root of an XML document without entities of its own.

    Raises:
        ValueError: it is none; names file and line.
    """
    text = text_of(path)
    if "<!ENTITY" in text:
        raise ValueError(f"{path}: declares entities, which annotations have no use for; remove them")
    try:
        return ET.fromstring(text)  # noqa: S314
    except ET.ParseError as error:
        raise ValueError(f"{path}:{error.position[0]}: not XML: {error}") from error


def picture_beside(annotation: Path, folders: Sequence[Path] = ()) -> Path:
    """The picture that has an annotation file's name, beside it or in the folders; a missing one is .jpg beside it."""
    for folder in (annotation.parent, *folders):
        for ending in PICTURES:
            for name in (annotation.stem + ending, annotation.stem + ending.upper()):
                if (folder / name).is_file():
                    return folder / name
    return annotation.with_suffix(".jpg")


def root_of(names: Sequence[str], folders: Sequence[Path]) -> Path:
    """The folder that relative picture names lie in: the first with one of the first twenty, else the first of all."""
    for folder in folders:
        if any((folder / name).is_file() for name in names[:20]):
            return folder
    return folders[0]


def pictures_in(folder: Path) -> list[Path]:
    """Every picture file under a folder, in order of its name.

    Raises:
        ValueError: there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; a folder of pictures is expected")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and not p.name.startswith("."))
    if not found:
        raise ValueError(f"{folder}: holds no picture ({', '.join(PICTURES)})")
    return found
