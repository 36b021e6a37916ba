"""How a lying newborn's limbs move: smooth movements in bouts with rests, kicks of both legs, turns of the head.

Each joint's angle follows a sum of waves of BAND_HZ that runs on while its limb is in a bout and stands still in its
rests. Where a movement would take a limb into trunk, head or another limb, it is made smaller; the mattress lifts it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.infant.lying import (
    ARM,
    LEG,
    MIDLINE_DEG,
    ROOTS,
    Body,
    Limb,
    Lying,
    depth_of,
    lifted_ways,
    turns_of,
    vector_deg,
)
from export.infant.mesh import Floats
from export.infant.pose import Pose, rotation
from export.infant.scene import triple, unit

LIMBS: tuple[Limb, ...] = ((ARM, "L"), (ARM, "R"), (LEG, "L"), (LEG, "R"))
BAND_HZ = (0.3, 2.0)
WAVES = 12
# One sigma of: swing in the plane of both bones, swing out of it, twist of the upper bone, flexion of the hinge.
SWING_DEG = {ARM: (15.0, 13.0, 18.0, 20.0), LEG: (11.0, 9.0, 10.0, 16.0)}
KICK_DEG = (24.0, 0.0, 0.0, -62.0)  # hip and knee stretch together
FLEX_DEG = (15.0, 138.0)
SWAY_DEG = 0.9  # of the trunk; small, for limbs are kept off the trunk where it lies at rest
EASE_S, WARY_S = 0.35, 0.3
TOUCH_DM = 0.03
SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
YAW_DEG = {"supine": 70.0, "side": 30.0, "prone": 12.0}  # how far the head turns from where it lay, or the front


@dataclass(frozen=True)
class Stirring:
    """A pose (turns and breath) for each frame, and to which of HEAD_SIDES the nose then points."""

    poses: tuple[Pose, ...]
    head_sides: tuple[str, ...]


def stir(rng: np.random.Generator, rest: Floats, lying: Lying, frames: int, fps: float) -> Stirring:
    """Let a newborn who lies as `lying` move for so many frames; its first pose need not be that of `lying`."""
    at_s = np.arange(frames) / fps
    body = Body(rest, lying.pose, lying.posture)
    awake = bouts(rng, at_s, 14.0, 4.0)
    wanted = _wanted(rng, at_s, awake)
    turns = [dict(lying.pose.turns) for _ in range(frames)]
    for limb, moves in _kept_off(rng, body, wanted, round(WARY_S * fps)).items():
        for frame, own in zip(turns, moves, strict=True):
            frame.update(own)
        _flap(rng, turns, limb, at_s, awake)
    _sway(rng, turns, _active_s(awake, at_s))
    head_sides = _turn_head(rng, body, lying, turns, at_s)
    breath = np.sin(2 * np.pi * rng.uniform(0.6, 0.9) * at_s + 0.8 * _waves(rng, at_s * 0.2))
    return Stirring(tuple(Pose(t, float(b)) for t, b in zip(turns, breath, strict=True)), head_sides)


def bouts(rng: np.random.Generator, at_s: Floats, bout_s: float, rest_s: float) -> Floats:
    """1 in bouts and 0 between them, of these mean lengths, eased over EASE_S; (n,) at even times."""
    edges, on = [float(-rng.uniform(0, bout_s + rest_s))], True
    while edges[-1] < at_s[-1]:
        edges.append(edges[-1] + (bout_s if on else rest_s) * float(rng.uniform(0.4, 1.6)))
        on = not on
    going = (np.searchsorted(edges, at_s, side="right") % 2).astype(np.float64)
    return _eased(going, round(EASE_S * _rate(at_s)))


def _rate(at_s: Floats) -> float:
    return float(1 / (at_s[1] - at_s[0])) if len(at_s) > 1 else 1.0


def _eased(values: Floats, half: int) -> Floats:
    """Mean over a window of Hann's shape of 2 `half` + 1 values; the ends are repeated."""
    window = np.hanning(2 * half + 3)[1:-1]
    out: Floats = np.convolve(np.pad(values, half, mode="edge"), window / window.sum(), mode="valid")
    return out


def _waves(rng: np.random.Generator, at_s: Floats) -> Floats:
    """A random series (n,) of unit variance within BAND_HZ, slower waves the higher, at any times."""
    low, high = np.log(BAND_HZ).tolist()
    hz = np.exp(rng.uniform(low, high, WAVES))
    angle = 2 * np.pi * hz * at_s[:, None] + rng.uniform(0, 2 * np.pi, WAVES)
    out: Floats = (np.sin(angle) / hz).sum(axis=1) / np.sqrt((0.5 / hz**2).sum())
    return out


def _active_s(going: Floats, at_s: Floats) -> Floats:
    """How long it has gone on until each time."""
    out: Floats = np.cumsum(going) / _rate(at_s)
    return out


def _wanted(rng: np.random.Generator, at_s: Floats, awake: Floats) -> dict[Limb, Floats]:
    """Angles (n, 4) in degrees by limb, in the order of SWING_DEG, before anything is in the way."""
    kicking = awake * bouts(rng, at_s, 3.0, float(rng.uniform(7, 20)))
    beat = _active_s(kicking, at_s) * float(rng.uniform(0.8, 1.4))
    apart = float(rng.choice([0.0, 0.5]))  # both legs at once, or in turns
    out: dict[Limb, Floats] = {}
    for limb in LIMBS:
        chain, side = limb
        share, bout_s = float(rng.uniform(0.3, 0.85)), float(rng.uniform(2.0, 5.0))
        going = awake * bouts(rng, at_s, bout_s, bout_s * (1 - share) / share)
        active_s, vigour = _active_s(going, at_s), float(rng.uniform(0.7, 1.4))
        angles = np.stack([vigour * sigma * _waves(rng, active_s) for sigma in SWING_DEG[chain]], axis=1)
        if chain is LEG:
            phase = beat + (apart if side == "R" else 0.0)
            kick = kicking * (1 - np.cos(2 * np.pi * phase)) / 2 * rng.uniform(0.7, 1.0)
            angles += kick[:, None] * np.array(KICK_DEG)
        out[limb] = angles
    return out


@dataclass(frozen=True)
class _Hung:
    """A limb as the newborn lies: its upper bone's world direction, and the axes that it swings about."""

    body: Body
    limb: Limb
    first: Floats
    across: Floats
    bent: Floats
    flex_deg: float

    @classmethod
    def of(cls, body: Body, limb: Limb) -> _Hung:
        """Where the posed bones are."""
        (root, middle, end), side = limb
        names = [f"{bone}.{side}" for bone in (root, middle, end)]
        a, b = (body.carried(names[0], body.rest[name]) for name in names[:2])
        first, second = unit(b - a), unit(body.carried(names[1], body.rest[names[2]]) - b)
        bent = unit(second - (second @ first) * first)
        flex_deg = float(np.degrees(np.arccos(np.clip(second @ first, -1, 1))))
        return cls(body, limb, first, np.cross(first, bent), bent, flex_deg)

    def moved(self, angles_deg: Floats) -> tuple[Floats, Floats, list[tuple[Floats, float]]]:
        """The world directions of both bones off the mattress, and the limb's points."""
        swing, aside, twist, bend = angles_deg
        turn = rotation(swing * self.across + aside * self.bent)
        flex = np.radians(np.clip(self.flex_deg + bend, *FLEX_DEG))
        second = np.cos(flex) * self.first + np.sin(flex) * (rotation(twist * self.first) @ self.bent)
        return lifted_ways(self.body, self.limb, (turn @ self.first, turn @ second), rests=False)


def _kept_off(
    rng: np.random.Generator, body: Body, wanted: dict[Limb, Floats], wary: int
) -> dict[Limb, list[dict[str, tuple[float, float, float]]]]:
    """Turns of each limb's bones by frame; each keeps off the limbs before it as they move, and the others at rest."""
    joints = {limb: _Hung.of(body, limb) for limb in wanted}
    at_rest = {limb: joint.moved(np.zeros(4))[2] for limb, joint in joints.items()}
    frames = len(next(iter(wanted.values())))
    before: list[list[tuple[Floats, float]]] = [[] for _ in range(frames)]
    out = {}
    for limb in rng.permutation(len(LIMBS)):
        name = LIMBS[int(limb)]
        joint, angles = joints[name], wanted[name]
        del at_rest[name]
        others = [part for parts in at_rest.values() for part in parts]
        body.placed = others
        allowed = max(TOUCH_DM, *(depth_of(body, part) for part in joint.moved(np.zeros(4))[2]))
        free = np.zeros(frames)
        for n in range(frames):
            body.placed = others + before[n]
            free[n] = _free(body, joint, angles[n], allowed)
        share = _eased(_least(free, wary), wary)
        told = []
        for n in range(frames):
            first, second, points = joint.moved(share[n] * angles[n])
            before[n] = before[n] + points
            told.append(turns_of(body, name, body.turn(ROOTS[name[0][0]]), first, second))
        out[name] = told
    return out


def _free(body: Body, joint: _Hung, angles_deg: Floats, allowed: float) -> float:
    """The share of a movement on whose whole way nothing is met, of SHARES, or 0."""
    free = 0.0
    for share in SHARES:
        if any(depth_of(body, part) > allowed for part in joint.moved(share * angles_deg)[2]):
            break
        free = share
    return free


def _least(values: Floats, half: int) -> Floats:
    """The least of 2 `half` + 1 values about each."""
    padded = np.pad(values, half, mode="edge")
    out: Floats = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1).min(axis=1)
    return out


Turns = list[dict[str, tuple[float, float, float]]]


def _flap(rng: np.random.Generator, turns: Turns, limb: Limb, at_s: Floats, awake: Floats) -> None:
    """Hand or foot about its joint."""
    bone = f"{limb[0][2]}.{limb[1]}"
    active_s = _active_s(awake * bouts(rng, at_s, 2.0, 2.0), at_s)
    moves = np.stack([12 * _waves(rng, active_s) for _ in range(3)], axis=1)
    _add(turns, bone, moves)


def _sway(rng: np.random.Generator, turns: Turns, active_s: Floats) -> None:
    """The trunk's small bends; limbs and head go along."""
    for bone in ("spine03", "spine01"):
        _add(turns, bone, np.stack([SWAY_DEG * _waves(rng, 0.6 * active_s) for _ in range(3)], axis=1))


def _add(turns: Turns, bone: str, moves_deg: Floats) -> None:
    for frame, move in zip(turns, moves_deg, strict=True):
        frame[bone] = triple(np.array(frame.get(bone, (0.0, 0.0, 0.0))) + move)


def _turn_head(rng: np.random.Generator, body: Body, lying: Lying, turns: Turns, at_s: Floats) -> tuple[str, ...]:
    """Now and then the head turns about the neck; to which side the nose points in each frame."""
    begin_deg = _yaw_deg(body)
    yaw_deg = begin_deg + np.zeros(len(at_s))
    now_deg, start_s = begin_deg, float(rng.uniform(2, 9))
    while start_s < at_s[-1]:
        reach = YAW_DEG[lying.posture]
        to_deg = float(rng.uniform(-reach, reach)) + (begin_deg if lying.posture == "prone" else 0.0)
        done = np.clip((at_s - start_s) / float(rng.uniform(0.7, 1.6)), 0, 1)
        yaw_deg += (to_deg - now_deg) * done**2 * (3 - 2 * done)
        now_deg, start_s = to_deg, start_s + float(rng.uniform(5, 14))
    for frame, turn_deg in zip(turns, yaw_deg - begin_deg, strict=True):
        for bone, share in (("neck01", 0.45), ("head", 0.55)):
            was = rotation(frame[bone])
            frame[bone] = vector_deg(was @ rotation((0.0, share * float(turn_deg), 0.0)))
    return tuple("midline" if abs(y) < MIDLINE_DEG else "left" if y > 0 else "right" for y in yaw_deg.tolist())


def _yaw_deg(body: Body) -> float:
    """How far the nose points to the left of the trunk's front."""
    nose = body.axes.T @ body.turn("head")[:, 2]
    return float(np.degrees(np.arctan2(nose[0], nose[2])))
