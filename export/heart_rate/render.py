"""Rendered clips of newborns whose heart rate is known, kept as what a device would have read from them.

No frame is kept and no network is needed: true landmarks with a detector's jitter go through the device's own tracker,
and its regions and its patch are read from every frame. So a figure on these clips says nothing about the detector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgemon.config import Cadence, Region
from edgemon.faces import regions
from edgemon.faces.detect import Detection
from edgemon.faces.patch import SIDE, patch
from edgemon.faces.track import FaceTracker
from export.infant import scene
from export.infant.clip import Clip, Stage, draw_known, set_stage
from export.infant.identity import make_identity
from export.infant.mesh import Floats
from export.infant.render import Uniform
from export.infant.sample import Truth
from export.infant.script import STEP_S, Script, Segment, Turn, heart_rate
from export.infant.sensor import develop, sample_sensor

FPS: Final = 30
SIZE: Final = (320, 240)
LOW_BPM, HIGH_BPM = 90.0, 220.0
MOTIONS: Final = ("asleep", "awake", "crying")
LIGHTS: Final = ("bright", "evening", "shade")
LIFELESS_EVERY: Final = 5  # of so many clips one shows a doll or a photograph
_SEGMENT_S: Final = 7.5
_WAVES: Final = ((1.5, 0.04), (0.8, 0.11))  # bpm and Hz of slow variability
_CLOCK_S: Final = 0.002  # standard deviation of a frame's time
_JITTER: Final = 0.01  # of the detector's landmarks, of the face's size
_BEFORE_S: Final = 2.0  # the tracker has seen the face for so long when the clip begins


@dataclass(frozen=True)
class PulseClip(Clip):
    """A clip whose pulse has `depth` 0..1 of the usual; at 0 it is a doll that breathes and moves."""

    depth: float = 1.0

    def wave_at(self, t_s: float) -> float:
        """PPG value at a time."""
        return self.depth * super().wave_at(t_s) if self.depth else 0.0

    @cached_property
    def rate_bpm(self) -> NDArray[np.float64]:
        """True heart rate each STEP_S: the script's, with slow waves of some bpm besides its own."""
        phases = np.random.default_rng([self.seed, 31]).uniform(0, 2 * np.pi, len(_WAVES))
        steady = heart_rate(self.script, self.seed)
        t_s = np.arange(len(steady)) * STEP_S
        waves = [bpm * np.sin(2 * np.pi * hz * t_s + p) for (bpm, hz), p in zip(_WAVES, phases, strict=True)]
        return np.asarray(steady + np.sum(waves, axis=0))


@dataclass(frozen=True)
class Recipe:
    """What one clip shows; `kind` is infant, doll or photograph."""

    kind: str
    motion: str
    light: str
    clip: PulseClip
    exposure: tuple[float, float, float]  # factor of the gain, from when on, over how long in s
    shades: tuple[tuple[float, float, float], ...]  # centre and width in s, depth 0..1 of each


@dataclass(frozen=True)
class Rendered:
    """What the device reads of a clip, times (N,), landmarks (N, 5, 2), bpm (N,) NaN where there is no pulse."""

    recipe: Recipe
    t_s: NDArray[np.float64]
    rgb: NDArray[np.float32]
    patches: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    bpm: NDArray[np.float64]

    def write(self, path: Path) -> None:
        """As NAME.npz with the arrays `t_s`, `rgb`, `patches`, `landmarks` and `bpm`."""
        np.savez_compressed(
            path, t_s=self.t_s, rgb=self.rgb, patches=self.patches, landmarks=self.landmarks, bpm=self.bpm
        )

    @property
    def truth(self) -> dict[str, object]:
        """What a row of truth.jsonl says besides the name."""
        who, recipe = make_identity(self.recipe.clip.script.identity), self.recipe
        return {
            "pulse": recipe.clip.depth > 0,
            "kind": recipe.kind,
            "identity": who.seed,
            "melanin": round(who.melanin, 3),
            "tone": [round(v, 4) for v in who.tone],
            "motion": recipe.motion,
            "light": recipe.light,
            "depth": round(recipe.clip.depth, 3),
            "bpm": round(float(self.bpm.mean()), 2) if recipe.clip.depth else None,
            "exposure": [round(v, 3) for v in recipe.exposure],
        }


def recipe_of(rng: np.random.Generator, number: int, identity: int, seconds: float) -> Recipe:
    """A random clip of an identity; every fifth one lifeless, doll and photograph by turns."""
    lifeless = number % LIFELESS_EVERY == LIFELESS_EVERY - 1
    kind = ("photograph", "doll")[number // LIFELESS_EVERY % 2] if lifeless else "infant"
    motion, light = MOTIONS[number % 3], LIGHTS[int(rng.integers(len(LIGHTS)))]
    yaw, pitch = np.radians(rng.uniform(-25, 25)), np.radians(rng.uniform(-20, 12))
    script = Script(
        _story(rng, motion, seconds),
        start_bpm=0.0,
        identity=identity,
        roll_deg=float(rng.uniform(-180, 180)),
        view=(float(np.sin(yaw) * np.cos(pitch)), float(np.sin(pitch)), float(np.cos(yaw) * np.cos(pitch))),
        turns=(Turn(float(rng.uniform(0, seconds)), float(rng.normal(0, 12)), 0.0),) if motion != "asleep" else (),
    )
    script = replace(script, start_bpm=script.segments[0].hr_bpm)
    depth = 0.0 if lifeless else float(np.exp(rng.uniform(np.log(0.25), 0.0)))
    clip = PulseClip(script, SIZE, FPS, int(rng.integers(2**31)), float(rng.uniform(85, 130)), depth=depth)
    steps = float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.05, 0.25))) if rng.random() < 0.35 else 1.0
    shades = tuple(
        (float(rng.uniform(0, seconds)), float(rng.uniform(0.3, 2.0)), float(rng.uniform(0.03, 0.3)))
        for _ in range(int(rng.poisson(seconds / 8)) if light == "shade" else 0)
    )
    exposure = (steps, float(rng.uniform(0.2, 0.9) * seconds), float(rng.uniform(0.03, 0.8)))
    return Recipe(kind, motion, light, clip, exposure, shades)


def _story(rng: np.random.Generator, motion: str, seconds: float) -> tuple[Segment, ...]:
    """Segments of one level of motion, about whose rate the heart drifts."""
    middle = float(rng.uniform(LOW_BPM, HIGH_BPM))
    out = []
    for _ in range(max(1, round(seconds / _SEGMENT_S))):
        cry = motion == "crying" and bool(rng.random() < 0.7)
        eyes = "closed" if cry or motion == "asleep" else "open"
        bpm = float(np.clip(middle + rng.normal(0, 7), LOW_BPM, HIGH_BPM))
        out.append(Segment(_SEGMENT_S, eyes, cry, bpm, "asleep" if motion == "asleep" else "awake", motion))
    return Script(tuple(out), 0.0, 0, 0.0).scaled(seconds).segments


def render(recipe: Recipe) -> Rendered:
    """Draws the clip and reads it as the device would."""
    clip = recipe.clip
    rng = np.random.default_rng([clip.seed, 23])
    tracker = FaceTracker(Region())
    looks = round(FPS / Cadence().face_hz)
    t_s, rgb, patches, landmarks = [], [], [], []
    for number, (at_s, frame, truth) in enumerate(_frames(recipe, rng)):
        if number == 0:
            for before_s in np.arange(-_BEFORE_S, 0, 0.25):
                tracker.update(jittered(rng, truth), at_s + float(before_s), frame.shape[:2])
        if number % looks == 0:
            tracker.update(jittered(rng, truth), at_s, frame.shape[:2])
        face = tracker.predict(at_s)
        t_s.append(at_s)
        if face is None:
            rgb.append(np.full((len(regions.REGIONS), 3), np.nan, np.float32))
            patches.append(np.full((SIDE, SIDE, 3), np.nan, np.float32))
            landmarks.append(np.full((5, 2), np.nan, np.float32))
        else:
            rgb.append(regions.mean_rgb(frame, face))
            patches.append(patch(frame, face.landmarks))
            landmarks.append(face.landmarks)
    times = np.array(t_s)
    bpm = np.array([clip.bpm_at(t) for t in t_s]) if clip.depth else np.full(len(times), np.nan)
    return Rendered(recipe, times, np.stack(rgb), np.stack(patches), np.stack(landmarks), bpm)


def _frames(recipe: Recipe, rng: np.random.Generator) -> Iterator[tuple[float, NDArray[np.uint8], Truth]]:
    """Time, RGB (H, W, 3) and truth of every frame."""
    clip, kind = recipe.clip, {"evening": "dim"}.get(recipe.light, "bright")
    stage = set_stage(clip)
    light = scene.sample_light(rng, kind, stage.camera, evening=recipe.light == "evening")
    sensor = replace(sample_sensor(rng, kind), grey=False)
    if recipe.light == "evening":
        sensor = replace(sensor, level=float(rng.uniform(0.05, 0.12)), noise=float(rng.uniform(1.5, 4.0)))
    day = {**stage.uniforms, **light.uniforms}
    stage = replace(stage, light=light, sensor=sensor, uniforms=day)
    still, seen = draw_known(clip, stage, 0.0)
    gain = sensor.level / float(np.minimum(still, 4 * np.median(still)).mean())
    for number in range(clip.frames):
        at_s = number / FPS + float(np.clip(rng.normal(0, _CLOCK_S), -0.01, 0.01))
        left = _left_by_shades(recipe, at_s)
        if recipe.kind == "photograph":
            colour, truth = _swayed(still * left, seen, clip.seed, at_s)
        else:
            colour, truth = draw_known(clip, _lit(stage, day, left), max(at_s, 0.0))
        yield at_s, develop(rng, colour, sensor, gain * _exposed(recipe, at_s)), truth


def _left_by_shades(recipe: Recipe, at_s: float) -> float:
    """Share of the lamp's light that those who pass leave."""
    shares = [1 - depth * np.exp(-0.5 * ((at_s - middle) / width) ** 2) for middle, width, depth in recipe.shades]
    return float(np.prod(shares))


def _lit(stage: Stage, day: dict[str, Uniform], left: float) -> Stage:
    """The stage under a share of its lamp's light; the sky's stays."""
    colour = np.array(day["light_colour"]) * left
    return replace(stage, uniforms={**stage.uniforms, "light_colour": scene.triple(colour)})


def _exposed(recipe: Recipe, at_s: float) -> float:
    factor, begins_s, lasts_s = recipe.exposure
    return float(factor ** np.clip((at_s - begins_s) / lasts_s, 0, 1))


def _swayed(colour: Floats, truth: Truth, seed: int, at_s: float) -> tuple[Floats, Truth]:
    """A picture held in a hand: it sways by some px and a degree, and gleams a little as it turns."""
    phases = np.random.default_rng([seed, 29]).uniform(0, 6.28, (4, 2))
    x, y, turn, gleam = (np.sin(6.283 * np.array([0.31, 0.83]) * at_s + p).sum() / 2 for p in phases)
    height, width = colour.shape[:2]
    to = cv2.getRotationMatrix2D((width / 2, height / 2), float(turn), 1.0)
    to[:, 2] += 2.5 * x, 2.5 * y
    moved = cv2.warpAffine(colour, to, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    marks = tuple((float(u), float(v)) for u, v in np.array(truth.landmarks) @ to[:, :2].T + to[:, 2])
    return (moved * (1 + 0.01 * gleam)).astype(np.float32), replace(truth, landmarks=marks)


def jittered(rng: np.random.Generator, truth: Truth) -> list[Detection]:
    """The true face with a detector's jitter; nothing where it is turned away."""
    if truth.face_box is None:
        return []
    box = np.array(truth.face_box)
    spread = _JITTER * float(np.sqrt((box[2] - box[0]) * (box[3] - box[1])))
    x0, y0, x1, y1 = (float(v) for v in box + rng.normal(0, spread, 4))
    landmarks = np.array(truth.landmarks) + rng.normal(0, spread, (5, 2))
    return [Detection((x0, y0, x1, y1), landmarks.astype(np.float32), 0.9)]
