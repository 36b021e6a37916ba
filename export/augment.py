"""From pictures with known faces to endless training frames of the detector: any roll, place, size, light and cover."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from export.datasets import FaceMark, Image, Picture
from export.textures import texture

Rng = np.random.Generator
MIN_FACE_PX, MAX_FACE_PX = 44.0, 230.0  # what the anchors can hold, whatever the frame's size
NOISE_TILE = 512
CUT_OUT_SHARE, DRAWN_OUT_SHARE = 0.35, 0.4  # the second of those that are not cut out
DRAWN_PX, DRAWN_KEPT, FRESH_SHARE = (384, 288), 400, 0.08  # of backgrounds


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One training frame: RGB uint8 (H, W, 3) and the faces in it."""

    rgb: Image
    faces: tuple[FaceMark, ...]


class Painter:
    """Holds what is drawn from, a table of noise and some backgrounds, so that a frame costs little."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self._drawn: list[Image] = []
        self._noise = rng.standard_normal((NOISE_TILE, NOISE_TILE, 3)).astype(np.float32)

    def noise(self, shape: tuple[int, int], sigma: float, colour: float) -> NDArray[np.float32]:
        """Gaussian noise (H, W, 3); `colour` 0 is the same in all channels."""
        height, width = shape
        y, x = self.rng.integers(0, NOISE_TILE - height), self.rng.integers(0, NOISE_TILE - width)
        tile = self._noise[y : y + height, x : x + width]
        return np.asarray(sigma * (colour * tile + (1 - colour) * tile[..., :1]), np.float32)

    def texture(self, size: tuple[int, int]) -> Image:
        """A background without a face, (width, height): a turned part of one that was drawn, now and then a new one."""
        rng = self.rng
        if len(self._drawn) < 4 or rng.random() < FRESH_SHARE:
            fresh = texture(rng, DRAWN_PX)
            if len(self._drawn) < DRAWN_KEPT:
                self._drawn.append(fresh)
            else:
                self._drawn[rng.integers(DRAWN_KEPT)] = fresh
        zoom = size[0] / DRAWN_PX[0] * math.exp(rng.uniform(-0.2, 0.9))
        matrix = np.asarray(
            cv2.getRotationMatrix2D((DRAWN_PX[0] / 2, DRAWN_PX[1] / 2), rng.uniform(0, 360), zoom), np.float64
        )
        matrix[:, 2] += np.array(size) / 2 - np.array(DRAWN_PX) / 2 + rng.uniform(-0.2, 0.2, 2) * size
        return warp(self._drawn[rng.integers(len(self._drawn))], matrix, size, cv2.BORDER_REFLECT_101)


def place(rng: Rng, mark: FaceMark, size: tuple[int, int], *, roll_deg: float | None = None) -> NDArray[np.float64]:
    """A transform (2, 3) that puts the face somewhere in the frame, mostly whole, at any roll and size.

    Half of the faces are stretched and sheared a little, as other shapes of face and other lenses would show them.
    """
    width, height = size
    face_px = math.exp(rng.uniform(math.log(MIN_FACE_PX), math.log(min(MAX_FACE_PX, 0.95 * height))))
    turn = rng.uniform(0, 360) if roll_deg is None else roll_deg - mark.roll_deg
    scale = face_px / mark.size_px
    c, s = scale * math.cos(math.radians(turn)), scale * math.sin(math.radians(turn))
    linear = np.array([[c, -s], [s, c]])
    if rng.random() < 0.5:
        stretch = math.exp(rng.normal(0, 0.08))
        linear = linear @ np.array([[stretch, rng.normal(0, 0.06)], [0, 1 / stretch]])
    inset = 0.42 * face_px
    x = rng.uniform(min(inset, width / 2), max(width - inset, width / 2))
    y = rng.uniform(min(inset, height / 2), max(height - inset, height / 2))
    shift = np.array([x, y]) - linear @ np.array(mark.centre)
    return np.column_stack([linear, shift])


def warp(image: Image, matrix: NDArray[np.float64], size: tuple[int, int], border: int = cv2.BORDER_CONSTANT) -> Image:
    """Warp with as little aliasing as a mip level gives."""
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    if scale < 0.5:
        image = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
        matrix = np.column_stack([matrix[:, :2] * 2, matrix[:, 2]])
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border), np.uint8)


def compose(painter: Painter, subject: Picture, backdrop: Image, size: tuple[int, int]) -> Scene:
    """Put a subject's picture into a frame: as it was taken, its edge drawn out or on a backdrop, or cut out."""
    rng = painter.rng
    subject = subject.mirrored() if rng.random() < 0.5 else subject
    mark = subject.face
    assert mark is not None
    matrix = place(rng, mark, size)
    cut_out = rng.random() < CUT_OUT_SHARE
    if not cut_out and rng.random() < DRAWN_OUT_SHARE:
        return Scene(warp(subject.rgb, matrix, size, cv2.BORDER_REPLICATE), (mark.moved(matrix),))
    rgb = warp(subject.rgb, matrix, size)
    whole = np.full(subject.rgb.shape[:2], 255, np.uint8)
    mask = warp(np.where(subject.subject, 255, 0).astype(np.uint8) if cut_out else whole, matrix, size)
    alpha = cv2.GaussianBlur(mask, (3, 3), 0)[..., None].astype(np.float32) / 255
    mixed = rgb * alpha + backdrop * (1 - alpha)
    return Scene(mixed.astype(np.uint8), (mark.moved(matrix),))


def blend(a: Picture, b: Picture, share: float) -> Picture:
    """A third person: b's face laid over a's, landmark on landmark, `share` of it.

    Outlines must be told in the same order, as those of the London set are.
    """
    assert a.face is not None
    assert b.face is not None
    ours, theirs = (np.concatenate([f.outline, f.landmarks]).astype(np.float64) for f in (a.face, b.face))
    ones = np.column_stack([theirs, np.ones(len(theirs))])
    matrix = np.asarray(np.linalg.lstsq(ones, ours, rcond=None)[0].T, np.float64)
    height, width = a.rgb.shape[:2]
    moved, over = b.face.moved(matrix), warp(b.rgb, matrix, (width, height), cv2.BORDER_REPLICATE)
    alpha = cv2.GaussianBlur(a.subject.astype(np.float32) * np.float32(share), (0, 0), width / 80)[..., None]
    mixed = (a.rgb * (1 - alpha) + over * alpha).astype(np.uint8)
    outline, points = (
        ((1 - share) * own + share * other).astype(np.float32)
        for own, other in ((a.face.outline, moved.outline), (a.face.landmarks, moved.landmarks))
    )
    return Picture(mixed, a.subject, FaceMark(outline, points))


def cover(painter: Painter, scene: Scene) -> Scene:
    """Hide part of the faces: strips (tubes, tape), blobs (hands, toys), a half (blanket), a band over the eyes."""
    rng, rgb = painter.rng, scene.rgb.copy()
    for face in scene.faces:
        kind = rng.random()
        if kind < 0.6:
            continue
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        if kind < 0.74:
            edge, tilt = rng.uniform(0.05, 0.5), rng.uniform(-0.3, 0.3)
            _fill(painter, rgb, face, [(-1.6, edge - tilt), (1.6, edge + tilt), (1.6, 1.8), (-1.6, 1.8)])
        elif kind < 0.83:
            middle, half = rng.uniform(-0.25, 0.05), rng.uniform(0.15, 0.28)
            top, bottom = middle - half, middle + half
            _fill(painter, rgb, face, [(-1.3, top), (1.3, top), (1.3, bottom), (-1.3, bottom)])
        else:
            for _ in range(int(rng.integers(1, 4))):
                _strip_or_blob(rng, rgb, face, colour)
    return Scene(rgb, scene.faces)


def _point(face: FaceMark, u: float, v: float) -> tuple[int, int]:
    """A point in px from face coordinates: u across and v along the face, -1..1 within its ellipse."""
    c, s = math.cos(math.radians(face.roll_deg)), math.sin(math.radians(face.roll_deg))
    du, dv = u * face.axes[0], v * face.axes[1]
    return round(face.centre[0] + c * du - s * dv), round(face.centre[1] + s * du + c * dv)


def _fill(painter: Painter, rgb: Image, face: FaceMark, corners: list[tuple[float, float]]) -> None:
    """A polygon in face coordinates, plain or patterned."""
    rng = painter.rng
    polygon = np.array([_point(face, u, v) for u, v in corners], np.int32)
    if rng.random() < 0.5:
        cv2.fillConvexPoly(rgb, polygon, rng.integers(0, 256, 3).tolist(), cv2.LINE_AA)
        return
    mask = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, polygon, 255)
    cv2.copyTo(painter.texture((rgb.shape[1], rgb.shape[0])), mask, rgb)


def _strip_or_blob(rng: Rng, rgb: Image, face: FaceMark, colour: tuple[int, ...]) -> None:
    a, b = (_point(face, *rng.uniform(-1.2, 1.2, 2)) for _ in range(2))
    if rng.random() < 0.6:
        cv2.line(rgb, a, b, colour, max(1, round(face.axes[0] * rng.uniform(0.05, 0.3))), cv2.LINE_AA)
    else:
        axes = (
            max(1, round(face.axes[0] * rng.uniform(0.15, 0.5))),
            max(1, round(face.axes[0] * rng.uniform(0.1, 0.4))),
        )
        cv2.ellipse(rgb, a, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)


def spoil(painter: Painter, face: FaceMark, rgb: Image) -> Image:
    """Make a face into none: its tiles shuffled, or its middle overpainted, so that skin and hair alone are no sign."""
    rng = painter.rng
    x0, y0, x1, y1 = (round(v) for v in face.box())
    x0, y0, x1, y1 = max(0, x0), max(0, y0), min(rgb.shape[1], x1), min(rgb.shape[0], y1)
    if x1 - x0 < 12 or y1 - y0 < 12:
        return rgb
    out, patch = rgb.copy(), rgb[y0:y1, x0:x1]
    if rng.random() < 0.5:
        n = int(rng.integers(5, 8))  # coarser tiles would keep whole eyes beside one another, which is half a face
        h, w = (y1 - y0) // n, (x1 - x0) // n
        tiles = [patch[i * h : (i + 1) * h, j * w : (j + 1) * w] for i in range(n) for j in range(n)]
        for k, t in enumerate(rng.permutation(n * n)):
            i, j = divmod(k, n)
            out[y0 + i * h : y0 + (i + 1) * h, x0 + j * w : x0 + (j + 1) * w] = _turned(
                tiles[t], int(rng.integers(0, 4))
            )
        return out
    blurred = cv2.GaussianBlur(patch, (0, 0), (x1 - x0) / 6)
    mask = np.zeros(patch.shape[:2], np.uint8)
    centre = ((x1 - x0) // 2, (y1 - y0) // 2)
    cv2.ellipse(mask, centre, centre, 0, 0, 360, 255, -1)
    soft = cv2.GaussianBlur(mask, (0, 0), 3)[..., None] / 255.0
    out[y0:y1, x0:x1] = (blurred * soft + patch * (1 - soft)).astype(np.uint8)
    return out


def _turned(tile: Image, quarters: int) -> Image:
    turned = np.rot90(tile, quarters)
    return np.asarray(cv2.resize(turned, (tile.shape[1], tile.shape[0])), np.uint8) if quarters % 2 else turned


def expose(painter: Painter, rgb: Image) -> Image:
    """Camera and light: colour cast, a shade across, gamma, gain down to near darkness, infrared, blur, noise, JPEG.

    Noise is added after darkening, as a sensor does.
    """
    rng = painter.rng
    x = rgb.astype(np.float32)
    x = (x - 128) * np.float32(rng.uniform(0.6, 1.25)) + np.float32(128 + rng.uniform(-25, 25))
    dark = rng.random() < 0.35 and float(x.mean()) > 60  # a render that is dark already stays visible
    if rng.random() < (0.6 if dark else 0.2):
        x = np.repeat(x @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)
    else:
        x *= rng.uniform(0.75, 1.25, 3).astype(np.float32)
    if rng.random() < 0.25:
        x = x * _shade(rng, x.shape[:2])
    if rng.random() < 0.3:
        x = np.float32(255) * np.power(np.clip(x, 0, 255) / np.float32(255), np.float32(math.exp(rng.normal(0, 0.4))))
    gain = math.exp(rng.uniform(math.log(0.12), math.log(0.5))) if dark else rng.uniform(0.7, 1.2)
    x *= np.float32(gain)
    if rng.random() < 0.25:
        x = np.asarray(cv2.GaussianBlur(x, (0, 0), rng.uniform(0.5, 1.6)), np.float32)
    sigma = rng.uniform(2, 9) if dark else abs(rng.normal(0, 4))
    x += painter.noise(x.shape[:2], sigma, colour=float(rng.choice([0.0, 0.6, 1.0])))
    out = np.clip(x, 0, 255).astype(np.uint8)
    return _compressed(rng, out) if rng.random() < 0.15 else out


def _shade(rng: Rng, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Gains (H, W, 1) of a light that falls from one side, with a soft or a hard edge."""
    height, width = shape
    angle, middle = rng.uniform(0, 2 * math.pi), rng.uniform(-0.3, 0.3) * width
    x, y = np.arange(width, dtype=np.float32) - width / 2, np.arange(height, dtype=np.float32)[:, None] - height / 2
    along = (x * math.cos(angle) + y * math.sin(angle) - middle) / (width * math.exp(rng.uniform(-4.5, -0.7)))
    lit = 1 / (1 + np.exp(-np.clip(along, -20, 20)))
    low = rng.uniform(0.25, 0.8)
    return np.asarray(low + (1.1 - low) * lit, np.float32)[..., None]


def _compressed(rng: Rng, rgb: Image) -> Image:
    _, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
