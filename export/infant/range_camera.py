"""Depth as a structured-light camera gives it: whole millimetres, with its holes, steps and noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from export.infant.mesh import Floats


@dataclass(frozen=True)
class RangeCamera:
    """How a structured-light camera errs.

    `baseline_mm` and `focal_px` (None: the picture's own) make disparity; disparity comes in steps of `step_px` with a
    deviation of `noise_px`, so that both grow with the square of range (Khoshelham and Elberink, Sensors 2012, 12:1437,
    eq. 8). Surfaces flatter to the ray than `grazing` (cosine), darker than `dark` (linear light) and in the
    projector's shadow are holes; so is a share `dropout` of edge pixels.
    """

    baseline_mm: float = 60.0
    focal_px: float | None = None
    step_px: float = 0.06
    noise_px: float = 0.04
    patch_px: float = 1.2
    grazing: float = 0.16
    dark: float = 0.012
    dropout: float = 0.25
    far_mm: float = 4000.0


def sample_range_camera(rng: np.random.Generator) -> RangeCamera:
    """A camera of training's kind."""
    return RangeCamera(
        baseline_mm=float(rng.uniform(40, 80)),
        step_px=float(rng.uniform(0.03, 0.12)),
        noise_px=float(rng.uniform(0.02, 0.09)),
        patch_px=float(rng.uniform(0.8, 1.8)),
        grazing=float(rng.uniform(0.10, 0.22)),
        dark=float(rng.uniform(0.004, 0.02)),
        dropout=float(rng.uniform(0.05, 0.4)),
    )


def measure(
    rng: np.random.Generator, depth_mm: Floats, albedo: Floats, focal_px: float, camera: RangeCamera
) -> NDArray[np.uint16]:
    """Exact depth (H, W) in mm (0 = nothing) as uint16 mm with holes of 0; `albedo` (H, W) is 0 where all is black."""
    known = depth_mm > 0
    filled = np.where(known, depth_mm, camera.far_mm).astype(np.float32)
    focal = camera.focal_px or focal_px
    disparity = focal * camera.baseline_mm / filled
    grain: Floats = rng.standard_normal(filled.shape, np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), camera.patch_px) * (3.5 * camera.patch_px)
    seen = disparity + camera.noise_px * grain
    seen = np.round(seen / camera.step_px) * camera.step_px
    out = focal * camera.baseline_mm / np.maximum(seen, 1e-3)
    holes = ~known | (filled >= camera.far_mm)
    holes |= _shadow(disparity)
    holes |= _facing(filled, focal_px) < camera.grazing
    holes |= (albedo < camera.dark) & (rng.random(filled.shape, np.float32) < 0.85)
    edge = cv2.morphologyEx(filled, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 25
    ragged = cv2.GaussianBlur(rng.standard_normal(filled.shape, np.float32), (0, 0), 1.0) * 3.5
    holes |= cv2.dilate(edge.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & (
        ragged > np.float32(1.4 - 2.8 * camera.dropout)
    )
    return np.where(holes, 0, np.clip(out, 0, 65535)).astype(np.uint16)


def _shadow(disparity: Floats) -> NDArray[np.bool_]:
    """Pixels the projector, to the camera's right, cannot reach: a nearer surface lies in its line of sight."""
    columns = np.arange(disparity.shape[1], dtype=np.float32)
    place = columns[None, :] - disparity  # the pixel's place in the projector's picture
    reached = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]  # by something nearer, further right
    out: NDArray[np.bool_] = place > reached + 0.6
    return out


def _facing(depth_mm: Floats, focal_px: float) -> Floats:
    """Cosine between a surface and its ray (H, W), from the depth's slope."""
    across = cv2.Sobel(depth_mm, cv2.CV_32F, 1, 0, scale=0.125) * focal_px / depth_mm
    down = cv2.Sobel(depth_mm, cv2.CV_32F, 0, 1, scale=0.125) * focal_px / depth_mm
    out: Floats = 1 / np.sqrt(1 + across**2 + down**2)
    return out
