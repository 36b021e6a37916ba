"""Rendered clips of newborns whose breaths are known, and of lifeless likenesses, kept as what a device would read.

No frame is kept and no network is needed: as for heart rates, true landmarks with a detector's jitter go through the
device's own tracker. Clips are not compressed, so a figure on them says nothing about what a video encoder leaves.
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

from edgemon.config import Region
from edgemon.faces.track import FaceTracker
from export.heart_rate.render import jittered
from export.infant import props, scene
from export.infant.clip import Clip, Stage, draw_known, expression_at, pose_at, set_stage
from export.infant.figure import Figure, pose_figure
from export.infant.mesh import Floats, load_mesh
from export.infant.render import Part
from export.infant.sample import Truth
from export.infant.script import Script, Segment
from export.infant.sensor import develop, sample_sensor
from export.respiration.breathing import FASTEST, SLOWEST, STYLES, Breathing, Series, breathe
from export.respiration.cells import FINE, SIZE, shrink

FPS: Final = 6
LIFELESS: Final = ("doll", "photograph", "blinking", "breathless")
LIFELESS_EVERY: Final = 3
_MOVES: Final = {"quiet": 0.0, "asleep": 1.0, "awake": 1.0}  # quiet sleep: hardly any motion but breaths
_TURNS: Final = ("quiet", "asleep", "quiet", "awake", "quiet", "asleep")
_COVERS: Final = ("none", "legs", "chest", "chest")
_LOOKS: Final = 3  # frames from one detection to the next
_BEFORE_S: Final = 2.0
_BELLY_DM: Final = 0.04  # what the renderer's chest swells by at full breath, and the width of the swelling
_BELL_DM: Final = np.array([0.5, 0.55, 0.6], np.float32)
FULL: Final = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)  # fullnesses of the chest that are drawn; a sigh is deeper


@dataclass(frozen=True)
class BreathingClip(Clip):
    """A clip that breathes breath by breath, and moves at random; without breaths where `depth` is 0.

    `depth` is a breath's swelling of the belly as a share of 8 mm, `heave` the bend of the upper spine in degrees,
    `moves` how much of the usual motion there is, 0..1. `held` keeps the chest so full, from 0 to 1.
    """

    style: str = "quiet"
    mean: float = 45.0
    depth: float = 0.5
    heave: float = 0.2
    moves: float = 1.0
    held: float | None = None

    @cached_property
    def breathing(self) -> Breathing:
        """Its breaths."""
        return breathe(np.random.default_rng([self.seed, 41]), self.script.seconds, self.style, self.mean)

    def wave_at(self, t_s: float) -> float:
        """No pulse: nothing here reads skin."""
        return 0.0

    def full_at(self, t_s: float) -> float:
        """How full the chest is, about 0 to 1."""
        return self.breathing.at(t_s) if self.held is None else self.held

    def breath_at(self, t_s: float) -> float:
        """How full the chest is, of the renderer's own breath."""
        return self.depth * (2 * self.full_at(t_s) - 1)

    def heave_deg(self, t_s: float) -> float:
        """How far a breath bends the upper spine."""
        return -self.heave * self.full_at(t_s) if self.depth else 0.0

    def sway_at(self, t_s: float, key: int, hz: float = 0.2) -> float:
        """A random smooth value: knots of which `2 hz` fall into a second, so that no motion has a rate."""
        if self.moves == 0:
            return 0.0
        at = 2 * hz * t_s
        low = int(np.floor(at))
        knots = [float(np.random.default_rng([self.seed, key, low + k + 1000]).normal(0, 0.45)) for k in range(-1, 3)]
        return self.moves * _spline(knots, at - low)


def _spline(knots: list[float], share: float) -> float:
    """Between the middle two of four knots, by Catmull and Rom."""
    a, b, c, d = knots
    slope, bend = 0.5 * (c - a), a - 2.5 * b + 2 * c - 0.5 * d
    return b + share * (slope + share * (bend + share * 0.5 * (d - a + 3 * (b - c))))


@dataclass(frozen=True)
class Recipe:
    """What one clip shows; `kind` is infant or one of LIFELESS."""

    kind: str
    motion: str
    light: str
    cover: str
    below: float  # how far below the face the camera looks, in dm
    clip: BreathingClip


@dataclass(frozen=True)
class Rendered:
    """What a device reads: times (N,), cells (N, 60, 80), landmarks (N, 5, 2) in px of the picture.

    `breaths` (N,) counts since the start, NaN where there are none; `pausing` (N,) is true in a pause.
    """

    recipe: Recipe
    t_s: Series
    cells: Floats
    landmarks: Floats
    breaths: Series
    pausing: NDArray[np.bool_]

    def write(self, path: Path) -> None:
        """As NAME.npz; the cells in steps of 1 / FINE of a level."""
        np.savez_compressed(
            path,
            t_s=self.t_s,
            cells=np.rint(self.cells * FINE).astype(np.uint16),
            landmarks=self.landmarks,
            breaths=self.breaths,
            pausing=self.pausing,
        )

    @property
    def truth(self) -> dict[str, object]:
        """What a row of truth.jsonl says besides the name."""
        recipe, clip = self.recipe, self.recipe.clip
        alive = clip.depth > 0
        return {
            "respiration": alive,
            "kind": recipe.kind,
            "identity": clip.script.identity,
            "motion": recipe.motion,
            "light": recipe.light,
            "cover": recipe.cover,
            "below_dm": round(recipe.below, 2),
            "style": clip.style if alive else None,
            "mean": round(clip.mean, 1) if alive else None,
            "depth_mm": round(8 * clip.depth, 2),
        }


def recipe_of(rng: np.random.Generator, number: int, identity: int, seconds: float) -> Recipe:
    """A random clip of an identity; every third one lifeless, the kinds by turns."""
    lifeless = number % LIFELESS_EVERY == LIFELESS_EVERY - 1
    turn = number // LIFELESS_EVERY
    kind = LIFELESS[turn % len(LIFELESS)] if lifeless else "infant"
    motion = _TURNS[(number - turn) % len(_TURNS)] if not lifeless else "awake" if kind == "breathless" else "quiet"
    yaw, pitch = np.radians(rng.uniform(-25, 25)), np.radians(rng.uniform(-25, 10))
    bpm = float(rng.uniform(110, 150))
    segment = Segment(seconds, "open" if motion == "awake" else "closed", False, bpm, _sleep(motion), motion)
    script = Script(
        (segment,),
        bpm,
        identity,
        roll_deg=float(rng.uniform(-180, 180)),
        view=(float(np.sin(yaw) * np.cos(pitch)), float(np.sin(pitch)), float(np.cos(yaw) * np.cos(pitch))),
    )
    clip = BreathingClip(
        script,
        SIZE,
        FPS,
        int(rng.integers(2**31)),
        float(rng.uniform(55, 95)),
        style=str(rng.choice(STYLES, p=(0.45, 0.35, 0.2))),
        mean=float(np.exp(rng.uniform(np.log(SLOWEST), np.log(FASTEST)))),
        depth=0.0 if lifeless else float(rng.uniform(0.25, 0.7)),
        heave=float(rng.uniform(0.08, 0.3)),
        moves=_MOVES[motion],
    )
    light = "evening" if rng.random() < 0.3 else "bright"
    return Recipe(kind, motion, light, str(rng.choice(_COVERS)), float(rng.uniform(0.2, 0.9)), clip)


def _sleep(motion: str) -> str:
    return "awake" if motion == "awake" else "asleep"


def render(recipe: Recipe) -> Rendered:
    """Draws the clip and reads it as the device would."""
    rng = np.random.default_rng([recipe.clip.seed, 23])
    tracker = FaceTracker(Region())
    t_s, cells, landmarks = [], [], []
    for number, (at_s, frame, truth) in enumerate(_frames(recipe, rng)):
        if number == 0:
            for before_s in np.arange(-_BEFORE_S, 0, 0.25):
                tracker.update(jittered(rng, truth), at_s + float(before_s), frame.shape[:2])
        if number % _LOOKS == 0:
            tracker.update(jittered(rng, truth), at_s, frame.shape[:2])
        face = tracker.predict(at_s)
        t_s.append(at_s)
        cells.append(shrink(frame))
        landmarks.append(face.landmarks if face else np.full((5, 2), np.nan, np.float32))
    times, breathing = np.array(t_s), recipe.clip.breathing
    alive = recipe.clip.depth > 0
    breaths = breathing.taken(times) if alive else np.full(len(times), np.nan)
    pausing = breathing.paused(times) & alive
    return Rendered(recipe, times, np.stack(cells), np.stack(landmarks), breaths, pausing)


def _frames(recipe: Recipe, rng: np.random.Generator) -> Iterator[tuple[float, NDArray[np.uint8], Truth]]:
    """Time and RGB (H, W, 3) and truth of every frame."""
    clip, kind = recipe.clip, {"evening": "dim"}.get(recipe.light, "bright")
    stage = _staged(recipe, rng)
    light = scene.sample_light(rng, kind, stage.camera, evening=recipe.light == "evening")
    sensor = replace(sample_sensor(rng, kind), grey=False)
    stage = replace(stage, light=light, sensor=sensor, uniforms={**stage.uniforms, **light.uniforms})
    drawn = _Drawn(clip, stage)
    first, seen = drawn.at(0.0)
    gain = sensor.level / float(np.minimum(first, 4 * np.median(first)).mean())
    blinks_hz = float(rng.uniform(0.5, 1.2))
    for number in range(clip.frames):
        at_s = max(0.0, number / FPS + float(np.clip(rng.normal(0, 0.002), -0.01, 0.01)))
        colour, truth = _held(first, seen, clip.seed, at_s) if recipe.kind == "photograph" else drawn.at(at_s)
        if recipe.kind == "blinking":
            colour = (colour * (1 + 0.01 * np.sin(2 * np.pi * blinks_hz * at_s))).astype(np.float32)
        yield at_s, develop(rng, colour, sensor, gain), truth


class _Drawn:
    """A clip drawn at FULL fullnesses of the chest and, where it moves, once a second, and put together from these.

    A breath moves edges by less than a pixel from one fullness to the next, so linear light is interpolated. To draw
    every frame costs ten times as much.
    """

    def __init__(self, clip: BreathingClip, stage: Stage) -> None:
        self._clip = clip
        middle_s = clip.script.seconds / 2
        belly = _belly(clip, stage)
        drawn = []
        for held in FULL if clip.depth else (0.5,):
            at = replace(clip, held=held)
            still = [
                _lifted(part, belly, at.breath_at(0.0)) if part.object == props.BLANKET else part
                for part in stage.still
            ]
            drawn.append(draw_known(at, replace(stage, still=still), middle_s))
        self._swollen = np.stack([colour for colour, _ in drawn])
        self._truths = [drawn[0][1]]
        self._moved = np.empty((0,))
        if clip.moves:
            seconds = np.arange(int(np.ceil(clip.script.seconds)) + 2)
            moved = [draw_known(replace(clip, held=0.5), stage, float(second)) for second in seconds]
            self._moved, self._truths = np.stack([colour for colour, _ in moved]), [truth for _, truth in moved]

    def at(self, at_s: float) -> tuple[Floats, Truth]:
        """Linear colour (H, W, 3) at a time, and what of the face is to be seen."""
        out = _between(self._swollen, self._place(self._clip.full_at(at_s)))
        if self._clip.moves:
            out = out + _between(self._moved, at_s) - _between(self._swollen, self._place(0.5))
        return out.clip(0).astype(np.float32), self._truths[min(round(at_s), len(self._truths) - 1)]

    def _place(self, full: float) -> float:
        return float(np.interp(full, FULL, np.arange(len(FULL)))) if len(self._swollen) > 1 else 0.0


def _between(pictures: Floats, place: float) -> Floats:
    low = min(int(place), max(len(pictures) - 2, 0))
    high = min(low + 1, len(pictures) - 1)
    return np.asarray(pictures[low] + np.float32(place - low) * (pictures[high] - pictures[low]), np.float32)


def _staged(recipe: Recipe, rng: np.random.Generator) -> Stage:
    """The clip's stage with the recipe's blanket, seen by a camera that looks further down."""
    stage = set_stage(recipe.clip)
    figure = _figure(recipe.clip, stage, 0.0)
    down = -recipe.below * figure.head_turn[:, 1]
    camera = replace(
        stage.camera,
        place=(stage.camera.place + down).astype(np.float32),
        target=(stage.camera.target + down).astype(np.float32),
    )
    still = scene.bedding(rng, figure, scene.level_of(figure), False, recipe.cover)
    uniforms = {**stage.uniforms, "camera": scene.triple(camera.place)}
    return replace(stage, camera=camera, still=still, uniforms=uniforms)


def _figure(clip: Clip, stage: Stage, at_s: float) -> Figure:
    return pose_figure(clip.script.identity, expression_at(clip, at_s), pose_at(clip, stage.base, at_s))


def _belly(clip: Clip, stage: Stage) -> Floats:
    """Where the belly's middle lies."""
    return load_mesh().joint(_figure(clip, stage, 0.0).vertices, "spine03")


def _lifted(blanket: Part, belly: Floats, breath: float) -> Part:
    """A blanket that lies on a belly rises with it by half, and its slopes turn."""
    away = (blanket.place - belly) / _BELL_DM
    away[:, 2] = 0.0
    rise = 0.5 * _BELLY_DM * breath * np.exp(-np.sum(away**2, axis=1))
    place = blanket.place + rise[:, None] * np.array([0, 0, 1], np.float32)
    normal = blanket.normal + (2 * rise[:, None] * away / _BELL_DM) * (1, 1, 0)
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return replace(blanket, place=place.astype(np.float32), normal=normal.astype(np.float32))


def _held(colour: Floats, truth: Truth, seed: int, at_s: float) -> tuple[Floats, Truth]:
    """A picture held in a hand before a still scene: it sways by a px or two and half a degree, at one rate."""
    rng = np.random.default_rng([seed, 29])
    hz, phases = rng.uniform(0.4, 1.1), rng.uniform(0, 6.28, 3)
    x, y, turn = np.sin(6.283 * hz * at_s + phases) * rng.uniform(0.3, 1.0, 3)
    height, width = colour.shape[:2]
    to = cv2.getRotationMatrix2D((width / 2, height / 2), 0.5 * float(turn), 1.0)
    to[:, 2] += 1.5 * x, 1.5 * y
    moved = cv2.warpAffine(colour, to, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    frame = cv2.GaussianBlur(colour[:, ::-1], (0, 0), 3.0)
    top, side = height // 10, width // 10
    frame[top:-top, side:-side] = moved[top:-top, side:-side]
    marks = tuple((float(u), float(v)) for u, v in np.array(truth.landmarks) @ to[:, :2].T + to[:, 2])
    return frame.astype(np.float32), replace(truth, landmarks=marks)
