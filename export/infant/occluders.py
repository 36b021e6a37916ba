"""What covers parts of the face: nasal and feeding tubes, tape, CPAP, dummy, cap, a hand, a cloth's edge."""

from __future__ import annotations

import numpy as np

from export.infant import props, shaders
from export.infant.figure import Figure, canon
from export.infant.mesh import Floats
from export.infant.pose import rotation
from export.infant.render import Part, Uniform
from export.infant.scene import cloth, triple, unit

DEVICE_KIND = (shaders.DEVICE, 4, props.OTHER)
PLASTICS = (
    (0.75, 0.80, 0.82),
    (0.62, 0.70, 0.60),
    (0.55, 0.68, 0.85),
    (0.85, 0.85, 0.85),
    (0.80, 0.72, 0.50),
    (0.20, 0.55, 0.60),
)
NAMES = ("cannula", "feeding", "cpap", "dummy", "carer", "edge", "patch")
SHARES = (0.24, 0.22, 0.12, 0.12, 0.14, 0.10, 0.06)


def plastic(rng: np.random.Generator, infrared: bool) -> dict[str, Uniform]:
    """A tube's look."""
    colour = np.full(3, rng.uniform(0.3, 0.8)) if infrared else np.array(PLASTICS[rng.integers(len(PLASTICS))])
    return {"cloth_a": triple(colour * rng.uniform(0.8, 1.05))}


def add_occluder(
    rng: np.random.Generator, figure: Figure, infrared: bool, toward: Floats, name: str | None = None
) -> tuple[list[Part], dict[str, Uniform]]:
    """Parts and skin uniforms of one random (or named) occluder; `toward` points from the face to the camera."""
    name = name or str(rng.choice(NAMES, p=SHARES))
    return MAKERS[name](rng, figure, infrared, toward)


Made = tuple[list[Part], dict[str, Uniform]]


def _tape(rng: np.random.Generator, side: float, place: tuple[float, float], wide: float) -> dict[str, Uniform]:
    beige = rng.random() < 0.4
    return {
        "tape_a": (side * place[0], place[1], wide, float(rng.normal(0, 0.3))),
        "tape_colour": (0.70, 0.55, 0.42) if beige else (0.86, 0.86, 0.84),
    }


def _face_path(figure: Figure, places: list[tuple[float, float]], lift: float) -> Floats:
    return props.smooth_path(props.on_face(figure, places, lift))


def _cannula(rng: np.random.Generator, figure: Figure, infrared: bool, _: Floats) -> Made:
    radius, look = float(rng.uniform(0.014, 0.024)), plastic(rng, infrared)
    drop = float(rng.uniform(-0.02, 0.02))
    path = [
        (0.46, 0.02),
        (0.40, -0.07 + drop),
        (0.29, -0.13 + drop),
        (0.16, -0.165),
        (0.06, -0.165),
        (0.0, -0.165),
        (-0.06, -0.165),
        (-0.16, -0.165),
        (-0.29, -0.13 + drop),
        (-0.40, -0.07 + drop),
        (-0.46, 0.02),
    ]
    parts = [props.tube(_face_path(figure, path, radius), radius, (DEVICE_KIND, look))]
    for side in (-1.0, 1.0):
        prong = props.on_face(figure, [(side * 0.035, -0.165), (side * 0.04, -0.125)], 0.02)
        parts.append(props.tube(prong, radius * 0.8, (DEVICE_KIND, look)))
    where = (float(rng.uniform(0.26, 0.34)), -0.12 + drop)
    wide = float(rng.uniform(0.06, 0.11)) if rng.random() < 0.75 else 0.0
    tape = _tape(rng, 1.0, where, wide)
    tape["tape_b"] = (-where[0], where[1], wide, float(rng.normal(0, 0.3)))
    return parts, tape


def _feeding(rng: np.random.Generator, figure: Figure, infrared: bool, _: Floats) -> Made:
    side, radius = float(rng.choice([-1, 1])), float(rng.uniform(0.012, 0.02))
    start = (0.045, -0.13) if rng.random() < 0.65 else (0.10, -0.28)
    path = [(side * x, y) for x, y in (start, (0.15, -0.15), (0.25, -0.14), (0.36, -0.10), (0.46, -0.04))]
    on = _face_path(figure, path, radius)
    end = on[-1] + np.cumsum(rng.normal((side * 0.35, 0.1, -0.15), 0.25, (3, 3)), axis=0)
    parts = [props.tube(props.smooth_path(np.vstack([on[::4], end])), radius, (DEVICE_KIND, plastic(rng, infrared)))]
    return parts, _tape(rng, side, (float(rng.uniform(0.22, 0.33)), -0.13), float(rng.uniform(0.07, 0.13)))


def _cpap(rng: np.random.Generator, figure: Figure, infrared: bool, _: Floats) -> Made:
    look, band = plastic(rng, infrared), cloth(rng, infrared, 0.8)
    nose = props.on_face(figure, [(0.0, -0.15)], 0.09)[0]
    turn = figure.head_turn
    radii = np.array([0.16, 0.085, 0.10]) * rng.uniform(0.85, 1.2)
    parts = [props.blob(nose, radii, turn, 0.6, (DEVICE_KIND, look))]
    for side in (-1.0, 1.0):
        strap = props.on_face(
            figure, [(side * x, y) for x, y in ((0.14, -0.14), (0.24, -0.12), (0.35, -0.08), (0.47, 0.0))], 0.012
        )
        parts.append(props.tube(props.smooth_path(strap), 0.035, (DEVICE_KIND, band)))
    if rng.random() < 0.7:
        hose = nose + np.array([[0, 0, 0], [0, 0.35, 0.22], [0, 0.8, 0.18], [0, 1.3, -0.1]]) @ turn.T
        parts += [
            props.tube(props.smooth_path(hose + shift * turn[:, 0]), 0.055, (DEVICE_KIND, look))
            for shift in (-0.07, 0.07)
        ]
    return parts, {}


def _dummy(rng: np.random.Generator, figure: Figure, infrared: bool, _: Floats) -> Made:
    look = cloth(rng, infrared, 0.9)
    mouth = props.on_face(figure, [(0.0, -0.29)], 0.05)[0]
    turn, size = figure.head_turn, float(rng.uniform(0.15, 0.20))
    parts = [props.blob(mouth, np.array([size, size * 0.78, 0.03]), turn, 0.9, (DEVICE_KIND, look))]
    angles = np.linspace(0, 2 * np.pi, 20)
    ring = np.stack([0.09 * np.cos(angles), 0.09 * np.sin(angles) - 0.05, np.full(20, 0.06)], axis=1) @ turn.T + mouth
    parts.append(props.tube(ring, 0.015, (DEVICE_KIND, cloth(rng, infrared, 1.0))))
    return parts, {}


def _carer(rng: np.random.Generator, figure: Figure, infrared: bool, toward: Floats) -> Made:
    return [carer(rng, figure.vertices[canon().patch].mean(axis=0), infrared, toward)], {}


def carer(rng: np.random.Generator, face: Floats, infrared: bool, toward: Floats) -> Part:
    """A carer's gloved or bare hand reaching to somewhere at the face."""
    look = hand_look(rng, infrared)
    aside = rng.normal(0, 1, 3)
    aside -= (aside @ toward) * toward
    at = face + unit(toward) * rng.uniform(0.35, 0.6) + unit(aside) * rng.uniform(0.15, 0.75)
    reach = unit(aside + 0.7 * toward + np.array([0, 0, 0.4]))
    return props.carer_hand(rng, at.astype(np.float32), reach, look)


def hand_look(rng: np.random.Generator, infrared: bool) -> dict[str, Uniform]:
    """A carer's glove or skin."""
    glove = np.array([(0.18, 0.35, 0.75), (0.30, 0.20, 0.55), (0.80, 0.80, 0.78), (0.05, 0.05, 0.06)][rng.integers(4)])
    bare = np.array([0.80, 0.56, 0.46]) ** rng.uniform(1.0, 3.2)
    return plain(np.full(3, rng.uniform(0.3, 0.7)) if infrared else (glove if rng.random() < 0.4 else bare))


def plain(colour: Floats | np.ndarray) -> dict[str, Uniform]:
    """A look of one colour."""
    return {"cloth_a": triple(colour), "cloth_b": triple(colour * 0.9), "pattern": (0.0, 1.0, 0.0, 0.0)}


def _edge(rng: np.random.Generator, figure: Figure, infrared: bool, _: Floats) -> Made:
    """A fold of cloth over the lower or side face."""
    turn = figure.head_turn
    centre = figure.vertices[canon().patch].mean(axis=0)
    low = rng.random() < 0.7
    at = (
        np.array([rng.normal(0, 0.08), rng.uniform(-0.62, -0.42), 0.18])
        if low
        else np.array([rng.choice([-1, 1]) * rng.uniform(0.42, 0.6), rng.normal(0, 0.1), 0.1])
    )
    radii = np.array([0.65, 0.20, 0.22]) if low else np.array([0.2, 0.6, 0.22])
    part = props.blob(centre + turn @ at, radii, turn, 0.8, ((shaders.CLOTH, 3, props.OTHER), cloth(rng, infrared)))
    return [part], {}


def _patch(rng: np.random.Generator, figure: Figure, infrared: bool, _: Floats) -> Made:
    """An eye shield of phototherapy across both eyes."""
    del infrared, figure
    return [], {
        "tape_a": (0.0, 0.07, float(rng.uniform(0.36, 0.42)), 0.0),
        "tape_colour": (0.80, 0.80, 0.82),
    } if rng.random() < 0.5 else {**_tape(rng, float(rng.choice([-1, 1])), (0.2, 0.26), 0.08)}


def _mask(rng: np.random.Generator, figure: Figure, infrared: bool, _: Floats) -> Made:
    """A nasal CPAP mask: a cup over the nose, two hoses up the forehead or one ahead, straps over the cheeks."""
    look, band = plastic(rng, infrared), cloth(rng, infrared, 0.9)
    nose, turn = props.on_face(figure, [(0.0, -0.10)], 0.035)[0], figure.head_turn
    radii = np.array([0.13, 0.12, 0.085]) * rng.uniform(0.85, 1.15)
    parts = [
        props.blob(nose, radii, turn, 0.75, (DEVICE_KIND, look)),
        props.blob(nose, radii * np.array([1.25, 1.25, 0.35]), turn, 0.8, (DEVICE_KIND, plastic(rng, infrared))),
    ]
    for side in (-1.0, 1.0):
        strap = [(side * x, y) for x, y in ((0.13, -0.10), (0.24, -0.08), (0.36, -0.03), (0.47, 0.03))]
        parts.append(props.tube(_face_path(figure, strap, 0.010), 0.030, (DEVICE_KIND, band)))
    ahead = rng.random() < 0.4
    hose = [[0, 0, 0.02], [0, 0.1, 0.25], [0.2, -0.2, 0.7]] if ahead else [[0, 0, 0.06], [0, 0.28, 0.13], [0, 0.9, 0.1]]
    for shift in (0.0,) if ahead else (-0.05, 0.05):
        path = nose + (np.array(hose) + np.array([shift, 0, 0])) @ turn.T
        parts.append(props.tube(props.smooth_path(path), 0.05, (DEVICE_KIND, look)))
    return parts, {}


def _goggles(rng: np.random.Generator, figure: Figure, infrared: bool, _: Floats) -> Made:
    """Phototherapy goggles: a soft pad on each eye, held by a band around the head."""
    kind = (shaders.CLOTH, 4, props.OTHER)
    look, band = cloth(rng, infrared, 0.8), cloth(rng, infrared, 0.9)
    size = rng.uniform(0.85, 1.2)
    parts = []
    for side in (-1.0, 1.0):
        at = props.on_face(figure, [(side * 0.21, 0.075)], 0.035)[0]
        facing = figure.head_turn @ rotation((0.0, side * 22.0, 0.0))
        parts.append(props.blob(at, np.array([0.145, 0.105, 0.045]) * size, facing, 0.75, (kind, look)))
        path = [(side * x, y) for x, y in ((0.0, 0.075), (0.12, 0.075), (0.30, 0.08), (0.40, 0.085), (0.47, 0.09))]
        parts.append(props.tube(_face_path(figure, path, 0.012), 0.030, (kind, band)))
    return parts, {}


def _fist(rng: np.random.Generator, figure: Figure, infrared: bool, toward: Floats) -> Made:
    """The newborn's own hand at mouth, cheek or eyes."""
    side = float(rng.choice([-1, 1]))
    spots = ((side * 0.10, -0.30), (side * 0.28, -0.15), (side * 0.22, 0.05), (side * 0.33, 0.10))
    at = props.on_face(figure, [spots[rng.integers(len(spots))]], 0.11)[0]
    tone = np.full(3, 0.55) if infrared else np.array(figure.identity.tone) * np.array([1.0, 0.88, 0.86])
    look: dict[str, Uniform] = {"cloth_a": triple(tone), "cloth_b": triple(tone), "pattern": (0.0, 1.0, 0.0, 0.0)}
    reach = figure.head_turn @ np.array([side * 0.8, -1.0, 0.1]) + 0.2 * toward + rng.normal(0, 0.15, 3)
    curl = float(rng.uniform(25, 85))
    return [props.carer_hand(rng, at, reach, look, scale=float(rng.uniform(0.42, 0.5)), curl_deg=curl, label=2)], {}


MAKERS = {
    "cannula": _cannula,
    "feeding": _feeding,
    "cpap": _cpap,
    "dummy": _dummy,
    "carer": _carer,
    "edge": _edge,
    "patch": _patch,
    "mask": _mask,
    "goggles": _goggles,
    "fist": _fist,
}
