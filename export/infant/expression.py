"""What the face does: continuous intensities moved onto a baby's head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.infant.mesh import Floats, InfantMesh

SHUT = 0.86  # weight of the adult closure target at which a baby's lids just meet


@dataclass(frozen=True)
class Expression:
    """Intensities from 0 to 1; `left` and `right` are the subject's. `name` is calm, crying or yawning."""

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


def unit_weights(face: Expression) -> dict[str, float]:
    """Weights of the expression targets, calibrated for a baby's head (adult ones tear it at 1)."""
    cry = face.mouth_square
    both = {
        "eyebrows-{}-down": 0.45 * face.brow_bulge,
        "nose-{}-elevation": 0.38 * face.nasolabial,
        "eyebrows-{}-inner-up": 0.25 * max(0.0, face.mouth_open - cry) * (1 - face.brow_bulge),
        "nose-{}-dilatation": 0.3 * face.mouth_open,
    }
    out = {name.format(side): weight for name, weight in both.items() for side in ("left", "right")}
    out["eye-left-closure"] = SHUT * face.closure_left + 0.05 * face.eye_squeeze
    out["eye-right-closure"] = SHUT * face.closure_right + 0.05 * face.eye_squeeze
    out["mouth-open"] = 0.34 * face.mouth_open
    out["mouth-retraction"] = 0.42 * cry
    out["mouth-depression"] = 0.25 * cry
    out["mouth-pursing"] = 0.2 * max(0.0, face.mouth_open - 1.5 * cry) + 0.3 * face.pucker
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
    _raise_cheeks(mesh, out, neutral, face)
    return out


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
    share = jaw_share(mesh)[:, None]
    out += share * ((out - pivot) @ (turn.T - np.eye(3, dtype=np.float32)))


def _raise_cheeks(mesh: InfantMesh, out: Floats, neutral: Floats, face: Expression) -> None:
    """Cheek pads up and forward, brow together, lids bulging: smooth bells around canonical places."""
    for side, eye in ((1.0, "eye.L"), (-1.0, "eye.R")):
        centre = mesh.joint(neutral, eye)
        _push(
            out,
            neutral,
            centre + np.array([0.03 * side, -0.17, 0.1]),
            0.13,
            np.array([0, 0.035, 0.03]) * max(face.nasolabial, face.eye_squeeze),
        )
        _push(
            out, neutral, centre + np.array([0.0, -0.075, 0.12]), 0.055, np.array([0, 0.022, 0.016]) * face.eye_squeeze
        )
        _push(
            out, neutral, centre + np.array([0.0, 0.06, 0.13]), 0.055, np.array([0, -0.012, 0.014]) * face.eye_squeeze
        )
        _push(
            out,
            neutral,
            centre + np.array([-0.11 * side, 0.12, 0.15]),
            0.06,
            np.array([-0.018 * side, -0.022, 0.022]) * face.brow_bulge,
        )


def _push(out: Floats, neutral: Floats, centre: Floats, width: float, move: Floats) -> None:
    if np.any(move):
        bell = np.exp(-np.sum((neutral - centre) ** 2, axis=1) / (2 * width * width))
        bell[bell < 0.01] = 0
        out += (bell[:, None] * move).astype(np.float32)
