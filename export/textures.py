"""Backgrounds without a face, drawn from nothing: a detector that never saw a photograph of a room needs many kinds.

A network learns nearly as much from overlapping leaves and from noise whose spectrum falls with frequency as from
photographs (NeurIPS 2021, arXiv 2106.05963, sec. 3).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Rng = np.random.Generator
LETTERS = "abcdefghikmnoprstuwxyzABCDEFGHKMNPRSTUVWXYZ0123456789.:-"


def texture(rng: Rng, size: tuple[int, int]) -> Image:
    """One background RGB (height, width, 3) of `size` (width, height), often with another kind seen through shapes."""
    kinds = len(KINDS)
    out = KINDS[int(rng.integers(kinds))](rng, size)
    if rng.random() < 0.5:
        mask = np.zeros(out.shape[:2], np.uint8)
        for _ in range(int(rng.integers(1, 6))):
            _shape(rng, mask, size, 255, rng.uniform(0.08, 0.4) * size[0])
        cv2.copyTo(KINDS[int(rng.integers(kinds))](rng, size), mask, out)
    if rng.random() < 0.25:
        out = _bent(rng, out)
    if rng.random() < 0.4:  # muted, as rooms are
        grey = out.mean(axis=2, keepdims=True)
        out = (grey + (out - grey) * rng.uniform(0, 0.6)).astype(np.uint8)
    sigma = rng.uniform(0, 1.6)
    return np.asarray(cv2.GaussianBlur(out, (0, 0), sigma), np.uint8) if sigma > 0.4 else out


def _bent(rng: Rng, rgb: Image) -> Image:
    """As if printed on rubber: straight lines and round things lose their shape."""
    height, width = rgb.shape[:2]
    coarse = rng.normal(0, rng.uniform(4, 24), (2, int(rng.integers(3, 9)), int(rng.integers(3, 9)))).astype(np.float32)
    dx, dy = (cv2.resize(c, (width, height), interpolation=cv2.INTER_CUBIC) for c in coarse)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.asarray(cv2.remap(rgb, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), np.uint8)


def _colour(rng: Rng) -> list[int]:
    return [int(v) for v in rng.integers(0, 256, 3)]


def _near(rng: Rng, tint: NDArray[np.float64], spread: float) -> list[int]:
    return [int(v) for v in np.clip(rng.normal(tint, spread), 0, 255)]


def _shape(rng: Rng, out: Image, size: tuple[int, int], colour: int | list[int], radius: float) -> None:
    """An ellipse or a polygon anywhere."""
    x, y = int(rng.uniform(0, size[0])), int(rng.uniform(0, size[1]))
    paint = (colour,) if isinstance(colour, int) else tuple(colour)
    if rng.random() < 0.5:
        axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.3, 1))))
        cv2.ellipse(out, (x, y), axes, rng.uniform(0, 180), 0, 360, paint, -1, cv2.LINE_AA)
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
        corners = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
        cv2.fillPoly(out, [corners.astype(np.int32)], paint, cv2.LINE_AA)


def cells(rng: Rng, size: tuple[int, int]) -> Image:
    """Soft blobs or hard squares of random colours."""
    width, height = size
    columns = int(rng.choice([2, 4, 8, 16, 40]))
    small = rng.integers(0, 256, (max(2, columns * height // width), columns, 3), dtype=np.uint8)
    mode = cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(small, size, interpolation=mode), np.uint8)


def leaves(rng: Rng, size: tuple[int, int]) -> Image:
    """Dead leaves: shapes of every size over one another."""
    out = np.full((size[1], size[0], 3), _colour(rng), np.uint8)
    tint, spread, smallest = rng.uniform(0, 255, 3), rng.uniform(15, 90), rng.uniform(2, 12)
    for _ in range(int(rng.integers(20, 160))):
        radius = min(smallest / max(rng.random(), 0.02), 0.5 * size[0])
        _shape(rng, out, size, _near(rng, tint, spread), radius)
    return out


def clouds(rng: Rng, size: tuple[int, int]) -> Image:
    """Noise whose amplitude falls with a power of the frequency, in one hue or several."""
    width, height = size
    out: NDArray[np.float32] = np.zeros((height, width, 3), np.float32)
    steepness = rng.uniform(0.3, 1.1)
    for octave in range(7):
        shape = (max(2, height >> (7 - octave)), max(2, width >> (7 - octave)), 3)
        noise = rng.standard_normal(shape).astype(np.float32)
        noise = 0.7 * noise[..., :1] + 0.3 * noise
        smooth = np.asarray(cv2.resize(noise, size, interpolation=cv2.INTER_LINEAR), np.float32)
        out = out + np.float32(2 ** (-octave * steepness)) * smooth
    lit = out * rng.uniform(15, 60) + rng.uniform(30, 220, 3)
    return np.clip(lit, 0, 255).astype(np.uint8)


def strokes(rng: Rng, size: tuple[int, int]) -> Image:
    """Curves of every thickness: wires, hair, cracks, branches, folds."""
    out = clouds(rng, size) if rng.random() < 0.5 else np.full((size[1], size[0], 3), _colour(rng), np.uint8)
    tint, spread, bend = rng.uniform(0, 255, 3), rng.uniform(5, 60), rng.uniform(0, 0.6)
    thick = math.exp(rng.uniform(0, 2.3))
    for _ in range(int(rng.integers(4, 50))):
        turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, bend, 12))
        step = rng.uniform(4, 30)
        start = rng.uniform(0, 1, 2) * size
        points = start + np.cumsum(step * np.stack([np.cos(turns), np.sin(turns)], axis=1), axis=0)
        width = max(1, round(thick * rng.uniform(0.5, 1.5)))
        cv2.polylines(out, [points.astype(np.int32)], False, _near(rng, tint, spread), width, cv2.LINE_AA)
    return out


def bricks(rng: Rng, size: tuple[int, int]) -> Image:
    """Walls, tiles, shelves, stripes: a turned grid whose fields differ a little."""
    side = 2 * max(size)
    out = np.full((side, side, 3), _colour(rng), np.uint8)
    tint, spread = rng.uniform(0, 255, 3), rng.uniform(0, 35)
    high, wide = rng.uniform(8, 90), rng.uniform(12, 200)
    gap = max(1, round(rng.uniform(0.02, 0.3) * high))
    for row in range(int(side / high) + 1):
        shift = rng.uniform(0, 1) * wide
        for column in range(-1, int(side / wide) + 1):
            corner = (int(column * wide + shift), int(row * high))
            end = (int(corner[0] + wide - gap), int(corner[1] + high - gap))
            cv2.rectangle(out, corner, end, _near(rng, tint, spread), -1)
    turn, zoom = rng.uniform(0, 360), rng.uniform(0.7, 1.4)
    matrix = np.asarray(cv2.getRotationMatrix2D((side / 2, side / 2), turn, zoom), np.float64)
    matrix[:, 2] += np.array(size) / 2 - side / 2
    return np.asarray(cv2.warpAffine(out, matrix, size, borderMode=cv2.BORDER_REFLECT_101), np.uint8)


def balls(rng: Rng, size: tuple[int, int]) -> Image:
    """Rings, wheels, cups and shaded balls, with spots at places where no face has eyes and a mouth."""
    width, height = size
    out = KINDS[int(rng.integers(3))](rng, size)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    for _ in range(int(rng.integers(1, 7))):
        cx, cy, radius = rng.uniform(0, width), rng.uniform(0, height), math.exp(rng.uniform(2.3, 4.7))
        flat, turn = rng.uniform(0.6, 1.0), rng.uniform(0, np.pi)
        u, v = (
            (x - cx) * math.cos(turn) + (y - cy) * math.sin(turn),
            (y - cy) * math.cos(turn) - (x - cx) * math.sin(turn),
        )
        r = np.sqrt(u**2 + (v / flat) ** 2) / radius
        inside = r < 1
        lit = 1 - rng.uniform(0, 0.7) * np.clip((u * rng.uniform(-1, 1) + v * rng.uniform(-1, 1)) / radius, -1, 1)
        rings = 1 + rng.uniform(0, 0.5) * np.sin(r * rng.uniform(1, 25)) if rng.random() < 0.5 else np.ones_like(r)
        colour = np.array(_colour(rng), np.float32)
        out[inside] = np.clip(colour * (lit * rings)[inside][:, None], 0, 255).astype(np.uint8)
        for _ in range(int(rng.integers(0, 8))):
            spot = (int(cx + rng.normal(0, 0.5) * radius), int(cy + rng.normal(0, 0.5) * radius))
            cv2.circle(out, spot, max(1, int(radius * rng.uniform(0.03, 0.25))), _colour(rng), -1, cv2.LINE_AA)
    return out


def words(rng: Rng, size: tuple[int, int]) -> Image:
    """Labels, screens, scales."""
    out = np.full((size[1], size[0], 3), _colour(rng), np.uint8)
    letters, scale = list(LETTERS), math.exp(rng.uniform(-0.9, 1.2))
    for line in range(int(size[1] / (30 * scale)) + 1):
        text = "".join(rng.choice(letters, int(rng.integers(2, 24))))
        at = (int(rng.uniform(-20, 0.6 * size[0])), int((line + 0.8) * 30 * scale))
        face = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX]))
        cv2.putText(out, text, at, face, scale, _colour(rng), max(1, round(1.5 * scale)), cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D(
        (size[0] / 2, size[1] / 2), float(rng.choice([0, 90, 180, rng.uniform(0, 360)])), 1.2
    )
    return np.asarray(cv2.warpAffine(out, turn, size, borderMode=cv2.BORDER_REFLECT_101), np.uint8)


def fur(rng: Rng, size: tuple[int, int]) -> Image:
    """Short strokes along a field of directions, in clumps: fur, grass, knitting, straw."""
    width, height = size
    out = clouds(rng, size)
    angles = cv2.resize(rng.normal(0, 1.5, (3, 4)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    shades = cv2.GaussianBlur(out, (0, 0), rng.uniform(2, 12))
    length, contrast, thick = rng.uniform(4, 22), rng.uniform(10, 70), int(rng.integers(1, 4))
    for _ in range(int(rng.integers(800, 2500))):
        x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        angle = float(angles[y, x]) + rng.normal(0, 0.2)
        end = (int(x + length * math.cos(angle)), int(y + length * math.sin(angle)))
        paint = [int(v) for v in np.clip(shades[y, x] + rng.normal(0, contrast), 0, 255)]
        cv2.line(out, (x, y), end, paint, thick, cv2.LINE_AA)
    return out


def things(rng: Rng, size: tuple[int, int]) -> Image:
    """Boxes, tins and bottles that stand on a floor before a wall, lit from one side, with shadows and labels."""
    width, height = size
    out = KINDS[int(rng.integers(5))](rng, size)
    floor = int(rng.uniform(0.3, 0.8) * height)
    out[floor:] = KINDS[int(rng.integers(5))](rng, size)[floor:]
    side = rng.choice([-1.0, 1.0])
    for _ in range(int(rng.integers(2, 9))):
        wide, high = int(rng.uniform(0.06, 0.4) * width), int(rng.uniform(0.1, 0.7) * height)
        x, foot = int(rng.uniform(-0.1, 0.95) * width), int(min(height, floor + rng.uniform(0, 0.3) * height))
        x0, x1, y0 = max(0, x), min(width, x + wide), max(0, foot - high)
        if x1 - x0 < 6 or foot - y0 < 6:
            continue
        shadow = np.array([[x0, foot], [x1, foot], [x1 + side * wide, foot + 8], [x0 + side * wide, foot + 8]])
        cv2.fillConvexPoly(out, shadow.astype(np.int32), [int(v) for v in out[foot - 1, x0] // 3], cv2.LINE_AA)
        across = np.linspace(-1, 1, x1 - x0, dtype=np.float32)
        round_ = np.sqrt(1 - 0.9 * across**2) if rng.random() < 0.6 else np.where(across < rng.uniform(-1, 1), 1, 0.6)
        lit = (0.35 + 0.65 * round_) * (1 - 0.4 * side * across)
        skin = np.full((foot - y0, x1 - x0, 3), _colour(rng), np.float32)
        if rng.random() < 0.5:
            a, b = np.sort(rng.integers(0, foot - y0, 2))
            skin[a:b] = KINDS[int(rng.integers(5))](rng, (x1 - x0, foot - y0))[a:b]
        out[y0:foot, x0:x1] = np.clip(skin * lit[None, :, None], 0, 255).astype(np.uint8)
        if rng.random() < 0.5:  # a lid, a rim
            cv2.ellipse(
                out, ((x0 + x1) // 2, y0), ((x1 - x0) // 2, max(2, wide // 8)), 0, 0, 360, _colour(rng), -1, cv2.LINE_AA
            )
    return out


KINDS: tuple[Callable[[Rng, tuple[int, int]], Image], ...] = (
    cells,
    leaves,
    clouds,
    strokes,
    bricks,
    balls,
    words,
    fur,
    things,
)
