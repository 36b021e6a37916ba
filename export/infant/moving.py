"""Clips of a whole newborn whose limbs move, one camera and scene throughout, with the joints of every frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from export.infant import scene
from export.infant.body import SIZE, TRAIN, Scene, dress, keypoints, sample_scene
from export.infant.encode import encode_evenly, write_lossless
from export.infant.figure import posed_figure
from export.infant.mesh import load_mesh
from export.infant.pose import breathe
from export.infant.render import Buffers, Camera, renderer
from export.infant.sensor import Sensor, develop, exposure, sample_sensor
from export.infant.stirring import Stirring, stir

COVERS = ("none", "legs", "chest", "chin")  # a swaddled newborn's limbs do not move
SPANS = (0.66, 0.80)  # of the picture, so that a kick stays in it
MARGIN = 0.05
Keypoints = tuple[tuple[float, float, int], ...]


@dataclass(frozen=True)
class LimbClip:
    """What a clip shows; `size` is (width, height), all else at random by identity and seed."""

    identity: int
    posture: str = "supine"
    cover: str = "none"
    light: str = "bright"
    seconds: float = 60.0
    fps: int = 30
    size: tuple[int, int] = SIZE
    seed: int = 0

    @property
    def frames(self) -> int:
        """How many there are."""
        return max(1, round(self.seconds * self.fps))

    def generator(self, *key: int) -> np.random.Generator:
        """The generator of one part of the clip, the same at every call."""
        return np.random.default_rng([self.seed, self.identity, *key])

    @cached_property
    def drawn(self) -> Scene:
        """Who lies there, how, and from where it is seen: with all joints well within the picture."""
        rng, settings = self.generator(0), replace(TRAIN, spans=SPANS)
        while True:
            drawn = sample_scene(rng, self.identity, self.size, settings, posture=self.posture, cover=self.cover)
            pixels, _ = drawn.camera.project(drawn.figure.vertices[:13380:7], self.size)
            if (np.abs(pixels / np.array(self.size) - 0.5) < 0.5 - MARGIN).all():
                return drawn

    @cached_property
    def stirring(self) -> Stirring:
        """How it moves."""
        return stir(self.generator(1), self.drawn.rest, self.drawn.lying, self.frames, self.fps)

    @cached_property
    def lamp(self) -> scene.Light:
        """The room's light."""
        return scene.sample_light(self.generator(2), self.light, self.camera)

    @property
    def camera(self) -> Camera:
        """Fixed over the cot."""
        return self.drawn.camera

    @cached_property
    def sensor(self) -> tuple[Sensor, float]:
        """The camera's sensor, and its exposure by the first frame."""
        sensor = sample_sensor(self.generator(3), self.light)
        first, _ = draw(self, 0)
        return sensor, exposure(first.colour * np.array(sensor.balance, np.float32), sensor)


def draw(clip: LimbClip, number: int) -> tuple[Buffers, Keypoints]:
    """Buffers of a frame, in linear light, and its joints."""
    drawn, pose = clip.drawn, clip.stirring.poses[number]
    rest = breathe(load_mesh(), drawn.rest, 0.6 * pose.breath)
    figure = posed_figure(clip.identity, drawn.figure.face, rest, pose, drawn.lying.level + 0.004)
    infrared = clip.light == "infrared"
    parts, uniforms, _ = dress(clip.generator(4), figure, infrared)
    parts += scene.bedding(clip.generator(5), figure, drawn.lying.level, infrared, clip.cover, coarse=True)
    uniforms |= clip.lamp.uniforms | {"camera": scene.triple(clip.camera.place)}
    light_clip = scene.frustum(clip.lamp, clip.camera.target, 5.0)
    buffers = renderer(clip.size).draw(parts, clip.camera, uniforms, light_clip, bare=False)
    return buffers, keypoints(figure, clip.camera, buffers, clip.size)


def frames(clip: LimbClip) -> Iterator[tuple[NDArray[np.uint8], Keypoints]]:
    """RGB (H, W, 3) of each frame with fresh noise of the sensor, and its joints."""
    sensor, gain = clip.sensor
    for number in range(clip.frames):
        buffers, points = draw(clip, number)
        yield develop(clip.generator(6, number), buffers.colour, sensor, gain), points


def truth_of(clip: LimbClip, joints: list[Keypoints]) -> dict[str, object]:
    """The truth file; `frames` has a row for each frame: its 14 joints (x px, y px, v) and the head's side."""
    rows = [
        {"keypoints": points, "posture": clip.posture, "head_side": side}
        for points, side in zip(joints, clip.stirring.head_sides, strict=True)
    ]
    told: dict[str, object] = {"fps": clip.fps, "size": clip.size, "identity": clip.identity, "seed": clip.seed}
    return told | {"posture": clip.posture, "cover": clip.cover, "light": clip.light, "frames": rows}


def write(clip: LimbClip, out: Path) -> None:
    """Render to `out` (mp4), and its truth to `out` with suffix .truth.json."""
    out.parent.mkdir(parents=True, exist_ok=True)
    raw = out.with_suffix(".raw.mkv")
    joints: list[Keypoints] = []
    write_lossless(_told(clip, joints), raw, size=clip.size, fps=clip.fps)
    encode_evenly(raw, out)
    raw.unlink()
    out.with_suffix(".truth.json").write_text(json.dumps(truth_of(clip, joints)) + "\n", encoding="utf-8")


def _told(clip: LimbClip, joints: list[Keypoints]) -> Iterator[NDArray[np.uint8]]:
    """All frames, with a progress bar; their joints are put into `joints`."""
    for image, points in tqdm(frames(clip), total=clip.frames, unit="img"):
        joints.append(points)
        yield image
