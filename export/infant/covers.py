"""What lies on and about a whole newborn: blankets, swaddles, nests, tubes and wires, toys, a carer's hands."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from export.infant import occluders, props, scene, shaders
from export.infant.figure import Figure
from export.infant.lying import Lying
from export.infant.mesh import Floats
from export.infant.pose import rotation
from export.infant.render import Camera, Part, Uniform
from export.infant.scene import cloth, triple, unit

OUTFITS, OUTFIT_SHARES = ("nappy", "bodysuit", "romper", "sleepsuit"), (0.36, 0.24, 0.12, 0.28)
COVERS, COVER_SHARES = ("none", "legs", "chest", "chin", "swaddle"), (0.58, 0.14, 0.12, 0.07, 0.09)
FACE_SHARE, WIRES_SHARE, NEST_SHARE, HAND_SHARE, TOYS_SHARE, RAILS_SHARE = 0.3, 0.55, 0.3, 0.14, 0.4, 0.2
FACE_PROPS = ("cannula", "feeding", "cpap", "dummy", "patch")
OTHER_CLOTH = (shaders.CLOTH, 3, props.OTHER)


@dataclass(frozen=True)
class Around:
    """Parts, uniforms of the skin (tape), and names of what is there."""

    parts: list[Part]
    uniforms: dict[str, Uniform]
    names: tuple[str, ...]


def sample_cover(rng: np.random.Generator, posture: str) -> str:
    """One of COVERS; nobody lays a swaddled newborn on the belly."""
    cover = str(rng.choice(COVERS, p=COVER_SHARES))
    return "chest" if cover == "swaddle" and posture == "prone" else cover


def surround(
    rng: np.random.Generator,
    figure: Figure,
    lying: Lying,
    camera: Camera,
    *,
    cover: str,
    infrared: bool,
    shifted: bool,
) -> Around:
    """Mattress, cover and everything else of one picture."""
    del shifted
    level = lying.level
    parts: list[Part] = []
    names: list[str] = []
    uniforms: dict[str, Uniform] = {}
    parts += scene.bedding(rng, figure, level, infrared, cover)
    if cover == "swaddle":
        parts.append(swaddle(figure, level, cloth(rng, infrared)))
    if rng.random() < FACE_SHARE:
        name = str(rng.choice(FACE_PROPS))
        more, uniforms = occluders.add_occluder(rng, figure, infrared, figure.head_turn[:, 2], name)
        parts, names = parts + more, [*names, name]
    for name, share, make in (
        ("wires", WIRES_SHARE, wires),
        ("nest", NEST_SHARE, nest),
        ("toys", TOYS_SHARE, toys),
    ):
        if rng.random() < share:
            parts, names = parts + make(rng, figure, level, infrared), [*names, name]
    if rng.random() < HAND_SHARE:
        parts, names = parts + hands(rng, figure, camera, infrared), [*names, "carer"]
    return Around(parts, uniforms, tuple(names))


def swaddle(figure: Figure, level: float, look: dict[str, Uniform]) -> Part:
    """A cloth wound about trunk, arms and legs: a smooth closed shell from the neck to beyond the feet."""
    neck = figure.joints["neck01"]
    body = figure.vertices[:13380:2]
    body = body[body[:, 1] < neck[1] - 0.12]
    count, around = 44, 40
    line = np.linspace(neck[1] - 0.10, float(body[:, 1].min()) - 0.12, count)
    slot = np.clip(np.searchsorted(-line, -body[:, 1]), 0, count - 1)
    edges = np.zeros((3, count), np.float32)
    for column, (axis, take) in enumerate(((0, np.minimum), (0, np.maximum), (2, np.maximum))):
        edges[column] = np.inf if take is np.minimum else -np.inf
        take.at(edges[column], slot, body[:, axis])
        good = np.isfinite(edges[column])
        edges[column] = np.interp(np.arange(count), np.flatnonzero(good), edges[column][good])
    wide = cv2.dilate((edges[1] - edges[0])[None] / 2, np.ones((1, 5)))[0]
    rough = np.stack([(edges[0] + edges[1]) / 2, wide, edges[2]])
    edges = cv2.GaussianBlur(rough, (0, 0), sigmaX=2.2, sigmaY=1e-3).astype(np.float32)
    angle = np.linspace(0, 2 * np.pi, around)
    taper = np.clip(np.minimum(1.0, (count - 1 - np.arange(count)) / 3), 0.05, 1)[:, None] ** 0.5
    half, deep = (edges[1][:, None] + 0.10) * taper, ((edges[2][:, None] - level) / 2 + 0.06) * taper
    ring = np.stack(
        [
            edges[0][:, None] + half * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.8,
            np.broadcast_to(line[:, None], (count, around)) + 0.04 * np.sin(3 * angle),
            level + deep + deep * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.8,
        ],
        axis=2,
    )
    folds = 0.018 * np.sin(9.0 * line[:, None] + 2.4 * np.cos(angle)[None] + 3.0 * figure.identity.jitter[0])
    ring[..., 2] += folds
    return props.grid_part(ring, (shaders.CLOTH, 3, props.BLANKET), look)


def wires(rng: np.random.Generator, figure: Figure, level: float, infrared: bool) -> list[Part]:
    """Leads from the chest, a probe's cable from a foot or a hand, a line from an arm, over body and mattress."""
    parts: list[Part] = []
    chest = 0.5 * (figure.joints["upperarm01.L"] + figure.joints["upperarm01.R"])
    starts: list[Floats] = [chest + rng.normal(0, 0.25, 3) for _ in range(int(rng.integers(0, 4)))]
    limbs = ("foot.L", "foot.R", "wrist.L", "wrist.R")
    starts += [figure.joints[limbs[int(rng.integers(4))]] for _ in range(int(rng.integers(0, 3)))]
    centre, half = chest, 4.0
    heights = np.asarray(
        cv2.dilate(props.height_map(figure.vertices[:13380], centre, half, level), np.ones((3, 3), np.uint8)),
        np.float32,
    )
    way, look = rng.uniform(0, 2 * np.pi), occluders.plastic(rng, infrared)
    for start in starts:
        turn = way + rng.normal(0, 0.5) + np.cumsum(rng.normal(0, 0.22, 12))
        steps = np.stack([np.cos(turn), np.sin(turn)], axis=1) * rng.uniform(0.25, 0.6)
        flat = start[:2] + np.vstack([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
        cells = (((flat - centre[:2]) / (2 * half) + 0.5) * props.GRID).astype(int).clip(0, props.GRID - 1)
        radius = float(rng.uniform(0.012, 0.035))
        path = np.column_stack([flat, heights[cells[:, 1], cells[:, 0]] + radius])
        parts.append(props.tube(props.smooth_path(path), radius, ((shaders.DEVICE, 4, props.OTHER), look), sides=6))
    return parts


def nest(rng: np.random.Generator, figure: Figure, level: float, infrared: bool) -> list[Part]:
    """A rolled towel about the newborn, open at some side."""
    radius = float(rng.uniform(0.22, 0.5))
    flat = figure.vertices[:13380:9, :2]
    hull = cv2.convexHull(flat.astype(np.float32)).reshape(-1, 2)
    middle = hull.mean(axis=0)
    angles = float(rng.choice([-np.pi / 2, 0.0, np.pi])) + np.linspace(-0.5, 0.5, 26) * rng.uniform(2.0, 4.6)
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    reach = ((hull - middle) @ ways.T).max(axis=0)
    ring = cv2.GaussianBlur(reach[None].astype(np.float32), (0, 0), 2.0)[0] + radius + rng.uniform(-0.05, 0.4)
    path = np.column_stack([middle + ways * ring[:, None], np.full(26, level + 0.75 * radius)])
    return [props.tube(path, radius, (OTHER_CLOTH, cloth(rng, infrared)), sides=18)]


def toys(rng: np.random.Generator, figure: Figure, level: float, infrared: bool) -> list[Part]:
    """Toys, cloths and boxes beside the newborn."""
    flat, parts = figure.vertices[:13380:9, :2], []
    for _ in range(int(rng.integers(1, 5))):
        radii = rng.uniform(0.15, 0.75, 3)
        at = flat.mean(axis=0) + rng.normal(0, 2.2, 2)
        if np.linalg.norm(flat - at, axis=1).min() < radii.max():
            continue
        look = ((shaders.CLOTH if rng.random() < 0.6 else shaders.DEVICE, 0, props.OTHER), cloth(rng, infrared))
        turn = rotation(triple(rng.uniform(-180, 180, 3)))
        place = np.array([*at, level + radii[2] * 0.8])
        parts.append(props.blob(place, radii, turn, float(rng.uniform(0.25, 1.0)), look))
    return parts


def hands(rng: np.random.Generator, figure: Figure, camera: Camera, infrared: bool) -> list[Part]:
    """A carer's hand or two on the newborn, the arms from beyond the cot's side."""
    bones = ("upperarm01.L", "wrist.R", "foot.L", "lowerleg01.R", "head", "upperleg01.L", "wrist.L", "lowerleg01.L")
    parts = []
    for _ in range(1 + int(rng.random() < 0.3)):
        at: Floats = figure.joints[bones[int(rng.integers(len(bones)))]] + np.array([0.0, 0.0, rng.uniform(0.35, 0.8)])
        away = unit(np.array([*rng.normal(0, 1, 2), 0.6]))
        toward = unit(camera.place - at)
        parts.append(occluders.carer(rng, at.astype(np.float32), infrared, unit(away + 0.2 * toward)))
    return parts
