"""What lies on and about a whole newborn: blankets, swaddles, nests, tubes and wires, toys, a carer's hands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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
COT_SHARE, FACE_SHARE = 0.5, 0.3
FACE_PROPS = ("cannula", "feeding", "cpap", "dummy", "patch")
OTHER_CLOTH = (shaders.CLOTH, 3, props.OTHER)
GLOVES = ((0.10, 0.55, 0.50), (0.75, 0.20, 0.35), (0.85, 0.75, 0.20))  # of the shifted sets alone


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
    empty: bool = False,
) -> Around:
    """Mattress, cover and everything else of one picture; what lies about comes from SHIFTED where `shifted`.

    In an `empty` cot nothing is on the newborn, who is not there.
    """
    names: list[str] = []
    uniforms: dict[str, Uniform] = {}
    parts = scene.bedding(rng, figure, lying.level, infrared, cover, coarse=True)
    if rng.random() < COT_SHARE:
        low, high = _cot_corners(rng, figure)
        parts = [_within(part, low, high) for part in parts]
        parts, names = parts + _cot(rng, (low, high), lying.level, infrared), [*names, "cot"]
    if cover == "swaddle":
        parts.append(swaddle(figure, lying.level, cloth(rng, infrared)))
    if rng.random() < FACE_SHARE and not empty:
        name = str(rng.choice(FACE_PROPS))
        more, uniforms = occluders.add_occluder(rng, figure, infrared, figure.head_turn[:, 2], name)
        parts, names = parts + more, [*names, name]
    at = At(figure, lying.level, camera, infrared)
    for name, (share, make) in {**BOTH, **(SHIFTED if shifted else TRAINED)}.items():
        if rng.random() < share:
            parts, names = parts + make(rng, at), [*names, name]
    return Around(parts, uniforms, tuple(names))


def _cot_corners(rng: np.random.Generator, figure: Figure) -> tuple[Floats, Floats]:
    """The corners of a cot with room for the newborn."""
    flat = figure.vertices[:13380, :2]
    middle = flat.mean(axis=0)
    room = np.maximum(np.abs(flat - middle).max(axis=0) + 0.15, rng.uniform((1.8, 3.3), (3.2, 4.8)))
    return middle - room, middle + room


def _within(part: Part, low: Floats, high: Floats) -> Part:
    """Mattress or blanket ending at the cot's walls."""
    place = part.place.copy()
    place[:, :2] = place[:, :2].clip(low, high)
    return replace(part, place=place)


def _cot(rng: np.random.Generator, corners: tuple[Floats, Floats], level: float, infrared: bool) -> list[Part]:
    """Low walls about the mattress and the floor below."""
    low, high = corners
    middle, half = (low + high) / 2, (high - low) / 2
    wall, thick = float(rng.uniform(0.15, 1.1)), float(rng.uniform(0.04, 0.12))
    kind = shaders.CLOTH if rng.random() < 0.3 else shaders.DEVICE
    look = ((kind, 0, props.OTHER), cloth(rng, infrared, 0.7))
    parts = []
    for axis in (0, 1):
        for sign in (-1.0, 1.0):
            centre = np.array([*middle, level + wall - 0.3])
            centre[axis] += sign * (half[axis] + thick)
            radii = np.array([*(half + 2 * thick), wall + 0.3])
            radii[axis] = thick
            parts.append(props.blob(centre, radii, np.eye(3, dtype=np.float32), 0.2, look))
    return [*parts, props.mattress(None, level - float(rng.uniform(1.0, 4.5)), cloth(rng, infrared, 0.7), 24.0, 5)]


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
    smooth = cv2.GaussianBlur(rough, (0, 0), sigmaX=2.2, sigmaY=1e-3).astype(np.float32)
    edges = np.vstack([smooth[:1], np.maximum(smooth[1:], rough[1:])])  # a wrapped limb does not poke out
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


@dataclass(frozen=True)
class At:
    """Where something is to be put."""

    figure: Figure
    level: float
    camera: Camera
    infrared: bool

    @property
    def flat(self) -> Floats:
        """Some of the newborn's vertices as seen from above (N, 2)."""
        out: Floats = self.figure.vertices[:13380:9, :2]
        return out

    def spot(self, rng: np.random.Generator) -> Floats:
        """A joint of the newborn at random."""
        bones = ("upperarm01.L", "upperarm01.R", "wrist.L", "wrist.R", "upperleg01.L", "lowerleg01.L", "lowerleg01.R")
        return self.figure.joints[bones[int(rng.integers(len(bones)))]]


def wires(rng: np.random.Generator, at: At) -> list[Part]:
    """Leads from the chest, a probe's cable from a foot or a hand, over body and mattress."""
    figure, parts = at.figure, []
    chest = 0.5 * (figure.joints["upperarm01.L"] + figure.joints["upperarm01.R"])
    starts: list[Floats] = [chest + rng.normal(0, 0.25, 3) for _ in range(int(rng.integers(0, 4)))]
    limbs = ("foot.L", "foot.R", "wrist.L", "wrist.R")
    starts += [figure.joints[limbs[int(rng.integers(4))]] for _ in range(int(rng.integers(1 - bool(starts), 3)))]
    half = 4.0
    heights = cv2.dilate(
        props.height_map(figure.vertices[:13380], chest, half, at.level), np.ones((3, 3), np.uint8)
    ).astype(np.float32)
    heights = np.maximum(cv2.GaussianBlur(heights, (0, 0), 1.0), heights - 0.1)
    way, look = rng.uniform(0, 2 * np.pi), occluders.plastic(rng, at.infrared)
    for start in starts:
        turn = way + rng.normal(0, 0.5) + np.cumsum(rng.normal(0, 0.22, 12))
        steps = np.stack([np.cos(turn), np.sin(turn)], axis=1) * rng.uniform(0.25, 0.6)
        radius = float(rng.uniform(0.012, 0.035))
        flat = np.column_stack([start[:2] + np.vstack([np.zeros((1, 2)), np.cumsum(steps, axis=0)]), np.zeros(13)])
        path = props.smooth_path(flat)
        cells = (((path[:, :2] - chest[:2]) / (2 * half) + 0.5) * props.GRID).astype(int).clip(0, props.GRID - 1)
        path[:, 2] = heights[cells[:, 1], cells[:, 0]] + radius
        path[:, 2] = np.maximum(cv2.blur(path[:, 2:3], (1, 7))[:, 0], path[:, 2] - 0.03)
        parts.append(props.tube(path, radius, ((shaders.DEVICE, 4, props.OTHER), look), sides=6))
    return parts


def nest(rng: np.random.Generator, at: At) -> list[Part]:
    """A rolled towel about the newborn, open at some side."""
    radius = float(rng.uniform(0.22, 0.5))
    hull = cv2.convexHull(at.flat.astype(np.float32)).reshape(-1, 2)
    middle = hull.mean(axis=0)
    angles = float(rng.choice([-np.pi / 2, 0.0, np.pi])) + np.linspace(-0.5, 0.5, 26) * rng.uniform(2.0, 4.6)
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    reach = ((hull - middle) @ ways.T).max(axis=0)
    ring = cv2.GaussianBlur(reach[None].astype(np.float32), (0, 0), 2.0)[0] + radius + rng.uniform(-0.05, 0.4)
    path = np.column_stack([middle + ways * ring[:, None], np.full(26, at.level + 0.75 * radius)])
    return [props.tube(path, radius, (OTHER_CLOTH, cloth(rng, at.infrared)), sides=18)]


def toys(rng: np.random.Generator, at: At) -> list[Part]:
    """Toys, cloths and boxes beside the newborn."""
    parts = []
    for _ in range(int(rng.integers(1, 5))):
        radii = rng.uniform(0.15, 0.75, 3)
        place = at.flat.mean(axis=0) + rng.normal(0, 2.2, 2)
        if np.linalg.norm(at.flat - place, axis=1).min() < radii.max():
            continue
        kind = (shaders.CLOTH if rng.random() < 0.6 else shaders.DEVICE, 0, props.OTHER)
        turn = rotation(triple(rng.uniform(-180, 180, 3)))
        centre = np.array([*place, at.level + radii[2] * 0.8])
        parts.append(props.blob(centre, radii, turn, float(rng.uniform(0.25, 1.0)), (kind, cloth(rng, at.infrared))))
    return parts


def hands(rng: np.random.Generator, at: At) -> list[Part]:
    """A carer's hand or two on the newborn, bare or gloved as those that touch faces."""
    pairs = [
        _hand(rng, at, occluders.hand_look(rng, at.infrared), float(rng.uniform(0.76, 0.99)))
        for _ in range(1 + int(rng.random() < 0.3))
    ]
    return [part for pair in pairs for part in pair]


def _hand(rng: np.random.Generator, at: At, look: dict[str, Uniform], scale: float) -> list[Part]:
    """A hand laid on the newborn, and its arm in a sleeve from beside and a little above."""
    place = (at.spot(rng) + np.array([0.0, 0.0, rng.uniform(0.1, 0.5)])).astype(np.float32)
    away = unit(np.array([*rng.normal(0, 1, 2), 0.6]))
    reach = unit(away + 0.2 * unit(at.camera.place - place))
    hand = props.carer_hand(rng, place, reach, look, scale=scale)
    elbow_dm = float(((hand.place[hand.index[::7]] - place) @ reach).max())
    path = place + np.linspace(0.55 * elbow_dm, elbow_dm + 7.0, 8)[:, None] * reach
    kind = (shaders.CLOTH, 5, props.HAND)
    return [
        hand,
        props.tube(path, float(rng.uniform(0.36, 0.5)) * scale, (kind, cloth(rng, at.infrared, 0.7)), sides=14),
    ]


def pillow(rng: np.random.Generator, at: At) -> list[Part]:
    """A big soft cushion against or partly over the newborn."""
    turn = rotation((0.0, 0.0, float(rng.uniform(0, 360)))) @ rotation((float(rng.normal(0, 12)), 0.0, 0.0))
    radii = np.array([rng.uniform(1.1, 1.7), rng.uniform(0.7, 1.1), rng.uniform(0.25, 0.4)])
    aside = unit(np.array([*rng.normal(0, 1, 2), 0.0])) * rng.uniform(1.0, 2.0)
    centre = at.spot(rng) + aside
    centre[2] = at.level + rng.uniform(0.4, 1.2)
    return [props.blob(centre, radii, turn, 0.55, (OTHER_CLOTH, cloth(rng, at.infrared)))]


def animal(rng: np.random.Generator, at: At) -> list[Part]:
    """A stuffed animal: body, head, ears and four legs, beside the newborn or on it."""
    size, turn = float(rng.uniform(0.7, 1.3)), rotation((0.0, 0.0, float(rng.uniform(0, 360))))
    centre = at.spot(rng) + np.array([*rng.normal(0, 0.9, 2), 0.0])
    centre[2] = at.level + rng.uniform(0.3, 0.9) * size
    look = (OTHER_CLOTH, cloth(rng, at.infrared, 0.8))
    limbs = [(x, y, 0.0) for x in (-0.42, 0.42) for y in (-0.35, 0.25)]
    ears = [(-0.22, 0.85, 0.1), (0.22, 0.85, 0.1)]
    shapes = [((0.0, 0.0, 0.0), (0.36, 0.45, 0.30)), ((0.0, 0.6, 0.05), (0.30, 0.28, 0.27))]
    shapes += [(place, (0.16, 0.24, 0.15)) for place in limbs] + [(place, (0.11, 0.13, 0.06)) for place in ears]
    return [
        props.blob(centre + turn @ (size * np.array(place)), size * np.array(radii), turn, 1.0, look)
        for place, radii in shapes
    ]


def net(rng: np.random.Generator, at: At) -> list[Part]:
    """A net of cords stretched above part of the cot."""
    middle, step = at.flat.mean(axis=0) + rng.normal(0, 1.0, 2), float(rng.uniform(0.35, 0.7))
    height, radius = at.level + float(rng.uniform(1.4, 2.2)), float(rng.uniform(0.012, 0.03))
    look = ((shaders.DEVICE, 4, props.OTHER), occluders.plastic(rng, at.infrared))
    turn = rotation((0.0, 0.0, float(rng.uniform(0, 90))))
    parts = []
    for shift in np.arange(-1.8, 1.81, step):
        for flip in (False, True):
            ends = np.array([[shift, -1.8, 0.0], [shift, 0.0, -0.15], [shift, 1.8, 0.0]])
            path = (ends[:, [1, 0, 2]] if flip else ends) @ turn.T + np.array([*middle, height])
            parts.append(props.tube(props.smooth_path(path), radius, look, sides=5))
    return parts


def gloves(rng: np.random.Generator, at: At) -> list[Part]:
    """One to three hands in gloves of GLOVES, bigger than training's."""
    pairs = []
    for _ in range(int(rng.integers(1, 4))):
        colour = np.full(3, rng.uniform(0.75, 0.95)) if at.infrared else np.array(GLOVES[int(rng.integers(3))])
        pairs.append(_hand(rng, at, occluders.plain(colour), float(rng.uniform(1.15, 1.35))))
    return [part for pair in pairs for part in pair]


Maker = Callable[[np.random.Generator, At], list[Part]]
BOTH: dict[str, tuple[float, Maker]] = {"wires": (0.55, wires)}
TRAINED: dict[str, tuple[float, Maker]] = {"nest": (0.3, nest), "toys": (0.4, toys), "carer": (0.14, hands)}
SHIFTED: dict[str, tuple[float, Maker]] = {
    "pillow": (0.25, pillow),
    "animal": (0.35, animal),
    "net": (0.15, net),
    "gloves": (0.2, gloves),
}
