"""Movement features as a file for researchers: CSV always, Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from edgemon.errors import ConfigError
from edgemon.movement.chambers import FEATURES, Row

KEYS: Final = tuple(field.name for field in fields(Row) if field.name != "values")
ENDINGS: Final = (".csv", ".parquet")


def check(path: Path) -> None:
    """Say now, and not after a long replay, that such a file cannot be written.

    Raises:
        ConfigError: another ending than .csv or .parquet, no such folder, or no pyarrow.
    """
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"{path}: name a file that ends in .csv or .parquet")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}")
    if path.suffix.lower() == ".parquet":
        _pyarrow(path)


def write(path: Path, rows: Sequence[Row]) -> None:
    """One line a window: bed, times, rate and share seen, then the features; what was not seen is empty.

    Raises:
        ConfigError: as `check`, or the file cannot be written.
    """
    check(path)
    columns: dict[str, list[str | float | None]] = {key: [getattr(row, key) for row in rows] for key in KEYS}
    for i, name in enumerate(FEATURES):
        columns[name] = [None if math.isnan(row.values[i]) else row.values[i] for row in rows]
    try:
        if path.suffix.lower() == ".parquet":
            _write_parquet(path, columns)
        else:
            _write_csv(path, columns)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error


def _write_csv(path: Path, columns: dict[str, list[str | float | None]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for values in zip(*columns.values(), strict=True):
            writer.writerow(f"{value:.6g}" if isinstance(value, float) else value for value in values)


def _write_parquet(path: Path, columns: dict[str, list[str | float | None]]) -> None:
    pa, parquet = _pyarrow(path)
    kinds = [(name, pa.string() if name == "bed" else pa.float64()) for name in columns]
    parquet.write_table(pa.table(columns, schema=pa.schema(kinds)), path)


def _pyarrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415  (an extra, and slow to import)
        from pyarrow import parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path}: Parquet needs pyarrow: install edgemon[parquet], or name a .csv") from error
    return pa, parquet
