"""What lies around the newborn: mattress, blanket, rolls, rails, toys, tubes, a carer's hand."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from export.infant import shaders
from export.infant.figure import Figure, canon, surface, triangles
from export.infant.mesh import Floats, Ints, load_mesh
from export.infant.paint import catmull_rom
from export.infant.pose import MOVING, Pose, folded_weights, rotation, skin, transforms
from export.infant.render import Part, Uniform

BLANKET, OTHER, HAND = 4, 5, 6
Look = tuple[tuple[int, int, int], dict[str, Uniform]]  # (material, label, object) and the material's uniforms
GRID = 72


def _grid_index(rows: int, columns: int) -> Ints:
    at = np.arange(rows * columns).reshape(rows, columns)
    quads = np.stack([at[:-1, :-1], at[:-1, 1:], at[1:, 1:], at[1:, :-1]], axis=-1).reshape(-1, 4)
    return triangles(quads.astype(np.int32))


def _grid_normals(place: Floats) -> Floats:
    """Normals of a (rows, columns, 3) grid."""
    across, along = np.gradient(place, axis=1), np.gradient(place, axis=0)
    normal = np.cross(across, along)
    out: Floats = (normal / (np.linalg.norm(normal, axis=2, keepdims=True) + 1e-9)).astype(np.float32)
    return out


def _part(
    place: Floats,
    normal: Floats,
    canon_at: Floats,
    shade: Floats,
    index: Ints,
    *,
    kind: tuple[int, int, int],
    uniforms: dict[str, Uniform],
) -> Part:
    extra = np.zeros((len(place), 4), np.float32)
    extra[:, 3] = shade
    return Part(
        place.astype(np.float32),
        normal.astype(np.float32),
        canon_at.astype(np.float32),
        extra,
        index,
        kind[0],
        kind[1],
        kind[2],
        uniforms,
    )


def height_map(vertices: Floats, centre: Floats, half: float, bottom: float) -> Floats:
    """(GRID, GRID) highest z of the vertices above each cell of the mattress; rows run along +y."""
    cells = ((vertices[:, :2] - centre[:2]) / (2 * half) + 0.5) * GRID
    rows, columns = cells[:, 1].astype(int), cells[:, 0].astype(int)
    keep = (rows >= 0) & (rows < GRID) & (columns >= 0) & (columns < GRID)
    out = np.full((GRID, GRID), bottom, np.float32)
    np.maximum.at(out, (rows[keep], columns[keep]), vertices[keep, 2])
    return out


def mattress(
    figure: Figure | None, level: float, uniforms: dict[str, Uniform], half: float = 14.0, count: int = 97
) -> Part:
    """The plane the newborn lies on, darker where the body is close (contact shade)."""
    line = np.linspace(-half, half, count, dtype=np.float32)
    place = np.zeros((count, count, 3), np.float32)
    place[..., 0], place[..., 1], place[..., 2] = line[None, :], line[:, None] - 4.0, level
    shade = np.zeros((count, count), np.float32)
    if figure is not None:
        low = figure.vertices[: len(figure.vertices) * 7 // 10]
        low = low[low[:, 2] < level + 0.7]
        cells = ((low[:, :2] + [half, half + 4.0]) / (2 * half) * (count - 1)).round().astype(int).clip(0, count - 1)
        shade[cells[:, 1], cells[:, 0]] = 1
        shade = np.clip(cv2.GaussianBlur(shade, (0, 0), 1.3) * 1.0, 0, 0.85)
    normal = np.broadcast_to(np.array([0, 0, 1], np.float32), place.shape)
    flat = place.reshape(-1, 3)
    return _part(
        flat,
        normal.reshape(-1, 3),
        flat,
        shade.ravel(),
        _grid_index(count, count),
        kind=(shaders.GROUND, 0, 0),
        uniforms=uniforms,
    )


def blanket(
    rng: np.random.Generator, figure: Figure, level: float, top: float, *, narrow: float, uniforms: dict[str, Uniform]
) -> Part:
    """A cloth draped over the body from y = `top` down; `narrow` is its half width in decimetres."""
    half = 4.2
    centre = np.array([0.0, top - half, 0.0], np.float32)
    body = figure.vertices[:13380]
    head = folded_weights()[:13380, MOVING.index("head")] > 0.3
    height = height_map(body[~head], centre, half, level)
    height = cv2.dilate(height, np.ones((3, 3), np.uint8)).astype(np.float32)
    soft = cv2.GaussianBlur(height, (0, 0), 1.6)
    height = np.maximum(soft, cv2.GaussianBlur(height, (0, 0), 0.8)) + 0.07
    noise = cv2.resize(rng.random((9, 9)).astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.random((26, 26)).astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_CUBIC)
    height += 0.12 * noise + 0.05 * fine
    line = np.linspace(-half, half, GRID, dtype=np.float32)
    place = np.zeros((GRID, GRID, 3), np.float32)
    place[..., 0] = centre[0] + line[None, :]
    place[..., 1] = centre[1] + line[:, None] + 0.25 * (noise - 0.5) * (line[:, None] > half * 0.8)
    place[..., 2] = height
    keep = np.abs(line) <= narrow
    place, height = place[:, keep], height[:, keep]
    hem = np.exp(-(((half - line[:, None]) / 0.10) ** 2)) * 0.05
    place[..., 2] += hem
    wrinkle = np.clip(cv2.GaussianBlur(place[..., 2], (0, 0), 2.0) - place[..., 2], 0, 0.12) * 4
    normal = _grid_normals(place)
    rows, columns = place.shape[:2]
    skirt = place.reshape(-1, 3)
    uv = skirt.copy()
    uv[:, 2] = 0
    return _part(
        skirt,
        normal.reshape(-1, 3),
        uv,
        wrinkle.ravel(),
        _grid_index(rows, columns),
        kind=(shaders.CLOTH, 3, BLANKET),
        uniforms=uniforms,
    )


def tube(path: Floats, radius: float, look: Look, sides: int = 10) -> Part:
    """A round tube along a (N, 3) path, N >= 2, with rounded ends."""
    steps = np.diff(path, axis=0)
    along = np.vstack([steps[:1], 0.5 * (steps[1:] + steps[:-1]), steps[-1:]])
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    helper = np.array([0.31, 0.22, 0.93])
    first = np.cross(along, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True) + 1e-9
    second = np.cross(along, first)
    radii = np.full(len(path), radius)
    path = np.vstack([path[:1] - along[:1] * radius * 0.6, path, path[-1:] + along[-1:] * radius * 0.6])
    first, second = np.vstack([first[:1], first, first[-1:]]), np.vstack([second[:1], second, second[-1:]])
    radii = np.concatenate([[radius * 0.05], radii, [radius * 0.05]])
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    normal = np.cos(angle)[None, :, None] * first[:, None] + np.sin(angle)[None, :, None] * second[:, None]
    place = path[:, None] + radii[:, None, None] * normal
    flat = place.reshape(-1, 3)
    return _part(
        flat,
        normal.reshape(-1, 3),
        flat,
        np.zeros(len(flat), np.float32),
        _grid_index(len(path), sides + 1),
        kind=look[0],
        uniforms=look[1],
    )


def blob(centre: Floats, radii: Floats, turn: Floats, power: float, look: Look) -> Part:
    """A superellipsoid: power 1 is an ellipsoid, small powers tend to a box."""
    u, v = np.meshgrid(np.linspace(-np.pi, np.pi, 29), np.linspace(-np.pi / 2, np.pi / 2, 17))

    def bend(value: Floats, exponent: float) -> Floats:
        out: Floats = np.sign(value) * np.abs(value) ** exponent
        return out

    shape = np.stack(
        [
            bend(np.cos(v), power) * bend(np.cos(u), power),
            bend(np.cos(v), power) * bend(np.sin(u), power),
            bend(np.sin(v), power),
        ],
        axis=-1,
    ).reshape(-1, 3)
    slope = np.stack(
        [
            bend(np.cos(v), 2 - power) * bend(np.cos(u), 2 - power),
            bend(np.cos(v), 2 - power) * bend(np.sin(u), 2 - power),
            bend(np.sin(v), 2 - power),
        ],
        axis=-1,
    )
    normal = slope.reshape(-1, 3) / radii @ turn.T
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    place = (shape * radii) @ turn.T + centre
    return _part(
        place,
        normal,
        shape * radii,
        np.zeros(len(place), np.float32),
        _grid_index(17, 29),
        kind=look[0],
        uniforms=look[1],
    )


def grid_part(place: Floats, kind: tuple[int, int, int], uniforms: dict[str, Uniform]) -> Part:
    """A (rows, columns, 3) grid of places as a cloth that wrinkles where it is hollow."""
    wrinkle = np.clip(cv2.GaussianBlur(place[..., 2].astype(np.float32), (0, 0), 2.0) - place[..., 2], 0, 0.12) * 4
    flat = place.reshape(-1, 3)
    index = _grid_index(*place.shape[:2])
    return _part(flat, _grid_normals(place).reshape(-1, 3), flat, wrinkle.ravel(), index, kind=kind, uniforms=uniforms)


def smooth_path(points: Floats, steps: int = 6) -> Floats:
    """Catmull-Rom through (N, 3) points."""
    return catmull_rom(points.astype(np.float64), steps).astype(np.float32)


def on_face(figure: Figure, places: list[tuple[float, float]], lift: float) -> Floats:
    """World points `lift` decimetres above the face's skin at canonical (x, y) places."""
    known = canon()
    rows = known.patch
    rows = rows[known.inner[rows] < 0.1]
    out = []
    for x, y in places:
        gap = np.hypot(known.place[rows, 0] - x, known.place[rows, 1] - y) + 0.3 * (0.8 - known.place[rows, 2])
        row = rows[int(np.argmin(gap))]
        out.append(figure.vertices[row] + lift * figure.normals[row])
    return np.array(out, np.float32)


@lru_cache(maxsize=1)
def _hand_rest() -> tuple[Floats, Floats, Ints]:
    """Vertices, canonical places and quads of the right hand and forearm of the (adult-sized) base mesh."""
    mesh = load_mesh()
    weights = folded_weights()
    rows = [
        i
        for i, name in enumerate(MOVING)
        if name.endswith(".L") and name.split("0")[0].split("-")[0] not in ("upperleg", "foot", "lowerleg")
    ]
    member = weights[:, rows].sum(axis=1) > 0.35
    quads = mesh.quads["body"]
    return mesh.base, canon().place, quads[member[quads].all(axis=1)]


def carer_hand(
    rng: np.random.Generator,
    at: Floats,
    reach: Floats,
    uniforms: dict[str, Uniform],
    *,
    scale: float | None = None,
    curl_deg: float | None = None,
    label: int = 5,
) -> Part:
    """A forearm and hand, an adult's unless `scale` is less, palm at `at`, the arm coming from direction `reach`."""
    mesh = load_mesh()
    base, _, quads = _hand_rest()
    curl = float(rng.uniform(0, 45)) if curl_deg is None else curl_deg
    turns: dict[str, tuple[float, float, float]] = {}
    for finger in "2345":
        for joint in "12":
            turns[f"finger{finger}-{joint}.L"] = (curl * 0.5, 0.0, -curl * float(rng.uniform(0.7, 1.2)))
    posed = skin(base, transforms(mesh, base, Pose(turns)))
    normals, cavity = surface(posed)
    wrist, palm = mesh.joint(base, "wrist.L"), mesh.joint(base, "finger3-1.L")
    elbow = mesh.joint(base, "lowerarm01.L")
    axis = (palm - elbow) / np.linalg.norm(palm - elbow)
    turn = _align(axis, -reach / np.linalg.norm(reach)) @ rotation(axis * float(rng.uniform(0, 360)))
    scale = float(rng.uniform(0.85, 1.1)) * 0.9 if scale is None else scale
    middle = 0.35 * wrist + 0.65 * palm
    place = (posed - middle) @ turn.T * scale + at
    return _part(
        place,
        normals @ turn.T,
        posed - middle,
        cavity,
        triangles(quads),
        kind=(shaders.CARER, label, HAND),
        uniforms=uniforms,
    )


def _align(a: Floats, b: Floats) -> Floats:
    """A rotation taking unit vector a to unit vector b."""
    axis = np.cross(a, b)
    sine, cosine = float(np.linalg.norm(axis)), float(a @ b)
    if sine < 1e-6:
        return np.eye(3, dtype=np.float32)
    return rotation(axis / sine * np.degrees(np.arctan2(sine, cosine)))


__all__ = [
    "BLANKET",
    "GRID",
    "HAND",
    "OTHER",
    "blanket",
    "blob",
    "carer_hand",
    "grid_part",
    "height_map",
    "mattress",
    "on_face",
    "smooth_path",
    "tube",
]
