"""The bundled clips of a rendered newborn: the demo's cameras."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from edgemon.config import Bed
from edgemon.frames.video import VideoFile

CLIPS = {"clip": "demo", "clip2": "demo2"}


def clip_path(name: str) -> Path:
    """The video file of a bundled clip; its truth lies beside it as `.truth.json`."""
    return Path(str(files("edgemon.frames") / "data" / f"{CLIPS[name]}.mp4"))


def open_clip(bed: Bed, paced: bool) -> VideoFile:
    """The bundled clip that `bed.source` names, as a source that is not yet opened."""
    return VideoFile(bed, clip_path(bed.source), paced=paced, name=bed.source)
