"""Upright crops of faces with and without the facial actions of pain, each of a known infant."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.faces.detect import FaceDetector
from edgemon.inference import Model, aligned_crop
from edgemon.observations.pain import NEEDED
from edgemon.records import Box
from export.datasets import Image, Renders
from export.datasets.files import text_of
from export.datasets.marks import read_rgb

SIDE_PX = 112
ACTIONS = ("brow_bulge", "eye_squeeze", "nasolabial_furrow")
PRESENT_FROM, ABSENT_BELOW = 0.45, 0.25  # of the weakest of the three actions; between them a face is neither
MIN_VISIBLE = 0.35  # as in the expression network: below it the device abstains
FREE_FROM = 0.9  # share of the face in view from which it counts as free
COLUMNS = ("path", "subject", "label")
WORDS: Mapping[str, bool] = {"pain": True, "1": True, "no pain": False, "no_pain": False, "none": False, "0": False}


class Sample(NamedTuple):
    """One crop RGB (112, 112, 3) uint8, whose it is, whether it shows pain, and the stratum that it is counted in.

    `calm` is an earlier crop of the same face, cut at the same place, where there is one.
    """

    crop: Image
    subject: str
    pain: bool
    stratum: str = "all"
    calm: Image | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Samples:
    """Crops (n, 112, 112, 3), subjects (n,), pain (n,), strata (n,); calm crops where every face has one."""

    crops: NDArray[np.uint8]
    subjects: NDArray[np.str_]
    pain: NDArray[np.bool_]
    strata: NDArray[np.str_]
    calm: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.pain)

    @property
    def digest(self) -> str:
        """Names these very crops."""
        return hashlib.sha256(self.crops.tobytes()).hexdigest()[:16]

    def take(self, keep: NDArray[Any]) -> Samples:
        """Those at an index or mask."""
        calm = None if self.calm is None else self.calm[keep]
        return Samples(self.crops[keep], self.subjects[keep], self.pain[keep], self.strata[keep], calm)

    def told(self) -> str:
        """How many of what."""
        strata = ", ".join(f"{n} {name}" for name, n in sorted(Counter(self.strata.tolist()).items()))
        infants = len(set(self.subjects.tolist()))
        return f"{len(self)} faces of {infants} subjects, {int(self.pain.sum())} with pain ({strata})"


def gather(samples: Iterable[Sample], where: str) -> Samples:
    """All samples of a source.

    Raises:
        ValueError: a crop has another size, one of the classes is absent, or there are fewer than two subjects.
    """
    all_of = list(samples)
    for sample in all_of:
        if sample.crop.shape != (SIDE_PX, SIDE_PX, 3):
            raise ValueError(f"{where}: a crop of {sample.crop.shape}; ({SIDE_PX}, {SIDE_PX}, 3) would be right")
    if len({s.pain for s in all_of}) < 2 or len({s.subject for s in all_of}) < 2:
        raise ValueError(f"{where}: {len(all_of)} faces; faces with and without pain, of two subjects, are needed")
    crops, subjects, pain, strata, _ = zip(*all_of, strict=True)
    calm = [s.calm for s in all_of if s.calm is not None]
    before = np.stack(calm) if len(calm) == len(all_of) else None
    return Samples(np.stack(crops), np.array(subjects), np.array(pain, bool), np.array(strata), before)


def merged(parts: Sequence[Samples]) -> Samples:
    """Several sources as one."""
    crops, subjects, pain, strata = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("crops", "subjects", "pain", "strata")
    )
    calm = [p.calm for p in parts if p.calm is not None]
    return Samples(crops, subjects, pain, strata, np.concatenate(calm) if len(calm) == len(parts) else None)


def pain_of(row: Mapping[str, Any]) -> bool | None:
    """Whether a render shows all three actions; None where it is neither, or too little of the face can be seen."""
    if row["face_box"] is None or min(row.get(region, 0.0) for region in NEEDED) < MIN_VISIBLE:
        return None
    weakest = min(float(row[action]) for action in ACTIONS)
    return True if weakest >= PRESENT_FROM else False if weakest < ABSENT_BELOW else None


def of_renders(
    folder: Path, limit: int | None = None, jitter_seed: int | None = None, detector: FaceDetector | None = None
) -> Iterator[Sample]:
    """Renders that can be judged, at most `limit`; strata are "free" and "occluded".

    Crops are made by the true box, by that box moved as a detector's is (`jitter_seed`), or by the detector's own.
    """
    renders, count = Renders(folder), 0
    rng = None if jitter_seed is None else np.random.default_rng(jitter_seed)
    for index, row in enumerate(renders.rows):
        pain = pain_of(row)
        if pain is None:
            continue
        if limit is not None and count >= limit:
            return
        rgb, place = renders.rgb(index), (tuple(row["face_box"]), np.array(row["landmarks"], np.float32))
        found = _found(detector, rgb, place[0]) if detector else place if rng is None else _moved(rng, *place)
        if found is None:
            continue
        count += 1
        stratum = "free" if row["face_visible"] >= FREE_FROM else "occluded"
        yield Sample(aligned_crop(rgb, *found, SIDE_PX), str(row["identity"]), pain, stratum)


def _moved(rng: np.random.Generator, box: Box, points: NDArray[np.float32]) -> tuple[Box, NDArray[np.float32]]:
    x0, y0, x1, y1 = box
    side = (x1 - x0 + y1 - y0) / 2
    cx, cy = np.array([x0 + x1, y0 + y1]) / 2 + rng.normal(0, 0.03, 2) * side
    half_x, half_y = np.array([x1 - x0, y1 - y0]) / 2 * rng.uniform(0.9, 1.12, 2)
    noisy = points + rng.normal(0, 0.02 * side, points.shape)
    return (cx - half_x, cy - half_y, cx + half_x, cy + half_y), noisy.astype(np.float32)


def _found(detector: FaceDetector, rgb: Image, truth: Box) -> tuple[Box, NDArray[np.float32]] | None:
    """The best detection whose centre lies in the true box."""
    x0, y0, x1, y1 = truth
    for found in detector.detect(rgb):
        a, b, c, d = found.box
        if x0 <= (a + c) / 2 <= x1 and y0 <= (b + d) / 2 <= y1:
            return found.box, found.landmarks
    return None


def of_table(path: Path) -> Iterator[Sample]:
    """Crops of faces named in a csv `path,subject,label[,calm]`; the label is pain, no pain, 1 or 0.

    `calm` names an earlier picture of the same face, cut at the same place.

    Raises:
        ValueError: a column is missing or a row malformed; names file and line.
    """
    reader = csv.DictReader(text_of(path).splitlines())
    missing = set(COLUMNS) - {name.strip() for name in reader.fieldnames or ()}
    if missing:
        raise ValueError(f"{path}:1: lacks the columns {', '.join(sorted(missing))}; {','.join(COLUMNS)} is expected")
    for row in reader:
        where = f"{path}:{reader.line_num}"
        cells = {name.strip(): (value or "").strip() for name, value in row.items() if name is not None}
        word = cells["label"].lower()
        if word not in WORDS:
            raise ValueError(f"{where}: label {cells['label']!r}; one of {', '.join(WORDS)} would be right")
        if not cells["subject"]:
            raise ValueError(f"{where}: no subject; infants must be known, or the figures flatter")
        calm = _crop(path.parent / cells["calm"]) if cells.get("calm") else None
        yield Sample(_crop(path.parent / cells["path"]), cells["subject"], WORDS[word], calm=calm)


def _crop(path: Path) -> Image:
    return np.asarray(cv2.resize(read_rgb(path), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)


def read(path: Path, limit: int | None = None, jitter_seed: int | None = None) -> Samples:
    """A folder of renders, a csv, or a folder that holds one csv.

    Raises:
        ValueError: it is none of these, or unusable; names the place.
    """
    if (path / "truth.jsonl").is_file():
        return gather(of_renders(path, limit, jitter_seed), str(path))
    tables = [path] if path.is_file() else sorted(path.glob("*.csv"))
    if len(tables) != 1:
        raise ValueError(f"{path}: neither renders nor a csv {','.join(COLUMNS)}, nor a folder that holds just one")
    return gather(of_table(tables[0]), str(tables[0]))


def read_found(path: Path, models: Path, limit: int | None = None) -> Samples:
    """Renders by the boxes of the released detector; faces that it misses are left out."""
    return gather(of_renders(path, limit, detector=FaceDetector(Model.open(models, "face"))), str(path))
