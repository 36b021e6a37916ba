"""Close pictures of a synthetic newborn's face at work, for the expression network: any action alone or with others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from export.infant import occluders, props, scene, shaders
from export.infant.expression import Expression
from export.infant.figure import OUTFITS, Figure, canon, infant_parts, pose_figure
from export.infant.pose import sample_pose
from export.infant.render import Camera, Part, Uniform, renderer
from export.infant.sample import Sample, tell_truth
from export.infant.sensor import LIGHTS, develop, exposure, sample_sensor, smear

KINDS = ("calm", "crying", "yawning", "fussing", "grimacing")
KIND_SHARES = (0.45, 0.25, 0.10, 0.05, 0.15)
SHUT_SHARES = {"calm": 0.40, "crying": 0.62, "yawning": 0.55, "fussing": 0.40, "grimacing": 0.35}
PROPS = ("cannula", "feeding", "cpap", "mask", "dummy", "fist", "carer", "goggles", "patch", "edge")
PROP_SHARES = (0.16, 0.16, 0.09, 0.09, 0.16, 0.12, 0.08, 0.05, 0.05, 0.04)
PROP_SHARE, TWO_PROPS_SHARE, CAP_SHARE = 0.42, 0.08, 0.28
FACE_PX = (100.0, 190.0)  # in a picture of 224 px
SIDE_SHARE, SIDE_MAX_DEG, PITCH_MAX_DEG = 0.30, 65.0, 35.0
HARD_SHADOW_SHARE, SMEAR_SHARE = 0.15, 0.15
CLOSE_LIGHT_SHARES = (0.52, 0.20, 0.08, 0.20)
FAINTEST = {"bright": 0.05, "dim": 0.016, "dark": 0.007, "infrared": 0.03}  # linear light of skin that still tells
MIN_VISIBLE = 0.3
SHADOW_REACH_DM = 1.8


def sample_action(rng: np.random.Generator) -> Expression:
    """A face of KINDS by KIND_SHARES: actions by themselves, uneven sides, lids anywhere from wide open to shut."""
    name = str(rng.choice(KINDS, p=KIND_SHARES))
    out = ACTED[name](rng)
    lean = rng.normal(0, 0.12, 3)
    if rng.random() < 0.15:
        lean[rng.integers(3)] = rng.choice([-1, 1]) * rng.uniform(0.4, 1.0)
    right, left = _lids(rng, SHUT_SHARES[name])
    narrowed = float(rng.uniform(0.6, 1.0)) * min(1.0, 1.3 * out.eye_squeeze)
    return replace(
        out,
        name=name,
        closure_right=max(right, narrowed),
        closure_left=max(left, narrowed),
        gaze_deg=(float(rng.normal(-2, 8)), float(rng.normal(0, 12))),
        lean=scene.triple(lean.clip(-1, 1)),
    )


def _lids(rng: np.random.Generator, shut_share: float) -> tuple[float, float]:
    """Closure right and left: shut or open, a fifth between, mostly alike."""
    kind = rng.random()
    if kind < 0.2:
        both = rng.uniform(0.2, 0.88)
    elif kind < 0.2 + 0.8 * shut_share:
        both = rng.uniform(0.88, 1.0)
    else:
        both = rng.uniform(0.0, 0.25)
    other = both + rng.normal(0, 0.03) if rng.random() < 0.95 else rng.uniform(0, 1)
    return float(both), float(np.clip(other, 0, 1))


def _rest(rng: np.random.Generator, spread: float = 0.06) -> float:
    """An action that is not acted."""
    return float(np.abs(rng.normal(0, spread)))


def _calm(rng: np.random.Generator) -> Expression:
    """Asleep or awake, mouth shut, ajar or sucking, now and then a smile."""
    mouth, pucker, smile = 0.0, _rest(rng, 0.2), 0.0
    kind = rng.random()
    if kind < 0.35:
        mouth = rng.uniform(0.02, 0.30)
    elif kind < 0.50:
        mouth, pucker = rng.uniform(0.0, 0.15), rng.uniform(0.5, 1.0)
    elif kind < 0.60:
        smile, mouth = rng.uniform(0.3, 1.0), rng.uniform(0.0, 0.25)
    elif kind < 0.66:  # a mouth wide open without a yawn's or a cry's effort, as in deep sleep
        mouth = rng.uniform(0.3, 0.55)
    return Expression(
        mouth_open=float(mouth),
        pucker=float(min(pucker, 1.0)),
        smile=float(smile),
        brow_bulge=_rest(rng),
        eye_squeeze=_rest(rng),
        nasolabial=_rest(rng) + 0.1 * float(smile),
    )


def _crying(rng: np.random.Generator) -> Expression:
    """From a cry with half the face to one with all of it, between breaths too."""
    power = float(rng.uniform(0.55, 1.0))
    breath = float(rng.uniform(0.35, 0.6)) if rng.random() < 0.15 else 1.0
    brow, squeeze, furrow = (power * float(rng.uniform(0.6, 1.0)) for _ in range(3))
    if rng.random() < 0.15:
        squeeze *= float(rng.random())
    if rng.random() < 0.08:
        brow *= float(rng.random())
    return Expression(
        mouth_open=breath * (0.35 + 0.65 * float(rng.uniform(0.4, 1.0)) * power),
        mouth_square=power * float(rng.uniform(0.7, 1.0)),
        brow_bulge=brow,
        eye_squeeze=squeeze,
        nasolabial=furrow,
        pout=float(rng.uniform(0, 0.5)),
    )


def _yawning(rng: np.random.Generator) -> Expression:
    return Expression(
        mouth_open=float(rng.uniform(0.7, 1.0)),
        mouth_square=float(rng.uniform(0.0, 0.1)),
        eye_squeeze=float(rng.choice([_rest(rng), rng.uniform(0.2, 0.9)])),
        brow_bulge=float(rng.uniform(0, 0.3)),
        nasolabial=float(rng.uniform(0, 0.5)),
    )


def _fussing(rng: np.random.Generator) -> Expression:
    """Half-hearted: a pout, a little of each action, no cry yet."""
    return Expression(
        mouth_open=float(rng.uniform(0.0, 0.3)),
        mouth_square=float(rng.uniform(0.0, 0.35)),
        pout=float(rng.uniform(0.2, 1.0)),
        brow_bulge=float(rng.uniform(0.1, 0.7)),
        eye_squeeze=float(rng.uniform(0.0, 0.4)),
        nasolabial=float(rng.uniform(0.05, 0.5)),
    )


def _grimacing(rng: np.random.Generator) -> Expression:
    """One or two facial actions, seldom all three (a sneeze to come, a prick), with a mouth that does not cry."""
    count = int(rng.choice([1, 2, 3], p=[0.6, 0.28, 0.12]))
    acted = rng.permutation(3)[:count]
    amounts = [float(rng.uniform(0.35, 1.0)) if index in acted else _rest(rng) for index in range(3)]
    kind = rng.random()
    return Expression(
        brow_bulge=amounts[0],
        eye_squeeze=amounts[1],
        nasolabial=amounts[2],
        mouth_open=float(rng.uniform(0.05, 0.45)) if kind < 0.4 else 0.0,
        pucker=float(rng.uniform(0.3, 1.0)) if 0.4 <= kind < 0.65 else 0.0,
        pout=float(rng.uniform(0.2, 0.8)) if 0.65 <= kind < 0.75 else 0.0,
        smile=float(rng.uniform(0.1, 0.5)) if 0.75 <= kind < 0.8 else 0.0,
    )


ACTED = {"calm": _calm, "crying": _crying, "yawning": _yawning, "fussing": _fussing, "grimacing": _grimacing}


def render_closeup(rng: np.random.Generator, *, identity: int, size: tuple[int, int] = (224, 224)) -> Sample:
    """Draws one close face; `size` is (width, height)."""
    while True:
        sample = _attempt(rng, identity, size, sample_action(rng))
        if sample is not None:
            return sample


def _attempt(rng: np.random.Generator, identity: int, size: tuple[int, int], face: Expression) -> Sample | None:
    """One try; None where nothing of the face would show."""
    light_kind = str(rng.choice(LIGHTS, p=CLOSE_LIGHT_SHARES))
    infrared = light_kind == "infrared"
    pose = sample_pose(rng, float(rng.normal(0, 22)), float(rng.normal(0, 8)), bool(rng.random() < 0.35))
    figure = pose_figure(identity, face, pose)
    level = scene.level_of(figure)
    camera = _camera(rng, figure, size, level)
    if camera is None:
        return None
    light = scene.sample_light(rng, light_kind, camera)
    centre = figure.vertices[canon().patch].mean(axis=0)
    toward = scene.unit(camera.place - centre)
    parts, uniforms, names = _dress(rng, figure, infrared, toward)
    cover = str(rng.choice(["none", "chest", "chin"], p=[0.6, 0.2, 0.2]))
    parts += scene.bedding(rng, figure, level, infrared, cover, near=True)
    if rng.random() < 0.5:
        parts += scene.clutter(rng, level, centre, infrared, 0.75)
    uniforms |= light.uniforms
    uniforms["camera"] = scene.triple(camera.place)
    wall = np.full(3, rng.uniform(0.1, 0.8)) if infrared else np.array(scene.CLOTHS[rng.integers(len(scene.CLOTHS))])
    uniforms["wall"] = scene.triple(wall * np.array(light.uniforms["sky"]) * rng.uniform(0.5, 1.5))
    if rng.random() < HARD_SHADOW_SHARE:
        uniforms |= {"shadow_soft": 0.002}
        parts.append(_bar(rng, centre, light.direction, infrared))
    buffers = renderer(size).draw(parts, camera, uniforms, scene.frustum(light, centre, SHADOW_REACH_DM))
    truth = tell_truth(figure, camera, buffers, size, light=light_kind, kind="expression")
    if truth.face_box is None or truth.face_visible < MIN_VISIBLE:
        return None
    colour = buffers.colour
    if rng.random() < SMEAR_SHARE:
        side = max(truth.face_box[2] - truth.face_box[0], truth.face_box[3] - truth.face_box[1])
        colour = smear(colour, float(rng.uniform(0.01, 0.05)) * side, float(rng.uniform(0, 180)))
    sensor = sample_sensor(rng, light_kind)
    skin = float(colour[buffers.label == 1].mean())
    gain = max(exposure(colour, sensor), FAINTEST[light_kind] / max(skin, 1e-4))
    rgb = develop(rng, colour, sensor, gain)
    return Sample(rgb, buffers.depth / 10, buffers.label, replace(truth, props=names))


def _camera(rng: np.random.Generator, figure: Figure, size: tuple[int, int], level: float) -> Camera | None:
    """A camera above the mattress that holds the whole face, found before anything is drawn."""
    patch = figure.vertices[canon().patch]
    for _ in range(20):
        side = rng.random() < SIDE_SHARE
        yaw = rng.uniform(-SIDE_MAX_DEG, SIDE_MAX_DEG) if side else np.clip(rng.normal(0, 22), -50, 50)
        pitch = float(np.clip(rng.normal(0, 15), -PITCH_MAX_DEG, PITCH_MAX_DEG))
        face_px = float(np.exp(rng.uniform(*np.log(FACE_PX)))) * size[1] / 224
        camera = scene.face_camera(rng, figure, float(yaw), pitch, face_px=face_px, size=size)
        pixels, _ = camera.project(patch, size)
        spare = 0.03 * face_px
        inside = (pixels > -spare) & (pixels < np.add(size, spare))
        if inside.all() and camera.place[2] > level + 0.8:
            return camera
    return None


def _dress(
    rng: np.random.Generator, figure: Figure, infrared: bool, toward: np.ndarray
) -> tuple[list[Part], dict[str, Uniform], tuple[str, ...]]:
    """Outfit, cap, flush, tears, wrinkles and what covers the face: parts, shared uniforms and the covers' names."""
    face = figure.face
    uniforms = scene.skin_uniforms(rng, figure.identity, infrared)
    tone = (0.5, 0.5, 0.5) if infrared else figure.identity.tone
    uniforms |= wrinkles(rng, face)
    effort = max(face.mouth_square, 0.5 * face.nasolabial, 0.4 * face.brow_bulge)
    uniforms["flush"] = float(np.clip(effort * rng.uniform(0.2, 1.2) + rng.choice([0.0, rng.uniform(0, 0.6)]), 0, 1))
    uniforms["tear"] = float(rng.random()) if face.name == "crying" and rng.random() < 0.4 else 0.0
    cap: dict[str, Uniform] | None = None
    if rng.random() < CAP_SHARE:
        cap = {**scene.cloth(rng, infrared, 0.5), "cap_plane": (0.0, 0.83, -0.55, float(rng.uniform(-0.08, 0.04)))}
    parts = infant_parts(figure, str(rng.choice(OUTFITS)), scene.garment(rng, infrared, tone), cap, bust=True)
    names: list[str] = []
    if rng.random() < PROP_SHARE:
        count = 2 if rng.random() < TWO_PROPS_SHARE / PROP_SHARE else 1
        names = [str(name) for name in rng.choice(PROPS, count, replace=False, p=PROP_SHARES)]
    for name in names:
        more, marks = occluders.add_occluder(rng, figure, infrared, toward, name)
        parts += more
        uniforms |= marks
    return parts, uniforms, (*names, "cap") if cap else tuple(names)


def wrinkles(rng: np.random.Generator, face: Expression) -> dict[str, Uniform]:
    """How deep this newborn's lines are: at rest some lines show, and skin folds more on some than on others."""
    depth, rest = rng.uniform(0.45, 1.0, 3), np.abs(rng.normal(0, 0.06, 3))
    nasolabial, frown, squeeze = np.array([face.nasolabial, face.brow_bulge, face.eye_squeeze]) * depth + rest
    lean = (face.lean[0], face.lean[1], face.lean[2])
    return {
        "furrow": (float(nasolabial), float(frown), float(squeeze), float(rng.uniform(0.25, 0.75))),
        "furrow_lean": lean,
    }


def _bar(rng: np.random.Generator, centre: np.ndarray, light: np.ndarray, infrared: bool) -> Part:
    """A rail between lamp and face, whose shadow falls across the face."""
    aside = np.cross(light, rng.normal(0, 1, 3))
    aside = scene.unit(aside)
    at = centre + 1.3 * light + np.cross(light, aside) * rng.normal(0, 0.2)
    path = np.stack([at - 1.6 * aside, at + 1.6 * aside]).astype(np.float32)
    kind = (shaders.DEVICE, 4, props.OTHER)
    return props.tube(path, float(rng.uniform(0.03, 0.12)), (kind, scene.cloth(rng, infrared)))
