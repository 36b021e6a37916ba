"""What surrounds the newborn in one picture: light, camera, bedding, occluders, all drawn from a generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.infant import props, shaders
from export.infant.figure import Figure, canon
from export.infant.identity import Identity
from export.infant.mesh import Floats
from export.infant.paint import WINDOW
from export.infant.pose import rotation
from export.infant.render import Camera, Part, Uniform, light_frustum

TEMPERATURES = (
    (1.0, 0.62, 0.34),
    (1.0, 0.78, 0.55),
    (1.0, 0.93, 0.83),
    (1.0, 1.0, 1.0),
    (0.82, 0.92, 1.0),
    (0.72, 0.95, 1.0),
)
CLOTHS = (
    (0.80, 0.80, 0.78),
    (0.85, 0.84, 0.80),
    (0.55, 0.70, 0.82),
    (0.80, 0.52, 0.58),
    (0.75, 0.70, 0.42),
    (0.35, 0.60, 0.50),
    (0.10, 0.20, 0.42),
    (0.45, 0.30, 0.55),
    (0.50, 0.50, 0.52),
    (0.60, 0.10, 0.10),
    (0.12, 0.35, 0.16),
    (0.75, 0.45, 0.15),
    (0.40, 0.25, 0.14),
    (0.06, 0.06, 0.07),
    (0.20, 0.50, 0.55),
    (0.88, 0.75, 0.65),
)
EYE_PLACES = (-0.21, 0.065, 0.21, 0.065)
MOUTH_PLACE = (0.0, -0.285, 0.17, 0.11)


@dataclass(frozen=True)
class Light:
    """`kind` is one of sensor.LIGHTS; uniforms are ready for the renderer."""

    kind: str
    direction: Floats
    uniforms: dict[str, Uniform]


def unit(vector: Floats) -> Floats:
    """The vector at length one."""
    out: Floats = (vector / np.linalg.norm(vector)).astype(np.float32)
    return out


def triple(values: Floats | np.ndarray) -> tuple[float, float, float]:
    """A uniform of three floats."""
    first, second, third = (float(value) for value in values)
    return first, second, third


def sample_light(rng: np.random.Generator, kind: str, camera: Camera, *, evening: bool = False) -> Light:
    """Key light from above the mattress with a colour temperature; infrared adds a lamp at the camera.

    In the `evening` it is warm and comes from low beside the cot.
    """
    height = rng.uniform(0.12, 0.5) if evening else rng.uniform(0.35, 1.2)
    direction = unit(np.array([rng.normal(0, 0.7), rng.normal(0.1, 0.7), height]))
    infrared = kind == "infrared"
    warmth = rng.integers(2 if evening else len(TEMPERATURES))
    hue = np.ones(3) if infrared else np.array(TEMPERATURES[warmth]) ** rng.uniform(0.3, 1.0)
    key = rng.uniform(0.4, 1.6)
    fill = rng.uniform(0.18, 0.75) * (0.6 if kind == "dark" else 1.0)
    other = np.ones(3) if infrared else np.array(TEMPERATURES[rng.integers(len(TEMPERATURES))]) ** 0.4
    spot = 0.0
    if infrared or rng.random() < 0.08:
        reach = float(np.linalg.norm(camera.place - camera.target))
        spot, key, fill = rng.uniform(0.5, 1.2) * reach**2, key * rng.uniform(0, 0.3), fill * rng.uniform(0.05, 0.5)
    return Light(
        kind,
        direction,
        {
            "light_dir": triple(direction),
            "light_colour": triple(hue * key),
            "sky": triple(other * fill),
            "bounce": triple(other * fill * np.array([0.55, 0.48, 0.42])),
            "spot": float(spot),
            "spot_place": triple(camera.place + rng.normal(0, 0.25, 3)),
            "shadow_soft": float(rng.uniform(0.004, 0.03)),
            "shadow_on": 1.0,
            "infrared": 1.0 if infrared else 0.0,
        },
    )


def frustum(light: Light, centre: Floats, radius: float) -> Floats:
    """The shadow map's clip matrix around the scene."""
    return light_frustum(light.direction, centre, radius)


def skin_uniforms(rng: np.random.Generator, who: Identity, infrared: bool) -> dict[str, Uniform]:
    """Colours and textures of the identity, told in grey for infrared."""
    tone, blood, lip, hair, iris = who.tone, who.blood, who.lip, who.hair, who.iris
    if infrared:  # skin reflects near infrared strongly, whatever its melanin
        grey = 0.62 - 0.14 * who.melanin
        tone, blood, lip = (grey,) * 3, (0.93,) * 3, (grey * float(rng.uniform(0.75, 1.05)),) * 3
        hair, iris = (float(rng.uniform(0.08, 0.35)),) * 3, (float(rng.uniform(0.05, 0.2)),) * 3
    return {
        "tone": tone,
        "blood": blood,
        "lip": lip,
        "hair_colour": hair,
        "iris": iris,
        "hair_amount": who.hair_amount,
        "brow_amount": who.brow_amount,
        "mottle": who.mottle,
        "blotch": who.blotch,
        "pale": who.pale,
        "jitter": who.jitter,
        "shine": float(rng.uniform(0.1, 0.7)),
        "pulse": (1.0, 1.0, 1.0),
        "pulse_late": (1.0, 1.0, 1.0),
        "tear": 0.0,
        "flush": 0.0,
        "furrow_lean": (0.0,) * 3,
        "pupil": float(rng.random() < 0.4) if infrared else 0.0,
        "tape_a": (0.0,) * 4,
        "tape_b": (0.0,) * 4,
        "tape_colour": (0.8, 0.8, 0.8),
        "pattern": (0.0, 1.0, 0.0, 0.0),
        "cloth_a": (0.5,) * 3,
        "cloth_b": (0.5,) * 3,
        "face_window": (WINDOW[0], WINDOW[1], 1 / WINDOW[2], 1 / WINDOW[3]),
        "eyes_at": EYE_PLACES,
        "mouth_at": MOUTH_PLACE,
        "layer": 0.0,
        "cap_plane": (0.0, 1.0, 0.0, 9.0),
        "eye_centre": (0.0, 0.0, 0.0),
        "gaze": (0.0, 0.0, 1.0),
    }


def furrows(figure: Figure, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Strength of nasolabial, frown, squeeze and lid lines."""
    face = figure.face
    return (
        0.75 * face.nasolabial + 0.06,
        0.75 * face.brow_bulge,
        0.75 * face.eye_squeeze,
        float(rng.uniform(0.35, 0.7)),
    )


def garment(rng: np.random.Generator, infrared: bool, skin: tuple[float, float, float]) -> dict[str, Uniform]:
    """A fabric that cannot be taken for the newborn's skin: patterned where its colours come near it."""
    while True:
        out = cloth(rng, infrared, 0.4)
        kind, density, turn, _ = out["pattern"]  # type: ignore[misc]
        out["pattern"] = (kind, max(float(density), 4.0), turn, 0.0)
        near = float(np.abs(np.log(np.array(out["cloth_a"]) / np.array(skin))).max()) < 0.5
        if not near and not (infrared and out["pattern"][0] == 0):  # type: ignore[index]
            return out


def cloth(rng: np.random.Generator, infrared: bool, plain: float = 0.35) -> dict[str, Uniform]:
    """A fabric: two colours and a pattern (plain, stripes, checks, dots, flowers, patches, grid, clouds)."""
    first, second = (np.array(CLOTHS[rng.integers(len(CLOTHS))]) * rng.uniform(0.75, 1.1) for _ in range(2))
    if rng.random() < 0.4:
        first = np.array(CLOTHS[rng.integers(2)])
    if infrared:
        first, second = np.full(3, rng.uniform(0.1, 0.85)), np.full(3, rng.uniform(0.1, 0.85))
    kind = 0 if rng.random() < plain else int(rng.integers(1, 8))
    return {
        "cloth_a": triple(first),
        "cloth_b": triple(second),
        "jitter": triple(rng.uniform(0, 1, 3)),
        "pattern": (float(kind), float(np.exp(rng.uniform(np.log(1.2), np.log(9)))), float(rng.uniform(0, 3.2)), 0.0),
    }


def face_camera(
    rng: np.random.Generator, figure: Figure, yaw_deg: float, pitch_deg: float, *, face_px: float, size: tuple[int, int]
) -> Camera:
    """A camera that sees the face at a yaw, pitch and size, at any roll; the face lies anywhere in view."""
    centre = figure.vertices[canon().patch].mean(axis=0)
    yaw, pitch = np.radians(yaw_deg), np.radians(pitch_deg)
    local = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], np.float32)
    away = figure.head_turn @ local
    return aim(rng, centre, away, figure.head_turn[:, 1], extent=0.95, extent_px=face_px, size=size)


def aim(
    rng: np.random.Generator,
    centre: Floats,
    away: Floats,
    up: Floats,
    *,
    extent: float,
    extent_px: float,
    size: tuple[int, int],
    spread: float = 0.8,
) -> Camera:
    """A camera along `away` from `centre` at which `extent` decimetres span `extent_px`, rolled uniformly."""
    width, height = size
    field = float(rng.uniform(18, 42))
    focal = 0.5 * height / np.tan(np.radians(field) / 2)
    reach = focal * extent / extent_px
    rolled = rotation(unit(away) * float(rng.uniform(0, 360))) @ up
    right = unit(np.cross(rolled, away))
    over = np.cross(unit(away), right)
    room = np.maximum(np.array([width, height]) - extent_px, 0) / 2 * spread
    shift = rng.uniform(-1, 1, 2) * room * extent / extent_px
    target = centre + right * shift[0] + over * shift[1]
    return Camera((target + unit(away) * reach).astype(np.float32), target.astype(np.float32), rolled, field)


def level_of(figure: Figure) -> float:
    """The mattress's height: just under the deepest of trunk and head, a little sunk in."""
    return float(np.percentile(figure.vertices[:13380, 2], 0.5)) + 0.03


def bedding(
    rng: np.random.Generator,
    figure: Figure,
    level: float,
    infrared: bool,
    cover: str,
    *,
    near: bool = False,
    coarse: bool = False,
) -> list[Part]:
    """Mattress and blanket; `cover` is none, legs, chest or chin; a mattress only seen `near` the face is smaller."""
    half, count = (8.0, 41) if near else (14.0, 57 if coarse else 97)
    parts = [props.mattress(figure, level, cloth(rng, infrared), half, count)]
    tops = {"legs": -1.3, "chest": -0.45, "chin": 0.10}
    if cover in tops:
        neck = float(figure.joints["neck01"][1])
        narrow = float(rng.uniform(1.0, 1.5) if cover == "chin" else rng.uniform(1.3, 3.8))
        parts.append(
            props.blanket(
                rng,
                figure,
                level,
                neck + tops[cover] + float(rng.normal(0, 0.08)),
                narrow=narrow,
                uniforms=cloth(rng, infrared),
            )
        )
    return parts


def clutter(rng: np.random.Generator, level: float, centre: Floats, infrared: bool, keep_off: float) -> list[Part]:
    """Toys, rolls, rails and wires at least `keep_off` decimetres from `centre` on the mattress."""
    parts: list[Part] = []
    for _ in range(int(rng.integers(0, 6))):
        angle, away = rng.uniform(0, 2 * np.pi), keep_off + rng.exponential(0.9)
        radii = rng.uniform(0.15, 0.7, 3)
        at = np.array([centre[0] + away * np.cos(angle), centre[1] + away * np.sin(angle), level + radii[2] * 0.8])
        parts.append(
            props.blob(
                at,
                radii,
                rotation(triple(rng.uniform(-180, 180, 3))),
                float(rng.uniform(0.25, 1.0)),
                ((shaders.CLOTH if rng.random() < 0.6 else shaders.DEVICE, 0, props.OTHER), cloth(rng, infrared)),
            )
        )
    if rng.random() < 0.35:
        parts.append(_roll(rng, level, centre, infrared, keep_off))
    if rng.random() < 0.35:
        parts += _rails(rng, level, infrared)
    if rng.random() < 0.35:
        points = centre + np.cumsum(rng.normal(0, 0.9, (6, 3)), axis=0)
        points[:, 2] = level + 0.1
        points[0, :2] += rng.normal(0, 1, 2) * 2
        parts.append(
            props.tube(
                props.smooth_path(points),
                float(rng.uniform(0.015, 0.06)),
                ((shaders.DEVICE, 0, props.OTHER), cloth(rng, infrared)),
            )
        )
    return parts


def _roll(rng: np.random.Generator, level: float, centre: Floats, infrared: bool, keep_off: float) -> Part:
    """A rolled towel as a nest around the head."""
    radius = float(rng.uniform(0.2, 0.4))
    start, turn = rng.uniform(0, np.pi), rng.uniform(1.5, 3.6)
    angles = np.linspace(start, start + turn, 14)
    ring = keep_off + radius + 0.05
    points = np.stack(
        [centre[0] + ring * np.cos(angles), centre[1] + ring * np.sin(angles), np.full(14, level + radius * 0.8)],
        axis=1,
    )
    return props.tube(points, radius, ((shaders.CLOTH, 0, props.OTHER), cloth(rng, infrared)), sides=18)


def _rails(rng: np.random.Generator, level: float, infrared: bool) -> list[Part]:
    side, step = float(rng.choice([-1, 1])) * rng.uniform(2.0, 3.2), float(rng.uniform(0.5, 0.9))
    look = ((shaders.DEVICE, 0, props.OTHER), cloth(rng, infrared))
    bars = [
        props.tube(np.array([[side, y, level], [side, y, level + 4.0]]), 0.08, look) for y in np.arange(-6.0, 1.5, step)
    ]
    return [*bars, props.tube(np.array([[side, -7, level + 3.8], [side, 2, level + 3.8]]), 0.14, look)]
