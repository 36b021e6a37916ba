"""One random picture of a synthetic newborn with its exact truth, from one generator."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from export.infant import occluders, scene
from export.infant.expression import Expression, sides
from export.infant.figure import NOSE_TIP, OUTFITS, Figure, canon, infant_parts, pose_figure
from export.infant.identity import split_of
from export.infant.mesh import Floats
from export.infant.pose import KEYPOINT_BONES, sample_pose
from export.infant.props import HAND
from export.infant.render import Buffers, Camera, Part, Uniform, renderer
from export.infant.sensor import EVENING_SHARES, LIGHT_SHARES, LIGHTS, develop, sample_sensor

TURNED_AWAY_DEG = 85.0
FACELESS_SHARE, EVENING_SHARE = 0.13, 0.12
OCCLUDED_SHARE = 0.30  # with own hands and blankets about 35 % of faces are covered in part
SIDE_SHARE, SIDE_MAX_DEG = 0.30, 84.0  # faces of any yaw; the others are seen from the front
EVENING_YAW_DEG, AWAY_YAW_DEG = (40.0, 80.0), (112.0, 170.0)
OUTLINE_POINTS = 24
COVER_SHARES = {
    "face": (0.35, 0.15, 0.25, 0.25),
    "evening": (0.1, 0.1, 0.4, 0.4),
    "scrambled": (0.35, 0.15, 0.25, 0.25),
    "away": (0.2, 0.2, 0.3, 0.3),
    "bedding": (0.0, 0.0, 0.5, 0.5),
}
LIMB_RADIUS_DM = (0.45, 0.45, 0.35, 0.35, 0.3, 0.3, 0.75, 0.75, 0.45, 0.45, 0.35, 0.35, 0.25, 0.8)

__all__ = ["Sample", "Truth", "render_sample", "split_of"]


@dataclass(frozen=True)
class Truth:
    """What a picture shows, in pixels, degrees and shares.

    `face_box` is the box of the whole face patch (hairline to chin, ear to ear) even where covered, None where no face
    is in view; `face_outline` is the patch's convex hull, from which the box follows at any roll. `scene` is "face",
    "evening" (asleep, from the side of the cot in evening light, face small and half turned away), "away", "bedding",
    "scrambled" (no face) or "expression" (see closeup.py). Landmarks: subject's right eye, left eye, nose tip,
    right and left mouth corner. `roll_deg` is the clockwise angle of the eye line; `yaw_deg` is positive seen from the
    subject's left, `pitch_deg` from the crown.
    `eye_openness` is the subject's right, then left eye, 0 closed to 1 open. `brow_bulge`, `eye_squeeze` and
    `nasolabial_furrow` are those of the stronger side; `actions_right_left` gives each side's, in this order.
    The visible shares are of the pixels of the bare face, its eyes, mouth, brow (with the root of the nose) and cheeks
    (with the furrows) that still show skin. `props` names what was laid on or before a close-up's face.
    `keypoints` are 14 in CrowdPose order (x, y, v): v 0 out of view, 1 occluded, 2 visible.
    """

    identity: int
    scene: str
    face_box: tuple[float, float, float, float] | None
    face_outline: tuple[tuple[float, float], ...]
    landmarks: tuple[tuple[float, float], ...]
    roll_deg: float
    yaw_deg: float
    pitch_deg: float
    eye_openness: tuple[float, float]
    mouth_openness: float
    expression: str
    brow_bulge: float
    eye_squeeze: float
    nasolabial_furrow: float
    face_visible: float
    eyes_visible: float
    mouth_visible: float
    brow_visible: float
    cheeks_visible: float
    actions_right_left: tuple[tuple[float, float], ...]
    light: str
    keypoints: tuple[tuple[float, float, int], ...]
    props: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """RGB (H, W, 3) uint8, depth (H, W) metres (0 = nothing), labels (H, W): 0 background, 1 face skin, 2 other skin,
    3 cloth, 4 device, 5 carer; and the truth."""

    rgb: NDArray[np.uint8]
    depth: Floats
    labels: NDArray[np.uint8]
    truth: Truth


def sample_expression(rng: np.random.Generator) -> Expression:
    """Calm 55, crying 30, yawning 15 in a hundred; eyes open in half, mostly alike."""
    name = str(rng.choice(["calm", "crying", "yawning"], p=[0.55, 0.30, 0.15]))
    shut = {"calm": 0.40, "crying": 0.64, "yawning": 0.58}[name]
    kind = rng.random()
    both = float(rng.uniform(0.88, 1.0)) if kind < shut else float(rng.uniform(0.0, 0.22))
    if rng.random() < 0.10:
        both = float(rng.uniform(0.2, 0.85))
    other = both if rng.random() < 0.95 else float(rng.uniform(0, 1))
    closed = 0.5 * (both + other)
    gaze = (float(rng.normal(-2, 7)), float(rng.normal(0, 9)))
    jolt = float(rng.uniform(-0.04, 0.04))
    base = Expression(name, both, float(np.clip(other + jolt, 0, 1)), gaze_deg=gaze)
    if name == "calm":
        return replace(
            base,
            mouth_open=float(rng.choice([0.0, 0.0, rng.uniform(0.02, 0.22)])),
            brow_bulge=float(max(0, rng.normal(0, 0.08))),
            pucker=float(max(0, rng.normal(0, 0.3))),
        )
    if name == "crying":
        power = float(rng.uniform(0.55, 1.0))
        return replace(
            base,
            mouth_open=float(rng.uniform(0.5, 1.0)) * (0.6 + 0.4 * power),
            brow_bulge=power,
            eye_squeeze=power * (0.35 + 0.65 * closed),
            nasolabial=power * float(rng.uniform(0.7, 1)),
            mouth_square=power * float(rng.uniform(0.7, 1)),
        )
    return replace(
        base,
        mouth_open=float(rng.uniform(0.75, 1.0)),
        eye_squeeze=0.35 * closed * float(rng.random()),
        brow_bulge=float(rng.uniform(0, 0.2)),
        nasolabial=float(rng.uniform(0, 0.25)),
    )


def render_sample(
    rng: np.random.Generator, *, identity: int, size: tuple[int, int] = (384, 384), view: str = "face"
) -> Sample:
    """Draws one picture; `size` is (width, height), `view` "face" (13 % without a face) or "evening"."""
    kind = view
    if view == "face":
        chance = rng.random()
        if chance < FACELESS_SHARE:
            kind = str(rng.choice(["away", "bedding", "scrambled"], p=[0.40, 0.42, 0.18]))
        elif chance < FACELESS_SHARE + EVENING_SHARE:
            kind = "evening"
    while True:
        sample = _attempt(rng, identity, size, kind)
        if sample is not None:
            return sample


def _attempt(rng: np.random.Generator, identity: int, size: tuple[int, int], kind: str) -> Sample | None:
    """One try at a picture of a kind of COVER_SHARES; None where it shows something else."""
    evening = kind == "evening"
    face = asleep(rng) if evening else sample_expression(rng)
    light_kind = str(rng.choice(LIGHTS, p=EVENING_SHARES if evening else LIGHT_SHARES))
    infrared = light_kind == "infrared"
    hands_up = bool(rng.random() < 0.35)
    turn_deg = float(rng.choice([-1, 1]) * rng.uniform(55, 85)) if kind == "away" else float(rng.normal(0, 28))
    figure = pose_figure(identity, face, sample_pose(rng, turn_deg, float(rng.normal(0, 8)), hands_up))
    level = scene.level_of(figure)
    camera = _camera(rng, figure, size, kind)
    if camera is None or camera.place[2] < level + 0.8:
        return None
    light = scene.sample_light(rng, light_kind, camera, evening=evening)
    parts, uniforms = _dress(rng, figure, infrared, camera)
    cover = str(rng.choice(["none", "legs", "chest", "chin"], p=COVER_SHARES[kind]))
    parts += scene.bedding(rng, figure, level, infrared, cover)
    parts += _surroundings(rng, figure, level, infrared, camera=camera, kind=kind)
    uniforms |= light.uniforms
    uniforms["camera"] = scene.triple(camera.place)
    buffers = renderer(size).draw(parts, camera, uniforms, scene.frustum(light, camera.target, 2.6))
    truth = tell_truth(figure, camera, buffers, size, light=light_kind, kind=kind)
    if not _wanted(truth, buffers, size, kind):
        return None
    rgb = develop(rng, buffers.colour, sample_sensor(rng, light_kind))
    sample = Sample(rgb, buffers.depth / 10, buffers.label, truth)
    if kind == "scrambled":
        sample = scramble(rng, sample)
    return sample if kind in ("face", "evening") else replace(sample, truth=without_face(truth))


def asleep(rng: np.random.Generator) -> Expression:
    """Eyes shut, mouth closed or a little open, brows at rest."""
    shut = float(rng.uniform(0.9, 1.0))
    mouth = float(rng.choice([0.0, rng.uniform(0.0, 0.2)]))
    return Expression("calm", shut, shut, mouth_open=mouth, pucker=float(max(0, rng.normal(0, 0.3))))


def without_face(truth: Truth) -> Truth:
    """The same truth where no face is to be found."""
    return replace(
        truth,
        face_box=None,
        face_outline=(),
        landmarks=(),
        roll_deg=0.0,
        face_visible=0.0,
        eyes_visible=0.0,
        mouth_visible=0.0,
        brow_visible=0.0,
        cheeks_visible=0.0,
    )


def _surroundings(
    rng: np.random.Generator, figure: Figure, level: float, infrared: bool, *, camera: Camera, kind: str
) -> list[Part]:
    """Clutter beside the face or, where no face is wanted, amid the picture, with a hand now and then."""
    if kind != "bedding":
        centre = figure.vertices[canon().patch].mean(axis=0)
        parts = scene.clutter(rng, level, centre, infrared, 0.75)
    else:
        parts = scene.clutter(rng, level + 0.3, camera.target, infrared, 0.2)
        parts += scene.clutter(rng, level + 0.5, camera.target, infrared, 0.0)
    if kind in ("away", "bedding") and rng.random() < 0.4:
        parts.append(occluders.carer(rng, camera.target, infrared, scene.unit(camera.place - camera.target)))
    return parts


def scramble(rng: np.random.Generator, sample: Sample) -> Sample:
    """The face cut into turned and shuffled tiles: all of a face's parts, yet no face."""
    truth = sample.truth
    assert truth.face_box is not None
    rgb, labels = sample.rgb.copy(), np.where(sample.labels == 1, 2, sample.labels).astype(np.uint8)
    x0, y0 = (max(int(v), 0) for v in truth.face_box[:2])
    count = int(rng.integers(3, 6))
    step = int(min(truth.face_box[2] - x0, rgb.shape[1] - x0, truth.face_box[3] - y0, rgb.shape[0] - y0)) // count
    places = [(y0 + row * step, x0 + column * step) for row in range(count) for column in range(count)]
    for (y, x), source in zip(places, rng.permutation(count * count), strict=True):
        v, u = places[int(source)]
        rgb[y : y + step, x : x + step] = np.rot90(sample.rgb[v : v + step, u : u + step], int(rng.integers(4)))
    return Sample(rgb, sample.depth, labels, truth)


def _camera(rng: np.random.Generator, figure: Figure, size: tuple[int, int], kind: str) -> Camera | None:
    scale = size[1] / 384
    up = np.array([0, 1, 0], np.float32)
    if kind == "bedding":
        aside = np.array([rng.normal(0, 1.2), rng.uniform(-4.8, -2.4), 0.3], np.float32) + figure.joints["crown"]
        away = scene.unit(np.array([rng.normal(0, 0.4), rng.normal(0, 0.4), 1.0]))
        span = float(rng.uniform(70, 170)) * scale
        return scene.aim(rng, aside, away, up, extent=0.95, extent_px=span, size=size, spread=0.3)
    side = rng.random() < SIDE_SHARE
    yaw = float(rng.uniform(-SIDE_MAX_DEG, SIDE_MAX_DEG)) if side else float(rng.normal(0, 26))
    if kind == "away":
        yaw = float(rng.choice([-1, 1]) * rng.uniform(*AWAY_YAW_DEG))
    elif kind == "evening":
        yaw = float(rng.choice([-1, 1]) * rng.uniform(*EVENING_YAW_DEG))
    elif abs(yaw) > TURNED_AWAY_DEG - 1:
        return None
    smallest, largest = (64, 110) if kind == "evening" else (92, 215)
    face_px = float(np.exp(rng.uniform(np.log(smallest), np.log(largest)))) * scale
    return scene.face_camera(rng, figure, yaw, float(np.clip(rng.normal(0, 16), -40, 40)), face_px=face_px, size=size)


def _dress(
    rng: np.random.Generator, figure: Figure, infrared: bool, camera: Camera
) -> tuple[list[Part], dict[str, Uniform]]:
    """Outfit, cap and occluders: the newborn's parts and the shared uniforms."""
    uniforms = scene.skin_uniforms(rng, figure.identity, infrared)
    tone = (0.5, 0.5, 0.5) if infrared else figure.identity.tone
    uniforms["furrow"] = scene.furrows(figure, rng)
    uniforms["tear"] = float(figure.face.name == "crying" and rng.random() < 0.4)
    cap: dict[str, Uniform] | None = None
    if rng.random() < 0.28:
        cap = {**scene.cloth(rng, infrared, 0.5), "cap_plane": (0.0, 0.83, -0.55, float(rng.uniform(-0.08, 0.04)))}
    outfit = str(rng.choice(OUTFITS))
    parts = infant_parts(figure, outfit, scene.garment(rng, infrared, tone), cap)
    toward = scene.unit(camera.place - figure.vertices[canon().patch].mean(axis=0))
    if rng.random() < OCCLUDED_SHARE:
        more, marks = occluders.add_occluder(rng, figure, infrared, toward)
        parts += more
        uniforms |= marks
    return parts, uniforms


def tell_truth(
    figure: Figure, camera: Camera, buffers: Buffers, size: tuple[int, int], *, light: str, kind: str
) -> Truth:
    """The truth of a drawn figure."""
    known, face = canon(), figure.face
    patch, _ = camera.project(figure.vertices[known.patch], size)
    local = figure.head_turn.T @ scene.unit(camera.place - figure.vertices[known.patch].mean(axis=0))
    yaw, pitch = np.degrees(np.arctan2(local[0], local[2])), np.degrees(np.arcsin(np.clip(local[1], -1, 1)))
    spots = np.stack(
        [
            figure.joints["eye.R"] + 0.13 * figure.head_turn[:, 2],
            figure.joints["eye.L"] + 0.13 * figure.head_turn[:, 2],
            figure.vertices[NOSE_TIP],
            figure.vertices[known.corners[0]],
            figure.vertices[known.corners[1]],
        ]
    )
    marks, _ = camera.project(spots, size)
    box = (float(patch[:, 0].min()), float(patch[:, 1].min()), float(patch[:, 0].max()), float(patch[:, 1].max()))
    seen = abs(yaw) <= TURNED_AWAY_DEG and _share_inside(box, size) > 0.0 and bool((buffers.bare_part > 0).any())
    roll = float(np.degrees(np.arctan2(marks[1, 1] - marks[0, 1], marks[1, 0] - marks[0, 0])))
    shut = (face.closure_right, face.closure_left)
    return Truth(
        identity=figure.identity.seed,
        scene=kind,
        face_box=box if seen else None,
        face_outline=outline_of(patch) if seen else (),
        landmarks=tuple((float(x), float(y)) for x, y in marks) if seen else (),
        roll_deg=roll if seen else 0.0,
        yaw_deg=float(yaw),
        pitch_deg=float(pitch),
        eye_openness=(1 - shut[0], 1 - shut[1]),
        mouth_openness=face.mouth_open,
        expression=face.name,
        brow_bulge=face.brow_bulge,
        eye_squeeze=face.eye_squeeze,
        nasolabial_furrow=face.nasolabial,
        face_visible=_visible(buffers, (1, 2, 3, 4, 5)),
        eyes_visible=_visible(buffers, (2,)),
        mouth_visible=_visible(buffers, (3,)),
        brow_visible=_visible(buffers, (4,)),
        cheeks_visible=_visible(buffers, (5,)),
        actions_right_left=sides(face),
        light=light,
        keypoints=_keypoints(figure, camera, buffers, size),
    )


def outline_of(points: Floats) -> tuple[tuple[float, float], ...]:
    """At most OUTLINE_POINTS corners of the convex hull of points (n, 2), those that carry most of it."""
    hull = cv2.convexHull(points.astype(np.float32)).reshape(-1, 2)
    along = np.linspace(0, 2 * np.pi, OUTLINE_POINTS, endpoint=False)
    furthest = {int(i) for i in (hull @ np.stack([np.cos(along), np.sin(along)])).argmax(axis=0)}
    return tuple((round(float(hull[i, 0]), 2), round(float(hull[i, 1]), 2)) for i in sorted(furthest))


def _visible(buffers: Buffers, parts: tuple[int, ...]) -> float:
    """Share of the bare face's pixels of these parts that still show face skin in the full scene."""
    wanted = np.isin(buffers.bare_part, parts)
    if not wanted.any():
        return 0.0
    return float(((buffers.label == 1) & wanted).sum() / wanted.sum())


def _share_inside(box: tuple[float, float, float, float], size: tuple[int, int]) -> float:
    wide = min(box[2], size[0]) - max(box[0], 0)
    high = min(box[3], size[1]) - max(box[1], 0)
    return max(wide, 0) * max(high, 0) / ((box[2] - box[0]) * (box[3] - box[1]))


def _keypoints(
    figure: Figure, camera: Camera, buffers: Buffers, size: tuple[int, int]
) -> tuple[tuple[float, float, int], ...]:
    places = np.stack(
        [*(figure.joints[bone] for bone in KEYPOINT_BONES), figure.joints["crown"], figure.joints["neck01"]]
    )
    pixels, depths = camera.project(places, size)
    out = []
    for (x, y), depth, radius in zip(pixels, depths, LIMB_RADIUS_DM, strict=True):
        column, row = int(x), int(y)
        if not (0 <= column < size[0] and 0 <= row < size[1]) or depth <= 0:
            out.append((float(x), float(y), 0))
            continue
        seen = buffers.depth[row, column]
        clear = seen == 0 or seen > depth - radius
        out.append((float(x), float(y), 2 if clear and buffers.object[row, column] not in (4, HAND) else 1))
    return tuple(out)


def _wanted(truth: Truth, buffers: Buffers, size: tuple[int, int], kind: str) -> bool:
    """Whether the picture is what was asked for: no half-seen faces at the border, nor ones hidden altogether."""
    face_skin = buffers.label == 1
    if kind == "away":  # cheeks may show from behind; eyes and mouth do not
        return int((np.isin(buffers.bare_part, (2, 3)) & face_skin).sum()) < 8
    if kind == "bedding":
        return int(((buffers.bare_part > 0) & face_skin).sum()) < 40
    if truth.face_box is None:
        return False
    side = max(truth.face_box[2] - truth.face_box[0], truth.face_box[3] - truth.face_box[1]) * 384 / size[1]
    smallest = 56 if kind == "evening" else 84
    return _share_inside(truth.face_box, size) > 0.93 and truth.face_visible > 0.3 and smallest < side < 250
