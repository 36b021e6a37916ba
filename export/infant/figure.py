"""The posed newborn as drawable parts: skin, eyes, tongue, clothes shell, cap, with canonical masks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from export.infant import shaders
from export.infant.expression import Expression, apply_expression, canonical, neutral_weights
from export.infant.identity import Identity, make_identity
from export.infant.mesh import Floats, InfantMesh, Ints, load_mesh
from export.infant.pose import KEYPOINT_BONES, MOVING, Pose, breathe, folded_weights, skin, transforms
from export.infant.render import Part, Uniform

CORNER_RIGHT, CORNER_LEFT = (-0.136, -0.281), (0.136, -0.281)
NOSE_TIP = 297
BODY_VERTICES = 13380
OUTFITS = ("bodysuit", "romper", "sleepsuit")


@dataclass(frozen=True)
class Canon:
    """Facts of the mesh that no identity changes; `patch` are the face patch's vertex rows."""

    place: Floats
    front: Floats
    scalp: Floats
    upper_lid: Floats
    inner: Floats
    adjacency: Ints
    valence: Floats
    quads: Ints
    cloth_quads: Ints
    cap_quads: Ints
    patch: Ints
    corners: tuple[int, int]
    crown: int


@dataclass(frozen=True)
class Figure:
    """One posed newborn: vertices in world decimetres and what the truth needs."""

    identity: Identity
    face: Expression
    vertices: Floats
    normals: Floats
    cavity: Floats
    joints: dict[str, Floats]
    head_turn: Floats


@lru_cache(maxsize=1)
def canon() -> Canon:
    """Canonical coordinates (the average face, eyes shut, eye line near y = 0.09) and masks."""
    mesh = load_mesh()
    opened, shut = canonical()
    quads = mesh.quads["body"]
    x, y, z = shut[:, 0], shut[:, 1], shut[:, 2]
    inner = _inner(opened[:BODY_VERTICES], quads)
    adjacency = _adjacency(quads)
    oval = ((x / 0.50) ** 2 + ((y + 0.02) / np.where(y > -0.02, 0.47, 0.47)) ** 2 < 1) & (z > 0.16)
    head_share = folded_weights()[:, MOVING.index("head")]
    front = ((z > 0.10) & (head_share > 0.5) & (y > -0.56)).astype(np.float32)
    hairline = (y - 0.40) + 0.9 * (0.45 - z).clip(0, None) - 0.25 * (0.1 - y).clip(0, None)
    scalp = np.clip(0.5 + 2.2 * hairline, 0, 1) * (y > -0.30)
    ears = (np.abs(x) > 0.475) & (np.abs(z - 0.02) < 0.22) & (y < 0.16) & (y > -0.25)
    scalp[ears] = 0
    body_rows = np.arange(len(shut)) < BODY_VERTICES
    return Canon(
        place=shut,
        front=front * (scalp < 0.5),
        scalp=scalp.astype(np.float32),
        upper_lid=np.clip((opened[:, 1] - shut[:, 1]) / 0.015, 0, 1).astype(np.float32),
        inner=np.concatenate([inner, np.zeros(len(shut) - BODY_VERTICES, np.float32)]),
        adjacency=adjacency,
        quads=quads,
        valence=(adjacency < len(quads)).sum(axis=1, keepdims=True).clip(1).astype(np.float32),
        cloth_quads=quads[(head_share[quads] < 0.6).all(axis=1)],
        cap_quads=quads[((y[quads] > -0.25) & (head_share[quads] > 0.9) & ~ears[quads]).all(axis=1)],
        patch=np.flatnonzero(oval & body_rows & (scalp < 0.6)).astype(np.int32),
        corners=(_nearest(opened, CORNER_RIGHT), _nearest(opened, CORNER_LEFT)),
        crown=int(np.argmax(np.where(body_rows, y - 0.3 * np.abs(z), -9))),
    )


def _nearest(opened: Floats, place: tuple[float, float]) -> int:
    gap = np.hypot(opened[:BODY_VERTICES, 0] - place[0], opened[:BODY_VERTICES, 1] - place[1])
    gap[opened[:BODY_VERTICES, 2] < 0.6] = 9
    return int(np.argmin(gap))


def _inner(opened: Floats, quads: Ints) -> Floats:
    """Vertices of the mouth's inside, told by normals that face the mouth's middle: 1 deep inside."""
    corners = opened[quads]
    facing = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normal = np.zeros_like(opened)
    for column in range(4):
        np.add.at(normal, quads[:, column], facing)
    middle = np.array([0.0, -0.29, 0.48], np.float32)
    inward = np.einsum("vi,vi->v", normal, opened - middle) < 0
    x, y, z = opened[:, 0], opened[:, 1], opened[:, 2]
    bag = (np.abs(x) < 0.25) & (y > -0.45) & (y < -0.10) & (z > 0.05) & ((y < -0.2) | (z < 0.60)) & inward
    inner: Floats = np.where(bag, np.clip((0.70 - 3.0 * x * x - z) / 0.05, 0, 1), 0).astype(np.float32)
    return inner


def _adjacency(quads: Ints) -> Ints:
    """(body vertices, 8) quad rows around each vertex, padded with the count of quads."""
    order = np.argsort(quads.ravel(), kind="stable")
    owner = quads.ravel()[order]
    first = np.searchsorted(owner, np.arange(BODY_VERTICES))
    out = np.full((BODY_VERTICES, 10), len(quads), np.int32)
    slot = np.arange(len(owner)) - first[owner]
    keep = slot < 10
    out[owner[keep], slot[keep]] = (order // 4)[keep]
    return out


def _around(faces: Floats) -> Floats:
    """Sum of a per-quad (N, 3) over the quads around each body vertex."""
    known = canon()
    padded = np.vstack([faces, np.zeros((1, 3), np.float32)]).astype(np.float32)
    out = padded[known.adjacency[:, 0]]
    for slot in range(1, 4):
        out += padded[known.adjacency[:, slot]]
    for slot, rows in _crowded():
        out[rows] += padded[known.adjacency[rows, slot]]
    return out


@lru_cache(maxsize=1)
def _crowded() -> list[tuple[int, Ints]]:
    """Beyond the fourth quad around a vertex: slot of the adjacency, and the few vertices that have one."""
    known = canon()
    slots = range(4, known.adjacency.shape[1])
    return [(slot, np.flatnonzero(known.adjacency[:, slot] < len(known.quads)).astype(np.int32)) for slot in slots]


def _middles(vertices: Floats) -> Floats:
    """Centres of the body's quads."""
    quads = canon().quads
    out: Floats = (vertices[quads[:, 0]] + vertices[quads[:, 1]] + vertices[quads[:, 2]] + vertices[quads[:, 3]]) / 4
    return out


def surface(vertices: Floats) -> tuple[Floats, Floats]:
    """Unit normals (V, 3) and cavity in 0-0.4 (V,) of the body; vertices beyond the body get zeros."""
    known = canon()
    quads = known.quads
    normal = _cross(vertices[quads[:, 2]] - vertices[quads[:, 0]], vertices[quads[:, 3]] - vertices[quads[:, 1]])
    total = _around(normal)
    size = np.sqrt(np.einsum("vi,vi->v", total, total)) + 1e-12
    total /= size[:, None]
    drift = _around(_middles(vertices)) / known.valence - vertices[:BODY_VERTICES]
    reach = np.sqrt(size / known.valence[:, 0])
    hollow = np.clip(1.6 * np.einsum("vi,vi->v", drift, total) / (reach + 1e-6), 0, 0.4)
    normals, cavity = np.zeros_like(vertices), np.zeros(len(vertices), np.float32)
    normals[:BODY_VERTICES], cavity[:BODY_VERTICES] = total, hollow
    return normals, cavity


def _cross(a: Floats, b: Floats) -> Floats:
    return np.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        axis=1,
    )


@lru_cache(maxsize=24)
def neutral_shape(seed: int) -> Floats:
    """The resting newborn of an identity: bigger head, shorter limbs than the mesh's older baby."""
    mesh, who = load_mesh(), make_identity(seed)
    out = mesh.blend(who.targets)
    weights = folded_weights()
    head = weights[:, MOVING.index("head")][:, None]
    out += head * (who.head_scale - 1) * (out - mesh.joint(out, "head"))
    for root in ("upperarm01", "upperleg01"):
        for side in "LR":
            chain = [i for i, name in enumerate(MOVING) if name.endswith(side) and _on_limb(name, root)]
            share = weights[:, chain].sum(axis=1)[:, None]
            out += share * (who.limb_scale - 1) * (out - mesh.joint(out, f"{root}.{side}"))
    return out


def _on_limb(name: str, root: str) -> bool:
    legs = ("upperleg01", "lowerleg01", "foot")
    stem = name.partition(".")[0]
    return (stem in legs) == (root == "upperleg01")


@dataclass(frozen=True)
class Build:
    """How long trunk and bones and how big the head are beside the identity's own; `neck_dm` shortens the neck."""

    trunk: float = 1.0
    neck_dm: float = 0.0
    upper_arm: float = 1.0
    forearm: float = 1.0
    thigh: float = 1.0
    shank: float = 1.0
    head: float = 1.0


def built(vertices: Floats, build: Build) -> Floats:
    """The resting newborn with its bones lengthened or shortened, hands and feet in their own size."""
    mesh, weights = load_mesh(), folded_weights()
    vertices = _stretched(vertices, build)
    out = vertices.copy()
    head = weights[:, MOVING.index("head")][:, None]
    out += head * (build.head - 1) * (vertices - mesh.joint(vertices, "head"))
    for chain, scales in (
        (("upperarm01", "lowerarm01", "wrist"), (build.upper_arm, build.forearm)),
        (("upperleg01", "lowerleg01", "foot"), (build.thigh, build.shank)),
    ):
        for side in "LR":
            for near, far, scale in zip(chain, chain[1:], scales, strict=False):
                start, end = (mesh.joint(vertices, f"{bone}.{side}") for bone in (near, far))
                length = float(np.linalg.norm(end - start))
                way = (end - start) / length
                along = ((vertices - start) @ way).clip(0, length)
                out += _below(f"{near}.{side}")[:, None] * ((scale - 1) * along)[:, None] * way
    return out.astype(np.float32)


def _stretched(vertices: Floats, build: Build) -> Floats:
    """The trunk longer from shoulders to hips, the neck shorter; head and legs go along, the arms stay."""
    mesh = load_mesh()
    chin, top, bottom = (float(mesh.joint(vertices, bone)[1]) for bone in ("head", "upperarm01.L", "upperleg01.L"))
    arms = _below("upperarm01.L") + _below("upperarm01.R")
    out, height = vertices.copy(), vertices[:, 1]
    down = (build.trunk - 1) * (top - height).clip(0, top - bottom)
    down += build.neck_dm * ((height - top) / (chin - top)).clip(0, 1)
    out[:, 1] -= (1 - arms) * down
    return out


@lru_cache(maxsize=8)
def _below(bone: str) -> Floats:
    """Per vertex the share of `bone` and of all that hangs on it."""
    chain = ("upperarm01", "lowerarm01", "wrist") if "arm" in bone else ("upperleg01", "lowerleg01", "foot")
    stem, _, side = bone.partition(".")
    above = chain[: chain.index(stem)]
    rows = [
        index
        for index, name in enumerate(MOVING)
        if name.endswith(f".{side}") and _on_limb(name, chain[0]) and name.partition(".")[0] not in above
    ]
    share: Floats = folded_weights()[:, rows].sum(axis=1)
    return share


def resting(seed: int, face: Expression, build: Build | None = None, breath: float = 0.0) -> Floats:
    """Vertices (V, 3) of the newborn of an identity before it is posed."""
    mesh, who = load_mesh(), make_identity(seed)
    rest = breathe(mesh, apply_expression(mesh, neutral_shape(seed), who.ethnicity, face), breath)
    return rest if build is None else built(rest, build)


def pose_figure(seed: int, face: Expression, pose: Pose) -> Figure:
    """Builds the newborn of an identity with an expression in a pose."""
    return posed_figure(seed, face, resting(seed, face, breath=pose.breath), pose)


def posed_figure(seed: int, face: Expression, rest: Floats, pose: Pose, floor: float | None = None) -> Figure:
    """Poses a newborn at `rest`; no vertex goes below the height `floor`."""
    mesh, who = load_mesh(), make_identity(seed)
    moves = transforms(mesh, rest, pose)
    vertices = skin(rest, moves)
    if floor is not None:
        vertices[:BODY_VERTICES, 2] = np.maximum(vertices[:BODY_VERTICES, 2], floor)
    normals, cavity = surface(vertices)
    joints = {bone: mesh.joint(vertices, bone) for bone in (*KEYPOINT_BONES, "neck01", "head")}
    joints |= {eye: mesh.joint(vertices, eye) for eye in ("eye.L", "eye.R")}
    joints["crown"] = vertices[canon().crown]
    return Figure(who, face, vertices, normals, cavity, joints, moves[MOVING.index("head")][:3, :3])


def triangles(quads: Ints) -> Ints:
    """Each quad as two triangles, flat."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).ravel().astype(np.int32)


@lru_cache(maxsize=5)
def dress_mask(outfit: str) -> Floats:
    """Per vertex above 0.5 where the outfit (of OUTFITS, or a nappy) covers it; the pelvis is always covered."""
    mesh = load_mesh()
    rest = mesh.blend(neutral_weights())
    neck = mesh.joint(rest, "neck01") + np.array([0, 0.02, 0.05], np.float32)
    away = np.linalg.norm((rest - neck) * np.array([0.85, 1.0, 0.8]), axis=1) - 0.40
    away = np.where(rest[:, 1] > neck[1] + 0.05, -1.0, away)
    arm_limit = {"nappy": -0.1, "bodysuit": 0.50, "romper": 1.7, "sleepsuit": 1.9}[outfit]
    leg_limit = {"nappy": 0.30, "bodysuit": 0.45, "romper": 0.95, "sleepsuit": 3.0}[outfit]
    reach = np.minimum(away, arm_limit - _along(mesh, rest, ("upperarm01", "lowerarm01", "wrist")))
    if outfit == "nappy":
        waist = mesh.joint(rest, "root")[1] + 0.42
        reach = np.minimum(reach, waist - rest[:, 1])
    reach = np.minimum(reach, leg_limit - _along(mesh, rest, ("upperleg01", "lowerleg01", "foot")))
    out: Floats = np.clip(0.5 + 4.0 * reach, 0, 1).astype(np.float32)
    return out


def _along(mesh: InfantMesh, rest: Floats, chain: tuple[str, str, str]) -> Floats:
    """How far along a limb a vertex lies: 0 at its root, 1 at the middle joint, 2 at its end; -1 elsewhere."""
    out = np.full(len(rest), -1.0, np.float32)
    weights = folded_weights()
    for side in "LR":
        a, b, c = (mesh.joint(rest, f"{bone}.{side}") for bone in chain)
        arm = chain[0] == "upperarm01"
        rows = [i for i, name in enumerate(MOVING) if name.endswith(side) and _on_limb(name, chain[0])]
        member = weights[:, rows].sum(axis=1) > 0.25
        first = (rest - a) @ (b - a) / ((b - a) @ (b - a))
        second = 1 + (rest - b) @ (c - b) / ((c - b) @ (c - b))
        value = np.where(first < 1, first, np.maximum(second, 1.0))
        out[member] = value[member] if arm else np.maximum(value[member], 0)
    return out


def infant_parts(
    figure: Figure,
    outfit: str,
    cloth: dict[str, Uniform],
    cap: dict[str, Uniform] | None,
    *,
    bust: bool = False,
    loose: int = 4,
) -> list[Part]:
    """The newborn as parts: object 1 is the bare head, 2 clothes, 7 trunk and limbs; a `bust` ends at the hips.

    Clothes hang the looser the higher `loose` is: rounds of smoothing.
    """
    known, mesh = canon(), load_mesh()
    zeros = np.zeros(len(figure.vertices), np.float32)
    dress = dress_mask(outfit)
    inner = np.maximum(figure.cavity, known.inner)
    extra = np.stack([known.front, known.scalp, known.upper_lid, inner], axis=1)
    parts = [
        Part(figure.vertices, figure.normals, known.place, extra, index, shaders.SKIN, 2, number)
        for number, index in ((1, _head_index()), (7, _limb_index(bust)))
    ]
    parts += _eyes(figure, mesh)
    tongue = mesh.quads["helper-tongue"]
    parts.append(
        Part(
            figure.vertices,
            figure.normals,
            known.place,
            np.stack([zeros] * 4, axis=1),
            triangles(tongue),
            shaders.TONGUE,
            1,
            1,
        )
    )
    shell, shell_normals, cavity = _drape(figure, dress, rounds=0 if bust else loose)
    extra = np.stack([zeros, zeros, dress, cavity], axis=1)
    parts.append(
        Part(
            shell,
            shell_normals,
            known.place,
            extra,
            _cloth_index(bust),
            shaders.CLOTH,
            3,
            2,
            {"layer": 1.0, **cloth},
        )
    )
    if cap is not None:
        parts.append(_cap(figure, cap))
    return parts


def _of_head(quads: Ints) -> NDArray[np.bool_]:
    return np.asarray((folded_weights()[:, MOVING.index("head")] > 0.5)[quads].any(axis=1))


@lru_cache(maxsize=1)
def _head_index() -> Ints:
    return triangles(canon().quads[_of_head(canon().quads)])


@lru_cache(maxsize=2)
def _limb_index(bust: bool) -> Ints:
    quads = canon().quads[~_of_head(canon().quads)]
    return triangles(_upper(quads) if bust else quads)


@lru_cache(maxsize=2)
def _cloth_index(bust: bool) -> Ints:
    return triangles(_upper(canon().cloth_quads) if bust else canon().cloth_quads)


def _upper(quads: Ints) -> Ints:
    """The quads above the hips and those of the arms."""
    arms = [i for i, name in enumerate(MOVING) if name[-2:] in (".L", ".R") and not _on_limb(name, "upperleg01")]
    arm = folded_weights()[:, arms].sum(axis=1) > 0.5
    out: Ints = quads[((canon().place[:, 1] > -1.7) | arm)[quads].all(axis=1)]
    return out


def _drape(figure: Figure, dress: Floats, *, rounds: int) -> tuple[Floats, Floats, Floats]:
    """A loose shell: the body smoothed `rounds` times, held off it by 4-9 mm and thrown into folds."""
    known = canon()
    cloth = figure.vertices.copy()
    for _ in range(rounds):
        cloth[:BODY_VERTICES] = _around(_middles(cloth)) / known.valence
    place = known.place * np.array([5.0, 3.1, 4.0], np.float32) + 6.28 * np.array(figure.identity.jitter, np.float32)
    folds = np.sin(place[:, 1] + 1.3 * np.sin(1.7 * place[:, 0])) * np.sin(1.1 * place[:, 0] + 0.8 * place[:, 2])
    thick = 0.065 + 0.02 * folds - 0.03 * np.clip((0.62 - dress) / 0.12, 0, 1)
    cloth += figure.normals * thick[:, None].astype(np.float32)
    if not rounds:
        return cloth, figure.normals, figure.cavity
    normals, cavity = surface(cloth)
    return cloth, normals, cavity


def _cap(figure: Figure, cap: dict[str, Uniform]) -> Part:
    known = canon()
    plane = np.array(cap["cap_plane"], np.float32)
    above = known.place @ plane[:3] - plane[3]
    brim = 0.035 * np.exp(-(((above - 0.05) / 0.05) ** 2))
    shell = figure.vertices + figure.normals * (0.03 + brim + 0.05 * np.clip(above, 0, 0.5))[:, None].astype(np.float32)
    zeros = np.zeros(len(shell), np.float32)
    shade = 0.5 * np.exp(-(((above - 0.12) / 0.02) ** 2)).astype(np.float32)
    extra = np.stack([zeros, zeros, zeros + 1, shade], axis=1)
    return Part(
        shell.astype(np.float32),
        figure.normals,
        known.place,
        extra,
        triangles(known.cap_quads),
        shaders.CLOTH,
        3,
        3,
        {"layer": 2.0, **cap},
    )


def _eyes(figure: Figure, mesh: InfantMesh) -> list[Part]:
    parts = []
    shuts = (figure.face.closure_left, figure.face.closure_right)
    for group, shut in zip(("helper-l-eye", "helper-r-eye"), shuts, strict=True):
        quads = mesh.quads[group]
        rows = np.unique(quads)
        centre = figure.vertices[rows].mean(axis=0)
        local = np.searchsorted(rows, quads)
        place = figure.vertices[rows]
        normal = place - centre
        normal = (normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32)
        up, across = np.radians(figure.face.gaze_deg)
        aim = figure.head_turn @ np.array([np.sin(across), np.sin(up), np.cos(across)], np.float32)
        lid = 0.75 - 0.75 * min(shut, 1.0)  # height at which the upper lid's shade begins
        shade = 0.45 + 0.55 * np.clip(1 - 2.5 * (normal @ figure.head_turn[:, 1] - lid + 0.35), 0, 1)
        extra = np.stack([shade * 0, shade * 0, shade * 0, shade], axis=1).astype(np.float32)
        aimed: dict[str, Uniform] = {
            "eye_centre": tuple(map(float, centre)),
            "gaze": tuple(map(float, aim / np.linalg.norm(aim))),
        }
        parts.append(
            Part(place, normal, canon().place[rows], extra, triangles(local.astype(np.int32)), shaders.EYE, 1, 1, aimed)
        )
    return parts
