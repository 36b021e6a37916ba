"""Windows of upright face patches without end, made from rendered pictures: a few milliseconds each.

What a camera's frames would hold is made in the patch itself: the picture is moved by what the tracker does not
follow, and light, pulse and noise act on the 16 x 16 means, a thousand times cheaper than drawing every frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from edgemon import rppg
from edgemon.faces.patch import REACH, SIDE, similarity
from export.datasets import Renders
from export.infant.clip import PULSE_RGB
from export.pulse_story import Rng, Series, Story, rhythm, shades, steps, tell, wander

FS_HZ: Final = 30.0
FRAMES: Final = 180
SKIN: Final = (1, 2)  # labels of renders
LIFELESS: Final = 0.15  # share of windows without a pulse
STRENGTH: Final = (0.2, 1.2)  # of PULSE_RGB
_FINE: Final = 48  # samples along the patch's side before they are averaged
_MARGIN: Final = 1.5  # sides of the patch that are cut out of the picture, so that the face can move
_GAMMA: Final = 2.2
_MIN_EYES_PX: Final = 14.0
_GRID: Final = (np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) + 0.5) / SIDE * 2 - 1  # y, x within -1..1
_BASES: Final = np.stack([np.ones_like(_GRID[0]), *_GRID, _GRID[0] * _GRID[1], _GRID[0] ** 2, _GRID[1] ** 2], axis=-1)

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    """Patches (T, 16, 16, 3) in 0..255 at FS_HZ, the pulse's wave (T,) and rate in bpm (T,); no pulse: rate 0.

    `shown` is asleep, awake, crying, infrared (of any state) or lifeless.
    """

    patches: Floats
    wave: Floats
    bpm: Floats
    shown: str


def stretched(window: Window, factor: float) -> Window:
    """The window played `factor` times as fast, so that a recording gives rates that it lacks; its end stays."""
    t_s = np.arange(len(window.wave)) / factor
    rows = np.concatenate([window.patches.reshape(len(t_s), -1), window.wave[:, None], window.bpm[:, None]], axis=1)
    even = rppg.resample(t_s, rows.astype(np.float64), 1.0).astype(np.float32)
    return Window(
        even[:, :-2].reshape(-1, *window.patches.shape[1:]), even[:, -2], even[:, -1] * np.float32(factor), window.shown
    )


class Faces:
    """Pictures of a folder of renders, each cut out upright with its share of skin."""

    def __init__(self, folder: Path) -> None:
        self.renders = Renders(folder)
        self._infants = [i for i, row in enumerate(self.renders.rows) if _shows_enough(row)]
        self._others = [i for i, row in enumerate(self.renders.rows) if row["face_box"] is None]
        if not self._infants:
            raise ValueError(f"{folder}: no picture there shows a face")

    def infant(self, rng: Rng) -> tuple[Floats, float]:
        """A face as RGB and skin (H, W, 4), and its eye distance in px; half are mirrored."""
        index = self._infants[rng.integers(len(self._infants))]
        points = np.array(self.renders.rows[index]["landmarks"], np.float32)
        cut, eyes_px = self._cut(index, *similarity(points))
        return (cut[:, ::-1] if rng.random() < 0.5 else cut), eyes_px

    def other(self, rng: Rng) -> tuple[Floats, float]:
        """A place without a face, as if one had been found there; without such pictures a face without skin."""
        if not self._others:
            cut, eyes_px = self.infant(rng)
            return np.concatenate([cut[::-1, :, :3], 0 * cut[..., 3:]], axis=-1), eyes_px
        unit = complex(*rng.normal(0, 1, 2))
        unit *= rng.uniform(16, 45) / abs(unit)
        return self._cut(self._others[rng.integers(len(self._others))], complex(*rng.uniform(100, 280, 2)), unit)

    def _cut(self, index: int, centre: complex, unit: complex) -> tuple[Floats, float]:
        skin = np.isin(self.renders.labels(index), SKIN).astype(np.float32)
        picture = np.dstack([self.renders.rgb(index).astype(np.float32), skin])
        size = round(_FINE * _MARGIN)
        step = unit * REACH / _FINE
        corner = centre - step * complex(1, 1) * (size - 1) / 2
        matrix = np.array([[step.real, -step.imag, corner.real], [step.imag, step.real, corner.imag]])
        if abs(step) > 1:
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.4 * abs(step)), np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cut = cv2.warpAffine(picture, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(cut, np.float32), abs(unit)


def _shows_enough(row: dict[str, object]) -> bool:
    if row["face_box"] is None:
        return False
    points = np.array(row["landmarks"], np.float32)
    return abs(similarity(points)[1]) >= _MIN_EYES_PX and float(str(row["face_visible"])) >= 0.4


def make_window(rng: Rng, faces: Faces, frames: int = FRAMES) -> Window:
    """A window of one infant, or in 15 % of a doll, a photograph or a wall."""
    story = tell(rng, (frames + 1) / FS_HZ)
    lifeless = rng.random() < LIFELESS
    cut, eyes_px = faces.other(rng) if lifeless and rng.random() < 0.4 else faces.infant(rng)
    grey = bool(np.ptp(cut[..., :3], axis=-1).mean() < 2.0) or rng.random() < 0.05
    moved = _moved(_toned(rng, cut, grey), story)
    patches, skin = moved[..., :3], moved[..., 3]
    gain = _light(rng, story, grey)
    if not lifeless:
        gain -= _pulse(rng, story, skin, grey)
    patches = patches * np.exp(gain / np.float32(_GAMMA))
    patches = _covered(rng, story.t_s, _cried(rng, story, patches))
    patches = _sensed(rng, patches, eyes_px, grey)
    shown = "lifeless" if lifeless else "infrared" if grey else story.state
    return _evenly(story, patches, shown, frames)


def _toned(rng: Rng, cut: Floats, grey: bool) -> Floats:
    """Another exposure, and another white balance or none."""
    out = cut.copy()
    if grey:
        out[..., :3] = out[..., :3].mean(axis=-1, keepdims=True)
    level = float(out[..., :3].mean()) + 1e-3
    wanted = float(np.exp(rng.uniform(np.log(25), np.log(150))))
    factor = (wanted / level) ** rng.uniform(0, 1) * np.exp(rng.normal(0, 0 if grey else 0.08, 3))
    out[..., :3] = np.minimum(out[..., :3] * factor.astype(np.float32), 255)
    return out


def _moved(cut: Floats, story: Story) -> Floats:
    """The picture as the patch sees it at each frame: (N, 16, 16, 4)."""
    scale = _FINE / REACH
    middle, half = (cut.shape[0] - 1) / 2, (_FINE - 1) / 2
    out = np.empty((len(story.t_s), SIDE, SIDE, 4), np.float32)
    for i, (x, y, size, turn) in enumerate(story.slip):
        unit = np.exp(complex(-size, -turn))
        corner = complex(middle, middle) - unit * (complex(half, half) + scale * complex(x, y))
        matrix = np.array([[unit.real, -unit.imag, corner.real], [unit.imag, unit.real, corner.imag]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        fine = cv2.warpAffine(cut, matrix, (_FINE, _FINE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        cv2.resize(fine, (SIDE, SIDE), dst=out[i], interpolation=cv2.INTER_AREA)
    return out


def _light(rng: Rng, story: Story, grey: bool) -> Floats:
    """Log gain (N, 16, 16, 3) of linear light: shade that goes with the head, lamps, exposure and balance."""
    t_s, count = story.t_s, _BASES.shape[-1]
    pose = story.pose - story.pose.mean(axis=0)
    drive = pose @ rng.normal(0, rng.exponential(0.2), (4, count))
    drive += (
        {"asleep": 0.002, "awake": 0.012, "crying": 0.02}[story.state]
        * rng.exponential(1.0)
        * wander(rng, t_s, rng.uniform(0.3, 2.5), count)
    )
    if story.state == "crying":
        drive += rng.exponential(0.02) * rhythm(rng, story.cry_phase)[:, None] * rng.normal(0, 0.7, count)
    drive[:, 0] += shades(rng, t_s, rng.choice([0.0, 0.7])) + steps(rng, t_s, 0.12, 0.2)
    if rng.random() < 0.3:  # mains light, aliased by the frame rate, or a screen
        drive[:, 0] += rng.exponential(0.004) * np.sin(2 * np.pi * (rng.uniform(0.2, 14) * t_s + rng.random()))
    field = (drive.astype(np.float32) @ _BASES.reshape(-1, count).T.astype(np.float32)).reshape(-1, SIDE, SIDE, 1)
    tint = np.ones(3, np.float32) if grey else (1 + rng.normal(0, 0.05, 3)).astype(np.float32)
    balance = np.zeros((len(t_s), 3))
    if not grey:
        balance += np.column_stack([steps(rng, t_s, 0.05, 0.15) for _ in range(3)])
    return np.asarray(field * tint + balance[:, None, None].astype(np.float32), np.float32)


def _pulse(rng: Rng, story: Story, skin: Floats, grey: bool) -> Floats:
    """Share (N, 16, 16, 3) of the light that blood takes: uneven over the face, later by up to 60 ms at one end."""
    strength = rng.uniform(*STRENGTH)
    uneven = np.exp(np.float32(rng.uniform(0, 0.35)) * _smooth_map(rng))
    late = np.clip(0.5 + 0.5 * _smooth_map(rng), 0, 1) * np.float32(rng.random())
    wave, later = (x.astype(np.float32)[:, None, None] for x in (story.wave, story.late))
    depth = np.array(PULSE_RGB, np.float32) * np.exp(rng.normal(0, 0.12, 3)).astype(np.float32)
    if grey:
        depth = np.full(3, depth.mean() * rng.uniform(0.4, 1.0), np.float32)
    beat = (wave * (1 - late) + later * late) * (skin * uneven * np.float32(strength))
    return np.asarray(beat[..., None] * depth, np.float32)


def _smooth_map(rng: Rng) -> Floats:
    """A random smooth map (16, 16) of about unit spread."""
    coarse = rng.normal(0, 1, (4, 4)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.float32)


def _cried(rng: Rng, story: Story, patches: Floats) -> Floats:
    """Mouth and lids that open and shut: their places change colour, and neither keeps to the light's rules."""
    opens = rng.uniform(0.03, 0.3) if story.state == "crying" else rng.exponential(0.01)
    spots = [(0.05, 0.54, 0.22, opens * (0.5 + 0.5 * rhythm(rng, story.cry_phase)))]
    blink = np.exp(-0.5 * ((story.t_s - rng.uniform(0, 4 * story.t_s[-1])) / 0.08) ** 2)
    spots += [(x, -0.25, 0.12, 0.15 * blink) for x in (-0.42, 0.42)]
    y, x = _GRID
    out, mean = patches, patches.mean(axis=(0, 1, 2))
    for at_x, at_y, width, amount in spots:
        place = np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * width**2))
        share = np.clip(amount, 0, 0.9).astype(np.float32)[:, None, None, None] * place[..., None]
        shown = mean * rng.uniform(0.2, 1.1, 3).astype(np.float32)
        out = out + share * (shown - out)
    return out


def _covered(rng: Rng, t_s: Series, patches: Floats) -> Floats:
    """In a fifth of the windows a hand or a strip of cloth passes over part of the face."""
    if rng.random() > 0.2:
        return patches
    angle, speed = rng.uniform(0, 2 * np.pi), rng.normal(0, 1.0)
    along = np.cos(angle) * _GRID[1] + np.sin(angle) * _GRID[0]
    edge = rng.uniform(-1.2, 1.2) + speed * (t_s - rng.uniform(0, t_s[-1])) + 0.05 * wander(rng, t_s, 1.0)
    off = np.abs(along[None] - edge[:, None, None].astype(np.float32)) - np.float32(rng.uniform(0.1, 0.5))
    share = np.clip(0.5 - off / 0.15, 0, 1)[..., None] * np.float32(rng.uniform(0.7, 1.0))
    colour = patches.mean(axis=(0, 1, 2)) * np.exp(rng.normal(0, 0.4, 3)).astype(np.float32)
    return np.asarray(patches + share * (colour - patches), np.float32)


def _sensed(rng: Rng, patches: Floats, eyes_px: float, grey: bool) -> Floats:
    """Noise of the means: that of a pixel and its rounding over the root of the pixels, and a coder's coarse steps."""
    pixel = float(np.exp(rng.uniform(np.log(0.4), np.log(6.0))))
    pixels = float(np.clip((rng.uniform(0.8, 1.4) * eyes_px * REACH / SIDE) ** 2, 3, 36))
    spread = np.sqrt((pixel**2 + 1 / 12) / pixels) * rng.uniform(1.0, 1.4)
    shape = (*patches.shape[:3], 1 if grey else 3)
    out = np.minimum(patches + np.float32(spread) * rng.standard_normal(shape, np.float32), 255)
    if rng.random() < 0.15:
        step = np.float32(rng.uniform(0.05, 0.5))
        out = step * np.round(out / step)
    return np.maximum(out, 0)


def _evenly(story: Story, patches: Floats, shown: str, frames: int) -> Window:
    rows = np.concatenate([patches.reshape(len(patches), -1), np.stack([story.wave, story.bpm], axis=1)], axis=1)
    even = rppg.resample(story.t_s, rows, FS_HZ)[-frames:].astype(np.float32)
    kept = np.float32(shown != "lifeless")
    return Window(even[:, :-2].reshape(frames, SIDE, SIDE, 3), kept * even[:, -2], kept * even[:, -1], shown)


class PulseWindows(IterableDataset[tuple[Tensor, ...]]):
    """Patches (T, 3, 16, 16), wave (T,) and bpm (T,), which is 0 where there is no pulse; float32."""

    def __init__(self, folder: Path, seed: int, frames: int = FRAMES) -> None:
        self.faces, self.seed, self.frames = Faces(folder), seed, frames

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = get_worker_info()
        cv2.setNumThreads(1)
        rng = np.random.default_rng([self.seed, worker.id if worker else 0, 4])
        while True:
            window = make_window(rng, self.faces, self.frames)
            patches = torch.from_numpy(window.patches.transpose(0, 3, 1, 2).copy())
            yield patches, torch.from_numpy(window.wave.copy()), torch.from_numpy(window.bpm.copy())
