"""Whole newborns in the cot as a colour and a depth camera see them, with their joints' exact truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from export.infant import covers, scene
from export.infant.figure import Build, Figure, infant_parts, posed_figure, resting
from export.infant.lying import POSTURE_SHARES, POSTURES, Lying, sample_lying
from export.infant.mesh import Floats
from export.infant.pose import KEYPOINT_BONES
from export.infant.range_camera import RangeCamera, measure, sample_range_camera
from export.infant.render import Buffers, Camera, Part, Uniform, renderer
from export.infant.sample import sample_expression
from export.infant.sensor import LIGHT_SHARES, LIGHTS, develop, sample_sensor

SIZE = (320, 240)
STATURE_MM, MESH_MM = (400.0, 560.0), 590.0  # crown to heel: preterm to term and some weeks more; the mesh's own
OWN = (1, 2, 3, 7)  # the newborn's own objects: head, clothes, cap, trunk and limbs
RADIUS_DM = (0.40, 0.40, 0.28, 0.28, 0.24, 0.24, 0.62, 0.62, 0.40, 0.40, 0.28, 0.28, 0.60, 0.70)
HIP_OUT_DM, SHOULDER_OUT_DM = 0.17, 0.08  # joints are annotated nearer to the body's side than the mesh's bones begin
TRUNK, UPPER_ARM, FOREARM, THIGH, SHANK = 1.10, 1.0, 0.80, 0.86, 1.25  # the mesh's baby to annotated infants
SEEN_SHARE = 0.4
INSIDE_JOINTS = 9


@dataclass(frozen=True)
class Settings:
    """What is drawn at random, as (least, most) where two numbers are given.

    Training and the shifted test share no value of `camera_mm`, `tilt_deg`, `limbs` and `head`, nor a kind of object
    beside the newborn but wires (covers.TRAINED, covers.SHIFTED), and the shift's depth is coarser and noisier.
    """

    shifted: bool
    camera_mm: tuple[float, float]
    tilt_deg: tuple[float, float]
    limbs: tuple[tuple[float, float], ...]
    head: tuple[tuple[float, float], ...]
    spans: tuple[float, float] = (0.45, 0.95)


TRAIN = Settings(False, (550.0, 1100.0), (0.0, 33.0), ((0.88, 1.12),), ((0.92, 1.03),))
SHIFT = Settings(True, (1150.0, 1500.0), (34.0, 44.0), ((0.70, 0.84), (1.17, 1.32)), ((0.80, 0.89), (1.06, 1.18)))


@dataclass(frozen=True)
class BodyTruth:
    """What a body's picture shows.

    `keypoints` are 14 in CrowdPose order (x px, y px, v): v 0 out of the picture, 1 hidden, 2 visible, by depth test.
    `box` (xyxy px) holds the whole newborn, hidden parts too, as far as it lies in the picture.
    `posture` is supine, side or prone; `head_side` the subject's side that the nose points to from the trunk's front
    (midline within 25 degrees). `outfit` is nappy, bodysuit, romper or sleepsuit, `cover` none, legs, chest, chin (a
    blanket up to there) or swaddle. In an empty cot there are no keypoints, and posture, head side and outfit are
    None. `props` names what else lies on or about the newborn. `distance_mm` is from camera to where the trunk is or
    would be, `tilt_deg` the view's angle to the plumb line, `stature_mm` crown to heel stretched out.
    """

    identity: int
    scene: str
    keypoints: tuple[tuple[float, float, int], ...]
    box: tuple[float, float, float, float] | None
    posture: str | None
    head_side: str | None
    outfit: str | None
    cover: str
    light: str
    props: tuple[str, ...]
    stature_mm: float
    distance_mm: float
    tilt_deg: float
    shifted: bool


@dataclass(frozen=True)
class BodySample:
    """RGB (H, W, 3) uint8; depth (H, W) uint16 in mm, 0 = none; the truth."""

    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    truth: BodyTruth


def render_body(
    rng: np.random.Generator,
    *,
    identity: int,
    size: tuple[int, int] = SIZE,
    settings: Settings = TRAIN,
    posture: str | None = None,
    cover: str | None = None,
    empty: bool = False,
) -> BodySample:
    """Draws one picture; `size` is (width, height); a posture, a cover or an empty cot may be asked for."""
    cover = "none" if empty else cover
    while True:
        drawn = sample_scene(rng, identity, size, settings, posture=posture, cover=cover)
        sample = _attempt(rng, drawn, size, settings, empty=empty)
        if sample is not None:
            return sample


def sample_build(rng: np.random.Generator, settings: Settings) -> Build:
    """Bones of `babymoves_labels`'s proportions (see proportions.py), longer or shorter by the settings."""
    limbs = settings.limbs[int(rng.integers(len(settings.limbs)))]
    head = settings.head[int(rng.integers(len(settings.head)))]
    arms, legs = (float(rng.uniform(*limbs)) for _ in range(2))
    return Build(
        trunk=TRUNK * float(rng.uniform(0.96, 1.04)),
        neck_dm=float(rng.uniform(0.12, 0.30)),
        upper_arm=UPPER_ARM * arms,
        forearm=FOREARM * arms,
        thigh=THIGH * legs,
        shank=SHANK * legs,
        head=float(rng.uniform(*head)),
    )


@dataclass(frozen=True)
class Scene:
    """One drawn newborn, before anything is put about it."""

    rest: Floats  # vertices before they are posed
    figure: Figure
    lying: Lying
    cover: str
    camera: Camera
    tilt_deg: float
    stature_mm: float

    @property
    def mm_per_dm(self) -> float:
        """Millimetres of the newborn's world in a decimetre of the mesh's."""
        return 100 * self.stature_mm / MESH_MM


def sample_scene(
    rng: np.random.Generator,
    identity: int,
    size: tuple[int, int],
    settings: Settings,
    *,
    posture: str | None = None,
    cover: str | None = None,
) -> Scene:
    """Who lies there, how, under what, and from where it is seen."""
    face = sample_expression(rng)
    rest = resting(identity, face, sample_build(rng, settings), float(rng.uniform(-1, 1)))
    posture = posture or str(rng.choice(POSTURES, p=POSTURE_SHARES))
    cover = cover or covers.sample_cover(rng, posture)
    lying = sample_lying(rng, rest, posture, wrapped=cover == "swaddle")
    figure = posed_figure(identity, face, rest, lying.pose, lying.level + 0.004)
    stature_mm = float(rng.uniform(*STATURE_MM))
    camera, tilt_deg = _camera(rng, figure, size, settings, 100 * stature_mm / MESH_MM)
    return Scene(rest, figure, lying, cover, camera, tilt_deg, stature_mm)


def _attempt(
    rng: np.random.Generator, drawn: Scene, size: tuple[int, int], settings: Settings, *, empty: bool
) -> BodySample | None:
    """One try at a picture; None where too little of the newborn is in it."""
    figure, lying, camera, cover = drawn.figure, drawn.lying, drawn.camera, drawn.cover
    light_kind = str(rng.choice(LIGHTS, p=LIGHT_SHARES))
    infrared = light_kind == "infrared"
    light = scene.sample_light(rng, light_kind, camera)
    parts, uniforms, outfit = dress(rng, figure, infrared)
    if empty:
        parts = []
    shifted = settings.shifted
    around = covers.surround(rng, figure, lying, camera, cover=cover, infrared=infrared, shifted=shifted, empty=empty)
    uniforms |= light.uniforms | around.uniforms | {"camera": scene.triple(camera.place)}
    light_clip = scene.frustum(light, camera.target, 5.0)
    buffers = renderer(size).draw(parts + around.parts, camera, uniforms, light_clip, bare=False)
    points = () if empty else keypoints(figure, camera, buffers, size)
    if not empty and (sum(v > 0 for _, _, v in points) < INSIDE_JOINTS or not any(v == 2 for _, _, v in points)):
        return None
    rgb = develop(rng, buffers.colour, sample_sensor(rng, light_kind))
    brightness = buffers.colour.mean(axis=2)
    albedo = brightness * (0.3 / max(float(np.median(brightness[::4, ::4])), 1e-6))
    focal_px = float(0.5 * size[1] / np.tan(np.radians(camera.field_deg) / 2))
    depth_mm = measure(rng, buffers.depth * drawn.mm_per_dm, albedo, focal_px, range_camera(rng, settings))
    truth = BodyTruth(
        identity=figure.identity.seed,
        scene="body",
        keypoints=points,
        box=None if empty else box_of(figure, camera, size),
        posture=None if empty else lying.posture,
        head_side=None if empty else lying.head_side,
        outfit=None if empty else outfit,
        cover=cover,
        light=light_kind,
        props=around.names,
        stature_mm=round(drawn.stature_mm, 1),
        distance_mm=round(float(np.linalg.norm(camera.place - camera.target)) * drawn.mm_per_dm, 1),
        tilt_deg=round(drawn.tilt_deg, 1),
        shifted=settings.shifted,
    )
    return BodySample(rgb, depth_mm, truth)


def range_camera(rng: np.random.Generator, settings: Settings) -> RangeCamera:
    """A depth camera at random; the shift's steps and noise are beyond any of training's."""
    camera = sample_range_camera(rng)
    if settings.shifted:
        return replace(camera, step_px=camera.step_px + 0.12, noise_px=camera.noise_px + 0.09, dropout=0.6)
    return camera


def _camera(
    rng: np.random.Generator, figure: Figure, size: tuple[int, int], settings: Settings, mm_per_dm: float
) -> tuple[Camera, float]:
    """A camera over or beside the cot, rolled at will or along the cot; and its tilt from the plumb line."""
    body = figure.vertices[:13380:7]
    middle = 0.5 * (body.min(axis=0) + body.max(axis=0))
    tilt, turn = float(rng.uniform(*settings.tilt_deg)), float(rng.uniform(0, 2 * np.pi))
    lean = np.radians(tilt)
    away = np.array([np.sin(lean) * np.cos(turn), np.sin(lean) * np.sin(turn), np.cos(lean)], np.float32)
    reach = float(rng.uniform(*settings.camera_mm)) / mm_per_dm / np.cos(lean)
    roll = float(rng.uniform(0, 360)) if rng.random() < 0.5 else 90.0 * int(rng.integers(4)) + float(rng.normal(0, 8))
    ahead = np.array([-np.sin(np.radians(roll)), np.cos(np.radians(roll)), 0.0], np.float32)
    camera = Camera((middle + away * reach).astype(np.float32), middle, ahead, 40.0)
    pixels, _ = camera.project(body, size)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    span = float(((high - low) / np.array(size)).max())
    zoom = float(rng.uniform(*settings.spans)) / span
    field = 2 * np.degrees(np.arctan(np.tan(np.radians(40.0) / 2) / zoom))
    focal_px = 0.5 * size[1] / np.tan(np.radians(field) / 2)
    room = np.maximum(np.array(size) - (high - low) * zoom, 0) / 2
    shift = rng.uniform(-1, 1, 2) * room * (1.0 if rng.random() < 0.85 else 1.5)
    shift += ((low + high) / 2 - np.array(size) / 2) * zoom
    right, over = camera.view()[0, :3], camera.view()[1, :3]
    move = (right * shift[0] - over * shift[1]) * (reach / focal_px)
    return replace(camera, place=camera.place + move, target=camera.target + move, field_deg=float(field)), tilt


def dress(rng: np.random.Generator, figure: Figure, infrared: bool) -> tuple[list[Part], dict[str, Uniform], str]:
    """The newborn's parts, the skin's uniforms and the outfit; the same generator dresses every pose alike."""
    uniforms = scene.skin_uniforms(rng, figure.identity, infrared)
    tone = (0.5, 0.5, 0.5) if infrared else figure.identity.tone
    uniforms["furrow"] = scene.furrows(figure, rng)
    cap: dict[str, Uniform] | None = None
    if rng.random() < 0.28:
        cap = {**scene.cloth(rng, infrared, 0.5), "cap_plane": (0.0, 0.83, -0.55, float(rng.uniform(-0.08, 0.04)))}
    outfit = str(rng.choice(covers.OUTFITS, p=covers.OUTFIT_SHARES))
    cloth = scene.garment(rng, infrared, tone)
    if outfit == "nappy" and rng.random() < 0.7:
        white = rng.uniform(0.6, 0.9)
        cloth = cloth | {"cloth_a": (white,) * 3, "cloth_b": (white * 0.92,) * 3}
    parts = infant_parts(figure, outfit, cloth, cap, loose=1)
    return parts, uniforms, outfit


def box_of(figure: Figure, camera: Camera, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The newborn's extent (xyxy px) within a picture (width, height)."""
    pixels, _ = camera.project(figure.vertices[:13380:7], size)
    (x0, y0), (x1, y1) = pixels.min(axis=0).clip(0, size), pixels.max(axis=0).clip(0, size)
    return round(float(x0), 1), round(float(y0), 1), round(float(x1), 1), round(float(y1), 1)


def joints_of(figure: Figure) -> Floats:
    """World places (14, 3) of the joints in CrowdPose order."""
    out = np.stack([*(figure.joints[bone] for bone in KEYPOINT_BONES), figure.joints["crown"], figure.joints["neck01"]])
    for left, out_dm in ((0, SHOULDER_OUT_DM), (6, HIP_OUT_DM)):
        across = out_dm * scene.unit(out[left] - out[left + 1])
        out[left], out[left + 1] = out[left] + across, out[left + 1] - across
    return out.astype(np.float32)


def keypoints(
    figure: Figure, camera: Camera, buffers: Buffers, size: tuple[int, int]
) -> tuple[tuple[float, float, int], ...]:
    """Joints as (x px, y px, v): visible where enough of a square about the joint shows the newborn within its limb."""
    places = joints_of(figure)
    pixels, _ = camera.project(places, size)
    places[12] += 0.3 * scene.unit(places[13] - places[12])  # within the head: the crown lies on its outline
    spots, depths = camera.project(places, size)
    focal_px = 0.5 * size[1] / np.tan(np.radians(camera.field_deg) / 2)
    own = np.isin(buffers.object, OWN)
    out = []
    for (x, y), (u, v), depth, radius in zip(pixels.tolist(), spots.tolist(), depths.tolist(), RADIUS_DM, strict=True):
        inside = 0 <= x < size[0] and 0 <= y < size[1] and depth > 0
        disc_px = max(0.5 * radius * focal_px / depth, 1.0)
        left, top = int(max(u - disc_px, 0)), int(max(v - disc_px, 0))
        near = np.s_[top : int(v + disc_px) + 1, left : int(u + disc_px) + 1]
        seen = (own[near] & (np.abs(buffers.depth[near] - depth) < 1.25 * radius)) if inside else np.zeros(1)
        shown = seen.size > 0 and seen.mean() > SEEN_SHARE
        out.append((round(x, 2), round(y, 2), (2 if shown else 1) if inside else 0))
    return tuple(out)
