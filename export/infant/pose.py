"""How the newborn lies: joint rotations and linear blend skinning with bones folded to the ones that move."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from export.infant.mesh import Floats, InfantMesh, load_mesh

MOVING = (
    "root",
    "spine03",
    "spine01",
    "neck01",
    "head",
    *(
        f"{bone}.{side}"
        for side in "LR"
        for bone in (
            "upperarm01",
            "lowerarm01",
            "wrist",
            "upperleg01",
            "lowerleg01",
            "foot",
            "finger2-1",
            "finger3-1",
            "finger4-1",
            "finger5-1",
            "finger2-2",
            "finger3-2",
            "finger4-2",
            "finger5-2",
            "finger1-2",
        )
    ),
)
KEYPOINT_BONES = (
    "upperarm01.L",
    "upperarm01.R",
    "lowerarm01.L",
    "lowerarm01.R",
    "wrist.L",
    "wrist.R",
    "upperleg01.L",
    "upperleg01.R",
    "lowerleg01.L",
    "lowerleg01.R",
    "foot.L",
    "foot.R",
)


@dataclass(frozen=True)
class Pose:
    """Rotation vectors in degrees (x, y, z of the rest frame) by bone; `breath` swells the chest, -1 to 1."""

    turns: dict[str, tuple[float, float, float]]
    breath: float = 0.0


@lru_cache(maxsize=1)
def folded_weights() -> Floats:
    """(V, moving bones) skin weights, each bone's weight given to its nearest moving ancestor."""
    mesh = load_mesh()
    out = np.zeros((len(mesh.base), len(MOVING)), np.float32)
    for index in range(len(mesh.bones)):
        at = index
        while mesh.bones[at] not in MOVING:
            at = mesh.parents[at]
        out[:, MOVING.index(mesh.bones[at])] += mesh.weights[:, index]
    return out


def rotation(vector_deg: tuple[float, float, float] | Floats) -> Floats:
    """Rodrigues' rotation matrix of a rotation vector in degrees."""
    vector = np.radians(np.asarray(vector_deg, np.float64))
    angle = float(np.linalg.norm(vector))
    if angle < 1e-9:
        return np.eye(3, dtype=np.float32)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    out: Floats = (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross).astype(np.float32)
    return out


def transforms(mesh: InfantMesh, vertices: Floats, pose: Pose) -> Floats:
    """Per moving bone the 4x4 that carries rest to posed positions, (bones, 4, 4)."""
    out: dict[str, Floats] = {}
    for name in sorted(MOVING, key=mesh.bones.index):
        at = mesh.parents[mesh.bones.index(name)]
        while at >= 0 and mesh.bones[at] not in out:
            at = mesh.parents[at]
        parent = out[mesh.bones[at]] if at >= 0 else np.eye(4, dtype=np.float32)
        local = np.eye(4, dtype=np.float32)
        turn = rotation(pose.turns.get(name, (0.0, 0.0, 0.0)))
        pivot = mesh.joint(vertices, name)
        local[:3, :3], local[:3, 3] = turn, pivot - turn @ pivot
        out[name] = parent @ local
    return np.stack([out[name] for name in MOVING])


def skin(vertices: Floats, moves: Floats) -> Floats:
    """Linear blend skinning of (V, 3) with the per-bone 4x4."""
    blend = (folded_weights() @ moves[:, :3].reshape(len(MOVING), 12)).reshape(-1, 3, 4)
    out: Floats = np.einsum("vij,vj->vi", blend[:, :, :3], vertices) + blend[:, :, 3]
    return out.astype(np.float32)


def breathe(mesh: InfantMesh, vertices: Floats, breath: float) -> Floats:
    """Swells belly and chest to the front by at most 4 mm: newborns breathe with the belly."""
    belly = mesh.joint(vertices, "spine03")
    width = np.array([0.5, 0.55, 0.6], np.float32)
    bell = np.exp(-np.sum(((vertices - belly) / width) ** 2, axis=1))
    out: Floats = vertices + (0.04 * breath * bell)[:, None] * np.array([0, 0, 1], np.float32)
    return out


def sample_pose(rng: np.random.Generator, head_yaw_deg: float, head_pitch_deg: float, hands_up: bool) -> Pose:
    """A flexed newborn lying on the back: arms bent, fists, frog legs, head turned."""
    turns: dict[str, tuple[float, float, float]] = {
        "neck01": (head_pitch_deg * 0.4, head_yaw_deg * 0.45, float(rng.normal(0, 3))),
        "head": (head_pitch_deg * 0.6, head_yaw_deg * 0.55, float(rng.normal(0, 4))),
        "spine03": (float(rng.normal(0, 3)), float(rng.normal(0, 4)), float(rng.normal(0, 5))),
    }
    for side, sign in (("L", 1.0), ("R", -1.0)):
        lift = float(rng.uniform(20, 75)) if hands_up else float(rng.uniform(-45, 15))
        turns[f"upperarm01.{side}"] = (float(rng.uniform(-35, 5)), -sign * float(rng.uniform(0, 35)), sign * lift)
        bend = float(rng.uniform(30, 110))
        turns[f"lowerarm01.{side}"] = (-bend * 0.8, -sign * bend * 0.35, sign * bend * 0.35)
        turns[f"wrist.{side}"] = tuple(float(v) for v in rng.normal(0, 12, 3))  # type: ignore[assignment]
        open_deg = float(rng.uniform(25, 75))
        turns[f"upperleg01.{side}"] = (
            -float(rng.uniform(30, 95)),
            sign * float(rng.uniform(-10, 25)),
            sign * open_deg * 0.6,
        )
        turns[f"lowerleg01.{side}"] = (float(rng.uniform(30, 110)), 0.0, 0.0)
        turns[f"foot.{side}"] = (float(rng.normal(0, 12)), 0.0, float(rng.normal(0, 10)))
        curl = float(rng.uniform(15, 75))
        for finger in "2345":
            for part in "12":
                turns[f"finger{finger}-{part}.{side}"] = (curl * 0.5, 0.0, -sign * curl)
    return Pose(turns)
