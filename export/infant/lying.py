"""How the newborn lies in the cot: on the back, on a side or on the belly, limbs flexed and kept out of the mattress.

Limbs are told by directions in the trunk's frame (outward, towards the crown, to the front): a ball joint's direction,
its twist, and a hinge. What would sink into the mattress is lifted; what would go through trunk, head or another limb
is drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from export.infant.mesh import Floats, load_mesh
from export.infant.pose import MOVING, Pose, folded_weights, rotation, transforms
from export.infant.scene import triple, unit

POSTURES = ("supine", "side", "prone")
POSTURE_SHARES = (0.60, 0.22, 0.18)
HEAD_SIDES = ("left", "right", "midline")
MIDLINE_DEG = 25.0  # nose nearer to the trunk's front than this: midline; the 7 degrees on either side are not drawn
TRIES = 24
SUNK_DM = 0.05  # how deep the trunk lies in the mattress
ARM, LEG = ("upperarm01", "lowerarm01", "wrist"), ("upperleg01", "lowerleg01", "foot")
ROOTS = {"upperarm01": "spine01", "upperleg01": "root"}  # what a limb hangs on
RADIUS_DM = {
    "upperarm01": 0.24,
    "lowerarm01": 0.20,
    "wrist": 0.17,
    "upperleg01": 0.34,
    "lowerleg01": 0.25,
    "foot": 0.20,
}
BEYOND_DM = {"wrist": 0.40, "foot": 0.30}  # how far hand and foot go beyond their joint
TRUNK_HALF_DM = (0.52, 0.44)  # outward, to the front
HEAD_RADIUS_DM = 0.60


@dataclass(frozen=True)
class Reach:
    """A limb before the mattress: directions of its two bones in the trunk's frame, and whether it has come to rest."""

    first: Floats
    second: Floats
    rests: bool


@dataclass(frozen=True)
class Lying:
    """A posed newborn's turns, the mattress's height in dm, and the classes that follow."""

    pose: Pose
    level: float
    posture: str
    head_side: str


def sample_lying(rng: np.random.Generator, rest: Floats, posture: str, *, wrapped: bool = False) -> Lying:
    """The resting newborn `rest` (V, 3) in a posture of POSTURES; `wrapped` holds the arms to the chest."""
    down = float(rng.choice([-1, 1]))  # the side lain on: 1 the subject's left
    turns = _trunk(rng, posture, down)
    yaw_deg = _head_yaw_deg(rng, posture)
    turns |= _head(rng, posture, down, yaw_deg)
    body = Body(rest, Pose(turns), posture)
    for chain in (LEG, ARM):
        for side in rng.permutation(["L", "R"]):
            turns |= _limb(rng, body, (posture, down, wrapped), (chain, str(side)))
    turns |= _hands(rng)
    head_side = "midline" if abs(yaw_deg) < MIDLINE_DEG else "left" if yaw_deg > 0 else "right"
    return Lying(Pose(turns), body.level, posture, head_side)


def _trunk(rng: np.random.Generator, posture: str, down: float) -> dict[str, tuple[float, float, float]]:
    """The whole body's turn about its length, and the bend of the spine."""
    roll = {"supine": rng.normal(0, 9), "side": down * rng.normal(88, 12), "prone": 180 + rng.normal(0, 10)}[posture]
    lift = {"supine": rng.normal(0, 3), "side": rng.normal(0, 3), "prone": -abs(rng.normal(0, 7))}[posture]
    turn = rotation((0.0, float(roll), 0.0)) @ rotation((float(lift), 0.0, 0.0))
    curl = rng.normal(10, 8) if posture == "side" else rng.normal(2, 4)
    return {
        "root": vector_deg(turn),
        "spine03": (float(curl), float(rng.normal(0, 5)), float(rng.normal(0, 5))),
        "spine01": (float(curl) * 0.6, float(rng.normal(0, 3)), float(rng.normal(0, 3))),
    }


def _head_yaw_deg(rng: np.random.Generator, posture: str) -> float:
    """How far the nose is turned from the trunk's front; positive to the subject's left."""
    sign = float(rng.choice([-1, 1]))
    if posture == "prone":
        return sign * float(rng.uniform(60, 86))
    if rng.random() < (0.30 if posture == "supine" else 0.72):
        return float(rng.uniform(-1, 1) * (MIDLINE_DEG - 7))
    return sign * float(rng.uniform(MIDLINE_DEG + 7, 80 if posture == "supine" else 50))


def _head(rng: np.random.Generator, posture: str, down: float, yaw_deg: float) -> dict[str, tuple[float, float, float]]:
    pitch = float(rng.normal(-8, 6) if posture == "prone" else rng.normal(9, 8))
    bend = -down * float(rng.normal(16, 5)) if posture == "side" else float(rng.normal(0, 5))
    neck = rotation((0.0, 0.0, 0.5 * bend)) @ rotation((0.0, 0.45 * yaw_deg, 0.0)) @ rotation((0.4 * pitch, 0.0, 0.0))
    head = rotation((0.0, 0.0, 0.5 * bend)) @ rotation((0.0, 0.55 * yaw_deg, 0.0)) @ rotation((0.6 * pitch, 0.0, 0.0))
    return {"neck01": vector_deg(neck), "head": vector_deg(head)}


class Body:
    """Trunk and head in place; where the limbs begin, how long their bones are, and what they must not enter.

    `level` is the mattress's height; `placed` holds the points of limbs that others keep off, with their radius.
    """

    def __init__(self, rest: Floats, pose: Pose, posture: str) -> None:
        mesh = load_mesh()
        self.moves = transforms(mesh, rest, pose)
        self.placed: list[tuple[Floats, float]] = []
        self.rest = {f"{bone}.{side}": mesh.joint(rest, f"{bone}.{side}") for bone in ARM + LEG for side in "LR"}
        roots = [
            self.carried(ROOTS[bone], self.rest[f"{bone}.{side}"])[2] - RADIUS_DM[bone]
            for bone in ROOTS
            for side in "LR"
        ]
        self.level = min(_level(rest, self.moves, posture), float(min(roots)) + SUNK_DM)
        hips = self.carried("root", 0.5 * (self.rest["upperleg01.L"] + self.rest["upperleg01.R"]))
        shoulders = self.carried("spine01", 0.5 * (self.rest["upperarm01.L"] + self.rest["upperarm01.R"]))
        self.hips, self.length = hips, float(np.linalg.norm(shoulders - hips))
        along = (shoulders - hips) / self.length
        front = self.turn("spine03")[:, 2]
        front = unit(front - (front @ along) * along)
        self.axes = np.stack([np.cross(along, front), along, front], axis=1)
        self.head = self.carried("head", mesh.joint(rest, "head") + np.array([0.0, 0.42, 0.10], np.float32))

    def turn(self, bone: str) -> Floats:
        """The bone's world rotation."""
        out: Floats = self.moves[MOVING.index(bone)][:3, :3]
        return out

    def carried(self, bone: str, place: Floats) -> Floats:
        """A rest place carried along with the bone."""
        move = self.moves[MOVING.index(bone)]
        out: Floats = move[:3, :3] @ place + move[:3, 3]
        return out

    def sunk(self, points: Floats, radius: float) -> float:
        """How deep a limb's points (N, 3) go into trunk or head, dm, at the worst."""
        local = (points - self.hips) @ self.axes
        wide, deep = (half + 0.6 * radius for half in TRUNK_HALF_DM)
        size = np.sqrt((local[:, 0] / wide) ** 2 + (local[:, 2] / deep) ** 2)
        within = (local[:, 1] > 0.15) & (local[:, 1] < self.length + 0.05)
        trunk = np.where(within, (1 - size) * deep, -1.0)
        head = HEAD_RADIUS_DM + 0.6 * radius - np.linalg.norm(points - self.head, axis=1)
        return float(max(trunk.max(), head.max()))


def _level(rest: Floats, moves: Floats, posture: str) -> float:
    """The mattress's height under trunk and, on back or belly, head."""
    weights = folded_weights()[:13380:3]
    bones = ["root", "spine03", "spine01"] + (["head"] if posture == "supine" else [])
    rows = weights[:, [MOVING.index(bone) for bone in bones]].sum(axis=1) > 0.6
    blend = (weights[rows] @ moves[:, :3].reshape(len(MOVING), 12)).reshape(-1, 3, 4)
    height = np.einsum("vj,vj->v", blend[:, 2, :3], rest[:13380:3][rows]) + blend[:, 2, 3]
    return float(np.percentile(height, 0.5)) + SUNK_DM


Manner = tuple[str, float, bool]  # posture, the side lain on, wrapped
Limb = tuple[tuple[str, str, str], str]  # its bones and its side


def _limb(rng: np.random.Generator, body: Body, manner: Manner, limb: Limb) -> dict[str, tuple[float, float, float]]:
    """Turns of one limb, the best of TRIES at keeping off what is there."""
    chain, side = limb
    mirror = np.array([1.0 if side == "L" else -1.0, 1.0, 1.0])
    frame = body.turn(ROOTS[chain[0]])
    best: tuple[float, Floats, Floats, list[tuple[Floats, float]]] | None = None
    for _ in range(TRIES):
        reach = (_arm if chain is ARM else _leg)(rng, manner, float(mirror[0]))
        first, second = (frame @ (mirror * way).astype(np.float32) for way in (reach.first, reach.second))
        first, second, points = lifted_ways(body, limb, (first, second), rests=reach.rests)
        worst = max(depth_of(body, part) for part in points)
        if best is None or worst < best[0]:
            best = (worst, first, second, points)
        if worst < 0.03:
            break
    assert best is not None
    body.placed += best[3]
    return turns_of(body, limb, frame, best[1], best[2])


def depth_of(body: Body, part: tuple[Floats, float]) -> float:
    """How deep part of a limb goes into trunk, head or another limb, dm."""
    points, radius = part
    worst = body.sunk(points, radius)
    for others, other in body.placed:
        gap = np.linalg.norm(points[:, None] - others[None], axis=2).min()
        worst = max(worst, 0.85 * (radius + other) - float(gap))
    return worst


def lifted_ways(
    body: Body, limb: Limb, ways: tuple[Floats, Floats], *, rests: bool
) -> tuple[Floats, Floats, list[tuple[Floats, float]]]:
    """Both bones' world directions above the mattress (on it where the limb rests), and the limb's points."""
    (root, middle, end), side = limb
    at = body.carried(ROOTS[root], body.rest[f"{root}.{side}"])
    out, points = [], []
    for bone, tip, way in ((root, middle, ways[0]), (middle, end, ways[1])):
        length = float(np.linalg.norm(body.rest[f"{tip}.{side}"] - body.rest[f"{bone}.{side}"]))
        low = float(np.clip((body.level + RADIUS_DM[tip] - at[2]) / length, -0.97, 0.97))
        lifted = _at_height(way, max(low, low if rests else float(way[2])))
        beyond = BEYOND_DM.get(tip, 0.0)
        steps = np.linspace(0.35 if bone == root else 0.1, 1.0 + beyond / length, 5)
        points.append(((at + steps[:, None] * length * lifted).astype(np.float32), RADIUS_DM[tip]))
        at = at + length * lifted
        out.append(lifted)
    return out[0], out[1], points


def _at_height(way: Floats, height: float) -> Floats:
    """A unit direction turned to have `height` as its z."""
    flat = way[:2] / (np.linalg.norm(way[:2]) + 1e-6)
    wide = np.sqrt(max(1 - height**2, 0.0))
    return np.array([flat[0] * wide, flat[1] * wide, height], np.float32)


def _bent(first: Floats, neutral: tuple[float, float, float], twist_deg: float, flex_deg: float) -> Floats:
    """The lower bone: `flex_deg` away from `first` to where a hanging limb's bends (`neutral`), twisted about it."""
    hanging = np.array([0.0, -1.0, 0.0])
    axis = np.cross(hanging, first)
    sine, cosine = float(np.linalg.norm(axis)), float(hanging @ first)
    swing = rotation(axis / max(sine, 1e-6) * np.degrees(np.arctan2(sine, cosine))) @ np.array(neutral)
    swing = rotation(-first * twist_deg) @ swing
    flex = np.radians(flex_deg)
    return unit(np.cos(flex) * first + np.sin(flex) * swing)


def _arm(rng: np.random.Generator, manner: Manner, sign: float) -> Reach:
    """A left arm in the trunk's frame (mirrored for the right); a positive twist turns the forearm outwards."""
    posture, down, wrapped = manner
    rests = bool(rng.random() < 0.55)
    raised = bool(rng.random() < {"supine": 0.30, "side": 0.15, "prone": 0.62}[posture])
    if wrapped:
        way, twist, flex, rests = (0.25, -0.95, 0.15), rng.normal(-45, 12), rng.uniform(70, 125), False
    elif posture == "side":
        under = sign == down
        way = (rng.normal(0.05, 0.15), rng.normal(0.1 if raised else -0.5, 0.25), rng.uniform(0.5, 1.1))
        twist, flex, rests = rng.normal(10 if raised else -5, 30), rng.uniform(20, 125), rests or under
    elif raised:
        way = (rng.normal(0.75, 0.15), rng.normal(0.05, 0.35), rng.normal(0.10, 0.18))
        twist, flex = rng.normal(75, 20), rng.uniform(25, 125)
    else:
        way = (rng.normal(0.40, 0.2), rng.normal(-0.75, 0.22), rng.normal(0.12, 0.25))
        twist, flex = rng.normal(0, 45), abs(rng.normal(35, 38))
    first = unit(np.array(way))
    return Reach(first, _bent(first, (0.0, 0.0, 1.0), float(twist), float(np.clip(flex, 4, 140))), rests)


def _leg(rng: np.random.Generator, manner: Manner, sign: float) -> Reach:
    """A left leg in the hips' frame (mirrored for the right); a positive twist brings the heel to the middle."""
    posture, _, wrapped = manner
    rests = False
    if wrapped:
        way, twist, flex = (rng.normal(0.3, 0.1), -0.8, rng.normal(0.4, 0.15)), rng.normal(25, 8), rng.uniform(30, 100)
    elif posture == "supine":
        way = (rng.normal(0.5, 0.22), rng.normal(-0.58, 0.28), abs(rng.normal(0.5, 0.3)))
        twist, flex, rests = rng.normal(46, 14), rng.normal(103, 24), bool(rng.random() < 0.25)
    elif posture == "side":
        way = (rng.normal(0.02, 0.12), rng.normal(-0.6, 0.25), rng.normal(0.65, 0.3))
        twist, flex = rng.normal(0, 10), rng.normal(80, 28)
    elif rng.random() < 0.7:
        way = (rng.normal(0.8, 0.15), rng.normal(-0.45, 0.3), rng.normal(0.45, 0.15))
        twist, flex, rests = rng.normal(75, 12), rng.normal(95, 22), True
    else:
        way, twist, flex = (rng.normal(0.2, 0.12), -0.95, rng.normal(0.1, 0.1)), rng.normal(20, 25), rng.uniform(5, 60)
        rests = True
    first = unit(np.array(way))
    return Reach(first, _bent(first, (0.0, 0.0, -1.0), float(twist), float(np.clip(flex, 4, 140))), rests)


def turns_of(
    body: Body, limb: Limb, parent: Floats, first: Floats, second: Floats
) -> dict[str, tuple[float, float, float]]:
    """Local turns that carry the resting bones to world directions, the hinge's axis with them."""
    (root, middle, end), side = limb
    a, b, c = (body.rest[f"{bone}.{side}"] for bone in (root, middle, end))
    was = (unit(b - a), unit(c - b))
    hinge_was = np.cross(was[0], was[1] if root == "upperarm01" else np.array([0.0, 0.0, -1.0]))
    hinge = np.cross(first, second)
    if np.linalg.norm(hinge) < 0.05:
        hinge = parent @ hinge_was
    upper = _basis(first, hinge) @ _basis(was[0], hinge_was).T
    lower = _basis(second, hinge) @ _basis(was[1], hinge_was).T
    return {f"{root}.{side}": vector_deg(parent.T @ upper), f"{middle}.{side}": vector_deg(upper.T @ lower)}


def _basis(way: Floats, hinge: Floats) -> Floats:
    axis = unit(hinge - (hinge @ way) * way)
    return np.stack([way, axis, np.cross(way, axis)], axis=1)


def _hands(rng: np.random.Generator) -> dict[str, tuple[float, float, float]]:
    """Wrists, fists more or less open, and feet."""
    turns: dict[str, tuple[float, float, float]] = {}
    for side, sign in (("L", 1.0), ("R", -1.0)):
        turns[f"wrist.{side}"] = triple(rng.normal(0, 12, 3))
        turns[f"foot.{side}"] = (float(rng.normal(0, 14)), 0.0, float(rng.normal(0, 10)))
        curl = float(rng.uniform(10, 75))
        for finger in "2345":
            for part in "12":
                turns[f"finger{finger}-{part}.{side}"] = (curl * 0.5, 0.0, -sign * curl)
    return turns


def vector_deg(turn: Floats) -> tuple[float, float, float]:
    """The rotation vector in degrees of a rotation matrix."""
    vector, _ = cv2.Rodrigues(np.asarray(turn, np.float64))
    return triple(np.degrees(vector.ravel()))
