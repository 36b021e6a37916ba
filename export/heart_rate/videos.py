"""Videos read as the daemon reads a camera: detector, tracker, regions, frame by frame on the file's own clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgemon.config import Bed, Cadence
from edgemon.errors import EdgemonError
from edgemon.faces import regions
from edgemon.faces.detect import FaceDetector
from edgemon.faces.patch import SIDE, patch
from edgemon.frames import open_source
from edgemon.inference import Model
from edgemon.observations.heart_rate import HeartRateObserver
from edgemon.pipeline import SAMPLE_FACE_UP_TO_S, Sight
from edgemon.records import Face, Frame
from export.heart_rate.plain import reference_bpm
from export.heart_rate.traces import Array, Recording

ENDINGS = (".mp4", ".mkv", ".avi")


def is_videos(folder: Path) -> bool:
    """Whether it holds a video."""
    return any(path.suffix in ENDINGS for path in folder.iterdir())


def videos(folder: Path, models: Path) -> Iterator[Recording]:
    """Every video, with NAME.reference.csv or the NAME.truth.json of `synthesize clip` beside it.

    Raises:
        ValueError: a video, its reference or a model cannot be read.
    """
    for path in sorted(p for p in folder.iterdir() if p.suffix in ENDINGS):
        try:
            t_s, rgb, patches, ids = _watch(path, models)
        except EdgemonError as error:
            raise ValueError(f"{path}: {error}") from error
        yield Recording(path.stem, path.stem, folder.name, "video", t_s, rgb, _truth(path, t_s), patches, ids)


def _watch(path: Path, models: Path) -> tuple[Array, Array, np.ndarray, np.ndarray]:
    """Times (N,), colours (N, R, 3), patches and track ids of every frame; NaN and 0 without a face."""
    bed = Bed(id="cot-1", source=str(path))
    detector = FaceDetector(Model.open(models, "face"))
    sight = Sight(bed, Cadence(), detector=detector, observers=(), heart_rate=HeartRateObserver(bed.id))
    source = open_source(bed, paced=False)
    rows: list[tuple[float, np.ndarray, np.ndarray, int]] = []
    face: Face | None = None
    source.open()
    try:
        while (frame := source.read()) is not None:
            if not rows or frame.captured_s > rows[-1][0]:
                rows.append((frame.captured_s, *_read(frame, face)))
            face = sight.look(frame).face
    finally:
        source.close()
    if len(rows) < 2:
        raise ValueError(f"{path}: needs two or more frames")
    t_s, rgb, patches, ids = zip(*rows, strict=True)
    return np.array(t_s), np.array(rgb, np.float64), np.array(patches, np.float32), np.array(ids, np.int64)


def _read(frame: Frame, face: Face | None) -> tuple[np.ndarray, np.ndarray, int]:
    """What `Sight.sample` reads, by the face of the look before, and the patch."""
    if face is None or frame.captured_s - face.detected_s > SAMPLE_FACE_UP_TO_S:
        return np.full((len(regions.REGIONS), 3), np.nan), np.full((SIDE, SIDE, 3), np.nan), 0
    return regions.mean_rgb(frame.rgb, face), patch(frame.rgb, face.landmarks), face.track_id


def _truth(path: Path, t_s: Array) -> Array | None:
    made = path.with_suffix(".truth.json")
    if not made.is_file():
        return reference_bpm(path, t_s)
    try:
        row = json.loads(made.read_text(encoding="utf-8"))
        bpm, fps = np.array(row["frame_hr_bpm"], np.float64), float(row["fps"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{made}: no truth of a rendered clip: {error}") from error
    return np.interp(t_s, np.arange(len(bpm)) / fps, bpm, right=np.nan)
