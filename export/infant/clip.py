"""Videos of the synthetic newborn: pulse in the skin, breathing, motion, blinks, crying, and their truth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from export.infant import occluders, scene, visits
from export.infant.encode import encode_evenly, encode_for_pulse, write_lossless
from export.infant.expression import Expression
from export.infant.figure import Figure, canon, infant_parts, pose_figure
from export.infant.mesh import Floats
from export.infant.pose import Pose, rotation, sample_pose
from export.infant.render import Camera, Part, Uniform, renderer
from export.infant.sample import Truth, tell_truth
from export.infant.script import SCRIPTS, STEP_S, Script, beat_phase, heart_rate, ppg
from export.infant.script import visits as visits_of
from export.infant.sensor import Sensor, develop

# Peak-to-peak share of linear light by channel: green strongest, as haemoglobin absorbs (about 1 % on the face).
PULSE_RGB = (0.0045, 0.0125, 0.0075)
BREATHS_HZ = 0.72
EASE_S = 1.2


@dataclass(frozen=True)
class Clip:
    """A renderable clip: script, picture size (width, height), frames a second and seed of motion and noise."""

    script: Script
    size: tuple[int, int] = (640, 480)
    fps: int = 30
    seed: int = 7
    face_px: float = 160.0
    noise: float = 0.5

    @property
    def frames(self) -> int:
        """How many frames the script fills."""
        return round(self.script.seconds * self.fps)

    @cached_property
    def rate_bpm(self) -> NDArray[np.float64]:
        """True heart rate each STEP_S."""
        return heart_rate(self.script, self.seed)

    @cached_property
    def beats(self) -> NDArray[np.float64]:
        """Beat phase each STEP_S."""
        return beat_phase(self.rate_bpm)

    def bpm_at(self, t_s: float) -> float:
        """True heart rate at a time."""
        return float(np.interp(t_s, np.arange(len(self.rate_bpm)) * STEP_S, self.rate_bpm))

    def wave_at(self, t_s: float) -> float:
        """PPG value at a time."""
        return float(ppg(np.interp(t_s, np.arange(len(self.beats)) * STEP_S, self.beats)))

    def sway_at(self, t_s: float, key: int, hz: float = 0.2) -> float:
        """A smooth wandering value within about -1 to 1, one for each key."""
        return _sway(t_s, key, hz)

    def breath_at(self, t_s: float) -> float:
        """How full the chest is, about -1 to 1; deeper in crying."""
        swing = float(np.sin(6.283 * BREATHS_HZ * t_s + 0.6 * self.sway_at(t_s, 41, 0.1)))
        return swing * (1 + 0.8 * _level(self.script, t_s, "cry"))

    def heave_deg(self, t_s: float) -> float:
        """How far a breath bends the upper spine, and so lifts shoulders and head."""
        return 0.0


def _sway(t_s: float, key: int, hz: float = 0.2) -> float:
    """A smooth wandering value within about -1 to 1, the same for the same key."""
    phases = np.random.default_rng([key, 5]).uniform(0, 6.28, 3)
    return float(
        sum(
            weight * np.sin(6.283 * hz * ratio * t_s + phase)
            for weight, ratio, phase in zip((0.5, 0.3, 0.2), (1.0, 1.73, 2.91), phases, strict=True)
        )
    )


def _level(script: Script, t_s: float, kind: str) -> float:
    """How much of `closed` eyes, `cry` or `asleep` there is at a time, eased over EASE_S after each change."""
    tests = {"closed": lambda s: s.eyes == "closed", "cry": lambda s: s.cry, "asleep": lambda s: s.sleep == "asleep"}
    times = t_s - np.linspace(0, EASE_S, 13)
    return float(np.mean([tests[kind](script.at(max(float(t), 0.0))) for t in times]))


def blink_at(script: Script, t_s: float, seed: int) -> float:
    """Lid closure by blinks: about one in four seconds, a quarter second long."""
    slot = int(t_s // 4.0)
    start = slot * 4.0 + float(np.random.default_rng([seed, slot, 3]).uniform(0.3, 3.4))
    return float(np.clip(1.25 - abs(t_s - start - 0.14) / 0.11, 0, 1)) if t_s >= start - 0.02 else 0.0


def expression_at(clip: Clip, t_s: float) -> Expression:
    """The face at a time of the script."""
    closed, cry = _level(clip.script, t_s, "closed"), _level(clip.script, t_s, "cry")
    asleep = _level(clip.script, t_s, "asleep")
    drowsy = 0.12 + 0.08 * clip.sway_at(t_s, 4, 0.3)
    shut = max(
        closed * (0.97 + 0.02 * clip.sway_at(t_s, 9, 0.8)),
        (1 - closed) * drowsy,
        blink_at(clip.script, t_s, clip.seed) * (1 - asleep),
    )
    bout = 0.5 + 0.5 * np.sin(6.283 * (0.75 * t_s + 0.12 * clip.sway_at(t_s, 31, 0.2)))
    bout = float(np.clip(1.6 * bout, 0, 1))
    power = cry * (0.62 + 0.38 * bout)
    quiver = cry * 0.025 * np.sin(6.283 * 6.5 * t_s) * bout
    rest_mouth = 0.05 + 0.04 * clip.sway_at(t_s, 12, 0.15)
    return Expression(
        "crying" if cry > 0.5 else "calm",
        closure_left=float(shut),
        closure_right=float(min(1.0, shut * 0.99)),
        mouth_open=float(np.clip(rest_mouth + 0.88 * power + quiver, 0, 1)),
        brow_bulge=0.95 * power,
        eye_squeeze=0.9 * power,
        nasolabial=0.95 * power,
        mouth_square=0.9 * power,
        pucker=float((1 - cry) * max(0, 0.35 * clip.sway_at(t_s, 15, 0.25))),
        gaze_deg=(-3 + 5 * clip.sway_at(t_s, 21, 0.25), 9 * clip.sway_at(t_s, 22, 0.22)),
    )


def pose_at(clip: Clip, base: Pose, t_s: float) -> Pose:
    """Breathing, head and limb motion at a time; crying moves more, sleep least."""
    cry, asleep = _level(clip.script, t_s, "cry"), _level(clip.script, t_s, "asleep")
    amount = 0.25 + 1.1 * (1 - asleep) + 2.4 * cry
    turns = dict(base.turns)
    for index, bone in enumerate(
        ("head", "neck01", "upperarm01.L", "upperarm01.R", "lowerarm01.L", "lowerarm01.R", "wrist.L", "wrist.R")
    ):
        scale = amount * (0.7 if index < 2 else 3.0)
        hz = 0.16 + 0.22 * (index >= 2)
        jolt = cry * (0.2 if index < 2 else 2.0) * np.sin(6.283 * 1.1 * t_s + index)
        move = [scale * clip.sway_at(t_s, 100 + 3 * index + axis, hz) + jolt * (axis == 0) for axis in range(3)]
        old = turns.get(bone, (0.0, 0.0, 0.0))
        turns[bone] = (old[0] + move[0], old[1] + move[1], old[2] + move[2])
    yaw, pitch = visits.turned(clip.script.turns, t_s)
    for bone, share in (("neck01", 0.45), ("head", 0.55)):
        old = turns[bone]
        turns[bone] = (old[0] + share * pitch, old[1] + share * yaw, old[2])
    if heave := clip.heave_deg(t_s):
        turns["spine01"] = (heave, 0.0, 0.0)
    return Pose(turns, clip.breath_at(t_s))


@dataclass(frozen=True)
class Stage:
    """What stays the same through a clip."""

    base: Pose
    camera: Camera
    light: scene.Light
    still: list[Part]
    cloth: dict[str, Uniform]
    uniforms: dict[str, Uniform]
    sensor: Sensor
    gain: float


def set_stage(clip: Clip) -> Stage:
    """Fixes pose, camera, light, bedding and exposure."""
    rng = np.random.default_rng([clip.seed, clip.script.identity])
    base = sample_pose(rng, 6.0, 0.0, hands_up=False)
    figure = pose_figure(clip.script.identity, expression_at(clip, 0.0), base)
    camera = _camera(clip, figure)
    light = scene.Light("bright", scene.unit(np.array([0.45, 0.55, 0.9])), {})
    lamps: dict[str, Uniform] = {
        "light_dir": scene.triple(light.direction),
        "light_colour": (1.0, 0.93, 0.84),
        "sky": (0.44, 0.44, 0.45),
        "bounce": (0.26, 0.23, 0.20),
        "spot": 0.0,
        "spot_place": (0.0, 0.0, 0.0),
        "shadow_soft": 0.02,
        "shadow_on": 1.0,
        "infrared": 0.0,
        "camera": scene.triple(camera.place),
    }
    uniforms = {**scene.skin_uniforms(rng, figure.identity, False), **lamps, "shine": 0.25}
    level = scene.level_of(figure)
    still = scene.bedding(rng, figure, level, False, "chest")
    sensor = Sensor(0.32, clip.noise, 0.0, 0.7, 0.12, (1.0, 1.0, 1.0), 1.0, False)
    stage = Stage(base, camera, light, still, scene.garment(rng, False, figure.identity.tone), uniforms, sensor, 1.0)
    first = draw_frame(clip, stage, 0.0)
    return replace(stage, gain=sensor.level / float(first.mean()))


def _camera(clip: Clip, figure: Figure) -> Camera:
    """Where the script's view asks for, the face a little off centre, rolled clockwise in the picture by its angle."""
    centre = figure.vertices[canon().patch].mean(axis=0)
    away = scene.unit(figure.head_turn @ np.array(clip.script.view))
    up = rotation(tuple(float(v) for v in away * clip.script.roll_deg)) @ figure.head_turn[:, 1]  # type: ignore[arg-type]
    focal = 0.5 * clip.size[1] / np.tan(np.radians(15))
    reach = focal * 0.95 / clip.face_px
    target = centre - up * 0.25
    return Camera((target + away * reach).astype(np.float32), target.astype(np.float32), up.astype(np.float32), 30.0)


def draw_frame(clip: Clip, stage: Stage, t_s: float) -> Floats:
    """Linear colour (H, W, 3) at a time."""
    parts, uniforms, _ = _scene_at(clip, stage, t_s)
    light_clip = scene.frustum(stage.light, stage.camera.target, 2.6)
    return renderer(clip.size).draw_colour(parts, stage.camera, uniforms, light_clip)


def draw_known(clip: Clip, stage: Stage, t_s: float) -> tuple[Floats, Truth]:
    """Linear colour (H, W, 3) at a time, and what of the face is to be seen."""
    parts, uniforms, figure = _scene_at(clip, stage, t_s)
    light_clip = scene.frustum(stage.light, stage.camera.target, 2.6)
    buffers = renderer(clip.size).draw(parts, stage.camera, uniforms, light_clip)
    return buffers.colour, tell_truth(figure, stage.camera, buffers, clip.size, light="bright", kind="face")


def _scene_at(clip: Clip, stage: Stage, t_s: float) -> tuple[list[Part], dict[str, Uniform], Figure]:
    face = expression_at(clip, t_s)
    figure = pose_figure(clip.script.identity, face, pose_at(clip, stage.base, t_s))
    parts = infant_parts(figure, "sleepsuit", stage.cloth, None) + stage.still
    toward = stage.camera.place - figure.vertices[canon().patch].mean(axis=0)
    parts += visits.over_the_face(clip.script.visits, figure, toward, t_s, clip.seed + clip.script.identity)
    now, late = clip.wave_at(t_s), clip.wave_at(max(t_s - 0.02, 0.0))
    uniforms = {
        **stage.uniforms,
        "furrow": (0.06 + 0.75 * face.nasolabial, 0.75 * face.brow_bulge, 0.75 * face.eye_squeeze, 0.5),
        "pulse": tuple(1 - depth * now for depth in PULSE_RGB),
        "pulse_late": tuple(1 - depth * late for depth in PULSE_RGB),
        **visits.lamps(stage.uniforms, visits.dusk(clip.script, t_s)),
    }
    if t_s < clip.script.tube_until_s:
        more, marks = _tube(clip, figure, t_s)
        parts += more
        uniforms |= marks
    return parts, uniforms, figure


def _tube(clip: Clip, figure: Figure, t_s: float) -> tuple[list[Part], dict[str, Uniform]]:
    """The feeding tube and its tape; in its last second and a half it is drawn away."""
    rng = np.random.default_rng([clip.seed, 11])
    parts, marks = occluders.add_occluder(rng, figure, False, figure.head_turn[:, 2], "feeding")
    gone = float(np.clip((t_s - clip.script.tube_until_s + 1.5) / 1.5, 0, 1)) ** 2
    shift = (
        gone
        * 2.5
        * (
            figure.head_turn[:, 0] * np.sign(parts[0].place[:, 0].mean() - figure.joints["head"][0])
            + 0.4 * figure.head_turn[:, 2]
        )
    ).astype(np.float32)
    if gone:
        marks = {name: value for name, value in marks.items() if name != "tape_a"}
    return [replace(part, place=part.place + shift) for part in parts], marks


def frames(clip: Clip, start: int = 0, stop: int | None = None) -> Iterator[tuple[NDArray[np.uint8], Truth | None]]:
    """RGB (H, W, 3) of frames start to stop, fresh sensor noise; where visits come, what of the face is to be seen.

    The exposure is fixed but for the evening's.
    """
    stage = set_stage(clip)
    for number in range(start, clip.frames if stop is None else stop):
        t_s = number / clip.fps
        rng = np.random.default_rng([clip.seed, number, 2])
        if clip.script.visits:
            colour, truth = draw_known(clip, stage, t_s)
        else:
            colour, truth = draw_frame(clip, stage, t_s), None
        yield develop(rng, colour, *visits.exposed(stage.sensor, stage.gain, visits.dusk(clip.script, t_s))), truth


def truth_of(clip: Clip, seen: Sequence[Truth] = ()) -> dict[str, object]:
    """The truth file: a row for each whole second, the heart rate of each frame and, where known, its face.

    A face row holds `box` (null where no face is in view), `landmarks`, `visible` (share 0..1 of the face's skin that
    nothing hides), `yaw_deg` and `roll_deg`.
    """
    rows = []
    for second in range(int(clip.script.seconds)):
        segment = clip.script.at(second + 0.5)
        rows.append(
            {
                "t_s": second,
                "eyes": segment.eyes,
                "cry": segment.cry,
                "hr_bpm": round(clip.bpm_at(second + 0.5), 2),
                "sleep": segment.sleep,
                "scene_note": segment.note,
            }
        )
    return {
        "fps": clip.fps,
        "identity": clip.script.identity,
        "seconds": rows,
        "frame_hr_bpm": [round(clip.bpm_at(number / clip.fps), 2) for number in range(clip.frames)],
    } | ({"frame_face": [_face_row(truth) for truth in seen]} if seen else {})


def _face_row(truth: Truth) -> dict[str, object]:
    return {
        "box": truth.face_box and [round(v, 2) for v in truth.face_box],
        "landmarks": [[round(x, 2), round(y, 2)] for x, y in truth.landmarks],
        "visible": round(truth.face_visible, 3) if truth.face_box else 0.0,
        "yaw_deg": round(truth.yaw_deg, 1),
        "roll_deg": round(truth.roll_deg, 1),
    }


def face_region(clip: Clip, margin: float = 1.15) -> tuple[int, int, int, int]:
    """x, y, width, height in px of the region that must keep the pulse."""
    stage = set_stage(clip)
    figure = pose_figure(clip.script.identity, expression_at(clip, 0.0), stage.base)
    pixels, _ = stage.camera.project(figure.vertices[canon().patch], clip.size)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    half, middle = (high - low) / 2 * margin, (high + low) / 2
    x, y = (int(v) // 2 * 2 for v in np.maximum(middle - half, 0))
    width, height = (int(v) // 2 * 2 for v in np.minimum(2 * half, np.array(clip.size) - [x, y]))
    return x, y, width, height


def _zones(clip: Clip) -> str:
    """x264's bit-rate zones: still sleep needs few bits, crying many."""
    zones, start = [], 0
    for segment in clip.script.segments:
        end = start + round(segment.seconds * clip.fps)
        factor = 1.8 if segment.cry else 0.55 if segment.sleep == "asleep" else 1.0
        if factor != 1.0 and len(clip.script.segments) > 1:
            zones.append(f"{start},{end - 1},b={factor}")
        start = end
    return "/".join(zones)


def write_clip(
    out: Path, *, script: str, seconds: float, fps: int, size: tuple[int, int], identity: int | None, megabytes: float
) -> None:
    """Renders a named script of SCRIPTS to `out` (mp4) and its truth to `out` with suffix .truth.json.

    `megabytes` is the size to aim at, but for a script with visits: it is written at a constant quality.
    """
    if script not in SCRIPTS:
        raise SystemExit(f"synthesize clip: --script {script}: there are {', '.join(sorted(SCRIPTS))}")
    story = SCRIPTS[script]
    if identity is not None:
        story = visits_of(identity) if story.visits else replace(story, identity=identity)
    clip = Clip(story.scaled(seconds), size, fps, face_px=story.face_share * size[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    raw = out.with_suffix(".raw.mkv")
    seen: list[Truth] = []
    write_lossless(_rendered(clip, seen), raw, size=size, fps=fps)
    if story.visits:
        encode_evenly(raw, out)
    else:
        kilobits = megabytes * 8000 / clip.script.seconds
        encode_for_pulse(raw, out, kilobits=kilobits, size=size, region=face_region(clip), zones=_zones(clip))
    raw.unlink()
    out.with_suffix(".truth.json").write_text(json.dumps(truth_of(clip, seen)) + "\n", encoding="utf-8")


def _rendered(clip: Clip, seen: list[Truth]) -> Iterator[NDArray[np.uint8]]:
    """All frames, with a progress bar; what of the face is to be seen in them is put into `seen`."""
    for frame, truth in tqdm(frames(clip), total=clip.frames, unit="frame"):
        seen += [truth] if truth is not None else []
        yield frame
