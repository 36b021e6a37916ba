"""Photographs as cases of the face benchmark: each labelled face by itself, and the places that show none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.faces.detect import Detection
from export.augment import Painter, Scene, expose, spoil, warp
from export.datasets import FaceMark, Image, Renders
from export.datasets.labelled import FaceLabel, Labelled, picture_of
from export.evaluate_face import Finds, best_hit
from export.face_cases import (
    CONDITIONS,
    DARK_GAIN,
    DARK_NOISE,
    FACE_PX,
    FRAME_PX,
    FREE_KINDS,
    Condition,
    Subjects,
    face_free,
    show,
)
from export.face_precision import LOWEST_SCORE, Finder

MIN_FACE_PX = 40.0  # smaller ones would be judged by how they are enlarged
MAX_ENLARGED = 2.5  # of face-free places, likewise
KEPT_FACE_PX = 1.5 * FACE_PX  # larger faces are reduced to this, so that many fit into memory
REACH = 2.4  # face sizes that a turned frame needs around a face: half its diagonal and the shift, of 106 px
TRIES, PASSES = 300, 3  # at a place in one picture that overlaps no face; over all pictures, for what others lacked
SPOILED, PHOTOGRAPHS = "spoiled faces", "photographs"
Free = dict[str, list[Image]]


@dataclass(frozen=True)
class Photographs(Subjects):
    """Faces in photographs, with the other labelled faces of each; upright where landmarks tell how, else as taken.

    Of a face that has only a box, the eyes are taken to lie where those of an upright face are.
    """

    others: tuple[tuple[FaceMark, ...], ...] = ()
    upright: int = 0
    too_small: int = 0
    not_judged: int = 0
    missing: int = 0

    def frames(self, condition: Condition, seed: int = 1) -> Iterator[Scene]:
        """As of all subjects; the faces of a scene are the judged one, then the others."""
        pairs = zip(self.pictures, self.others, strict=True)
        for scene, (picture, others) in zip(super().frames(condition, seed), cycle(pairs), strict=False):
            assert picture.face is not None
            matrix = _between(picture.face, scene.faces[0])
            yield Scene(scene.rgb, (scene.faces[0], *(other.moved(matrix) for other in others)))

    def __str__(self) -> str:
        return (
            f"{self.name}: {len(self.pictures)} faces, {self.upright} upright by landmarks, the rest as photographed; "
            f"skipped: {self.too_small} below {MIN_FACE_PX:.0f} px, {self.not_judged} not to be judged, "
            f"{self.missing} pictures missing"
        )


def photograph_subjects(name: str, samples: Sequence[Labelled], limit: int | None = None, seed: int = 5) -> Photographs:
    """The judged faces of at least 40 px, drawn by chance down to the limit.

    Raises:
        ValueError: none remains; says what was skipped.
    """
    present = [sample for sample in samples if sample.path.is_file()]
    faces = [(n, m) for n, sample in enumerate(present) for m, face in enumerate(sample.faces) if face.judged]
    large = [(n, m) for n, m in faces if present[n].faces[m].size_px >= MIN_FACE_PX]
    chosen = sorted(np.random.default_rng(seed).permutation(len(large))[:limit].tolist())
    wanted: dict[int, list[int]] = {}
    for n, m in (large[k] for k in chosen):
        wanted.setdefault(n, []).append(m)
    cut = [part for n, numbers in wanted.items() for part in _cut_outs(present[n], numbers)]
    pictures = tuple(picture_of(rgb, mark) for rgb, mark, _ in cut)
    found = Photographs(
        name,
        pictures,
        pictures,
        others=tuple(others for _, _, others in cut),
        upright=sum(present[n].faces[m].landmarks is not None for n, numbers in wanted.items() for m in numbers),
        too_small=len(faces) - len(large),
        not_judged=sum(len(sample.faces) for sample in present) - len(faces),
        missing=len(samples) - len(present),
    )
    if not pictures:
        raise ValueError(f"{found}; nothing is left to judge")
    return found


def _cut_outs(sample: Labelled, numbers: Sequence[int]) -> Iterator[tuple[Image, FaceMark, tuple[FaceMark, ...]]]:
    """Each face with as much around it as a frame can show, its mark, and those of all others, in px of the part."""
    rgb, faces = sample.read()
    for number in numbers:
        face = faces[number]
        x0, y0, x1, y1 = face.box
        reach = REACH * max(face.size_px, 0.8 * (x1 - x0), 0.8 * (y1 - y0))
        left, top = (max(0, math.floor((low + high) / 2 - reach)) for low, high in ((x0, x1), (y0, y1)))
        right, bottom = (math.ceil((low + high) / 2 + reach) for low, high in ((x0, x1), (y0, y1)))
        part = rgb[top:bottom, left:right]
        scale = min(1.0, KEPT_FACE_PX / face.size_px)
        if scale < 1:
            part = np.asarray(cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        half = (scale - 1) / 2  # pixels are counted at their centres
        matrix = np.array([[scale, 0, half - scale * left], [0, scale, half - scale * top]])
        others = tuple(other.mark().moved(matrix) for m, other in enumerate(faces) if m != number)
        yield np.ascontiguousarray(part), face.mark().moved(matrix), others


def _between(mark: FaceMark, shown: FaceMark) -> NDArray[np.float64]:
    """The similarity transform (2, 3) by which a mark was shown."""
    scale, turn = shown.size_px / mark.size_px, math.radians(shown.roll_deg - mark.roll_deg)
    c, s = scale * math.cos(turn), scale * math.sin(turn)
    linear = np.array([[c, -s], [s, c]])
    return np.column_stack([linear, np.array(shown.centre) - linear @ np.array(mark.centre)])


def find_among(finder: Finder, subjects: Subjects) -> Finds:
    """Run a detector over all conditions; what it finds on another labelled face is neither a hit nor false."""
    return Finds(
        subjects.name,
        {
            name: tuple(
                best_hit((d for d in finder.detect(s.rgb, LOWEST_SCORE) if _means_the_first(d, s.faces)), s.faces[0])
                for s in subjects.frames(condition)
            )
            for name, condition in CONDITIONS.items()
        },
    )


def _means_the_first(found: Detection, faces: Sequence[FaceMark]) -> bool:
    centre = np.array([found.box[0] + found.box[2], found.box[1] + found.box[3]]) / 2
    off = [math.dist(centre, face.centre) / face.size_px for face in faces]
    return off[0] <= min(off)


def free_frames(
    renders: Renders | None, subjects: Sequence[Subjects], photographs: Sequence[Labelled], count: int, seed: int = 7
) -> Free:
    """Frames without a face by kind: `count` as `face_free` gives them, or textures and spoiled faces where there are
    no renders, and as many places in photographs as there are frames of two kinds.
    """
    free: Free = {}
    each = count // len(FREE_KINDS)
    if renders is not None:
        empty = [row["scene"] for row in renders.rows if row["face_box"] is None]
        for number, frame in enumerate(face_free(renders, subjects, count, seed)):
            turn, kind = divmod(number, len(FREE_KINDS))
            # the renderer scrambles faces too; where it drew no empty scene at all, `face_free` spoils one instead
            spoilt = kind == 0 and (not empty or empty[turn % len(empty)] == "scrambled")
            free.setdefault(SPOILED if spoilt else FREE_KINDS[kind], []).append(frame)
    else:
        free = _drawn(subjects, each, seed)
    free[PHOTOGRAPHS] = list(places(photographs, 2 * each, seed))
    return free


def _drawn(subjects: Sequence[Subjects], count: int, seed: int) -> Free:
    rng = np.random.default_rng(seed)
    painter = Painter(rng)
    free: Free = {"textures": [painter.texture(FRAME_PX) for _ in range(count)], SPOILED: []}
    for number in range(count):
        pool = subjects[number % len(subjects)].pictures
        scene = show(rng, pool[rng.integers(len(pool))], Condition(float(rng.uniform(-180, 180))), 1)
        free[SPOILED].append(spoil(painter, scene.faces[0], scene.rgb))
    return {kind: [expose(painter, f) if n % 2 else f for n, f in enumerate(frames)] for kind, frames in free.items()}


def places(samples: Sequence[Labelled], count: int, seed: int) -> Iterator[Image]:
    """At most `count` frames cut from photographs at any roll and size, off every labelled face; every second one dark.

    Faces that nobody labelled are in them as well, which is hard on every detector alike.
    """
    rng = np.random.default_rng(seed)
    present = [sample for sample in samples if sample.path.is_file()]
    order = rng.permutation(len(present))[:count].tolist() * PASSES
    done = 0
    for rank, number in enumerate(order):
        wanted = math.ceil((count - done) / (len(order) / PASSES - rank % (len(order) // PASSES)))
        if not wanted:
            return
        rgb, faces = present[number].read()
        for frame in _places(rng, rgb, faces, wanted):
            yield _darkened(rng, frame) if done % 2 else frame
            done += 1


def _places(rng: np.random.Generator, rgb: Image, faces: Sequence[FaceLabel], wanted: int) -> Iterator[Image]:
    height, width = rgb.shape[:2]
    least, most = FRAME_PX[0] / MAX_ENLARGED, max(width, height)
    for _ in range(wanted):
        for _ in range(TRIES if most >= least else 0):
            zoom = FRAME_PX[0] / math.exp(rng.uniform(math.log(least), math.log(most)))
            angle = rng.uniform(0, 360)
            middle = (float(rng.uniform(0, width)), float(rng.uniform(0, height)))
            matrix = np.asarray(cv2.getRotationMatrix2D(middle, angle, zoom), np.float64)
            matrix[:, 2] += np.array(FRAME_PX) / 2 - middle
            if _is_clear(matrix, (width, height), faces):
                yield warp(rgb, matrix, FRAME_PX, cv2.BORDER_REFLECT_101)
                break


def _is_clear(matrix: NDArray[np.float64], size: tuple[int, int], faces: Sequence[FaceLabel]) -> bool:
    """Whether a frame lies within the picture and shows nothing of any face."""
    width, height = FRAME_PX
    back = np.asarray(cv2.invertAffineTransform(matrix), np.float64)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64) @ back[:, :2].T + back[:, 2]
    if corners.min() < 0 or (corners > np.array(size)).any():
        return False
    quad = corners.astype(np.float32)
    return all(float(cv2.intersectConvexConvex(quad, _grown(face))[0]) == 0 for face in faces)


def _grown(face: FaceLabel, by: float = 0.1) -> NDArray[np.float32]:
    x0, y0, x1, y1 = face.box
    dx, dy = by * (x1 - x0), by * (y1 - y0)
    return np.array([(x0 - dx, y0 - dy), (x1 + dx, y0 - dy), (x1 + dx, y1 + dy), (x0 - dx, y1 + dy)], np.float32)


def _darkened(rng: np.random.Generator, rgb: Image) -> Image:
    """As the faces of the condition `dark` are."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    noisy = grey * DARK_GAIN + rng.normal(0, DARK_NOISE, grey.shape)
    return np.repeat(np.clip(noisy, 0, 255).astype(np.uint8), 3, axis=2)
