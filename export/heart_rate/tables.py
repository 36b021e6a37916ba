"""Rows of comma-separated files, with file and line in every complaint."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path


def rows_of(path: Path, header: Sequence[str] = ()) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells of a file, its blank lines left out; its first row must be `header` where one is given.

    Raises:
        ValueError: the file is missing or no text, the header is another, or a row has more or fewer cells.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            rows = [(line, [cell.strip() for cell in row]) for line, row in enumerate(csv.reader(file), 1) if row]
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path}: no comma-separated text: {error}") from error
    if header:
        if not rows or rows[0][1] != list(header):
            raise ValueError(f"{path}:1: the header must be {','.join(header)}")
        for line, row in rows[1:]:
            if len(row) != len(header):
                raise ValueError(f"{path}:{line}: {len(row)} cells, not {len(header)}")
    yield from rows[1:] if header else rows


def number(cell: str, path: Path, line: int) -> float:
    """A finite number; NaN for an empty cell.

    Raises:
        ValueError: it is none.
    """
    if not cell:
        return math.nan
    try:
        value = float(cell)
    except ValueError as error:
        raise ValueError(f"{path}:{line}: {cell!r} is no number") from error
    if not math.isfinite(value):
        raise ValueError(f"{path}:{line}: {cell!r} is not finite")
    return value
