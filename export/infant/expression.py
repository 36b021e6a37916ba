"""What the face does: continuous intensities, left and right, moved onto a baby's head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from export.infant.mesh import Floats, InfantMesh, Ints, load_mesh

SHUT = 0.86  # weight of the adult closure target at which a baby's lids just meet
CENTRE = np.array([0.0, -3.0, 0.0], np.float32)
ACTIONS = ("brow_bulge", "eye_squeeze", "nasolabial")

# Bells that move the subject's left half of the face, in canonical decimetres: x, y, half widths, then the displacement
# at intensity 1. The right half mirrors them.
Bell = tuple[float, float, float, float, float, float, float]
BELLS: dict[str, tuple[Bell, ...]] = {
    "brow_bulge": (
        (0.09, 0.20, 0.07, 0.06, -0.022, -0.030, 0.020),
        (0.20, 0.22, 0.12, 0.05, -0.006, -0.022, 0.014),
        (0.025, 0.19, 0.030, 0.05, 0.000, -0.008, 0.026),
        (0.000, 0.10, 0.030, 0.02, 0.000, 0.000, -0.010),
        (0.16, 0.34, 0.18, 0.06, 0.000, -0.012, 0.008),
    ),
    "eye_squeeze": (
        (0.21, -0.01, 0.10, 0.035, 0.0, 0.026, 0.024),
        (0.21, 0.125, 0.10, 0.035, 0.0, -0.022, 0.022),
        (0.21, 0.055, 0.11, 0.018, 0.0, 0.000, -0.024),
        (0.34, 0.055, 0.04, 0.040, -0.016, 0.0, 0.004),
        (0.27, -0.11, 0.11, 0.080, 0.0, 0.020, 0.014),
    ),
    "nasolabial": (
        (0.23, -0.10, 0.09, 0.080, 0.010, 0.030, 0.026),
        (0.185, -0.135, 0.04, 0.050, 0.006, 0.010, 0.022),
        (0.235, -0.225, 0.04, 0.060, 0.010, 0.006, 0.022),
        (0.120, -0.135, 0.024, 0.030, 0.0, 0.0, -0.020),
        (0.165, -0.195, 0.024, 0.040, 0.0, 0.0, -0.024),
        (0.190, -0.265, 0.024, 0.040, 0.0, 0.0, -0.018),
        (0.075, -0.080, 0.040, 0.040, 0.006, 0.014, 0.006),
    ),
}
SQUARE: tuple[Bell, ...] = ((0.15, -0.285, 0.05, 0.045, 0.020, -0.026, -0.004),)
SQUARE_UPPER: tuple[Bell, ...] = ((0.085, -0.245, 0.05, 0.05, 0.012, 0.016, 0.006),)
SQUARE_LOWER: tuple[Bell, ...] = ((0.085, -0.335, 0.06, 0.05, 0.022, -0.018, 0.010),)
CHIN: tuple[Bell, ...] = ((0.0, -0.415, 0.07, 0.04, 0.0, 0.014, 0.012),)


@dataclass(frozen=True)
class Expression:
    """Intensities from 0 to 1; `left` and `right` are the subject's.

    `name` is calm, crying, yawning, fussing (short of crying) or grimacing (facial actions without a cry). An action's
    intensity is that of its stronger side; `lean` weakens one side of brow bulge, eye squeeze and nasolabial furrow:
    -1 leaves the right side alone, 1 the left.
    """

    name: str = "calm"
    closure_left: float = 0.0
    closure_right: float = 0.0
    mouth_open: float = 0.0
    brow_bulge: float = 0.0
    eye_squeeze: float = 0.0
    nasolabial: float = 0.0
    mouth_square: float = 0.0
    pucker: float = 0.0
    gaze_deg: tuple[float, float] = (0.0, 0.0)
    lean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    smile: float = 0.0
    pout: float = 0.0


def sides(face: Expression) -> tuple[tuple[float, float], ...]:
    """Right and left intensity of each of ACTIONS."""
    return tuple(
        (getattr(face, name) * (1 - max(0.0, lean)), getattr(face, name) * (1 + min(0.0, lean)))
        for name, lean in zip(ACTIONS, face.lean, strict=True)
    )


def neutral_weights() -> dict[str, float]:
    """The average newborn that canonical coordinates come from."""
    out = {f"{race}-{sex}-baby": 1 / 6 for race in ("african", "asian", "caucasian") for sex in ("female", "male")}
    return out | {f"universal-{sex}-baby-averagemuscle-averageweight": 0.5 for sex in ("female", "male")}


@lru_cache(maxsize=1)
def canonical() -> tuple[Floats, Floats]:
    """The average face (V, 3) with eyes open and with eyes shut, eye line near y = 0.09."""
    mesh = load_mesh()
    opened: Floats = mesh.blend(neutral_weights()) - CENTRE
    closure = {
        f"{race}/eye-{side}-closure": SHUT / 3
        for race in ("african", "asian", "caucasian")
        for side in ("left", "right")
    }
    return opened, mesh.blend(closure, opened)


def unit_weights(face: Expression) -> dict[str, float]:
    """Weights of the expression targets, calibrated for a baby's head (adult ones tear it at 1)."""
    cry = face.mouth_square
    out: dict[str, float] = {}
    brows, squeezes, furrows = sides(face)
    for index, side in enumerate(("right", "left")):
        shut = (face.closure_right, face.closure_left)[index]
        out[f"eyebrows-{side}-down"] = 0.45 * brows[index]
        out[f"nose-{side}-elevation"] = 0.38 * furrows[index]
        out[f"eyebrows-{side}-inner-up"] = 0.25 * max(0.0, face.mouth_open - cry) * (1 - brows[index])
        out[f"nose-{side}-dilatation"] = 0.3 * face.mouth_open
        out[f"eye-{side}-closure"] = SHUT * shut + 0.05 * squeezes[index]
    out["mouth-open"] = 0.34 * face.mouth_open
    out["mouth-retraction"] = 0.30 * cry
    out["mouth-depression"] = 0.35 * cry + 0.35 * face.pout
    out["mouth-pursing"] = 0.2 * max(0.0, face.mouth_open - 1.5 * cry) + 0.3 * face.pucker
    out["mouth-corner-puller"] = 0.5 * face.smile
    return out


def apply_expression(mesh: InfantMesh, neutral: Floats, ethnicity: dict[str, float], face: Expression) -> Floats:
    """Moves the face of a neutral (V, 3) shape: targets, then jaw rotation, cheeks and lids."""
    weights = {
        f"{race}/{name}": share * weight
        for name, weight in unit_weights(face).items()
        for race, share in ethnicity.items()
    }
    out = mesh.blend(weights, neutral)
    _drop_jaw(mesh, out, neutral, face)
    _move_skin(mesh, out, face)
    return out


@lru_cache(maxsize=1)
def _jaw() -> Floats:
    return jaw_share(load_mesh())


def jaw_share(mesh: InfantMesh) -> Floats:
    """Per vertex, how much it follows the jaw bone and what hangs on it."""
    jaw = mesh.bones.index("jaw")
    follows = [index for index in range(len(mesh.bones)) if _descends(mesh, index, jaw)]
    share: Floats = mesh.weights[:, follows].sum(axis=1)
    return share


def _descends(mesh: InfantMesh, index: int, root: int) -> bool:
    while index >= 0:
        if index == root:
            return True
        index = mesh.parents[index]
    return False


def _drop_jaw(mesh: InfantMesh, out: Floats, neutral: Floats, face: Expression) -> None:
    yawn = max(0.0, face.mouth_open - face.mouth_square)
    angle = np.radians(9.0 * face.mouth_open + 7.0 * yawn)
    if angle <= 0:
        return
    pivot = mesh.joint(neutral, "jaw")
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float32)
    share = _jaw()[:, None]
    out += share * ((out - pivot) @ (turn.T - np.eye(3, dtype=np.float32)))


def _move_skin(mesh: InfantMesh, out: Floats, face: Expression) -> None:
    """Brow, lids, cheeks and the corners of the mouth, by the bells of each side."""
    amounts: list[tuple[str, float, float]] = [
        (name, right, left) for name, (right, left) in zip(ACTIONS, sides(face), strict=True)
    ]
    amounts += [("square", face.mouth_square, face.mouth_square), ("pout", face.pout, face.pout)]
    for name, right, left in amounts:
        if right > 0 or left > 0:
            rows, right_moves, left_moves = _field(name)
            out[rows] += np.float32(right) * right_moves + np.float32(left) * left_moves


@lru_cache(maxsize=8)
def _field(name: str) -> tuple[Ints, Floats, Floats]:
    """Rows that an action moves, and their displacements (N, 3) at full intensity of the right and of the left."""
    jaw = _jaw()
    parts: list[tuple[tuple[Bell, ...], Floats | float]]
    if name == "square":
        parts = [(SQUARE, 1.0), (SQUARE_UPPER, 1 - jaw), (SQUARE_LOWER, jaw)]
    elif name == "pout":
        parts = [(CHIN, 1.0), (SQUARE, 0.5)]
    else:
        parts = [(BELLS[name], 1.0)]
    moves = [sum((_bells(bells, side) * np.reshape(share, (-1, 1)) for bells, share in parts)) for side in (-1.0, 1.0)]
    right, left = (np.asarray(move, np.float32) for move in moves)
    rows = np.flatnonzero((np.abs(right) + np.abs(left)).sum(axis=1) > 2e-4).astype(np.int32)
    return rows, right[rows], left[rows]


def _bells(bells: tuple[Bell, ...], side: float) -> Floats:
    """(V, 3) displacement of one half of the face, faded at its back and within the head."""
    place = canonical()[1]
    fade = np.clip((place[:, 2] - 0.30) / 0.15, 0, 1)
    out = np.zeros_like(place)
    for x, y, wide, high, *move in bells:
        bell = np.exp(-0.5 * ((place[:, 0] - side * x) / wide) ** 2 - 0.5 * ((place[:, 1] - y) / high) ** 2)
        out += (bell * fade)[:, None] * np.array([side * move[0], move[1], move[2]], np.float32)
    return out
