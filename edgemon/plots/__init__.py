"""A recording as one picture. matplotlib is imported in here only, and only when a picture is drawn."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from edgemon.errors import ConfigError
from edgemon.plots.recording import Recorder, Recording

ENDINGS: Final = (".png", ".svg")

__all__ = ["ENDINGS", "Recorder", "Recording", "check", "draw"]


def check(path: Path) -> None:
    """Say now, and not after a long replay, that such a picture cannot be drawn.

    Raises:
        ConfigError: another ending than .png or .svg, no such folder, or no matplotlib.
    """
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"{path}: name a file that ends in .png or .svg")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}")
    if find_spec("matplotlib") is None:
        raise ConfigError(f"{path}: a plot needs matplotlib: install edgemon[plot]")


def draw(recording: Recording, path: Path) -> None:
    """Write the picture of one bed; PNG or SVG follows from the file's ending.

    Raises:
        ConfigError: as `check`, or the file cannot be written.
    """
    check(path)
    from edgemon.plots.figure import write  # noqa: PLC0415  (matplotlib is an extra, and slow to import)

    try:
        write(recording, path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error
