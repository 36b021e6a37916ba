"""What comes over the face in a clip, how the head turns, and how day becomes evening."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from export.infant import occluders, props, scene
from export.infant.figure import Figure, canon
from export.infant.mesh import Floats
from export.infant.render import Part, Uniform
from export.infant.script import Script, Turn, Visit
from export.infant.sensor import Sensor

AWAY_DM = 2.8  # from the face, where nothing of a hand is in the picture any more
COMES_S = 0.5
TURNS_S = 1.6
EVENING = (1.0, 0.72, 0.46)  # the hue of its light, against that of the day
EVENING_LIGHT = 0.12  # of the day's
EXPOSED = 0.55  # how much of the missing light the camera's exposure makes up for, as an exponent


def over_the_face(visits: Sequence[Visit], figure: Figure, toward: Floats, t_s: float, seed: int) -> list[Part]:
    """Parts of all visits at a time; `toward` points from the face to the camera."""
    parts: list[Part] = []
    for number, visit in enumerate(visits):
        if 0 <= t_s - visit.start_s < visit.seconds:
            rng = np.random.default_rng([seed, number, 17])
            if visit.what == "blanket":
                parts += _blanket(rng, visit, figure, t_s)
            else:
                parts += _hands(rng, visit, figure, scene.unit(toward), t_s)
    return parts


def _there(visit: Visit, t_s: float) -> float:
    """How far it has come, 0 away to 1 there."""
    ends = min(COMES_S, 0.3 * visit.seconds)
    share = float(np.clip(min(t_s - visit.start_s, visit.start_s + visit.seconds - t_s) / ends, 0, 1))
    return share * share * (3 - 2 * share)


def _hands(rng: np.random.Generator, visit: Visit, figure: Figure, toward: Floats, t_s: float) -> list[Part]:
    """A carer's hand; two of them where they are to hide the face."""
    drawn = rng.normal(0, 1, 3)
    side = scene.unit((drawn - (drawn @ toward) * toward).astype(np.float32))
    look = _look(rng)
    sides = (side, -side) if visit.what == "hide" else (side,)
    return [_hand(rng, visit, figure, toward, t_s, side=side, look=look) for side in sides]


def _hand(
    rng: np.random.Generator,
    visit: Visit,
    figure: Figure,
    toward: Floats,
    t_s: float,
    *,
    side: Floats,
    look: dict[str, Uniform],
) -> Part:
    """A hand that sweeps sideways, or comes along its own arm and rests; the arm comes from `side`."""
    face = figure.vertices[canon().patch].mean(axis=0)
    across = np.cross(toward, side)
    reach = scene.unit(side + float(rng.uniform(0.35, 0.7)) * toward)
    if visit.what == "pass":
        along = 2 * (t_s - visit.start_s) / visit.seconds - 1
        at = face + float(rng.uniform(0.45, 0.8)) * toward + AWAY_DM * along * across + rng.uniform(-0.4, 0.3) * side
    else:
        hides = visit.what == "hide"
        lift = rng.uniform(0.40, 0.60) if hides else rng.uniform(0.28, 0.42)
        off = rng.uniform(0.0, 0.2) if hides else rng.uniform(0.35, 0.65)
        stroke = (0.05 if hides else 0.12) * np.sin(6.283 * 0.8 * (t_s - visit.start_s))
        at = face + lift * toward + off * side + stroke * across + AWAY_DM * (1 - _there(visit, t_s)) * reach
    return props.carer_hand(rng, at.astype(np.float32), reach, look)


def _look(rng: np.random.Generator) -> dict[str, Uniform]:
    glove = np.array([(0.18, 0.35, 0.75), (0.30, 0.20, 0.55), (0.80, 0.80, 0.78), (0.05, 0.05, 0.06)][rng.integers(4)])
    colour = glove if rng.random() < 0.4 else np.array([0.80, 0.56, 0.46]) ** rng.uniform(1.0, 3.2)
    return {
        "cloth_a": scene.triple(colour),
        "cloth_b": scene.triple(colour * 0.9),
        "pattern": (0.0, 1.0, 0.0, 0.0),
    }


def _blanket(rng: np.random.Generator, visit: Visit, figure: Figure, t_s: float) -> list[Part]:
    """A fold of cloth drawn up from the chest."""
    parts, _ = occluders.add_occluder(rng, figure, False, figure.head_turn[:, 2], "edge")
    shift = (-1.2 * (1 - _there(visit, t_s)) * figure.head_turn[:, 1]).astype(np.float32)
    return [replace(part, place=part.place + shift) for part in parts]


def turned(turns: Sequence[Turn], t_s: float) -> tuple[float, float]:
    """Yaw and pitch in degrees of the head at a time, against how it lay at first."""
    yaw = pitch = 0.0
    for turn in turns:
        share = float(np.clip((t_s - turn.start_s) / TURNS_S, 0, 1))
        share = share * share * (3 - 2 * share)
        yaw, pitch = yaw + share * (turn.yaw_deg - yaw), pitch + share * (turn.pitch_deg - pitch)
    return yaw, pitch


def dusk(script: Script, t_s: float) -> float:
    """How far evening has come, 0 day to 1."""
    if script.evening is None:
        return 0.0
    begins_s, ends_s = script.evening
    return float(np.clip((t_s - begins_s) / (ends_s - begins_s), 0, 1))


def lamps(day: dict[str, Uniform], evening: float) -> dict[str, Uniform]:
    """The light's uniforms at a share of evening: warmer, and less of it."""
    left = EVENING_LIGHT**evening * np.array(EVENING) ** evening
    return {name: scene.triple(np.array(day[name]) * left) for name in ("light_colour", "sky", "bounce")}


def exposed(sensor: Sensor, gain: float, evening: float) -> tuple[Sensor, float]:
    """The camera's exposure: it makes up for a part of the missing light, and noise grows with the gain."""
    more = (1 / EVENING_LIGHT) ** (EXPOSED * evening)
    return replace(sensor, noise=sensor.noise * more), gain * more
