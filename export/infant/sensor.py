"""From linear scene light to camera pixels: exposure, lens blur, darkening, then sensor noise and gamma."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from export.infant.mesh import Floats

LIGHTS = ("bright", "dim", "dark", "infrared")
LIGHT_SHARES = (0.45, 0.25, 0.15, 0.15)
EVENING_SHARES = (0.0, 0.65, 0.35, 0.0)


@dataclass(frozen=True)
class Sensor:
    """`level`: linear mean aimed at; `noise`: read noise in 8-bit steps; `blur_px`: a Gaussian sigma."""

    level: float
    noise: float
    shot: float
    blur_px: float
    vignette: float
    balance: tuple[float, float, float]
    contrast: float
    grey: bool


def sample_sensor(rng: np.random.Generator, light: str) -> Sensor:
    """A camera for a light of LIGHTS."""
    level = {
        "bright": rng.uniform(0.17, 0.42),
        "dim": rng.uniform(0.03, 0.10),
        "dark": rng.uniform(0.008, 0.025),
        "infrared": rng.uniform(0.06, 0.30),
    }[light]
    noise = {
        "bright": rng.uniform(0.3, 2.5),
        "dim": rng.uniform(1.5, 5.0),
        "dark": rng.uniform(2.5, 7.0),
        "infrared": rng.uniform(1.0, 6.0),
    }[light]
    balance = np.exp(rng.normal(0, 0.07, 3))
    return Sensor(
        float(level),
        float(noise),
        float(rng.uniform(0.0, 0.5)),
        float(rng.choice([0.55, 0.7, 0.9, 1.3, 1.8])),
        float(rng.uniform(0, 0.35)),
        (float(balance[0]), float(balance[1]), float(balance[2])),
        float(rng.uniform(0.85, 1.2)),
        light == "infrared" or (light == "dark" and rng.random() < 0.25),
    )


def develop(rng: np.random.Generator, colour: Floats, sensor: Sensor, gain: float | None = None) -> NDArray[np.uint8]:
    """(H, W, 3) linear light to 8-bit RGB; `gain` fixes the exposure, else the mean is brought to `level`."""
    light = colour.clip(0, 50) * np.array(sensor.balance, np.float32)
    if gain is None:
        gain = exposure(light, sensor)
    light = cv2.GaussianBlur((light * gain).astype(np.float32), (0, 0), sensor.blur_px)
    light = light * _vignette(light.shape[1], light.shape[0], sensor.vignette)[..., None]
    if sensor.grey:
        light = np.repeat(light.mean(axis=2, keepdims=True), 3, axis=2)
    knee = 0.75
    light = np.where(light > knee, knee + (1 - knee) * (1 - np.exp(-(light - knee) / (1 - knee))), light)
    pixel = 255 * np.power(light.clip(1e-6, 1), 1 / (2.2 * sensor.contrast))
    shape = (*pixel.shape[:2], 1 if sensor.grey else 3)
    spread = sensor.noise + sensor.shot * np.sqrt(pixel.mean(axis=2, keepdims=True)) * 0.4
    grain: Floats = rng.standard_normal(shape, np.float32)
    if sensor.noise > 3:
        grain = 0.75 * grain + 0.9 * cv2.GaussianBlur(grain, (0, 0), 0.9).reshape(shape)
    out: NDArray[np.uint8] = np.clip(pixel + spread * grain + 0.5, 0, 255).astype(np.uint8)
    return out


def exposure(light: Floats, sensor: Sensor) -> float:
    """The gain that brings the picture's mean, highlights cut, to the sensor's level."""
    return sensor.level / max(float(np.mean(np.minimum(light, 4 * np.median(light) + 1e-3))), 1e-4)


def smear(colour: Floats, length_px: float, angle_deg: float) -> Floats:
    """Motion blur of linear light (H, W, 3) along a straight path."""
    side = 2 * int(np.ceil(length_px / 2)) + 3
    kernel: NDArray[np.float32] = np.zeros((side, side), np.float32)
    way = np.array([np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))])
    reach = 0.5 * length_px * way
    middle = side // 2
    start, end = (tuple(int(v) for v in np.round((middle + sign * reach) * 16)) for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_AA, 4)
    kernel /= kernel.sum()
    return np.asarray(cv2.filter2D(colour.astype(np.float32), -1, kernel, borderType=cv2.BORDER_REPLICATE), np.float32)


def _vignette(width: int, height: int, strength: float) -> Floats:
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    radius = ((xs / width - 0.5) ** 2 + (ys / height - 0.5) ** 2) * 2
    out: Floats = 1 - np.float32(strength) * radius
    return out
