"""From samples to upright crops in memory: what the network is fine-tuned and judged on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.inference import Image, aligned_crop
from edgemon.records import Box
from export.babyehanet import TARGETS, ExpressionConfig
from export.behaviour.sample import Place, Sample
from export.behaviour.similar import dhash
from export.datasets.labelled import TYPICAL
from export.datasets.marks import read_rgb
from export.face_precision import Finder

SIDE_PX = ExpressionConfig().size_px
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Faces:
    """Crops RGB (n, 112, 112, 3), labels and weights (n, targets; weight 0 is unknown), strata (n,), and hashes of the
    pictures (n, 14); `sources` (n,) are what must stay in one split, `known` (n,) whether that is a subject."""

    crops: NDArray[np.uint8]
    told: Array
    weight: Array
    sources: NDArray[np.str_]
    known: NDArray[np.bool_]
    strata: NDArray[np.str_]
    hashes: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.crops)

    def take(self, keep: NDArray[Any]) -> Faces:
        """Those at an index or mask."""
        return Faces(*(getattr(self, name)[keep] for name in self.__slots__))

    def told_of(self) -> str:
        """How many faces are labelled with what."""
        counts = (
            f"{name} {int((self.told[:, i] * self.weight[:, i] >= 0.5).sum())} of {int(self.weight[:, i].sum())}"
            for i, name in enumerate(TARGETS)
            if self.weight[:, i].any()
        )
        return f"{len(self)} faces: {', '.join(counts)}"


def crop_all(samples: Sequence[Sample], finder: Finder | None) -> tuple[Faces, int]:
    """Crops of all samples, and the number of pictures in which no face was found.

    Where `finder` is given it looks for the face of every scene, and where its place is known the detection must lie on
    it; without one scenes need a known place.

    Raises:
        ValueError: a picture or frame cannot be read, or no face at all is found; names file and line.
    """
    kept, crops, hashes = [], [], []
    for sample, rgb in pictures(samples):
        place = _place(sample, rgb, finder)
        if place is not None:
            kept.append(sample)
            crops.append(aligned_crop(rgb, place.box, place.landmarks, SIDE_PX))
            hashes.append(dhash(rgb))
    if not kept:
        raise ValueError(f"no face is found in any of {len(samples)} pictures; --pictures crops, if they are crops?")
    labels = np.array([[s.labels.get(name, np.nan) for name in TARGETS] for s in kept], np.float64)
    weight = (~np.isnan(labels)).astype(np.float64)
    faces = Faces(
        np.stack(crops),
        np.nan_to_num(labels),
        weight,
        np.array([s.source for s in kept]),
        np.array([s.subject is not None for s in kept]),
        np.array([s.stratum for s in kept]),
        np.array(hashes, np.uint64),
    )
    return faces, len(samples) - len(kept)


def pictures(samples: Sequence[Sample]) -> Iterator[tuple[Sample, Image]]:
    """Each sample with its picture; the frames of one clip are read in one pass.

    Raises:
        ValueError: one cannot be read, or a clip is shorter than its labels say; names file and line.
    """
    for (path, timed), part in groupby(samples, key=lambda s: (s.path, s.time_s is not None)):
        if timed:
            yield from _frames(path, list(part))
        else:
            yield from ((sample, read_rgb(path)) for sample in part)


def _frames(path: Path, samples: Sequence[Sample]) -> Iterator[tuple[Sample, Image]]:
    clip = cv2.VideoCapture(str(path))
    try:
        rate_hz = clip.get(cv2.CAP_PROP_FPS)
        if not clip.isOpened() or not rate_hz > 0:
            raise ValueError(f"{samples[0].where}: {path}: not a clip that can be read")
        at = 0
        for sample in samples:
            wanted = int((sample.time_s or 0.0) * rate_hz + 1e-6)
            while at <= wanted:
                if not clip.grab():
                    raise ValueError(f"{sample.where}: {path} ends at {at / rate_hz:.2f} s, its interval later")
                at += 1
            _, bgr = clip.retrieve()
            yield sample, np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
    finally:
        clip.release()


def _place(sample: Sample, rgb: Image, finder: Finder | None) -> Place | None:
    if sample.framing == "crop":
        return whole(rgb)
    if finder is None:
        if sample.place is None:
            raise ValueError(f"{sample.where}: where the face is, is not known; a detector must look for it")
        return sample.place
    return found(finder, rgb, None if sample.place is None else sample.place.box)


def whole(rgb: Image) -> Place:
    """The face of a picture that a detector's box cut out: as wide and high as the picture, upright."""
    size = np.array([rgb.shape[1], rgb.shape[0]], np.float32)
    return Place((0.0, 0.0, float(size[0]), float(size[1])), ((TYPICAL + 1) / 2 * size).astype(np.float32))


def found(finder: Finder, rgb: Image, truth: Box | None) -> Place | None:
    """The best detection; where the truth is known the best whose centre lies in it."""
    for detection in finder.detect(rgb):
        a, b, c, d = detection.box
        x0, y0, x1, y1 = truth or detection.box
        if x0 <= (a + c) / 2 <= x1 and y0 <= (b + d) / 2 <= y1:
            return Place(detection.box, detection.landmarks)
    return None
