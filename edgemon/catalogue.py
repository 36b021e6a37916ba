"""The models in a folder, each told in a few lines: origin, licence, measured quality."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgemon import manifest
from edgemon.errors import ModelError
from edgemon.manifest import Manifest


def names(folder: Path) -> tuple[str, ...]:
    """Every model that has a manifest here.

    Raises:
        ModelError: there is none.
    """
    found = tuple(sorted(path.stem for path in folder.glob("*.toml")))
    if not found:
        raise ModelError(f"{folder}: holds no model (NAME.onnx with NAME.toml); set models.folder to where they lie")
    return found


def describe(folder: Path | None) -> Iterator[str]:
    """What `edgemon models` prints; every file is verified on the way."""
    folder = folder or manifest.default_folder()
    for name in names(folder):
        file = manifest.load(folder, name)
        yield from _lines(name, file.manifest, len(file.onnx))


def _lines(name: str, told: Manifest, size_bytes: int) -> Iterator[str]:
    width, height = told.input.size_px
    yield f"{name}  {told.label}  {told.precision}  {width}x{height} {told.input.colour}  {size_bytes / 1e6:.2f} MB"
    yield f"  use      {told.intended_use}"
    for origin in told.origins:
        yield f"  data     {origin.data} ({origin.licence})"
    for metric in told.metrics:
        yield f"  measured {metric.name} {metric.value:.4g}  {metric.condition}  on {metric.data}"
    yield f"  sha256   {told.sha256}"
